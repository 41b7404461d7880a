"""What a transcriber's marks do to training: `python -m benchmarks.planted_marks CORPUS OUT [--updates 300]`.

In a fifth of a corpus's texts one mark is planted: brackets around a word, a note, a false start, a word that was not
understood, a break, a doubt. The recipe `mandarin` is trained on the clean texts, on the planted ones with the rules
that `corpus check` proposes, and on the planted ones without; each model is evaluated on the clean validation texts,
free-running.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from echo_asr.data.corpus import load_corpus
from echo_asr.data.partition import write_corpus
from echo_asr.decode.transcribe import load
from echo_asr.evaluate.evaluate import evaluate, summary
from echo_asr.text.marks import find_marks, proposed_conventions
from echo_asr.train.recipe import read_config
from echo_asr.train.run import train

SHARE = 0.2  # of the texts
SEED = 35
PLANTED: tuple[Callable[[list[str], int], list[str]], ...] = (
    lambda words, at: [*words[:at], f"<{words[at]}>", *words[at + 1 :]],
    lambda words, at: [*words[:at], f"({words[at]})", *words[at + 1 :]],
    lambda words, at: [*words[:at], "{" + words[at] + "}", *words[at + 1 :]],
    lambda words, at: [*words[:at], "[cough]", *words[at:]],
    lambda words, at: [*words[:at], f"{words[at][:2]}-", *words[at:]],
    lambda words, at: [*words[:at], "xxx", *words[at + 1 :]],
    lambda words, at: [*words[: at + 1], "(?)", *words[at + 1 :]],
    lambda words, at: [*words[:at], "|", *words[at:]],
    lambda words, at: [*words[:at], f"{words[at]}\u2026", *words[at + 1 :]],
)


def plant(text: str, rng: np.random.Generator) -> str:
    """A text with one of the marks at one of its words."""
    words = text.split()
    return " ".join(PLANTED[rng.integers(len(PLANTED))](words, int(rng.integers(len(words)))))


def main() -> None:
    """Write the corpus, train three times, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted_marks", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("corpus")
    parser.add_argument("out", type=Path)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--warmup", type=int, default=100)
    arguments = parser.parse_args()
    utterances, rng = load_corpus(arguments.corpus).utterances, np.random.default_rng(SEED)
    planted = arguments.out / "planted"
    if not planted.exists():
        write_corpus(
            planted, [replace(u, text=plant(u.text, rng) if rng.random() < SHARE else u.text) for u in utterances]
        )
    marks = find_marks(u.text for u in load_corpus(planted).split("train"))
    rules = dict(proposed_conventions(marks).actions)
    print(f"proposed: {rules}")
    basic: dict[str, Any] = {"train.max_steps": arguments.updates, "train.warmup_steps": arguments.warmup}
    for name, corpus, changes in (
        ("clean", arguments.corpus, basic),
        ("planted, with rules", str(planted), {**basic, "text.conventions": rules}),
        ("planted, without", str(planted), basic),
    ):
        run = arguments.out / name.replace(", ", "-").replace(" ", "-")
        if not run.exists():
            train(read_config("mandarin", changes), corpus, run)
        found = evaluate(load(run), arguments.corpus, "validation", load_corpus(arguments.corpus).split("validation"))
        print(name, summary(found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
