"""Calibrations of places that are found, fitted to clips whose texts are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.audio import load_audio
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.load import load
from echo_asr.decode.results import Word
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_search import WordSearch
from echo_asr.evaluate.finding import KnownBatch, cut_out, fit_alike, fit_found, known_batches
from echo_asr.features import Features


def batches(recognizer: Recognizer, corpus: Path, split: str, most: int | None = None) -> list[KnownBatch]:
    utterances = load_corpus(corpus).split(split)[:most]
    features = [recognizer.extractor(load_audio(u.audio)) for u in utterances]
    return known_batches(recognizer, [u.text for u in utterances], features, recognizer.recognize(features, True))


def test_training_fits_it_to_the_validation_split(learnt: Path, corpus: Path) -> None:
    recognizer = load(learnt, "cpu")
    again = fit_found(recognizer, batches(recognizer, corpus, "validation"))
    assert again is not None and recognizer.bundle.found is not None
    assert again.weights == pytest.approx(recognizer.bundle.found.weights, abs=1e-3)
    assert again.samples == recognizer.bundle.found.samples > 10


def test_places_where_the_word_is_spoken_are_more_probable(learnt: Path, corpus: Path) -> None:
    recognizer = load(learnt, "cpu")
    known = batches(recognizer, corpus, "train")
    recognizer.bundle.found = fit_found(recognizer, known)
    search = WordSearch(recognizer, ["a", "b", "c"], 0.0)
    right, wrong = list[float](), list[float]()
    for batch in known:
        with torch.inference_mode():
            hits = search.hits(batch.encoded, batch.recognised)
        for own, spoken in zip(hits, batch.spoken, strict=True):
            for hit in own:
                there = search.keywords[hit.keyword].text in spoken.text.split()
                (right if there else wrong).append(search.calibration(hit.measured))
    assert len(right) > 10 and np.mean(right) > np.mean(wrong) + 0.3
    alike = fit_alike(recognizer, known)
    assert alike is not None and min(alike.weights) >= 0 < max(alike.weights)


def test_too_few_places_make_no_calibration(learnt: Path, corpus: Path) -> None:
    recognizer = load(learnt, "cpu")
    few = batches(recognizer, corpus, "validation", 2)
    assert fit_found(recognizer, []) is None and fit_alike(recognizer, []) is None
    assert fit_alike(recognizer, few) is None


def test_a_word_is_cut_out_of_all_features(learnt: Path, corpus: Path) -> None:
    clip = load(learnt, "cpu").extractor(load_audio(load_corpus(corpus).split("train")[3].audio))
    whole = Features(**{**vars(clip), "waveform": torch.arange(160.0 * clip.frames)})
    part = cut_out(whole, Word("a", 0.05, 0.12, 1.0))
    assert part.frames == len(part.null) == part.pitch.shape[1] == len(part.energy) == 7
    assert torch.equal(part.spectrogram, clip.spectrogram[:, 5:12])
    assert part.waveform is not None and part.waveform.tolist() == list(range(800, 1920))
    assert cut_out(clip, Word("a", 0.05, 0.05, 1.0)).frames == 1
