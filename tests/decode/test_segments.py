"""Where recordings are cut, whatever the blocks that they come in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.noise import noise_clip
from echo_asr.decode import segments
from echo_asr.decode.segments import SegmentConfig, SpeechSegment, cut

RATE = 16_000


def voice(seconds: float, seed: int = 0, level_db: float = -20.0) -> np.ndarray:
    """Syllables of 0.2 s: harmonics that swell and fade, `(S,)` at 16 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    f0 = 120.0 + 15.0 * (seed % 7)
    wave = sum(np.sin(2 * np.pi * f0 * k * time) / k for k in range(1, 10)) * np.sin(np.pi * time / 0.2) ** 2
    return (10 ** (level_db / 20) * wave / np.sqrt(np.mean(wave**2))).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def blocks(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (audio[at : at + size] for at in range(0, len(audio), size))


def spans(cuts: Sequence[SpeechSegment]) -> list[tuple[float, float]]:
    return [(c.start, c.start + len(c.samples) / RATE) for c in cuts]


def layout(*parts: tuple[str, float], level_db: float = -20.0) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Sound of `("voice" or "pause", seconds)` parts, and where the voice is, in seconds."""
    at, pieces, where = 0.0, [], []
    for number, (kind, seconds) in enumerate(parts):
        if kind == "voice":
            where.append((at, at + seconds))
        pieces.append(voice(seconds, number, level_db) if kind == "voice" else silence(seconds))
        at += seconds
    return np.concatenate(pieces), where


def test_a_clip_without_a_pause_comes_whole() -> None:
    audio, _ = layout(("pause", 0.3), ("voice", 1.6), ("pause", 0.2), ("voice", 0.8), ("pause", 0.5))
    (found,) = cut([audio], SegmentConfig())
    assert found.whole and found.start == 0.0 and np.array_equal(found.samples, audio)


@pytest.mark.parametrize("bed", [None, "white", "pink", "room", "hum"])
@pytest.mark.parametrize("level_db", [-12.0, -35.0])
def test_pauses_cut_and_every_voice_is_kept_with_its_margins(bed: str | None, level_db: float) -> None:
    audio, where = layout(
        ("pause", 3.0), ("voice", 1.0), ("pause", 1.0), ("voice", 2.0), ("pause", 12.0), ("voice", 0.4),
        ("pause", 40.0), ("voice", 3.0), ("pause", 0.4), ("voice", 1.0), ("pause", 2.0), level_db=level_db,
    )  # fmt: skip
    if bed:
        audio = audio + noise_clip(bed, len(audio) / RATE, 1, level_db - 22.0)[: len(audio)]  # type: ignore[arg-type]
    found = spans(list(cut([audio], SegmentConfig())))
    wanted = [*where[:3], (where[3][0], where[4][1])]  # the last pause is too short to cut at
    assert len(found) == len(wanted)
    for (start, end), (first, last) in zip(found, wanted, strict=True):
        assert first - 0.36 < start < first - 0.1 and last + 0.1 < end < last + 0.36


@given(
    sizes=st.lists(st.integers(100, 200_000), min_size=1, max_size=6),
    parts=st.lists(st.tuples(st.sampled_from(["voice", "pause"]), st.floats(0.1, 9.0)), min_size=1, max_size=8),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_the_blocks_that_sound_comes_in_change_nothing(
    sizes: list[int], parts: list[tuple[str, float]], seed: int
) -> None:
    audio, _ = layout(*parts)
    audio = audio + noise_clip("pink", len(audio) / RATE, seed, -60.0)[: len(audio)]
    config = SegmentConfig(longest=4.0)
    expected = list(cut([audio], config))
    ends = list(itertools.takewhile(lambda at: at < len(audio), itertools.accumulate(itertools.cycle(sizes))))
    found = list(cut(np.split(audio, ends), config))
    assert spans(found) == spans(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.samples, other.samples) and one.loudest == pytest.approx(other.loudest, abs=1e-6)
        start = round(one.start * RATE)
        assert np.array_equal(one.samples, audio[start : start + len(one.samples)]), "what is cut is the sound itself"
    for (_, end), (start, _) in itertools.pairwise(spans(found)):
        assert start >= end - 1e-9, "no sound is heard twice"
    assert all(end - start <= 4.0 + 1e-9 for start, end in spans(found))


def test_long_speech_is_cut_at_its_softest_place_and_nothing_is_lost() -> None:
    audio = voice(61.0)
    found = spans(list(cut(blocks(audio, RATE), SegmentConfig(longest=10.0))))
    assert found[0][0] == 0.0 and found[-1][1] == pytest.approx(61.0, abs=0.02)
    for (_, end), (start, _) in itertools.pairwise(found):
        assert start == end
        place = (start / 0.2) % 1.0  # of a syllable, soft at its ends
        assert min(place, 1.0 - place) < 0.21
    assert all(5.0 - 0.5 <= end - start <= 10.0 for start, end in found[:-1])


@pytest.mark.parametrize("kind", ["white", "pink", "brown", "room", "hum", "tone"])
@pytest.mark.parametrize("level_db", [-55.0, -15.0])
def test_steady_sound_is_left_to_the_model(kind: str, level_db: float) -> None:
    """It may be a vowel; nothing of it is dropped."""
    audio = noise_clip(kind, 8.0, 3, level_db)  # type: ignore[arg-type]
    (found,) = cut([audio], SegmentConfig())
    assert found.whole


@pytest.mark.parametrize("seconds", [0.0001, 0.5, 70.0])
def test_digital_silence_holds_nothing(seconds: float) -> None:
    assert list(cut([silence(max(seconds, 1 / RATE))], SegmentConfig())) == []


def test_a_click_is_no_segment_and_a_short_word_is() -> None:
    click = silence(8.0)
    click[4 * RATE : 4 * RATE + 20] = 0.5
    long = np.concatenate((voice(1.0), click, voice(0.2), silence(2.0)))
    found = spans(list(cut([long], SegmentConfig())))
    assert len(found) == 2 and found[1][0] == pytest.approx(9.0 - 0.25, abs=0.08)


def gain(audio: np.ndarray, db: float) -> np.ndarray:
    return (audio * 10 ** (db / 20)).astype(np.float32)


def test_a_recording_that_comes_whole_is_measured_by_itself() -> None:
    (found,) = cut([voice(2.0, level_db=-30.0)], SegmentConfig())
    assert found.whole and found.loudest == -np.inf


def test_the_level_of_speech_about_it_goes_with_each_part() -> None:
    audio = np.concatenate((
        voice(1.0, level_db=-40.0), silence(60.0), voice(1.0, level_db=-10.0), silence(60.0),
        voice(1.0, level_db=-15.0), silence(60.0), voice(1.0, level_db=-60.0), silence(2.0),
    ))  # fmt: skip
    first, loud, near, soft = (one.loudest for one in cut([audio], SegmentConfig()))
    assert -45.0 < first < -35.0 and -15.0 < loud < -5.0 and -20.0 < near < -10.0
    assert soft == pytest.approx(loud - 20.0, abs=3.0), "no more than 20 dB under the loudest so far"


@pytest.mark.parametrize("bump_db", [-20.0, 0.0])
def test_a_bump_hides_no_softer_speech_that_follows(bump_db: float) -> None:
    rng = np.random.default_rng(0)
    bump = gain(rng.standard_normal(RATE // 20) / 4, bump_db)  # 50 ms
    audio, where = layout(
        ("pause", 2.0), ("voice", 1.0), ("pause", 1.5), ("voice", 1.0), ("pause", 1.5), level_db=-55.0
    )
    audio = np.concatenate((silence(2.0), bump, audio))
    audio = audio + noise_clip("room", len(audio) / RATE, 1, -85.0)[: len(audio)]
    found = [one for one in cut([audio], SegmentConfig()) if one.start > 2.5]
    assert len(found) == len(where)
    for (start, end), (first, last) in zip(spans(found), where, strict=True):
        assert start < first + 2.05 and last + 2.05 < end
    assert all(one.loudest < -45.0 for one in found)


@pytest.mark.parametrize("seconds", [0.07, 0.1, 0.15, 0.3])
@pytest.mark.parametrize("room_db", [None, -65.0])
def test_a_short_word_far_from_all_other_sound_is_measured_by_its_own_level(
    seconds: float, room_db: float | None
) -> None:
    word = np.sin(2 * np.pi * 150.0 * np.arange(round(seconds * RATE)) / RATE) / 2
    audio = np.concatenate((silence(20.0), word.astype(np.float32), silence(20.0)))
    if room_db is not None:
        audio = audio + noise_clip("room", len(audio) / RATE, 1, room_db)[: len(audio)]
    for one in cut([audio], SegmentConfig()):
        if np.abs(one.samples).max() > 0.4:
            assert one.loudest > -20.0
            break
    else:
        raise AssertionError("the word is in no segment")


def test_bumps_do_not_pass_for_speech_however_many_they_are() -> None:
    rng = np.random.default_rng(0)
    audio, _ = layout(*[("voice", 0.6), ("pause", 1.6)] * 12, level_db=-55.0)
    for at in range(round(1.4 * RATE), len(audio), round(2.2 * RATE)):
        audio[at : at + RATE // 20] = rng.standard_normal(len(audio[at : at + RATE // 20])) / 4
    found = [one for one in cut([audio], SegmentConfig()) if np.abs(one.samples).max() < 0.1]
    assert len(found) == 12 and all(one.loudest < -45.0 for one in found)


def test_a_softer_speaker_who_follows_a_louder_one_is_measured_by_his_own_level() -> None:
    turns = [voice(2.0, number, level_db=-15.0 - 20.0 * (number % 2)) for number in range(8)]
    audio = np.concatenate([part for turn in turns for part in (turn, silence(1.0))])
    audio = audio + noise_clip("room", len(audio) / RATE, 1, -65.0)[: len(audio)]
    found = list(cut([audio], SegmentConfig()))
    assert len(found) == len(turns)
    for one in found:
        assert one.loudest - 30.0 < 20 * np.log10(np.sqrt(np.mean(one.samples**2))) + 6.0, "his own peak counts"


@pytest.mark.parametrize("apart", [0.0, 6.0, 20.0, -20.0])
def test_speakers_of_other_levels_are_cut_apart_at_short_pauses(apart: float) -> None:
    first, second = voice(2.0, 0, level_db=-20.0), voice(1.5, 3, level_db=-20.0 - apart)
    audio = np.concatenate((silence(1.0), first, silence(0.4), second, silence(1.0)))
    audio = audio + noise_clip("room", len(audio) / RATE, 1, -80.0)[: len(audio)]
    found = spans(list(cut([audio], SegmentConfig())))
    if abs(apart) < 10.0:
        assert len(found) == 1
    else:
        (one, other) = found
        assert one[0] < 1.0 and 3.0 <= one[1] <= other[0] <= 3.4 and other[1] > 4.9, "nothing is lost, and none twice"


@pytest.mark.parametrize("kind", ["white", "pink", "room", "hum"])
@pytest.mark.parametrize("below", [15.0, 30.0, 50.0])
def test_noise_in_a_long_pause_is_no_speech(kind: str, below: float) -> None:
    audio, where = layout(("voice", 3.0), ("pause", 100.0), ("voice", 3.0), level_db=-20.0)
    audio = audio + noise_clip(kind, len(audio) / RATE, 1, -20.0 - below)[: len(audio)]  # type: ignore[arg-type]
    found = spans(list(cut([audio], SegmentConfig())))
    assert len(found) == 2 and found[0][1] < 3.5 and found[1][0] > 102.5, found


@pytest.mark.parametrize("db", [12.0, -20.0, -35.0])
def test_the_gain_of_a_recording_changes_no_cut(db: float) -> None:
    audio, _ = layout(("pause", 2.0), ("voice", 1.0), ("pause", 1.0), ("voice", 2.0), ("pause", 30.0), ("voice", 0.4))
    audio = audio + noise_clip("pink", len(audio) / RATE, 1, -45.0)[: len(audio)]
    expected, found = list(cut([audio], SegmentConfig())), list(cut([gain(audio, db)], SegmentConfig()))
    assert spans(found) == spans(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.loudest == pytest.approx(other.loudest + db, abs=0.01)


def test_a_recording_below_60_db_under_full_scale_is_silence_and_one_above_loses_nothing() -> None:
    audio, _ = layout(("pause", 2.0), ("voice", 1.0), ("pause", 20.0), ("voice", 1.0), ("pause", 2.0), level_db=-75.0)
    assert np.abs(audio).max() < 1e-3
    assert list(cut([audio], SegmentConfig())) == []
    louder = np.concatenate((audio, voice(1.0, level_db=-40.0), silence(2.0)))
    found = list(cut(blocks(louder, RATE), SegmentConfig()))
    assert [round(one.start) for one in found] == [2, 23, 26], "what came before it was known is not lost"


def test_memory_does_not_grow_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    forget = segments.Cutter._forget

    def watched(cutter: segments.Cutter) -> None:
        forget(cutter)
        held.append(len(cutter.audio) + len(cutter.levels))

    monkeypatch.setattr(segments.Cutter, "_forget", watched)
    piece = np.concatenate((voice(3.0), silence(2.0), voice(25.0), silence(40.0)))
    for _ in cut((part for _ in range(12) for part in blocks(piece, 5 * RATE)), SegmentConfig()):
        pass
    half = len(held) // 2
    assert max(held[half:]) <= max(held[:half]) <= 65 * RATE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pause": 0.3, "margin": 0.2}, r"decode.segments.pause must lie in \[2 margin, 10\] s, got 0.3"),
        ({"margin": -0.1}, "decode.segments.margin"),
        ({"longest": 0.5}, r"decode.segments.longest must lie in \[1, 600\] s, got 0.5"),
        ({"above_noise": float("nan")}, "decode.segments.above_noise"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegmentConfig(**options)
