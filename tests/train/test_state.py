import copy
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from torch import nn

from echo_asr.distributed.launch import ProcessRank
from echo_asr.distributed.processes import Processes
from echo_asr.errors import EchoError
from echo_asr.train.averages import AveragedWeights
from echo_asr.train.config import TrainConfig
from echo_asr.train.optimizer import make_optimizer
from echo_asr.train.state import CHECKPOINT, Progress, load_checkpoint, save_checkpoint
from tests.helpers.tone_corpus import same


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("count", torch.tensor(0))


def step(model: Small, optimizer: torch.optim.Optimizer) -> None:
    """An update on random data, with dropout: it depends on the state of torch's random numbers."""
    loss = nn.functional.dropout(model.linear(torch.randn(4, 3)), 0.5).square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.count += 1


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.995])
def test_averaged_weights_follow_their_formula(decay: float) -> None:
    torch.manual_seed(0)
    model = Small()
    averaged = AveragedWeights(model, decay)
    weights = [model.linear.weight.detach().double().numpy().copy()]
    for _ in range(30):
        with torch.no_grad():
            model.linear.weight += torch.randn(2, 3)
            model.count += 1
        averaged.update(model)
        weights.append(model.linear.weight.detach().double().numpy().copy())
    # Written out: the weight of each update is its own share times what the later ones left of it.
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(1, 31)]
    shares = [(1 - decays[n]) * np.prod(decays[n + 1 :]) for n in range(30)]
    expected = np.prod(decays) * weights[0] + sum(s * w for s, w in zip(shares, weights[1:], strict=True))
    np.testing.assert_allclose(averaged.state["linear.weight"].numpy(), expected, rtol=0, atol=3e-6)
    assert np.prod(decays) + sum(shares) == pytest.approx(1.0)
    assert averaged.state["count"].item() == 30 and averaged.updates == 30


def test_averaging_leaves_the_model_alone() -> None:
    model = Small()
    before = copy.deepcopy(model.state_dict())
    averaged = AveragedWeights(model, 0.9)
    averaged.update(model)
    assert same(dict(model.state_dict()), dict(before))
    assert all(averaged.state[name].data_ptr() != value.data_ptr() for name, value in model.state_dict().items())


def made(seed: int) -> tuple[Small, torch.optim.Optimizer, AveragedWeights]:
    torch.manual_seed(seed)
    model = Small()
    return model, make_optimizer(model, TrainConfig()), AveragedWeights(model, 0.9)


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_goes_on_with_its_own_random_numbers(rank: int, tmp_path: Path) -> None:
    class Two(Processes):
        def gather(self, value: Any) -> list[Any]:
            return [value, {**value, "random": torch.Generator().manual_seed(7).get_state()}]

    model, optimizer, averaged = made(0)
    states = torch.get_rng_state(), torch.Generator().manual_seed(7).get_state()
    save_checkpoint(tmp_path, model, optimizer, averaged, Progress(), "ours", Two(ProcessRank(0, 2)))
    torch.manual_seed(1)
    load_checkpoint(tmp_path, model, optimizer, averaged, "ours", Two(ProcessRank(rank, 2)))
    assert torch.equal(torch.get_rng_state(), states[rank])


def test_what_is_loaded_goes_on_as_what_was_saved(tmp_path: Path) -> None:
    model, optimizer, averaged = made(0)
    for _ in range(3):
        step(model, optimizer)
        averaged.update(model)
    save_checkpoint(tmp_path, model, optimizer, averaged, Progress(3, 1, 2, 12.5, 2, 1, 9.5), "ours")

    def go_on() -> list[object]:
        for _ in range(3):
            step(model, optimizer)
            averaged.update(model)
        return [dict(model.state_dict()), optimizer.state_dict(), averaged.state, torch.rand(3)]

    expected = copy.deepcopy(go_on())
    model, optimizer, averaged = made(1)
    step(model, optimizer)
    progress = load_checkpoint(tmp_path, model, optimizer, averaged, "ours")
    assert progress == Progress(3, 1, 2, 12.5, 2, 1, 9.5)
    assert averaged.updates == 3
    assert same(go_on(), expected)


class Touch:
    """Pickled, it makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["other fingerprint", "cut", "empty", "text", "other weights", "code"])
def test_a_checkpoint_of_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    model, optimizer, averaged = made(0)
    save_checkpoint(tmp_path, model, optimizer, averaged, Progress(), "ours")
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    if kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "code":  # what a pickle could run is not run
        torch.save({"fingerprint": "ours", "model": Touch(path.with_name("touched"))}, path)
    elif kind == "other weights":
        model = nn.Linear(5, 5)  # type: ignore[assignment]
    expected = "belongs to another configuration or corpus" if kind == "other fingerprint" else "damaged checkpoint"
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(EchoError, match=f"last.pt: {expected}.*new --out") as caught:
        load_checkpoint(tmp_path, model, optimizer, averaged, "theirs" if kind.startswith("other f") else "ours")
    assert "\n" not in str(caught.value)
    assert same(dict(model.state_dict()), dict(before)) and not path.with_name("touched").exists()


def test_nothing_to_resume_is_told(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="nothing to resume, no checkpoints/last.pt; leave out --resume"):
        load_checkpoint(tmp_path, *made(0), "ours")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer, averaged = made(0)
    save_checkpoint(tmp_path, model, optimizer, averaged, Progress(step=1), "ours")

    def full(state: object, file: IO[bytes]) -> None:
        file.write(b"half of it")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(EchoError, match="last.pt: could not be written .*an existing file is unchanged"):
        save_checkpoint(tmp_path, model, optimizer, averaged, Progress(step=2), "ours")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.pt"]
    assert load_checkpoint(tmp_path, model, optimizer, averaged, "ours").step == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EchoError, match="last.pt: could not be written"):
        save_checkpoint(tmp_path / "file", *made(0), Progress(), "ours")
