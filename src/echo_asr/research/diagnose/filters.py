"""Do gates become filters of pitch? How much of a gate's variance over frames energy, voicing and F0 explain."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from echo_asr.data.batch import Batch
from echo_asr.model.echo import Echo
from echo_asr.model.options.gates import Gate
from echo_asr.research.diagnose.groups import Group, Value
from echo_asr.research.diagnose.probes import record_calls

STILL = 1e-3  # a gate whose factor varies by less than this from frame to frame is taken as constant


@torch.no_grad()
def gate_group(model: Echo, batches: Sequence[Batch], features: Collection[str] | None = None) -> Group:
    """Each gate of the encoders against energy, voicing and F0 of its frames, over all frames that are no padding.

    Gates of the text have no frames, and those of kind `scalar` are the same everywhere: neither has a row.
    """
    group = Group("gates_and_pitch", "Gates and pitch: what opens and shuts them")
    gates = {n: m for n, m in model.encoders.named_modules(prefix="encoders") if isinstance(m, Gate)}
    moving = {name: gate for name, gate in gates.items() if gate.kind != "scalar"}
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}  # factors (N, C) and channels of the track (N, 3)
    if moving:
        with record_calls(model.encoders, Gate, prefix="encoders") as calls:
            for batch in batches:
                model.encode(batch.features, features)
        for call in calls:
            track = call.arguments[1]
            frames = (call.output, track.channels(call.module.reference))
            found.setdefault(call.name, []).append(tuple(x[~track.padding].float().cpu().numpy() for x in frames))
    for name, parts in found.items():
        factors, channels = (np.concatenate(part) for part in zip(*parts, strict=True))
        group.rows[name.removesuffix(".feedforward.pass_gate")] = explained_variance(factors, channels)
    if not gates:
        group.remark = "no gates in this model (model.gate none)"
    elif not moving:
        group.remark = "a gate of this model is one number for all frames (model.gate scalar)"
    return group


def explained_variance(factors: np.ndarray, channels: np.ndarray) -> dict[str, Value]:
    """Shares of a gate's variance over frames that energy explains, voicing on top of it, and F0 on top of both.

    Shares are gains in R² of least squares on the features' first and second powers; F0 counts in voiced frames
    alone. For comparison, the last gain again with F0 taken from half of all voiced frames further on, which have
    nothing to do with these.

    Args:
        factors: `(N, C)`.
        channels: `(N, 3)`: z in octaves, voicing and energy, as of `PitchTrack.channels`.
    """
    z, voicing, energy = channels.T
    voiced = voicing > 0
    row: dict[str, Value] = {
        "mean": float(factors.mean()),
        "deviation": float(factors.std(axis=0).mean()),
        "frames": len(factors),
    }
    for name, chosen in (("voiced", voiced), ("unvoiced", ~voiced)):
        if chosen.any():
            row[name] = float(factors[chosen].mean())
    if float(row["deviation"]) < STILL:
        return row
    other = z.copy()
    other[voiced] = np.roll(z[voiced], int(voiced.sum()) // 2)
    loudness = [energy, energy**2]
    voice = [*loudness, voicing, voicing**2]
    by_loudness, by_voice = (explained(factors, np.stack(known, axis=1)) for known in (loudness, voice))
    by_f0, by_other = (
        explained(factors, np.stack([*voice, pitch * voicing, pitch**2 * voicing], axis=1)) for pitch in (z, other)
    )
    return row | {
        "by_energy": by_loudness,
        "by_voicing": by_voice - by_loudness,
        "by_f0": by_f0 - by_voice,
        "by_f0_of_others": by_other - by_voice,
    }


def explained(values: np.ndarray, known: np.ndarray) -> float:
    """R² of the least-squares fit of `(N, C)` by `(N, K)` and a constant, over all columns together."""
    values, known = (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64) for x in (values, known))
    fitted = known @ np.linalg.lstsq(known, values, rcond=None)[0]
    return 1.0 - float(((values - fitted) ** 2).sum() / (values**2).sum())
