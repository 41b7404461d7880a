"""What a transcriber's marks do to training: `python -m benchmarks.planted_marks CORPUS OUT [--updates 300]`.

In a fifth of a corpus's texts two marks are planted: brackets around a word, false starts, a filler, a word that was
not understood, a break, a doubt, or the note of a cough, for which a burst of noise comes before the speech. The recipe
`mandarin` is trained on the clean texts, on the planted ones with the rules that `corpus check` proposes, and on the
planted ones without. Recordings are the same in all three, and so are the symbols of the models, and with them the
weights that training starts from: these move the error of a short training by several points. Each model is evaluated
on the validation split of the corpus as it was, free-running.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.noise import noise_clip
from echo_asr.data.partition import write_corpus
from echo_asr.decode.load import load
from echo_asr.evaluate.evaluate import evaluate, summary
from echo_asr.text.marks import find_marks, proposed_conventions
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.recipe import build_config, read_config
from echo_asr.train.run import train

SHARE = 0.2  # of the texts
SEED = 35
COUGH = 0.3  # seconds
EVENT_NOTE = "[cough]"
PLANTED: tuple[Callable[[list[str], int], list[str]], ...] = (
    lambda words, at: [*words[:at], f"<{words[at]}>", *words[at + 1 :]],
    lambda words, at: [*words[:at], f"({words[at]})", *words[at + 1 :]],
    lambda words, at: [*words[:at], "{" + words[at] + "}", *words[at + 1 :]],
    lambda words, at: [*words[:at], f"{words[at][:1]}-", f"{words[at][:2]}-", *words[at:]],
    lambda words, at: [*words[:at], "\u0259\u0259\u0259\u2026", *words[at:]],
    lambda words, at: [*words[:at], "xxx", *words[at + 1 :]],
    lambda words, at: [*words[: at + 1], "(?)", *words[at + 1 :]],
    lambda words, at: [*words[:at], "|", *words[at:]],
    lambda words, at: [*words[:at], f"{words[at]}\u2026", *words[at + 1 :]],
)


def plant(utterance: Utterance, folder: Path, rng: np.random.Generator) -> Utterance:
    """An utterance whose text has two of the marks at some of its words; with the note of a cough, which stands alone,
    the recording begins with a burst of noise, in a file of that folder."""
    words, kinds = utterance.text.split(), rng.integers(len(PLANTED) + 1, size=2).tolist()
    if kinds[0] < len(PLANTED):
        for kind in kinds:
            words = PLANTED[kind % len(PLANTED)](words, int(rng.integers(len(words))))
        return replace(utterance, text=" ".join(words))
    speech = load_audio(utterance.audio)
    burst = noise_clip("pink", COUGH, int(rng.integers(2**31)))
    burst *= np.abs(speech).max() / np.abs(burst).max() * np.hanning(len(burst)) ** 0.5
    samples = np.concatenate((burst, np.zeros(len(burst) // 2), speech)).astype(np.float32)
    path = folder / f"{utterance.id.replace('/', '_')}.wav"
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SAMPLE_RATE)
    return replace(
        utterance, text=f"{EVENT_NOTE} {utterance.text}", audio=path, duration=samples_to_seconds(len(samples))
    )


def main() -> None:
    """Write the corpus, train three times, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted_marks", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("corpus")
    parser.add_argument("out", type=Path)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    clean, planted, coughs = (arguments.out / name for name in ("clean", "planted", "coughs"))
    if not planted.exists():
        whole = load_corpus(arguments.corpus).utterances
        marked = [plant(u, coughs, rng) if rng.random() < SHARE else u for u in whole]
        write_corpus(planted, marked)
        pairs = zip(whole, marked, strict=True)
        write_corpus(clean, [new if EVENT_NOTE in new.text else replace(new, text=u.text) for u, new in pairs])
    texts = [u.text for u in load_corpus(planted).split("train")]
    rules = dict(proposed_conventions(find_marks(texts)).actions)
    print(f"proposed: {rules}")
    event: dict[str, str] = {"[...]": "event"}
    symbols = [build_config({"text": {"conventions": one}}, "")["text"].normalize for one in ({}, rules, event)]
    tokenizer = arguments.out / "tokenizer.json"
    Tokenizer.train([normalize(text) for text in texts for normalize in symbols]).save(tokenizer)
    basic: dict[str, Any] = {
        "train.max_steps": arguments.updates,
        "train.warmup_steps": arguments.warmup,
        "train.seed": arguments.seed,
        "text.tokenizer": str(tokenizer),
    }
    for name, corpus, conventions in (
        ("clean", clean, event),
        ("with rules", planted, rules),
        ("without", planted, {}),
    ):
        run = arguments.out / f"{name.replace(' ', '-')}-{arguments.seed}"
        if not run.exists():
            train(read_config("mandarin", {**basic, "text.conventions": conventions}), str(corpus), run)
        found = evaluate(load(run), arguments.corpus, "validation", load_corpus(arguments.corpus).split("validation"))
        print(name, summary(found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
