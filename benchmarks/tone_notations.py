"""The tone error of one corpus in five notations: `python -m benchmarks.tone_notations CORPUS OUT [--updates 300]`.

The texts of a corpus in toned pinyin (`ma3`) are written in digits, superscripts, Chao's tone letters, Chao's numbers
and diacritics; the recipe `mandarin` is trained on each, whose notation it finds by itself, and evaluated on the
validation split, free-running. Then the tones of the validation texts without tones are written (`retone`).
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from echo_asr.data.corpus import load_corpus
from echo_asr.data.partition import write_corpus
from echo_asr.decode.load import load
from echo_asr.evaluate.evaluate import evaluate, summary
from echo_asr.evaluate.tone_errors import tone_errors
from echo_asr.train.recipe import read_config
from echo_asr.train.run import train

SYLLABLE = re.compile(r"([a-z]+)([1-5])")
CONTOURS = {"1": "55", "2": "35", "3": "214", "4": "51", "5": ""}  # a neutral syllable is written without a tone
SUPERSCRIPTS = str.maketrans("12345", "\u00b9\u00b2\u00b3\u2074\u2075")
LETTERS = str.maketrans("12345", "\u02e9\u02e8\u02e7\u02e6\u02e5")
MARKS = {"1": "\u0304", "2": "\u0301", "3": "\u030c", "4": "\u0300", "5": ""}


def pinyin(base: str, tone: str) -> str:
    """A syllable with its mark where the rules of pinyin put it: on a, e or the o of ou, else on the last vowel."""
    base = base.replace("v", "\u00fc")
    at = next((base.index(vowel) for vowel in ("a", "e", "ou") if vowel in base), None)
    if at is None:
        at = max((n for n, letter in enumerate(base) if letter in "aeiou\u00fc"), default=0)
    return unicodedata.normalize("NFC", base[: at + 1] + MARKS[tone] + base[at + 1 :])


NOTATIONS: dict[str, Callable[[str, str], str]] = {
    "digits": lambda base, tone: base + tone,
    "superscripts": lambda base, tone: base + tone.translate(SUPERSCRIPTS),
    "chao_letters": lambda base, tone: base + CONTOURS[tone].translate(LETTERS),
    "chao_numbers": lambda base, tone: base + CONTOURS[tone],
    "diacritics": pinyin,
}


def rewrite(text: str, write: Callable[[str, str], str]) -> str:
    """A text in toned pinyin, each syllable written by `write`."""
    return SYLLABLE.sub(lambda found: write(found[1], found[2]), text)


def main() -> None:
    """Write the five corpora, train, evaluate, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tone_notations", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("corpus", help="in toned pinyin")
    parser.add_argument("out", type=Path)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--warmup", type=int, default=100)
    arguments = parser.parse_args()
    utterances = load_corpus(arguments.corpus).utterances
    for name, write in NOTATIONS.items():
        folder, run = arguments.out / name, arguments.out / f"{name}-model"
        written = [replace(u, text=rewrite(u.text, write)) for u in utterances]
        if not folder.exists():
            write_corpus(folder, written)
        if not run.exists():
            changes = {"train.max_steps": arguments.updates, "train.warmup_steps": arguments.warmup}
            train(read_config("mandarin", changes), str(folder), run)
        rows = load_corpus(str(folder)).split("validation")
        recognizer = load(run)
        print(name, recognizer.bundle.text.notation, sep=": ")
        found = evaluate(recognizer, str(folder), "validation", rows)
        print(summary(found), flush=True)
        notation = recognizer.bundle.text.notation
        assert notation is not None and found.tones is not None
        given = [notation.without_tones(text) for text in found.references]
        toned = recognizer.retone([u.audio for u in rows], given)
        errors = tone_errors(found.references, [one.text for one in toned], notation)
        print(f"retone: tone error {errors.tone}; base syllables {errors.base.percent:.2f} %", flush=True)


if __name__ == "__main__":
    main()
