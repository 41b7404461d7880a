"""Starting from a trained model, whose symbols are kept and to which new ones are added."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.echo import Echo


def start_from(model: Echo, start: Bundle, mapping: dict[int, int], name: str) -> None:
    """Give a new model the weights of a trained one.

    Args:
        mapping: the new id of every id of the trained model.
        name: of the trained model's folder, for errors.

    Raises:
        EchoError: the two models differ in more than their symbols.
    """
    ours, theirs = (
        {**asdict(one.config), "features.mels": one.mels, "features.encoder_layers": one.states}
        for one in (model, start.model)
    )
    differ = [k for k in ours if ours[k] != theirs[k] and k not in ("dropout", "ctc_weight")]  # those only train
    if differ:
        raise EchoError(
            f"--init {name}: its model differs from the configuration in {', '.join(differ)}; "
            "take the configuration it was trained with, or train without --init"
        )
    model.load_state_dict(grow_vocabulary(start.model.state_dict(), mapping, model))


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
