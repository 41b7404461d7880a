from pathlib import Path

import pytest
import torch

import echo_asr
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import load_bundle
from tests.helpers.tone_corpus import assert_same_run, same, tone, write_config, write_corpus
from tests.helpers.training import train, train_until_crash


@pytest.fixture
def extended(corpus: Path, tmp_path: Path) -> Path:
    """A corpus whose texts have two symbols that the first one's have not."""
    return write_corpus(
        tmp_path / "extended",
        [("train", text, 1.0) for text in ("a", "b", "c", "é", "a é", "x")] + [("validation", "a", 1.02)],
    )


def test_a_model_is_started_from_and_gets_new_symbols(
    learnt: Path, config: Path, extended: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_until_crash(1, config, str(extended), run, init=learnt)
    old, new = load_bundle(learnt), load_bundle(run)  # as it was before the first update
    assert new.tokenizer.symbols == [*old.tokenizer.symbols, "x", "é"]
    size = old.tokenizer.vocabulary_size
    before, after = old.model.state_dict(), new.model.state_dict()
    for name, value in after.items():
        if name == "decoder.embedding":
            assert torch.equal(value[: size - 1], before[name]) and value.shape[0] == size + 1
        elif name.startswith("ctc_head"):
            assert torch.equal(value[:size], before[name]) and value.shape[0] == size + 2
        else:
            assert torch.equal(value, before[name]), name
    texts = ("a", "c b", "b a")
    assert [Recognizer(new).transcribe(tone(text)).text for text in texts] == list(texts), "it still knows the old ones"


def test_starting_from_a_model_that_knows_everything_changes_nothing(
    learnt: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    train_until_crash(1, config, str(corpus), tmp_path / "run", init=learnt)
    assert same(dict(load_bundle(tmp_path / "run").model.state_dict()), dict(load_bundle(learnt).model.state_dict()))


def test_new_words_are_learnt_from_an_old_model(learnt: Path, extended: Path, tmp_path: Path) -> None:
    options = {"max_steps": 25, "batch_seconds": 12, "speeds": [1.0], "validate_every": 25, "noise_share": 0.0}
    train(write_config(tmp_path / "c.yaml", train=options), str(extended), tmp_path / "run", init=learnt)
    assert load_bundle(tmp_path / "run").tokenizer.vocabulary_size == 7
    assert echo_asr.load(tmp_path / "run").transcribe(tone("b")).text == "b"


def test_a_run_that_was_started_from_a_model_resumes_without_it(
    learnt: Path, config: Path, extended: Path, tmp_path: Path
) -> None:
    train(config, str(extended), tmp_path / "whole", init=learnt)
    train_until_crash(3, config, str(extended), tmp_path / "run", init=learnt)
    train(config, str(extended), tmp_path / "run", resume=True, init=tmp_path / "gone")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.width", "48", "--model.cross_layers", "2"], "differs from the configuration in width, cross_layers"),
        (["--features.mels", "16"], "differs from the configuration in features.mels"),
    ],
)
def test_a_model_of_another_form_cannot_be_started_from(
    words: list[str], message: str, learnt: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(EchoError, match=f"--init .*learnt: its model {message}"):
        train(config, str(corpus), tmp_path / "run", words, init=learnt)
    assert not (tmp_path / "run").exists()
