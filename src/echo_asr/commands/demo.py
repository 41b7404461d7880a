"""The demonstration: Echo from a corpus to a transcription, in a few minutes, on any machine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from echo_asr.audio import load_audio
from echo_asr.console import console
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.transcribe import load
from echo_asr.evaluate.evaluate import Evaluation, evaluate
from echo_asr.research.diagnose.plots import plot_audio, plot_curves
from echo_asr.storage import replace_text
from echo_asr.train.loop import Interrupted
from echo_asr.train.run import check_folder, train
from echo_asr.train.state import CHECKPOINT

CONFIG = Path(__file__).with_name("demo.yaml")
CORPUS, FLAT = "synth:tones", "synth:tones-flat"


def run_demo(out: Path, overrides: Sequence[str] = ()) -> Evaluation:
    """Render a tone vocabulary, train, measure on unseen voices with and without their pitch, and transcribe.

    Leaves in `out` a model, `evaluation.json`, `evaluation-flat.json`, `example.png`, `learning_curves.png`. A demo
    that was interrupted goes on where it stopped.

    Raises:
        EchoError: espeak-ng is not there, or the folder cannot be written.
    """
    began = time.perf_counter()
    say = console().print
    say("Echo demo: words of a tone language, which differ by pitch alone (ma1, ma2, ma3, ma4).", highlight=False)
    say(f"1. corpus {CORPUS}, spoken by espeak-ng; the voices of the test split are never trained on", highlight=False)
    check_folder(out, resume=(out / CHECKPOINT).is_file())
    corpus, flat = load_corpus(CORPUS), load_corpus(FLAT)
    say(f"2. training into {out}", highlight=False)
    try:
        train(CONFIG, CORPUS, out, overrides, resume=(out / CHECKPOINT).is_file())
    except Interrupted:
        raise Interrupted("stopped; a checkpoint is saved, the same command goes on") from None
    say("3. measuring, free-running, on unseen voices", highlight=False)
    recognizer = load(out)
    found = evaluate(recognizer, CORPUS, "test", corpus.split("test"))
    flattened = evaluate(recognizer, FLAT, "test", flat.split("test"))
    for name, result in (("evaluation.json", found), ("evaluation-flat.json", flattened)):
        replace_text(out / name, json.dumps(result.to_dict(), indent=2) + "\n")
    print(f"word error on unseen voices           {found.wer}")
    print(f"the same clips with their F0 flattened {flattened.wer}")
    example = corpus.split("test")[0]
    heard = recognizer.transcribe(example.audio)
    print(f"a recording   {example.audio} ({heard.duration:.2f} s)")
    print(f"   was said   {example.text}")
    print(f"   was heard  {heard.text}")
    samples = load_audio(example.audio)
    plot_audio(samples, recognizer.extractor(samples), out / "example.png", title=example.text)
    plot_curves(out, out / "learning_curves.png")
    print(f"{out} is a model: echo-asr transcribe FILE --model {out}")
    print(f"pictures: {out / 'example.png'}, {out / 'learning_curves.png'}")
    print(f"the whole demo took {(time.perf_counter() - began) / 60:.1f} minutes")
    return found
