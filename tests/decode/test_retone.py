"""Tones of given texts, by random models: the base of what is found is always the given one."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import ctc_loss

from echo_asr.decode.given_bases import GivenBases
from echo_asr.decode.results import Retoned
from echo_asr.decode.retone import retone_each
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.segments import SegmentConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, collate_features
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.encoder import Encoded
from echo_asr.text.config import TextConfig
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import ToneNotation
from tests.helpers.notations import NOTATIONS

Make = Callable[..., Any]
FEATURES = FeatureConfig(mels=8, tracker="autocorrelation")
DIGITS = TextConfig(tones="digits")


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """A gliding tone in noise, `(S,)` at 16 kHz."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    return (0.3 * np.sin(2 * np.pi * (120 + 40 * np.sin(3 * time + seed)) * time) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def make_recognizer(make_model: Make) -> Make:
    """`(texts, text=DIGITS, kind="character", seed=0, **decode)`: a recogniser with random weights."""

    @cache
    def bundle(texts: tuple[str, ...], kind: str, seed: int) -> Bundle:
        tokenizer = Tokenizer.train(texts, kind, 40)
        model = make_model(seed=seed, vocabulary=tokenizer.vocabulary_size, subsampling=2)
        return Bundle(model, tokenizer, FEATURES)

    def make(
        texts: Any, text: TextConfig = DIGITS, kind: str = "character", seed: int = 0, **decode: Any
    ) -> Recognizer:
        made = bundle(tuple(texts), kind, seed)
        return Recognizer(Bundle(made.model, made.tokenizer, FEATURES, text), DecodeConfig(**decode))

    return make


def settings_of(notation: ToneNotation) -> TextConfig:
    return TextConfig(tones=notation.kind, tone_marks=notation.marks, tone_unit=notation.unit)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(list(NOTATIONS)), st.sampled_from(["character", "bpe"]), st.integers(0, 2), st.integers(1, 8),
    st.sampled_from([0.0, 0.4, 1.0]), st.data(),
)  # fmt: skip
def test_the_base_is_always_the_given_one(
    make_recognizer: Make, name: str, kind: str, seed: int, beam: int, weight: float, data: st.DataObject
) -> None:
    """Texts with wrong tones, of many equal words, in recordings just long enough and longer."""
    notation, trained, _ = NOTATIONS[name]
    recognizer = make_recognizer(trained, settings_of(notation), kind, seed, beam=beam, ctc_weight=weight, repetition=2)
    words = [word for text in trained for word in text.split()]
    texts = [" ".join(data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=6))) for _ in range(2)]
    clips = [voice(data.draw(st.floats(0.02, 0.5)), seed) for seed in range(2)]
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        found = recognizer.retone(clips, texts)
    assert len(noted) == sum(not one.found for one in found)
    bases = GivenBases(recognizer.bundle.tokenizer, notation)
    for text, clip, one in zip(texts, clips, found, strict=True):
        base = bases.base(text)
        if one.found:
            assert bases.base(one.text) == base
            assert one.written == unicodedata.normalize("NFC", one.text)
            assert len(one.probabilities) == len(base.split())
            assert all(0.0 < p <= 1.0 + 1e-9 for p in one.probabilities)
        else:
            frames = math.ceil(math.ceil(len(clip) / 160) / 2)
            assert one.text == one.written == text
            assert bases.graph(base).frames_to_end(0) > frames


@torch.inference_mode()
def joint_score(recognizer: Recognizer, encoded: Encoded, tokens: list[int]) -> float:
    """The score of a text by its definition: teacher-forced, without a cache, CTC by torch's own loss."""
    model, weight = recognizer.bundle.model, recognizer.decode.ctc_weight
    state = model.decoder.state(encoded, cached=False)
    after = model.predict(torch.tensor([[0, *tokens]]), state)[0]
    score = (1 - weight) * float(sum(after[place, token] for place, token in enumerate([*tokens, 0])))
    if weight:
        logp = model.ctc_log_probabilities(encoded).double().transpose(0, 1)
        sizes = torch.tensor([logp.shape[0]]), torch.tensor([len(tokens)])
        score -= weight * float(ctc_loss(logp, torch.tensor([tokens]), *sizes, reduction="sum"))
    return score


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(
    ("name", "given_text", "seconds"),
    [("digits", "ma", 0.08), ("chao letters", "ma", 0.08), ("diacritics", "ni ma", 0.1), ("letters", "po bo", 0.14)],
)
def test_a_wide_beam_finds_the_best_of_all_tones(
    make_recognizer: Make, name: str, given_text: str, seconds: float, weight: float
) -> None:
    notation, trained, _ = NOTATIONS[name]
    for seed in range(2):
        recognizer = make_recognizer(trained, settings_of(notation), seed=seed, beam=150, ctc_weight=weight)
        clip = voice(seconds, seed)
        graph = GivenBases(recognizer.bundle.tokenizer, notation).graph(given_text)
        encoded = recognizer.bundle.model.encode(collate_features([recognizer.extractor(clip)]))
        frames = int(encoded.lengths[0])
        scores: dict[str, float] = {}
        waiting: list[tuple[list[int], int]] = [([], 0)]
        while waiting:
            tokens, state = waiting.pop()
            needed = len(tokens) + sum(a == b for a, b in pairwise(tokens))  # frames of CTC
            if state in graph.ends and needed <= frames:
                scores[recognizer.bundle.tokenizer.decode(tokens)] = joint_score(recognizer, encoded, tokens)
            if needed < frames:
                waiting += [([*tokens, token], after) for token, after in graph.edges[state].items()]
        found = recognizer.retone(clip, given_text)
        assert len(scores) > 10
        assert found.text == max(scores, key=lambda text: scores[text])
        if len(scores) < 150:
            shares = np.exp(np.array(list(scores.values())) - max(scores.values()))
            same = [text.split()[0] == found.text.split()[0] for text in scores]
            assert found.probabilities[0] == pytest.approx(shares[same].sum() / shares.sum(), abs=1e-3)


