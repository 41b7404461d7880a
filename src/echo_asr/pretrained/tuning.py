"""Which tensors of a pretrained encoder are trained: those of its top layers, of all its layers, of LoRA, or none.

What lies below the first layer (convolutions, their projection, positions) is never trained. Nor is a norm after the
last layer: states are normalised after it, whatever it scales. Pitch adapters are trained beside whatever is chosen.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from torch import nn
from torch.nn import Parameter
from torch.utils.checkpoint import checkpoint

from echo_asr.errors import EchoError
from echo_asr.pretrained.adapters import adapt
from echo_asr.pretrained.encoder import SpeechEncoder
from echo_asr.pretrained.networks import INSTALL
from echo_asr.vrope import PitchAdapters

Tune = Literal["none", "lora", "top", "all"]
LORA_SCALE = 2.0  # factor on what LoRA adds: alpha over rank
# Attention that hands the weights of its projections to a function of torch, past the modules, where LoRA would have no
# effect.
FUSED = ("WavLMAttention",)


def layers_of(encoder: SpeechEncoder) -> nn.ModuleList:
    """The transformer layers, lowest first."""
    network: Any = encoder.network
    layers: nn.ModuleList = network.layers if hasattr(network, "layers") else network.encoder.layers
    return layers


def choose_trained(encoder: SpeechEncoder, tune: Tune, highest: int, top: int = 1, rank: int = 8) -> None:
    """Set which tensors are trained, once for an encoder. Layers above the highest that is read are taken away, and
    what is not trained becomes part of no `state_dict`.

    Args:
        tune: `lora`: a matrix of low rank beside each linear map of each layer (Hu et al. 2021, arXiv:2106.09685);
            `top`: the highest layers that are read; `all`: all layers.
        highest: the highest layer that is read.
        top: how many layers `top` trains.
        rank: of the matrices of `lora`.

    Raises:
        EchoError: there are not so many layers, or peft is not installed.
    """
    layers = layers_of(encoder)
    del layers[highest:]
    encoder.requires_grad_(False)
    if tune != "none" and len(layers) < (least := top if tune == "top" else 1):
        what = f"{least} layers of the pretrained encoder to train, and {len(layers)} are read"
        raise EchoError(f"model.tune {tune}: {what}; read higher ones (features.encoder_layers), or train fewer")
    if tune == "lora":
        _add_lora(layers, rank)
    elif tune != "none":
        layers[len(layers) - top if tune == "top" else 0 :].requires_grad_(True)
    _leave_frozen_unsaved(encoder)


def add_adapters(encoder: SpeechEncoder, reference: str) -> PitchAdapters:
    """Put pitch adapters into all layers, once for an encoder, after `choose_trained`. They are trained, and part of
    its `state_dict`.

    Args:
        reference: what pitch is relative to, as in `PitchTrack.z`.

    Raises:
        EchoError: no layer is left.
    """
    if not len(layers_of(encoder)):
        what = "pitch adapters stand in the layers of the pretrained encoder, and none is read"
        raise EchoError(f"model.adapters: {what}; read higher ones (features.encoder_layers)")
    encoder.adapters = adapters = adapt(encoder.network, reference=reference)
    return adapters


def trained_by_layer(encoder: SpeechEncoder) -> list[list[Parameter]]:
    """The parameters that are trained of each layer, lowest first, without those of pitch adapters."""
    added = set() if encoder.adapters is None else set(encoder.adapters.parameters())
    return [[p for p in layer.parameters() if p.requires_grad and p not in added] for layer in layers_of(encoder)]


def recompute_layers(encoder: SpeechEncoder) -> None:
    """Keep of each layer its input alone, and compute the rest again for the backward pass."""
    how: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
    if encoder.adapters is not None:
        how["context_fn"] = encoder.adapters.checkpoint_contexts
    for layer in layers_of(encoder):
        again = partial(checkpoint, layer.forward, **how)
        layer.forward = again


def _add_lora(layers: nn.ModuleList, rank: int) -> None:
    """Put LoRA beside each linear map of some layers; it begins with adding nothing.

    Raises:
        EchoError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise EchoError(f"model.tune lora needs the extra: {INSTALL}") from None
    passed_by = [name for name, module in layers.named_modules() if type(module).__name__ in FUSED]
    targets = [
        name
        for name, module in layers.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith(tuple(f"{each}." for each in passed_by))
    ]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=round(LORA_SCALE * rank), target_modules=targets), layers)


def _leave_frozen_unsaved(encoder: SpeechEncoder) -> None:
    """Keep tensors that are not trained out of the `state_dict` of a module, and of those that hold it: they come from
    the encoder's own files."""
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    frozen = [name for name in encoder.state_dict() if name not in trained]

    def leave_out(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        for name in frozen:
            state.pop(prefix + name)

    def fill_in(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        own = dict(module.named_parameters()) | dict(module.named_buffers())
        state.update({prefix + name: own[name].detach() for name in frozen})

    encoder.register_state_dict_post_hook(leave_out)
    encoder.register_load_state_dict_pre_hook(fill_in)
