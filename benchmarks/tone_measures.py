"""Tone errors of kept hypotheses, counted in two ways: `python -m benchmarks.tone_measures TEXTS.jsonl`.

TEXTS is what `echo-asr evaluate --texts` wrote, in toned pinyin or Jyutping. First as Echo counts them: tones and bases
of syllables that are aligned together. Then as it did before 2026-12 and as some publications do: edit distances of the
bare sequences of tones (`3 3`) and of bases (`ni hao`), each by itself.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from echo_asr.evaluate.metrics import error_rate
from echo_asr.evaluate.tone_errors import tone_errors
from echo_asr.text.find_tones import find_notation
from echo_asr.text.normalize import normalize_basic

SYLLABLE = re.compile(r"([^\W\d_]+(?:['\u2019][^\W\d_]+)*)(\d?)")


def bare(text: str, part: int) -> str:
    """The bases (0) or tones (1) of a text, with spaces between; tone 0 for a syllable without one."""
    return " ".join(found[part] or "0" for found in SYLLABLE.findall(text))


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tone_measures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("texts", type=Path)
    rows = [json.loads(line) for line in parser.parse_args().texts.read_text(encoding="utf-8").splitlines()]
    references, hypotheses = ([normalize_basic(row[name]) for row in rows] for name in ("reference", "hypothesis"))
    notation = find_notation(references).notation
    assert notation is not None, "no tones"
    print(*tone_errors(references, hypotheses, notation).lines(), sep="\n")
    for part, name in ((1, "bare tones"), (0, "bare bases")):
        ours, theirs = ([bare(text, part) for text in texts] for texts in (references, hypotheses))
        print(f"{name:<16} {error_rate(ours, theirs)}")


if __name__ == "__main__":
    main()
