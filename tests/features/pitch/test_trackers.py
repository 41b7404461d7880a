"""All trackers on speech-like sound of known F0, and the track made of what they find."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.errors import EchoError
from echo_asr.features.pitch import REFERENCE_F0, PitchTracker, fill_track, make_tracker
from tests.helpers.voices import syllables, voice

TRACKERS = ("echo", "swiftf0", "autocorrelation")


@pytest.fixture(scope="module", params=TRACKERS)
def tracker(request: pytest.FixtureRequest) -> PitchTracker:
    return make_tracker(request.param)


@pytest.mark.parametrize(("noise_db", "most_voicing_errors"), [(None, 0.05), (10.0, 0.09)])
def test_known_pitch_is_found(tracker: PitchTracker, noise_db: float | None, most_voicing_errors: float) -> None:
    gross, voicing, cents = [], [], []
    for base in (90.0, 130.0, 200.0, 300.0):
        f0, voiced = syllables(base)
        audio = voice(f0, voiced, noise_db)
        frames = -(-len(audio) // HOP)
        found, periodicity = tracker(audio, frames)
        assert found.dtype == periodicity.dtype == np.float32 and found.shape == periodicity.shape == (frames,)
        truth, is_voiced = f0[::HOP], voiced[::HOP] > 0
        both = is_voiced & (found > 0)
        octaves = np.abs(np.log2(found[both] / truth[both]))
        gross.extend(octaves > np.log2(1.2))
        cents.extend(1200 * octaves)
        voicing.extend((found > 0) != is_voiced)
        assert periodicity[is_voiced].mean() > 0.8 > 0.5 > periodicity[~is_voiced].mean()
    assert np.mean(gross) < 0.005
    assert np.mean(voicing) < most_voicing_errors
    assert np.percentile(cents, 95) < 20  # also says that frame t is centred at sample 160 t: 10 ms glide 8 cents


def test_frame_t_is_at_sample_160_t(tracker: PitchTracker) -> None:
    """Where the pitch steps from 150 to 200 Hz, the track does so within a frame and a half."""
    step = 8000  # samples: frame 50
    f0 = np.where(np.arange(2 * step) < step, 150.0, 200.0)
    found, _ = tracker(voice(f0, np.ones(2 * step)), 100)
    crossing = np.argmax(found > np.sqrt(150.0 * 200.0))
    assert abs(crossing - 50) <= 1.5


@pytest.mark.parametrize("level_db", [-30.0, -10.0])
def test_noise_and_silence_have_no_pitch(tracker: PitchTracker, level_db: float) -> None:
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 10 ** (level_db / 20)
    assert (tracker(noise, 100)[0] > 0).mean() < 0.03
    f0, periodicity = tracker(np.zeros(SAMPLE_RATE, np.float32), 100)
    assert not f0.any() and not periodicity.any()


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 255, 256, 257, 511, 513, 2400])
def test_any_length_gives_the_frames_asked_for(tracker: PitchTracker, samples: int) -> None:
    frames = max(1, -(-samples // HOP))
    f0, periodicity = tracker(voice(np.full(16000, 150.0), np.ones(16000))[8000 : 8000 + samples], frames)
    assert f0.shape == periodicity.shape == (frames,)
    assert np.isfinite(f0).all() and ((f0 == 0) | ((f0 > 46) & (f0 <= 605))).all()
    assert (periodicity >= 0).all() and (periodicity <= 1).all()


def test_a_clip_of_150_ms_is_tracked(tracker: PitchTracker) -> None:
    audio = voice(np.full(16000, 150.0), np.ones(16000))[8000:10400]
    f0, _ = tracker(audio, 15)
    np.testing.assert_allclose(f0[4:11], 150.0, rtol=0.03)


def test_level_does_not_matter(tracker: PitchTracker) -> None:
    f0, voiced = syllables(150.0, 1.5)
    audio = voice(f0, voiced)
    loud, soft = tracker(audio, 150)[0], tracker(audio / 8, 150)[0]
    both = (loud > 0) & (soft > 0)
    assert both.sum() > 80 and ((loud > 0) == (soft > 0)).mean() > 0.97
    np.testing.assert_allclose(loud[both], soft[both], rtol=0.02)


def test_repeats_to_the_bit_and_survives_pickling(tracker: PitchTracker) -> None:
    f0, voiced = syllables(150.0, 1.0)
    audio = voice(f0, voiced)
    first = tracker(audio, 100)
    again = pickle.loads(pickle.dumps(tracker))
    for one, other in zip(first, again(audio, 100), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (again.name, again.version) == (tracker.name, tracker.version) and tracker.name in TRACKERS


def test_unknown_tracker() -> None:
    with pytest.raises(EchoError, match="tracker: expected one of echo, swiftf0, autocorrelation; got 'dio'"):
        make_tracker("dio")  # type: ignore[arg-type]


def test_gaps_are_filled_along_octaves() -> None:
    filled = fill_track(np.array([0, 0, 100, 0, 0, 0, 400, 0], np.float32))
    np.testing.assert_allclose(filled, [100, 100, 100, 100 * 2**0.5, 200, 200 * 2**0.5, 400, 400], rtol=1e-6)
    assert filled.dtype == np.float32


def test_nothing_voiced_gives_the_reference() -> None:
    np.testing.assert_array_equal(fill_track(np.zeros(4, np.float32)), np.full(4, REFERENCE_F0, np.float32))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(47, 600, width=32)), min_size=1, max_size=60))
def test_a_filled_track_keeps_what_was_measured_and_stays_within_it(values: list[float]) -> None:
    f0 = np.array(values, np.float32)
    filled = fill_track(f0)
    voiced = f0 > 0
    np.testing.assert_array_equal(filled[voiced], f0[voiced])
    assert filled.shape == f0.shape and (filled > 0).all()
    if voiced.any():
        assert filled.min() >= f0[voiced].min() * (1 - 1e-6) and filled.max() <= f0[voiced].max() * (1 + 1e-6)
    np.testing.assert_array_equal(fill_track(filled), filled)
