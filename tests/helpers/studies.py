"""A small study, and how tests run and read it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.research.study.job import evaluate_split, run_job
from echo_asr.research.study.jobs import Job
from echo_asr.research.study.plan import Study, read_study
from echo_asr.research.study.run import Outcome
from tests.helpers.tone_corpus import CONFIG

STUDY: dict[str, Any] = {
    "name": "tiny",
    "question": "Is anything told apart in six updates?",
    "base": CONFIG,
    "arms": {
        "axis": {},
        "static": {"model.vrope.theta": "static"},
        "other pitch": {"study.f0": "shuffled", "against": ["axis", "static"]},
    },
    "baseline": "axis",
    "conditions": {"as recorded": {}, "in noise": {"evaluate": "@noise:10"}},
    "seeds": 2,
    "endpoints": {
        "characters at 3": {"measure": "character", "at": 3},
        "characters": {"measure": "character"},
        "runaways": {"measure": "runaway"},
        "updates to 1000 %": {"measure": "word", "reach": 1000},
        "updates to 0 %": {"measure": "word", "reach": 0},
        "invented": {"measure": "invented"},
    },
    "primary": "characters at 3",
    "invented_clips": 12,
}


@cache  # reading one checks the configuration of each arm, which takes seconds
def shipped_study(path: Path) -> Study:
    """A study that comes with Echo; if its file names no corpus, of one that is called my-corpus."""
    try:
        return read_study(path)
    except EchoError:
        return read_study(path, "my-corpus")


def write_study(path: Path, spoken: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**STUDY, "corpus": str(spoken), **changes}, sort_keys=False), encoding="utf-8")
    return path


def in_this_process(jobs: list[Job], at_once: int, threads: int, places: list[str]) -> dict[str, str]:
    """`run_jobs` without the processes, which take seconds to start."""
    failed = {}
    for job in jobs:
        if job.result is None:
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / "job.json").write_text(json.dumps({**job.spec, "device": places[0]}))
            try:
                run_job(job.folder)
            except EchoError as error:
                failed[str(job.folder)] = str(error)
    return failed


def note_evaluations(monkeypatch: pytest.MonkeyPatch, note: Callable[[Recognizer, str], Any]) -> list[Any]:
    """What is noted of each evaluation of the jobs to come, which run in this process."""
    noted = []

    def evaluated(recognizer: Recognizer, spec: str, split: str) -> dict[str, list[str]]:
        noted.append(note(recognizer, spec))
        return evaluate_split(recognizer, spec, split)

    monkeypatch.setattr("echo_asr.research.study.job.evaluate_split", evaluated)
    monkeypatch.setattr("echo_asr.research.study.run.run_jobs", in_this_process)
    return noted


def rows(outcome: Outcome) -> list[dict[str, str]]:
    with (outcome.out / "table.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
