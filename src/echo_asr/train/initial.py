"""Starting from a trained model, whose symbols are kept and to which new ones are added."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.echo import Echo

PRETRAINED = "pretrained."  # begins the names of what is trained of a pretrained encoder
OF_TRAINING = ("dropout", "ctc_weight", "tune", "tuned_layers", "lora_rank", "adapters")  # settings that change no form


def start_from(model: Echo, start: Bundle, mapping: dict[int, int], name: str) -> None:
    """Give a new model the weights of a trained one.

    Args:
        mapping: the new id of every id of the trained model.
        name: of the trained model's folder, for errors.

    Raises:
        EchoError: the two models differ in more than their symbols, or what the trained one learnt of a pretrained
            encoder has no place in the new one.
    """
    ours, theirs = (
        {**asdict(one.config), "features.mels": one.mels, "features.encoder_layers": one.states}
        for one in (model, start.model)
    )
    differ = [k for k in ours if ours[k] != theirs[k] and k not in OF_TRAINING]
    if differ:
        raise EchoError(
            f"--init {name}: its model differs from the configuration in {', '.join(differ)}; "
            "take the configuration it was trained with, or train without --init"
        )
    state, own = start.model.state_dict(), model.state_dict()
    tuned = [tensor for tensor in state if tensor.startswith(PRETRAINED)]
    if any(tensor not in own or own[tensor].shape != state[tensor].shape for tensor in tuned):
        how = f"{start.model.config.tune}{', with pitch adapters' * start.model.config.adapters}"
        what = f"its pretrained encoder was tuned ({how}), and this one would not keep that"
        raise EchoError(f"--init {name}: {what}; set model.tune, tuned_layers, lora_rank and adapters as they were")
    new = {tensor: own[tensor] for tensor in own if tensor.startswith(PRETRAINED)}  # where it was not yet tuned
    model.load_state_dict(grow_vocabulary({**new, **state}, mapping, model))


def grow_vocabulary(state: dict[str, Tensor], mapping: dict[int, int], model: torch.nn.Module) -> dict[str, Tensor]:
    """Weights of another model for one with more symbols: rows of known symbols move to their new ids, rows of new
    symbols stay as the new model has them."""
    grown = dict(state)
    own = model.state_dict()
    for name in ("decoder.embedding", "ctc_head.weight", "ctc_head.bias"):
        first = name == "decoder.embedding"  # row i of which is id i + 1
        table = own[name].clone()
        for old, new in mapping.items():
            if old >= first:
                table[new - first] = state[name][old - first]
        grown[name] = table
    return grown
