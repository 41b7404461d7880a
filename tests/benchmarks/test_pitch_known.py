"""Voices of known F0, and what trackers cost."""

from __future__ import annotations

import numpy as np

from benchmarks.pitch_known import CONDITIONS, Clip, echo_operations, errors, formant_voice, made_of_sines, worsened
from echo_asr.features.pitch import AutocorrelationTracker
from tests.helpers.voices import syllables, voice


def clip_of(seed: int) -> Clip:
    return made_of_sines(voice(*syllables(140.0, 1.5)), np.random.default_rng(seed))


def test_resynthesised_speech_has_the_f0_that_is_said_of_it() -> None:
    clips = [clip_of(seed) for seed in (1, 3)]
    found = errors(AutocorrelationTracker(), clips, [clip.audio for clip in clips])
    assert found["voiced_frames"] > 80 and found["gross_percent"] < 5 and found["median_cents"] < 20
    assert found["voicing_percent"] < 5


def test_errors_are_counted() -> None:
    clip = clip_of(1)
    octave = clip._replace(f0=2 * clip.f0)
    assert errors(AutocorrelationTracker(), [octave], [clip.audio])["gross_percent"] > 95
    silent = np.zeros_like(clip.audio)
    other = errors(AutocorrelationTracker(), [clip, clip], [silent, clip.audio])
    assert abs(other["voicing_percent"] - 50 * (clip.f0 > 0)[clip.counts].mean()) < 3


def test_conditions_leave_frames_and_peaks() -> None:
    clips = [formant_voice(np.random.default_rng(seed)) for seed in range(3)]
    for condition in CONDITIONS:
        made = worsened(clips, condition)
        assert [len(one) for one in made] == [len(clip.audio) for clip in clips]
        assert all(np.isfinite(one).all() and np.abs(one).max() <= 1.0 for one in made)


def test_the_operations_of_the_network_stay_few() -> None:
    assert 15e6 < echo_operations() < 28e6
