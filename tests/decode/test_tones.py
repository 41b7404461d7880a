"""Tones weighed by decoder and contour: what is measured of a syllable, where tones may be exchanged, and what wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.data.batch import Example
from echo_asr.data.corpus import Utterance
from echo_asr.decode.alignment import text_log_probabilities
from echo_asr.decode.results import Token
from echo_asr.decode.search import Hypothesis
from echo_asr.decode.syllables import time_syllables
from echo_asr.decode.tone_exchange import Exchange, exchanges
from echo_asr.decode.tones import _Weighed, measure_syllable, rank_by_tones, weigh_tones
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import FeatureConfig, FeatureExtractor, Features
from echo_asr.model.checkpoint import Bundle, load_bundle
from echo_asr.model.tone_model import MEASUREMENTS, POINTS, ToneModel
from echo_asr.text.config import TextConfig
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation
from echo_asr.train.tone_fit import in_any_noise, measured_syllables, tells_tones, train_tones
from tests.helpers.notations import NOTATIONS

FEATURES = FeatureConfig(mels=8, tracker="autocorrelation")
TEXTS = ("ma1 la2", "ma2", "la3 ma1")
TONES = ("1", "2", "3")


def clip(f0: Sequence[float], speaker_f0: float = 0.0) -> Features:
    """Features of a recording with that F0."""
    track = torch.tensor(f0)
    silent = torch.zeros(len(f0), dtype=torch.bool)
    rest = torch.linspace(0.2, 0.9, len(f0))
    pitch = torch.stack([track, rest, rest.flip(0)])
    return Features(
        torch.rand(8, len(f0)), pitch, track.clamp(min=100), (track > 0).float(), silent, None, None, speaker_f0
    )


def always(tone: str, tones: Sequence[str] = TONES) -> ToneModel:
    """A tone model that is sure of one tone, whatever it hears."""
    hidden = 2
    sizes = hidden * MEASUREMENTS + hidden + hidden * hidden + hidden + len(tones) * hidden
    return ToneModel("\n".join(tones), hidden, (0.0,) * sizes + tuple(20.0 * (t == tone) for t in tones))


def test_a_contour_is_that_of_the_voice_and_not_of_its_height() -> None:
    f0 = [0.0] * 5 + np.linspace(100, 150, 20).tolist() + [0.0] * 5
    known = measure_syllable(clip(f0), 0.0, 0.3, 120.0)
    higher = measure_syllable(clip([2 * value for value in f0]), 0.0, 0.3, 240.0)
    alone = measure_syllable(clip(f0), 0.0, 0.3, 0.0)
    assert known is not None and higher is not None and alone is not None
    np.testing.assert_allclose(known, higher, atol=1e-6)
    assert known.shape == (MEASUREMENTS,) and known[-1] == 1.0 and alone[-1] == 0.0 and known[-2] == 20 / 50
    np.testing.assert_allclose(known[[0, POINTS - 1]], 2 * np.log2([100 / 120, 150 / 120]), atol=1e-6)
    assert alone[0] == pytest.approx(2 * np.log2(100 / np.median(f0[5:25])), abs=1e-6)
    assert measure_syllable(clip(f0), 0.0, 0.06, 120.0) is None, "one voiced frame"
    assert measure_syllable(clip(f0), 5.0, 6.0, 120.0) is None, "beyond the recording"


def all_exchanges(tokenizer: Tokenizer, notation: ToneNotation, text: str, tones: Sequence[str]) -> list[Exchange]:
    syllables = [one for word in text.split() for one in notation.syllables(word)]
    wanted = {number: tones for number in range(len(syllables))}
    return list(exchanges(tokenizer, notation, tokenizer.encode(text), syllables, wanted))


@pytest.mark.parametrize("kind", ["character", "bpe"])
@pytest.mark.parametrize("name", NOTATIONS)
def test_another_tone_stands_on_the_same_base(name: str, kind: Any) -> None:
    """Whether its tokens are as many or not; and one token alone decides only where no tone begins as another does."""
    notation, texts, _ = NOTATIONS[name]
    tokenizer = Tokenizer.train(texts, kind, 40)
    tones = sorted({one.tone for text in texts for one in notation.split(text)} | {""})
    found = 0
    for text in texts:
        ids = tokenizer.encode(text)
        before = [one for word in text.split() for one in notation.syllables(word)]
        for one in all_exchanges(tokenizer, notation, text, tones):
            found += 1
            assert text[one.start : one.end] == str(before[one.syllable]) and one.tone != before[one.syllable].tone
            changed = tokenizer.decode(one.in_place(ids))
            assert changed == text[: one.start] + one.written + text[one.end :]
            after = [own for word in changed.split() for own in notation.syllables(word)]
            assert [own.base for own in after] == [own.base for own in before]
            expected = [own.tone if n != one.syllable else one.tone for n, own in enumerate(before)]
            assert [own.tone for own in after] == expected
            if one.alone >= 0:
                assert sum(a != b for a, b in zip(ids, one.in_place(ids), strict=True)) == 1
                assert one.in_place(ids)[one.alone] == one.token != ids[one.alone]
    assert found


@pytest.mark.parametrize(
    "notation, words, text, tone, written",
    [
        (ToneNotation("diacritics", VIETNAMESE_MARKS, "word"), "tôi tối tôí", "tôi", "\u0301", {"tối", "tôí"}),
        (ToneNotation("diacritics"), "lan lán lań", "lan", "\u0301", {"lán"}),
        (ToneNotation("diacritics"), "kúù kuù", "kúù", "", set()),  # without the first tone it is one syllable
        (ToneNotation("diacritics"), "га га\u0301", "га", "\u0301", {"га\u0301"}),  # of a script that is not known
        (ToneNotation("digits"), "ma3 ma35 la5", "ma5 35 la5", "35", {"ma35", "la35"}),  # the number has no tone
        (ToneNotation("digits"), "ma35la5", "ma35la5", "", {"la"}),
    ],
)
def test_how_a_tone_is_written(notation: ToneNotation, words: str, text: str, tone: str, written: set[str]) -> None:
    """A syllable without a mark gets it on any vowel, and on no consonant even where that is a symbol."""
    tokenizer = Tokenizer.train([words, text], "character", 60)
    assert {one.written for one in all_exchanges(tokenizer, notation, text, [tone])} == written


def test_a_tone_that_begins_as_another_is_not_decided_by_its_token() -> None:
    tokenizer = Tokenizer.train(["ma3 ma35 ma5 ma4 ma1"], "character", 40)
    found = all_exchanges(tokenizer, ToneNotation("digits"), "ma5", ["3", "35", "4"])
    assert {one.tone: one.alone >= 0 for one in found} == {"3": False, "35": False, "4": True}
    both = all_exchanges(tokenizer, ToneNotation("digits"), "ma35", ["35", "55", "51", "45"])
    assert {one.tone: one.alone >= 0 for one in both} == {"55": False, "51": False, "45": True}, "55 begins as 51 does"


def test_of_changes_that_do_not_fit_the_frames_the_best_are_kept(recognizer: Recognizer) -> None:
    """Whatever has to be left out, the others are done."""
    text, tones = "ma5 ma5 la5", ("5", "214", "35")
    tokenizer = Tokenizer.train([text, "ma214 la35"], "character", 40)
    syllables = time_syllables([Token(c, 0.0, 0.6, 1.0) for c in text], ToneNotation("digits"))
    bundle = replace(
        recognizer.bundle, tokenizer=tokenizer, tones=always("214", tones), text=TextConfig(tones="digits")
    )
    ids = tokenizer.encode(text)
    for frames, longer in ((11, 0), (13, 1), (15, 2), (17, 3), (40, 3)):
        own = _Weighed(bundle, clip([120.0] * 60), ids, syllables, frames, 1.0)
        for one in own.others:
            own.offer(one, -float(one.syllable))
        assert tokenizer.decode(own.changed()).count("214") == longer


@pytest.mark.parametrize(
    "kind, texts, tones",
    [
        ("digits", ("ma35 la5", "ma214", "la5 ma35"), ("214", "35", "5")),
        ("chao_letters", ("ma˧˥ la˥", "ma", "la˥ ma˧˥"), ("", "˥", "˧˥")),
        ("diacritics", ("mà lá", "ma", "la mà"), ("", "\u0300", "\u0301")),
    ],
)
def test_tones_of_several_symbols_and_of_none_are_weighed(
    make_model: Callable[..., Any], kind: Any, texts: tuple[str, ...], tones: tuple[str, ...]
) -> None:
    tokenizer = Tokenizer.train([*texts, "má là"], "character", 40)
    model = make_model(vocabulary=tokenizer.vocabulary_size, subsampling=2)
    own = Recognizer(Bundle(model, tokenizer, FEATURES, TextConfig(tones=kind)))
    clips, notation = [clip([120.0] * 60) for _ in texts], own.bundle.text.notation
    assert notation is not None
    for tone in tones:
        for weight, expected in ((50.0, [tone]), (0.0, None)):
            own.bundle.tones = always(tone, tones)
            ids = [tokenizer.encode(text) for text in texts]
            found = [tokenizer.decode(one) for one in weigh_tones(own.bundle, clips, own.encode(clips), ids, weight)]
            assert [notation.without_tones(text) for text in found] == [notation.without_tones(text) for text in texts]
            if expected:
                assert [one.tone for text in found for one in notation.split(text)] == expected * 5


def test_tones_that_go_only_apart_are_not_changed_together(make_model: Callable[..., Any]) -> None:
    """Without both of its marks the word would be one syllable; in the text beside it one token writes the tone."""
    text, tones = "kúù lá", ("", "\u0300", "\u0301")
    tokenizer = Tokenizer.train([text, "kuu kùu kuù là la"], "character", 40)
    model = make_model(vocabulary=tokenizer.vocabulary_size, subsampling=2)
    own = Recognizer(Bundle(model, tokenizer, FEATURES, TextConfig(tones="diacritics"))).bundle
    encoded = Recognizer(own).encode([clip([120.0] * 80)])
    for tone in tones:
        own.tones = always(tone, tones)
        (found,) = weigh_tones(own, [clip([120.0] * 80)], encoded, [tokenizer.encode(text)], 50.0)
        split = ToneNotation("diacritics").split(tokenizer.decode(found))
        assert [one.base for one in split] == ["ku", "u", "la"] and split[2].tone == tone


def test_the_probability_of_a_text_is_that_of_its_tokens_and_its_end(recognizer: Recognizer) -> None:
    clips, model = [clip([120.0] * frames) for frames in (40, 60)], recognizer.bundle.model
    encoded, ids = recognizer.encode(clips), [recognizer.bundle.tokenizer.encode(text) for text in TEXTS]
    asked = [(1, ids[0]), (0, ids[1]), (1, ids[2]), (0, [])]
    found = text_log_probabilities(
        model, encoded, asked, most=3 * 6 * (1 + recognizer.bundle.tokenizer.vocabulary_size)
    )
    with torch.inference_mode():
        for (row, text), own in zip(asked, found, strict=True):
            state = model.decoder.state(recognizer.encode([clips[row]]), cached=False)
            predicted = model.predict(torch.tensor([[0, *text]]), state)[0]
            assert own == pytest.approx(sum(float(predicted[n, token]) for n, token in enumerate([*text, 0])), abs=1e-3)


def test_nothing_is_exchanged_in_an_empty_text() -> None:
    tokenizer = Tokenizer.train(["ma1 ma2"], "character", 40)
    assert not list(exchanges(tokenizer, ToneNotation("digits"), [], [], {}))


@pytest.fixture(scope="module")
def recognizer(make_model: Callable[..., Any]) -> Recognizer:
    tokenizer = Tokenizer.train(TEXTS, "character", 40)
    model = make_model(vocabulary=tokenizer.vocabulary_size, subsampling=2)
    return Recognizer(Bundle(model, tokenizer, FEATURES, TextConfig(tones="digits")))


def weighed(
    recognizer: Recognizer, tone_model: ToneModel | None, clips: Sequence[Features], weight: float, fused: bool = False
) -> list[str]:
    tokenizer = recognizer.bundle.tokenizer
    bundle = replace(recognizer.bundle, tones=tone_model)
    encoded, texts = recognizer.encode(clips), [tokenizer.encode(text) for text in TEXTS]
    return [tokenizer.decode(ids) for ids in weigh_tones(bundle, clips, encoded, texts, weight, fused)]


def test_a_sure_contour_decides_and_a_silent_one_says_nothing(recognizer: Recognizer) -> None:
    voiced = [clip([120.0] * 60) for _ in TEXTS]
    assert weighed(recognizer, always("3"), voiced, 50.0) == ["ma3 la3", "ma3", "la3 ma3"]
    assert weighed(recognizer, None, voiced, 50.0) == list(TEXTS)
    assert weighed(recognizer, always("3"), [clip([0.0] * 60) for _ in TEXTS], 50.0) == list(TEXTS)


def test_without_weight_the_decoder_decides(recognizer: Recognizer) -> None:
    """By definition: of each text with one tone changed, the decoder's probability of that tone."""
    clips = [clip([120.0] * 60) for _ in TEXTS]
    found = weighed(recognizer, always("3"), clips, 0.0)
    tokenizer, model = recognizer.bundle.tokenizer, recognizer.bundle.model
    with torch.inference_mode():
        for one, text, own in zip(clips, TEXTS, found, strict=True):
            ids = tokenizer.encode(text)
            state = model.decoder.state(recognizer.encode([one]), cached=False)
            predicted = model.predict(torch.tensor([[0, *ids[:-1]]]), state)[0]
            for position, token in enumerate(ids):
                symbol = tokenizer.decode([token])
                if symbol in TONES:
                    best = max(TONES, key=lambda tone: float(predicted[position, tokenizer.encode(tone)[0]]))
                    assert tokenizer.decode([tokenizer.encode(own)[position]]) == best


