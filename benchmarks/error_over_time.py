"""Validation error over CPU time of a training run: `python -m benchmarks.error_over_time RUN CORPUS`.

Prints one JSON object for each validation of `echo-asr train`: the update, the CPU seconds that the run had taken by
then (features and states of the pretrained encoder included, validations not), and the errors of what it recognised, in
percent with 95 % intervals. CPU times of lines that follow each other are interpolated. Features that were in the cache
before cost nothing; set ECHO_ASR_CACHE to an empty folder for a run that is to be timed. `benchmarks.linear_ctc` prints
the same of another recogniser.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echo_asr.data.corpus import load_corpus
from echo_asr.evaluate.metrics import ErrorRate, error_rate
from echo_asr.evaluate.tone_errors import tone_errors
from echo_asr.text.config import TextConfig
from echo_asr.text.tones import ToneNotation
from echo_asr.train.prepare import hold_out
from echo_asr.train.recipe import read_config
from echo_asr.train.report import METRICS, VALIDATIONS


def errors(references: Sequence[str], hypotheses: Sequence[str], notation: ToneNotation | None) -> dict[str, Any]:
    """Errors of words and characters, and of bases and tones where texts have them, in percent with their intervals."""
    rates = {unit: error_rate(references, hypotheses, unit) for unit in ("word", "character")}
    if notation is not None:
        found = tone_errors(references, hypotheses, notation)
        rates |= {"base": found.base, "tone": found.tone}
    return {name: _rounded(rate) for name, rate in rates.items()}


def _rounded(rate: ErrorRate) -> dict[str, Any]:
    return {"percent": round(rate.percent, 2), "ci95": [round(end, 2) for end in rate.ci95]}


def validations(run: Path, corpus: str) -> list[dict[str, Any]]:
    """What is printed, as dictionaries.

    Raises:
        SystemExit: an Echo that did not note CPU times made the run.
    """
    metrics = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    timed = [(line["update"], line["cpu_seconds"]) for line in metrics if "cpu_seconds" in line]
    if not timed:
        raise SystemExit(f"{run}: {METRICS} has no cpu_seconds; train again with this version")
    updates, seconds = zip(*timed, strict=True)
    text: TextConfig = read_config(run / "config.yaml")["text"]
    normalize = text.normalize
    texts = {u.id: normalize(u.text) for u in hold_out(load_corpus(corpus)).split("validation")}
    notation = text.measured_notation(list(texts.values()))
    found = []
    for line in (run / VALIDATIONS).read_text(encoding="utf-8").splitlines():
        validation = json.loads(line)
        references = [texts[name] for name in validation["ids"]]
        cpu = float(np.interp(validation["update"], updates, seconds))
        rates = errors(references, validation["hypotheses"], notation)
        found.append({"update": validation["update"], "cpu_seconds": round(cpu, 1), **rates})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_over_time", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("corpus")
    arguments = parser.parse_args()
    for row in validations(arguments.run, arguments.corpus):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
