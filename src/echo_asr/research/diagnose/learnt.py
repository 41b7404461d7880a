"""What vRoPE learnt: theta, radii, pitch bias, null weights, and the attention to silence and to the start token."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from echo_asr.data.batch import Batch
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.model.echo import Echo
from echo_asr.research.diagnose.groups import Group, Value
from echo_asr.research.diagnose.probes import record_calls
from echo_asr.research.diagnose.zero import ZeroShare
from echo_asr.vrope import PitchTrack, Rotation, SoftNulls, VRoPEAttention
from echo_asr.vrope.published.thetas import IntegratedRotation

SATURATED = 0.95  # share of the way to its bound at which a radius counts as saturated


def attentions(model: Echo) -> dict[str, VRoPEAttention]:
    """The self-attentions of a model by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, VRoPEAttention)}


@torch.no_grad()
def theta_group(model: Echo) -> Group:
    """Theta of each self-attention: its exponent, where that is learnt, and its rotary frequencies."""
    group = Group("theta", "Theta: how positions turn")
    for name, attention in attentions(model).items():
        rotation = attention.rotation
        modes = rotation.modes
        row: dict[str, Value] = {"theta": modes.theta}
        if isinstance(rotation, IntegratedRotation):
            row["exponent"] = float(rotation.exponent)
        if modes.theta not in ("none", "mapped"):
            fixed = rotation.fixed_frequencies()
            learnt = modes.learn_frequencies
            timed = rotation.learned_frequencies.cpu().double() if learnt else fixed
            encoder = name.startswith("encoders.")
            ticks = model.config.subsampling if encoder and modes.clock == "frame" else 1
            row["slowest"], row["fastest"] = float(timed.min()), float(timed.max())
            row["aliased"] = float((timed * ticks > math.pi).double().mean())
            if learnt:
                row["frequencies_moved"] = float((timed - fixed).abs().mean())
        if modes.theta == "axis":
            row["pitch_pairs"] = rotation.pitch_pairs
        group.rows[name] = row
    own = [row["theta"] for name, row in group.rows.items() if name.startswith("encoders.")]
    remarks = []
    if all(theta in ("none", "static") for theta in own):
        remarks.append(f"theta {own[0]} does not use F0, and no exponent is learnt")
    if not model.config.vrope.learn_frequencies:
        remarks.append("the rotary frequencies are fixed (model.vrope.learn_frequencies false)")
    group.remark = "; ".join(remarks)
    return group


@torch.no_grad()
def radius_group(model: Echo, batches: Sequence[Batch], features: Collection[str] | None = None) -> Group:
    """Radii of each self-attention over the positions of the batches that are no padding."""
    group = Group("radii", "Radii: how far from the centre")
    rotations = {name: attention.rotation for name, attention in attentions(model).items()}
    turning = {name: rotation for name, rotation in rotations.items() if rotation.radius is not None}
    found: dict[str, list[tuple[PitchTrack, Tensor]]] = {}
    for batch in batches if turning else ():
        with record_calls(model, VRoPEAttention) as calls:
            model.loss(batch.features, batch.tokens, batch.lengths, features=features)
        text = torch.arange(batch.tokens.shape[1] + 1, device=batch.tokens.device) <= batch.lengths[:, None]
        for call in calls:
            track = call.arguments[1]
            inside = text if call.name.startswith("decoder.") else ~track.padding
            found.setdefault(call.name, []).append((track, inside))
    group.rows = {name: _radius_row(rotation, found[name]) for name, rotation in turning.items() if name in found}
    if not group.rows:
        group.remark = "every radius is 1 in this model (model.vrope.radius unit)"
    return group


def _radius_row(rotation: Rotation, tracks: Sequence[tuple[PitchTrack, Tensor]]) -> dict[str, Value]:
    values, moves = [], []
    for track, inside in tracks:
        assert rotation.radius is not None
        whole = rotation.radius(track).expand(*inside.shape, -1)
        values.append(whole[inside])
        moves += [float(one[own].std(0, correction=0).mean()) for one, own in zip(whole, inside, strict=True)]
    radii = torch.cat(values)
    far = (radii - 1.0).abs() > SATURATED * rotation.modes.radius_range
    return {
        "radius_min": float(radii.min()),
        "radius_mean": float(radii.mean()),
        "radius_max": float(radii.max()),
        "over_time": sum(moves) / len(moves),
        "saturated": float(far.float().mean()),
    }


@torch.no_grad()
def bias_group(model: Echo) -> Group:
    """Strength of the pitch bias of each head, and over how many octaves it reaches."""
    group = Group("pitch_bias", "Pitch bias: frames of similar pitch attend to each other")
    for name, attention in attentions(model).items():
        if attention.bias is not None:
            spread = {"spread": attention.bias.spread.tolist()} if attention.bias.has_spread else {}
            group.rows |= _by_head(name, {"strength": attention.bias.strength.tolist(), **spread})
    if not group.rows:
        group.remark = "no pitch bias in this model (model.vrope.bias none)"
    return group


@torch.no_grad()
def gamma_group(model: Echo) -> Group:
    """The factor on nulls of each head."""
    group = Group("null_weights", "Null weights: what silence and the start weigh")
    for name, module in model.named_modules():
        if isinstance(module, VRoPEAttention | CrossAttention) and isinstance(module.nulls, SoftNulls):
            nulls = module.nulls
            group.rows |= _by_head(name, {"mode": [nulls.mode] * nulls.heads, "gamma": nulls.log_gamma.exp().tolist()})
    if not group.rows:
        group.remark = "no null weight is learnt in this model (its null modes are none or hard)"
    return group


def _by_head(name: str, figures: Mapping[str, Sequence[Value]]) -> dict[str, dict[str, Value]]:
    """Figures that each have a value a head, as a row a head."""
    heads = zip(*figures.values(), strict=True)
    return {f"{name} head {head}": dict(zip(figures, own, strict=True)) for head, own in enumerate(heads, start=1)}


def silence_group(shares: Sequence[ZeroShare]) -> Group:
    """The share of attention that silence and the start token get, while the model transcribes."""
    group = Group("attention_to_silence", "Attention to silence and to the start token")
    for one in shares:
        row: dict[str, Value] = {"null_keys": one.null_keys, "null_share": one.null_share}
        if one.head_shares:
            row["highest_head"] = max(one.head_shares)
        group.rows[one.layer] = row | ({} if one.start_share is None else {"start_share": one.start_share})
    if not any(name.startswith("decoder.") for name in group.rows):
        group.remark = "the model wrote no text of these recordings, so nothing is known of the decoder's attention"
    return group
