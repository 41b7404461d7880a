"""Two arms and two seeds on the corpus of the training tests, whole, interrupted, and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import echo_asr
from echo_asr.cli import main
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.research.diagnose.interventions import null_attentions
from echo_asr.research.study.job import LOG, silent_clips
from echo_asr.research.study.run import Outcome, run_study
from echo_asr.research.study.trained import RESULT
from tests.helpers.studies import STUDY, in_this_process, note_evaluations, rows, write_study
from tests.helpers.tone_corpus import snapshot

TABLES = ("table.md", "table.csv", "table.json", "curves.csv")


def test_every_arm_is_measured_by_every_endpoint(finished: Outcome) -> None:
    assert finished.complete
    found = [(r["condition"], r["endpoint"], r["arm"], r["against"]) for r in rows(finished)]
    pairs = [("axis", ""), ("static", "axis"), ("other pitch", "axis"), ("other pitch", "static")]
    recorded = [("as recorded", e, *pair) for e in STUDY["endpoints"] for pair in pairs]
    alone = ("characters", "runaways", "invented")
    noisy = [("in noise", e, *pair) for e in alone for pair in pairs]
    assert found == recorded + noisy, "what is evaluated alone has no errors during training"
    for row in rows(finished):
        assert row["seeds"] == "0 1" and len(row["values"].split()) == 2
        assert bool(row["low"]) == (bool(row["against"]) and row["unit"] != "updates"), (
            "seeds agree, or never get there"
        )
    reached = {r["endpoint"]: r["values"] for r in rows(finished) if r["unit"] == "updates"}
    assert reached == {"updates to 1000 %": "3.0 3.0", "updates to 0 %": "never never"}


def test_a_condition_may_search_otherwise(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its evaluation does, and no other; the training is shared."""
    asked = note_evaluations(monkeypatch, lambda recognizer, spec: (spec, recognizer.decode))
    changes = {
        "seeds": 1,
        "arms": {"axis": {}, "static": {"model.vrope.theta": "static"}},
        "conditions": {
            "CTC alone": {"decode": {"ctc_weight": 1.0}},
            "CTC alone, in noise": {"evaluate": "@noise:10", "decode": {"ctc_weight": 1.0}},
            "in noise": {"evaluate": "@noise:10"},
            "short pauses": {"decode": {"segments": {"pause": 0.7}}},
            "as the arm does": {"decode": {"ctc_weight": DecodeConfig().ctc_weight}},
            "as recorded": {},
        },
    }
    outcome = run_study(write_study(tmp_path / "study.yaml", corpus, **changes), tmp_path / "out", device="cpu")
    own, alone = DecodeConfig(), DecodeConfig(ctc_weight=1.0)
    short = replace(own, segments=replace(own.segments, pause=0.7))
    noisy = f"{corpus}@noise:10"
    assert asked == [(str(corpus), alone), (noisy, alone), (noisy, own), (str(corpus), short), (str(corpus), own)] * 2
    assert len(list(outcome.out.glob("jobs/*/*/result.json"))) == 2
    values = {(r["condition"], r["endpoint"], r["arm"]): r["values"] for r in rows(outcome)}
    for endpoint in ("characters", "runaways"):
        assert values["as the arm does", endpoint, "axis"] == values["as recorded", endpoint, "axis"]
    assert ("CTC alone", "updates to 1000 %", "axis") not in values, "validations searched as the arm does"


