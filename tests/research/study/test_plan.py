"""A study file that cannot answer its question is refused in one line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from echo_asr.errors import EchoError
from echo_asr.research.study.plan import Study, read_study
from echo_asr.train.recipe import read_config
from tests.helpers.studies import shipped_study

STUDIES = Path(__file__).parents[3] / "studies"
PLAIN: dict[str, Any] = {
    "name": "plain",
    "base": {"train": {"max_steps": 100, "validate_every": 20}, "model": {"vrope": {"theta": "static"}}},
    "corpus": "synth:tones",
    "arms": {"static": {}, "axis": {"model.vrope.theta": "axis"}},
    "baseline": "static",
    "endpoints": {"error": {"measure": "word", "at": 40}},
    "primary": "error",
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Study]:
    """`(**changes)`: the plain study with dotted keys changed, `None` to take one out."""

    def written(named: str | None = None, **changes: Any) -> Study:
        data = copy.deepcopy(PLAIN)
        for key, value in changes.items():
            *path, last = key.split("__")
            inner = data
            for name in path:
                inner = inner.setdefault(name, {})
            if value is None:
                inner.pop(last)
            else:
                inner[last] = value
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return read_study(file, named)

    return written


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"primry": "x"}, "unknown key primry; did you mean primary?"),
        ({"corpus": None}, "no corpus; name one in the file, or with --corpus"),
        ({"arms": None}, "arms is missing"),
        ({"arms__axis": {"model.vrope.thta": "axis"}}, "arm axis: unknown key model.vrope.thta; did you mean theta?"),
        ({"arms__axis": {"model.vrope.theta": "static"}}, "arm axis changes nothing against static"),
        ({"arms__axis": {}}, "arm axis changes nothing against static"),
        ({"arms__axis__against": "statik"}, "is against 'statik', which is no arm; did you mean static?"),
        ({"arms__Axis!": {"model.gate": "token"}, "arms__Axis?": {"model.gate": "scalar"}}, "would share a folder"),
        ({"arms__axis__train.seed": 3}, "train.seed is set by the study"),
        ({"base__train__seed": 3}, "train.seed is set by the study"),
        ({"arms__axis": 3}, "arm axis must be a mapping, got 3"),
        ({"baseline": "axes"}, "baseline names no arm: 'axes'; did you mean axis?"),
        ({"primary": "eror"}, "primary names no endpoint: 'eror'; did you mean error?"),
        ({"endpoints__error__at": 50}, "is at update 50, when arm static is not validated; set train.validate_every"),
        ({"endpoints__error__at": 120}, "is at update 120, and arm static ends at 100 (train.max_steps)"),
        ({"arms__axis__train.max_steps": 20}, "is at update 40, and arm axis ends at 20"),
        ({"endpoints__error__at": "end"}, "endpoints.error.at must be an update, or last, got 'end'"),
        ({"endpoints__error__measure": "wer"}, "endpoints.error.measure must be one of word, character, tone, base"),
        ({"endpoints__error__reach": 50}, "reach goes with an error, and without at"),
        ({"endpoints__error": {"measure": "word", "to": 3}}, "unknown key endpoints.error.to"),
        ({"endpoints__error": {"measure": "invented", "at": 40}}, "invented text is measured at the last update"),
        ({"split": "test"}, "write both split: test and final: true, or neither"),
        ({"final": True}, "write both split: test and final: true, or neither"),
        ({"split": "test", "final": True}, "the test split is measured once; take at: last"),
        ({"split": "dev"}, "split must be validation, test, or train (of speakers left out), got 'dev'"),
        ({"seeds": 0}, "seeds must be different whole numbers"),
        ({"seeds": [1, 1]}, "seeds must be different whole numbers"),
        ({"seeds": [0.5]}, "seeds must be different whole numbers"),
        ({"conditions__noise": {"evaluate": "noise:10"}}, "must be a variant such as @noise:10, got 'noise:10'"),
        ({"conditions__noise": {"test": "@noise:10"}}, "unknown key conditions.noise.test"),
        ({"conditions__greedy": {"decode": {"beem": 1}}}, "condition greedy: unknown key decode.beem; did"),
        ({"conditions__greedy": {"decode": 1}}, "conditions.greedy.decode must be a mapping, got 1"),
        ({"conditions__h": {"hide": "start"}}, "conditions.h.hide must be start token or silence, got 'start'"),
        ({"parameters_within": -1}, "parameters_within must be a percentage"),
        ({"base": "gone.yaml"}, "study.yaml, base: {folder}/gone.yaml: no such configuration file"),
        ({"changes": 3}, "changes must be a mapping, got 3"),
        ({"changes": {"train.max_stepz": 40}}, "changes: unknown key train.max_stepz; did you mean max_steps?"),
        ({"changes": {"train.seed": 3}}, "train.seed is set by the study"),
        ({"base": 3}, "base must be a configuration file or a mapping"),
        ({"like": 3}, "like must be a study file, got 3"),
        ({"like": "gone.yaml"}, "study.yaml, like: {folder}/gone.yaml: no such configuration file"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    changes: dict[str, Any], message: str, read: Callable[..., Study], tmp_path: Path
) -> None:
    with pytest.raises(EchoError) as refused:
        read(**changes)
    assert message.format(folder=tmp_path) in str(refused.value) and "\n" not in str(refused.value)


def test_arms_differ_from_the_base_by_what_they_name_alone(read: Callable[..., Study]) -> None:
    nested = {"model": {"vrope": {"theta": "axis"}}, "train.learning_rate": 0.001, "against": ["static"]}
    study = read(arms__axis=nested, seeds=2)
    axis, static = study.arm("axis"), study.arm("static")
    assert axis.changes == {"model.vrope.theta": "axis", "train.learning_rate": 0.001}
    assert (static.against, axis.against, study.seeds) == ((), ("static",), (0, 1))
    assert axis.sections["model"].vrope.theta == "axis" and axis.sections["train"].learning_rate == 0.001
    assert static.sections["model"].vrope.theta == "static"
    assert axis.sections["train"].max_steps == static.sections["train"].max_steps == 100


def test_a_base_is_found_beside_the_study(read: Callable[..., Study], tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "{train: {max_steps: 40, validate_every: 40}, model: {vrope: {theta: static}}}\n"
    )
    assert read("other", base="base.yaml").arms[0].sections["train"].max_steps == 40


def test_a_base_may_be_a_recipe(read: Callable[..., Study]) -> None:
    study = read(base="digits", endpoints__error__at=400, arms__axis={"model.vrope.theta": "static"})
    assert study.arm("axis").sections["model"].dropout == read_config("digits")["model"].dropout


def test_changes_of_the_base_are_those_of_every_arm(read: Callable[..., Study]) -> None:
    study = read(changes={"train.max_steps": 60, "model": {"vrope.radius": "learned"}})
    for arm in study.arms:
        assert arm.sections["train"].max_steps == 60 and arm.sections["train"].validate_every == 20
        assert arm.sections["model"].vrope.radius == "learned"
    assert study.arm("axis").changes == {"model.vrope.theta": "axis"}
    assert study.arm("static").sections["model"].vrope.theta == "static"


def test_conventions_of_texts_are_changes_and_arms(read: Callable[..., Study]) -> None:
    rules = {"[...]": "drop", "word-": "keep"}
    study = read(changes={"text": {"conventions": rules}}, arms={"static": {}, "none": {"text.conventions": {}}})
    assert study.arm("static").sections["text"].conventions == rules
    assert study.arm("none").sections["text"].conventions == {}
    study = read(arms={"static": {}, "rules": {"text": {"conventions": {"xxx": "exclude", **rules}}}})
    assert study.arm("rules").sections["text"].conventions == {"xxx": "exclude", **rules}
    with pytest.raises(EchoError, match="arm rules: .*conventions.*expected one of keep, drop"):
        read(arms={"static": {}, "rules": {"text": {"conventions": {"[...]": "remove"}}}})


def test_the_command_line_has_the_last_word_on_the_corpus(read: Callable[..., Study]) -> None:
    assert read().corpus == "synth:tones"
    assert read("mine").corpus == "mine"


@pytest.fixture
def other(read: Callable[..., Study], tmp_path: Path) -> Callable[..., Study]:
    """`(**keys)`: a study like one of three arms in a folder beside it, whose base lies there, too."""
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "small.yaml").write_text(yaml.safe_dump(PLAIN["base"]), encoding="utf-8")
    arms = {
        **PLAIN["arms"],
        "both": {"model.vrope.theta": "axis", "model.gate": "token", "against": ["axis", "static"]},
    }
    data = {**PLAIN, "arms": arms, "base": "small.yaml", "seeds": 4}
    (tmp_path / "before" / "first.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")

    def written(**keys: Any) -> Study:
        file = tmp_path / "second.yaml"
        file.write_text(yaml.safe_dump({"like": "before/first.yaml", **keys}, sort_keys=False), encoding="utf-8")
        return read_study(file)

    return written


def test_a_study_like_another_says_only_what_differs(other: Callable[..., Study]) -> None:
    study = other(name="final", split="test", final=True, endpoints={"error": {"measure": "word"}}, seeds=2)
    assert (study.name, study.split, study.seeds, study.baseline) == ("final", "test", (0, 1), "static")
    assert [arm.name for arm in study.arms] == ["static", "axis", "both"]
    assert study.arm("both").sections["model"].gate == "token" and study.endpoints[0].at == 0
    assert study.arm("static").sections["train"].max_steps == 100, "the base lies beside the other"


def test_arms_may_be_chosen_of_those_of_the_other(other: Callable[..., Study]) -> None:
    assert other(arms=["static", "both"]).arm("both").against == ("static",)
    assert other(arms=["both", "axis"], baseline="both").arm("axis").against == ("both",)
    with pytest.raises(EchoError, match=r"before/first.yaml has no arm 'axes'; did you mean axis\?"):
        other(arms=["static", "axes"])


@pytest.mark.parametrize(
    "path", sorted(p for p in STUDIES.glob("*.yaml") if p.stem not in ("tiny", "masked")), ids=lambda p: p.stem
)
def test_the_studies_that_come_with_echo_are_sound(path: Path) -> None:
    study = shipped_study(path)
    assert study.split == ("test" if path.stem.startswith("final_") else "validation") and study.question
    assert all(arm.against for arm in study.arms if arm.name != study.baseline)
