"""Controls for what F0 does: the same recording with less of its pitch, or with another's.

Each takes one thing more away, of the pitch that is an input and of the track that vRoPE rotates with alike:

| `study.f0` | F0 | voicing and periodicity | energy |
| --- | --- | --- | --- |
| `measured` | measured | measured | measured |
| `shuffled` | a training recording's contour, stretched to this one's length | measured | measured |
| `constant` | the recording's median throughout: how high the voice is, and no contour | measured | measured |
| `voicing` | 220 Hz throughout | measured | measured |
| `energy` | 220 Hz throughout | none | measured |

What differs between `measured` and `shuffled` is no more than whose contour it is: as much moves, and by as much.

A model is always used under the control that it was trained with: its config.yaml names it, and the contours of the
recordings that it was trained on lie beside it.

Shapes: `T` frames of 10 ms.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor

from echo_asr.config import Changes, build_sections
from echo_asr.decode.load import decode_config
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.device import choose_device
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.features.pitch import REFERENCE_F0
from echo_asr.model.checkpoint import CONFIG, Bundle, load_bundle
from echo_asr.storage import pack, replace_file, unpack

Kind = Literal["measured", "shuffled", "constant", "voicing", "energy"]
DONORS = "f0_donors.safetensors"  # of a model's folder


@dataclass(frozen=True)
class StudyConfig:
    """What a study takes away, to see what it was for."""

    f0: Kind = "measured"  # what is left of the pitch, in training and wherever the model is used

    def __post_init__(self) -> None:
        if self.f0 not in get_args(Kind):
            raise ValueError(f"f0: expected one of {', '.join(get_args(Kind))}; got {self.f0!r}")


@dataclass
class F0Control:
    """A control as a transform of features; the spectrogram, the waveform and states stay.

    Attributes:
        kind: of the table above.
        donors: tracks `(any,)` in Hz of the training recordings, for `shuffled`.
    """

    kind: Kind
    donors: Sequence[Tensor] = ()

    def fit(self, recordings: Iterable[Features]) -> None:
        """Take the tracks of the training recordings as donors."""
        if self.kind == "shuffled":
            self.donors = [features.track for features in recordings]

    def save(self, folder: Path) -> None:
        """Write the donors beside a model.

        Raises:
            EchoError: the disk is full, or the folder cannot be written.
        """
        if self.donors:
            lengths = torch.tensor([len(track) for track in self.donors])
            data = pack({"tracks": torch.cat(list(self.donors)), "lengths": lengths})
            replace_file(folder / DONORS, lambda path: path.write_bytes(data))

    def __call__(self, features: Features) -> Features:
        """Features under the control.

        Raises:
            EchoError: `shuffled` without a donor.
        """
        found = control_f0(self.kind, features.pitch, features.track, features.voicing, self.donors)
        return replace(features, pitch=found[0], track=found[1], voicing=found[2])


def make_control(kind: Kind) -> F0Control | None:
    """The control of a kind; None for `measured`, which changes nothing."""
    return None if kind == "measured" else F0Control(kind)


def load_control(bundle: Bundle, folder: str | os.PathLike[str]) -> F0Control | None:
    """The control that the model of a folder was trained with; None where there was none.

    Raises:
        EchoError: config.yaml has a control that there is not, or the model's donors are missing or damaged.
    """
    where, data = str(Path(folder) / CONFIG), {"study": bundle.extra.get("study")}
    study: StudyConfig = build_sections(data, {"study": StudyConfig}, where=where)["study"]
    control = make_control(study.f0)
    if control and control.kind == "shuffled":
        path = Path(folder) / DONORS
        try:
            tensors = unpack(path.read_bytes())
            control.donors = tensors["tracks"].split(tensors["lengths"].tolist())
        except (OSError, KeyError, ValueError, RuntimeError):
            raise EchoError(
                f"{path}: missing or damaged, the pitch that a model of study.f0 shuffled is used with; copy the whole "
                "folder, or train the model again"
            ) from None
    return control


def load_recognizer(
    folder: str | os.PathLike[str], device: str = "auto", changes: Changes = MappingProxyType({})
) -> Recognizer:
    """As `echo_asr.decode.load.load_recognizer`, under the control that the model was trained with."""
    bundle = load_bundle(folder, choose_device(device))
    return Recognizer(bundle, decode_config(bundle, folder, changes), load_control(bundle, folder))


def control_f0(
    kind: Kind, pitch: Tensor, track: Tensor, voicing: Tensor, donors: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """Pitch `(3, T)`, track `(T,)` in Hz and voicing `(T,)` under a control; nothing given is changed.

    Args:
        donors: tracks `(any,)` in Hz of other recordings, for `shuffled`. Which of them is taken follows the track.

    Raises:
        EchoError: `shuffled` without a donor.
    """
    f0, energy, periodicity = pitch
    if kind == "measured":
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
            "study.f0 shuffled takes the pitch of another recording that the model was trained on, and there is none "
            "here; take load_control, which reads those of a model's folder"
        )
    first = zlib.crc32(track.numpy().tobytes()) % len(donors)
    return donors[(first + 1) % len(donors)] if torch.equal(donors[first], track) else donors[first]


def _stretched(track: Tensor, frames: int) -> Tensor:
    """A track of so many frames: straight lines in octaves between the values, the ends on the ends."""
    octaves = track.double().log2()[None, None]
    longer = torch.nn.functional.interpolate(octaves, size=frames, mode="linear", align_corners=len(track) > 1)
    return longer[0, 0].exp2().to(track.dtype)
