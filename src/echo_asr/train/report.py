"""What a person sees of a run, and what stays of it: console, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echo_asr.console import console, progress_bar
from echo_asr.errors import EchoError
from echo_asr.storage import replace_text
from echo_asr.train.validation import Validation

METRICS = "metrics.jsonl"
VALIDATIONS = "validations.jsonl"  # of each validation: update, ids, hypotheses


class Reporter:
    """Reports a run.

    Args:
        run: its folder; nothing is written there before there is something to report.
        tensorboard: also write TensorBoard events under `run/tensorboard`.
    """

    def __init__(self, run: Path, tensorboard: bool = True) -> None:
        self.metrics, self.validations = run / METRICS, run / VALIDATIONS
        self.tensorboard = tensorboard
        self.purge: int | None = None  # update from which events of an earlier sitting no longer count
        self.writer: Any = None
        self.console = console()
        self._advance: Any = lambda step, text: None

    def rewind(self, step: int) -> None:
        """Drop metrics after an update, and a line that was cut off, so that a resumed run has each line once."""
        self.purge = step + 1
        for path in (self.metrics, self.validations):
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").split("\n")  # texts may hold other breaks
                kept = [x for x in lines if (update := _update_of(x)) is not None and update <= step]
                replace_text(path, "".join(x + "\n" for x in kept))

    @contextmanager
    def progress(self, step: int, total: int) -> Iterator[None]:
        """A bar with loss, rate and time left, for as long as the context lasts."""
        with progress_bar("training", total, step) as advance:
            self._advance = advance
            try:
                yield
            finally:
                self._advance = lambda step, text: None
                self._events(lambda writer: writer.flush())

    def advance(self, step: int, measured: dict[str, float]) -> None:
        """Move the bar."""
        speed = ""
        if "audio_per_second" in measured:
            speed = f", {measured['audio_per_second']:.0f} s of audio a second"
            speed += f", waiting for data {100 * measured['data_wait']:.0f} %"
        self._advance(step, f"loss {measured['loss']:.3f}{speed}")

    def training(self, record: dict[str, Any]) -> None:
        """Keep a line of training metrics."""
        self._write({"split": "train", **record})

    def inside(self, step: int, figures: dict[str, float]) -> None:
        """Keep figures of a look inside the model, for TensorBoard alone."""
        self._add_events({"split": "inside", "update": step, **figures})

    def validation(self, step: int, found: Validation, better: bool) -> None:
        """Keep and show a validation, with samples of what the model wrote by itself."""
        figures = {name: getattr(found, name) for name in ("loss", "wer", "cer", "blank_ratio")}
        samples = [{"reference": r, "hypothesis": h} for r, h in found.samples]
        self._write({"split": "validation", "update": step, **figures, "samples": samples})
        texts = {"update": step, "ids": list(found.hypotheses), "hypotheses": list(found.hypotheses.values())}
        self._append(self.validations, texts)
        mark = " (best, saved)" if better else ""
        self.message(
            f"update {step}: word error {found.wer:.1f} %, character error {found.cer:.1f} %, "
            f"loss {found.loss:.3f}, blank {100 * found.blank_ratio:.0f} %{mark}"
        )
        for reference, hypothesis in found.samples:
            self.message(f"    reference  {reference!r}\n    hypothesis {hypothesis!r}")

    def warn(self, text: str) -> None:
        """Show a warning."""
        self.console.print(f"warning: {text}", style="yellow", highlight=False, markup=False)

    def message(self, text: str) -> None:
        """Show a line."""
        self.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Close the TensorBoard writer."""
        self._events(lambda writer: writer.close())

    @staticmethod
    def _append(path: Path, record: dict[str, Any]) -> None:
        try:
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            remedy = "make room, and go on with --resume"
            raise EchoError(f"{path}: could not be written ({error.strerror}); {remedy}") from None

    def _write(self, record: dict[str, Any]) -> None:
        self._append(self.metrics, record)
        self._add_events(record)

    def _add_events(self, record: dict[str, Any]) -> None:
        self._events(lambda writer: _add(writer, record), make=True)

    def _events(self, write: Callable[[Any], None], make: bool = False) -> None:
        """Have something done by the TensorBoard writer, and do without one from the first failure."""
        try:
            if make and self.tensorboard and self.writer is None:
                from torch.utils.tensorboard import SummaryWriter

                folder = str(self.metrics.parent / "tensorboard")
                if not isinstance(threading.excepthook, _TensorBoardApart):
                    threading.excepthook = _TensorBoardApart(threading.excepthook)
                self.writer = SummaryWriter(folder, purge_step=self.purge)
            if self.writer is not None:
                write(self.writer)
        except OSError as error:
            self.tensorboard, self.writer = False, None
            self.warn(f"no more TensorBoard events ({error.strerror or error})")


class _TensorBoardApart:
    """Hook for errors in threads: no traceback where TensorBoard's could not write to its file.

    The writer raises the same error at the next event, where it becomes a warning.
    """

    def __init__(self, other: Callable[[threading.ExceptHookArgs], object]) -> None:
        self.other = other  # for all other threads and errors

    def __call__(self, failed: threading.ExceptHookArgs) -> None:
        writer = type(failed.thread).__module__.startswith("tensorboard.")
        if not (writer and isinstance(failed.exc_value, OSError)):
            self.other(failed)


class Silent(Reporter):
    """The reporter of a process that leaves it to another one to print and to write everything."""

    def __init__(self, run: Path) -> None:
        super().__init__(run, tensorboard=False)
        self.console = console(quiet=True)

    def rewind(self, step: int) -> None:
        """Nothing: the metrics are the other's."""

    @contextmanager
    def progress(self, step: int, total: int) -> Iterator[None]:
        """No bar."""
        yield

    @staticmethod
    def _append(path: Path, record: dict[str, Any]) -> None:
        """Nothing."""


def _update_of(line: str) -> int | None:
    """The update that a line of metrics is about; None for a line that was not written to its end."""
    try:
        return int(json.loads(line)["update"])
    except (ValueError, KeyError, TypeError):
        return None


def _add(writer: Any, record: dict[str, Any]) -> None:
    for name, value in record.items():
        if name not in ("update", "split") and isinstance(value, (int, float)):
            writer.add_scalar(f"{record['split']}/{name}", value, record["update"])
    for index, sample in enumerate(record.get("samples", [])):
        text = f"reference: {sample['reference']}\n\nhypothesis: {sample['hypothesis']}"
        writer.add_text(f"{record['split']}/sample {index}", text, record["update"])
