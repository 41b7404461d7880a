"""Rows of recordings: what features of the joined sound are, and what rows are drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from echo_asr.data.concatenate import EDGES, GAPS, MOST, SOFTER, crop, draw_concatenated, draw_levels, join, soften
from echo_asr.data.spec_augment import SpecAugment
from echo_asr.features import FeatureConfig, FeatureExtractor, Features, collate_features
from echo_asr.model.encoder import pitch_track


def voice(seconds: float, f0: float) -> np.ndarray:
    """Harmonics that swell to the same peak, `(S,)` at 16 kHz, a whole number of frames."""
    time = np.arange(round(seconds * 100) * 160) / 16_000
    wave = sum(np.sin(2 * np.pi * f0 * k * time) / k for k in range(1, 8))
    return (0.2 * np.hanning(len(time)) * wave).astype(np.float32)


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor(FeatureConfig(mels=16, tracker="autocorrelation", waveform=True))


@pytest.fixture(scope="module")
def clips(extractor: FeatureExtractor) -> list[Features]:
    return [extractor(voice(0.5, 120.0)), extractor(voice(0.4, 240.0))]


def test_joined_features_are_those_of_the_joined_sound(extractor: FeatureExtractor, clips: list[Features]) -> None:
    """Up to the windows that reach over a clip's edge, and the common peak."""
    gaps = (30, 50, 20)
    silence = [np.zeros(gap * 160, np.float32) for gap in gaps]
    signal = np.concatenate((silence[0], voice(0.5, 120.0), silence[1], voice(0.4, 240.0), silence[2]))
    found, expected = join(clips, gaps), extractor(signal)
    assert found.frames == expected.frames == 190
    inside = torch.zeros(190, dtype=torch.bool)
    for begin, size in ((30, 50), (130, 40)):
        inside[begin + 3 : begin + size - 3] = True
    silent = torch.ones(190, dtype=torch.bool)
    for begin, size in ((30, 50), (130, 40)):
        silent[begin - 2 : begin + size + 2] = False
    assert (found.spectrogram - expected.spectrogram)[:, inside].abs().max() < 0.05
    assert not found.spectrogram[:, silent].any() and found.null[silent].all() and expected.null[silent].all()
    assert found.waveform is not None and found.waveform.shape == (190 * 160,)
    assert not found.waveform[: 30 * 160].any() and found.waveform[30 * 160 : 80 * 160].abs().max() > 0.99
    both = inside & (found.voicing > 0) & (expected.voicing > 0)
    assert both.sum() > 50
    torch.testing.assert_close(found.track[both], expected.track[both], rtol=0.02, atol=0.0)
    gap = found.track[80:130]
    assert (gap.diff() > 0).all() and gap[0] < 140 and gap[-1] > 210, "the track glides through the pause"


@pytest.mark.parametrize("db", [5.0, 15.0, 25.0])
def test_softer_features_are_those_of_the_softer_sound_beside_a_louder_one(
    extractor: FeatureExtractor, clips: list[Features], db: float
) -> None:
    gaps = (0, 30, 0)
    signal = np.concatenate((voice(0.5, 120.0), np.zeros(4_800, np.float32), voice(0.4, 240.0) * 10 ** (-db / 20)))
    relative = extractor.config.null_relative_db
    found, expected = join([clips[0], soften(clips[1], db, relative)], gaps), extractor(signal.astype(np.float32))
    inside = slice(83, 117)
    # The two clips' spectral peaks, each taken for the peak of its clip, lie up to 4 dB apart.
    assert (found.spectrogram - expected.spectrogram)[:, inside].abs().max() < 0.05
    assert (found.energy - expected.energy)[inside].abs().max() < 0.05
    assert found.waveform is not None and expected.waveform is not None
    torch.testing.assert_close(found.waveform[12_800:], expected.waveform[12_800:], atol=0.05, rtol=0.0)
    assert found.null[80:].sum() >= clips[1].null.sum() and (found.null[80:] != expected.null[80:]).sum() <= 4
    assert not found.voicing[found.null].any() and not found.pitch[0][found.null].any()
    assert torch.equal(soften(clips[1], 0.0, relative).spectrogram, clips[1].spectrogram)


