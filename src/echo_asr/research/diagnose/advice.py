"""Warnings that figures give rise to: what was seen, where, and what to try."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from echo_asr.research.diagnose.counterfactuals import UNCHANGED
from echo_asr.research.diagnose.groups import Group, Value
from echo_asr.research.diagnose.probes import Probe
from echo_asr.research.diagnose.zero import ZeroShare

DEAD_GATE = 0.05  # mean factor under which a gate lets next to nothing through
UNMOVED_GATE = 0.01  # how far a gate's mean is from 1, its start, when it has hardly learnt
SPARSE = 0.5  # share of near-zero values that counts as high
SATURATED = 0.5  # share of radii at their bound
SILENCE_ALONE = 0.9  # share of a head's attention that goes to silence
VANISHED = 1e-3  # strength of a block's gradient over that of the strongest of its stack
PLATEAU = 4  # validations without a better error
UNUSED = 0.02  # nats a token; where the loss rises by less without F0, F0 is as good as unused
FEW = 8  # utterances under which no warning is given of what pitch does
ENOUGH = 30  # utterances from which the mean of changes, most of which are 0, is about normal
DIFFERENT = 0.5  # points of % between two word errors that are worth a word
LOW_ERROR = 5.0  # % of words, below which a plateau is no matter


@dataclass(frozen=True)
class Warning:
    """One thing to look at.

    Attributes:
        kind: its name in docs/diagnostics.md.
        where: what it was seen in.
        text: what was seen.
        remedy: what to try.
    """

    kind: str
    where: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.text}; try {self.remedy}"


def gate_warnings(activations: Group) -> Iterator[Warning]:
    """Gates that are shut, and gates that never left their start."""
    for name, row in activations.rows.items():
        mean = _number(row, "activation_mean")
        if not name.endswith(".gate_activation"):
            continue
        if mean < DEAD_GATE:
            yield Warning(
                "dead_gate", name, f"its mean factor is {mean:.3f}, so its feed-forward is all but shut",
                "model.gate none or scalar, or a lower train.learning_rate",
            )  # fmt: skip
        elif abs(mean - 1.0) < UNMOVED_GATE and _number(row, "activation_gradient") == 0.0:
            yield Warning(
                "dead_gate", name, "it is where it started, and no gradient reaches it",
                "longer training, or model.gate none, which is as good and smaller",
            )  # fmt: skip


def shortcut_warnings(activations: Group) -> Iterator[Warning]:
    """High sparsity with a high mean: few values carry all."""
    kinds: dict[str, list[float]] = {}
    for name, row in activations.rows.items():
        kinds.setdefault(name.rpartition(".")[2], []).append(_number(row, "activation_mean"))
    for name, row in activations.rows.items():
        sparsity, mean = _number(row, "sparsity"), _number(row, "activation_mean")
        if sparsity > SPARSE and mean >= median(kinds[name.rpartition(".")[2]]) > 0.0:
            yield Warning(
                "shortcut", name,
                f"{100 * sparsity:.0f} % of its values are near zero and the mean is {mean:.3g}: few values carry all",
                "more dropout or augmentation, and look whether texts can be guessed from something else than speech",
            )  # fmt: skip


def radius_warnings(radii: Group) -> Iterator[Warning]:
    """Radii at their bounds."""
    for name, row in radii.rows.items():
        share = _number(row, "saturated")
        if share > SATURATED:
            yield Warning(
                "saturated_radius", name, f"{100 * share:.0f} % of its radii are at their bound and can grow no more",
                "a wider model.vrope.radius_range, or model.vrope.reference utterance",
            )  # fmt: skip


def silence_warnings(shares: Sequence[ZeroShare]) -> Iterator[Warning]:
    """Heads that attend to nothing but silence."""
    for one in shares:
        for head, share in enumerate(one.head_shares, start=1):
            if share > SILENCE_ALONE:
                yield Warning(
                    "silent_head", f"{one.layer} head {head}",
                    f"{100 * share:.0f} % of its attention goes to silence, which is {100 * one.null_keys:.0f} % of "
                    "the frames",
                    "model.vrope.nulls hard (model.cross_nulls for cross-attention), or fewer heads",
                )  # fmt: skip


def gradient_warnings(probes: Sequence[Probe]) -> Iterator[Warning]:
    """Blocks whose gradient is next to nothing beside that of the strongest block after them, nearer to the loss, in
    the same encoder or decoder. Not before them: the start token, which is zero, has a steep norm in the first block of
    the decoder."""
    stacks: dict[str, dict[str, float]] = {}
    for one in probes:
        for name, strength in one.strengths.items():
            block = _block(name)
            if block:
                place = stacks.setdefault(".".join(name.split(".")[: 2 if name.startswith("encoders") else 1]), {})
                place[block] = max(place.get(block, 0.0), strength)
    for blocks in stacks.values():
        for index, (name, strength) in enumerate(blocks.items(), start=1):
            strongest = max(list(blocks.values())[index:], default=0.0)
            if strength <= VANISHED * strongest:
                yield Warning(
                    "vanishing_gradient", name,
                    f"its gradient is {strength:.1e} at most, {strongest:.1e} in the strongest block after it",
                    "a longer train.warmup_steps, a lower train.learning_rate or fewer layers",
                )  # fmt: skip


def plateau_warnings(run: Path) -> Iterator[Warning]:
    """A run whose last validations found nothing better; nothing for a folder without metrics."""
    errors: list[tuple[float, float]] = []
    try:
        for line in (run / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
            record = json.loads(line)
            if record.get("split") == "validation":
                errors.append((float(record["update"]), float(record["wer"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not there, or cut off: what was read counts
    if not errors:
        return
    best = min(range(len(errors)), key=lambda i: errors[i][1])
    since = len(errors) - 1 - best
    if since >= PLATEAU and errors[best][1] > LOW_ERROR:
        yield Warning(
            "plateau", "the run",
            f"no better word error than {errors[best][1]:.1f} % at update {errors[best][0]:g}, {since} validations ago",
            "more data, augmentation or dropout, or a lower train.learning_rate",
        )  # fmt: skip


def pitch_warnings(counterfactuals: Group, wanted: Collection[str]) -> Iterator[Warning]:
    """Pitch that the model has and does not use, or for which there are too few utterances. F0 may well reach a model
    by one way alone."""
    flats = [counterfactuals.rows.get(f"F0 constant, {place}") for place in wanted]
    melodic = any(_rises(flat, UNUSED) for flat in flats if flat is not None)
    for place in wanted:
        row = counterfactuals.rows.get(f"F0 removed, {place}")
        if row is None:
            continue
        count = int(_number(counterfactuals.rows[UNCHANGED], "utterances"))
        if count < FEW:
            which = "one utterance is" if count == 1 else f"{count} utterances are"
            text = f"{which} too few to see whether F0 as {place} is used"
            yield Warning("pitch_unclear", place, text, f"--utterances {ENOUGH} or more")
            continue
        if _rises(row):
            flat = counterfactuals.rows[f"F0 constant, {place}"]
            if not melodic and _number(flat, "loss_high") <= UNUSED:
                change, high = _number(flat, "loss_change"), _number(flat, "loss_high")
                yield Warning(
                    "voicing_alone", place, f"it suffers without F0 as {place}, but not from a constant one (loss "
                    f"{change:+.4f}, at most {high:+.4f}): it uses what is voiced, and not how high",
                    "training in noise, if pitch should distinguish words; without tones, nothing is wrong",
                )  # fmt: skip
            continue
        change, low, high = (_number(row, f"loss_{end}") for end in ("change", "low", "high"))
        seen = f"without F0 as {place} the loss changes by {change:+.4f} ({low:+.4f} to {high:+.4f})"
        if high > UNUSED:
            text = f"{seen}: {count} utterances are too few to see whether it is used"
            yield Warning("pitch_unclear", place, text, "more --utterances")
        else:
            remedy = "leaving it out, or training in noise, where F0 is what survives"
            yield Warning("pitch_unused", place, f"{seen}: no use of it is seen on {count} utterances", remedy)


def counterfactual_notes(counterfactuals: Group) -> Iterator[str]:
    """What to know before counterfactuals are read."""
    row = counterfactuals.rows[UNCHANGED]
    whole, cut, count = _number(row, "word_error"), _number(row, "evaluated"), int(_number(row, "utterances"))
    if "evaluated" in row and abs(whole - cut) > DIFFERENT:
        yield (
            f"counterfactuals: whole recordings give {whole:.1f} % word error, and cut at their pauses, as `evaluate` "
            f"and `transcribe` cut them, {cut:.1f} %; the changes are those of whole recordings"
        )
    if 1 < count < ENOUGH:
        yield f"counterfactuals: of {count} utterances the intervals come out too narrow; take {ENOUGH} or more"


def _rises(row: Mapping[str, Value], least: float = 0.0) -> bool:
    """Whether loss (by more than `least`) or error surely rise."""
    return _number(row, "loss_low") > least or _number(row, "error_low") > 0.0


def _block(name: str) -> str | None:
    """The block that a part belongs to; None for parts outside of blocks."""
    found = re.match(r".+?(?<!\.convolutions)\.\d+(?=\.)", name)
    return found[0] if found else None


def _number(row: Mapping[str, Value], name: str) -> float:
    return float(row.get(name, 0.0))
