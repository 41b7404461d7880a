"""What determines a result beside input and settings: the constants of the code, and the versions of libraries."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

LIBRARIES = ("soxr", "soundfile", "av")  # decode and resample; another version may give other samples


def constants_digest(*owners: ModuleType | type) -> str:
    """A short hash of the constants of modules, of packages with all their modules, and of classes: their upper-case
    names with numbers, bytes, tuples, lists, sets, mappings or arrays for values. A `VERSION` among them
    stands for the code that no constant represents."""
    found = {}
    for owner in (inner for one in owners for inner in _with_modules(one)):
        for name, value in vars(owner).items():
            if name.isupper() and not isinstance(value, str):  # a single string is a message
                try:
                    found[f"{owner.__name__}.{name}"] = json.dumps(_plain(value))
                except TypeError:  # an object; its constants are passed separately
                    continue
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _with_modules(owner: ModuleType | type) -> list[ModuleType | type]:
    inner = pkgutil.walk_packages(getattr(owner, "__path__", []), f"{owner.__name__}.")
    return [owner, *(importlib.import_module(module.name) for module in inner)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(inner)] for key, inner in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


@cache
def library_versions() -> str:
    """The versions of the libraries that decode and resample, of those that are installed."""
    return ",".join(f"{name}={version}" for name in LIBRARIES if (version := _version(name)))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
