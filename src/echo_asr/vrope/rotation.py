"""Rotary position encoding by time and pitch.

A pair of dimensions `(x_j, x_{j + P})` of a head is one complex number; the encoding multiplies it by
`polar(radius, phase)`, written in real arithmetic throughout. Phases are accumulated and reduced to one turn in
float64, whatever the autocast type, and cast afterwards: to float32, or not at all for queries in float64. On a device
without float64 the CPU computes them (`precise_device`), and the device gets the result in float32.

Sources: RoPE, Su et al. 2021 (arXiv:2104.09864); the mel set, the Echo founders' descriptions; theta `axis` is Echo's.
Values that rotate relative to the query: by time, Su 2025 (VO-RoPE, kexue.fm/archives/10862); by geometry, Miyato et
al. 2024 (GTA, arXiv:2310.10375); by pitch, here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from .config import VRoPEModes
from .frequencies import octave_frequencies, time_frequencies
from .precision import double, precise_device
from .track import PitchTrack

Turns = tuple[Tensor, Tensor]  # cosine and sine of phases
AXIS_SHARE = 4  # one pair in four turns with pitch under theta `axis`


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Multiply the complex pairs of `x` by `cosine + i sine`.

    Args:
        x: `(B, H, F, 2P)`; pair `j` is the dimensions `j` and `j + P`.
        cosine, sine: broadcast to `(B, 1, F, P)`, radius included.

    Returns:
        `(B, H, F, 2P)` in the dtype of `x`; the product is taken in the wider of the two dtypes.
    """
    real, imaginary = x.chunk(2, dim=-1)
    return torch.cat((real * cosine - imaginary * sine, real * sine + imaginary * cosine), dim=-1).to(x.dtype)


