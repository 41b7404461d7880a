"""What is done to F0 and to a model: what changes, what stays, and that it is undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from echo_asr.features import Features, collate_features
from echo_asr.research.diagnose import interventions
from echo_asr.research.diagnose.interventions import (
    CHANGES,
    constant,
    encoding,
    gates_opened,
    null_attentions,
    nulls_masked,
    places,
    removed,
    shuffled_between,
    shuffled_within,
    transposed,
)

Make = Callable[..., Any]


@pytest.fixture
def clips(make_features: Make) -> list[Features]:
    return [make_features(frames, seed) for frames, seed in ((40, 0), (29, 1), (22, 2), (61, 3))]


@pytest.mark.parametrize("name", CHANGES)
def test_only_f0_changes_and_originals_stay(name: str, clips: list[Features]) -> None:
    before = [torch.cat((c.pitch, c.track[None], c.voicing[None])).clone() for c in clips]
    for clip, changed in zip(clips, CHANGES[name](clips), strict=True):
        for kept in ("spectrogram", "null", "waveform"):
            assert getattr(changed, kept) is getattr(clip, kept)
        assert torch.equal(changed.pitch[1], clip.pitch[1])
        assert torch.equal(changed.voicing, (changed.pitch[0] > 0).float()) and (changed.track > 0).all()
        voiced = changed.pitch[0] > 0
        torch.testing.assert_close(changed.track[voiced], changed.pitch[0][voiced])
        if name != "F0 removed":
            assert torch.equal(voiced, clip.pitch[0] > 0)
    assert all(
        torch.equal(b, torch.cat((c.pitch, c.track[None], c.voicing[None]))) for b, c in zip(before, clips, strict=True)
    )


def test_each_change_is_what_it_says(clips: list[Features]) -> None:
    gone = removed(clips)[0]
    assert not gone.pitch[0].any() and not gone.pitch[2].any() and (gone.track == 220.0).all()
    flat = constant(clips)[0].pitch[0]
    own = clips[0].pitch[0]
    assert torch.allclose(flat[flat > 0], own[own > 0].log().mean().exp())
    up = transposed(7)(clips)[0]
    assert torch.allclose(up.track, clips[0].track * 2 ** (7 / 12))
    mixed = shuffled_within(clips)[0].pitch[0]
    assert torch.equal(mixed.sort().values, own.sort().values) and not torch.equal(mixed, own)
    swapped = shuffled_between(clips)
    for clip, other in zip(clips, swapped, strict=True):
        voiced = clip.pitch[0] > 0
        assert not torch.allclose(other.pitch[0][voiced], clip.pitch[0][voiced])


def test_a_recording_without_a_voiced_frame(clips: list[Features]) -> None:
    silent = removed(clips)
    for change in CHANGES.values():
        for clip in change(silent):
            assert not clip.pitch[0].any() and torch.isfinite(clip.track).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["input"]),
        ({"features": ("spectrogram",)}, []),
        ({"features": ("spectrogram",), "vrope": {"theta": "axis"}}, ["position"]),
        ({"vrope": {"bias": "laplace"}}, ["position", "input", "both"]),
        ({"gate": "pitch"}, ["position", "input", "both"]),
        ({"vrope": {"radius": "learned"}}, ["input"]),
        ({"features": ("states",), "ctc_feature": "states"}, []),
        ({"features": ("states",), "ctc_feature": "states", "pitch_input": True}, ["input"]),
    ],
)
def test_where_f0_reaches_a_model_is_where_it_changes_something(
    make_model: Make, clips: list[Features], options: dict[str, Any], expected: list[str]
) -> None:
    model = make_model(**options)
    assert places(model) == expected
    own, other = collate_features(clips), collate_features(constant(transposed(7)(clips)))
    tokens = torch.tensor([[0, 1, 2]] * len(clips))

    def logits(position: Any, heard: Any) -> torch.Tensor:
        with torch.no_grad(), encoding(model, heard):
            found: torch.Tensor = model.decode(tokens, model.decoder.state(model.encode(position), cached=False))
        return found

    before = logits(own, None)
    assert torch.equal(logits(own, own), before)
    assert torch.equal(logits(other, own), before) == ("position" not in expected)
    assert torch.equal(logits(own, other), before) == ("input" not in expected)
    assert torch.equal(logits(other, None), logits(other, other))


def test_hearing_another_batch_holds_for_a_model_that_stops_by_silence(make_model: Make, clips: list[Features]) -> None:
    model, batch = make_model(stop="silence"), collate_features(clips)
    with torch.no_grad(), encoding(model, batch):
        found = model.encode(batch).states
    for name, value in model.encode(batch).states.items():
        assert torch.equal(found[name], value)


def test_opened_gates_are_gates_of_one(make_model: Make, clips: list[Features]) -> None:
    model, batch = make_model(gate="pitch"), collate_features(clips)
    with torch.no_grad(), gates_opened(model):
        found = model.encode(batch).states["spectrogram"]
    assert not torch.allclose(found, model.encode(batch).states["spectrogram"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".pass_gate." in name:
                parameter.zero_()
        torch.testing.assert_close(model.encode(batch).states["spectrogram"], found)


@pytest.mark.parametrize("nulls", ["none", "weight", "score"])
def test_masked_silence_gets_nothing_and_comes_back(make_model: Make, clips: list[Features], nulls: str) -> None:
    model, batch = make_model(vrope={"nulls": nulls}, cross_nulls=nulls), collate_features(clips)
    modes = [each.nulls.mode for each in null_attentions(model, False)]
    assert set(modes) == {nulls} and len(modes) == 5
    louder = collate_features([interventions.replace(c, spectrogram=c.spectrogram + 3.0 * c.null) for c in clips])

    def spoken(batch: Any) -> torch.Tensor:  # the frames whose front end hears no null
        with torch.no_grad():
            encoded = model.encode(batch)
            found: torch.Tensor = model.encoders["spectrogram"].blocks[0].attention.modulate(
                *(torch.ones(4, 2, encoded.track.f0.shape[1], n) for n in _widths(model)),
                encoded.track.null[:, None, :, None].float().expand(-1, 2, -1, 16), encoded.track,
            )  # fmt: skip
        return found

    with nulls_masked(model, start=False):
        assert not spoken(batch).any()  # of values that are 1 at the nulls alone
    assert spoken(louder).any() and [each.nulls.mode for each in null_attentions(model, False)] == modes


def _widths(model: Any) -> list[int]:
    return [model.encoders["spectrogram"].blocks[0].attention.config.content_width] * 2


def test_a_hidden_start_token_tells_nothing(make_model: Make, clips: list[Features]) -> None:
    model, batch = make_model(), collate_features(clips[:1])
    tokens = torch.tensor([[0, 1, 2]])
    block = model.decoder.blocks[0].attention
    with torch.no_grad(), nulls_masked(model, start=True):
        x = torch.randn(1, 3, 32)
        other = torch.cat((torch.randn(1, 1, 32), x[:, 1:]), 1)
        from echo_asr.vrope import PitchTrack

        track = PitchTrack.tokens(tokens == 0)
        torch.testing.assert_close(block(x, track)[:, 1:], block(other, track)[:, 1:])
        assert torch.isfinite(model(batch, tokens)).all()
