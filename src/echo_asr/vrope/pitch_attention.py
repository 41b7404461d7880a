"""What turns with pitch inside a pretrained encoder: the modules that `adapt` puts there.

Shapes: `B` batch, `N` states of the encoder, `C` values in a state, `H` heads, `K` width of a head, `P` pitch pairs.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .frequencies import octave_frequencies
from .precision import precise_device
from .rotation import AXIS_SHARE, Turns, rotate, rotate_first
from .track import PitchTrack

CHANNELS = 4  # z where voiced, voicing, energy, periodicity


@dataclass(frozen=True)
class Pitch:
    """What adapters read of a track: `z` `(B, N)` in octaves, and the channels `(B, N, 4)`, 0 in padding."""

    z: Tensor
    channels: Tensor

    @staticmethod
    def of(track: PitchTrack, periodicity: Tensor | None, reference: str) -> Pitch:
        z = track.z(reference)
        known = track.voicing if periodicity is None else periodicity
        channels = torch.stack((z * track.voicing, track.voicing, track.energy, known), dim=-1)
        return Pitch(z, channels.masked_fill(track.padding[..., None], 0.0))

    def part(self, start: int, end: int) -> Pitch:
        """Frames `start` to `end`."""
        return Pitch(self.z[:, start:end], self.channels[:, start:end])


class CurrentPitch(threading.local):
    """The pitch that the adapters of one encoder read, in each thread its own; None outside `PitchAdapters.pitch`."""

    pitch: Pitch | None = None

    def __reduce__(self) -> tuple[type[CurrentPitch], tuple[()]]:
        return CurrentPitch, ()  # a copy of an encoder has one of its own

    def of(self, states: Tensor) -> Pitch:
        """The pitch for states `(B, N, C)`.

        Raises:
            RuntimeError: no track was given.
            ValueError: it does not fit.
        """
        if self.pitch is None:
            raise RuntimeError(
                "the encoder has pitch adapters and no pitch track; run it inside `with adapters.pitch(track):`, and "
                "where layers are computed anew in backward, give checkpoint context_fn=adapters.checkpoint_contexts"
            )
        if self.pitch.z.shape != states.shape[:2]:
            given, needed = tuple(self.pitch.z.shape), tuple(states.shape[:2])
            raise ValueError(f"the pitch track must have a frame for each state, {needed} (batch, time), got {given}")
        return self.pitch


class PitchContext(AbstractContextManager[None]):
    """Sets the current pitch of a thread inside `with`; may be entered again."""

    def __init__(self, current: CurrentPitch, pitch: Pitch | None) -> None:
        self.current, self.pitch = current, pitch
        self.before: list[Pitch | None] = []

    def __enter__(self) -> None:
        self.before.append(self.current.pitch)
        self.current.pitch = self.pitch

    def __exit__(self, *exception: object) -> None:
        self.current.pitch = self.before.pop()


class PitchInput(nn.Module):
    """Adds the pitch channels to states `(B, N, C)` through a linear projection `(C, 4)`, at first 0."""

    def __init__(self, width: int, current: CurrentPitch, like: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(like.new_zeros(width, CHANNELS))
        self.current = current

    def forward(self, states: Tensor) -> Tensor:
        channels = self.current.of(states).channels
        return states + nn.functional.linear(channels.to(self.weight), self.weight).to(states.dtype)


class PitchTurns(nn.Module):
    """How far the heads of one attention module turn with pitch.

    Attributes:
        score: scale for queries and keys, `(H,)` for the heads of the keys, at first 0.
        value: scale for values, the same.
        width: K.
    """

    def __init__(self, heads: int, width: int, current: CurrentPitch, like: Tensor) -> None:
        super().__init__()
        self.score, self.value = nn.Parameter(like.new_zeros(heads)), nn.Parameter(like.new_zeros(heads))
        self.width, self.current = width, current

    @property
    def pairs(self) -> int:
        """P, the pairs of a head that turn: as many as under theta `axis`, and one at least."""
        return max(1, self.width // 2 // AXIS_SHARE)

    def forward(self, states: Tensor) -> tuple[Turns, Turns]:
        """Cosine and sine of `s_h w_j z_t` for states `(B, N, C)`, first of scores, then of values: `(B, N, H, P)`
        each, float32 at least."""
        z, device = self.current.of(states).z, self.score.device
        dtype = torch.promote_types(self.score.dtype, torch.float32)
        per_octave = octave_frequencies(self.pairs, precise_device(device)).to(dtype).to(device)
        octaves = z.to(device, dtype)[..., None, None] * per_octave
        score, value = (octaves * scale.to(dtype)[:, None] for scale in (self.score, self.value))
        return (score.cos(), score.sin()), (value.cos(), value.sin())


class PitchAttention(nn.Module):
    """What comes before an attention class, in a class made of both, so that its heads turn with pitch.

    The forward of the attention class runs as it is, on projections whose outputs turn (queries, keys, values) or whose
    input turns back (output): its scaling, masks, positions and kernels remain. For an architecture that needs more, a
    subclass overrides `forward`.
    """

    pitch_turns: PitchTurns
    pitch_names: tuple[str, ...]  # of the query, key, value and output projections
    interleaved = False  # pair j is the dimensions 2 j and 2 j + 1 of a head; else j and j + P

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        turns: list[tuple[Turns, Turns]] = []

        def turn(x: Tensor, which: int, back: bool = False) -> Tensor:
            if not turns:
                turns.append(self.pitch_turns(x))
            heads = x.unflatten(2, (-1, self.pitch_turns.width))
            return self.turn(heads, turns[0][which], back).flatten(2)

        query, key, value, output = modules = [getattr(self, name) for name in self.pitch_names]
        calls: tuple[Callable[[Tensor], Tensor], ...] = (
            lambda x: turn(query(x), 0),
            lambda x: turn(key(x), 0),
            lambda x: turn(value(x), 1),
            lambda x: output(turn(x, 1, back=True)),
        )
        turning = dict(zip(self.pitch_names, map(_Projection, modules, calls), strict=True))
        forward: Any = super().forward
        out = forward.__func__(_Seen(self, turning), *args, **kwargs)
        if unused := [name for name, projection in turning.items() if not projection.called]:
            raise TypeError(
                f"{forward.__qualname__} does not call {', '.join(unused)}, so that pitch would have no effect; "
                f"give adapt a PitchAttention for its class (kinds), as echo_asr.pretrained.adapters does"
            )
        return out

    def turn(self, heads: Tensor, turns: Turns, back: bool = False) -> Tensor:
        """Heads `(B, N, H, K)` with their first P pairs turned, or turned back. Where several heads of queries share
        one of keys, they turn as it does."""
        cosine, sine = turns
        if (shared := heads.shape[2] // cosine.shape[2]) > 1:
            cosine, sine = (x.repeat_interleave(shared, dim=2) for x in turns)
        sine = -sine if back else sine
        if not self.interleaved:
            return rotate_first(heads, cosine, sine)
        width = 2 * cosine.shape[-1]
        halves = heads[..., :width].unflatten(-1, (-1, 2)).mT.flatten(-2)
        turned = rotate(halves, cosine, sine).unflatten(-1, (2, -1)).mT.flatten(-2)
        return torch.cat((turned, heads[..., width:]), dim=-1)


class _Projection:
    """A projection as the forward of an attention class sees it; remembers whether it was called."""

    def __init__(self, module: nn.Module, call: Callable[[Tensor], Tensor]) -> None:
        self.module, self.call, self.called = module, call, False

    def __call__(self, x: Tensor) -> Tensor:
        self.called = True
        return self.call(x)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


class _Seen:
    """A module as the forward of its class sees it: the module itself, but for some attributes."""

    def __init__(self, module: nn.Module, attributes: Mapping[str, Any]) -> None:
        vars(self).update(_module=module, _attributes=attributes)

    def __getattr__(self, name: str) -> Any:
        return self._attributes[name] if name in self._attributes else getattr(self._module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)


class PitchLayer(nn.Module):
    """What comes before the class of the first layer, in a class made of both, to add pitch to the layer's input."""

    pitch_input: PitchInput

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            args = (self.pitch_input(args[0]), *args[1:])
        else:
            name = next(iter(inspect.signature(super().forward).parameters))
            kwargs[name] = self.pitch_input(kwargs[name])
        return super().forward(*args, **kwargs)
