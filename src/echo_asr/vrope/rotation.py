"""Rotary position encoding whose angle, speed and magnitude the voice sets.

A pair of dimensions `(x_j, x_{j + P})` of a head is one complex number; the encoding multiplies it by
`polar(radius, phase)`, written in real arithmetic throughout. Phases are accumulated and reduced to one turn in
float64, whatever the autocast type, and cast afterwards: to float32, or not at all for queries in float64. A device
without float64 leaves that to the CPU (`precise_device`), and gets what comes of it in float32.

Sources: RoPE, Su et al. 2021 (arXiv:2104.09864); the mel set and the substitution of F0 for theta, the Echo founders'
descriptions. `integrated`, `axis` and the acoustic radius are Echo's. Values that turn relative to who hears them: with
time, Su 2025 (VO-RoPE, kexue.fm/archives/10862); with geometry, Miyato et al. 2024 (GTA, arXiv:2310.10375); with
pitch, here.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from .config import VRoPEModes
from .precision import double, precise_device
from .track import CHANNELS, REFERENCE_F0, PitchTrack

AXIS_SHARE = 4  # one pair in four turns with pitch under theta `axis`
AXIS_RANGE = (0.5, 8.0)  # rad per octave, slowest and fastest pitch pair
MAPPED_F0 = (50.0, 500.0)  # Hz, the range of mean F0 that `mapped` knows
MAPPED_BASE = (800.0, 10_000.0)  # the bases it is mapped to


INVERSE_POWER_FASTEST, MEL_FASTEST = 1.0, 8.0  # rad per tick of the fastest pair


def inverse_power_frequencies(
    pairs: int, base: float = 10_000.0, device: torch.device | None = None, fastest: float = INVERSE_POWER_FASTEST
) -> Tensor:
    """RoPE's set `base^(-j / P)`, `j = 0 .. P - 1`, in radians per tick, times `fastest`: `(P,)` float64."""
    return fastest * base ** (-torch.arange(pairs, dtype=torch.float64, device=device) / pairs)


def mel_frequencies(pairs: int, device: torch.device | None = None, fastest: float = MEL_FASTEST) -> Tensor:
    """Echo's set, mel-spaced from 0 to `fastest` radians per 10 ms tick at 220 Hz: `(P,)` float64.

    `m_j = 0.7 (10^(u_j / 2595) - 1)` with `u` evenly spaced from 0 to `2595 log10(1 + fastest / 0.7)`.
    """
    top = 2595.0 * math.log10(1.0 + fastest / 0.7)
    return 0.7 * (10.0 ** (torch.linspace(0.0, top, pairs, dtype=torch.float64, device=device) / 2595.0) - 1.0)


def octave_frequencies(pairs: int, device: torch.device | None = None) -> Tensor:
    """The pitch pairs of theta `axis`: 0.5 to 8 radians per octave, evenly spaced in logarithm, `(P,)` float64."""
    low, high = (math.log(x) for x in AXIS_RANGE)
    return torch.linspace(low, high, pairs, dtype=torch.float64, device=device).exp()


def mel(hertz: Tensor) -> Tensor:
    """Mel scale of a frequency in Hz (O'Shaughnessy): `2595 log10(1 + f / 700)`."""
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def mean_f0(track: PitchTrack) -> Tensor:
    """Mean F0 in Hz over the voiced frames of each utterance, 220 where none is voiced: `(B, 1)` float64."""
    weight = double(track.voicing * ~track.padding)
    total = weight.sum(1, keepdim=True)
    mean = (weight * double(track.f0)).sum(1, keepdim=True) / total.clamp(min=1e-9)
    return torch.where(total > 0, mean, REFERENCE_F0)


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


def fixed_frequencies(modes: VRoPEModes, pairs: int, device: torch.device | None = None) -> Tensor:
    """The set that turns with time, before anything is learnt: `(pairs,)` float64, radians per tick."""
    mel_spaced = modes.frequencies == "mel"
    fastest = modes.fastest or (MEL_FASTEST if mel_spaced else INVERSE_POWER_FASTEST)
    make = mel_frequencies if mel_spaced else inverse_power_frequencies
    return make(pairs, device=device, fastest=fastest)


