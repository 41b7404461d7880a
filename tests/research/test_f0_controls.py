from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor, Features
from echo_asr.research.f0_controls import F0Control, control_f0

DONORS = [torch.tensor([100.0, 200.0]), torch.tensor([400.0, 100.0, 400.0])]


def controlled(kind: F0Control, one: Features) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return control_f0(kind, one.pitch, one.track, one.voicing, DONORS)


def test_each_control_keeps_what_it_says(make_features: Callable[..., Features]) -> None:
    one = make_features(29)
    before = one.pitch.clone(), one.track.clone(), one.voicing.clone()
    voiced = one.pitch[0] > 0
    for kind in get_args(F0Control):
        pitch, track, voicing = controlled(kind, one)
        assert torch.equal(pitch[1], one.pitch[1]), "energy stays"
        assert torch.equal(pitch[0], track * voicing), "what is heard and what turns agree"
        if kind == "energy":
            assert not voicing.any() and not pitch[2].any() and not pitch[0].any()
        else:
            assert torch.equal(voicing, one.voicing) and torch.equal(pitch[2], one.pitch[2])
        if kind in ("voicing", "energy"):
            assert (track == 220.0).all()
        if kind == "constant":
            assert (track == one.pitch[0][voiced].median()).all()
        if kind == "as_heard":
            assert torch.equal(track, one.track)
    assert all(torch.equal(a, b) for a, b in zip(before, (one.pitch, one.track, one.voicing), strict=True))


def test_a_shuffled_contour_is_anothers_from_end_to_end(make_features: Callable[..., Features]) -> None:
    seen = set()
    for seed in range(12):
        _, track, _ = controlled("shuffled", make_features(33, seed=seed))
        donor = DONORS[0] if track[-1] == 200.0 else DONORS[1]
        where = np.linspace(0, len(donor) - 1, 33)
        octaves = np.interp(where, np.arange(len(donor)), np.log2(donor.numpy()))
        torch.testing.assert_close(track, torch.from_numpy(2**octaves).float())
        seen.add(len(donor))
    assert seen == {2, 3}, "all are handed out"


def test_nobody_is_handed_their_own_contour(make_features: Callable[..., Features]) -> None:
    clips = [make_features(20, seed=seed) for seed in range(8)]
    for one in clips:
        _, track, _ = control_f0("shuffled", one.pitch, one.track, one.voicing, [c.track for c in clips])
        assert not torch.equal(track, one.track)


def test_a_recording_without_voice_stays_without(make_features: Callable[..., Features]) -> None:
    heard = make_features(9)
    silent = torch.zeros(9)
    one = replace(heard, pitch=torch.stack((silent, heard.pitch[1], silent)), voicing=silent)
    for kind in get_args(F0Control):
        pitch, track, _ = controlled(kind, one)
        assert not pitch[0].any() and (track > 0).all()


def test_shuffled_needs_others() -> None:
    extractor = FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation", f0="shuffled"))
    with pytest.raises(EchoError, match="features.f0 shuffled takes the pitch of another recording"):
        extractor(np.zeros(800, np.float32))


def test_what_is_kept_on_disk_is_the_same_for_all() -> None:
    """So that a study of controls extracts features once."""
    keys = {FeatureExtractor(FeatureConfig(tracker="autocorrelation", f0=kind)).key for kind in get_args(F0Control)}
    assert len(keys) == 1
    with pytest.raises(ValueError, match="f0: expected one of as_heard, shuffled"):
        FeatureConfig(f0="none")  # type: ignore[arg-type]
