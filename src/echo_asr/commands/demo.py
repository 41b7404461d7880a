"""`echo-asr demo`: Echo from a corpus to a transcription, in a few minutes, on any machine."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from echo_asr.commands.arguments import Parser, Subparsers, add_command, named_path

RECIPE = "demo"
CORPUS, FLAT = "synth:tones", "synth:tones-flat"


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "render a small tone vocabulary, train on it, measure and transcribe: the whole of Echo"
    parser = add_command(commands, "demo", text, run, options=True)
    parser.add_argument(
        "--out", type=named_path, default=Path("runs/demo"), help="folder of the run (default runs/demo)"
    )
    parser.epilog = "Options of the configuration can follow, e.g. --train.max_steps 100."


def run(arguments: argparse.Namespace) -> None:
    """Run the demonstration."""
    run_demo(arguments.out, arguments.changes)


def run_demo(out: Path, changes: Mapping[str, Any]) -> None:
    """Render a tone vocabulary, train, measure on unseen voices with and without their pitch, and transcribe.

    Leaves in `out` a model, `evaluation.json`, `evaluation-flat.json`, `example.png`, `learning_curves.png`. A demo
    that was interrupted goes on where it stopped.

    Args:
        changes: of options of the recipe.

    Raises:
        EchoError: espeak-ng is not there, or the folder cannot be written.
    """
    from echo_asr.audio import load_audio
    from echo_asr.console import console
    from echo_asr.data.corpus import load_corpus
    from echo_asr.decode.load import load
    from echo_asr.evaluate.evaluate import evaluate
    from echo_asr.research.diagnose.monitor import look_inside
    from echo_asr.research.diagnose.plots import plot_audio, plot_curves
    from echo_asr.storage import replace_text
    from echo_asr.train.recipe import read_config
    from echo_asr.train.run import train
    from echo_asr.train.state import CHECKPOINT, check_folder
    from echo_asr.train.stop import Interrupted

    began = time.perf_counter()
    message = partial(console().print, highlight=False)
    message("Echo demo: words of a tone language, which differ by pitch alone (ma1, ma2, ma3, ma4).")
    message(f"1. corpus {CORPUS}, spoken by espeak-ng; the voices of the test split are not in training")
    resume = (out / CHECKPOINT).is_file()
    check_folder(out, resume)
    corpus, flat = load_corpus(CORPUS), load_corpus(FLAT)
    message(f"2. training into {out}")
    try:
        train(read_config(RECIPE, changes), CORPUS, out, resume, monitor=look_inside)
    except Interrupted:
        raise Interrupted("stopped; a checkpoint is saved, the same command goes on") from None
    message("3. measuring, free-running, on unseen voices")
    recognizer = load(out)
    found = evaluate(recognizer, CORPUS, "test", corpus.split("test"))
    flattened = evaluate(recognizer, FLAT, "test", flat.split("test"))
    for name, result in (("evaluation.json", found), ("evaluation-flat.json", flattened)):
        replace_text(out / name, json.dumps(result.to_dict(), indent=2) + "\n")
    print(f"word error on unseen voices           {found.wer}")
    print(f"the same clips with their F0 flattened {flattened.wer}")
    example = corpus.split("test")[0]
    recognised = recognizer.transcribe(example.audio)
    print(f"a recording   {example.audio} ({recognised.duration:.2f} s)")
    print(f"   reference  {example.text}")
    print(f"   recognised {recognised.text}")
    samples = load_audio(example.audio)
    plot_audio(samples, recognizer.extractor(samples), out / "example.png", title=example.text)
    plot_curves(out, out / "learning_curves.png")
    print(f"{out} is a model: echo-asr transcribe FILE --model {out}")
    print(f"pictures: {out / 'example.png'}, {out / 'learning_curves.png'}")
    print(f"the whole demo took {(time.perf_counter() - began) / 60:.1f} minutes")