def test_texts_with_given_bases_are_ranked_by_contours_too(recognizer: Recognizer) -> None:
    """Among as many hypotheses as a model without training needs to come upon each tone."""
    wide = replace(recognizer.decode, tone_weight=50.0, beam=64)
    own = Recognizer(replace(recognizer.bundle, tones=always("2")), wide)
    rng = np.random.default_rng(0)
    time = np.arange(9600) / 16_000
    audio = (0.3 * np.sin(2 * np.pi * 150 * time) + rng.normal(0, 1e-3, len(time))).astype(np.float32)
    assert own.retone(audio, "ma").text == "ma2"
    without = Recognizer(own.bundle, replace(own.decode, tone_weight=0.0)).retone(audio, "ma")
    plain = Recognizer(recognizer.bundle, wide).retone(audio, "ma")
    assert (without.text, without.probabilities) == (plain.text, plain.probabilities)


def test_a_recogniser_weighs_tones_where_it_has_a_tone_model(recognizer: Recognizer) -> None:
    """Whatever the decoder, which has learnt nothing, finds."""
    own = Recognizer(replace(recognizer.bundle, tones=always("2")), replace(recognizer.decode, tone_weight=50.0))
    without = Recognizer(own.bundle, replace(own.decode, tone_weight=0.0))
    assert own.pitch_by_speaker and not recognizer.pitch_by_speaker
    clips = [clip([120.0] * frames) for frames in (40, 60, 80)]
    plain, changed = (one.recognize(clips) for one in (without, own))
    notation = ToneNotation("digits")
    for before, after in zip(plain, changed, strict=True):
        assert notation.without_tones(before.text) == notation.without_tones(after.text)
        assert {one.tone for one in notation.split(after.text) if one.tone} <= {"2"}


