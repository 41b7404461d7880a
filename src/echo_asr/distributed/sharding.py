"""A model in shards: parameters, gradients, optimizer and averages are divided among the processes (FSDP, Zhao et al.
2023, arXiv:2304.11277; torch's `fully_shard`). For models that a GPU cannot hold with all of that.

What torch has for that takes 1.6 s to import, so each function imports its own: a process alone needs none of it.

Torch's own function is called here and not accelerate's, which chooses modules by class: not all blocks of a model may
be sharded by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def shard_model(loss: nn.Module, blocks: Sequence[nn.Module], processes: int, device: torch.device) -> nn.Module:
    """Shard the module that computes the loss of a model: each of some of its blocks by itself, and all the rest
    together. Parameters without a dimension stay whole; see `clip`."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes,))
    for module in (*blocks, loss):
        fully_shard(module, mesh=mesh, ignored_params={p for p in module.parameters() if p.ndim == 0})
    return loss


def set_synchronised(wrapped: nn.Module, yes: bool) -> None:
    """Whether the next backward pass divides its gradients among the processes, or keeps them for a later one."""
    from torch.distributed.fsdp import FSDPModule

    assert isinstance(wrapped, FSDPModule)
    wrapped.set_requires_gradient_sync(yes)


def clip(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Scale gradients, in shards or whole, to a norm of at most `limit`; returns the norm that they had. Gradients of
    whole parameters become the mean over the processes first."""
    grads = [p.grad for p in parameters if p.grad is not None]
    whole = [g for g in grads if not is_divided(g)]
    for grad in whole:
        torch.distributed.all_reduce(grad)
        grad /= torch.distributed.get_world_size()
    pieces = [local(g) for g in grads if is_divided(g)]
    squared = torch.stack([piece.square().sum() for piece in pieces]).sum()
    torch.distributed.all_reduce(squared)
    norm = (squared + sum(g.square().sum() for g in whole)).sqrt()
    scale = min(1.0, limit / (float(norm) + 1e-6)) if math.isfinite(float(norm)) else 1.0
    for piece in (*pieces, *whole):
        piece.mul_(scale)
    return norm


def is_divided(value: Any) -> bool:
    """Whether a value is a tensor of which each process holds a part (a `DTensor`)."""
    return isinstance(value, Tensor) and hasattr(value, "full_tensor")


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds."""
    part: Tensor = tensor.to_local() if is_divided(tensor) else tensor  # type: ignore[attr-defined]
    return part


def gather_whole(tree: Any) -> Any:
    """A tree of containers with every tensor whole again, on the CPU. All processes call this together."""
    if isinstance(tree, dict):
        return {key: gather_whole(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(gather_whole(value) for value in tree)
    return tree.full_tensor().cpu() if is_divided(tree) else tree


def divide(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, divided as another one of its shape is."""
    if not is_divided(like) or value.shape != like.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def divide_state(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Whole weights, divided as a module's are."""
    own = module.state_dict()
    return {name: divide(value, own[name]) for name, value in state.items()}


def divide_optimizer(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Whole moments, divided as the parameters that they are of."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = {
        index: {name: divide(v, parameters[index]) if isinstance(v, Tensor) else v for name, v in each.items()}
        for index, each in state["state"].items()
    }
    return {**state, "state": moments}
