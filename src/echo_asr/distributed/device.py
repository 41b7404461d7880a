"""Where tensors are: a CPU or a GPU, of this process among several."""

from __future__ import annotations

import torch

from echo_asr.distributed.launch import find_rank
from echo_asr.errors import EchoError


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: `cpu`, `cuda`, `cuda:1`, `mps` (Apple's GPU), or `auto` (a GPU where there is one). Of
    several processes on a machine each takes a GPU of its own, or all the CPU.

    Raises:
        EchoError: no such device here.
    """
    rank = find_rank()
    if name == "auto":
        apple = torch.backends.mps.is_available() and rank.count == 1
        name = "cuda" if torch.cuda.is_available() else "mps" if apple else "cpu"
        if rank.count == 1:
            return torch.device(name)
    if rank.count > 1 and name.startswith("cuda"):
        if name != "cuda" or rank.local_rank >= torch.cuda.device_count():
            what = f"{rank.local_count} processes on a machine with {torch.cuda.device_count()} GPUs, --device {name}"
            mend = "start as many as there are GPUs, without a number in --device"
            raise EchoError(f"{what}: each takes a GPU of its own; {mend}")
        name = f"cuda:{rank.local_rank}"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError("Echo knows cpu, cuda and mps")
        if device.type == "mps" and rank.count > 1:
            raise RuntimeError(f"there is one for {rank.count} processes")
        torch.zeros(1, device=device).item()  # there are devices that hold no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise EchoError(f"device {name!r} is not available here ({reason}); take --device cpu or auto") from None
    return device
