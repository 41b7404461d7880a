"""Controls for what F0 does: the same recording with less of its pitch, or with another's.

Each takes one thing more away, of the feature that is heard and of the track that vRoPE turns with alike:

| `features.f0` | F0 | voicing and periodicity | energy |
| --- | --- | --- | --- |
| `as_heard` | measured | measured | measured |
| `shuffled` | another recording's contour, stretched to this one's length | measured | measured |
| `constant` | the recording's median throughout: how high the voice is, and no contour | measured | measured |
| `voicing` | 220 Hz throughout | measured | measured |
| `energy` | 220 Hz throughout | none | measured |

What differs between `as_heard` and `shuffled` is no more than whose contour it is: as much moves, and by as much.

Shapes: `T` frames of 10 ms.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from echo_asr.errors import EchoError
from echo_asr.features.pitch import REFERENCE_F0

F0Control = Literal["as_heard", "shuffled", "constant", "voicing", "energy"]


def control_f0(
    kind: F0Control, pitch: Tensor, track: Tensor, voicing: Tensor, donors: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """Pitch `(3, T)`, track `(T,)` in Hz and voicing `(T,)` under a control; nothing given is changed.

    Args:
        donors: tracks `(any,)` in Hz of other recordings, for `shuffled`. Which of them is taken follows the track.

    Raises:
        EchoError: `shuffled` without a donor.
    """
    f0, energy, periodicity = pitch
    if kind == "as_heard":
        return pitch, track, voicing
    if kind == "shuffled":
        track = _stretched(_donor(track, donors), len(track))
    elif kind == "constant" and (f0 > 0).any():
        track = f0[f0 > 0].median().expand_as(track).clone()
    else:
        track = torch.full_like(track, REFERENCE_F0)
    if kind == "energy":
        voicing, periodicity = torch.zeros_like(voicing), torch.zeros_like(periodicity)
    return torch.stack((track * (f0 > 0) * (kind != "energy"), energy, periodicity)), track, voicing


def _donor(track: Tensor, donors: Sequence[Tensor]) -> Tensor:
    """One of the donors, and not the recording itself where there is another."""
    if not donors:
        raise EchoError(
            "features.f0 shuffled takes the pitch of another recording of the corpus, and there is none here; it is a "
            "control for `train`, `evaluate` and `study`, not for transcribing"
        )
    first = zlib.crc32(track.numpy().tobytes()) % len(donors)
    return donors[(first + 1) % len(donors)] if torch.equal(donors[first], track) else donors[first]


def _stretched(track: Tensor, frames: int) -> Tensor:
    """A track of so many frames: straight lines in octaves between the values, the ends on the ends."""
    octaves = track.double().log2()[None, None]
    longer = torch.nn.functional.interpolate(octaves, size=frames, mode="linear", align_corners=len(track) > 1)
    return longer[0, 0].exp2().to(track.dtype)
