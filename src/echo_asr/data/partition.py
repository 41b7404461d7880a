"""Splits a corpus so that training, validation and test share no speaker, or no text (`echo-asr corpus split`); draws a
few of many."""

from __future__ import annotations

import csv
import io
import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

from echo_asr.audio.segment import AudioSegment
from echo_asr.console import counted, hours
from echo_asr.data.corpus import Utterance
from echo_asr.data.readers.metadata import METADATA
from echo_asr.data.readers.records import SPLITS
from echo_asr.errors import EchoError
from echo_asr.storage import make_folder, replace_text
from echo_asr.text.normalize import normalize_basic

By = Literal["speaker", "text", "utterance"]
BY: tuple[By, ...] = ("speaker", "text", "utterance")
COLUMNS = ("file_name", "transcription", "speaker", "split", "duration", "excerpt_start", "excerpt_channel", "id")
TRIES = 50  # random orders of the groups, of which the best balanced result is kept
EFFORT = 200_000  # groups visited over all tries, about
Item = TypeVar("Item")


def stratified_sample(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, in their order and the same each time: one at random of each of as many parts of
    equal length, and of the first part the first.

    Neither a corpus whose speakers come one after the other gives one speaker alone, as its beginning would, nor one in
    which they take turns, as every second item would.

    Raises:
        ValueError: a number below 1.
    """
    if most < 1:
        raise ValueError(f"expected at least 1 item, got {most}")
    if len(items) <= most:
        return list(items)
    bounds, rng = [len(items) * part // most for part in range(most + 1)], random.Random(0)
    return [items[0], *(items[rng.randrange(*part)] for part in pairwise(bounds[1:]))]


def partition(
    utterances: Sequence[Utterance], by: By = "speaker", validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> list[Utterance]:
    """The utterances, in their order, assigned to new splits of about the given shares of the duration.

    A group (the utterances of a speaker, those of one normalised text, or each by itself) stays in one split. The same
    seed gives the same splits.

    Args:
        validation, test: shares of the duration; 0 for none.

    Raises:
        EchoError: shares out of range, utterances without a speaker, or too few speakers or texts.
    """
    if by not in BY:
        raise EchoError(f"--by: expected one of {', '.join(BY)}; got {by!r}")
    shares = {"test": test, "validation": validation}
    if not all(0 <= share < 1 for share in shares.values()) or not 0 < sum(shares.values()) < 1:
        raise EchoError(f"--validation {validation:g} and --test {test:g}: expected shares from 0, together under 1")
    nameless = sum(not u.speaker for u in utterances)
    if by == "speaker" and nameless:
        what = f"{nameless} of {len(utterances)} utterances have no speaker"
        raise EchoError(f"{what}; name them in the corpus, or take --by text")
    groups: dict[str, float] = defaultdict(float)  # seconds
    keys = [_key(u, by) for u in utterances]
    for utterance, key in zip(utterances, keys, strict=True):
        groups[key] += utterance.duration
    parts = [split for split, share in shares.items() if share]
    if len(groups) <= len(parts):
        what = f"{counted(len(groups), by)} cannot be distributed over {len(parts) + 1} splits"
        finer = "text" if by == "speaker" else "utterance"
        raise EchoError(f"{what}; take --by {finer}, or one split less (--test 0)")
    split_of = _assign(groups, {split: shares[split] for split in parts}, seed)
    return [replace(u, split=split_of.get(key, "train")) for u, key in zip(utterances, keys, strict=True)]


def _key(utterance: Utterance, by: By) -> str:
    if by == "speaker":
        return utterance.speaker
    return utterance.id if by == "utterance" else normalize_basic(utterance.text)


def _assign(groups: dict[str, float], shares: dict[str, float], seed: int) -> dict[str, str]:
    """The split of each group that is not for training: the best balanced of several random assignments.

    Args:
        groups: their durations in seconds.
        shares: of the splits, in the total duration.
    """
    total = sum(groups.values())
    targets = {split: share * total for split, share in shares.items()}
    names = sorted(groups)
    draw = random.Random(seed)
    tried = []
    for _ in range(max(1, min(TRIES, EFFORT // len(names)))):
        draw.shuffle(names)
        tried.append(_fill(names, groups, targets))
    return min(tried, key=lambda found: found[1])[0]


def _fill(names: Sequence[str], groups: dict[str, float], targets: dict[str, float]) -> tuple[dict[str, str], float]:
    """Assign groups in turn where they bring a split closer to its target. Returns the split of each, and the sum of
    the differences from the targets in seconds."""
    chosen: dict[str, str] = {}
    difference = 0.0
    for number, (split, target) in enumerate(targets.items(), start=1):
        assigned = 0.0
        to_come = len(targets) - number
        for name in names:
            left = len(names) - len(chosen) - to_come - 1  # one for training, one for each split to come
            if left <= 0:
                break
            if name not in chosen and abs(target - assigned - groups[name]) < abs(target - assigned):
                chosen[name] = split
                assigned += groups[name]
        if not assigned:  # every group is more than twice as long as the split should be
            name = min((n for n in names if n not in chosen), key=lambda n: groups[n])
            chosen[name] = split
            assigned = groups[name]
        difference += abs(target - assigned)
    return chosen, difference


def make_corpus_folder(folder: Path) -> None:
    """Make the empty folder that a corpus is to be written into.

    Raises:
        EchoError: it holds something already, cannot be made, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise EchoError(f"{folder}: exists and is not empty; choose another --out")
    except OSError as error:
        raise EchoError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from None
    make_folder(folder)


def write_corpus(folder: Path, utterances: Sequence[Utterance]) -> Path:
    """Write utterances as a folder with ``metadata.csv``, which refers to the existing audio files.

    No audio is copied, and cached features stay valid. Audio in the folder's parent or below has a relative path, so
    that both can be moved together; other audio its whole path.

    Raises:
        EchoError: the folder holds something already, or cannot be written.
    """
    make_corpus_folder(folder)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    home = os.path.realpath(folder)
    for u in utterances:
        segment = u.audio if isinstance(u.audio, AudioSegment) else None
        name = _name_from(home, segment.path if segment else u.audio)  # type: ignore[arg-type]
        start = f"{segment.start:.6f}" if segment else ""
        channel = "" if segment is None or segment.channel is None else str(segment.channel)
        writer.writerow((name, u.text, u.speaker, u.split, f"{u.duration:.6f}", start, channel, u.id))
    replace_text(folder / METADATA, table.getvalue())
    return folder / METADATA


def _name_from(home: str, audio: Path) -> str:
    """The path of a file in the ``metadata.csv`` of the folder `home`."""
    path = os.path.realpath(audio)
    beside = os.path.join(os.path.dirname(home), "")
    return os.path.relpath(path, home) if path.startswith(beside) else path


def describe(utterances: Sequence[Utterance]) -> list[str]:
    """A line for each split: utterances, hours, share, speakers."""
    total = sum(u.duration for u in utterances)
    lines = []
    for split in SPLITS:
        rows = [u for u in utterances if u.split == split]
        if rows:
            seconds = sum(u.duration for u in rows)
            speakers = len({u.speaker for u in rows if u.speaker})
            texts = len({normalize_basic(u.text) for u in rows})
            lines.append(
                f"{split}: {counted(len(rows), 'utterance')}, {hours(seconds)} ({100 * seconds / total:.1f} %), "
                f"{counted(speakers, 'speaker') if speakers else 'unknown speakers'}, {counted(texts, 'text')}"
            )
    return lines
