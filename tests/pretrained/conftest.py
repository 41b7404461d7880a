"""A hub's cache of the test's own, and a hub to fetch from, without the network."""

from pathlib import Path

import pytest

from tests.helpers.hub import Hub, fill


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache of the test's own, without the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "echo"))
    return tmp_path / "hub"


@pytest.fixture
def network(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with one repository, whose files are in `there`."""
    there = Hub(cache, fill(tmp_path / "there"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", there.snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: there)
    return there
