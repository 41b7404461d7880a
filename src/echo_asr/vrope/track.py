"""The pitch track that attention reads: F0, voicing, energy and nulls, a value a frame."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

REFERENCE_F0 = 220.0  # Hz
CHANNELS = 3  # of a track: z, voicing, energy


@dataclass(frozen=True)
class PitchTrack:
    """The acoustics of each frame that vRoPE uses. Every tensor is `(B, F)`.

    Attributes:
        f0: fundamental frequency in Hz, gaps filled; any positive constant where nothing is known.
        voicing: how much of the frame is voiced, 0 to 1.
        energy: level above the floor, 0 (silence) to 1 (the recording's peak).
        null: true where the frame is silence, padding or a zero token.
        padding: true where the frame is beyond the recording; no query attends to it.
        step: clock ticks of 10 ms that one frame lasts.
        speaker_f0: median F0 of each recording's speaker in Hz, `(B,)`, 0 where it is not known; None for nowhere.
        remembered: what layers that read the track computed from it, for those after them.

    Example:
        >>> track = PitchTrack.from_f0(torch.tensor([[0.0, 110.0, 0.0, 440.0]]))
        >>> track.f0
        tensor([[110., 110., 220., 440.]])
        >>> track.z()  # octaves above 220 Hz
        tensor([[-1., -1.,  0.,  1.]])
        >>> track.pool(2).step  # ticks of 10 ms in a frame
        2.0
    """

    f0: Tensor
    voicing: Tensor
    energy: Tensor
    null: Tensor
    padding: Tensor
    step: float = 1.0
    speaker_f0: Tensor | None = None
    remembered: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @staticmethod
    def from_f0(f0: Tensor, step: float = 1.0) -> PitchTrack:
        """A track from F0 alone, in Hz, 0 where unvoiced: `(B, F)`.

        Gaps are filled log-linearly between voiced frames, the first and the last voiced value held to the ends; 220 Hz
        throughout where nothing is voiced. Voicing is 1 at voiced frames and 0 elsewhere, energy 1; no frame is null
        or padding. `dataclasses.replace` sets what is known better.

        Args:
            step: clock ticks of 10 ms that one frame lasts.
        """
        voiced, last = f0 > 0, f0.shape[1] - 1
        index = torch.arange(f0.shape[1], device=f0.device).expand_as(f0)
        before = torch.where(voiced, index, -1).cummax(1).values  # the voiced frame at or before each, -1 for none
        after = torch.where(voiced, index, last + 1).flip(1).cummin(1).values.flip(1)  # at or after, F for none
        left, right = torch.where(before < 0, after, before), torch.where(after > last, before, after)
        octaves = torch.log2(torch.where(voiced, f0, REFERENCE_F0) / REFERENCE_F0)
        low, high = (octaves.gather(1, ends.clamp(0, last)) for ends in (left, right))
        share = (index - left) / (right - left).clamp(min=1)
        filled = torch.where(voiced, f0, REFERENCE_F0 * torch.exp2(low + share * (high - low)))
        nothing = torch.zeros_like(voiced)
        return PitchTrack(filled, voiced.to(f0.dtype), torch.ones_like(f0), nothing, nothing, step)

    @staticmethod
    def tokens(null: Tensor) -> PitchTrack:
        """A track for text positions, of which only the nulls are known: `null` is `(B, L)`."""
        zeros = torch.zeros(null.shape, device=null.device)
        return PitchTrack(zeros + REFERENCE_F0, zeros, zeros, null, torch.zeros_like(null))

    def read(self, z: Tensor, voicing: Tensor, energy: Tensor) -> PitchTrack:
        """The same positions with other acoustics, means of `channels` that attention read: `(B, F)` each."""
        return replace(self, f0=REFERENCE_F0 * torch.exp2(z), voicing=voicing, energy=energy)

    def z(self, reference: str = "fixed") -> Tensor:
        """Pitch in octaves, `log2(f0 / reference)`, `(B, F)`.

        The reference is 220 Hz (`fixed`), the median F0 of the utterance's voiced frames (`utterance`; 220 Hz
        where none is voiced), or that of the speaker (`speaker`; as `utterance` where it is not known).
        """
        z = torch.log2(self.f0 / REFERENCE_F0)
        if reference == "fixed":
            return z
        voiced = (self.voicing > 0) & ~self.padding
        middle = torch.where(voiced, z, torch.full_like(z, float("nan"))).nanmedian(dim=1, keepdim=True).values
        middle = torch.nan_to_num(middle, nan=0.0)
        if reference == "speaker" and self.speaker_f0 is not None:
            known = self.speaker_f0[:, None]
            speakers = torch.log2(torch.where(known > 0, known, REFERENCE_F0) / REFERENCE_F0)
            middle = torch.where(known > 0, speakers, middle)
        return z - middle

    def channels(self, reference: str = "fixed") -> Tensor:
        """`z` in octaves, voicing and energy of each frame, `(B, F, 3)`: what radii, gates and text positions read."""
        return torch.stack((self.z(reference), self.voicing, self.energy), dim=-1)

    def pool(self, factor: int) -> PitchTrack:
        """The track of frames `factor` times as long: `(B, T)` to `(B, F)`, `F = ceil(T / factor)`.

        A pooled frame's F0 is the mean log F0 of its voiced frames (of all, where none is voiced); voicing and
        energy are means over the frames inside the recording; it is null, or padding, only if all it covers are.
        """
        if factor == 1:
            return self
        short = -self.f0.shape[1] % factor

        def windows(x: Tensor, fill: float) -> Tensor:
            return torch.nn.functional.pad(x.float(), (0, short), value=fill).unflatten(1, (-1, factor))

        inside = 1.0 - windows(self.padding, 1.0)
        voiced = windows(self.voicing, 0.0) * inside
        any_voiced = voiced.sum(2, keepdim=True) > 0
        weight = torch.where(any_voiced, voiced, torch.where(inside.sum(2, keepdim=True) > 0, inside, 1.0))
        log_f0 = windows(self.f0, REFERENCE_F0).log()
        count = inside.sum(2).clamp(min=1.0)
        return PitchTrack(
            f0=((log_f0 * weight).sum(2) / weight.sum(2)).exp(),
            voicing=voiced.sum(2) / count,
            energy=(windows(self.energy, 0.0) * inside).sum(2) / count,
            null=windows(self.null, 1.0).amin(2) > 0,
            padding=inside.sum(2) == 0,
            step=self.step * factor,
            speaker_f0=self.speaker_f0,
        )
