"""What is trained once is not trained again, for this study or another, and its figures are the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from echo_asr.cli import main
from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError
from echo_asr.evaluate.evaluate import evaluate
from echo_asr.research.f0_controls import load_recognizer
from echo_asr.research.study.run import Outcome, run_study
from echo_asr.research.study.trained import LAST, RESULT, Trained, keep_last_weights
from echo_asr.storage import unpack
from echo_asr.train.state import CHECKPOINT, Progress
from tests.helpers.studies import STUDY, in_this_process, rows, write_study

ALONE = {name: keys for name, keys in STUDY["endpoints"].items() if "at" not in keys and "reach" not in keys}


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing may be trained; lists what is evaluated."""
    import echo_asr.research.study.job as job

    evaluated: list[str] = []
    evaluate = job.evaluate_split

    def note(recognizer: Any, spec: str, split: str) -> dict[str, list[str]]:
        evaluated.append(spec)
        return evaluate(recognizer, spec, split)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(job, "train", refuse)
    monkeypatch.setattr(job, "evaluate_split", note)
    monkeypatch.setattr("echo_asr.research.study.run.run_jobs", in_this_process)
    monkeypatch.setattr("echo_asr.research.study.page.write_page", lambda *_: None)
    return evaluated


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob(f"jobs/*/*/{RESULT}"))]