def test_half_of_the_recordings_in_a_row_are_softer() -> None:
    rng = np.random.default_rng(0)
    levels = [draw_levels(3, rng) for _ in range(400)]
    assert all(one.min() == 0.0 and 0.0 <= one.max() <= SOFTER for one in levels)
    assert 0.3 < np.mean([one > 0 for one in levels]) < 0.5 and np.max(levels) > 0.9 * SOFTER


def test_one_clip_without_gaps_is_itself(clips: list[Features]) -> None:
    found = join(clips[:1], (0, 0))
    for name in ("spectrogram", "pitch", "track", "voicing", "null", "energy", "waveform"):
        assert torch.equal(getattr(found, name), getattr(clips[0], name)), name


@pytest.mark.parametrize("seed", range(4))
def test_masks_do_not_reach_the_track_of_joined_clips(clips: list[Features], seed: int) -> None:
    """What vRoPE reads is that of the parts, whatever SpecAugment hides of the features, and never a mixture."""
    gaps, augment = (10, 25, 15), SpecAugment(2, 16, 4, 1.0)
    masked = [augment(clip, np.random.default_rng([seed, i])) for i, clip in enumerate(clips)]
    assert any(not torch.equal(a.pitch, b.pitch) for a, b in zip(masked, clips, strict=True))
    found, whole = join(masked, gaps), join(clips, gaps)
    begin = 0
    for gap, clip in zip(gaps[:-1], clips, strict=True):
        begin += gap
        inside = slice(begin, begin + clip.frames)
        for name in ("track", "voicing", "null", "energy"):
            assert torch.equal(getattr(found, name)[inside], getattr(clip, name)), name
        begin += clip.frames
    cropped = crop(found, 5, 5)
    for one, other in ((found, whole), (cropped, crop(whole, 5, 5))):
        ours, theirs = (pitch_track(collate_features([features])) for features in (one, other))
        for name in ("f0", "voicing", "energy", "null", "padding"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


def test_cropped_features_are_those_of_the_cropped_sound(extractor: FeatureExtractor, clips: list[Features]) -> None:
    found = crop(join(clips, (30, 50, 20)), 25, 15)
    assert found.frames == 150 and found.waveform is not None and found.waveform.shape == (150 * 160,)
    expected = join(clips, (5, 50, 5))
    for name in ("spectrogram", "pitch", "voicing", "null", "waveform"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_states_are_joined_and_cropped_with_the_rest(make_features: Callable[..., Features]) -> None:
    """In a gap they are 0, the mean of each dimension once standardised."""
    parts = [make_features(20), make_features(31)]
    found = join(parts, (5, 7, 3))
    assert found.states is not None and found.states.shape == (6, 66) and found.states.dtype == torch.half
    first, second = (part.states for part in parts)
    assert first is not None and second is not None
    assert torch.equal(found.states[:, 5:25], first) and torch.equal(found.states[:, 32:63], second)
    gaps = torch.ones(66, dtype=torch.bool)
    gaps[5:25] = gaps[32:63] = False
    assert not found.states[:, gaps].any()
    cropped = crop(found, 6, 10)
    assert cropped.states is not None and torch.equal(cropped.states, found.states[:, 6:56])
    softer = soften(parts[0], 10.0, 50.0).states
    assert softer is not None and torch.equal(softer, first), "as an encoder finds them, whatever the level"


def test_rows_are_drawn_within_their_bounds() -> None:
    durations = [1.0, 2.0, 3.0, 0.5]
    rows = draw_concatenated(durations, 400, 3, np.random.default_rng(0))
    assert {len(row.parts) for row in rows} == set(range(1, MOST + 1))
    assert {row.noise for row in rows} == {0, 1, 2, 3} and 150 < sum(row.noise == 0 for row in rows) < 250
    for row in rows:
        assert len(row.gaps) == len(row.parts) + 1 and set(row.parts) <= set(range(4))
        assert sum(durations[part] for part in row.parts) <= 6.0
        if row.noise:
            assert not any(row.gaps)
        else:
            assert all(EDGES[0] <= gap < EDGES[1] for gap in (row.gaps[0], row.gaps[-1]))
            assert all(GAPS[0] <= gap < GAPS[1] for gap in row.gaps[1:-1])
    assert draw_concatenated([], 0, 3, np.random.default_rng(0)) == []
    assert all(row.noise == 0 for row in draw_concatenated(durations, 50, 0, np.random.default_rng(0)))
