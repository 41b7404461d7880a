"""The cost of vRoPE relative to plain attention: `python -m benchmarks.attention [--json]`.

Every mode is timed against `scaled_dot_product_attention` of the same shape in the same run, turn about, and reported
as the ratio of medians; memory is the peak of what the call allocates, as a ratio too. Projections are left out of
both. Backend `matrix` is the naive bias: the same terms as a whole `F x F` matrix beside the same kernel; `reference`
is plain tensor algebra. `--json` prints one object a line, else a table. Lengths and modes can be chosen (`--help`).
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from echo_asr.vrope import PitchTrack, VoiceModulation, VRoPEModes, make_bias, make_nulls, make_rotation, rotate

MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "rope": {"frequencies": "inverse_power", "clock": "encoder"},
    "integrated": {"theta": "integrated"},
    "acoustic": {"radius": "acoustic"},
    "quadratic": {"bias": "quadratic"},
    "weight": {"nulls": "weight"},
    "all": {"theta": "integrated", "radius": "acoustic", "bias": "quadratic", "nulls": "weight"},
}
NAIVE = {"all": ("reference", "matrix")}  # ways to compute the same without folding, for comparison
HEAD_WIDTH = 64  # K
HEADS = 4
FRAMES = (250, 1500, 6000)


class PeakMemory(TorchDispatchMode):
    """The peak of bytes of tensors that were allocated inside and alive at once. Temporary memory of kernels is not
    counted."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0

    def _freed(self, address: int) -> None:
        self.now -= self.alive.pop(address, 0)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                address = storage._cdata
                if address not in self.alive:
                    self.alive[address] = storage.nbytes()
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._freed, address)
        self.peak = max(self.peak, self.now)
        return out


def voice(batch: int, frames: int, device: torch.device) -> PitchTrack:
    """A pitch track like that of speech: F0 that glides between 100 and 250 Hz, pauses, one frame in three unvoiced."""
    draw = torch.Generator().manual_seed(0)
    time_ = torch.arange(frames) * 0.04  # s
    turns = torch.rand(batch, 1, generator=draw) + 0.3 * time_
    f0 = 158.0 * 2.0 ** (0.6 * torch.sin(6.28 * turns))
    voicing = (torch.rand(batch, frames, generator=draw) > 1 / 3).float()
    null = (time_ % 2.0 > 1.6).expand(batch, -1)
    energy = torch.rand(batch, frames, generator=draw).masked_fill(null, 0.0)
    padding = torch.zeros(batch, frames, dtype=torch.bool)
    track = PitchTrack(f0, voicing.masked_fill(null, 0.0), energy, null.clone(), padding, step=4.0)
    there: dict[str, Any] = {n: x.to(device) for n, x in vars(track).items() if isinstance(x, Tensor)}
    return replace(track, **there)


def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return scaled_dot_product_attention(query, key, value)


def modulated(mode: dict[str, Any], backend: str, track: PitchTrack) -> tuple[Callable[..., Tensor], int]:
    """The call of a mode, and the width of the queries and keys it takes. Backend `matrix` is the naive way: the same
    terms as a whole `F x F` bias in `scaled_dot_product_attention`."""
    device = track.f0.device
    if backend != "matrix":
        config = VRoPEModes(**mode, backend=backend).attention(HEADS * HEAD_WIDTH, HEADS)  # type: ignore[arg-type]
        layer = VoiceModulation(config).to(device)
        return lambda query, key, value: layer.modulate(query, key, value, track), config.content_width
    modes = VRoPEModes(**mode)
    rotation, nulls = make_rotation(modes, HEAD_WIDTH // 2).to(device), make_nulls(modes.nulls, HEADS).to(device)
    bias = make_bias(modes.bias, HEADS)
    assert bias is not None
    bias.to(device)

    def naive(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        turn, weight = rotation(track), nulls.key_bias(track.null)
        assert turn is not None and weight is not None
        mask = (bias.matrix(track) + weight[:, :, None]).to(query.dtype)
        return scaled_dot_product_attention(rotate(query, *turn), rotate(key, *turn), value, attn_mask=mask)

    return naive, HEAD_WIDTH


def inputs(batch: int, frames: int, content: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    widths = (content, content, HEAD_WIDTH)
    return [torch.randn(batch, HEADS, frames, w, device=device, dtype=dtype, requires_grad=True) for w in widths]


def call(function: Callable[..., Tensor], tensors: list[Tensor], backward: bool) -> None:
    with torch.set_grad_enabled(backward):
        out = function(*tensors)
        if backward:
            out.backward(torch.ones_like(out))
    for tensor in tensors:
        tensor.grad = None


def seconds(function: Callable[..., Tensor], tensors: list[Tensor], backward: bool) -> float:
    cuda = tensors[0].is_cuda
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    call(function, tensors, backward)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak(function: Callable[..., Tensor], tensors: list[Tensor], backward: bool) -> int:
    gc.collect()
    if tensors[0].is_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call(function, tensors, backward)
        return torch.cuda.max_memory_allocated() - before
    with PeakMemory() as memory:
        call(function, tensors, backward)
    return memory.peak


def compare(
    name: str, backend: str, frames: int, batch: int, device: torch.device, dtype: torch.dtype, repeats: int
) -> list[dict[str, Any]]:
    """One row for each direction."""
    track = voice(batch, frames, device)
    torch.manual_seed(0)
    function, content = modulated(MODES[name], backend, track)
    ours, theirs = inputs(batch, frames, content, dtype, device), inputs(batch, frames, HEAD_WIDTH, dtype, device)
    rows = []
    for direction in ("forward", "forward+backward"):
        backward = direction != "forward"
        pairs = [(seconds(function, ours, backward), seconds(plain, theirs, backward)) for _ in range(repeats + 1)][1:]
        mine, base = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append(
            {
                "benchmark": "attention",
                "mode": name,
                "backend": backend,
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                "dtype": str(dtype).removeprefix("torch."),
                "batch": batch,
                "heads": HEADS,
                "frames": frames,
                "head_width": HEAD_WIDTH,
                "threads": torch.get_num_threads(),
                "direction": direction,
                "time_ratio": round(mine / base, 3),
                "memory_ratio": round(peak(function, ours, backward) / max(1, peak(plain, theirs, backward)), 3),
                "plain_ms": round(1e3 * base, 3),
                "repeats": repeats,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES, help="lengths F (default 250 1500 6000)")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seconds", type=float, default=1.0, help="time a row may take, about")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    device, dtype = (torch.device("cuda"), torch.bfloat16) if on_gpu else (torch.device("cpu"), torch.float32)
    if not on_gpu and not arguments.json:
        print("no GPU here: the rows in bfloat16 against flash attention need one")
    for frames in arguments.frames:
        batch = max(1, 3000 // frames)
        for name in arguments.modes:
            for backend in ("sdpa", *NAIVE.get(name, ())):
                cost = seconds(plain, inputs(batch, frames, HEAD_WIDTH, dtype, device), True)
                repeats = max(3 if backend != "sdpa" and frames > 1500 else 5, min(50, int(arguments.seconds / cost)))
                for row in compare(name, backend, frames, batch, device, dtype, repeats):
                    if arguments.json:
                        print(json.dumps(row), flush=True)
                    else:
                        print(
                            f"F {frames:5d}  {name:10s} {backend:9s} {row['direction']:16s} "
                            f"time x {row['time_ratio']:.2f}  memory x {row['memory_ratio']:.2f}",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
