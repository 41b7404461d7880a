"""Conditions of several folds, whose errors are pooled; what jobs heard is made up."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from echo_asr.errors import EchoError
from echo_asr.evaluate.measures import measure_errors
from echo_asr.research.compare import compare_errors
from echo_asr.research.study.jobs import Job, make_jobs
from echo_asr.research.study.plan import Condition, read_study
from echo_asr.research.study.results import Row
from echo_asr.research.study.run import Outcome, load_corpora, run_study
from echo_asr.research.study.trained import RESULT, digest
from tests.helpers.tone_corpus import CONFIG

SPEAKERS = ("anna", "ben", "cleo", "dora", "emil", "a b", "a-b")
WORDS = ("one", "two", "three", "four")
LEFT_OUT = {"train": "@leave:{each}", "evaluate": "@only:{each}"}
FOLDS = ["anna", "ben"]
STUDY: dict[str, Any] = {
    "name": "folds",
    "base": CONFIG,
    "arms": {"axis": {}, "static": {"model.vrope.theta": "static"}},
    "baseline": "axis",
    "conditions": {
        "as recorded": {},
        "the others": {"each": FOLDS, "train": "@leave:{each}", "evaluate": "@leave:{each}"},
        "left out": {"each": FOLDS, **LEFT_OUT},
        "left out, in noise": {"each": FOLDS, "train": "@leave:{each}", "evaluate": "@only:{each}@noise:5"},
    },
    "seeds": 2,
    "endpoints": {
        "at 3": {"measure": "word", "at": 3},
        "last": {"measure": "character"},
        "to 60 %": {"measure": "word", "reach": 60},
        "invented": {"measure": "invented"},
    },
    "primary": "at 3",
    "invented_clips": 7,
}


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Seven speakers, six utterances each; of the recordings only the names are looked at."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = ["file_name,transcription,speaker,split,duration"]
    for speaker in SPEAKERS:
        for index, split in enumerate(("train", "train", "validation", "validation", "validation", "test")):
            name, length = f"{speaker}-{index}.wav", 1 + index % 3
            (folder / name).touch()
            lines.append(f"{name},{' '.join(WORDS[: length + 1])},{speaker},{split},0.5")
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write(path: Path, corpus: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**STUDY, "corpus": str(corpus), **changes}, sort_keys=False), encoding="utf-8")
    return path


def heard(spec: dict[str, Any], split: str, count: int, *when: Any) -> list[str]:
    draw = random.Random(str((spec["arm"], spec["seed"], spec["corpus"], split, when)))
    return [" ".join(draw.choices(WORDS, k=draw.randrange(4))) for _ in range(count)]


@pytest.fixture
def outcome(spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """The study with made-up results."""
    return faked(write(tmp_path / "folds.yaml", spoken), tmp_path / "out", monkeypatch)


def faked(path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, failing: str = "") -> Outcome:
    study = read_study(path)
    corpora = load_corpora(study)

    def fake(jobs: list[Job], at_once: int, threads: int, places: list[str]) -> dict[str, str]:
        for job in jobs:
            if failing and failing in str(job.folder):
                continue
            ids = [u.id for u in corpora[job.spec["corpus"]].split("validation")]
            validations = [
                {"update": update, "hypotheses": heard(job.spec, "validation", len(ids), update)} for update in (3, 6)
            ]
            evaluations = {}
            for spec in job.spec["evaluations"]:
                names = [u.id for u in corpora[spec].split(study.split)]
                evaluations[spec] = {"ids": names, "hypotheses": heard(job.spec, spec, len(names))}
            if job.spec["corpus"] in evaluations:
                evaluations[job.spec["corpus"]] = {"ids": ids, "hypotheses": validations[-1]["hypotheses"]}
            result = {
                "digest": digest(job.spec), "ids": ids, "validations": validations, "evaluations": evaluations,
                "invented": heard(job.spec, "invented", job.spec["invented_clips"]),
                "seconds": {"training": 1.0, "evaluation": 1.0}, "threads": 1, "device": "cpu",
            }  # fmt: skip
            job.folder.mkdir(parents=True)
            (job.folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
        return {}

    monkeypatch.setattr("echo_asr.research.study.run.run_jobs", fake)
    monkeypatch.setattr("echo_asr.research.study.run.prepare_features", lambda *_: None)
    monkeypatch.setattr("echo_asr.research.study.page.write_page", lambda *_: None)
    return run_study(path, out, device="cpu")


def row_of(outcome: Outcome, condition: str, endpoint: str, arm: str) -> Row:
    (row,) = (r for r in outcome.findings.rows if (r.condition, r.endpoint, r.arm) == (condition, endpoint, arm))
    return row


def results(outcome: Outcome, arm: str, seed: int) -> list[dict[str, Any]]:
    """Of both folds."""
    folders = (outcome.out / "jobs" / f"{arm}-leave-{name}" / f"seed-{seed}" for name in ("anna", "ben"))
    return [json.loads((folder / RESULT).read_text(encoding="utf-8")) for folder in folders]


def texts(spoken: Path, ids: list[str]) -> list[str]:
    lines = [line.split(",") for line in (spoken / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    by_id = {line[0]: line[1] for line in lines}
    return [by_id[name] for name in ids]


def test_folds_are_trained_each_and_shared_by_conditions(outcome: Outcome) -> None:
    jobs = sorted(str(p.relative_to(outcome.out / "jobs")) for p in outcome.out.glob("jobs/*/*"))
    trained = ("", "-leave-anna", "-leave-ben")
    assert jobs == sorted(f"{arm}{t}/seed-{s}" for arm in STUDY["arms"] for t in trained for s in (0, 1))
    validated = [(c, e) for c in ("as recorded", "the others") for e in STUDY["endpoints"]]
    left = [(c, e) for c in ("left out", "left out, in noise") for e in ("last", "invented")]
    found = [(r.condition, r.endpoint, r.arm) for r in outcome.findings.rows]
    assert found == [(*pair, arm) for pair in validated + left for arm in ("axis", "static")]
    assert "left out: pooled over 2 folds, anna, ben." in outcome.findings.notes
    assert any("over seeds and speakers (as recorded, the others), texts (left out, left out, in noise);" in n
               for n in outcome.findings.notes)  # fmt: skip
    assert len(outcome.findings.times) == 12 and len(outcome.findings.arms) == 2


@pytest.mark.parametrize(
    ("condition", "endpoint"), [("the others", "at 3"), ("left out", "last"), ("left out, in noise", "last")]
)
def test_a_pooled_row_is_that_of_all_errors_one_after_another(
    condition: str, endpoint: str, outcome: Outcome, spoken: Path
) -> None:
    suffix = {"left out": "@only:{}", "left out, in noise": "@only:{}@noise:5"}.get(condition)
    errors: dict[str, list[np.ndarray]] = {"axis": [], "static": []}
    for arm, by_seed in errors.items():
        for seed in (0, 1):
            names, said = [], []
            for speaker, result in zip(FOLDS, results(outcome, arm, seed), strict=True):
                last = result["evaluations"][f"{spoken}{suffix.format(speaker)}"] if suffix else result
                names += last["ids"]
                said += last["hypotheses"] if suffix else result["validations"][0]["hypotheses"]
                assert all(name.startswith(f"{speaker}-") == bool(suffix) for name in last["ids"])
            assert len(names) == (6 if suffix else 36), "three utterances of each speaker"
            references = texts(spoken, names)
            measured, units = measure_errors(references, said, "word" if endpoint == "at 3" else "character")
            by_seed.append(measured)
    blocks = references if suffix else [name.rpartition("-")[0] for name in names]
    expected = compare_errors(np.stack(errors["static"]), np.stack(errors["axis"]), units, blocks)
    row = row_of(outcome, condition, endpoint, "static")
    assert row.comparison == expected and row.comparison.blocks == (3 if suffix else 7)
    assert row.values == pytest.approx([100 * e.sum() / units.sum() for e in errors["static"]])
    assert row_of(outcome, condition, endpoint, "axis").values == pytest.approx(
        [100 * e.sum() / units.sum() for e in errors["axis"]]
    )


@pytest.mark.parametrize(("condition", "endpoint"), [("the others", "at 3"), ("left out", "last")])
def test_each_speaker_is_compared_by_its_own_utterances(
    condition: str, endpoint: str, outcome: Outcome, spoken: Path
) -> None:
    errors: dict[str, list[dict[str, np.ndarray]]] = {"axis": [], "static": []}
    units, blocks = {}, {}
    for arm, by_seed in errors.items():
        for seed in (0, 1):
            said: dict[str, list[tuple[str, str]]] = {}
            for fold, result in zip(FOLDS, results(outcome, arm, seed), strict=True):
                found = result["evaluations"][f"{spoken}@only:{fold}"]
                if condition == "the others":
                    found = {**result, **result["validations"][0]}
                for name, text in zip(found["ids"], found["hypotheses"], strict=True):
                    said.setdefault(name.rpartition("-")[0], []).append((name, text))
            by_seed.append({})
            for speaker, pairs in said.items():
                blocks[speaker] = texts(spoken, [name for name, _ in pairs])
                measure: Any = "word" if endpoint == "at 3" else "character"
                by_seed[-1][speaker], units[speaker] = measure_errors(blocks[speaker], [t for _, t in pairs], measure)
    rows = {(r.group, r.arm): r for r in outcome.findings.groups if (r.condition, r.endpoint) == (condition, endpoint)}
    assert {group for group, _ in rows} == set(units) == set(SPEAKERS if condition == "the others" else FOLDS)
    for speaker in units:
        axis, static = (np.stack([each[speaker] for each in errors[arm]]) for arm in ("axis", "static"))
        row = rows[speaker, "static"]
        assert row.comparison == compare_errors(static, axis, units[speaker], blocks[speaker])
        assert row.mean == pytest.approx(100 * static.sum() / (2 * units[speaker].sum()))
        assert row.utterances == len(blocks[speaker]) and rows[speaker, "axis"].comparison is None


def test_reports_show_each_speaker_and_of_whom_they_hold(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = {name: STUDY["conditions"][name] for name in ("as recorded", "the others", "left out")}
    conditions |= {"one": {"each": ["anna"], **LEFT_OUT}}
    path = write(tmp_path / "three.yaml", spoken, conditions=conditions, primary="last")
    outcome = faked(path, tmp_path / "out", monkeypatch)
    page = (outcome.out / "table.md").read_text(encoding="utf-8")
    assert "- left out: 2 speakers, not trained on; intervals hold for them, not for people in general.\n" in page
    assert "- one: 1 speaker, not trained on; intervals hold for that one, not for people in general.\n" in page
    assert "- the others: 7 speakers, trained on; intervals are about others like them, as far" in page
    assert "- as recorded: " not in page, "seven speakers are resampled as such"
    heads = [line for line in page.splitlines() if line.startswith("## ") and "by speaker" in line]
    assert heads == ["## last, the others, by speaker", "## last, left out, by speaker"]
    assert "- static against axis by speaker, last (left out): anna " in page
    whole = json.loads((outcome.out / "table.json").read_text(encoding="utf-8"))
    assert len(whole["agreements"]) == 2
    assert len(whole["speakers"]) == len((outcome.out / "speakers.csv").read_text(encoding="utf-8").splitlines()) - 1


def test_invented_text_and_updates_are_pooled_too(outcome: Outcome, spoken: Path) -> None:
    said = {arm: np.array([[bool(t) for r in results(outcome, arm, s) for t in r["invented"]] for s in (0, 1)])
            for arm in ("axis", "static")}  # fmt: skip
    row = row_of(outcome, "left out", "invented", "static")
    assert row.values == pytest.approx(100 * said["static"].mean(axis=1))
    clips = [*range(7), *range(7)]
    assert row.comparison == compare_errors(said["static"], said["axis"], np.ones(14), clips)
    for number, value in enumerate(row_of(outcome, "the others", "to 60 %", "axis").values):
        errors = []
        for at in (0, 1):
            each = [
                measure_errors(texts(spoken, r["ids"]), r["validations"][at]["hypotheses"], "word")
                for r in results(outcome, "axis", number)
            ]
            errors.append(100 * sum(e.sum() for e, _ in each) / sum(u.sum() for _, u in each))
        between = np.interp(60, errors[::-1], [6, 3])  # of errors that fall; 3 where the first is low enough
        assert value == (None if min(errors) > 60 else 3 if errors[0] <= 60 else pytest.approx(between))
    curves = [c for c in outcome.findings.curves if c["condition"] == "the others" and c["measure"] == "word"]
    assert [c["error"] for c in curves if c["update"] == 3 and c["arm"] == "axis"] == pytest.approx(
        row_of(outcome, "the others", "at 3", "axis").values, abs=1e-4
    )


def test_five_speakers_are_resampled_as_such_and_a_lost_fold_takes_its_seed(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = {"left out": {"each": list(SPEAKERS), **LEFT_OUT}}
    path = write(tmp_path / "five.yaml", spoken, conditions=conditions, primary="last")
    outcome = faked(path, tmp_path / "out", monkeypatch, failing="static-leave-cleo/seed-1")
    row = row_of(outcome, "left out", "last", "static")
    assert row.seeds == (0,) and row.comparison is not None and row.comparison.blocks == 7
    assert row_of(outcome, "left out", "last", "axis").seeds == (0, 1)
    folders = {p.parent.name for p in outcome.out.glob("jobs/*/seed-0")}
    assert len(folders) == 14, "a b and a-b are two"
    assert len(json.loads((outcome.out / "table.json").read_text(encoding="utf-8"))["rows"]) == 4


def test_a_study_without_folds_is_as_it_was(spoken: Path, tmp_path: Path) -> None:
    conditions = {"as recorded": {}, "noise": {"evaluate": "@noise:5"}, "loud": {"train": "@gain:3"}}
    study = read_study(write(tmp_path / "s.yaml", spoken, conditions=conditions))
    assert study.to_dict()["conditions"][0] == {"name": "as recorded", "train": "", "evaluate": ""}
    jobs = make_jobs(study, load_corpora(study), Path("o"), "cpu")
    assert [str(job.folder) for job in jobs[:4]] == [
        "o/jobs/axis/seed-0", "o/jobs/static/seed-0", "o/jobs/axis-gain-3/seed-0", "o/jobs/static-gain-3/seed-0",
    ]  # fmt: skip
    assert jobs[0].spec["evaluations"] == [str(spoken), f"{spoken}@noise:5"]
    assert jobs[2].spec["evaluations"] == [str(spoken)] and jobs[2].spec["corpus"] == f"{spoken}@gain:3"


def test_a_fold_stands_where_the_suffixes_have_it() -> None:
    assert Condition("c", "@leave:{each}@gain:1", "@only:{each}", ("a", "b, c")).pairs == (
        ("@leave:a@gain:1", "@only:a"),
        ("@leave:b, c@gain:1", "@only:b, c"),
    )
    assert Condition("c", "@gain:1").pairs == (("@gain:1", ""),)


def test_folds_may_be_evaluated_on_the_same_utterances(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = {"half": {"each": [0, 1], "train": "@part:0.5,seed={each}"}}
    outcome = faked(
        write(tmp_path / "parts.yaml", spoken, conditions=conditions, primary="last"), tmp_path / "o", monkeypatch
    )
    row, said, names = row_of(outcome, "half", "last", "axis"), [], []
    for seed in (0, 1):
        (path,) = outcome.out.glob(f"jobs/axis-part-0.5-seed-{seed}/seed-0/{RESULT}")
        (found,) = json.loads(path.read_text(encoding="utf-8"))["evaluations"].values()
        said, names = said + found["hypotheses"], names + found["ids"]
    errors, units = measure_errors(texts(spoken, names), said, "character")
    assert row.values[0] == pytest.approx(100 * errors.sum() / units.sum())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"each": [], **LEFT_OUT}, "conditions.c.each must be a list of names or numbers, as in {each: "),
        ({"each": "anna", **LEFT_OUT}, "must be a list of names or numbers"),
        ({"each": ["anna", {"leave": "ben"}], **LEFT_OUT}, "must be a list of names or numbers"),
        ({"each": ["anna", ""], **LEFT_OUT}, "must be a list of names or numbers"),
        ({"each": None, **LEFT_OUT}, "must be a list of names or numbers"),
        ({"each": [*FOLDS, "anna"], **LEFT_OUT}, "conditions.c.each has anna twice"),
        ({"each": ["zoe"], **LEFT_OUT}, "no speaker is called 'zoe'; known: a b, a-b, anna, ben"),
        ({"each": ["@leave:anna"]}, "c.each names folds, and neither train nor evaluate has {each}; write {each: "),
        ({**LEFT_OUT}, "conditions.c.each is missing; write {each: "),
    ],
)
def test_folds_that_cannot_be_are_refused_in_one_line(
    condition: dict[str, Any], message: str, spoken: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "s.yaml", spoken, conditions={"c": condition})
    with pytest.raises(EchoError, match=re.escape(message)) as refused:
        load_corpora(read_study(path))
    assert "\n" not in str(refused.value)


def test_a_speaker_without_the_split_is_refused(spoken: Path, tmp_path: Path) -> None:
    with (spoken / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("\nzoe.wav,one,zoe,test,0.5")
    (spoken / "zoe.wav").touch()
    conditions = {"c": {"each": ["zoe"], **LEFT_OUT}}
    with pytest.raises(EchoError, match="@only:zoe has no split 'validation'; choose from: test"):
        load_corpora(read_study(write(tmp_path / "s.yaml", spoken, conditions=conditions)))
    final = {"split": "test", "final": True, "endpoints": {"last": {"measure": "word"}}, "primary": "last"}
    corpora = load_corpora(read_study(write(tmp_path / "s.yaml", spoken, conditions=conditions, **final)))
    assert [u.id for u in corpora[f"{spoken}@only:zoe"].split("test")] == ["zoe.wav"]


@pytest.mark.parametrize("final", [{}, {"final": True}])
def test_training_utterances_of_speakers_left_out_may_be_evaluated_on(
    final: dict[str, Any], spoken: Path, tmp_path: Path
) -> None:
    study = {"split": "train", "endpoints": {"last": {"measure": "word"}}, "primary": "last", **final}
    path = write(tmp_path / "s.yaml", spoken, conditions={"c": {"each": FOLDS, **LEFT_OUT}}, **study)
    corpora = load_corpora(read_study(path))
    assert [u.id for u in corpora[f"{spoken}@only:ben"].split("train")] == ["ben-0.wav", "ben-1.wav"]
    for evaluate in ("", "@only:ben"):
        path = write(tmp_path / "s.yaml", spoken, conditions={"c": {"evaluate": evaluate}}, **study)
        with pytest.raises(EchoError, match="utterances of .* are to be evaluated on that .* trains on"):
            load_corpora(read_study(path))
    path = write(tmp_path / "s.yaml", spoken, split="train", conditions={"c": {"each": FOLDS, **LEFT_OUT}})
    with pytest.raises(EchoError, match="'at 3' looks into training, and the train split is measured once"):
        read_study(path)
