import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.pretrained import SpeechEncoder, build
from echo_asr.pretrained.tuning import Tune, choose_trained, layers_of, recompute_layers, trained_by_layer
from tests.helpers.encoders import FAMILIES, whisper

READ = (1, 3)  # layers, of three
WIDTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def recordings() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return 0.1 * torch.randn(2, 8000), torch.tensor([8000, 8000])


def states(encoder: SpeechEncoder, recordings: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return torch.cat(encoder.states(*recordings, READ), dim=-1)


def choose(folder: Path, tune: Tune, highest: int = 3, top: int = 2) -> SpeechEncoder:
    encoder = build(folder)
    choose_trained(encoder, tune, highest, top=top, rank=4)
    return encoder


@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_the_same_at_first_and_all_that_is_trained_learns(
    family: str, recordings: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    folder = FAMILIES[family](tmp_path)
    with torch.inference_mode():
        expected = states(build(folder), recordings)
    for tune in get_args(Tune):
        encoder = choose(folder, tune)
        with torch.inference_mode():
            found = states(encoder, recordings)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # other kernels may compute a gradient
        if tune in ("none", "lora"):
            assert torch.equal(found, expected), tune
        trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
        assert sum(map(len, trained_by_layer(encoder))) == len(trained) and bool(trained) == (tune != "none")
        still = set(trained)
        optimizer = torch.optim.Adam(trained.values(), lr=0.01) if trained else None
        for _ in range(2):  # at the first, one matrix of each pair of LoRA is zero and the other has no gradient
            if optimizer is not None:
                optimizer.zero_grad()
                (states(encoder, recordings) * torch.randn_like(expected)).sum().backward()
                still = {name for name in still if not _moves(trained[name])}
                optimizer.step()
        assert still == set(), tune


def _moves(parameter: torch.nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


@pytest.mark.parametrize(
    ("tune", "by_layer"),
    [
        ("none", [0, 0, 0]),
        ("lora", [12, 12, 12]),  # two matrices for each of six linear maps
        ("top", [0, 15, 15]),
        ("all", [15, 15, 15]),
    ],
)
def test_layers_that_are_read_are_trained(tune: Tune, by_layer: list[int], folder: Path) -> None:
    assert [len(layer) for layer in trained_by_layer(choose(folder, tune))] == by_layer


def test_frozen_tensors_are_in_no_state_dict(folder: Path, recordings: tuple[torch.Tensor, torch.Tensor]) -> None:
    holder = torch.nn.ModuleDict({"encoder": choose(folder, "top", top=1)})
    saved = holder.state_dict()
    assert len(saved) == 15 and all(name.startswith("encoder.network.layers.2.") for name in saved)
    moved = {name: value + 1.0 for name, value in saved.items()}
    expected = states(choose(folder, "none"), recordings)[..., :WIDTH]
    holder.load_state_dict(moved)  # which is strict
    assert torch.equal(states(holder["encoder"], recordings)[..., :WIDTH], expected), "of layer 1, which is frozen"
    assert all(torch.equal(value, moved[name]) for name, value in holder.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        holder.load_state_dict({})


def test_layers_above_the_highest_that_is_read_are_not_there(folder: Path) -> None:
    encoder = choose(folder, "none", highest=2)
    assert len(layers_of(encoder)) == 2
    assert encoder.layers == 3, "the last layer of all is still known by its number"


def test_what_is_computed_again_has_the_same_gradients_to_the_bit(
    folder: Path, recordings: tuple[torch.Tensor, torch.Tensor]
) -> None:
    found, kept = [], []
    for again in (False, True):
        torch.manual_seed(0)
        encoder = choose(folder, "all")
        if again:
            recompute_layers(encoder)
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = states(encoder, recordings).square().sum()
        loss.backward()
        found.append([p.grad for p in encoder.parameters() if p.requires_grad])
        kept.append(sum(sizes.values()))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert kept[1] < 0.5 * kept[0]


def test_more_layers_than_are_read_are_not_trained(folder: Path) -> None:
    with pytest.raises(EchoError, match="tune top: 4 layers of the pretrained encoder to train, and 3 are read; read"):
        choose(folder, "top", top=4)
    with pytest.raises(EchoError, match="tune lora: 1 layers of the pretrained encoder to train, and 0 are read"):
        choose(folder, "lora", highest=0)


def test_without_peft_one_line_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(EchoError, match=r"model.tune lora needs the extra: pip install 'echo-asr\[pretrained\]'"):
        choose(folder, "lora")
    choose(folder, "top")
