import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.spec_augment import SpecAugment
from echo_asr.features import Features

MASKS = st.builds(
    SpecAugment,
    frequency_masks=st.integers(0, 3),
    frequency_width=st.integers(0, 20),
    time_masks=st.integers(0, 3),
    time_share=st.floats(0.0, 1.0),
)


@settings(max_examples=60)
@given(augment=MASKS, frames=st.integers(1, 60), mels=st.sampled_from([8, 24]), seed=st.integers(0, 1000))
def test_masks_are_zero_and_of_bounded_size(augment: SpecAugment, frames: int, mels: int, seed: int) -> None:
    # Nothing of this recording is zero, so that whatever is was masked.
    whole = Features(
        torch.ones(mels, frames), torch.full((3, frames), 2.0), torch.full((frames,), 200.0),
        torch.ones(frames), torch.zeros(frames, dtype=torch.bool), torch.full((160 * frames,), -0.5),
        torch.full((5, frames), 3.0, dtype=torch.half),
    )  # fmt: skip
    masked = augment(whole, np.random.default_rng(seed))
    names = ("spectrogram", "pitch", "track", "voicing", "waveform", "states")
    assert all(bool((getattr(whole, name) != 0).all()) for name in names), "it is left as it was"
    for name in ("track", "voicing", "null", "energy"):
        assert getattr(masked, name).equal(getattr(whole, name)), f"{name} is what vRoPE reads"
    spectrogram, pitch = masked.spectrogram == 0, masked.pitch == 0
    assert bool((spectrogram | (masked.spectrogram == 1)).all()) and bool((pitch | (masked.pitch == 2)).all())
    times, bands = spectrogram.all(0), spectrogram.all(1)
    assert bool((pitch.all(0) == pitch.any(0)).all())
    if not bool(bands.all()):
        assert bool((pitch.all(0) == times).all()), "a span hides both features"
        assert bool((spectrogram == (times[None] | bands[:, None])).all())
    assert masked.waveform is not None and masked.states is not None
    assert bool(((masked.states == 0) == pitch.all(0)).all()) and masked.states.dtype == torch.half
    assert bool(((masked.waveform.view(frames, 160) == 0) == pitch.all(0)[:, None]).all()), "to the sample"
    assert int(pitch.all(0).sum()) <= augment.time_masks * int(frames * augment.time_share)
    if not bool(times.all()):
        assert int(bands.sum()) <= augment.frequency_masks * augment.frequency_width
    again = augment(whole, np.random.default_rng(seed))
    assert again.spectrogram.equal(masked.spectrogram) and again.pitch.equal(masked.pitch)


def test_masks_reach_their_largest_size_and_every_place() -> None:
    whole = Features(
        torch.ones(20, 50), torch.ones(3, 50), torch.ones(50), torch.ones(50), torch.zeros(50, dtype=torch.bool)
    )
    augment = SpecAugment(frequency_masks=1, frequency_width=6, time_masks=1, time_share=0.2)
    made = [augment(whole, np.random.default_rng(seed)) for seed in range(400)]
    hidden = torch.stack([one.spectrogram == 0 for one in made])
    bands, spans = hidden.all(2), hidden.all(1)
    assert int(bands.sum(1).max()) == 6 and int(spans.sum(1).max()) == 10
    assert bool(bands.any(0).all()) and bool(spans.any(0).all())
    assert int((~hidden.any(2).any(1)).sum()) > 0, "now and then nothing is hidden"


def test_without_masks_nothing_changes(make_features: Callable[..., Features]) -> None:
    whole = make_features(30)
    masked = SpecAugment(0, 0, 0, 0.0)(whole, np.random.default_rng(0))
    for field in dataclasses.fields(whole):
        before, after = getattr(whole, field.name), getattr(masked, field.name)
        assert after.equal(before) if isinstance(before, torch.Tensor) else after == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequency_masks": -1}, "must not be negative"),
        ({"frequency_width": -1}, "must not be negative"),
        ({"time_masks": -2}, "must not be negative"),
        ({"time_share": 1.5}, r"train.augment.time_share must lie in \[0, 1\], got 1.5"),
        ({"time_share": float("nan")}, "train.augment.time_share"),
    ],
)
def test_impossible_masks_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpecAugment(**options)
