"""Sentences of a grammar: which is heard in a clip, and whether it is one of them at all."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.functional import ctc_loss

import echo_asr.evaluate.grammar
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.noise import noise_clip
from echo_asr.decode.ctc import best_paths
from echo_asr.decode.grammar import graph_of_sentences
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.decode.sentences import hear
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.written import with_written
from echo_asr.errors import EchoError
from echo_asr.evaluate.sentences import few_noises, fit_sentences
from echo_asr.features import collate_features
from echo_asr.text.grammar import Grammar
from echo_asr.text.written import WrittenSpan
from tests.helpers.commands import run
from tests.helpers.tone_corpus import tone

LINES = ("{x} = b | c", "(a:Alpha) {x:which}", "[c] a", "b c")


@pytest.fixture(scope="module")
def recognizer(learnt: Path) -> Recognizer:
    return load(learnt, "cpu")


@pytest.fixture(scope="module")
def listening(recognizer: Recognizer) -> Recognizer:
    return recognizer.with_grammar(Grammar.of(LINES))


def test_a_sentence_comes_with_its_written_form_its_slots_and_its_times(listening: Recognizer) -> None:
    found = listening.transcribe(tone("a c"))
    (segment,) = found.segments
    assert (found.text, found.said) == ("Alpha c", "a c")
    assert [word.word for word in segment.words] == ["Alpha", "c"]
    assert 0.0 <= segment.words[0].start <= segment.words[0].end <= segment.words[1].start < segment.words[1].end
    assert segment.sentence is not None and dict(segment.sentence.slots) == {"which": "c"}
    assert segment.sentence.line == 2 and 0.5 <= segment.sentence.probability <= 1.0


def test_what_is_no_sentence_is_an_answer_and_silence_is_none(listening: Recognizer, recognizer: Recognizer) -> None:
    assert recognizer.transcribe(tone("b b")).text == "b b"
    other = listening.transcribe(tone("b b"))
    assert other.text == "" and not other.segments
    (refused,) = other.rejected
    assert refused.sentence is not None and refused.sentence.probability < 0.5
    silent = listening.transcribe([np.zeros(SAMPLE_RATE, np.float32), noise_clip("silence", 1.0, 1)])
    assert not any(one.segments or one.rejected for one in silent)


def test_every_sentence_is_accepted_where_nothing_is_rejected(recognizer: Recognizer) -> None:
    recognizer = Recognizer(recognizer.bundle, replace(recognizer.decode, reject=0.0))
    found = recognizer.with_grammar(Grammar.of(["a a", "c"])).transcribe(tone("b b"))
    assert found.text in ("a a", "c") and not found.rejected


def test_what_is_heard_does_not_depend_on_the_other_clips(listening: Recognizer) -> None:
    clips = [tone(text) for text in ("a c", "b c", "a", "b")]
    together = listening.transcribe(clips)
    for clip, one in zip(clips, together, strict=True):
        alone = listening.transcribe(clip)
        assert (alone.text, alone.rejected == ()) == (one.text, one.rejected == ())


def test_measurements_are_those_of_the_definitions(recognizer: Recognizer) -> None:
    model, encode = recognizer.bundle.model, recognizer.bundle.tokenizer.encode
    clips = [recognizer.extractor(tone(text)) for text in ("a c", "b")]
    encoded = model.encode(collate_features(clips), recognizer.features)
    heard = hear(model, encoded, recognizer.decode, [graph_of_sentences([encode("a c"), encode("c a")])] * 2)
    with torch.inference_mode():
        frames = model.ctc_log_probabilities(encoded)
    for row, one in enumerate(heard):
        size = int(encoded.lengths[row])

        def likelihood(text: list[int], row: int = row, size: int = size) -> float:
            own, count = frames[row, :size, None], torch.tensor([len(text)])
            return -float(ctc_loss(own, torch.tensor([text]), torch.tensor([size]), count, reduction="sum"))

        free = best_paths(frames, encoded.lengths)[row]
        ratio = likelihood(one.best[0].tokens) - likelihood(free)
        length = len(one.best[0].tokens)
        assert one.measured == pytest.approx((ratio / length, ratio, one.best[0].score / (length + 1)), abs=1e-3)
        assert one.silent == (not free)


def test_a_clip_that_is_too_short_for_any_sentence_is_refused(recognizer: Recognizer) -> None:
    long = recognizer.with_grammar(Grammar.of(["a b c a b c a b c a b c a b c a b c a b c"]))
    found = long.transcribe(tone("a"))
    assert found.text == "" and not found.segments


def test_best_paths_are_those_of_ctc() -> None:
    frames = torch.full((2, 6, 3), -9.0)
    for row, path in enumerate(([1, 1, 0, 1, 2, 2], [0, 2, 2, 1, 1, 1])):
        frames[row, range(6), path] = 0.0
    assert best_paths(frames, torch.tensor([6, 3])) == [[1, 1, 2], [2]], "what is beyond a recording is not read"


def test_a_model_keeps_what_its_probabilities_are_fitted_to(learnt: Path, recognizer: Recognizer) -> None:
    fitted = recognizer.bundle.sentences
    assert fitted is not None and fitted.samples > 4 and len(fitted.weights) == 3
    good, bad = (fitted(measured) for measured in ((0.0, 0.0, -0.1), (-3.0, -9.0, -4.0)))
    assert good > 0.5 > bad


def test_written_words_take_the_times_of_what_was_spoken() -> None:
    words = (Word("twenty", 0.0, 0.4, 0.9), Word("three", 0.4, 0.8, 0.6), Word("apples", 1.0, 1.5, 0.8))
    spoken = Segment(0.0, 1.5, "twenty three apples", words)
    found = with_written(spoken, "23 big apples", [WrittenSpan(0, 2, "23"), WrittenSpan(2, 3, "big apples")])
    assert (found.text, found.spoken, found.said) == ("23 big apples", "twenty three apples", "twenty three apples")
    assert found.words[0] == Word("23", 0.0, 0.8, 0.6)
    assert [(w.word, w.start, w.end) for w in found.words[1:]] == [("big", 1.0, 1.25), ("apples", 1.25, 1.5)]
    assert with_written(spoken, spoken.text, []) is spoken
    assert Transcription("23 big apples", 2.0, (found,)).said == "twenty three apples"


def test_free_text_is_written_in_numbers_where_the_model_is_told_to(recognizer: Recognizer) -> None:
    bundle = replace(recognizer.bundle, text=replace(recognizer.bundle.text, written="en"))
    heard = Recognizer(bundle, recognizer.decode).recognize([recognizer.extractor(tone("a c"))], words=True)
    assert heard[0].said == "a c" and len(heard[0].words) == len(heard[0].text.split())


# --- commands


@pytest.fixture
def grammar(tmp_path: Path) -> Path:
    path = tmp_path / "said.txt"
    path.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return path


def test_transcribe_with_a_grammar(learnt: Path, grammar: Path, tmp_path: Path, capsys: Any) -> None:
    for name, text in (("one", "a c"), ("other", "b b")):
        soundfile.write(tmp_path / f"{name}.wav", tone(text), SAMPLE_RATE)
    files = [str(tmp_path / "one.wav"), str(tmp_path / "other.wav")]
    words = ["transcribe", *files, "--model", str(learnt), "--grammar", str(grammar), "--format", "json"]
    one, other = map(json.loads, run(words, capsys)[1].splitlines())
    assert one["text"] == "Alpha c" and one["segments"][0]["spoken"] == "a c"
    assert one["segments"][0]["slots"] == {"which": "c"} and "rejected" not in one
    assert other["text"] == "" and other["rejected"][0]["probability"] < 0.5
    assert other["rejected"][0]["nearest"]


def test_evaluate_with_a_grammar(
    learnt: Path, corpus: Path, grammar: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo_asr.evaluate.grammar, "NOISE_CLIPS", 22)
    curve = tmp_path / "curve.png"
    texts = tmp_path / "texts.jsonl"
    words = ["evaluate", str(learnt), str(corpus), "--grammar", str(grammar), "--json", "--curve", str(curve)]
    found = json.loads(run([*words, "--texts", str(texts)], capsys)[1])
    assert found["sentences"] == 5 and found["utterances"] == found["sentence_error"]["of"] == 4
    assert found["outside"]["of"] == 2, "b and c alone"
    assert found["noise"]["of"] == 22 and math.isclose(found["noise"]["hours"], 22 * 3 / 3600)
    strict = found["threshold"]["reject"]
    assert 0.0 <= strict <= 1.0 and found["threshold"]["false_accepts"] == 1.0
    assert curve.read_bytes().startswith(b"\x89PNG")
    assert len(texts.read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--decode.lm", "x.arpa", "--decode.beam", "4"], "--decode.lm cannot go with --grammar"),
        (["--decode.reject", "1.5"], ": --decode.reject must lie in [0, 1]"),
    ],
)
def test_what_cannot_go_with_a_grammar(
    words: list[str], told: str, learnt: Path, grammar: Path, corpus: Path, capsys: Any
) -> None:
    given = ["transcribe", str(corpus), "--model", str(learnt), "--grammar", str(grammar), *words]
    status, _, errors = run(given, capsys)
    assert status and told in errors and errors.count("\n") == 1


def test_a_grammar_that_is_not_there_or_that_the_model_cannot_write(learnt: Path, tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(EchoError, match="no sentence of it can be recognised"):
        load(learnt, "cpu").with_grammar(Grammar.of(["zzz"]))
    with pytest.raises(EchoError, match="missing.txt"):
        load(learnt, "cpu", grammar=str(tmp_path / "missing.txt"))


def test_audio_of_the_corpus_is_heard_as_in_memory(corpus: Path, listening: Recognizer) -> None:
    path = corpus / "17.wav"
    assert listening.transcribe(path).text == listening.transcribe(load_audio(path)).text == "Alpha c"


def test_a_text_that_the_model_cannot_write_is_no_sentence_to_fit_to(recognizer: Recognizer) -> None:
    texts = ["a b", "c", "a ü", "b c", ""]
    clips = [recognizer.extractor(tone(text)) for text in ("a b", "c", "a b", "b c", "a")]
    noises = [recognizer.extractor(clip) for clip in few_noises()]
    fitted = fit_sentences(recognizer, texts, clips, noises)
    halves = 2 * (4 + len(noises))
    assert fitted is not None and halves < fitted.samples <= halves + 4, "the clip of it is one to refuse"
    assert fit_sentences(recognizer, ["a ü", "a", "a"], clips[:3], noises) is None, "one sentence alone"


def test_a_sentence_that_differs_in_one_symbol_is_less_probable(recognizer: Recognizer) -> None:
    """However long it is: the symbol alone says that it was not said."""
    said = [" ".join(words) for words in itertools.product("abc", repeat=2)] * 4
    clips = [recognizer.extractor(tone(text, 0.97 + 0.002 * number)) for number, text in enumerate(said)]
    fitted = fit_sentences(recognizer, said, clips, [recognizer.extractor(clip) for clip in few_noises()])
    assert fitted is not None
    recognizer.bundle.sentences = fitted
    chances: dict[bool, list[float]] = {True: [], False: []}
    for text, clip in zip(said[::3], clips[::3], strict=True):
        nearly = text[:-1] + "abc"["abc".index(text[-1]) - 1]
        for own in (text, nearly):
            (heard,) = recognizer.with_grammar(Grammar.of([own])).recognize([clip])
            chances[own == text].append(heard.sentence.probability if heard.sentence else 0.0)
    assert np.median(chances[True]) > 0.7 > 0.3 > np.median(chances[False]), chances
