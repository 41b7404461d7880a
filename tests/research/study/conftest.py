"""A finished study that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_asr.research.study.run import Outcome, run_study
from tests.helpers.studies import in_this_process, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Outcome:
    """A study that nothing disturbed. Read it only."""
    folder = tmp_path_factory.getbasetemp() / "echo-study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echo_asr.research.study.run.run_jobs", in_this_process)
        return run_study(write_study(folder.with_suffix(".yaml"), corpus), folder, device="cpu")
