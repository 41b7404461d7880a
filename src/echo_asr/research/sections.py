"""The sections of a configuration, with that of the options that are for studies alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from echo_asr.research.f0_controls import Kind
from echo_asr.train import recipe


@dataclass(frozen=True)
class StudyConfig:
    """What a study takes away, to see what it was for."""

    f0: Kind = "measured"  # what is left of the pitch, in training and wherever the model is used

    def __post_init__(self) -> None:
        if self.f0 not in get_args(Kind):
            raise ValueError(f"f0: expected one of {', '.join(get_args(Kind))}; got {self.f0!r}")


SECTIONS: dict[str, type] = {**recipe.SECTIONS, "study": StudyConfig}
