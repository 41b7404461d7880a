"""The sections of a configuration, with that of the options that are for studies alone."""

from __future__ import annotations

from echo_asr.research.f0_controls import StudyConfig
from echo_asr.train import recipe

SECTIONS: dict[str, type] = {**recipe.SECTIONS, "study": StudyConfig}
