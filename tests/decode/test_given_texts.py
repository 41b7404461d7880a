from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.decode.given_texts import align_each, align_features, align_phrases, spelled_words
from echo_asr.decode.results import Segment, Token
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.model.checkpoint import Bundle
from echo_asr.text.config import TextConfig
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer

Make = Callable[..., Any]
TEXTS = ("Abe, – bad!", "", "c", "?", "da da")


@pytest.fixture(scope="module")
def recognizer(make_model: Make) -> Recognizer:
    config = FeatureConfig(mels=8, tracker="autocorrelation")
    return Recognizer(Bundle(make_model(), Tokenizer.train(["abcde "]), config, TextConfig()))


def segment(found: Segment | EchoError) -> Segment:
    assert isinstance(found, Segment), found
    return found


def test_texts_have_their_words_as_written_and_their_symbols(recognizer: Recognizer, make_features: Make) -> None:
    clips = [make_features(frames) for frames in (80, 30, 40, 50, 60)]
    found = [segment(one) for one in align_features(recognizer, clips, TEXTS)]
    assert [one.text for one in found] == list(TEXTS)
    assert [[word.word for word in one.words] for one in found] == [["Abe, –", "bad!"], [], ["c"], [], ["da", "da"]]
    assert ["".join(token.text for token in one.tokens) for one in found] == ["abe bad", "", "c", "", "da da"]
    for clip, one in zip(clips, found, strict=True):
        times = [time for word in one.words for time in (word.start, word.end)]
        assert times == sorted(times) and all(0.0 <= time <= one.end for time in times)
        assert one.end == pytest.approx(clip.frames / 100)


def test_what_is_aligned_does_not_depend_on_the_others(recognizer: Recognizer, make_features: Make) -> None:
    clips = [make_features(frames) for frames in (80, 30, 40, 50, 60)]
    together = [segment(one) for one in align_features(recognizer, clips, TEXTS)]
    for clip, text, one in zip(clips, TEXTS, together, strict=True):
        alone = segment(align_features(recognizer, [clip], [text])[0])
        assert [(w.word, w.start, w.end) for w in alone.words] == [(w.word, w.start, w.end) for w in one.words]


def test_a_text_that_cannot_be_aligned_is_named_and_the_others_are_aligned(
    recognizer: Recognizer, make_features: Make
) -> None:
    silent = make_features(60)
    silent.null[:] = True
    clips = [make_features(40), make_features(40), silent, make_features(12_050), make_features(40)]
    found = align_features(recognizer, clips, ["xylophone", "abcde" * 4, "a", "a", "ab"])
    messages = [str(one) if isinstance(one, EchoError) else "" for one in found]
    assert "no symbol for 'h'" in messages[0] and "correct the text" in messages[0]
    assert "too long for 0.40 s: it takes 20 encoder frames, and there are 10" in messages[1]
    assert "is silent, and has the text 'a'" in messages[2]
    assert "lasts 120 s, and a text is aligned with up to 120 s; echo-asr corpus cut" in messages[3]
    assert [word.word for word in segment(found[4]).words] == ["ab"]


