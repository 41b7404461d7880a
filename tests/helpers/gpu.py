"""A device that is not there: tensors that lie on the CPU and say that they do not, as on Apple's GPU, which has no
float64 and lacks some operators. What is computed is real, so that training and decoding go their way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgen
from torch.utils._python_dispatch import TorchDispatchMode

from echo_asr.vrope import precision

DEVICE = torch.device("meta")  # a name that torch has without the hardware
MIXED = ("copy_", "index", "index_put_", "_index_put_impl_")  # operators that take tensors of the CPU, too
aten = torch.ops.aten


class Remote(torch.Tensor):
    """A tensor of the device."""

    value: torch.Tensor

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> Remote:
        made: Remote = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, value.shape, strides=value.stride(), storage_offset=value.storage_offset(), dtype=value.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.value = value
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def tolist(self) -> Any:
        return self.value.tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Remote({self.value!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, None)


@cache
def operators_of_mps() -> frozenset[str]:
    """The operators that this torch has for Apple's GPU, by its own list: those that have a kernel there, are made of
    others, or hand over to one that has."""
    listing = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    kernels: dict[str, set[str]] = {}  # of each operator, the devices that have one
    handed_over: dict[str, str] = {}
    name = ""
    for line in listing.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"- func: ([\w.]+)\(", line):
            name = found[1]
            kernels[name] = set()
        elif found := re.match(r"  structured_delegate: ([\w.]+)", line):
            handed_over[name] = found[1]
        elif found := re.match(r"    ([\w, ]+): \w", line):
            kernels[name] |= set(found[1].split(", "))
            if found[1] == "CompositeExplicitAutograd" and "." not in name:
                handed_over[name] = f"{name}.out"

    def is_there(name: str) -> bool:
        other = handed_over.get(name)
        if other in kernels and "MPS" not in kernels[name]:
            return is_there(other)
        return not kernels[name] or any(k == "MPS" or k.startswith("Composite") for k in kernels[name])

    return frozenset(filter(is_there, kernels))


def change(tree: Any, one: Callable[[Any], Any]) -> Any:
    """Containers as operators take and give them, with each value changed; torch's own way takes ten times as long."""
    if isinstance(tree, list | tuple):
        return type(tree)([change(x, one) for x in tree])
    return {name: change(x, one) for name, x in tree.items()} if isinstance(tree, dict) else one(tree)


def compute(func: Any, args: Any, kwargs: dict[str, Any], used: set[str] | None) -> Any:
    """An operator on the CPU, with a word against what Apple's GPU would not do."""
    if torch.is_inference_mode_enabled():  # within which torch makes no tensors of other classes
        with torch.inference_mode(False), torch.no_grad():
            return compute(func, args, kwargs, used)
    name = func._schema.name.removeprefix("aten::")
    tensors: list[torch.Tensor] = []
    change((args, kwargs), lambda leaf: tensors.append(leaf) if isinstance(leaf, torch.Tensor) else None)
    remote = [x for x in tensors if isinstance(x, Remote)]
    target = kwargs.get("device")
    there = target.type == DEVICE.type if target is not None else bool(remote)
    if name == "_fused_sdp_choice":
        return 0  # of plain operators
    if not remote and not there:
        return func(*args, **kwargs)
    here = [x for x in tensors if not isinstance(x, Remote) and x.dim()]
    assert not remote or not here or name in MIXED, f"{func}: tensors of the CPU among those of the device"
    if name not in ("_to_copy", "_local_scalar_dense", "copy_"):
        if used is not None:
            used.add(str(func).removeprefix("aten.").replace(".default", ""))
        assert name == "empty" or has_kernel(func), f"{func}: not on this device"
    for x in remote:
        assert x.dtype != torch.float64, f"{func}: float64 on a device that has none"
    if target is not None and there:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    own = {id(x.value): x for x in remote}
    args, kwargs = change((args, kwargs), lambda x: x.value if isinstance(x, Remote) else x)
    found = func(*args, **kwargs)

    def wrap(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or not there:
            return x
        assert x.dtype != torch.float64, f"{func}: makes float64 on a device that has none"
        return own[id(x)] if id(x) in own else Remote(x)

    return change(found, wrap)


def has_kernel(func: Any) -> bool:
    """Whether Apple's GPU has an operator."""
    name = func._schema.name.removeprefix("aten::")
    overload = func._schema.overload_name
    return (f"{name}.{overload}" if overload else name) in operators_of_mps()


class Gpu(TorchDispatchMode):
    """While it is active, there is the device. `used` are the operators that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, self.used)


@contextmanager
def gpu_without_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """The device, which Echo knows to have no float64."""
    monkeypatch.setattr(precision, "SINGLE_ONLY", (DEVICE.type,))
    with Gpu() as mode:
        yield mode
