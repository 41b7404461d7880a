"""The files of an encoder in a folder of transformers: configuration, input, tensors, and a hash of them all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from echo_asr.errors import EchoError
from echo_asr.storage import iterate_tensors, tensor_names

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
PROCESSOR = "processor_config.json"  # where transformers 5 puts the preprocessor of some models, under one of:
NESTED = ("feature_extractor", "audio_processor")
POINTER = b"version https://git-lfs"  # how the file begins that git leaves instead of one that it did not fetch
AGAIN = "fetch it again"
DType = Literal["float16", "bfloat16", "float32"]  # to which the weights of an encoder are rounded


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file of a folder of transformers.

    Raises:
        EchoError: there is none, or it is damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f"{path.parent}: no {path.name} there"
        raise EchoError(f"{what}; give a folder of transformers ({CONFIG}, {WEIGHTS}), or a hub name") from None
    except (OSError, ValueError, RecursionError) as error:
        raise EchoError(f"{path}: cannot be read ({_first_line(error)}); {AGAIN}") from None
    if not isinstance(data, dict):
        raise EchoError(f"{path}: a mapping was expected; {AGAIN}")
    return data


def read_type(folder: Path) -> str:
    """The `model_type` of a folder of transformers; empty where it has none.

    Raises:
        EchoError: there is no configuration, or it is damaged.
    """
    return str(read_json(folder / CONFIG).get("model_type") or "")


def read_preprocessor(folder: Path) -> dict[str, Any]:
    """How the encoder's input is made: `preprocessor_config.json`, or what transformers 5 writes instead; empty where
    a folder does not say.

    Raises:
        EchoError: the file is damaged.
    """
    whole = read_json(folder / PROCESSOR) if (folder / PROCESSOR).is_file() else {}
    for name in NESTED:
        if isinstance(whole.get(name), dict):
            return dict(whole[name])
    return read_json(folder / PREPROCESSOR) if (folder / PREPROCESSOR).is_file() else {}


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder: one file, or the parts that its index names. Empty for none.

    Raises:
        EchoError: the index is damaged, or names files outside of the folder.
    """
    index = folder / f"{WEIGHTS}.index.json"
    return [folder / WEIGHTS] if (folder / WEIGHTS).is_file() else indexed_files(index)


def indexed_files(index: Path) -> list[Path]:
    """The parts that an index of weights names, which lie beside it; empty where there is no index.

    Raises:
        EchoError: the index is damaged, or names files elsewhere.
    """
    if not index.is_file():
        return []
    names = read_json(index).get("weight_map")
    parts = sorted({str(name) for name in names.values()}) if isinstance(names, dict) else []
    if not parts or any(Path(part).name != part for part in parts):
        raise EchoError(f"{index}: names no files beside it; {AGAIN}")
    return [index.parent / part for part in parts]


def check_weights(folder: Path) -> None:
    """Check that the safetensors of a folder are whole.

    Raises:
        EchoError: one is missing, cut off or damaged.
    """
    _names(folder)


def read_tensors(folder: Path, prefixes: Sequence[str] = ("",), dtype: str = "") -> dict[str, Tensor]:
    """The tensors of an encoder, by their names in the files of a folder.

    Args:
        prefixes: what the names of the encoder's tensors may begin with. The longest that any name has is that of all;
            tensors with other names, such as those of a decoder, are not read.
        dtype: `float16`, `bfloat16` or `float32`, to which real values are rounded; empty for that of the files.

    Raises:
        EchoError: a file is missing or damaged, there is none, or a value is too large for `dtype`.
    """
    if not weight_files(folder):
        raise EchoError(f"{folder}: no {WEIGHTS} there; give a folder of transformers with its weights as safetensors")
    names = _names(folder)
    fitting = [prefix for prefix in prefixes if any(name.startswith(prefix) for name in names)]
    prefix = max(fitting, key=len, default="")
    kind = getattr(torch, dtype) if dtype else None
    found = {}
    for name, tensor in _tensors(folder, prefix):
        rounded = tensor.to(kind) if kind is not None and tensor.is_floating_point() else tensor
        if rounded is not tensor and not _is_finite(rounded) and _is_finite(tensor):
            raise EchoError(f"{folder}: {name} has values too large for {dtype}; choose bfloat16 or float32")
        found[name] = rounded
    return found


def digest(folder: Path) -> str:
    """SHA-256, in hexadecimal, of what an encoder computes with: configuration, preprocessor, and all tensors.

    It does not depend on how tensors are divided into files, nor on any other file of the folder.

    Raises:
        EchoError: a file is missing or damaged.
    """
    files = [folder / name for name in (CONFIG, PROCESSOR, PREPROCESSOR)] + weight_files(folder)
    states = [(file, file.stat()) for file in files if file.is_file()]
    return _digest(folder, tuple((str(file), state.st_size, state.st_mtime_ns) for file, state in states))


@lru_cache(maxsize=16)
def _digest(folder: Path, states: tuple[tuple[str, int, int], ...]) -> str:
    """The digest of files of these sizes and times."""
    config = json.dumps([read_json(folder / CONFIG), read_preprocessor(folder)], sort_keys=True)
    lines = []
    for name, tensor in _tensors(folder):
        values = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
        lines.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(values.data).hexdigest()}")
    return hashlib.sha256("\n".join([config, *sorted(lines)]).encode()).hexdigest()


def _names(folder: Path) -> list[str]:
    """The names of all tensors of a folder."""
    names = []
    for file in weight_files(folder):
        with _clear_errors(file):
            names += tensor_names(file)
    return names


def _tensors(folder: Path, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for file in weight_files(folder):
        with _clear_errors(file):
            yield from iterate_tensors(file, prefix)


@contextmanager
def _clear_errors(file: Path) -> Iterator[None]:
    """Raise an EchoError for whatever is wrong with a file of weights."""
    try:
        yield
    except FileNotFoundError:
        raise EchoError(f"{file.parent}: {file.name} is missing, which its index names; {AGAIN}") from None
    except (OSError, ValueError) as error:
        if _begins(file, POINTER):
            raise EchoError(
                f"{file}: git left only a pointer to the weights; run in its folder: git lfs pull"
            ) from None
        raise EchoError(f"{file}: damaged or cut off ({_first_line(error)}); {AGAIN}") from None


def _is_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite; `isfinite` takes ten times as long in half precision."""
    return tensor.numel() == 0 or math.isfinite(float(tensor.abs().max()))


def _begins(file: Path, data: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(data)) == data
    except OSError:
        return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
