"""Whether the states of a pretrained encoder fit on the disk, which is found before hours are spent on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.console import hours
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.data.perturbation import MARGIN, Perturbation
from echo_asr.errors import EchoError

SPARE = 0.02  # of what is free, that is left


def check_room(cache: FeatureCache, jobs: Sequence[tuple[Utterance, Perturbation]]) -> str:
    """What the states of recordings, each with a perturbation, will take on the disk of a cache, in one line; empty for
    a cache without a pretrained encoder, and where there is nothing to compute.

    Raises:
        EchoError: they do not fit.
    """
    states = cache.extractor.states
    if states is None or not jobs:
        return ""
    seconds = sum(_seconds(utterance, perturbation) for utterance, perturbation in jobs)
    needed, free = seconds * states.bytes_per_second, _free(cache.root)
    size = f"{_gigabytes(needed)} for {hours(seconds)} of audio, perturbations included"
    where = f"{_gigabytes(free)} free in {cache.root}"
    if needed > (1.0 - SPARE) * free:
        layers = f"fewer layers (features.encoder_layers, now {list(states.layers)})"
        mend = "set ECHO_ASR_CACHE to a folder on a larger disk, or take --train.speeds '[1.0]'"
        raise EchoError(f"the states of {states.source.name} take {size}, with {where}; {mend}, or {layers}")
    return f"states of {states.source.name}, layers {', '.join(map(str, states.layers))}: {size}; {where}"


def _seconds(utterance: Utterance, perturbation: Perturbation) -> float:
    margins = 2.0 * frames_to_seconds(MARGIN) if perturbation.noise else 0.0
    return utterance.duration / perturbation.speed + margins


def _free(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not exist yet."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if os.path.isdir(path):
            return shutil.disk_usage(path).free
    return 0


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
