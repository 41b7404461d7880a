"""The part of a corpus that layers are compared on, and its states."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from echo_asr.audio import load_audio
from echo_asr.data.corpus import Corpus, Utterance, load_corpus
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.pretrained.source import Source, find
from echo_asr.research.probe.part import ProbedPart
from echo_asr.text.config import TextConfig
from tests.helpers.encoders import whisper

pytest.importorskip("transformers")

LAYERS, WIDTH = 3, 32  # of that encoder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return find(str(whisper(tmp_path_factory.mktemp("whisper"))))


@pytest.fixture(scope="module")
def part(source: Source, corpus: Path) -> ProbedPart:
    return ProbedPart(load_corpus(corpus), source, TextConfig(), 0.03, seed=0)


def test_states_of_every_layer_are_those_that_training_gets_each_normalised(part: ProbedPart, source: Source) -> None:
    training, validation = part.extract(lambda done: None)
    assert part.layers == tuple(range(LAYERS + 1))
    assert len(training.states) == len(part.training) and len(validation.states) == len(part.validation)
    extractor = FeatureExtractor(FeatureConfig(states=source.name, encoder_layers=(1, 3)))
    for example, read in zip(part.validation, validation.read((1, 3)), strict=True):
        expected = extractor(load_audio(example.utterance.audio)).states
        assert expected is not None and read.shape == (2 * WIDTH, -(-expected.shape[1] // 2))
        for one, other in zip(read.split(WIDTH), expected[:, ::2].float().split(WIDTH), strict=True):
            normal = (other - other.mean(0)) / other.std(0, correction=0)
            torch.testing.assert_close(one.float(), normal, atol=2e-2, rtol=1e-2)


def test_memory_is_told_beforehand(part: ProbedPart) -> None:
    held = [states for found in part.extract(lambda done: None) for states in found.states]
    assert part.bytes_needed == pytest.approx(sum(states.nbytes for states in held), rel=0.05)


def spoken(count: int, speakers: int, seconds: float = 2.0) -> Corpus:
    """A corpus whose audio does not exist; a tenth of the utterances have no text."""
    rows = [
        Utterance(f"{split}{i}", f"{i}.wav", "" if i % 40 >= 36 else "ma3", f"s{i % speakers}", split, seconds)
        for split in ("train", "validation")
        for i in range(count)
    ]
    return Corpus("spoken", tuple(rows))


def test_so_many_minutes_are_drawn_of_all_speakers_alike(source: Source) -> None:
    part = ProbedPart(spoken(400, 4), source, TextConfig(), 2.0, seed=0)
    assert part.seconds == (120.0, 36.0)
    assert set(Counter(e.utterance.speaker for e in part.training).values()) == {15}
    assert all(e.text for e in (*part.training, *part.validation))
    assert part.notation is not None and part.notation.kind == "digits"
    again, other = (ProbedPart(spoken(400, 4), source, TextConfig(), 2.0, seed) for seed in (0, 1))
    assert again.training == part.training != other.training


def test_a_small_corpus_is_taken_whole_and_its_validation_held_out(source: Source) -> None:
    rows = tuple(replace(u, split="train") for u in spoken(20, 2).utterances if u.split == "train")
    part = ProbedPart(Corpus("small", rows), source, TextConfig(), 10.0, seed=0)
    assert len(part.training) + len(part.validation) == 20
    assert part.validation


def test_a_corpus_without_texts_is_refused(source: Source) -> None:
    rows = tuple(replace(u, text="") for u in spoken(10, 1).utterances)
    with pytest.raises(EchoError, match="spoken: no text in its split train"):
        ProbedPart(Corpus("spoken", rows), source, TextConfig(tones="none"), 1.0, seed=0)
