"""The pitch track: octaves, and pooling to longer frames."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echo_asr.vrope import PitchTrack

FIELDS = ("f0", "voicing", "energy", "null", "padding")

MakeTrack = Callable[..., PitchTrack]


def pool_by_hand(track: PitchTrack, factor: int) -> dict[str, list[list[float]]]:
    """DESIGN section 4, frame by frame."""
    pooled: dict[str, list[list[float]]] = {name: [] for name in FIELDS}
    for b in range(track.f0.shape[0]):
        rows = list(
            zip(*(getattr(track, name)[b].tolist() for name in FIELDS), strict=True)
        )  # f0, voicing, energy, null, padding
        windows = [rows[start : start + factor] for start in range(0, len(rows), factor)]
        inside = [[row for row in window if not row[4]] for window in windows]
        f0 = []
        for window, kept in zip(windows, inside, strict=True):
            voiced = [(math.log(row[0]), row[1]) for row in kept if row[1] > 0]
            if voiced:
                f0.append(math.exp(sum(x * v for x, v in voiced) / sum(v for _, v in voiced)))
            elif kept:
                f0.append(math.exp(statistics.fmean(math.log(row[0]) for row in kept)))
            else:  # padding: a constant that nobody reads
                whole = [row[0] for row in window] + [220.0] * (factor - len(window))
                f0.append(math.exp(statistics.fmean(map(math.log, whole))))
        pooled["f0"].append(f0)
        pooled["voicing"].append([sum(row[1] for row in kept) / max(1, len(kept)) for kept in inside])
        pooled["energy"].append([sum(row[2] for row in kept) / max(1, len(kept)) for kept in inside])
        pooled["null"].append([all(row[3] for row in window) for window in windows])
        pooled["padding"].append([all(row[4] for row in window) for window in windows])
    return pooled


def padded(track: PitchTrack, more: int) -> PitchTrack:
    """The track with `more` frames of padding, as a batch of features pads it."""

    def pad(x: Tensor, fill: float) -> Tensor:
        return torch.nn.functional.pad(x.float(), (0, more), value=fill).to(x.dtype)

    return replace(
        track, f0=pad(track.f0, 220.0), voicing=pad(track.voicing, 0.0), energy=pad(track.energy, 0.0),
        null=pad(track.null, 1.0), padding=pad(track.padding, 1.0),
    )  # fmt: skip


@settings(max_examples=50, deadline=None, derandomize=True)
@given(frames=st.integers(1, 12), share=st.sampled_from((0.0, 0.1, 0.5, 1.0)), seed=st.integers(0, 1000))
def test_a_track_from_f0_fills_gaps_in_a_straight_line_of_octaves(frames: int, share: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    f0 = 60.0 + 400.0 * torch.rand(3, frames, generator=draw)
    f0 = f0 * (torch.rand(3, frames, generator=draw) < share)
    track = PitchTrack.from_f0(f0, step=4.0)
    for row, found in zip(f0.tolist(), track.f0.tolist(), strict=True):
        voiced = [i for i, hertz in enumerate(row) if hertz > 0]
        expected = np.full(frames, 220.0)
        if voiced:
            expected = 2.0 ** np.interp(np.arange(frames), voiced, [math.log2(row[i]) for i in voiced])
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert torch.equal(track.f0[f0 > 0], f0[f0 > 0]), "what is voiced stays as it is, to the bit"
    assert torch.equal(track.voicing, (f0 > 0).float()) and (track.energy == 1.0).all() and track.step == 4.0
    assert track.null.dtype == torch.bool and not track.null.any() and not track.padding.any()


def test_z_is_octaves_above_220_hertz(make_track: MakeTrack) -> None:
    track = make_track(f0=torch.tensor([[220.0, 440.0, 55.0, 220.0 * 2 ** (7 / 12)]]))
    torch.testing.assert_close(track.z(), torch.tensor([[0.0, 1.0, -2.0, 7 / 12]]))


@pytest.mark.parametrize("seed", range(4))
def test_z_about_the_utterance_has_the_median_voiced_frame_at_zero(make_track: MakeTrack, seed: int) -> None:
    track = make_track(batch=3, frames=9 + seed, seed=seed)
    track.padding[0, 4:] = True
    track.voicing[2] = 0.0
    for b in range(3):
        kept = [f for f, v, p in zip(track.f0[b], track.voicing[b], track.padding[b], strict=True) if v > 0 and not p]
        reference = statistics.median_low([float(f) for f in kept]) if kept else 220.0
        expected = [math.log2(float(f) / reference) for f in track.f0[b]]
        torch.testing.assert_close(track.z("utterance")[b], torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_transposing_an_utterance_leaves_z_about_its_median(make_track: MakeTrack) -> None:
    track = make_track(frames=15, voicing=torch.ones(1, 15))
    higher = replace(track, f0=track.f0 * 1.7)
    torch.testing.assert_close(higher.z("utterance"), track.z("utterance"), atol=1e-6, rtol=0)
    assert (higher.z() - track.z()).abs().min() > 0.7


def test_z_about_the_speaker_is_octaves_above_theirs_and_above_the_utterances_where_nobody_knows_who_speaks(
    make_track: MakeTrack,
) -> None:
    track = make_track(batch=3, frames=10, speaker_f0=torch.tensor([110.0, 0.0, 310.0]))
    found = track.z("speaker")
    torch.testing.assert_close(found[0], torch.log2(track.f0[0] / 110.0))
    torch.testing.assert_close(found[1], track.z("utterance")[1])
    torch.testing.assert_close(found[2], torch.log2(track.f0[2] / 310.0))
    assert torch.equal(replace(track, speaker_f0=None).z("speaker"), track.z("utterance"))
    assert torch.equal(track.pool(2).speaker_f0, track.speaker_f0)


def test_a_speaker_with_another_voice_is_heard_alike(make_track: MakeTrack) -> None:
    """All that is transposed together, the speaker's median too, keeps its z; one utterance alone does not."""
    track = make_track(speaker_f0=torch.tensor([200.0]))
    other = replace(track, f0=track.f0 * 1.6, speaker_f0=track.speaker_f0 * 1.6)
    torch.testing.assert_close(other.z("speaker"), track.z("speaker"), atol=1e-5, rtol=0)
    assert (replace(track, f0=track.f0 * 1.6).z("speaker") - track.z("speaker")).abs().min() > 0.6