def test_contours_are_learnt() -> None:
    rng = np.random.default_rng(0)
    rising = rng.random(900) < 0.5
    measured = rng.normal(0, 0.3, (900, MEASUREMENTS))
    measured[:, :POINTS] += np.where(rising[:, None], 1, -1) * np.linspace(-0.5, 0.5, POINTS)
    state = torch.random.get_rng_state()
    fitted = train_tones(measured[:600], rising[:600].astype(np.int64), ["fall", "rise"])
    assert torch.equal(state, torch.random.get_rng_state()), "training goes on as if nothing had been drawn"
    found = fitted.log_probabilities(measured[600:])
    np.testing.assert_allclose(np.exp(found).sum(1), 1.0, atol=1e-6)
    assert np.mean((found[:, 1] > found[:, 0]) == rising[600:]) > 0.95
    held = np.arange(900) % 10 == 0
    assert tells_tones(measured, rising.astype(np.int64), ["fall", "rise"], ~held, held)
    accents = (rng.random(900) < 0.2).astype(np.int64)
    assert not tells_tones(measured, accents, ["none", "accent"], ~held, held), "which no contour tells"
    again = ToneModel.from_text(fitted.to_text())
    assert again == fitted and again.names == ("fall", "rise")
    np.testing.assert_array_equal(again.log_probabilities(measured[600:]), found)


