"""A word that a model learns from a few recordings: `python -m benchmarks.new_words CORPUS OUT --words WORD ...`.

Makes three corpora of one: `OUT/before` lacks all clips that have one of the words; `OUT/new` has a few recordings of
each word in its training split, drawn from the training split of the corpus, and those of the test split in its test
split; `OUT/both` has the training clips of both, and the validation clips of `before`. A model that was trained on
`before` goes on with `--init`, on `both` or on `new` alone, and is evaluated on the test splits of `before` and `new`.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path

from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.partition import write_corpus


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.new_words", description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="of which every clip is a file")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--words", nargs="+", required=True)
    parser.add_argument("--recordings", type=int, default=5, help="of each word (default 5)")
    parser.add_argument("--speaker", default="", help="who says them (default: any)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    corpus = load_corpus(arguments.corpus)
    words, rng = set(arguments.words), random.Random(arguments.seed)
    before = [u for u in corpus.utterances if not words & set(u.text.split())]
    new = list[Utterance]()
    for word in sorted(words):
        said = [u for u in corpus.split("train") if word in u.text.split()]
        said = [u for u in said if u.speaker == (arguments.speaker or u.speaker)]
        if len(said) < arguments.recordings:
            raise SystemExit(f"--words: {len(said)} recordings of {word}, {arguments.recordings} are wanted")
        new += rng.sample(said, arguments.recordings)
    tested = [u for u in corpus.split("test") if words & set(u.text.split())]
    parts = {
        "before": before,
        "new": [*new, *tested],
        "both": [*(u for u in before if u.split != "test"), *(replace(u, split="train") for u in new)],
    }
    for name, utterances in parts.items():
        print(f"{write_corpus(arguments.out / name, utterances)}: {len(utterances)} clips")


if __name__ == "__main__":
    main()
