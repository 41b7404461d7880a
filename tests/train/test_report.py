import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from echo_asr.errors import EchoError
from echo_asr.train.report import METRICS, VALIDATIONS, Reporter
from echo_asr.train.validation import Validation

FOUND = Validation(25.0, 12.5, 1.5, 0.75, [("mā 你", "ma"), ("", "[b]bold[/b]")])
MEASURED = {"loss": 2.0, "attention_loss": 1.0, "ctc_loss": 4.0, "blank_ratio": 0.5, "learning_rate": 0.001}


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]


def test_metrics_are_json_lines(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, tensorboard=False)
    reporter.training({"update": 1, **MEASURED})
    reporter.validation(2, FOUND, better=True)
    reporter.close()
    assert lines(tmp_path) == [
        {"split": "train", "update": 1, **MEASURED},
        {
            "split": "validation", "update": 2, "loss": 1.5, "wer": 25.0, "cer": 12.5, "blank_ratio": 0.75,
            "samples": [
                {"reference": "mā 你", "hypothesis": "ma"},
                {"reference": "", "hypothesis": "[b]bold[/b]"},
            ],
        },
    ]  # fmt: skip
    assert "你" in (tmp_path / METRICS).read_text(encoding="utf-8"), "texts can be read as they are"


@pytest.mark.parametrize("better", [True, False])
def test_a_validation_is_shown_with_what_was_said_and_heard(better: bool, tmp_path: Path, capsys: Any) -> None:
    Reporter(tmp_path, tensorboard=False).validation(7, FOUND, better)
    output, errors = capsys.readouterr()
    assert output == "", "results alone go there"
    assert "update 7: word error 25.0 %, character error 12.5 %, loss 1.500, blank 75 %" in errors
    assert ("(best, saved)" in errors) is better
    assert "reference  'mā 你'" in errors and "hypothesis 'ma'" in errors
    assert "hypothesis '[b]bold[/b]'" in errors, "texts are no markup"


def test_all_that_was_heard_is_kept_and_rewound(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, tensorboard=False)
    for update in (2, 4):
        found = replace(FOUND, hypotheses={"a.wav": f"mā {update}", "b\u2028.wav": "two\u2028lines"})
        reporter.validation(update, found, better=False)
    whole = (tmp_path / VALIDATIONS).read_bytes()
    reporter.rewind(3)
    kept = [json.loads(x) for x in (tmp_path / VALIDATIONS).read_text(encoding="utf-8").split("\n") if x]
    assert kept == [{"update": 2, "ids": ["a.wav", "b\u2028.wav"], "hypotheses": ["mā 2", "two\u2028lines"]}]
    reporter.validation(4, found, better=False)
    assert (tmp_path / VALIDATIONS).read_bytes() == whole


def test_rewinding_drops_what_comes_later_and_what_was_cut_off(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, tensorboard=False)
    for update in range(1, 6):
        reporter.training({"update": update, "loss": 1.0})
    reporter.validation(5, FOUND, better=False)
    with (tmp_path / METRICS).open("ab") as file:
        file.write('{"split": "train", "update": 4, "text": "你'.encode()[:-1])
    reporter.rewind(3)
    assert [line["update"] for line in lines(tmp_path)] == [1, 2, 3]
    reporter.training({"update": 4, "loss": 1.0})
    assert [line["update"] for line in lines(tmp_path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("line", ["", "{", "3", "null", '{"loss": 1}', '{"update": "x"}', "\x00\x00\x00"])
def test_whatever_stands_in_the_metrics_rewinding_works(line: str, tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text(f'{{"update": 1}}\n{line}\n{{"update": 2}}\n')
    Reporter(tmp_path, tensorboard=False).rewind(1)
    assert lines(tmp_path) == [{"update": 1}]


def test_there_is_nothing_to_rewind_and_nothing_is_made(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)
    reporter.rewind(3)
    reporter.close()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_the_same_figures(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)
    reporter.training({"update": 3, **MEASURED})
    reporter.validation(3, FOUND, better=True)
    reporter.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = {tag: events.Scalars(tag)[0] for tag in events.Tags()["scalars"]}
    assert {tag.removeprefix("train/") for tag in scalars if tag.startswith("train/")} == set(MEASURED)
    for name, value in MEASURED.items():
        assert scalars[f"train/{name}"].step == 3 and scalars[f"train/{name}"].value == pytest.approx(value)
    for name, value in {"wer": 25.0, "cer": 12.5, "loss": 1.5, "blank_ratio": 0.75}.items():
        assert scalars[f"validation/{name}"].value == pytest.approx(value)
    texts = [tag for tag in events.Tags()["tensors"] if tag.startswith("validation/sample")]
    assert len(texts) == 2
    assert "mā 你" in events.Tensors(texts[0])[0].tensor_proto.string_val[0].decode()


def test_metrics_that_cannot_be_written_end_in_one_line(tmp_path: Path) -> None:
    (tmp_path / METRICS).mkdir()
    with pytest.raises(EchoError, match=r"metrics.jsonl: could not be written \(Is a directory\); make room.*--resume"):
        Reporter(tmp_path, tensorboard=False).training({"update": 1})


@pytest.mark.parametrize("moment", ["make", "write"])
def test_training_goes_on_without_tensorboard(moment: str, tmp_path: Path, capsys: Any) -> None:
    reporter = Reporter(tmp_path)
    if moment == "make":
        (tmp_path / "tensorboard").write_text("a file in the place of the folder")
    else:

        class Full:
            def add_scalar(self, *_: object) -> None:
                raise OSError(28, "No space left on device")

        reporter.writer = Full()
    for update in (1, 2):
        reporter.training({"update": update, "loss": 1.0})
    reporter.close()
    assert len(lines(tmp_path)) == 2
    errors = " ".join(capsys.readouterr().err.split())
    assert errors.count("warning: no more TensorBoard events") == 1


def test_a_disk_that_is_full_is_told_by_no_thread(tmp_path: Path) -> None:
    """Events are written by a thread of TensorBoard's; what other threads fail of is still seen."""
    code = f"""
import threading, time
from pathlib import Path
from tensorboard.summary.writer.record_writer import RecordWriter
from echo_asr.train.report import Reporter

def full(self, data):
    raise OSError(28, "No space left on device")

reporter = Reporter(Path({str(tmp_path)!r}))
reporter.training({{"update": 1, "loss": 1.0}})
RecordWriter.write = full
for update in range(2, 20):
    reporter.training({{"update": update, "loss": 1.0}})
    time.sleep(0.01)
reporter.close()
other = threading.Thread(target=lambda: 1 / 0)
other.start(), other.join()
"""
    errors = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert "warning: no more TensorBoard events (No space left on device)" in errors
    assert "OSError" not in errors and errors.count("Traceback") == errors.count("ZeroDivisionError") == 1, errors
    assert len(lines(tmp_path)) == 19


def test_the_bar_moves_only_while_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[int, str]] = []

    class Bar:
        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Any:
            return lambda step, text: moved.append((step, text))

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("echo_asr.train.report.progress_bar", Bar)
    reporter = Reporter(tmp_path, tensorboard=False)
    reporter.advance(1, {"loss": 1.0})
    with reporter.progress(1, 10):
        reporter.advance(2, {"loss": 1.23456})
    reporter.advance(3, {"loss": 1.0})
    assert moved == [(2, "loss 1.235")]
