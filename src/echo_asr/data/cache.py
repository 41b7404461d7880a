"""A cache of features on disk, keyed by the recording and by the code and settings that computed them."""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echo_asr import audio, features
from echo_asr.audio import AudioSource, load_audio
from echo_asr.audio.segment import AudioFile, AudioSegment
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.data.provenance import constants_digest, library_versions
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor, Features
from echo_asr.features.voice import UNKNOWN, Voice
from echo_asr.libraries import default_cache_root
from echo_asr.storage import pack, replace_file, unpack

CHECKSUM = "crc32"  # name of the tensor that holds the checksum of the others
Audio = AudioFile | AudioSource | np.ndarray
FIELDS = ("spectrogram", "pitch", "track", "voicing", "null", "waveform")
Samples = Callable[[], np.ndarray]  # makes them when they are first wanted
STATES = ("states",)


class FeatureCache:
    """Returns the features of a recording, from disk if they were computed before.

    An entry is one safetensors file, named by a hash of the file's bytes (or the array's; of an `AudioSegment`, also
    of its times and channel), of `made_by` and of the perturbation's name; so a changed recording, setting, constant,
    tracker or library has a new entry, and a renamed recording keeps its own. States of a pretrained encoder have
    entries of their own, so that the acoustic features are shared by all encoders and by models without. Entries are
    written atomically and may be shared by processes. A damaged entry is computed again; a full or read-only disk gives
    one warning and no cache.

    Args:
        root: folder of the cache; None for the default, $ECHO_ASR_CACHE or ~/.cache/echo-asr.
        extractor: computes the features.
        required: features that cannot be written are an error, instead of a warning.
    """

    def __init__(self, root: Path | None, extractor: FeatureExtractor, required: bool = False) -> None:
        self.required = required
        self.root = default_cache_root() if root is None else Path(root)
        self.extractor = extractor
        # Content hashes of files, so that a file is read once: a digest of its path, size and time -> hash. Both are
        # bytes, since there may be a million.
        self._hashes: dict[bytes, bytes] = {}
        self._warned = False

    def features(self, source: Audio, perturbation: Perturbation = UNPERTURBED, voice: Voice = UNKNOWN) -> Features:
        """The features of an audio file, a segment of one, or of samples `(S,)` at 16 kHz, perturbed, as the extractor
        computes them.

        Args:
            voice: what is known of who speaks.

        Raises:
            EchoError: the file cannot be read; see `load_audio`.
        """
        return self.extractor.transformed(self.measured(source, perturbation), voice)

    def measured(self, source: Audio, perturbation: Perturbation = UNPERTURBED) -> Features:
        """The same before the extractor's transform: what is kept on disk."""
        samples, perturbed = cached_samples(source, perturbation)
        tensors = self._acoustic(source, perturbation, samples, perturbed)
        if self.extractor.states is not None:
            entry, extractor = self._entry(source, perturbation.name, self.states_made_by), self.extractor
            tensors |= self._kept(entry, STATES, lambda: {"states": extractor.measure_states(perturbed())})
        return Features(**tensors)

    def fill(self, jobs: Sequence[tuple[Audio, Perturbation]]) -> list[EchoError | None]:
        """Compute and keep what is not on disk of some recordings; their states are computed together.

        Returns:
            for each of them None, or why it could not be done.
        """
        errors: list[EchoError | None] = []
        waiting: list[tuple[Path, torch.Tensor]] = []
        for source, perturbation in jobs:
            samples, perturbed = cached_samples(source, perturbation)
            error = None
            try:
                self._acoustic(source, perturbation, samples, perturbed)
                if self.extractor.states is not None:
                    entry = self._entry(source, perturbation.name, self.states_made_by)
                    if entry is not None and _read(entry, STATES) is None:
                        waiting.append((entry, self.extractor.encoder_samples(perturbed())))
            except EchoError as raised:
                error = raised
            errors.append(error)
        if waiting and self.extractor.states is not None:
            found = self.extractor.states.of_each([samples for _, samples in waiting])
            for (entry, _), states in zip(waiting, found, strict=True):
                self._write(entry, {"states": states})
        return errors

    def without_states(self) -> FeatureCache:
        """The same cache for the acoustic features alone."""
        extractor = copy(self.extractor)
        extractor.states = None
        cache = FeatureCache(self.root, extractor, self.required)
        cache._hashes = self._hashes
        return cache

    def _acoustic(
        self, source: Audio, perturbation: Perturbation, samples: Samples, perturbed: Samples
    ) -> dict[str, Any]:
        """The tensors of the acoustic features. Where F0 follows from that of the recording as it is, it is measured
        there alone, once for all perturbations."""
        entry, measure = self._entry(source, perturbation.name), self.extractor.measure_acoustic

        def made() -> dict[str, Any]:
            if perturbation == UNPERTURBED or not perturbation.keeps_pitch:
                return vars(measure(perturbed()))
            f0, _, periodicity = self._acoustic(source, UNPERTURBED, samples, samples)["pitch"].numpy()
            return vars(measure(perturbed(), known_pitch=partial(perturbation.pitch, f0, periodicity)))

        return self._kept(entry, FIELDS, made)

    def _kept(self, entry: Path | None, names: tuple[str, ...], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The tensors of an entry, which are made and written where it is missing or damaged."""
        found = None if entry is None else _read(entry, names)
        if found is None:
            made = make()
            found = {name: made[name] for name in names if made[name] is not None}
            if entry is not None:
                self._write(entry, found)
        return found

    @cached_property
    def made_by(self) -> str:
        """All that determines features beside the recording and its perturbation: settings, code, tracker, libraries.
        Rounding that differs between machines is ignored."""
        code = constants_digest(audio, features, type(self.extractor.tracker))
        return f"{self.extractor.key} {code} {library_versions()}"

    @cached_property
    def states_made_by(self) -> str:
        """The same of states; empty where there is no pretrained encoder."""
        states = self.extractor.states
        return "" if states is None else f"{states.key} {constants_digest(audio)} {library_versions()}"

    def holds(self, source: Audio, perturbation: Perturbation = UNPERTURBED) -> bool:
        """Whether features are on disk, which may be damaged."""
        kinds = [self.made_by, *([self.states_made_by] if self.states_made_by else [])]
        entries = [self._entry(source, perturbation.name, kind) for kind in kinds]
        return all(entry is not None and entry.is_file() for entry in entries)

    def _entry(self, source: Audio, perturbation: str, made_by: str = "") -> Path | None:
        """The path of features, existing or not, by default the acoustic ones; None for a file that cannot be read."""
        try:
            content = _hash_array(source) if isinstance(source, np.ndarray) else _identity(source, self._hash_file)
        except OSError:
            return None
        made_of = "\n".join((content, made_by or self.made_by, perturbation))
        key = hashlib.sha256(made_of.encode()).hexdigest()
        return self.root / "features" / key[:2] / f"{key}.safetensors"

    def _hash_file(self, path: Path) -> str:
        known = hashlib.blake2b(_state(path).encode("utf-8", "surrogateescape"), digest_size=16).digest()
        if known not in self._hashes:
            with path.open("rb") as file:
                self._hashes[known] = hashlib.file_digest(file, "sha256").digest()
        return self._hashes[known].hex()

    def note(self, recordings: Iterable[tuple[AudioFile | AudioSource, Sequence[Perturbation]]]) -> Path | None:
        """The path of an empty file that marks the features of some recordings, each with some perturbations, as
        complete. It depends on the size and time of every recording. None if a recording does not exist."""
        digest = hashlib.sha256(f"{self.made_by}{self.states_made_by}".encode())
        last: Sequence[Perturbation] | None = None
        try:
            for source, perturbations in recordings:
                if perturbations is not last and perturbations != last:
                    last = perturbations
                    digest.update("\n".join(r.name for r in perturbations).encode() + b"\0\0")
                digest.update(_identity(source, _state).encode("utf-8", "surrogateescape") + b"\0")
        except OSError:
            return None
        return self.root / "complete" / digest.hexdigest()

    def _write(self, entry: Path, tensors: dict[str, torch.Tensor]) -> None:
        data = pack({**tensors, CHECKSUM: torch.tensor(_checksum(tensors))})
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            replace_file(entry, lambda part: part.write_bytes(data), durable=False)
        except (OSError, EchoError) as error:
            reason = getattr(error, "strerror", None) or str(error).split("; ")[0]
            if self.required:
                what = f"{self.root}: features could not be kept there ({reason})"
                raise EchoError(f"{what}; make room, or set ECHO_ASR_CACHE to another folder") from None
            if not self._warned:
                self._warned = True
                what = f"features cannot be kept in {self.root} ({reason}); going on without"
                warnings.warn(f"{what}: set ECHO_ASR_CACHE to a folder that can be written to", stacklevel=3)


def cached_samples(source: Audio, perturbation: Perturbation) -> tuple[Samples, Samples]:
    """Functions that return the samples of a recording, and the perturbed ones, each made once when first wanted."""
    samples = cache(partial(load_audio, source))
    return samples, cache(lambda: perturbation(samples()))


def _identity(source: AudioFile | AudioSource, of_file: Callable[[Path], str]) -> str:
    """A string that identifies audio, given a function that identifies a file."""
    if isinstance(source, str | os.PathLike):
        return of_file(source if isinstance(source, Path) else Path(source))
    if isinstance(source, AudioSegment):
        return f"{of_file(source.path)} {source.start!r} {source.duration!r} {source.channel!r}"
    return source.content(lambda inner: _identity(inner, of_file))


def _state(path: Path) -> str:
    """A string that changes when a file does: its path, bytes and modification time in ns."""
    name = os.fspath(path)
    state = os.stat(name)
    if not name.startswith(os.sep):
        name = os.path.abspath(name)
    return f"{name}\0{state.st_size}\0{state.st_mtime_ns}"


def _hash_array(samples: np.ndarray) -> str:
    kind = f"{samples.dtype.str}{samples.shape}".encode()
    return hashlib.sha256(kind + np.ascontiguousarray(samples).tobytes()).hexdigest()


def _checksum(tensors: dict[str, torch.Tensor]) -> int:
    checksum = 0
    for tensor in tensors.values():
        checksum = zlib.crc32(tensor.numpy().tobytes(), checksum)
    return checksum


def _read(entry: Path, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The tensors of an entry; None if it is missing or damaged."""
    try:
        tensors = unpack(entry.read_bytes())
        fields = {name: tensors[name] for name in names if name in tensors}
        whole = all(name in fields for name in names if name != "waveform")
        return fields if whole and _checksum(fields) == int(tensors[CHECKSUM]) else None
    except (OSError, KeyError, TypeError, ValueError, RuntimeError):
        return None
