"""The records of our own studies are what the study files still say, so that anyone can compute their tables again."""

import importlib.util
import json
import lzma
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from echo_asr.cli import main
from echo_asr.research.study.trained import as_now
from tests.helpers.studies import shipped_study

ROOT = Path(__file__).parents[3]
RECORDS = sorted((ROOT / "docs" / "findings" / "records").glob("*.tar.xz"))


def jobs_of(record: Path) -> list[dict[str, Any]]:
    """`job.json` of every job in a record."""
    with lzma.open(record) as packed, tarfile.open(fileobj=packed) as members:
        files = [member for member in members if member.name.endswith("/job.json")]
        return [json.load(members.extractfile(member)) for member in files]  # type: ignore[arg-type]


def test_there_are_records() -> None:
    assert len(RECORDS) >= 9


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name.split(".")[0])
def test_every_job_of_a_record_is_one_that_the_study_would_train(record: Path) -> None:
    jobs = jobs_of(record)
    corpora = {job["corpus"].split("@")[0] for job in jobs}
    assert len(corpora) == 1
    study = shipped_study(ROOT / "studies" / f"{record.name.split('.')[0]}.yaml")
    corpus = corpora.pop()
    if corpus.startswith("synth:"):  # named by the study file, not by who runs it
        assert study.corpus == corpus
    declared = {arm.name: {name: asdict(section) for name, section in arm.sections.items()} for arm in study.arms}
    for job in map(as_now, jobs):
        expected = json.loads(json.dumps({name: declared[job["arm"]][name] for name in job["sections"]}))
        for name in ("seed", "validation_utterances"):  # of the job, and of its corpus
            expected["train"][name] = job["sections"]["train"][name]
        assert expected == job["sections"], job["arm"]
        assert job["seed"] in study.seeds and job["split"] == study.split


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the extra echo-asr[synth] is missing")
def test_a_record_of_synthetic_speech_gives_its_page_again(tmp_path: Path) -> None:
    with tarfile.open(ROOT / "docs/findings/records/unseen_voices_moved.tar.xz") as members:
        members.extractall(tmp_path, filter="data")
    assert main(["study", str(ROOT / "studies/unseen_voices_moved.yaml"), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "table.md").read_text() == (ROOT / "docs/findings/unseen_voices_moved.md").read_text()
