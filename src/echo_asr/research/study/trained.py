"""Trainings that are finished: how one is found again, and where its weights lie.

A job trains and then evaluates. Where a study was given another condition since, or another study asks the same models
something else (as their final figures on the test split), the training is there already, and only the rest is done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import WEIGHTS, Bundle, load_bundle
from echo_asr.renamed import with_current_names, without_retired
from echo_asr.research.sections import SECTIONS
from echo_asr.storage import pack, replace_file, unpack
from echo_asr.train.state import CHECKPOINT, Progress, is_model

STUDY = "study.json"  # of a study's folder
JOB, RESULT, RUN, LAST = "job.json", "result.json", "run", "last.safetensors"  # of a job's
TRAINED_IN = "trained_in"  # of a result: the folder of the job that trained, from its own, where that is another
HOW = ("device", "threads", "keep", "trained")  # a job is done, which makes no difference to what it is


def digest(job: Mapping[str, Any]) -> str:
    """A digest in which jobs differ that do different things."""
    return _hash({key: value for key, value in job.items() if key not in HOW})


def training_digest(job: Mapping[str, Any]) -> str:
    """A digest in which jobs differ that train differently, whatever they are called and evaluated on."""
    return _hash({key: job[key] for key in ("seed", "corpus", "sections")})


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def load_result(folder: Path) -> dict[str, Any] | None:
    """What `result.json` of a job's folder holds; None where there is none.

    Raises:
        EchoError: it is damaged.
    """
    path = folder / RESULT
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = result["digest"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise EchoError(f"{path}: damaged; remove it, and the job is finished again") from None
    return result


def read_result(folder: Path, job: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a job; None while there is none, or only that of the same training asked something else.

    Raises:
        EchoError: it is damaged, or that of another job.
    """
    result = load_result(folder)
    if result is None or result["digest"] in (digest(job), _digest_before(folder, job)):
        return result
    if result.get("training") == training_digest(job):
        return None
    raise EchoError(
        f"{folder}: was made by another version of this study (its arms, corpus or options); choose another --out, "
        "or remove that folder"
    )


def as_now(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job of before as it is written now: without the options that are no more, with the defaults of later ones."""
    defaults = json.loads(json.dumps({name: asdict(kind()) for name, kind in SECTIONS.items()}))
    given, _ = with_current_names(without_retired(job["sections"]))
    return {**job, "sections": {name: _filled(given.get(name, {}), default) for name, default in defaults.items()}}


def _filled(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the defaults of those that are not given, those of groups of options too."""
    both = {**defaults, **given}
    return {
        name: _filled(one, defaults[name]) if isinstance(one, Mapping) and defaults.get(name) else one
        for name, one in both.items()
    }


def is_of_before(folder: Path) -> bool:
    """Whether the job of a folder was written when there were options that are no more."""
    job = _read_job(folder)
    return job is not None and without_retired(job["sections"]) != job["sections"]


def _digest_before(folder: Path, job: Mapping[str, Any]) -> str | None:
    """The digest of the job of a folder as it was written, if it is this one; else None."""
    before = _read_job(folder)
    return digest(before) if before is not None and digest(as_now(before)) == digest(job) else None


def _read_job(folder: Path) -> dict[str, Any] | None:
    try:
        job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return job


@dataclass(frozen=True)
class Trained:
    """A finished training: the folder of its job, and what is known of it."""

    folder: Path
    result: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, job: Mapping[str, Any]) -> Trained | None:
        """What a folder holds of the training that a job needs; None where that is another, or its weights are gone."""
        result = load_result(folder)
        if result is None or result.get("training") != training_digest(job):
            return None
        return cls(folder, result) if is_model(folder / RUN) and (folder / result["weights"]).is_file() else None

    def bundle(self) -> Bundle:
        """The model with the averaged weights of the last update; those in `run/` are of the best one.

        Raises:
            EchoError: a file is damaged.
        """
        bundle = load_bundle(self.folder / RUN)
        path = self.folder / self.result["weights"]
        try:
            bundle.model.load_state_dict(unpack(path.read_bytes()))
        except (OSError, ValueError, RuntimeError):
            raise EchoError(f"{path}: damaged; remove {self.folder}, and the job is done again") from None
        bundle.trained_features = None  # all, though a curriculum may not have brought them in by the best update
        return bundle


def keep_last_weights(folder: Path, progress: Progress) -> str:
    """The file, from a job's folder, with the averaged weights of the last update: those of the run where they are the
    best, else one that is written."""
    if progress.best_step == progress.step:
        return f"{RUN}/{WEIGHTS}"
    state = torch.load(folder / RUN / CHECKPOINT, map_location="cpu", weights_only=True)
    replace_file(folder / LAST, lambda path: path.write_bytes(pack(state["averaged"])))
    return LAST


def relative(there: Path, here: Path) -> str:
    """A folder as seen from another, so that both can be moved together."""
    try:
        return Path(os.path.relpath(there.resolve(), here.resolve())).as_posix()
    except ValueError:  # on another drive
        return str(there.resolve())


def home(folder: Path, result: Mapping[str, Any]) -> Path:
    """The folder of the job that did the training of a result, which lies in `folder`."""
    return Path(os.path.normpath(folder / result[TRAINED_IN])) if TRAINED_IN in result else folder


def find_trainings(folders: Iterable[Path]) -> dict[str, Path]:
    """The jobs that did the trainings of the studies in folders, by the digests of the trainings.

    Raises:
        EchoError: a folder holds no study, or a result in it is damaged.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not (folder / STUDY).is_file():
            raise EchoError(f"{folder}: no folder of a study; name one that echo-asr study made")
        for path in sorted(folder.glob(f"jobs/*/*/{RESULT}")):
            result = load_result(path.parent)
            if result is not None and "training" in result:
                found.setdefault(result["training"], home(path.parent, result))
    return found


def trained_before(job: Mapping[str, Any], folder: Path, elsewhere: Mapping[str, Path], ids: Sequence[str]) -> str:
    """The folder of the job that did a training already, for this study or another; empty where it is to be done.

    Args:
        folder: of the job that wants it.
        elsewhere: what `find_trainings` found.
        ids: of the utterances that are validated on; a corpus of the same name may have become another.
    """
    own, other = load_result(folder), elsewhere.get(training_digest(job))
    for found in (*([home(folder, own)] if own else []), *([other] if other else [])):
        trained = Trained.of(found, job)
        if trained and trained.result["ids"] == list(ids):
            return str(found)
    return ""
