"""Probes: the gradients and activations of a batch, by hooks that are removed afterwards.

The model is in evaluation mode meanwhile, its parameters and their `.grad` are not touched, and no random number is
drawn: a probe between two updates changes nothing of a training.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from echo_asr.data.batch import Batch
from echo_asr.model.blocks import Block, GatedFeedForward
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import Encoder
from echo_asr.model.front_end import FrontEnd, WaveFrontEnd
from echo_asr.model.options.gates import Gate
from echo_asr.vrope import VRoPEAttention, double

NEAR_ZERO = 0.01  # an activation nearer to zero than this counts as sparse; what the published figures agree with
PROJECTIONS = {"query": "q", "key": "k", "value": "v", "output": "o"}
WATCHED = (Encoder, VRoPEAttention, CrossAttention, Gate, nn.Linear, Block, nn.LayerNorm)  # what activations are of
COMPONENTS = ("gate", "mlp", "q", "k", "v", "o", "norm", "encoder", "blend", "vrope", "text", "pretrained")


@dataclass(frozen=True)
class Part:
    """Parameters whose gradient is looked at together.

    Attributes:
        component: one of `COMPONENTS`.
        parameters: their names in the model.
    """

    component: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Activation:
    """One activation over the positions of a batch that are no padding.

    Attributes:
        mean: of the absolute values.
        sparsity: share of the values within 0.01 of zero.
        gradient: root mean square of the loss's gradient with respect to the values; 0 where none arrives.
    """

    mean: float
    sparsity: float
    gradient: float = 0.0


@dataclass(frozen=True)
class Probe:
    """What one batch showed.

    Attributes:
        loss: joint loss of the batch, without label smoothing, in nats a token.
        gradients: L2 norm of the loss's gradient, by part; parts that took no part in the loss are left out.
        strengths: the same over the root of the number of parameters: the root mean square.
        activations: by name.
    """

    loss: float
    gradients: dict[str, float]
    strengths: dict[str, float]
    activations: dict[str, Activation]


class Call(NamedTuple):
    """One call of a module: its name in the model, its positional arguments, and what it returned."""

    name: str
    module: Any
    arguments: tuple[Any, ...]
    output: Any


@contextmanager
def record_calls(part: nn.Module, *kinds: type[nn.Module], prefix: str = "") -> Iterator[list[Call]]:
    """Note every call of the modules of some kinds in a part of a model; `prefix` is the name of the part."""
    calls: list[Call] = []

    def note(name: str, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        calls.append(Call(name, module, arguments, output))

    with ExitStack() as hooks:
        for name, module in part.named_modules(prefix=prefix):
            if isinstance(module, kinds):
                hooks.enter_context(module.register_forward_hook(partial(note, name)))
        yield calls


def parts(model: Echo) -> dict[str, Part]:
    """The parts of a model by the name of their module; every parameter belongs to exactly one.

    `q`, `k`, `v` and `o` are the projections of each attention, `mlp` the three maps of a feed-forward, `gate` what
    opens it, `norm` each layer norm, `encoder` each convolution of a front end, `blend` each blend weight, `vrope` the
    parameters of an attention's rotation, pitch bias and null weights, `text` the embedding, end and CTC head,
    `pretrained` all that is trained of a pretrained encoder.
    """
    found: dict[str, Part] = {}
    taken: set[str] = set()

    def take(name: str, component: str, module: nn.Module) -> None:
        own = tuple(f"{name}.{n}" for n, _ in module.named_parameters() if f"{name}.{n}" not in taken)
        if own:
            found[name] = Part(component, own)
            taken.update(own)

    if model.pretrained is not None:
        take("pretrained", "pretrained", model.pretrained)
    for name, module in model.named_modules():
        if isinstance(module, VRoPEAttention | CrossAttention):
            for projection, component in PROJECTIONS.items():
                take(f"{name}.{projection}", component, module.get_submodule(projection))
            take(name, "vrope", module)
        elif isinstance(module, Gate):
            take(name, "gate", module)
        elif isinstance(module, nn.LayerNorm):
            take(name, "norm", module)
        elif isinstance(module, FrontEnd | WaveFrontEnd):
            for index, convolution in enumerate(module.convolutions):
                take(f"{name}.convolutions.{index}", "encoder", convolution)
    for name, module in model.named_modules():
        if isinstance(module, GatedFeedForward):  # when its gate has been taken
            take(name, "mlp", module)
    for name, _ in model.named_parameters():
        if name not in taken:
            found[name] = Part("blend" if ".blends." in name else "text", (name,))
    return found


def probe(model: Echo, batch: Batch, features: Collection[str] | None = None) -> Probe:
    """Look at one batch: forward and backward in evaluation mode.

    Args:
        batch: on the model's device.
        features: those that take part, as in `Echo.encode`; None for all.
    """
    training = model.training
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    model.eval()
    try:
        with torch.enable_grad(), record_calls(model, *WATCHED) as calls:
            loss = model.loss(batch.features, batch.tokens, batch.lengths, features=features).total
            outputs = {own: call.output for call in calls if (own := _activation_name(call))}
            tensors = named | {own: output for own, output in outputs.items() if output.requires_grad}
            found = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    finally:
        model.train(training)
    arrived = {name: gradient for name, gradient in zip(tensors, found, strict=True) if gradient is not None}
    squares = {name: float(double(arrived[name]).square().sum()) for name in named if name in arrived}
    gradients, strengths = {}, {}
    for name, part in parts(model).items():
        reached = [n for n in part.parameters if n in squares]
        if reached:
            total = sum(squares[n] for n in reached)
            gradients[name] = total**0.5
            strengths[name] = (total / sum(named[n].numel() for n in reached)) ** 0.5
    text = torch.arange(batch.tokens.shape[1] + 1, device=batch.tokens.device) <= batch.lengths[:, None]
    frames = next(~call.arguments[2].padding for call in calls if isinstance(call.module, Encoder))
    activations = {
        own: _activation(output.detach(), arrived.get(own), frames if own.startswith("encoders.") else text)
        for own, output in outputs.items()
    }
    return Probe(float(loss.detach()), gradients, strengths, activations)


def _activation_name(call: Call) -> str | None:
    """What the output of a call is named; None where it is not looked at."""
    name, module = call.name, call.module
    block = name.removesuffix(".feedforward.pass_gate").removesuffix(".feedforward.output").removesuffix(".norm")
    if isinstance(module, VRoPEAttention | CrossAttention):
        return f"{name}.attention_output"
    if isinstance(module, Gate):
        return f"{block}.gate_activation"
    if name.endswith(".feedforward.output"):
        return f"{block}.mlp_activation"
    if isinstance(module, Block):
        return f"{name}.residual_output"
    return f"{block}.final_output" if re.fullmatch(r"(decoder|encoders\.\w+)\.norm", name) else None


def _activation(value: Tensor, gradient: Tensor | None, inside: Tensor) -> Activation:
    """Figures of an output over the positions `inside` `(B, F)`; a scalar gate has no positions."""

    def chosen(x: Tensor) -> Tensor:
        return x[inside].float() if x.dim() == 3 else x.float()

    values = chosen(value).abs()
    strength = 0.0 if gradient is None else float(chosen(gradient).square().mean().sqrt())
    return Activation(float(values.mean()), float((values < NEAR_ZERO).float().mean()), strength)
