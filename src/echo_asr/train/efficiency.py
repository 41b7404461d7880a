"""What makes training smaller or faster and leaves what it computes as it is."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import environ

import torch

from echo_asr.model.blocks import Block
from echo_asr.model.echo import Echo


def blocks_of(model: Echo) -> Iterator[Block]:
    """All blocks of a model, of encoders and decoder."""
    return (module for module in model.modules() if isinstance(module, Block))


def recompute(model: Echo) -> None:
    """Keep of each block, and of each layer of a pretrained encoder within the model, its input alone, and compute the
    rest again for the backward pass (Chen et al. 2016, arXiv:1604.06174): memory for activations falls to a fraction,
    time rises by up to a third."""
    for block in blocks_of(model):
        block.recompute = True
    if model.pretrained is not None:
        model.pretrained.recompute()


@contextmanager
def subnormals_flushed() -> Iterator[None]:
    """Numbers below 1e-38 count as zero in this thread, where the processor can do that: gradients so small do
    not matter, and each takes it many times as long as another number."""
    smallest = torch.full((16,), 1e-40)
    before = bool((smallest * 1.0 == 0.0).all())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def compile_blocks(model: Echo, warn: Callable[[str], None]) -> None:
    """Compile each block, for any lengths; with a warning and no change where there is no compiler."""
    missing = _missing_compiler(model.device)
    if missing:
        warn(f"train.compile: there is no {missing} here; going on without compiling")
        return
    torch._dynamo.config.suppress_errors = True  # a part that cannot be compiled runs as it is
    for block in blocks_of(model):
        block.compile(dynamic=True)


def _missing_compiler(device: torch.device) -> str | None:
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "triton"
    compiler = environ.get("CXX") or "g++"
    return None if shutil.which(compiler) or shutil.which("clang++") else f"C++ compiler ({compiler})"
