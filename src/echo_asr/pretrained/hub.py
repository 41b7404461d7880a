"""Encoders of the Hugging Face hub: found in its cache, or fetched. The only module that imports huggingface_hub."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from echo_asr.console import print_message
from echo_asr.errors import EchoError
from echo_asr.pretrained.licence import CARD
from echo_asr.pretrained.networks import INSTALL
from echo_asr.pretrained.pickles import PICKLE, pickle_files
from echo_asr.pretrained.weights import CONFIG, PREPROCESSOR, PROCESSOR, WEIGHTS, weight_files

NAME = re.compile(r"([\w-][\w.-]*/[\w.-]+?)(?:@([\w./-]+))?")  # OWNER/REPO, perhaps @REVISION
COMMIT = re.compile(r"[0-9a-f]{40}")
SMALL = (CONFIG, PREPROCESSOR, PROCESSOR, CARD, "LICENSE*", "LICENCE*")
PARTS = {WEIGHTS: "model-*-of-*.safetensors", PICKLE: "pytorch_model-*-of-*.bin"}
SHOWN = 12  # digits of a revision


class Cached(NamedTuple):
    """A revision of a model in the hub's cache."""

    name: str
    revision: str
    folder: Path
    size: int  # bytes


def find_in_hub(repo: str, revision: str, check: Callable[[Path], object]) -> Path:
    """The folder of a model of the hub, which has the name of its commit. A revision in the cache that is pinned to a
    commit is taken from there, and so is any other without the network; else the hub is asked.

    Args:
        revision: a branch, tag or commit; empty for the main branch.
        check: of a folder with the configuration, before weights are fetched; raises EchoError.

    Raises:
        EchoError: the extra is missing, there is no such model or revision, no permission, network or room on the disk.
    """
    offline = _constants(repo).is_offline_mode()
    cached = _in_cache(repo, revision)
    shown = f"{repo}@{revision}" if revision else repo
    if cached is not None and (offline or COMMIT.fullmatch(revision)):
        return cached
    if offline:
        remedy = "unset HF_HUB_OFFLINE, or copy the hub's cache from a machine that has it"
        raise EchoError(f"{shown} is not in the hub's cache, and HF_HUB_OFFLINE is set; {remedy}")
    try:
        return _fetch(repo, revision, check)
    except EchoError:
        raise
    except Exception as error:  # of huggingface_hub and several libraries of the network
        if (definite := _definite(repo, revision, error)) is not None:
            raise definite from None
        if cached is None:
            what = f"{shown} is not in the hub's cache, and cannot be fetched ({_reason(error)})"
            raise EchoError(f"{what}; check the name and the network, or give a folder") from None
        print_message(f"the hub cannot be reached; {shown} is taken from its cache, revision {cached.name[:SHOWN]}")
        return cached


def list_cached() -> tuple[Path, list[Cached]]:
    """The hub's cache, and the revisions of models in it. Nothing of the network is used.

    Raises:
        EchoError: the extra is missing.
    """
    root = Path(_constants("the hub's cache").HF_HUB_CACHE)
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir(root).repos
    except (CacheNotFound, ValueError):  # none yet, or a file of that name
        return root, []
    found = [
        Cached(repo.repo_id, one.commit_hash, Path(one.snapshot_path), one.size_on_disk)
        for repo in repos
        if repo.repo_type == "model"
        for one in repo.revisions
    ]
    return root, sorted(found)


def has_weights(folder: Path) -> bool:
    """Whether all files of weights are there that a folder of transformers should have."""
    files = weight_files(folder) or pickle_files(folder)
    return bool(files) and all(file.is_file() for file in files)


def _constants(name: str) -> Any:
    """The settings of huggingface_hub."""
    try:
        from huggingface_hub import constants
    except ImportError:
        raise EchoError(f"{name} needs huggingface_hub, which is not installed: {INSTALL}") from None
    return constants


def _in_cache(repo: str, revision: str) -> Path | None:
    """The folder of a model in the cache that has all that is needed."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo, CONFIG, revision=revision or None)
    return Path(config).parent if isinstance(config, str) and has_weights(Path(config).parent) else None


def _fetch(repo: str, revision: str, check: Callable[[Path], object]) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    found = HfApi().model_info(repo, revision=revision or None, files_metadata=True).siblings or []
    with _without_bars():
        folder = Path(snapshot_download(repo, revision=revision or None, allow_patterns=list(SMALL)))
    check(folder)
    if has_weights(folder):
        return folder
    sizes = {file.rfilename: file.size or 0 for file in found}
    names = _choose_weights(sizes)
    if not names:
        what = f"{repo} has no {WEIGHTS} and no {PICKLE}"
        raise EchoError(f"{what}, so it is no model that transformers loads; give another, or a folder")
    print_message(f"fetching {repo}, {sum(map(sizes.__getitem__, names)) / 1e6:.0f} MB, once, into the hub's cache")
    snapshot_download(repo, revision=folder.name, allow_patterns=names)
    return folder


@contextmanager
def _without_bars() -> Iterator[None]:
    """Without the progress bars of huggingface_hub, for files that take no time."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _choose_weights(names: Iterable[str]) -> list[str]:
    """Of the files of a repository those with its weights: safetensors, else pickles; whole, else in parts."""
    there = sorted(names)
    for whole, parts in PARTS.items():
        if whole in there:
            return [whole]
        pattern = re.compile(re.escape(parts).replace(r"\*", r"\d+"))
        if (index := f"{whole}.index.json") in there:
            return [index, *filter(pattern.fullmatch, there)]
    return []


def _definite(repo: str, revision: str, error: Exception) -> EchoError | None:
    """What to say of an error that is not one of the network; None for those."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    if isinstance(error, errors.GatedRepoError):
        return EchoError(f"{repo} is given to those alone who accept its terms: do so at {page}, then: hf auth login")
    if isinstance(error, errors.RepositoryNotFoundError | errors.DisabledRepoError | errors.HFValidationError):
        what = f"there is no folder {repo}, and no model of that name on the hub"
        return EchoError(f"{what}; check the name, and if it is a private one: hf auth login")
    if isinstance(error, errors.RevisionNotFoundError):
        return EchoError(f"{repo} has no revision {revision!r}; give a branch, tag or commit of {page}/commits/main")
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return EchoError(f"{repo} does not fit on the disk of the hub's cache; make room, or set HF_HOME to a folder")
    if isinstance(error, PermissionError) or number == errno.EROFS:
        return EchoError(f"the hub's cache cannot be written ({error}); set HF_HOME to a folder that can")
    return None


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
