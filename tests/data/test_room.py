"""What the states of a pretrained encoder take on disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.data.room import check_room
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from tests.helpers.encoders import WIDTH


def cache(root: Path, encoder: Path | None) -> FeatureCache:
    states = "" if encoder is None else str(encoder)
    return FeatureCache(root, FeatureExtractor(FeatureConfig(tracker="autocorrelation", states=states)))


def utterance(seconds: float) -> Utterance:
    return Utterance("u", Path("u.wav"), "", "", "train", seconds)


@pytest.mark.parametrize(
    ("perturbation", "seconds"),
    [(UNPERTURBED, 3600.0), (Perturbation(0.5), 7200.0), (Perturbation(noise=1), 3601.2), (Perturbation(2.0), 1800.0)],
)
def test_it_is_what_the_perturbed_recordings_take(
    perturbation: Perturbation, seconds: float, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = seconds * 50 * 2 * WIDTH * 2  # bytes: 50 states a second, two layers, half precision
    jobs, there = [(utterance(3600.0), perturbation)], cache(tmp_path / "not" / "there", encoder)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=size * 1.05))
    line = check_room(there, jobs)
    assert f"{size / 1e6:.1f} MB for {seconds / 3600:.2f} h of audio" in line and "layers 2, 4" in line
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=size * 0.99))
    with pytest.raises(EchoError, match="ECHO_ASR_CACHE"):
        check_room(there, jobs)


def test_there_is_nothing_to_tell_without_an_encoder_or_recordings(tmp_path: Path, encoder: Path) -> None:
    assert check_room(cache(tmp_path, None), [(utterance(1e9), UNPERTURBED)]) == ""
    assert check_room(cache(tmp_path, encoder), []) == ""
