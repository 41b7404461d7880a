"""The report on a trained model: what `echo-asr diagnose` finds, as an object, as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.data.batch import Batch, Example, collate, make_examples
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.data.speakers import speaker_voices
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import Features
from echo_asr.research.diagnose import advice
from echo_asr.research.diagnose.counterfactuals import counterfactuals
from echo_asr.research.diagnose.filters import gate_group
from echo_asr.research.diagnose.groups import MARKS, Group, Progress, Value, published_groups
from echo_asr.research.diagnose.learnt import bias_group, gamma_group, radius_group, silence_group, theta_group
from echo_asr.research.diagnose.probes import Probe, probe
from echo_asr.research.diagnose.zero import zero_shares
from echo_asr.storage import replace_text

BATCH = 8  # utterances probed at a time
BATCH_SECONDS = 60.0  # of audio probed at a time, at most, padding included
ATTENTION_SECONDS = 120.0  # of audio whose attention is looked at


@dataclass
class Report:
    """What was found.

    Attributes:
        about: the model and the recordings, for the head of the report.
        groups: figures.
        warnings: what to look at.
        notes: what the report could not do, in plain words.
    """

    about: dict[str, Value]
    groups: list[Group]
    warnings: list[advice.Warning] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def group(self, name: str) -> Group:
        """The group of that name."""
        return next(one for one in self.groups if one.name == name)

    def to_dict(self) -> dict[str, Any]:
        """The object that report.json holds."""
        return {
            "about": self.about,
            **{one.name: one.to_dict() for one in self.groups},
            "warnings": [vars(one) for one in self.warnings],
            "notes": self.notes,
        }

    def save(self, path: Path) -> None:
        """Write report.json.

        Raises:
            EchoError: it cannot be written.
        """
        replace_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Material:
    """Utterances ready for a model: examples with their features, and both in batches on its device."""

    examples: list[Example]
    clips: list[Features]
    batches: list[Batch]


def gather(recognizer: Recognizer, utterances: Sequence[Utterance], progress: Progress | None = None) -> Material:
    """Features and token ids of utterances; symbols that the model does not know are left out of the texts.

    Raises:
        EchoError: a recording that cannot be read.
    """
    cache = FeatureCache(None, recognizer.extractor)
    clips = []
    voices = speaker_voices(utterances, recognizer.extractor, recognizer.pitch_by_speaker, cache)
    for done, (utterance, voice) in enumerate(zip(utterances, voices, strict=True), start=1):
        clips.append(cache.features(utterance.audio, voice=voice))
        if progress:
            progress(done, "features")
    examples = make_examples(utterances, recognizer.bundle.tokenizer, recognizer.normalize, unknown="skip")
    batches, first = [], 0
    while first < len(clips):
        taken = _within(clips[first : first + BATCH], BATCH_SECONDS)
        tokens = [example.tokens for example in examples[first : first + len(taken)]]
        batches.append(collate(taken, tokens).to(recognizer.bundle.model.device))
        first += len(taken)
    return Material(examples, clips, batches)


def diagnose(
    recognizer: Recognizer,
    material: Material,
    about: dict[str, Value],
    run: Path | None = None,
    what_if: bool = True,
    progress: Progress | None = None,
    evaluated: float | None = None,
) -> Report:
    """All figures of a model on some utterances.

    Args:
        about: put at the head of the report.
        run: the model's folder, whose metrics show a plateau.
        what_if: also ask the counterfactuals, which takes most of the time.
        progress: called after each counterfactual.
        evaluated: word error in % that `evaluate` finds, to set beside that of the counterfactuals.
    """
    model, used = recognizer.bundle.model, recognizer.features
    probes: list[Probe] = [probe(model, batch, used) for batch in material.batches]
    shares = zero_shares(recognizer, _within(material.clips, ATTENTION_SECONDS))
    groups = [
        *published_groups(model, probes),
        gate_group(model, material.batches, used),
        theta_group(model),
        radius_group(model, material.batches, used),
        bias_group(model),
        gamma_group(model),
        silence_group(shares),
    ]
    loss = fmean((one.loss for one in probes), [len(batch.lengths) for batch in material.batches])
    report = Report({**about, "loss": loss}, groups)
    if what_if:
        tokens, texts = [e.tokens for e in material.examples], [e.text for e in material.examples]
        groups.append(counterfactuals(recognizer, material.clips, tokens, texts, progress, evaluated))
        report.notes += advice.counterfactual_notes(groups[-1])
    else:
        groups.append(Group("counterfactuals", "Counterfactuals", remark="left out, as asked for (--no-what-if)"))
    activations = report.group("activation_analysis")
    report.warnings += [
        *advice.gate_warnings(activations),
        *advice.shortcut_warnings(activations),
        *advice.radius_warnings(report.group("radii")),
        *advice.silence_warnings(shares),
        *advice.gradient_warnings(probes),
        *(advice.plateau_warnings(run) if run else ()),
        *advice.pitch_warnings(report.group("counterfactuals"), ("position", "input")),
    ]
    if used is not None and len(used) < len(model.config.features):
        left = ", ".join(name for name in model.config.features if name not in used)
        report.notes.append(f"the curriculum had not brought in {left} when these weights were saved: it is left out")
    if len(material.clips) < 2:
        report.notes.append("one utterance: no interval has a width, and no mean is one over utterances")
    return report


def _within(clips: Sequence[Features], seconds: float) -> list[Features]:
    """As many of the clips as last so long together, padded to the longest; at least one."""
    for count in range(2, len(clips) + 1):
        if frames_to_seconds(max(clip.frames for clip in clips[:count])) * count > seconds:
            return list(clips[: count - 1])
    return list(clips)


def cells(group: Group, emoji: bool = False) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a group's table, as text; a figure that a row does not have is empty."""
    if group.name == "counterfactuals" and group.rows:
        return _changes(group)
    rows = [
        [name, *(shown(row[c], emoji) if c in row else "" for c in group.columns)] for name, row in group.rows.items()
    ]
    return ["", *group.columns], rows


