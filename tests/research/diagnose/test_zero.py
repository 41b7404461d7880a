"""Shares of attention against what they must be where every key gets the same, or where nulls get nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import FeatureConfig, Features
from echo_asr.model.checkpoint import Bundle
from echo_asr.research.diagnose.zero import ZeroShare, zero_shares
from echo_asr.text.tokenizer import Tokenizer

Make = Callable[..., Any]


def shares(make_model: Make, clips: list[Features], flat: bool = False, **options: Any) -> list[ZeroShare]:
    """Those of a random model; a flat one attends to all keys alike."""
    model = make_model(features=("spectrogram",), decoder_layers=1, **options)
    with torch.no_grad():
        model.decoder.end_bias.fill_(-1.0)
        for name, module in model.named_modules():
            if flat and name.endswith(".query") and isinstance(module, nn.Linear):
                module.weight.zero_()
    bundle = Bundle(model, Tokenizer.train(["abcxyz"]), FeatureConfig(mels=8, tracker="autocorrelation"))
    return zero_shares(Recognizer(bundle, DecodeConfig(max_tokens=5)), clips)


def test_every_attention_is_looked_at(make_model: Make, make_features: Make) -> None:
    found = shares(make_model, [make_features(40), make_features(23)], vrope={"nulls": "weight"}, cross_nulls="score")
    names = [one.layer for one in found]
    assert any(n.startswith("encoders.spectrogram.blocks.0") for n in names)
    assert "decoder.blocks.0.attention" in names and "decoder.stacks.spectrogram.0.cross" in names
    for one in found:
        assert len(one.gamma) == (0 if one.layer.startswith("decoder.") and "cross" not in one.layer else 2), one.layer
        assert (one.start_share is None) == (not one.layer.startswith("decoder.") or "cross" in one.layer)
        assert 0.0 <= one.null_share <= 1.0 and 0.0 < one.null_keys < 1.0


@pytest.mark.parametrize("vrope", [{"theta": "static"}, {"theta": "axis", "rotate_values": True}], ids=str)
def test_where_all_keys_are_alike_nulls_get_the_share_that_they_are(
    vrope: dict[str, Any], make_model: Make, make_features: Make
) -> None:
    """Also where values rotate by pitch."""
    clips = [make_features(40), make_features(23, seed=2)]
    for one in shares(make_model, clips, flat=True, cross_nulls="none", vrope=vrope):
        assert one.null_share == pytest.approx(one.null_keys, abs=1e-5), one.layer
        if one.start_share is not None:  # five tokens a text: positions 1 to 4 see 2 to 5 keys, one of which starts
            assert one.start_share == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4, abs=1e-5)


def test_a_near_zero_weight_is_a_near_zero_share_where_all_else_is_alike(make_model: Make, make_features: Make) -> None:
    clips = [make_features(40)]
    found = shares(make_model, clips, flat=True, vrope={"nulls": "weight"}, cross_nulls="weight")
    for one in found:
        if one.gamma:
            gamma = sum(one.gamma) / len(one.gamma)
            odds = one.null_keys / (1.0 - one.null_keys)
            assert one.null_share == pytest.approx(gamma * odds, rel=0.02), one.layer


def test_masked_nulls_get_nothing(make_model: Make, make_features: Make) -> None:
    found = shares(make_model, [make_features(40)], vrope={"nulls": "hard"}, cross_nulls="hard")
    heard = [one for one in found if one.start_share is None]
    assert len(heard) >= 2 and all(one.null_share == 0.0 and one.null_keys > 0.1 for one in heard)
