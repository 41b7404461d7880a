"""Variants of a corpus: its recordings in noise, louder or softer, with higher, lower or constant F0.

A corpus spec takes them as suffixes, applied from left to right:

- ``FOLDER@noise:10``: noise 10 dB below each recording (the mean square of the whole against that of the noise), of a
  kind that is drawn for each; ``@noise:10,kind=pink`` sets the kind, ``@noise:10,seed=3`` another seed;
- ``FOLDER@gain:-6``: 6 dB softer;
- ``FOLDER@pitch:2``: two semitones higher, with the same duration and about the same formants;
- ``FOLDER@flat``: with a constant F0, the median of each recording.

Random draws depend on the seed and the utterance's id, so a variant is reproducible.
Suffixes that choose utterances, such as ``@leave:NAME``, may be mixed with them: `echo_asr.data.selections`.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from echo_asr.audio import AudioSource, load_audio
from echo_asr.audio.convert import samples_to_seconds
from echo_asr.audio.segment import AudioFile
from echo_asr.data import noise, psola
from echo_asr.data.corpus import Corpus
from echo_asr.data.noise import AUDIBLE, BEDS, Kind, noise_clip
from echo_asr.data.provenance import constants_digest
from echo_asr.data.psola import flatten_f0, shift_semitones
from echo_asr.data.readers.records import parse_number
from echo_asr.data.selections import NAMES as SELECTIONS
from echo_asr.data.selections import Selection, parse_selection
from echo_asr.errors import EchoError

NAMES = ("noise", "gain", "pitch", "flat")
LIMITS = {"noise": (-40.0, 100.0), "gain": (-100.0, 60.0), "pitch": (-24.0, 24.0)}  # dB, dB, semitones
FIRST_SEED = 2**32  # of noise; training draws its own below 2^31
SUFFIX = re.compile(r"@([a-z]+)(?::([^@]*))?$")
VERSION = 1  # raised with any change of the samples, so that cached features lapse


@dataclass(frozen=True)
class Variant:
    """A change of recordings.

    Attributes:
        name: one of NAMES.
        amount: dB of the recording over the noise, dB of gain, or semitones; not used by `flat`.
        kind: of the noise; None draws one for each recording.
        seed: of random draws.
    """

    name: str
    amount: float = 0.0
    kind: Kind | None = None
    seed: int = 0

    @property
    def draws(self) -> bool:
        """Whether it depends on the utterance's id."""
        return self.name == "noise"

    def __str__(self) -> str:
        if self.name == "flat":
            return "@flat"
        options = [f"kind={self.kind}"] if self.kind else []
        options += [f"seed={self.seed}"] if self.seed else []
        return f"@{self.name}:{','.join([f'{self.amount:g}', *options])}"

    def __call__(self, audio: np.ndarray, utterance: str) -> np.ndarray:
        """Change samples `(S,)` at 16 kHz: `(S,)` float32, which may exceed full scale.

        Args:
            utterance: its id.
        """
        if self.name == "gain":
            return (audio * 10.0 ** (self.amount / 20.0)).astype(np.float32)
        if self.name == "pitch":
            return shift_semitones(audio, self.amount)
        if self.name == "flat":
            return flatten_f0(audio)
        random = np.random.default_rng([self.seed, *hashlib.sha256(utterance.encode()).digest()])
        kind = self.kind or BEDS[int(random.integers(len(BEDS)))]
        seed = FIRST_SEED + int(random.integers(2**31))
        bed = noise_clip(kind, samples_to_seconds(len(audio)), seed, -20.0)[: len(audio)].astype(np.float64)
        speech, floor = (float(np.mean(np.square(x, dtype=np.float64))) for x in (audio, bed))
        scale = math.sqrt(speech / floor * 10.0 ** (-self.amount / 10.0)) if floor > 0 else 0.0
        return (audio + scale * bed).astype(np.float32)


