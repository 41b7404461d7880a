"""Probes: the gradients and activations of a batch, by hooks that are removed afterwards.

The model is in evaluation mode meanwhile, its parameters and their `.grad` are not touched, and no random number is
drawn: a probe between two updates changes nothing of a training.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

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
COMPONENTS = ("gate", "mlp", "q", "k", "v", "o", "norm", "encoder", "blend", "vrope", "text")


@dataclass(frozen=True)
class Part:
    """Parameters whose gradient is looked at together.

    Attributes:
        component: one of `COMPONENTS`.
        parameters: their names in the model.
    """

    component: str
    parameters: tuple[str, ...]


@dataclass
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


def parts(model: Echo) -> dict[str, Part]:
    """The parts of a model by the name of their module; every parameter belongs to exactly one.

    `q`, `k`, `v` and `o` are the projections of each attention, `mlp` the three maps of a feed-forward, `gate` what
    opens it, `norm` each layer norm, `encoder` each convolution of a front end, `blend` each blend weight, `vrope` the
    parameters of an attention's rotation, pitch bias and null weights, `text` the embedding, end and CTC head.
    """
    found: dict[str, Part] = {}
    taken: set[str] = set()

    def take(name: str, component: str, module: nn.Module) -> None:
        own = tuple(f"{name}.{n}" for n, _ in module.named_parameters() if f"{name}.{n}" not in taken)
        if own:
            found[name] = Part(component, own)
            taken.update(own)

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
        with torch.enable_grad(), _watch(model, batch) as activations:
            loss = model.loss(batch.features, batch.tokens, batch.lengths, features=features).total
            found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    finally:
        model.train(training)
    squares = {n: float(double(g).square().sum()) for n, g in zip(named, found, strict=True) if g is not None}
    gradients, strengths = {}, {}
    for name, part in parts(model).items():
        own = [n for n in part.parameters if n in squares]
        if own:
            total = sum(squares[n] for n in own)
            gradients[name] = total**0.5
            strengths[name] = (total / sum(named[n].numel() for n in own)) ** 0.5
    return Probe(float(loss.detach()), gradients, strengths, activations)


@dataclass
class _Inside:
    """Which positions are no padding."""

    text: Tensor  # (B, L + 1)
    frames: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.bool))  # (B, F)


@contextmanager
def _watch(model: Echo, batch: Batch) -> Iterator[dict[str, Activation]]:
    """Note activations and their gradients while the model computes a loss of the batch."""
    place = torch.arange(batch.tokens.shape[1] + 1, device=batch.tokens.device)
    inside = _Inside(place <= batch.lengths[:, None])
    seen: dict[str, Activation] = {}

    def learn_padding(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        inside.frames = ~arguments[2].padding

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            block = name.removesuffix(".feedforward.pass_gate").removesuffix(".feedforward.output")
            own: str | None = None
            if isinstance(module, Encoder):
                hooks.callback(module.register_forward_pre_hook(learn_padding).remove)
            elif isinstance(module, VRoPEAttention | CrossAttention):
                own = f"{name}.attention_output"
            elif isinstance(module, Gate):
                own = f"{block}.gate_activation"
            elif isinstance(module, nn.Linear) and name.endswith(".feedforward.output"):
                own = f"{block}.mlp_activation"
            elif isinstance(module, Block):
                own = f"{name}.residual_output"
            elif name == "decoder.norm" or (name.startswith("encoders.") and name.count(".") == 2):
                own = f"{name.removesuffix('.norm')}.final_output" if name.endswith(".norm") else None
            if own:
                hooks.callback(module.register_forward_hook(_noting(own, inside, seen)).remove)
        yield seen


def _noting(name: str, inside: _Inside, seen: dict[str, Activation]) -> Callable[..., None]:
    def note(module: nn.Module, _: Any, output: Any) -> None:
        value: Tensor = output
        mask = inside.frames if name.startswith("encoders.") else inside.text

        def chosen(x: Tensor) -> Tensor:
            return x[mask].float() if x.dim() == 3 else x.float()  # a scalar gate has no positions

        values = chosen(value.detach()).abs()
        found = Activation(float(values.mean()), float((values < NEAR_ZERO).float().mean()))
        seen[name] = found
        if value.requires_grad:

            def note_gradient(gradient: Tensor) -> None:
                found.gradient = float(chosen(gradient).square().mean().sqrt())

            value.register_hook(note_gradient)

    return note