def test_every_second_recording_is_measured_in_noise_too(recognizer: Recognizer) -> None:
    """At the times of its syllables as it is, and relative to the same F0."""
    spoken = [Utterance(f"{n}", Path(f"{n}.wav"), text, "", "train", 0.6) for n, text in enumerate(TEXTS)]
    examples = [Example(one, one.text, tuple(recognizer.bundle.tokenizer.encode(one.text))) for one in spoken]
    found = measured_syllables(
        recognizer,
        examples,
        lambda _: replace(clip([120.0] * 60), speaker_f0=120.0),
        lambda _: replace(clip([240.0] * 60), speaker_f0=120.0),
    )
    of_recording = [len(ToneNotation("digits").split(text)) for text in TEXTS]
    expected = [[False] * 2 + [True] * 2 * (n % 2 == 0) for n, count in enumerate(of_recording) for _ in range(count)]
    assert found.noisy.tolist() == sum(expected, [])
    level = found.measured[:, 0]
    assert level[~found.noisy] == pytest.approx(0.0)
    assert sorted(set(level[found.noisy].tolist())) == [0.0, 2.0], "an octave above the speaker; the clip's own median"
    assert len(set(found.syllables.tolist())) == sum(of_recording)


def test_a_recording_decides_in_which_noise_it_is_measured() -> None:
    audio = np.sin(np.arange(8000) / 20).astype(np.float32)
    assert np.array_equal(in_any_noise(audio), in_any_noise(audio))
    assert not np.allclose(in_any_noise(audio) - audio, 2 * (in_any_noise(audio / 2) - audio / 2), atol=1e-3)


