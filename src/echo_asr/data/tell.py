"""What `echo-asr corpus check`, `split` and `stats` print. Each returns the exit status."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from echo_asr.console import counted, hours, print_table, progress_bar
from echo_asr.data.check import Report, check_corpus
from echo_asr.data.corpus import load_corpus, read_corpus
from echo_asr.data.partition import By, describe, partition, write_corpus
from echo_asr.data.stats import QUANTILES, Stats, draw, histogram, measure
from echo_asr.errors import EchoError
from echo_asr.text.normalize import Normalizer, normalize_basic

Broken = Literal["refuse", "skip"]
SYMBOLS = 60  # rows of the table of symbols that are printed
SPEAKERS = 40  # rows of the table of speakers


def tell_check(spec: str, listen: bool, most: int, as_json: bool, normalize: Normalizer = normalize_basic) -> int:
    """Print a line for each finding, and a summary; 1 if something breaks training."""
    if most < 0:
        raise EchoError(f"--most: expected 0 or more, got {most}")
    corpus = read_corpus(spec)
    with progress_bar("listening", max(1, len(corpus.utterances) * listen)) as advance:
        report = check_corpus(corpus, listen, lambda done: advance(done, ""), normalize)
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        for line in check_lines(report, most, listen):
            print(line)
    return 1 if report.errors else 0


def check_lines(report: Report, most: int, listened: bool) -> list[str]:
    """A line for each finding, up to `most` of a kind (0: all), and the summary."""
    lines, told = [], Counter[str]()
    for finding in report.findings:
        told[finding.kind] += 1
        if not most or told[finding.kind] <= most:
            lines.append(str(finding))
    held_back = {kind: count - most for kind, count in told.items() if most and count > most}
    if held_back:
        more = ", ".join(f"{count} more of {kind}" for kind, count in held_back.items())
        lines.append(f"... and {more}; --most 0 lists all")
    warnings, breaks = len(report.findings) - report.errors, "breaks" if report.errors == 1 else "break"
    lines.append(
        f"{report.corpus}: {counted(report.utterances, 'utterance')}, {hours(report.seconds)}"
        f"{'' if listened else ' (not listened to)'}: {counted(report.errors, 'error')}, which {breaks} training, "
        f"{counted(warnings, 'warning')}"
    )
    lines += [f"  {count:6d}  {kind}" for kind, count in report.counts.items()]
    return lines


def tell_split(spec: str, out: Path, by: By, shares: tuple[float, float], seed: int, broken: Broken = "refuse") -> int:
    """Write a corpus with new splits, and print what each holds."""
    corpus = load_corpus(spec, broken)
    parted = partition(corpus.utterances, by, *shares, seed)
    written = write_corpus(out, parted)
    for line in describe(parted):
        print(line)
    print(f"{written} refers to the audio where it lies: echo-asr train CONFIG --corpus {out} --out RUN")
    return 0


def tell_stats(spec: str, clips: int, seed: int, broken: Broken, as_json: bool) -> int:
    """Print tables of what a corpus holds."""
    if clips < 0:
        raise EchoError(f"--clips: expected 0 or more, got {clips}")
    corpus = load_corpus(spec, broken)
    with progress_bar("F0", max(1, len(draw(corpus.utterances, clips, seed)))) as advance:
        stats = measure(corpus, clips, seed, progress=lambda done: advance(done, ""), broken=broken)
    if as_json:
        print(json.dumps(stats.to_dict(), ensure_ascii=False))
    else:
        _print_stats(stats)
    return 0


def _print_stats(stats: Stats) -> None:
    columns = ("split", "utterances", "hours", "speakers", "characters")
    rows = [
        (
            name,
            str(s.utterances),
            f"{s.hours:.{2 if s.hours >= 1 else 4}f}",
            str(s.speakers or "unknown"),
            str(s.characters),
        )
        for name, s in stats.splits.items()
    ]
    print_table(stats.corpus, columns, rows)
    names = ("shortest", *(f"{100 * q:.0f} %" for q in QUANTILES[1:-1]), "longest")
    durations = [(name, *(f"{seconds:.2f}" for seconds in s.seconds)) for name, s in stats.splits.items()]
    print_table("durations in seconds", ("split", *names), durations)
    splits = [name for name in stats.splits if name != "all"]
    symbols = [(_shown(c), *(str(counts[split]) for split in splits)) for c, counts in stats.symbols.items()]
    print_table(_of("symbols of the normalised texts", symbols, SYMBOLS), ("symbol", *splits), symbols[:SYMBOLS])
    if stats.f0:
        print_table(f"F0 in Hz, {stats.clips} clips", ("Hz", "share", ""), histogram(stats.f0))
    if stats.speaker_f0:
        speakers = [(name, f"{hz:.0f}", str(clips)) for name, (hz, clips) in stats.speaker_f0.items()]
        title = _of("median F0 of speakers", speakers, SPEAKERS)
        print_table(title, ("speaker", "Hz", "clips"), speakers[:SPEAKERS])


def _shown(character: str) -> str:
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"


def _of(title: str, rows: Sequence[object], most: int) -> str:
    return title if len(rows) <= most else f"{title} (the first {most} of {len(rows)}; --json has all)"
