"""`echo-asr plot`: a word for each kind of picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from echo_asr.commands.arguments import Parser, Subparsers, add_command, named_path


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "draw a recording, how positions see each other, attention, or the curves of runs"
    parser = add_command(commands, "plot", text, run)
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True, parser_class=Parser)

    def kind(name: str, text: str) -> Parser:
        added = add_command(kinds, name, text, run)
        added.add_argument(
            "--out", type=named_path, default=Path(), metavar="D", help="folder for pictures (default: here)"
        )
        return added

    one = kind("audio", "waveform, spectrogram, F0 and voicing of a recording: audio.png")
    one.add_argument("audio", type=named_path, metavar="FILE", help="wav, flac, ogg, opus, mp3, ...")

    one = kind("rotary", "how positions see each other, and what F0 does: positions.png and rotation.png")
    one.add_argument("audio", nargs="?", type=named_path, metavar="AUDIO", help="a recording, beside simple contours")
    one.add_argument("--theta", action="append", metavar="NAME", help="static, mean, frame, integrated, mapped, axis; "
                     "may be given again (default: four of them)")  # fmt: skip
    one.add_argument("--f0", action="append", metavar="HZ", help="a contour of one second: 150, or a glide, 110-330; "
                     "may be given again (default: flat, rising, falling)")  # fmt: skip

    one = kind("attention", "what each head attends to, in a recording given to a model: a picture for each part")
    one.add_argument("model", type=named_path, metavar="MODEL", help="folder of a model")
    one.add_argument("audio", type=named_path, metavar="FILE", help="a recording of at most 60 s")

    one = kind("run", "learning curves of one run or of several together: curves.png")
    one.add_argument("runs", nargs="+", type=named_path, metavar="DIR", help="folder of a run")


def run(arguments: argparse.Namespace) -> None:
    """Draw, and print the paths of the pictures."""
    print(*_PLOTS[arguments.what](arguments), sep="\n")


def _plot_audio(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.audio import load_audio
    from echo_asr.features import FeatureExtractor
    from echo_asr.research.diagnose.plots import plot_audio
    from echo_asr.storage import make_folder

    samples = load_audio(arguments.audio)
    make_folder(arguments.out)
    path: Path = arguments.out / "audio.png"
    plot_audio(samples, FeatureExtractor()(samples), path, arguments.audio.name)
    return [path]


def _plot_rotary(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.research.diagnose.rotary import draw_rotary

    return draw_rotary(arguments.audio, arguments.out, arguments.theta or (), arguments.f0 or ())


def _plot_attention(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.research.diagnose.attention import draw_attention
    from echo_asr.research.f0_controls import load_recognizer

    return draw_attention(load_recognizer(arguments.model, "cpu"), arguments.audio, arguments.out)


def _plot_run(arguments: argparse.Namespace) -> list[Path]:
    from echo_asr.research.diagnose.plots import plot_curves
    from echo_asr.research.diagnose.runs import plot_runs
    from echo_asr.storage import make_folder

    make_folder(arguments.out)
    path: Path = arguments.out / "curves.png"
    if len(arguments.runs) == 1:
        plot_curves(arguments.runs[0], path)
    else:
        plot_runs(arguments.runs, path)
    return [path]


_PLOTS = {"audio": _plot_audio, "rotary": _plot_rotary, "attention": _plot_attention, "run": _plot_run}
