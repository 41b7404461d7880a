"""The arguments of benchmarks that measure a model on a corpus."""

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