def test_what_never_varied_in_training_says_nothing_later() -> None:
    """As whether it is known who speaks, in a corpus that names nobody."""
    rng = np.random.default_rng(0)
    measured = rng.normal(0, 1, (600, MEASUREMENTS))
    measured[:, -1] = 0.0
    fitted = train_tones(measured, (measured[:, 0] > 0).astype(np.int64), ["1", "2"])
    known = measured.copy()
    known[:, -1] = 1.0
    np.testing.assert_array_equal(fitted.log_probabilities(known), fitted.log_probabilities(measured))


@pytest.mark.parametrize("count", [0, 3])
def test_a_damaged_tone_model_is_refused(count: int) -> None:
    weights = always("1").weights
    with pytest.raises(ValueError, match="tones: expected finite weights"):
        ToneModel("\n".join(TONES), 2, (*weights[:-1], float("nan")) if not count else weights[:-count])


def test_a_model_folder_keeps_its_tone_model(recognizer: Recognizer, tmp_path: Path) -> None:
    replace(recognizer.bundle, tones=always("2")).save(tmp_path / "model")
    assert load_bundle(tmp_path / "model").tones == always("2")


def test_a_text_that_is_not_composed_is_left_alone() -> None:
    """Syllables are composed; in another form one could be taken for a later one."""
    notation = ToneNotation("diacritics")
    texts = ["ma\u0301 na\u0300 m\u00e1", "m\u00e0 n\u00e1"]
    tokenizer = Tokenizer.train(texts, "character", 40)
    ids = tokenizer.encode(texts[0])
    for one in all_exchanges(tokenizer, notation, texts[0], ["\u0300", "\u0301"]):
        assert len(tokenizer.decode(ids[: one.alone]).split()) == one.syllable


def test_what_a_language_model_has_chosen_is_not_lost_to_the_decoder(recognizer: Recognizer) -> None:
    clips = [clip([120.0] * 60) for _ in TEXTS]
    assert weighed(recognizer, always("3"), clips, 0.0, fused=True) == list(TEXTS)
    assert weighed(recognizer, always("3"), clips, 50.0, fused=True) == ["ma3 la3", "ma3", "la3 ma3"]


def test_texts_that_are_divided_otherwise_gain_nothing_by_that(recognizer: Recognizer) -> None:
    """`mala3` is one syllable, `ma3la1` two: the second is in another place than that of the first text."""
    bundle, one = replace(recognizer.bundle, tones=always("3")), clip([120.0] * 60)
    texts = ["mala1", "mala3", "ma1la3"]
    found = [[Hypothesis(bundle.tokenizer.encode(text), -float(n)) for n, text in enumerate(texts)]]
    (ranked,) = rank_by_tones(bundle, [one], recognizer.encode([one]), found, ToneNotation("digits"), 1.0)
    assert [bundle.tokenizer.decode(best.tokens) for best in ranked] == ["mala3", "ma1la3", "mala1"]
    assert ranked[0].score == pytest.approx(-1 + np.log(3), abs=1e-3) and ranked[1].score == -2.0


def test_measurements_are_those_of_real_features() -> None:
    time = np.arange(8000) / 16_000
    audio = (0.3 * np.sin(2 * np.pi * (150 * time + 100 * time**2))).astype(np.float32)
    found = FeatureExtractor(FEATURES)(audio)
    measured = measure_syllable(found, 0.0, 0.5, 200.0)
    assert measured is not None and np.isfinite(measured).all()
    assert measured[POINTS - 1] > measured[0], "the tone rises"