def test_recordings_that_cannot_be_read_do_not_stop_the_others(recognizer: Recognizer, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    sources = [samples, tmp_path / "none.wav", tmp_path / "broken.wav", samples]
    found = list(align_each(recognizer, sources, ["ab", "ab", "ab", "xyz"]))
    assert segment(found[0]).end == pytest.approx(0.5)
    assert [isinstance(one, EchoError) for one in found] == [False, True, True, True]
    assert str(found[1]).startswith(f"{tmp_path / 'none.wav'}: ") and str(found[3]).startswith("audio: text 'xyz'")


def test_recordings_are_gathered_in_their_order(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.decode.given_texts.GROUP_SECONDS", 1.0)
    draw = np.random.default_rng(0)
    clips = [draw.normal(0, 0.1, 4000 + 800 * number).astype(np.float32) for number in (3, 0, 5, 1)]
    found = [segment(one) for one in align_each(recognizer, iter(clips), iter(["a"] * 4))]
    assert [one.end for one in found] == [pytest.approx(len(clip) / 16000, abs=0.01) for clip in clips]


@pytest.fixture
def bursts(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Three bursts of noise, from 1, 3 and 5 s on, in 6 s, which count as a long recording."""
    monkeypatch.setattr("echo_asr.decode.given_texts.LONGEST", 5.0)
    samples = np.random.default_rng(0).normal(0, 0.1, 96_000).astype(np.float32)
    return samples * ((np.arange(96_000) / 16_000 % 2 > 1.0) & (np.arange(96_000) / 16_000 % 2 < 1.8))


def test_a_long_recording_has_segments_with_all_words_in_order(
    recognizer: Recognizer, bursts: np.ndarray, tmp_path: Path
) -> None:
    text = "Ab, cd!\nEa – da be"
    soundfile.write(tmp_path / "a.wav", bursts, 16_000)
    short = bursts[16_000:32_000]
    sources = [short, tmp_path / "a.wav", bursts, short]
    texts = ["ab", text, "ab cd ea da be", "cd"]
    read: list[tuple[int, float]] = []
    all_found = list(align_phrases(recognizer, sources, texts, progress=lambda *now: read.append(now)))
    assert [len(found) for found in (all_found[0], all_found[3])] == [1, 1] and {number for number, _ in read} == {1, 2}
    for found, expected in zip(
        all_found[1:3], (["Ab,", "cd!", "Ea –", "da", "be"], "ab cd ea da be".split()), strict=True
    ):
        phrases = [segment(one) for one in found]
        words = [word for phrase in phrases for word in phrase.words]
        assert [word.word for word in words] == expected
        assert 1 < len(phrases) <= 3
        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times) and times[-1] <= 6.0
        for phrase in phrases:
            burst = int(phrase.start // 2)
            assert 2 * burst + 0.7 < phrase.start < 2 * burst + 1.01 and phrase.end < 2 * burst + 2.1
            assert all(phrase.start <= word.start <= word.end <= phrase.end for word in phrase.words)
    whole = segment(next(align_each(recognizer, [bursts], ["ab cd ea da be"])))
    assert whole.text == "ab cd ea da be" and len(whole.words) == 5 and whole.start == 0.0


def test_a_long_recording_that_cannot_be_aligned_is_named_and_the_others_are_aligned(
    recognizer: Recognizer, bursts: np.ndarray, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", bursts, 16_000)
    soundfile.write(tmp_path / "b.wav", 0 * bursts, 16_000)
    texts = ["ab xylophone", "ab " * 200, "ab", "?", "cd"]
    sources = [tmp_path / "a.wav", tmp_path / "a.wav", tmp_path / "b.wav", bursts, bursts[16_000:32_000]]
    found = list(align_each(recognizer, sources, texts))
    messages = [str(one) if isinstance(one, EchoError) else "" for one in found]
    assert messages[0].startswith(f"{tmp_path / 'a.wav'}: text 'xylophone': the tokenizer has no symbol for 'h'")
    assert "a.wav: its text is too long for it: 599 tokens need" in messages[1] and "correct the text" in messages[1]
    assert "b.wav: is silent, and has the text 'ab'" in messages[2]
    assert segment(found[3]).words == () and segment(found[3]).end == 6.0
    assert segment(found[4]).words[0].word == "cd"


def test_the_recogniser_aligns_one_text_or_several(recognizer: Recognizer) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    assert recognizer.align(samples, "Ab").words[0].word == "Ab"
    assert [one.text for one in recognizer.align([samples, samples], ["a", "b"])] == ["a", "b"]
    with pytest.raises(EchoError, match="no symbol for 'x'"):
        recognizer.align(samples, "x")
    with pytest.raises(ValueError, match="expected one for each of 2 recordings, got 1"):
        recognizer.align([samples, samples], ["a"])
    with pytest.raises(ValueError, match="expected one for each of 1 recordings, got 1"):
        recognizer.align([samples], "a")


def test_ideographs_have_times_of_their_own_and_symbols_of_several_characters_are_divided() -> None:
    tokens = [Token("你好", 0.0, 0.4, 0.5), Token(" a", 0.6, 0.8, 0.9), Token("bc", 0.8, 1.2, 0.7)]
    words = spelled_words(tokens, "你好。 Abc", normalize_basic)
    assert words is not None
    assert [(w.word, w.start, w.end, w.probability) for w in words] == [
        ("你", 0.0, 0.2, 0.5), ("好。", 0.2, 0.4, 0.5), ("Abc", 0.6, 1.2, 0.7),
    ]  # fmt: skip
    assert spelled_words(tokens, "你好 xyz", normalize_basic) is None