@lru_cache(maxsize=32)
def static_turns(
    modes: VRoPEModes, pairs: int, step: float, frames: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of theta `static` with a fixed set, each `(frames, pairs)`, remembered: neither voice nor
    training changes them, and a decoder asks again at each token."""
    with torch.inference_mode(False):
        precise = precise_device(device)
        ticks = frame_centres(torch.arange(frames, dtype=torch.float64, device=precise), step)
        phase = wrap_phase(ticks[:, None] * fixed_frequencies(modes, pairs, precise), dtype, device)
        return phase.cos(), phase.sin()


def integrated_positions(track: PitchTrack, exponent: Tensor, clock: str = "frame") -> Tensor:
    """Accumulated pitch, `sum_{s < t} (f_s / 220)^a` sampled at frame centres: `(B, F)` float64.

    F0 is taken as constant within a frame, and a centre between two ticks counts half of the tick before it. With
    `a = 0` it equals `positions`; a constant F0 of `c` Hz gives `(c / 220)^a` times them.
    """
    speed = (double(track.f0) / REFERENCE_F0) ** double(exponent)
    step = track.step if clock == "frame" else 1.0
    return step * (speed.cumsum(1) - speed) + (step - 1.0) / 2.0 * speed


def wrap_phase(phase: Tensor, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
    """A float64 phase in radians, reduced to one turn and only then cast, and moved to a device."""
    return torch.remainder(phase, 2.0 * math.pi).to(dtype).to(device=device)


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


class Rotation(nn.Module):
    """Phase and radius of every frame and pair, from a pitch track.

    Args:
        modes: theta, frequencies, clock, reference and radius.
        pairs: P, complex pairs in a head's content.
    """

    def __init__(self, modes: VRoPEModes, pairs: int) -> None:
        super().__init__()
        self.modes, self.pairs = modes, pairs
        self.pitch_pairs = pairs // AXIS_SHARE if modes.theta == "axis" else 0
        if modes.learn_frequencies:
            self.learned_frequencies = nn.Parameter(self.fixed_frequencies().float())
            if modes.theta == "axis":
                self.learned_octave_frequencies = nn.Parameter(octave_frequencies(self.pitch_pairs).float())
        if modes.theta == "integrated":
            self.raw_exponent = nn.Parameter(torch.zeros(()))
        if modes.radius == "learned":
            self.raw_radius = nn.Parameter(torch.zeros(pairs))
        if modes.radius == "acoustic":
            self.radius_weight = nn.Parameter(torch.zeros(pairs, CHANNELS))
            self.radius_bias = nn.Parameter(torch.zeros(pairs))

    def fixed_frequencies(self, device: torch.device | None = None) -> Tensor:
        """The set that turns with time, `(P,)` float64, less the pitch pairs. Made anew at each use: a buffer would be
        narrowed with the module, and float32 already puts the phases after an hour a twentieth of a radian out."""
        return fixed_frequencies(self.modes, self.pairs - self.pitch_pairs, device)

    def _remembered(self, track: PitchTrack, offset: int, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """`static_turns` of the frames of a track, each `(1, F, P)`; None for what is learnt or follows the voice."""
        modes = self.modes
        if modes.theta != "static" or modes.learn_frequencies or torch.compiler.is_compiling():
            return None
        end = offset + track.f0.shape[1]
        frames = max(64, 1 << (end - 1).bit_length())  # so that few tables are made
        step = track.step if modes.clock == "frame" else 1.0
        cosine, sine = static_turns(modes, self.pairs, step, frames, track.f0.device, dtype)
        return cosine[None, offset:end], sine[None, offset:end]

    @property
    def exponent(self) -> Tensor:
        """`a` of theta `integrated`, in [-1, 2], starting at 0.5: float64, whatever the dtype of the parameter."""
        return 3.0 * torch.sigmoid(double(self.raw_exponent)) - 1.0

    def phase(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Tensor | None:
        """Phases in radians, reduced to one turn: `(B or 1, F, P)` of `dtype`, or None where nothing turns.

        Raises:
            ValueError: a cache offset with a theta that needs the whole utterance.
        """
        theta, clock = self.modes.theta, self.modes.clock
        if theta == "none":
            return None
        if offset and theta != "static":
            raise ValueError(f"theta {theta} needs the whole utterance and cannot continue at offset {offset}")
        ticks = positions(track, clock, offset)[None]
        if theta == "mapped":
            low, high = mel(torch.tensor(MAPPED_F0, dtype=torch.float64, device=ticks.device))
            place = (mel(mean_f0(track)) - low) / (high - low)
            base = (MAPPED_BASE[0] + place * (MAPPED_BASE[1] - MAPPED_BASE[0])).clamp(min=1.0)
            power = -torch.arange(self.pairs, dtype=torch.float64, device=ticks.device) / self.pairs
            fastest = self.modes.fastest or INVERSE_POWER_FASTEST
            return wrap_phase(ticks[..., None] * (fastest * base**power)[:, None], dtype, track.f0.device)
        if theta == "mean":
            ticks = ticks * (mean_f0(track) / REFERENCE_F0)
        elif theta == "frame":
            ticks = ticks * (double(track.f0) / REFERENCE_F0)
        elif theta == "integrated":
            ticks = integrated_positions(track, self.exponent, clock)
        learned, device = self.modes.learn_frequencies, ticks.device
        timed = double(self.learned_frequencies) if learned else self.fixed_frequencies(device)
        phase = wrap_phase(ticks[..., None] * timed, dtype, track.f0.device)
        if theta == "axis":
            pitch = self.pitch_phase(track, dtype)
            phase = torch.cat((pitch, phase.expand(pitch.shape[0], -1, -1)), dim=-1)
        return phase

    def pitch_phase(self, track: PitchTrack, dtype: torch.dtype = torch.float32) -> Tensor:
        """Phases of the pitch pairs of theta `axis` in radians, reduced to one turn: `(B, F, pitch pairs)`."""
        own = octave_frequencies(self.pitch_pairs, precise_device(track.f0.device))
        if self.modes.learn_frequencies:
            own = double(self.learned_octave_frequencies)
        return wrap_phase(double(track.z(self.modes.reference))[..., None] * own, dtype, track.f0.device)

    def value_turn(self, track: PitchTrack, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor] | None:
        """`(cosine, sine)`, each `(B, 1, F, pitch pairs)` of `dtype`, that values turn by; None where they are still.

        On the unit circle: a radius weighs who is attended to, and what is heard of them stays as loud as it is.
        """
        if not self.modes.rotate_values or self.modes.theta != "axis":
            return None
        phase = self.pitch_phase(track, dtype)[:, None]
        return phase.cos(), phase.sin()

    def radius(self, track: PitchTrack) -> Tensor | None:
        """Radii: `(B or 1, F or 1, P)` float32 in `(1 - rho, 1 + rho)`, or None for the unit circle.

        `learned` is `1 + rho tanh(w)`; `acoustic` is `1 + rho tanh(W [z, v, e] + b)`. Both start at 1.
        """
        if self.modes.radius == "unit":
            return None
        if self.modes.radius == "learned":
            return 1.0 + self.modes.radius_range * torch.tanh(self.raw_radius)[None, None]
        weighted = (track.channels(self.modes.reference)[..., None, :] * self.radius_weight).sum(-1) + self.radius_bias
        return 1.0 + self.modes.radius_range * torch.tanh(weighted)

    def forward(
        self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor] | None:
        """`(cosine, sine)`, each `(B or 1, 1, F, P)` of `dtype` with the radius inside; None if all is off."""
        radius, turns = self.radius(track), self._remembered(track, offset, dtype)
        if turns is None:
            phase = self.phase(track, offset, dtype)
            turns = None if phase is None else (phase.cos(), phase.sin())
        if turns is None:
            return None if radius is None else (radius[:, None], torch.zeros_like(radius)[:, None])
        cosine, sine = turns
        if radius is not None:
            cosine, sine = cosine * radius, sine * radius
        return cosine[:, None], sine[:, None]
