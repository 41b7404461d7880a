"""Finding words in recordings, by their spelling and by examples.

The model is one that has learnt little, with CTC and states that tell words by their F0: what is found with these is
known, and what the model recognises by itself misses most of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.functional import pad

from echo_asr.decode import find as module
from echo_asr.decode.find import find_each, make_search
from echo_asr.decode.load import load
from echo_asr.decode.results import Found, Place
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.model.calibration import LogisticCalibration
from echo_asr.model.encoder import Encoded
from tests.helpers.tone_corpus import WORDS, tone

SPOKEN = ("a b", "c", "b c", "a", "c a", "b")
PAUSE = 1.0  # seconds


def symbols(encoded: Encoded) -> torch.Tensor:
    """What each encoder frame is, `(B, F, 5)`: blank, space, or one of three words by its F0."""
    near = torch.stack([(encoded.track.f0 / f0).log().abs() for f0, _ in WORDS.values()], -1) < 0.2
    voiced = (encoded.track.voicing > 0.5)[..., None]
    quiet = torch.cat((~voiced, ~voiced), -1) * torch.tensor([0.6, 0.4])
    found = torch.cat((quiet, (near & voiced).float()), -1) + 1e-4
    return found / found.sum(-1, keepdim=True)


@pytest.fixture(scope="module")
def recognizer(learnt: Path) -> Iterator[Recognizer]:
    made = load(learnt, "cpu")
    made.bundle.found = LogisticCalibration((1.0, 1.0, 3.0, 0.0), 4.0)  # its own were fitted to another CTC
    made.bundle.alike = LogisticCalibration((20.0, 1.0), -10.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.bundle.model, "ctc_log_probabilities", lambda encoded: symbols(encoded).log())
        yield made


@pytest.fixture
def known_states(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = recognizer.bundle.model.encode

    def known(*arguments: Any) -> Encoded:
        encoded = encode(*arguments)
        found = symbols(encoded)
        width = {name: own.shape[-1] - found.shape[-1] for name, own in encoded.states.items()}
        return replace(encoded, states={name: pad(found, (0, more)) for name, more in width.items()})

    monkeypatch.setattr(recognizer.bundle.model, "encode", known)


@pytest.fixture(scope="module")
def recording() -> tuple[np.ndarray, dict[str, list[float]]]:
    """A recording with pauses, and the middles of its words in seconds."""
    parts, size, middles = list[np.ndarray](), 0, dict[str, list[float]]()
    for text in SPOKEN:
        samples = tone(text, 0.97)
        for number, word in enumerate(text.split()):
            middles.setdefault(word, []).append(size / 16_000 + 0.04 + 0.08 + 0.2 * number)
        pause = np.zeros(round(16_000 * PAUSE), np.float32)
        parts += [samples, pause]
        size += len(samples) + len(pause)
    return np.concatenate(parts), middles


def assert_found(places: tuple[Place, ...], middles: list[float]) -> None:
    found = [(place.start + place.end) / 2 for place in places]
    assert len(found) == len(middles), places
    assert found == pytest.approx(middles, abs=0.15)


def test_words_are_found_where_they_are_spoken(
    recognizer: Recognizer, recording: tuple[np.ndarray, dict[str, list[float]]]
) -> None:
    samples, middles = recording
    places = recognizer.find(samples, ["a", "B!", "c"])
    assert [place.start for place in places] == sorted(place.start for place in places)
    for word in ("a", "B!", "c"):
        assert_found(tuple(p for p in places if p.word == word), middles[word.lower().strip("!")])
    assert all(0.5 <= place.probability <= 1.0 and place.start < place.end for place in places)
    phrase = recognizer.find(samples, "b c")
    assert_found(phrase, [middles["b"][1] + 0.1])


def test_all_that_the_best_text_has_is_found(
    recognizer: Recognizer, recording: tuple[np.ndarray, dict[str, list[float]]]
) -> None:
    samples, _ = recording
    words = [word for segment in recognizer.transcribe(samples).segments for word in segment.words]
    places = recognizer.find(samples, "a b c".split(), least=0.0)
    for word in words:
        assert any(place.word == word.word and abs(place.start - word.start) < 0.02 for place in places), word
    surer = recognizer.find(samples, "a b c".split(), least=0.97)
    assert set(surer) == {place for place in places if place.probability >= 0.97} < set(places)


def test_a_place_depends_neither_on_other_words_nor_on_other_recordings(
    recognizer: Recognizer, recording: tuple[np.ndarray, dict[str, list[float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = recording
    others = [samples, np.zeros(16_000, np.float32), tone("b a")]
    together = recognizer.find(others, ["a", "c"], least=0.0)
    monkeypatch.setattr(module, "GROUP_SECONDS", 0.5)
    for one, places in zip(others, together, strict=True):
        for word in ("a", "c"):
            alone = recognizer.find(one, word, least=0.0)
            own = [place for place in places if place.word == word]
            assert [replace(p, probability=0) for p in alone] == [replace(p, probability=0) for p in own]
            assert [p.probability for p in alone] == pytest.approx([p.probability for p in own], abs=1e-4)
    assert together[1] == ()


@pytest.mark.usefixtures("known_states")
def test_what_is_like_examples_is_found(
    recognizer: Recognizer, recording: tuple[np.ndarray, dict[str, list[float]]], tmp_path: Path
) -> None:
    samples, middles = recording
    soundfile.write(tmp_path / "c.wav", np.concatenate((np.zeros(8000), tone("c", 1.02), np.zeros(8000))), 16_000)
    for examples in ([tmp_path / "c.wav"], [tmp_path / "c.wav", tone("c", 0.99)]):
        places = recognizer.find(samples, like=examples, least=0.0)
        ranked = sorted(places, key=lambda place: -place.probability)[: len(middles["c"])]
        assert_found(tuple(sorted(ranked, key=lambda place: place.start)), middles["c"])
    assert recognizer.find(np.zeros(16_000, np.float32), like=[tone("c")], least=0.0) == ()


@pytest.mark.parametrize("text", ["a", "a b", "b c", "c b"])
def test_an_example_is_found_in_itself_from_its_first_word_to_its_last(recognizer: Recognizer, text: str) -> None:
    samples = np.concatenate((np.zeros(8000), tone(text, 0.97), np.zeros(8000))).astype(np.float32)
    words = [word for segment in recognizer.transcribe(samples).segments for word in segment.words]
    best = max(recognizer.find(samples, like=[samples], least=0.0), key=lambda place: place.probability)
    assert (best.start, best.end) == pytest.approx((words[0].start, words[-1].end), abs=0.05)


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(recognizer: Recognizer, tmp_path: Path) -> None:
    search = make_search(recognizer, ["a"])
    found = list(find_each(recognizer, [tmp_path / "no.wav", tone("a b")], search))
    assert isinstance(found[0], EchoError) and isinstance(found[1], Found) and len(found[1].places) == 1
    assert found[1].duration == pytest.approx(len(tone("a b")) / 16_000)
    with pytest.raises(EchoError, match="no.wav: no such file"):
        recognizer.find([tmp_path / "no.wav"], "a")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"words": "z"}, r"'z' \(U\+007A\)"),
        ({}, "no word to look for"),
        ({"words": "a", "like": [tone("a")]}, "cannot be looked for together"),
        ({"like": [np.zeros(16_000)]}, "example: is silent"),
        ({"like": [np.tile(tone("a"), 80)]}, r"lasts 10 s at most, this one 1\d\.\d s; cut the word out"),
        ({"like": [tone("a")[800:1100]]}, "too short for a word"),
    ],
)
def test_what_cannot_be_looked_for(how: dict, message: str, recognizer: Recognizer) -> None:
    with pytest.raises(EchoError, match=message):
        recognizer.find(tone("a"), **how)
