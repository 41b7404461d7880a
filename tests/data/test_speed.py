import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.audio import SAMPLE_RATE
from echo_asr.data.speed import perturb_speed, speed_transform


def loudest_frequency(audio: np.ndarray) -> float:
    """Hz, of the largest bin of a windowed transform, to a third of a hertz."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size), 48_000))
    return float(spectrum.argmax()) * SAMPLE_RATE / 48_000


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_a_tone_rises_with_speed_and_keeps_its_level(factor: float) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 440.0 * time).astype(np.float32)
    played = perturb_speed(tone, factor)
    assert played.dtype == np.float32
    assert abs(played.size - SAMPLE_RATE / factor) <= 1
    assert loudest_frequency(played) == pytest.approx(440.0 * factor, abs=1.0)
    middle = played[played.size // 4 : -played.size // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5**0.5, rel=0.01)


def test_speed_one_is_the_recording_itself() -> None:
    audio = np.ones(7, np.float32)
    assert perturb_speed(audio, 1.0) is audio
    assert speed_transform(1.0) == ("", None)


@given(size=st.integers(1, 400), factor=st.floats(0.5, 2.0))
def test_any_clip_stays_a_clip(size: int, factor: float) -> None:
    played = perturb_speed(np.full(size, 0.25, np.float32), factor)
    assert played.ndim == 1 and played.size >= 1 and np.isfinite(played).all()


def test_each_speed_has_its_name_and_a_transform_that_processes_can_share() -> None:
    audio = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    names = set()
    for factor in (0.9, 1.1, 1.15):
        name, transform = speed_transform(factor)
        names.add(name)
        assert transform is not None
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(transform))(audio), perturb_speed(audio, factor))
    assert len(names) == 3 and "" not in names
