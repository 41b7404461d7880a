from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch

from echo_asr.features import FeatureBatch
from echo_asr.model.echo import Echo
from echo_asr.train.efficiency import blocks_of, compile_blocks, recompute, subnormals_flushed

Texts = tuple[torch.Tensor, torch.Tensor]


def gradients(
    model: Echo, batch: FeatureBatch, texts: Texts
) -> tuple[float, dict[str, torch.Tensor], torch.Tensor, int]:
    """Loss, gradients, what is drawn next at random, and bytes kept for the backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.train().zero_grad()
    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.loss(batch, *texts).total
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), found, torch.rand(3), sum(kept.values())


@pytest.mark.parametrize(
    "options", [{"dropout": 0.3}, {"text_pitch": "aligned", "stop": "silence", "vrope": {"radius": "acoustic"}}]
)
def test_what_is_computed_again_is_the_same_to_the_bit_and_not_kept(
    options: dict[str, Any], make_model: Callable[..., Echo], make_batch: Callable[..., FeatureBatch], texts: Texts
) -> None:
    model = make_model(cross_layers=2, spectrogram_layers=4, **options)
    batch = make_batch()
    loss, kept, after, size = gradients(model, batch, texts)
    recompute(model)
    again, computed, after_again, less = gradients(model, batch, texts)
    assert loss == again and torch.equal(after, after_again)
    assert kept.keys() == computed.keys() and all(torch.equal(kept[name], computed[name]) for name in kept)
    assert less < 0.5 * size


def test_nothing_is_computed_again_where_nothing_is_learnt(
    make_model: Callable[..., Echo], make_batch: Callable[..., FeatureBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    recompute(model)
    assert all(block.recompute for block in blocks_of(model)) and len(list(blocks_of(model))) > 3
    monkeypatch.setattr("echo_asr.model.blocks.checkpoint", lambda *_, **__: pytest.fail("computed twice"))
    with torch.no_grad():
        model.train()(make_batch(), torch.zeros(4, 2, dtype=torch.long))
    model.eval()(make_batch(), torch.zeros(4, 2, dtype=torch.long))


def test_without_a_compiler_one_warning_and_no_change(
    make_model: Callable[..., Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_asr.train.efficiency.shutil.which", lambda name: None)
    monkeypatch.setenv("CXX", "c++-that-is-not-there")
    told: list[str] = []
    model = make_model()
    compile_blocks(model, told.append)
    assert told == ["train.compile: there is no C++ compiler (c++-that-is-not-there) here; going on without compiling"]
    assert all(block._compiled_call_impl is None for block in blocks_of(model))


def test_subnormal_numbers_are_zero_only_while_training() -> None:
    tiny = torch.full((16,), 1e-40)
    with suppress(KeyError), subnormals_flushed():
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor cannot flush subnormal numbers")
        assert not (tiny * 1.0).any()
        with subnormals_flushed():
            pass
        assert not (tiny * 1.0).any()  # as it was before
        raise KeyError
    assert (tiny * 1.0).all()
