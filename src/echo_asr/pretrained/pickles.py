"""Weights that exist only as pickles: converted to safetensors, once, in a process of its own.

A pickle can run code when it is loaded. torch's restricted loader refuses whatever is not a tensor; that it runs in
another process, with bounded memory and time, is for what that loader may not foresee.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import torch

from echo_asr.console import print_message
from echo_asr.errors import EchoError
from echo_asr.libraries import default_cache_root
from echo_asr.pretrained.licence import CARD, licence_files
from echo_asr.pretrained.weights import CONFIG, PREPROCESSOR, PROCESSOR, WEIGHTS, indexed_files
from echo_asr.storage import create_folder, pack

PICKLE = "pytorch_model.bin"
MEMORY = 1 << 30  # bytes, beside three times the size of the files
SECONDS, SPEED = 300, 5e6  # that a conversion may take: so many, and one more for so many bytes


def pickle_files(folder: Path) -> list[Path]:
    """The pickles of a folder: one file, or the parts that its index names. Empty for none.

    Raises:
        EchoError: the index is damaged.
    """
    if (folder / PICKLE).is_file():
        return [folder / PICKLE]
    return indexed_files(folder / f"{PICKLE}.index.json")


def convert(folder: Path, name: str) -> Path:
    """The folder, in Echo's cache, that holds what a folder of transformers does, with its pickles as safetensors.

    Args:
        name: of the encoder, for messages.

    Raises:
        EchoError: a pickle is damaged, holds more than tensors, or unpacks to far more than its size; or a full disk.
    """
    files = pickle_files(folder)
    others = [folder / other for other in (CONFIG, PREPROCESSOR, PROCESSOR, CARD)]
    others = [path for path in (*others, *licence_files(folder)) if path.is_file()]
    try:
        states = [(str(path.resolve()), (s := path.stat()).st_size, s.st_mtime_ns) for path in (*files, *others)]
    except OSError as error:
        raise EchoError(f"{error.filename}: cannot be read ({error.strerror}); fetch {name} again") from None
    key = hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]
    target = default_cache_root() / "encoders" / f"{Path(name).name}-{key}"
    if not (target / WEIGHTS).is_file():
        what = f"{name} has its weights as pickles: converting them to safetensors, once, into {target}"
        print_message(what)

        def fill(temporary: Path) -> None:
            for path in others:
                shutil.copyfile(path, temporary / path.name)
            _convert_apart(name, files, temporary / WEIGHTS)

        create_folder(target, fill, target / WEIGHTS)
    return target


def _convert_apart(name: str, files: list[Path], target: Path) -> None:
    """Run this module on pickles in a fresh interpreter, which finds Echo where this one did."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", __name__, str(target), *map(str, files)]
    seconds = SECONDS + sum(file.stat().st_size for file in files) / SPEED
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise EchoError(f"{name}: its pickles took over {seconds:.0f} s to convert; {_other()}") from None
    except OSError as error:
        raise EchoError(f"{name}: no process can be started to convert its pickles ({error.strerror})") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1][:300] if lines else f"the process ended with status {done.returncode}"
        if "No space left" in reason:
            raise EchoError(f"{target.parent.parent} has no room for {name}; set ECHO_ASR_CACHE to another folder")
        raise EchoError(f"{name}: its pickles cannot be converted ({reason}); {_other()}")


def _other() -> str:
    return "give a model that has safetensors"


def main(target: Path, files: list[Path]) -> None:
    """Write the tensors of pickles as safetensors; the process ends with a line on standard error if that fails."""
    torch.set_num_threads(1)
    _limit_memory(3 * sum(file.stat().st_size for file in files) + MEMORY)
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            found = torch.load(file, "cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        except Exception as error:  # torch raises many kinds
            sys.exit(_explain(file, error))
        if not isinstance(found, dict):
            sys.exit(f"{file.name} holds no mapping of names to tensors")
        tensors |= {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        sys.exit("there are no tensors in them")
    try:
        target.write_bytes(pack(_apart(tensors)))
    except (OSError, MemoryError, RuntimeError) as error:
        sys.exit(str(error).splitlines()[0] if str(error) else "too little memory")


def _explain(file: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, pickle.UnpicklingError) and "Unsupported operand" not in text:  # which is no pickle at all
        return f"{file.name} holds more than tensors, which might run code"
    return f"{file.name} is damaged or too large: {type(error).__name__}: {text[:150]}"


def _apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of which no two share memory, which safetensors cannot hold."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return found


def _limit_memory(size: int) -> None:
    """Let this process take so many bytes more than it has, where the system can bound that."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError, AttributeError):
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = taken + size if hard == resource.RLIM_INFINITY else min(taken + size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