@dataclass(frozen=True)
class AlteredAudio:
    """A recording under a variant; accepted wherever a path is.

    Attributes:
        source: an audio file, or whatever else `load_audio` reads.
        variant: the change.
        utterance: its id, on which random draws depend.
    """

    source: AudioFile | AudioSource
    variant: Variant
    utterance: str

    def load(self) -> np.ndarray:
        """The changed samples `(S,)` at 16 kHz."""
        return self.variant(load_audio(self.source), self.utterance)

    def content(self, hash_file: Callable[[AudioFile], str]) -> str:
        """A string that identifies the samples, from a hash of the file."""
        source = self.source
        inner = source.content(hash_file) if isinstance(source, AudioSource) else hash_file(source)
        made_by = constants_digest(sys.modules[__name__], noise if self.variant.draws else psola)
        exact = f"{self.variant.amount!r}~{made_by}"  # the name of a variant rounds its amount
        return f"{inner}{self.variant}~{exact}" + (f"~{self.utterance}" if self.variant.draws else "")

    def __str__(self) -> str:
        return f"{self.source}{self.variant}"


def split_variant(spec: str) -> tuple[str, Variant | Selection] | None:
    """A corpus spec without its last suffix, and the suffix; None if it has none. The path of an existing folder has
    none, even if its name ends like a suffix.

    Raises:
        EchoError: an unknown suffix, or an amount out of range.
    """
    found = SUFFIX.search(spec)
    if not found or not found.start() or _exists(spec):
        return None
    name, rest = found.groups()
    if name in SELECTIONS:
        return spec[: found.start()], parse_selection(name, rest, spec)
    if name not in NAMES:
        if rest is None:  # perhaps a missing folder or an address, which is reported elsewhere
            return None
        raise EchoError(f"corpus {spec}: no variant is called {name!r}; there are: {', '.join((*NAMES, *SELECTIONS))}")
    return spec[: found.start()], _parse(name, rest, spec)


def _exists(spec: str) -> bool:
    try:
        return Path(spec).expanduser().exists()
    except OSError:  # the name is too long for the file system
        return False


def _parse(name: str, rest: str | None, spec: str) -> Variant:
    if name == "flat":
        if rest:
            raise EchoError(f"corpus {spec}: @flat takes no amount; write @flat, or @pitch:SEMITONES")
        return Variant("flat")
    low, high = LIMITS[name]
    unit = "semitones" if name == "pitch" else "dB"
    amount, *options = (rest or "").split(",")
    value = parse_number(amount)
    if value is None or not low <= value <= high:  # false of NaN, too
        takes = f"takes {unit} from {low:g} to {high:g}, as in @{name}:2"
        raise EchoError(f"corpus {spec}: @{name} {takes}, got {amount!r}")
    return replace(Variant(name, value), **_options(name, options, spec))  # type: ignore[arg-type]


def _options(name: str, options: list[str], spec: str) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for option in options:
        key, _, value = option.partition("=")
        if name == "noise" and key == "kind" and value in AUDIBLE:
            found["kind"] = value
        elif name == "noise" and key == "seed" and value.isascii() and value.isdigit():
            found["seed"] = int(value)
        else:
            takes = (
                f"noise takes kind=KIND ({', '.join(AUDIBLE)}) and seed=NUMBER"
                if name == "noise"
                else f"@{name} takes none"
            )
            raise EchoError(f"corpus {spec}: not an option: {option!r}; {takes}")
    return found


def with_suffix(corpus: Corpus, suffix: Variant | Selection) -> Corpus:
    """Apply a suffix that `split_variant` found to a corpus: a selection, or a variant to all recordings.

    Raises:
        EchoError: there is nothing to select.
    """
    if not isinstance(suffix, Variant):
        return suffix(corpus)
    utterances = tuple(replace(u, audio=AlteredAudio(u.audio, suffix, u.id)) for u in corpus.utterances)
    return replace(corpus, name=f"{corpus.name}{suffix}", utterances=utterances)