def test_text_positions_know_only_their_nulls() -> None:
    null = torch.tensor([[True, False, False], [False, True, True]])
    track = PitchTrack.tokens(null)
    assert track.null.equal(null) and not track.padding.any()
    assert (track.f0 == 220.0).all() and not track.voicing.any() and not track.energy.any()
    assert track.step == 1.0 and not track.z().any()


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 2, 7, 8])
def test_pooling_equals_the_definition(make_track: MakeTrack, frames: int, factor: int) -> None:
    track = make_track(batch=4, frames=frames, seed=frames)
    track.padding[1, -1:] = True
    track.padding[2, frames // 3 :] = True
    track.voicing[3] = 0.0
    track.null[2] = True
    pooled = track.pool(factor)
    assert pooled.f0.shape == (4, math.ceil(frames / factor)) and pooled.step == factor
    assert pooled.null.dtype == pooled.padding.dtype == torch.bool
    for name, expected in pool_by_hand(track, factor).items():
        if factor == 1 and name in ("voicing", "energy"):
            continue  # frames beyond the recording keep what they had
        found = getattr(pooled, name).double()
        assert torch.allclose(found, torch.tensor(expected).double(), rtol=2e-6, atol=1e-6), name


def test_f0_is_the_geometric_mean_of_the_voiced_frames(make_track: MakeTrack) -> None:
    track = make_track(
        frames=4, f0=torch.tensor([[100.0, 50.0, 400.0, 50.0]]), voicing=torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    )
    torch.testing.assert_close(track.pool(4).f0, torch.tensor([[200.0]]))
    torch.testing.assert_close(track.pool(4).voicing, torch.tensor([[0.5]]))


@pytest.mark.parametrize(("flags", "expected"), [("1111", "11"), ("1011", "01"), ("0000", "00"), ("110", "10")])
def test_a_pooled_frame_is_null_only_if_all_it_covers_are(make_track: MakeTrack, flags: str, expected: str) -> None:
    null = torch.tensor([[flag == "1" for flag in flags]])
    pooled = make_track(frames=len(flags), null=null).pool(2)
    assert pooled.null.tolist() == [[flag == "1" for flag in expected]]
    assert not pooled.padding.any()


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("more", [1, 4, 9])
def test_padding_changes_no_pooled_frame(make_track: MakeTrack, factor: int, more: int) -> None:
    track = make_track(batch=2, frames=10)
    alone, together = track.pool(factor), padded(track, more).pool(factor)
    for name in FIELDS:
        before = getattr(alone, name)
        torch.testing.assert_close(getattr(together, name)[:, : before.shape[1]], before, atol=1e-6, rtol=1e-6)
    assert together.padding[:, alone.f0.shape[1] :].all() and together.null[:, alone.f0.shape[1] :].all()


@settings(max_examples=25, deadline=None)
@given(windows=st.integers(1, 4), seed=st.integers(0, 1000))
def test_pooling_twice_by_two_is_pooling_by_four(make_track: MakeTrack, windows: int, seed: int) -> None:
    track = make_track(batch=2, frames=4 * windows, seed=seed)
    twice, once = track.pool(2).pool(2), track.pool(4)
    for name in FIELDS:
        torch.testing.assert_close(getattr(twice, name), getattr(once, name), atol=1e-5, rtol=1e-5)
    assert twice.step == once.step == 4