def test_the_trainings_of_another_study_are_taken_and_a_condition_that_is_added_trains_nothing(
    finished: Outcome, corpus: Path, tmp_path: Path, untrained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the very tables, row by row, of the study that trained and had both conditions from the beginning."""
    source, out = tmp_path / "source", tmp_path / "studies" / "other"
    shutil.copytree(finished.out, source)
    for path in source.glob(f"jobs/*/*/{RESULT}"):
        result = json.loads(path.read_text(encoding="utf-8"))
        del result["evaluations"][f"{corpus}@noise:10"]  # as if that condition had not been there
        path.write_text(json.dumps(result), encoding="utf-8")
    one = write_study(tmp_path / "one.yaml", corpus, conditions={"as recorded": {}})
    outcome = run_study(one, out, device="cpu", trained=[source])
    assert outcome.complete and untrained == [], "what was validated is not heard again"
    assert "6 jobs (3 arms, 2 seeds), 0 finished before, 6 trained before" in " ".join(capsys.readouterr().err.split())
    assert "Trained in the study in source: 6 of 6 jobs." in (out / "table.md").read_text(encoding="utf-8")
    assert not list(out.glob("jobs/*/*/run")), "the models stay where they are"

    both = write_study(tmp_path / "both.yaml", corpus)
    outcome = run_study(both, out, device="cpu")
    assert outcome.complete and untrained == [f"{corpus}@noise:10"] * 6, "the new condition alone"
    assert rows(outcome) == rows(finished)
    again = run_study(both, out, device="cpu")
    assert len(untrained) == 6 and rows(again) == rows(finished), "and then it is finished"

    three = write_study(
        tmp_path / "three.yaml", corpus, conditions={**STUDY["conditions"], "flat": {"evaluate": "@flat"}}
    )
    run_study(three, out, device="cpu")
    assert untrained[6:] == [f"{corpus}@flat"] * 6, "of what this study took, too, the new condition alone"


def test_final_figures_are_of_the_models_that_were_chosen(
    finished: Outcome, corpus: Path, tmp_path: Path, untrained: list[str]
) -> None:
    """On the test split, under other names of arms; from a study that took its trainings, too."""
    renamed = {f"{name}, at last": change for name, change in STUDY["arms"].items() if "against" not in change}
    changes = {
        "arms": renamed, "baseline": "axis, at last", "split": "test", "final": True, "endpoints": ALONE,
        "primary": "characters", "conditions": {"as recorded": {}},
    }  # fmt: skip
    study = write_study(tmp_path / "final.yaml", corpus, **changes)
    outcome = run_study(study, tmp_path / "a", device="cpu", trained=[finished.out])
    assert outcome.complete and len(untrained) == 4
    for result in results(tmp_path / "a"):
        (heard,) = result["evaluations"].values()
        assert result["split"] == "test" and heard["ids"] == [u.id for u in load_corpus(corpus).split("test")]
    following = run_study(study, tmp_path / "b", device="cpu", trained=[tmp_path / "a"])
    assert [r["evaluations"] for r in results(tmp_path / "b")] == [r["evaluations"] for r in results(tmp_path / "a")]
    assert rows(following) == rows(outcome)


def test_what_is_not_the_same_training_is_not_taken(
    finished: Outcome, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[str] = []

    def note(jobs: list[Any], *_: Any) -> dict[str, str]:
        waiting.extend(job.spec["trained"] for job in jobs)
        return {}

    monkeypatch.setattr("echo_asr.research.study.run.run_jobs", note)
    monkeypatch.setattr("echo_asr.research.study.page.write_page", lambda *_: None)
    arms = {"axis": {"train.learning_rate": 0.02}, "static": {"model.vrope.theta": "static"}}
    study = write_study(tmp_path / "s.yaml", corpus, arms=arms, seeds=[1, 7])
    run_study(study, tmp_path / "a", device="cpu", trained=[finished.out])
    assert waiting == ["", str(finished.out / "jobs/static/seed-1"), "", ""]

    copied = tmp_path / "copied"
    shutil.copytree(finished.out, copied)
    (copied / "jobs/static/seed-1/run/model.safetensors").unlink()
    path = copied / "jobs/static/seed-0" / RESULT
    result = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**result, "ids": [*result["ids"][:-1], "somebody else's"]}), encoding="utf-8")
    waiting.clear()
    run_study(write_study(tmp_path / "t.yaml", corpus, seeds=2), tmp_path / "b", device="cpu", trained=[copied])
    places = [Path(place).relative_to(copied / "jobs").as_posix() if place else "" for place in waiting]
    assert places == ["axis/seed-0", "", "other-pitch/seed-0", "axis/seed-1", "", "other-pitch/seed-1"]


def test_weights_of_the_last_update_are_kept_where_they_are_not_the_best(tmp_path: Path) -> None:
    state = {"weight": torch.arange(6.0).reshape(2, 3)}
    (tmp_path / "run" / CHECKPOINT).parent.mkdir(parents=True)
    torch.save({"averaged": state}, tmp_path / "run" / CHECKPOINT)
    assert keep_last_weights(tmp_path, Progress(step=6, best_step=6)) == "run/model.safetensors"
    assert not (tmp_path / LAST).exists()
    assert keep_last_weights(tmp_path, Progress(step=6, best_step=3)) == LAST
    assert unpack((tmp_path / LAST).read_bytes())["weight"].equal(state["weight"])


def test_the_model_that_is_taken_has_the_weights_that_were_kept(finished: Outcome, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    shutil.copytree(finished.out / "jobs/static/seed-0", folder)
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    assert (folder / result["weights"]).is_file()
    weights = Trained(folder, result).bundle().model.state_dict()
    (folder / LAST).write_bytes(b"not a model")
    with pytest.raises(EchoError, match=r"last.safetensors: damaged; remove .*job, and the job is done again"):
        Trained(folder, {**result, "weights": LAST}).bundle()
    kept = unpack((folder / result["weights"]).read_bytes())
    assert weights.keys() == kept.keys() and all(weights[name].equal(kept[name]) for name in kept)


def test_a_folder_without_a_study_is_refused(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "s.yaml"
    study.write_text(yaml.safe_dump({**STUDY, "corpus": str(corpus)}), encoding="utf-8")
    assert main(["study", str(study), "--out", str(tmp_path / "out"), "--trained", str(tmp_path / "gone")]) == 1
    assert "gone: no folder of a study; name one that echo-asr study made" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluate_finds_what_the_study_found_of_a_model_of_shuffled_pitch(finished: Outcome, corpus: Path) -> None:
    """Both use the pitch of the recordings that the model was trained on, whatever the split."""
    folder, spec = finished.out / "jobs/other-pitch/seed-0", f"{corpus}@noise:10"
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    recognizer = load_recognizer(folder / "run", "cpu")
    recognizer.bundle.model.load_state_dict(unpack((folder / result["weights"]).read_bytes()))
    recognizer.bundle.trained_features = recognizer.features = None
    found = evaluate(recognizer, spec, "validation", load_corpus(spec).split("validation"))
    assert found.hypotheses == result["evaluations"][spec]["hypotheses"]
