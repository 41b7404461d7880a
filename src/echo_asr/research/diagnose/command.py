"""The commands `diagnose` and `plot`: their arguments, and what they do. Nothing heavy is imported before its time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from echo_asr.errors import EchoError

Add = Callable[[str, str], argparse.ArgumentParser]


def add_diagnose(add: Add) -> None:
    """The arguments of `echo-asr diagnose`."""
    parser = add(
        "diagnose", "look inside a model: gradients, activations, what vRoPE learnt, and whether pitch is used"
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    parser.add_argument("corpus", metavar="CORPUS", help="folder with metadata.csv, or synth:NAME")
    parser.add_argument("--split", help="split to look at (default validation, or what there is)")
    parser.add_argument(
        "--utterances", type=int, default=50, metavar="N", help="of the split, evenly spread (default 50)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write report.json and report.html there")
    parser.add_argument(
        "--no-what-if", action="store_true", help="leave out the counterfactuals, which take the longest"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps, ...")
    parser.epilog = (
        "Decoding options can follow, e.g. --decode.beam 1 (fastest); docs/diagnostics.md defines the figures."
    )


def diagnose(arguments: argparse.Namespace) -> int:
    """Run `echo-asr diagnose`."""
    from echo_asr.audio.convert import frames_to_seconds
    from echo_asr.console import print_table, progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.decode.transcribe import Recognizer, choose_device, decode_config
    from echo_asr.evaluate.evaluate import evaluate
    from echo_asr.model.checkpoint import load_bundle
    from echo_asr.research.diagnose.counterfactuals import changes
    from echo_asr.research.diagnose.report import cells, diagnose, gather, headline, plain, told

    if arguments.utterances < 1:
        raise EchoError(f"--utterances: expected at least 1, got {arguments.utterances}")
    corpus = load_corpus(arguments.corpus)
    split = arguments.split or next(s for s in ("validation", "test", "train") if s in corpus.splits)
    utterances = corpus.split(split)
    utterances = utterances[:: max(1, len(utterances) // arguments.utterances)][: arguments.utterances]
    bundle = load_bundle(arguments.model, choose_device(arguments.device))
    recognizer = Recognizer(bundle, decode_config(bundle, arguments.model, arguments.overrides))
    if arguments.out:
        make_folder(arguments.out)
    with progress_bar("features", len(utterances)) as advance:
        material = gather(recognizer, utterances, advance)
    about = {
        "model": arguments.model.resolve().name,
        "corpus": Path(arguments.corpus).name,
        "split": split,
        "utterances": len(utterances),
        "seconds": round(frames_to_seconds(sum(c.frames for c in material.clips)), 2),
        "parameters": bundle.model.parameter_count,
    }
    asked = 0 if arguments.no_what_if else len(changes(bundle.model, material.clips, recognizer.features))
    evaluated = evaluate(recognizer, "", "", utterances).wer.percent if not arguments.no_what_if else None
    with progress_bar("counterfactuals", asked) as advance:
        report = diagnose(recognizer, material, about, arguments.model, not arguments.no_what_if, advance, evaluated)
    if arguments.out:
        from echo_asr.research.diagnose.page import save_page

        report.save(arguments.out / "report.json")
        save_page(report, recognizer, material, arguments.out / "report.html")
    if not sys.stdout.isatty():
        print(plain(report))
    else:
        print(f"{headline(report)}\n")
        emoji = (sys.stdout.encoding or "").lower().startswith("utf")
        for group in report.groups:
            if group.rows:
                print_table(group.title, *cells(group, emoji), group.remark)
            else:
                print(f"{group.title}: {group.remark}\n")
        print(told(report))
    if arguments.out:
        print(f"{arguments.out / 'report.json'}\n{arguments.out / 'report.html'}")
    return 0


def make_folder(folder: Path) -> None:
    """Make a folder for what will be written.

    Raises:
        EchoError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EchoError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from None


def add_plot(add: Add) -> None:
    """The arguments of `echo-asr plot`, a word for each kind of picture."""
    parser = add("plot", "draw a recording, how positions see each other, attention, or the curves of runs")
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True, parser_class=type(parser))

    def kind(name: str, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = kinds.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(parser=added)
        added.add_argument("--out", type=Path, default=Path(), metavar="D", help="folder for pictures (default: here)")
        return added

    one = kind("audio", "waveform, spectrogram, F0 and voicing of a recording: audio.png")
    one.add_argument("audio", type=Path, metavar="FILE", help="wav, flac, ogg, opus, mp3, ...")

    one = kind("rotary", "how positions see each other, and what F0 does: positions.png and rotation.png")
    one.add_argument("audio", nargs="?", type=Path, metavar="AUDIO", help="a recording, beside simple contours")
    one.add_argument("--theta", action="append", metavar="NAME", help="static, mean, frame, integrated, mapped, axis; "
                     "may be given again (default: four of them)")  # fmt: skip
    one.add_argument("--f0", action="append", metavar="HZ", help="a contour of one second: 150, or a glide, 110-330; "
                     "may be given again (default: flat, rising, falling)")  # fmt: skip

    one = kind("attention", "what each head attends to, in a recording that a model hears: a picture for each part")
    one.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    one.add_argument("audio", type=Path, metavar="FILE", help="a recording of at most 60 s")

    one = kind("run", "learning curves of one run or of several together: curves.png")
    one.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="folder of a run")


def plot(arguments: argparse.Namespace) -> int:
    """Run `echo-asr plot`."""
    for path in _PLOTS[arguments.what](arguments):
        print(path)
    return 0


def _plot_audio(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.audio import load_audio
    from echo_asr.features import FeatureExtractor
    from echo_asr.research.diagnose.plots import plot_audio

    samples = load_audio(arguments.audio)
    make_folder(arguments.out)
    path: Path = arguments.out / "audio.png"
    plot_audio(samples, FeatureExtractor()(samples), path, arguments.audio.name)
    return [path]


def _plot_rotary(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.research.diagnose.rotary import draw_rotary

    return draw_rotary(arguments.audio, arguments.out, arguments.theta or (), arguments.f0 or ())


def _plot_attention(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.decode.transcribe import load
    from echo_asr.research.diagnose.attention import draw_attention

    return draw_attention(load(arguments.model, "cpu"), arguments.audio, arguments.out)


def _plot_run(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.research.diagnose.plots import plot_curves
    from echo_asr.research.diagnose.runs import plot_runs

    make_folder(arguments.out)
    path: Path = arguments.out / "curves.png"
    if len(arguments.runs) == 1:
        plot_curves(arguments.runs[0], path)
    else:
        plot_runs(arguments.runs, path)
    return [path]


_PLOTS = {"audio": _plot_audio, "rotary": _plot_rotary, "attention": _plot_attention, "run": _plot_run}