def _changes(group: Group) -> tuple[list[str], list[list[str]]]:
    """Counterfactuals as people read them: a change and its interval in one cell."""

    def cell(row: dict[str, Value], kind: str, itself: str, digits: int, unit: str) -> str:
        if f"{kind}_change" not in row:
            return f"{float(row[itself]):.{digits}f}{unit}"
        change, low, high = (round(float(row[f"{kind}_{end}"]), digits) + 0.0 for end in ("change", "low", "high"))
        return f"{change:+.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    rows = [
        [name, cell(row, "loss", "loss", 3, ""), cell(row, "error", "word_error", 1, " %")]
        for name, row in group.rows.items()
    ]
    return ["", "loss, nats a token", "word error, % points"], rows


def shown(value: Value, emoji: bool = False) -> str:
    """A figure as people read it: four digits that count."""
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    text = str(value)
    return f"{MARKS[text]} {text}" if emoji and text in MARKS else text


def headline(report: Report) -> str:
    """What was looked at, in one line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in report.about.items())


def plain(report: Report) -> str:
    """The report as plain text: for a pipe, a file or a log."""
    lines = [headline(report)]
    for group in report.groups:
        lines += ["", f"{group.title.upper()}:" if group.rows else f"{group.title.upper()}: {group.remark}"]
        if group.rows:
            heads, rows = cells(group)
            widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
            for row in (heads, *rows):
                first, *rest = row
                padded = "  ".join(text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))
                lines.append(f"  {first.ljust(widths[0])}  {padded}".rstrip())
            lines += [f"  ({group.remark})"] if group.remark else []
    return "\n".join([*lines, "", remarks(report)])


def remarks(report: Report) -> str:
    """Warnings and notes, as the last lines of the report."""
    lines = ["WARNINGS:" if report.warnings else "WARNINGS: none"]
    lines += [f"  {one}" for one in report.warnings]
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)
