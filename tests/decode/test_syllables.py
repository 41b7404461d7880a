"""Syllables: their times, their voiced parts, and contours in hertz, semitones and levels."""

from __future__ import annotations

import csv
import io
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.decode.results import Token
from echo_asr.decode.syllables import (
    COLUMNS,
    AlignedSpeech,
    contours_to_csv,
    sample_contour,
    short_voices,
    speaker_ranges,
    syllable_contours,
    time_syllables,
    voiced_part,
)
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation
from tests.helpers.slow import slow
from tests.helpers.voices import voice

DIGITS = ToneNotation("digits")
# F0 in Hz over a syllable as share of its time, for the four tones of a textbook.
SHAPES = {"1": (240, 240, 240), "2": (180, 190, 240), "3": (160, 130, 170), "4": (250, 190, 130)}


def tokens_of(texts: list[str], seconds: float = 0.1) -> tuple[Token, ...]:
    """Tokens that follow each other, each of the same duration; a later one is less probable."""
    return tuple(Token(text, n * seconds, (n + 1) * seconds, 1 / (n + 1)) for n, text in enumerate(texts))


@pytest.mark.parametrize(
    ("notation", "texts", "expected"),
    [
        (DIGITS, list("ni3 ma1"), [("ni", "3", 0.0, 0.3), ("ma", "1", 0.4, 0.7)]),
        (DIGITS, list("ni3ma1"), [("ni", "3", 0.0, 0.3), ("ma", "1", 0.3, 0.6)]),
        (DIGITS, ["ni3", " ma", "1"], [("ni", "3", 0.0, 0.1), ("ma", "1", 0.1, 0.3)]),
        (DIGITS, ["ni3 ma1"], [("ni", "3", 0.0, 0.05), ("ma", "1", 0.05, 0.1)]),
        (ToneNotation("chao_letters"), list("ma˧˥"), [("ma", "˧˥", 0.0, 0.4)]),
        (ToneNotation("diacritics"), list("nǐhǎo"), [("ni", "\u030c", 0.0, 0.2), ("hao", "\u030c", 0.2, 0.5)]),
        (
            ToneNotation("diacritics"),
            list(unicodedata.normalize("NFD", "nǐ")),
            [("ni", "\u030c", 0.0, 0.3)],
        ),
        (
            ToneNotation("diacritics", VIETNAMESE_MARKS, "word"),
            list("nguyễn"),
            [("nguyên", "\u0303", 0.0, 0.6)],
        ),
        (None, list("ni hao"), [("ni", "", 0.0, 0.2), ("hao", "", 0.3, 0.6)]),
        (DIGITS, ["", "a", "1"], [("a", "1", 0.0, 0.3)]),  # the first is a part of the character to come
        (DIGITS, [], []),
    ],
)
def test_syllables_have_the_times_of_their_symbols(
    notation: ToneNotation | None, texts: list[str], expected: list[tuple[str, str, float, float]]
) -> None:
    found = time_syllables(tokens_of(texts), notation)
    assert [(one.syllable.base, one.syllable.tone) for one in found] == [one[:2] for one in expected]
    np.testing.assert_allclose([(one.start, one.end) for one in found], [one[2:] for one in expected] or [])


@given(
    st.lists(st.lists(st.sampled_from([*"maŋo1˧˥ ễ", "a\u0301"]), min_size=1, max_size=4).map("".join), max_size=8),
    st.sampled_from([DIGITS, ToneNotation("chao_letters"), ToneNotation("diacritics"), None]),
)
def test_syllables_are_the_text_in_order_and_within_it(texts: list[str], notation: ToneNotation | None) -> None:
    tokens = tokens_of(texts)
    found = time_syllables(tokens, notation)
    whole = unicodedata.normalize("NFD", "".join("".join(texts).split()))
    spelled = unicodedata.normalize("NFD", "".join(str(one.syllable) for one in found))
    assert sorted(spelled) == sorted(whole)
    for before, after in pairwise(found):
        assert before.end <= after.start + 1e-9
    for one in found:
        assert -1e-9 <= one.start <= one.end <= 0.1 * len(tokens) + 1e-9
        assert one.probability in [token.probability for token in tokens]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("..xxxx..", (2, 6)),
        ("xxxxx..xxxx", (0, 11)),  # creak within a vowel
        ("xx...xxxxxxxx", (5, 13)),  # the end of the syllable before, and a stop
        ("xx.xxxxxxxx...x", (0, 11)),
        ("xxxxx...xx..xxxx", (0, 5)),  # run by run from the longest
        ("........", None),
        ("..xx....", None),  # 20 ms
    ],
)
def test_the_voiced_part(pattern: str, expected: tuple[int, int] | None) -> None:
    assert voiced_part(np.array([100.0 * (c == "x") for c in pattern])) == expected