def test_a_text_does_not_depend_on_the_others(make_recognizer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = make_recognizer(NOTATIONS["digits"][1])
    clips = [voice(seconds, n) for n, seconds in enumerate((0.6, 0.2, 0.4, 0.3))]
    texts = ["ni hao ma", "ma", "", "ni ma"]
    found = recognizer.retone(clips, texts)
    monkeypatch.setattr("echo_asr.decode.retone.GROUP_SECONDS", 0.6)
    alone = [recognizer.retone(clip, text) for clip, text in zip(clips, texts, strict=True)]
    for batches in (recognizer.retone(clips, texts), alone):
        assert [(one.text, one.written) for one in batches] == [(one.text, one.written) for one in found]
        for one, same in zip(batches, found, strict=True):
            assert one.probabilities == pytest.approx(same.probabilities, abs=1e-4)
    assert found[2] == Retoned("", "")


def test_the_text_comes_back_as_it_was_written(make_recognizer: Make) -> None:
    recognizer = make_recognizer(NOTATIONS["digits"][1], seed=1)
    found = recognizer.retone(voice(0.4), "Ni2hao, -- Ma!")
    assert found.text == recognizer.retone(voice(0.4), "nihao ma").text
    assert recognizer.normalize(found.written) == found.text and found.written.startswith("N")
    assert found.written.endswith("!") and ", -- M" in found.written


def test_silence_and_haste_leave_the_text_as_it_was(make_recognizer: Make) -> None:
    recognizer = make_recognizer(NOTATIONS["digits"][1])
    for clip in (np.zeros(16_000, np.float32), voice(0.05)):
        with pytest.warns(UserWarning, match="a recording: is silent, or too short for its text; no tones .*'Ni Hao'"):
            found = recognizer.retone(clip, "Ni Hao")
        assert found == Retoned("ni hao", "Ni Hao", found=False)


def test_what_cannot_be_retoned_is_reported_in_its_turn(make_recognizer: Make) -> None:
    recognizer = make_recognizer(NOTATIONS["digits"][1])
    sources = [voice(0.5), "nowhere.wav", voice(0.5), voice(0.5)]
    results = list(retone_each(recognizer, sources, ["ma", "ma", "max", "ni"]))
    assert [type(one) for one in results] == [Retoned, EchoError, EchoError, Retoned]
    assert "nowhere.wav" in str(results[1]) and "'x' (U+0078)" in str(results[2])
    with pytest.raises(EchoError, match="'max'"):
        recognizer.retone(voice(0.5), "max")


def test_long_recordings_are_named_and_very_long_ones_refused(
    make_recognizer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = make_recognizer(NOTATIONS["digits"][1], segments=SegmentConfig(longest=1.0))
    with pytest.warns(UserWarning, match=r"lasts 2 s, over decode\.segments\.longest \(1 s\), and is not cut"):
        assert recognizer.retone(voice(1.5), "ma").found
    monkeypatch.setattr("echo_asr.decode.retone.GROUP_SECONDS", 1.0)
    with pytest.raises(EchoError, match="lasts 2 s; tones are found in recordings of up to 1 s; cut it"):
        recognizer.retone(voice(1.5), "ma")


def test_the_notation_is_that_of_the_model_or_a_given_one(make_recognizer: Make) -> None:
    trained = NOTATIONS["digits"][1]
    unknown = make_recognizer(trained, TextConfig())
    with pytest.raises(EchoError, match=r"do not name where tone is written.*--text\.tones digits"):
        unknown.retone(voice(0.5), "ma")
    known = make_recognizer(trained).retone(voice(0.5), "ma")
    assert unknown.retone(voice(0.5), "ma", notation=ToneNotation("digits")) == known
    with pytest.raises(EchoError, match="no tone in the notation chao_letters"):
        unknown.retone(voice(0.5), "ma", notation=ToneNotation("chao_letters"))


def test_lists_are_of_one_length(make_recognizer: Make) -> None:
    recognizer = make_recognizer(NOTATIONS["digits"][1])
    for text in ("ma", ["ma"]):
        with pytest.raises(ValueError, match="one for each of 2 recordings"):
            recognizer.retone([voice(0.5), voice(0.5)], text)  # type: ignore[call-overload]
