"""Whether a text was spoken: the evidence by definition, pooled states, and what a recogniser leaves out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from echo_asr.decode.search import DecodeConfig, Hypothesis, search
from echo_asr.decode.spoken import evidence, pooled_states
from echo_asr.decode.transcribe import Recognizer
from echo_asr.model.calibration import SpeechProbability
from echo_asr.model.checkpoint import load_bundle, save_calibrations
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import Encoded
from tests.helpers.plain_search import CONFIGS, RECORDINGS, Table
from tests.helpers.tone_corpus import tone


def spelled(table: Table, row: int, text: tuple[int, ...]) -> float:
    """The log probability of a text under CTC: the sum over all paths that spell it."""
    logp, total = table.symbols[row, : table.frames[row]].double(), 0.0
    for path in itertools.product(range(3), repeat=table.frames[row]):
        if tuple(token for token, _ in itertools.groupby(path) if token) == text:
            total += math.exp(sum(float(logp[frame, token]) for frame, token in enumerate(path)))
    return math.log(total) if total else -math.inf


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("seed", range(6))
def test_evidence_is_what_ctc_and_the_decoder_have_against_no_text(seed: int, config: DecodeConfig) -> None:
    table: Any = Table(seed, (4, 2, 3))
    found = search(table, table.encoded(), config)
    for row, (one, own) in enumerate(zip(found, evidence(table.symbols, table.encoded().lengths, found), strict=True)):
        empty = float(table.draw((row, (0,)), 1, 3).double().log_softmax(-1)[0, 0])
        assert one.empty == pytest.approx(empty)
        text = tuple(one.tokens)
        ratio = (spelled(table, row, text) - spelled(table, row, ())) / max(1, len(text))
        expected = math.sqrt(max(0.0, ratio) * -empty) if text else 0.0
        assert own == pytest.approx(expected, abs=1e-4)


def test_states_are_pooled_over_the_frames_that_are_not_silent() -> None:
    states = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    null = torch.tensor([[0, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
    padding = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
    model: Any = SimpleNamespace(config=SimpleNamespace(ctc_feature="spectrogram"))
    encoded: Any = SimpleNamespace(states={"spectrogram": states}, track=SimpleNamespace(null=null, padding=padding))
    kept = (states[0, [0, 2]], states[1, :4], states[2])  # the second is silence throughout
    for own, rows in zip(pooled_states(model, encoded), kept, strict=True):
        expected = torch.cat((rows.mean(0), rows.std(0, correction=0), rows.amax(0)))
        assert torch.allclose(own, expected, atol=1e-5)


def evidence_of(model: Echo, encoded: Encoded, found: list[Hypothesis]) -> list[float]:
    return evidence(model.ctc_log_probabilities(encoded), encoded.lengths, found)


@torch.inference_mode()
def test_what_is_pooled_does_not_depend_on_the_batch(reader: Echo, make_batch: Callable[..., Any]) -> None:
    together = reader.encode(make_batch(RECORDINGS))
    found = search(reader, together, DecodeConfig())
    pooled, whole = pooled_states(reader, together), evidence_of(reader, together, found)
    for row, frames in enumerate(RECORDINGS):
        alone = reader.encode(make_batch([frames]))
        assert torch.allclose(pooled_states(reader, alone)[0], pooled[row], atol=1e-4)
        assert evidence_of(reader, alone, [found[row]])[0] == pytest.approx(whole[row], abs=1e-3)


def recogniser(folder: Path, speech: SpeechProbability | None, **decode: Any) -> Recognizer:
    return Recognizer(replace(load_bundle(folder), speech=speech), DecodeConfig(**decode))


def test_a_text_that_was_hardly_spoken_is_left_out(learnt: Path) -> None:
    width = 3 * load_bundle(learnt).model.config.width
    said = recogniser(learnt, None).transcribe(tone("a b"))
    assert said.text == "a b" and said.segments[0].evidence > 0.0
    for bias, text in ((8.0, "a b"), (-8.0, "")):
        usual = math.log(said.segments[0].evidence)
        speech = SpeechProbability((0.0,) * width, bias, usual, 0.25)
        found = recogniser(learnt, speech).transcribe(tone("a b"))
        assert found.text == text and len(found.segments) == bool(text)
        assert recogniser(learnt, speech, least_speech=0.0).transcribe(tone("a b")).text == "a b"
    little = SpeechProbability((0.0,) * width, 1.0, math.log(said.segments[0].evidence) + 1.0, 0.25)
    assert recogniser(learnt, little).transcribe(tone("a b")).text == "", "a third of the usual evidence"


def test_the_probability_is_kept_with_the_model(learnt: Path, tmp_path: Path) -> None:
    speech = SpeechProbability((0.5, -0.25, 1e-7), -1.5, 2.25, 0.3, 12)
    load_bundle(learnt).save(tmp_path)
    assert load_bundle(tmp_path).speech == load_bundle(learnt).speech
    save_calibrations(tmp_path, {"speech": speech})
    assert load_bundle(tmp_path).speech == speech
    assert speech([0.0, 0.0, 0.0], 0.0) == 0.0
    assert speech([3.0, 0.0, 0.0], math.exp(2.25)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="spread"):
        SpeechProbability((1.0,), 0.0, 1.0, 0.0)
    for text in ("[]", "{}", '{"weights": [1], "bias": 0, "usual": 0, "spread": 1, "other": 2}'):
        with pytest.raises(ValueError, match="expected"):
            SpeechProbability.from_text(text)
