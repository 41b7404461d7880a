"""Arguments that several benchmarks have."""

from __future__ import annotations

import argparse


def model_and_corpus(benchmark: str, docstring: str) -> argparse.ArgumentParser:
    """A parser of `MODEL CORPUS [--split SPLIT]` for `python -m benchmarks.NAME`, described by the first line of its
    docstring."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{benchmark}", description=docstring.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--split", default="validation", help="of the corpus (default validation)")
    return parser


def corpora_and_clips(benchmark: str, docstring: str, corpora: str, clips: int) -> argparse.ArgumentParser:
    """A parser of `CORPUS... [--split SPLIT] [--clips N] [--json]`, described as that of `model_and_corpus`.

    Args:
        corpora: `+` for at least one, `*` for any number.
        clips: of each corpus, by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{benchmark}", description=docstring.splitlines()[0])
    parser.add_argument("corpora", nargs=corpora, metavar="CORPUS")
    parser.add_argument("--split", default="validation", help="of the corpora (default validation)")
    parser.add_argument("--clips", type=int, default=clips, help=f"of each corpus, at most (default {clips})")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
