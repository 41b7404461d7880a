"""All that runs on a model's device runs on Apple's GPU: without float64, and without the operators that it lacks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from echo_asr.data.batch import collate, make_examples
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.alignment import align
from echo_asr.decode.search import DecodeConfig, search
from echo_asr.distributed import device
from echo_asr.distributed.device import choose_device
from echo_asr.distributed.launch import ProcessRank
from echo_asr.errors import EchoError
from echo_asr.features import FeatureBatch, FeatureExtractor
from echo_asr.model.echo import Echo
from echo_asr.research.diagnose.counterfactuals import utterance_losses
from echo_asr.research.diagnose.monitor import look_inside
from echo_asr.train.loop import Trainer
from echo_asr.vrope import double, precise_device
from tests.helpers.gpu import DEVICE, Gpu, Remote, gpu_without_float64


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    with gpu_without_float64(monkeypatch) as mode:
        yield mode


# --- the device that the tests below stand on ---


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda x: x.double(), "makes float64 on a device"),
        (lambda x: torch.zeros(2, dtype=torch.float64, device=x.device), "makes float64 on a device"),
        (lambda x: x + torch.ones(2), "tensors of the CPU among"),
        (lambda x: torch.nn.functional.ctc_loss(
            x.expand(3, 1, 2).log_softmax(-1), *(torch.tensor(n).to(DEVICE) for n in ([[1]], [3], [1]))
        ), "not on this device"),
    ],
)  # fmt: skip
def test_the_device_refuses_what_apples_would(wrong: Callable[[Tensor], object], told: str, gpu: Gpu) -> None:
    x = torch.ones(2).to(DEVICE)
    assert isinstance(x, Remote) and (x + x).tolist() == [2.0, 2.0]
    with pytest.raises((AssertionError, NotImplementedError), match=told):
        wrong(x)


def test_the_device_refuses_float64_in_a_gradient(gpu: Gpu) -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            return gradient.double().float()

    x = nn.Parameter(torch.ones(2).to(DEVICE))
    with pytest.raises(AssertionError, match="makes float64"):
        Wrong.apply(x).sum().backward()  # type: ignore[no-untyped-call]


def test_float64_is_where_the_device_has_it(gpu: Gpu) -> None:
    assert precise_device(torch.device("cpu")) == torch.device("cpu") == precise_device(DEVICE)
    assert precise_device(torch.device("cuda:1")) == torch.device("cuda:1")
    assert double(torch.ones(1).to(DEVICE)).device.type == "cpu"


# --- the model ---


def test_a_model_computes_the_same_without_float64(
    options: dict[str, Any],
    make_model: Callable[..., Echo],
    make_batch: Callable[..., FeatureBatch],
    texts: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loss, gradients, losses of utterances, greedy search and beam, of every mode of the model."""
    batch = make_batch()

    def everything(model: Echo, *given: Any) -> tuple[float, dict[str, Tensor], list[float], list[list[int]]]:
        features, tokens, lengths = (x.to(model.device) for x in given)
        loss = model.loss(features, tokens, lengths, 0.1).total
        loss.backward()
        gradients = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
        with torch.inference_mode():
            encoded = model.encode(features)
            losses = utterance_losses(model, encoded, tokens, lengths).tolist()
            found = [search(model, encoded, DecodeConfig(beam=beam, max_tokens=2)) for beam in (1, 3)]
        return float(loss.detach()), gradients, losses, [h.tokens for texts in found for h in texts]

    expected = everything(make_model(**options), batch, *texts)
    with gpu_without_float64(monkeypatch):
        loss, gradients, losses, found = everything(make_model(**options).to(DEVICE), batch, *texts)
    assert loss == pytest.approx(expected[0], rel=1e-5) and losses == pytest.approx(expected[2], rel=1e-5)
    assert found == expected[3]
    assert gradients.keys() == expected[1].keys()
    for name, values in gradients.items():
        assert torch.allclose(values, expected[1][name], rtol=1e-3, atol=1e-5), name


# --- training, and what is made of its model ---


def test_a_model_is_trained_validated_and_aligned_without_float64(
    make_trainer: Callable[..., Trainer], corpus: Path, gpu: Gpu
) -> None:
    trainer = make_trainer(validate_every=100)
    trainer = Trainer(
        type(trainer.bundle)(
            trainer.bundle.model.to(DEVICE), trainer.bundle.tokenizer, trainer.bundle.features, trainer.bundle.text
        ),
        trainer.data, trainer.validation, trainer.config, trainer.run, trainer.reporter,
        DecodeConfig(beam=3, repetition=2),
    )  # fmt: skip
    model = trainer.model
    assert model.device.type == DEVICE.type and trainer.averaged.state["ctc_head.weight"].device.type == DEVICE.type
    before = trainer.averaged.state["ctc_head.weight"].cpu()
    model.train()
    batches = trainer.data.batches(0, 0)
    for _ in range(2):
        assert trainer._update(batches)["loss"] > 0.0
    assert not torch.equal(before, trainer.averaged.state["ctc_head.weight"].cpu())
    found = trainer.validate()
    assert found.loss > 0.0 and len(found.hypotheses) == 4
    assert look_inside(trainer)["loss"] > 0.0

    examples = make_examples(load_corpus(corpus).split("test"), trainer.bundle.tokenizer, str)
    cache = FeatureCache(None, FeatureExtractor(trainer.bundle.features))
    features = [cache.features(e.utterance.audio) for e in examples]
    tokens = [list(e.tokens) for e in examples]
    model.eval()
    with torch.inference_mode():
        encoded = model.encode(collate(features, tokens).features.to(DEVICE))
        for method in ("ctc", "attention"):
            aligned = align(model, encoded, features, tokens, trainer.bundle.tokenizer, method)  # type: ignore[arg-type]
            assert [len(symbols) for symbols, _ in aligned] == [len(text) for text in tokens]


# --- choosing it ---


def test_apples_gpu_is_chosen_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device().type == "mps"
    monkeypatch.setattr(device, "find_rank", lambda: ProcessRank(0, 2, 0, 2))
    assert choose_device().type == "cpu"
    with pytest.raises(EchoError, match="device 'mps' is not available here .there is one for 2 processes.; take"):
        choose_device("mps")
