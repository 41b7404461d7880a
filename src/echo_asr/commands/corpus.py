"""`echo-asr corpus check`, `split`, `export` and `stats`, and their parser, to which `cut` adds itself."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from echo_asr.commands import corpus_cut
from echo_asr.commands.arguments import CONFIG, CORPUS, Parser, Subparsers, add_broken, add_command, named_path
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.data.check import Report
    from echo_asr.data.stats import Stats

SYMBOLS = 60  # rows of the table of symbols that are printed
SPEAKERS = 40  # rows of the table of speakers


def add(commands: Subparsers[Parser]) -> None:
    """Add the command, its actions and their arguments."""
    corpus = add_command(
        commands, "corpus", "look into a corpus: check, split, export, count what it holds, cut one", check
    )
    actions = corpus.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)

    parser = add_command(
        actions, "check", "find what will hurt; the status is 1 if something breaks training", check, True
    )
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    parser.add_argument("--no-audio", action="store_true", help="look at texts, times and splits alone, which is quick")
    parser.add_argument("--config", metavar="CONFIG", help=f"what will be trained with: {CONFIG}")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="lines of each kind, 0 for all (default 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with all that was found")
    parser.epilog = """Options of the configuration can follow, e.g. --text.letters ":-"."""

    text = "make training, validation and test splits that share no speaker, or no text"
    parser = add_command(actions, "split", text, split)
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    by = ("speaker", "text", "utterance")
    parser.add_argument("--by", choices=by, default="speaker", help="what no two splits share (default speaker)")
    parser.add_argument("--validation", type=float, default=0.1, metavar="SHARE", help="of the duration (default 0.1)")
    parser.add_argument("--test", type=float, default=0.1, metavar="SHARE", help="of the duration (default 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="another gives other splits (default 0)")
    parser.add_argument(
        "--out", type=named_path, required=True, metavar="FOLDER", help="for a metadata.csv; audio stays put"
    )
    add_broken(parser)

    text = "write a corpus in a form that other programs read"
    parser = add_command(actions, "export", text, export)
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    forms = ("audiofolder", "kaldi", "lhotse")
    parser.add_argument("--to", choices=forms, required=True, help="audiofolder copies the audio, the others name it")
    parser.add_argument("--out", type=named_path, required=True, metavar="FOLDER", help="for what is written")
    add_broken(parser)

    text = "count hours, utterances, speakers and symbols, and measure how high voices are"
    parser = add_command(actions, "stats", text, stats)
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    clips = "to measure F0 in, 0 for none (default 200)"
    parser.add_argument("--clips", type=int, default=200, metavar="N", help=clips)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of clips (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_broken(parser)
    corpus_cut.add(actions)


def check(arguments: argparse.Namespace) -> int:
    """Print a line for each finding, and a summary; 1 if something breaks training."""
    from echo_asr.console import progress_bar
    from echo_asr.data.check import check_corpus
    from echo_asr.data.corpus import read_corpus
    from echo_asr.research.sections import SECTIONS
    from echo_asr.train.recipe import read_config

    text = read_config(arguments.config, arguments.changes, SECTIONS)["text"]
    if arguments.most < 0:
        raise EchoError(f"--most: expected 0 or more, got {arguments.most}")
    corpus, audio = read_corpus(arguments.corpus), not arguments.no_audio
    with progress_bar("reading audio", max(1, len(corpus.utterances) * audio)) as advance:
        report = check_corpus(corpus, audio, lambda done: advance(done, ""), text)
    lines = check_lines(report, arguments.most, audio)
    print(json.dumps(report.to_dict(), ensure_ascii=False) if arguments.json else "\n".join(lines))
    return 1 if report.errors else 0


def check_lines(report: Report, most: int, audio: bool) -> list[str]:
    """A line for each finding, up to `most` of a kind (0: all), the summary, and proposed conventions."""
    from echo_asr.console import counted, hours
    from echo_asr.text.marks import as_setting

    lines, found = [], Counter[str]()
    for finding in report.findings:
        found[finding.kind] += 1
        if not most or found[finding.kind] <= most:
            lines.append(str(finding))
    if held_back := {kind: count - most for kind, count in found.items() if most and count > most}:
        more = ", ".join(f"{count} more of {kind}" for kind, count in held_back.items())
        lines.append(f"... and {more}; --most 0 lists all")
    warnings, breaks = len(report.findings) - report.errors, "breaks" if report.errors == 1 else "break"
    lines.append(
        f"{report.corpus}: {counted(report.utterances, 'utterance')}, {hours(report.seconds)}"
        f"{'' if audio else ' (audio not read)'}: {counted(report.errors, 'error')}, which {breaks} training, "
        f"{counted(warnings, 'warning')}"
    )
    lines += [f"  {count:6d}  {kind}" for kind, count in report.counts.items()]
    lines.append(f"  {report.writing}")
    if report.transcribed.conventions:
        lines.append(f"  {report.transcribed}")
    if report.writing.marks:
        setting = as_setting(report.writing.marks, report.transcribed.conventions)
        lines += ["proposed for the configuration, to be looked through (docs/texts.md):", setting]
    return lines


def split(arguments: argparse.Namespace) -> None:
    """Write a corpus with new splits, and print what each holds."""
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.partition import describe, partition, write_corpus

    corpus = load_corpus(arguments.corpus, arguments.broken)
    shares = arguments.validation, arguments.test
    parted = partition(corpus.utterances, arguments.by, *shares, arguments.seed)
    written = write_corpus(arguments.out, parted)
    print(*describe(parted), sep="\n")
    print(f"{written} refers to the audio where it lies: echo-asr train CONFIG --corpus {arguments.out} --out RUN")


def export(arguments: argparse.Namespace) -> None:
    """Write a corpus in another form, and print what each split holds."""
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.writers.forms import export_corpus

    corpus = load_corpus(arguments.corpus, arguments.broken)
    print(*export_corpus(corpus, arguments.to, arguments.out, arguments.broken), sep="\n")


def stats(arguments: argparse.Namespace) -> None:
    """Print tables of what a corpus holds."""
    from echo_asr.console import progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.stats import draw, measure

    clips, seed, broken = arguments.clips, arguments.seed, arguments.broken
    if clips < 0:
        raise EchoError(f"--clips: expected 0 or more, got {clips}")
    corpus = load_corpus(arguments.corpus, broken)
    with progress_bar("F0", max(1, len(draw(corpus.utterances, clips, seed)))) as advance:
        found = measure(corpus, clips, seed, progress=lambda done: advance(done, ""), broken=broken)
    if arguments.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _print_stats(found)


def _print_stats(stats: Stats) -> None:
    from echo_asr.console import print_table
    from echo_asr.data.stats import QUANTILES, histogram

    columns = ("split", "utterances", "hours", "speakers", "characters")
    rows = []
    for name, s in stats.splits.items():
        duration = f"{s.hours:.{2 if s.hours >= 1 else 4}f}"
        rows.append((name, str(s.utterances), duration, str(s.speakers or "unknown"), str(s.characters)))
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
