"""What a person sees of a run, and what stays of it: console, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echo_asr.console import console, progress_bar
from echo_asr.storage import replace_text

if TYPE_CHECKING:
    from echo_asr.train.loop import Validation

METRICS = "metrics.jsonl"


class Reporter:
    """Reports a run.

    Args:
        run: its folder.
        tensorboard: also write TensorBoard events under `run/tensorboard`.
    """

    def __init__(self, run: Path, tensorboard: bool = True) -> None:
        self.path = run / METRICS
        self.writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(run / "tensorboard"))
        self.console = console()
        self._advance: Any = lambda step, text: None

    def rewind(self, step: int) -> None:
        """Drop metrics after an update, so that a resumed run has each line once."""
        if self.path.is_file():
            lines = [x for x in self.path.read_text(encoding="utf-8").splitlines() if x.strip()]
            kept = [x for x in lines if json.loads(x)["update"] <= step]
            replace_text(self.path, "".join(x + "\n" for x in kept))

    @contextmanager
    def progress(self, step: int, total: int) -> Iterator[None]:
        """A bar with loss, rate and time left, for as long as the context lasts."""
        with progress_bar("training", total, step) as advance:
            self._advance = advance
            try:
                yield
            finally:
                self._advance = lambda step, text: None
                if self.writer:
                    self.writer.flush()

    def advance(self, step: int, measured: dict[str, float]) -> None:
        """Move the bar."""
        self._advance(step, f"loss {measured['loss']:.3f}")

    def training(self, record: dict[str, Any]) -> None:
        """Keep a line of training metrics."""
        self._write({"split": "train", **record})

    def validation(self, step: int, found: Validation, better: bool) -> None:
        """Keep and show a validation, with samples of what the model wrote by itself."""
        self._write(
            {
                "split": "validation",
                "update": step,
                "loss": found.loss,
                "wer": found.wer,
                "cer": found.cer,
                "blank_ratio": found.blank_ratio,
                "samples": [{"reference": r, "hypothesis": h} for r, h in found.samples],
            }
        )
        mark = " (best, saved)" if better else ""
        self.console.print(
            f"update {step}: word error {found.wer:.1f} %, character error {found.cer:.1f} %, "
            f"loss {found.loss:.3f}, blank {100 * found.blank_ratio:.0f} %{mark}",
            highlight=False,
        )
        for reference, hypothesis in found.samples:
            self.console.print(f"    said  {reference!r}\n    heard {hypothesis!r}", highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """Show a warning."""
        self.console.print(f"warning: {text}", style="yellow", highlight=False, markup=False)

    def say(self, text: str) -> None:
        """Show a line."""
        self.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Close the TensorBoard writer."""
        if self.writer:
            self.writer.close()

    def _write(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if self.writer:
            for name, value in record.items():
                if name not in ("update", "split") and isinstance(value, (int, float)):
                    self.writer.add_scalar(f"{record['split']}/{name}", value, record["update"])
            for index, sample in enumerate(record.get("samples", [])):
                text = f"said: {sample['reference']}\n\nheard: {sample['hypothesis']}"
                self.writer.add_text(f"{record['split']}/sample {index}", text, record["update"])