def test_points_are_equally_spaced_and_interpolated_in_octaves() -> None:
    f0 = np.array([0, 0, 100, 110, 120, 0, 0, 480, 480, 480, 480, 0], dtype=np.float32)
    times, found, voiced = sample_contour(f0, 0.0, 0.12, 9)
    np.testing.assert_allclose(times, np.arange(2, 11) / 100)
    np.testing.assert_allclose(found, [100, 110, 120, 120 * 4 ** (1 / 3), 120 * 4 ** (2 / 3), *4 * [480]], rtol=1e-6)
    assert voiced.tolist() == [True] * 3 + [False] * 2 + [True] * 4
    times, found, voiced = sample_contour(f0, 0.04, 0.075)
    assert times[0] == 0.04 and times[-1] == pytest.approx(0.075) and np.isnan(found).all() and not voiced.any()


def shaped(tones: str, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A voice `(S,)` that speaks a syllable of 300 ms in each tone, with 100 ms before, between and after; its F0."""
    f0, on = [np.full(1600, 200.0)], [np.zeros(1600)]
    for tone in tones:
        share = np.linspace(0, 1, 4800)
        f0 += [np.exp2(np.interp(share, (0, 0.5, 1), np.log2(SHAPES[tone]))) * shift, np.full(1600, 200.0)]
        on += [np.ones(4800), np.zeros(1600)]
    return voice(np.concatenate(f0), np.concatenate(on)), np.concatenate(f0)


def speech(tones: str, speaker: str, tracker: str, shift: float) -> tuple[AlignedSpeech, np.ndarray]:
    audio, true = shaped(tones, shift)
    f0 = FeatureExtractor(FeatureConfig(mels=24, tracker=tracker))(audio).pitch[0].numpy()  # type: ignore[arg-type]
    times = [0.1 + 0.4 * n for n in range(len(tones))]
    tokens = []
    for n, (tone, start) in enumerate(zip(tones, times, strict=True)):
        tokens += [Token(" " * (n > 0), start - 0.1, start, 1.0)] if n else []
        tokens += [Token("ma", start, start + 0.2, 0.5), Token(tone, start + 0.2, start + 0.3, 0.9)]
    return AlignedSpeech(f"{speaker}.wav", 5.0, speaker, f0, (("u", tuple(tokens)),)), true


@pytest.mark.parametrize("tracker", ["autocorrelation", slow("swiftf0")])
def test_contours_of_a_known_f0(tracker: str) -> None:
    made = [speech("1234", "low", tracker, 0.8), speech("4321", "high", tracker, 1.5)]
    ranges = speaker_ranges(one for one, _ in made)
    found = syllable_contours((one for one, _ in made), DIGITS)
    assert [one.tone for one in found] == list("12344321") and [one.number for one in found] == [1, 2, 3, 4] * 2
    for one in found:
        true = made[one.speaker == "high"][1]
        expected = true[np.rint((one.times - 5.0) * SAMPLE_RATE).astype(int)]
        assert one.voiced.all() and one.start - 1e-9 <= one.times[0] < one.times[-1] <= one.end + 1e-9
        assert np.abs(12 * np.log2(one.f0 / expected))[1:-1].max() < 0.5  # semitones
    # Two voices of another height have the same contours.
    for tone in SHAPES:
        low, high = (next(o for o in found if (o.tone, o.speaker) == (tone, name)) for name in ("low", "high"))
        for scale in ("semitones", "levels"):
            ours, theirs = getattr(ranges["low"], scale)(low.f0), getattr(ranges["high"], scale)(high.f0)
            np.testing.assert_allclose(ours[1:-1], theirs[1:-1], atol=0.5)
    assert ranges["low"].levels(found[0].f0)[5] > 4 > 2 > ranges["low"].levels(found[2].f0)[5]
    rows = list(csv.DictReader(io.StringIO(contours_to_csv(found, ranges))))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 8 * 11
    assert [float(row["hertz"]) for row in rows] == pytest.approx(np.concatenate([o.f0 for o in found]), abs=0.006)
    assert [row["base"] + row["tone"] for row in rows[::11]] == [f"ma{tone}" for tone in "12344321"]
    assert float(rows[0]["start"]) == 5.1 and rows[0]["probability"] == "0.500"


def test_an_unknown_speaker_is_the_file_and_a_silent_one_has_no_range() -> None:
    tokens = tokens_of(["ma", "1"])
    said = [
        AlignedSpeech("a.wav", 0.0, "", np.full(20, 100.0), (("1", tokens),)),
        AlignedSpeech("b.wav", 0.0, "", np.full(20, 200.0), (("1", tokens),)),
        AlignedSpeech("c.wav", 0.0, "", np.zeros(20), (("1", tokens),)),
    ]
    assert short_voices([*said, AlignedSpeech("d.wav", 0.0, "", np.full(600, 99.0), ())]) == ["a.wav", "b.wav"]
    ranges = speaker_ranges(said)
    assert {voice: one.median for voice, one in ranges.items()} == {"a.wav": 100.0, "b.wav": 200.0}
    rows = list(csv.DictReader(io.StringIO(contours_to_csv(syllable_contours(said, DIGITS, 3), ranges))))
    assert [row["semitones"] for row in rows] == ["0.00"] * 6 + [""] * 3
    assert [row["hertz"] for row in rows[-3:]] == [""] * 3 and rows[-1]["time"] == "0.200"