def test_a_condition_may_hide_the_start_token_or_silence(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the attention of its own evaluation, and of no other."""

    def modes(recognizer: Recognizer, _: str) -> tuple[set[str], ...]:
        model = recognizer.bundle.model
        return tuple({each.nulls.mode for each in null_attentions(model, start)} for start in (True, False))

    asked = note_evaluations(monkeypatch, modes)
    changes = {
        "seeds": 1,
        "arms": {"axis": {}, "static": {"model.vrope.theta": "static"}},
        "changes": {"model.text_nulls": "weight"},
        "conditions": {
            "no start": {"hide": "start token"},
            "no silence": {"hide": "silence"},
            "in noise": {"evaluate": "@noise:10"},
            "as recorded": {},
        },
    }
    outcome = run_study(write_study(tmp_path / "study.yaml", corpus, **changes), tmp_path / "out", device="cpu")
    own = asked[2]
    assert asked == [({"hard"}, own[1]), (own[0], {"hard"}), own] * 2 and own[0] == {"weight"} and "hard" not in own[1]
    values = {(r["condition"], r["endpoint"], r["arm"]) for r in rows(outcome)}
    assert ("no start", "characters", "axis") in values
    assert ("no start", "updates to 1000 %", "axis") not in values, "nothing was hidden from validations"


def test_figures_are_those_of_the_validations(finished: Outcome) -> None:
    """Character errors as training itself reported them."""
    for row in rows(finished):
        if row["endpoint"] == "characters at 3":
            for seed, value in zip((0, 1), row["values"].split(), strict=True):
                run = finished.out / "jobs" / row["arm"].replace(" ", "-") / f"seed-{seed}" / "run"
                lines = [json.loads(x) for x in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
                reported = [x["cer"] for x in lines if x["split"] == "validation" and x["update"] == 3]
                assert float(value) == pytest.approx(reported[0])


def test_what_is_left_is_tables_pictures_and_a_page_by_itself(finished: Outcome) -> None:
    left = {path.name for path in finished.out.iterdir() if path.is_file()}
    assert left >= {*TABLES, "times.csv", "curves.png", "differences.png", "report.html", "study.json"}
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 and "http" not in page and "<script" not in page
    assert "static: not significantly different from axis by characters at 3" in page
    assert not list(finished.out.rglob("last.pt")), "checkpoints of finished jobs are gone"
    times = (finished.out / "times.csv").read_text(encoding="utf-8").splitlines()
    assert times[0] == "arm,seed,corpus,training,evaluation,device,threads" and len(times) == 7
    assert "seconds" not in (finished.out / "table.json").read_text(encoding="utf-8")
    costs = json.loads((finished.out / "table.json").read_text(encoding="utf-8"))["costs"]
    assert all(cost["parameters"] > 0 and cost["multiply_adds"] > 0 and cost["updates"] == 6 for cost in costs)


def test_a_finished_study_has_nothing_left_to_do(
    finished: Outcome,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = snapshot(finished.out)
    monkeypatch.setattr("echo_asr.research.study.run.run_jobs", None)
    monkeypatch.setattr("echo_asr.research.study.run.prepare_features", None)
    run_study(finished.out.with_suffix(".yaml"), finished.out, device="cpu")
    after = snapshot(finished.out)
    assert {p: b for p, b in after.items() if p.suffix != ".png" and p.name != "report.html"} == {
        p: b for p, b in before.items() if p.suffix != ".png" and p.name != "report.html"
    }


def test_another_study_does_not_take_these_results_for_its_own(finished: Outcome, corpus: Path, tmp_path: Path) -> None:
    arms = {**STUDY["arms"], "static": {"model.vrope.theta": "static", "train.learning_rate": 0.02}}
    study = write_study(tmp_path / "other.yaml", corpus, arms=arms)
    with pytest.raises(EchoError, match=r"static.seed-0: was made by another version of this study"):
        run_study(study, finished.out, device="cpu")


def test_the_folder_of_another_study_is_left_as_it_is(finished: Outcome, corpus: Path, tmp_path: Path) -> None:
    before = snapshot(finished.out)
    study = write_study(tmp_path / "other.yaml", corpus, name="other", arms={"of its own": {}}, baseline="of its own")
    with pytest.raises(EchoError, match=rf"{finished.out.name}: holds another study, '.+'; choose another --out"):
        run_study(study, finished.out, device="cpu")
    assert snapshot(finished.out) == before


def test_clips_without_speech_are_the_same_for_all_and_unknown_to_training() -> None:
    clips = silent_clips(13)
    assert len(clips) == 13 and all((a == b).all() for a, b in zip(clips, silent_clips(13), strict=True))
    assert clips[0].size != clips[12].size, "the first kind again, and another clip"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoints": {"t": {"measure": "tone"}}, "primary": "t"}, "measures tones, and the texts of .* have none"),
        ({"parameters_within": 0.001, "arms": {**STUDY["arms"], "wide": {"model.feedforward": 96}}},
         r"arm wide has [\d,]+ parameters, \+\d+.\d % against axis, and parameters_within allows 0.001 %"),
        ({"conditions": {"loud": {"train": "@gain:x"}}}, "@gain takes dB from -100 to 60, as in @gain:2, got 'x'"),
        ({"corpus": "gone"}, "corpus folder gone does not exist"),
    ],
)  # fmt: skip
def test_what_the_corpus_cannot_answer_is_refused_before_anything_is_written(
    changes: dict[str, Any],
    message: str,
    corpus: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(EchoError, match=message):
        run_study(write_study(tmp_path / "s.yaml", corpus, **changes), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_job_that_fails_is_named_and_the_others_go_on(
    finished: Outcome,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    def fail_once(folder: Path) -> None:
        if folder.match("static/seed-1"):
            raise EchoError("the disk is full")
        (folder / RESULT).write_bytes((finished.out / folder.relative_to(tmp_path / "out") / RESULT).read_bytes())

    monkeypatch.setattr("echo_asr.research.study.run.run_jobs", in_this_process)
    monkeypatch.setattr("tests.helpers.studies.run_job", fail_once)
    study = write_study(tmp_path / "s.yaml", corpus)
    assert main(["study", str(study), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert "failed: static, seed 1: the disk is full" in capsys.readouterr().out
    assert "one seed, so of the texts alone" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(echo_asr.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "echo_asr",
        "study",
        str(study),
        "--out",
        str(out),
        "--jobs",
        "1",
        "--device",
        "cpu",
    ]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def wait_for(there: Callable[[], bool], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_was_ended_anywhere_ends_with_the_same_tables(
    ended: signal.Signals,
    finished: Outcome,
    corpus: Path,
    tmp_path: Path,
) -> None:
    """In the middle of its second job, whose process ends too; then on to the end."""
    study, out = write_study(tmp_path / "echo-study.yaml", corpus), tmp_path / "out"
    process = start(study, out)
    jobs = out / "jobs"
    wait_for(lambda: len(list(jobs.glob("*/*/run/validations.jsonl"))) >= 2)
    process.send_signal(ended)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == (-9 if ended == signal.SIGKILL else 130)
    assert ended == signal.SIGKILL or b"of 6 jobs are finished, the same command goes on" in errors
    done = {path: path.stat().st_mtime_ns for path in jobs.glob(f"*/*/{RESULT}")}
    assert 1 <= len(done) < 6
    process = start(study, out)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert all(path.stat().st_mtime_ns == when for path, when in done.items()), "none is done twice"
    resumed = [path for path in jobs.glob(f"*/*/{LOG}") if "resumed after update" in path.read_text(encoding="utf-8")]
    assert resumed or ended == signal.SIGKILL
    for name in TABLES:
        assert (out / name).read_bytes() == (finished.out / name).read_bytes(), name
