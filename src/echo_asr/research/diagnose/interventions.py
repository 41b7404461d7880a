"""Changes to a recording's F0, or to a model, that show whether it matters; nothing is trained anew.

F0 reaches a model in two ways: as the *input* of Echo's encoders, and as the *position* of vRoPE (theta, radius, pitch
bias, pitch adapters in a pretrained encoder), of pitch gates and of aligned text pitch. The spectrogram, the waveform
and the states of a frozen pretrained encoder hold pitch, too, and are never touched: what is changed is what the
tracker measured, not the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from echo_asr.features import FeatureBatch, Features
from echo_asr.features.pitch import REFERENCE_F0, fill_track
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import encoder_input
from echo_asr.model.options.gates import Gate
from echo_asr.model.options.silence_stop import closing_frames
from echo_asr.vrope import HardNulls, VRoPEAttention

Place = Literal["position", "input", "both"]
SEMITONES = (-7, -2, 2, 7)
Change = Callable[[Sequence[Features]], list[Features]]


def removed(clips: Sequence[Features]) -> list[Features]:
    """Unvoiced everywhere: no F0, no voicing, no periodicity, and a track of 220 Hz, as of whispered speech."""
    return [_with_f0(clip, torch.zeros_like(clip.pitch[0])) for clip in clips]


def constant(clips: Sequence[Features]) -> list[Features]:
    """Each recording's voiced frames at their own geometric mean: the voice stays, the melody goes."""
    return [_with_f0(clip, torch.where(clip.pitch[0] > 0, _centre(clip), 0.0)) for clip in clips]


def transposed(semitones: float) -> Change:
    """All F0 higher or lower by so many semitones; the melody stays."""
    factor = 2.0 ** (semitones / 12.0)
    return lambda clips: [_with_f0(clip, clip.pitch[0] * factor, clip.track * factor) for clip in clips]


def shuffled_within(clips: Sequence[Features]) -> list[Features]:
    """The values of F0 in a random order over each recording's voiced frames: voicing and range stay."""
    rng, changed = np.random.default_rng(0), []
    for clip in clips:
        f0 = clip.pitch[0].clone()
        voiced = f0 > 0
        f0[voiced] = f0[voiced][torch.from_numpy(rng.permutation(int(voiced.sum())))]
        changed.append(_with_f0(clip, f0))
    return changed


def shuffled_between(clips: Sequence[Features]) -> list[Features]:
    """Each recording gets the track of another one, stretched to its length; which frames are voiced stays its own."""
    order = np.random.default_rng(0).permutation(len(clips)).tolist()
    giver = {index: order[place - 1] for place, index in enumerate(order)}  # one cycle: no recording gets its own
    changed = []
    for index, clip in enumerate(clips):
        other = clips[giver[index]]
        if not (other.pitch[0] > 0).any():
            other = clip
        at = np.linspace(0, other.frames - 1, clip.frames)
        hertz = np.exp(np.interp(at, np.arange(other.frames), np.log(other.track.numpy())))
        track = torch.from_numpy(hertz.astype(np.float32))
        changed.append(_with_f0(clip, torch.where(clip.pitch[0] > 0, track, 0.0)))
    return changed


CHANGES: dict[str, Change] = {
    "F0 removed": removed,
    "F0 constant": constant,
    "F0 shuffled between": shuffled_between,
    "F0 shuffled within": shuffled_within,
    **{f"F0 {semitones:+d} semitones": transposed(semitones) for semitones in SEMITONES},
}


def _with_f0(clip: Features, f0: Tensor, track: Tensor | None = None) -> Features:
    """The same recording with another F0 `(T,)`, 0 where unvoiced; its gaps are filled as always."""
    pitch = clip.pitch.clone()
    pitch[0] = f0
    if not (f0 > 0).any():
        pitch[2] = 0.0
    filled = torch.from_numpy(fill_track(f0.numpy())) if track is None else track
    return replace(clip, pitch=pitch, track=filled, voicing=(f0 > 0).float())


def _centre(clip: Features) -> Tensor:
    voiced = clip.pitch[0][clip.pitch[0] > 0]
    return voiced.log().mean().exp() if len(voiced) else torch.tensor(REFERENCE_F0)


def places(model: Echo, features: Sequence[str] | None = None) -> list[Place]:
    """Where F0 reaches a model, if anywhere; `features` are those that it uses, None for all."""
    vrope, config = model.config.vrope, model.config
    used = config.features if features is None else features
    position = (
        vrope.theta not in ("none", "static")
        or vrope.radius == "acoustic"
        or vrope.bias != "none"
        or config.gate == "pitch"
        or config.text_pitch == "aligned"
        or (config.adapters and "states" in used)
    )
    found: list[Place] = ["position"] if position else []
    if "pitch" in used or config.pitch_beside in used:
        found.append("input")
    return [*found, "both"] if len(found) == 2 else found


@contextmanager
def encoding(model: Echo, batch: FeatureBatch | None) -> Iterator[None]:
    """The encoders' input is this batch, whatever batch is passed to the model: that one gives the positions alone."""
    if batch is None:
        yield
        return
    closing = closing_frames(model.config.stop)
    own = batch.closed(closing) if closing else batch

    def hook(feature: str) -> Callable[..., tuple[Any, ...]]:
        def replaced(_: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            # States that were computed within the model come from the recording and the positions, and stay.
            computed = feature == "states" and model.pretrained is not None
            batch = replace(own, states=arguments[0][:, : model.states]) if computed else own
            return encoder_input(batch, feature, model.config), *arguments[1:]

        return replaced

    with ExitStack() as hooks:
        for name, encoder in model.encoders.items():
            hooks.enter_context(encoder.register_forward_pre_hook(hook(name)))
        yield


@contextmanager
def gates_opened(model: Echo) -> Iterator[None]:
    """Every gate lets through what comes, at the factor 1."""
    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, Gate):
                hooks.enter_context(module.register_forward_hook(lambda _, __, factor: torch.ones_like(factor)))
        yield


@contextmanager
def nulls_masked(model: Echo, start: bool) -> Iterator[None]:
    """Nulls get no attention at all: the start token in the text (`start`), or silence in the audio."""
    with ExitStack() as undo:
        for attention in null_attentions(model, start):
            undo.callback(setattr, attention, "nulls", attention.nulls)
            attention.nulls = HardNulls(attention.config.heads)
        yield


def null_attentions(model: Echo, start: bool) -> list[VRoPEAttention | CrossAttention]:
    """The self-attentions of the text (`start`), or all other attentions."""
    return [
        module
        for module in model.modules()
        if isinstance(module, VRoPEAttention | CrossAttention)
        and (isinstance(module, VRoPEAttention) and module.config.causal) == start
    ]