def rotate_first(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """`rotate` of the first `2P` dimensions of `x` `(B, H, F, K)`; the others stay as they are."""
    width = 2 * cosine.shape[-1]
    return torch.cat((rotate(x[..., :width], cosine, sine), x[..., width:]), dim=-1)


def wrap_phase(phase: Tensor, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
    """A float64 phase in radians, reduced to one turn and only then cast, and moved to a device."""
    return torch.remainder(phase, 2.0 * math.pi).to(dtype).to(device=device)


def positions(track: PitchTrack, clock: str = "frame", offset: int = 0) -> Tensor:
    """Ticks at the centre of each frame: `(F,)` float64.

    With clock `frame` a tick is 10 ms and frame `i` of `r` ticks is centred at `i r + (r - 1) / 2`; with clock
    `encoder` a tick is a frame, RoPE's own unit. `offset` is the index of the first frame.
    """
    step = track.step if clock == "frame" else 1.0
    device = precise_device(track.f0.device)
    return frame_centres(torch.arange(track.f0.shape[1], dtype=torch.float64, device=device) + offset, step)


def frame_centres(index: Tensor, step: float) -> Tensor:
    """Ticks at the centres of the frames `index` of `step` ticks each."""
    return index * step + (step - 1.0) / 2.0


class Rotation(nn.Module):
    """Phase `t m_j` of the frame at tick `t` and pair `j`, and radius. Base of every theta.

    A theta overrides `ticks` (how far the clock has run) or `phase`.

    Args:
        modes: frequencies, clock, and what the theta itself needs.
        pairs: P, complex pairs in a head's content.
        radius: computes the magnitude of the rotation from the track (`published/radii.py`); None for the unit circle.
    """

    by_modes_alone = False  # whether the phase depends on modes and track alone, unless frequencies are learnt

    def __init__(self, modes: VRoPEModes, pairs: int, radius: nn.Module | None = None) -> None:
        super().__init__()
        self.modes, self.pairs = modes, pairs
        # What two rotations with equal turns have in common; empty if they may differ.
        self.shared: tuple[Any, ...] = ()
        if self.by_modes_alone and radius is None and not modes.learn_frequencies:
            ofs = modes.theta, modes.frequencies, modes.clock, modes.fastest, modes.reference, modes.rotate_values
            self.shared = (*ofs, pairs)
        if modes.learn_frequencies:
            self.learned_frequencies = nn.Parameter(self.fixed_frequencies().float())
        self.radius = radius

    @property
    def pitch_pairs(self) -> int:
        """Pairs that turn with pitch and not with time; they come first."""
        return 0

    def fixed_frequencies(self, device: torch.device | None = None) -> Tensor:
        """The set that turns with time, `(P,)` float64, less the pitch pairs. Made anew at each use: a buffer would be
        narrowed with the module, and float32 already puts the phases after an hour a twentieth of a radian out."""
        return time_frequencies(self.modes, self.pairs - self.pitch_pairs, device)

    def ticks(self, track: PitchTrack, offset: int = 0) -> Tensor:
        """How far the clock has run at the centre of each frame: `(B or 1, F)` float64.

        Raises:
            ValueError: a cache offset, with a theta that needs the whole utterance.
        """
        if offset:
            theta = self.modes.theta
            raise ValueError(f"theta {theta} needs the whole utterance and cannot continue at offset {offset}")
        return positions(track, self.modes.clock)[None]

    def phase(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Phases in radians, reduced to one turn: `(B or 1, F, P)` of `dtype`. `offset` is that of a cache."""
        ticks = self.ticks(track, offset)
        learned = self.modes.learn_frequencies
        frequencies = double(self.learned_frequencies) if learned else self.fixed_frequencies(ticks.device)
        return wrap_phase(ticks[..., None] * frequencies, dtype, track.f0.device)

    def turns(self, track: PitchTrack, offset: int, dtype: torch.dtype) -> Turns:
        """Cosine and sine of the phase, each `(B or 1, F, P)` of `dtype`."""
        phase = self.phase(track, offset, dtype)
        return phase.cos(), phase.sin()

    def remembered(self, turns: Callable[..., Turns | None], track: PitchTrack, *others: Any) -> Turns | None:
        """`turns(track, *others)`, a method of this object or the object itself; computed once for a track where the
        layers that read it have equal turns."""
        if not self.shared or torch.compiler.is_compiling() or track.f0.requires_grad:
            return turns(track, *others)
        key = (turns is self, torch.is_inference_mode_enabled(), *others, *self.shared)
        if key not in track.remembered:
            track.remembered[key] = turns(track, *others)
        found: Turns | None = track.remembered[key]
        return found

    def value_turns(self, track: PitchTrack, dtype: torch.dtype = torch.float32) -> Turns | None:
        """What values rotate by, as `turns`; None where they do not."""
        return None

    def forward(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Turns | None:
        """`(cosine, sine)`, each `(B or 1, 1, F, P)` of `dtype` with the radius inside; None where nothing rotates."""
        cosine, sine = self.turns(track, offset, dtype)
        if self.radius is not None:
            radius = self.radius(track)
            cosine, sine = cosine * radius, sine * radius
        return cosine[:, None], sine[:, None]


class AxisRotation(Rotation):
    """Theta `axis`: pitch as a second rotary axis. A quarter of the pairs turn with pitch in octaves, the others with
    time; for given content, scores depend on differences of pitch alone.

    With `rotate_values` the first dimensions of the values rotate by pitch, too, and what a frame reads rotates back by
    its own pitch: it reads how much higher or lower the others are.
    """

    by_modes_alone = True

    def __init__(self, modes: VRoPEModes, pairs: int, radius: nn.Module | None = None) -> None:
        super().__init__(modes, pairs, radius)
        if modes.learn_frequencies:
            self.learned_octave_frequencies = nn.Parameter(octave_frequencies(self.pitch_pairs).float())

    @property
    def pitch_pairs(self) -> int:
        return self.pairs // AXIS_SHARE

    def pitch_phase(self, track: PitchTrack, dtype: torch.dtype = torch.float32) -> Tensor:
        """Phases of the pitch pairs in radians, reduced to one turn: `(B, F, pitch pairs)`."""
        per_octave = octave_frequencies(self.pitch_pairs, precise_device(track.f0.device))
        if self.modes.learn_frequencies:
            per_octave = double(self.learned_octave_frequencies)
        return wrap_phase(double(track.z(self.modes.reference))[..., None] * per_octave, dtype, track.f0.device)

    def phase(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Phases of the pitch pairs, then those of time: `(B, F, P)`."""
        of_time, of_pitch = super().phase(track, offset, dtype), self.pitch_phase(track, dtype)
        return torch.cat((of_pitch, of_time.expand(of_pitch.shape[0], -1, -1)), dim=-1)

    def value_turns(self, track: PitchTrack, dtype: torch.dtype = torch.float32) -> Turns | None:
        """`(cosine, sine)`, each `(B, 1, F, pitch pairs)` of `dtype`; None without `rotate_values`.

        On the unit circle: a radius weighs which frames are attended to, not how large what is read of them is.
        """
        if not self.modes.rotate_values:
            return None
        phase = self.pitch_phase(track, dtype)[:, None]
        return phase.cos(), phase.sin()


class StaticRotation(Rotation):
    """Theta `static`: time alone. With the inverse-power set it is RoPE; the decoder uses it for text."""

    by_modes_alone = True

    def ticks(self, track: PitchTrack, offset: int = 0) -> Tensor:
        """`(1, F)` float64; `offset` is the index of the first frame."""
        return positions(track, self.modes.clock, offset)[None]

    def turns(self, track: PitchTrack, offset: int, dtype: torch.dtype) -> Turns:
        """Cosine and sine of the phase, each `(1, F, P)`, from a table unless the frequencies are learnt."""
        modes = self.modes
        if modes.learn_frequencies or torch.compiler.is_compiling():
            return super().turns(track, offset, dtype)
        end = offset + track.f0.shape[1]
        frames = max(64, 1 << (end - 1).bit_length())  # so that few tables are made
        step = track.step if modes.clock == "frame" else 1.0
        cosine, sine = static_turns(modes, self.pairs, step, frames, track.f0.device, dtype)
        return cosine[None, offset:end], sine[None, offset:end]


class NoRotation(Rotation):
    """Theta `none`: no position; a radius alone may scale the pairs."""

    def phase(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Zeros, `(1, 1, P)`."""
        return torch.zeros(1, 1, self.pairs, dtype=dtype, device=track.f0.device)

    def forward(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Turns | None:
        """As `Rotation.forward`; None on the unit circle."""
        return None if self.radius is None else super().forward(track, offset, dtype)


@lru_cache(maxsize=32)
def static_turns(
    modes: VRoPEModes, pairs: int, step: float, frames: int, device: torch.device, dtype: torch.dtype
) -> Turns:
    """Cosines and sines of theta `static` with a fixed set, each `(frames, pairs)`, remembered: neither the recording
    nor training changes them, and a decoder needs them at each token."""
    with torch.inference_mode(False):
        precise = precise_device(device)
        ticks = frame_centres(torch.arange(frames, dtype=torch.float64, device=precise), step)
        phase = wrap_phase(ticks[:, None] * time_frequencies(modes, pairs, precise), dtype, device)
        return phase.cos(), phase.sin()
