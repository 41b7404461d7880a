"""Conversions between samples, frames and seconds."""

import numpy as np
import pytest

from echo_asr.audio.convert import (
    FRAMES_PER_SECOND,
    HOP,
    SAMPLE_RATE,
    frames_to_seconds,
    samples_to_frames,
    samples_to_seconds,
    seconds_to_frames,
    seconds_to_samples,
)


def test_a_frame_lasts_10_ms() -> None:
    assert HOP / SAMPLE_RATE == 1 / FRAMES_PER_SECOND == 0.01


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (160, 1), (161, 2), (16_000, 100)])
def test_samples_to_frames_rounds_up(samples: int, frames: int) -> None:
    assert samples_to_frames(samples) == frames


def test_seconds_to_samples_rounds_to_the_nearest() -> None:
    assert seconds_to_samples(1.00004) == 16_001
    assert seconds_to_samples(1.00003) == 16_000


def test_the_others_do_not_round_and_take_arrays_too() -> None:
    assert frames_to_seconds(1) == 0.01
    assert seconds_to_frames(0.125) == 12.5
    assert samples_to_seconds(1) == 1 / 16_000
    np.testing.assert_array_equal(frames_to_seconds(np.arange(3)), [0.0, 0.01, 0.02])
    np.testing.assert_array_equal(samples_to_seconds(np.arange(2)), [0.0, 1 / 16_000])
