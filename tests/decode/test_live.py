"""Live text: no word is lost, partial texts stay as they are but for their end, and settled ones come at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.data.noise import noise_clip
from echo_asr.decode.live import LOOSE, LiveEvent, LiveText, steady
from echo_asr.decode.load import load_recognizer
from echo_asr.decode.results import Segment, Word, placed
from echo_asr.decode.segments import SegmentConfig, SpeechSegment, cut
from echo_asr.decode.subtitles import TimedUnit
from echo_asr.decode.transcribe import Recognizer
from tests.helpers.slow import slow
from tests.helpers.tone_corpus import tone

RATE, CHUNK = 16_000, 320  # Hz; samples that a microphone gives at a time, 20 ms


def voice(seconds: float, level_db: float = -20.0) -> np.ndarray:
    """Syllables of 0.2 s at an RMS level, `(S,)`."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 130.0 * k * time) / k for k in range(1, 10)) * np.sin(np.pi * time / 0.2) ** 2
    return (10 ** (level_db / 20) * wave / np.sqrt(np.mean(wave**2))).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def spoken(*parts: tuple[float, float], level_db: float = -20.0) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """A recording of pauses and voices, each pair in seconds, and where the voices are."""
    pieces, where, at = [], [], 0.0
    for pause, seconds in parts:
        pieces += [silence(pause), voice(seconds, level_db)]
        where.append((at + pause, at + pause + seconds))
        at += pause + seconds
    return np.concatenate([*pieces, silence(1.5)]), where


class Listener:
    """Finds a word for each 0.2 s of a segment, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[SpeechSegment] = []

    def __call__(self, piece: SpeechSegment) -> Segment:
        self.asked.append(piece)
        end = piece.start + len(piece.samples) / RATE
        times = [*np.arange(piece.start, end, 0.2), end]
        words = tuple(Word(f"w{round(10 * a)}", a, b, 0.9) for a, b in pairwise(times))
        return Segment(piece.start, end, " ".join(word.word for word in words), words)


def listen(live: LiveText, audio: np.ndarray) -> Iterator[tuple[float, LiveEvent]]:
    """Each event, and the seconds that were recorded when it came."""
    for at in range(0, len(audio), CHUNK):
        for event in live.feed(audio[at : at + CHUNK]):
            yield live.seconds, event
    for event in live.finish():
        yield live.seconds, event


@pytest.mark.parametrize("bed", [None, "room", slow("white"), slow("pink"), slow("hum")])
@pytest.mark.parametrize("level_db", [slow(-15.0), -30.0])
def test_every_voice_is_settled_with_its_margin_soon_after_its_end(bed: str | None, level_db: float) -> None:
    audio, where = spoken((2.0, 1.0), (0.9, 0.4), (3.0, 2.0), (16.0, 0.4), level_db=level_db)
    if bed:
        audio = audio + noise_clip(bed, len(audio) / RATE, 1, level_db - 25.0)[: len(audio)]  # type: ignore[arg-type]
    config = SegmentConfig()
    settled = [(at, event.segment) for at, event in listen(LiveText(Listener(), config), audio) if event.settled]
    assert len(settled) == len(where)
    for (at, segment), (first, last) in zip(settled, where, strict=True):
        assert first - 0.4 < segment.start <= first - 0.1 and last + 0.1 <= segment.end < last + 0.4
        assert at < last + config.pause + 0.3


def test_a_softer_speaker_after_a_louder_one_is_heard() -> None:
    loud, soft = voice(1.0, -15.0), voice(1.0, -33.0)
    audio = np.concatenate((silence(1), loud, silence(1), soft, silence(1), loud, silence(1)))
    settled = [event for _, event in listen(LiveText(Listener(), SegmentConfig()), audio) if event.settled]
    assert [round(event.segment.start, 0) for event in settled] == [1.0, 3.0, 5.0]


def test_a_recording_that_begins_and_ends_in_speech_is_whole() -> None:
    audio = voice(1.3)
    ((_, event),) = [(at, e) for at, e in listen(LiveText(Listener(), SegmentConfig()), audio) if e.settled]
    assert event.segment.start == 0.0 and event.segment.end == pytest.approx(1.3)


@pytest.mark.parametrize("level_db", [-70.0, -45.0])
def test_the_noise_of_a_room_is_a_pause_from_the_start(level_db: float) -> None:
    noise = noise_clip("room", 6.0, 3, level_db)
    listener = Listener()
    assert list(listen(LiveText(listener, SegmentConfig()), noise)) == [] and listener.asked == []


def test_the_settled_text_is_ready_when_the_pause_is() -> None:
    audio, _ = spoken((1.0, 1.4))
    listener, calls = Listener(), []
    for _, event in listen(LiveText(listener, SegmentConfig()), audio):
        calls.append((event.settled, len(listener.asked)))
    assert calls[-1][0] and calls[-1][1] == calls[-2][1]  # nothing was recognised after the last partial text


def test_partial_texts_come_while_one_speaks() -> None:
    audio, _ = spoken((0.5, 4.0))
    times = [at for at, event in listen(LiveText(Listener(), SegmentConfig()), audio) if not event.settled]
    assert times[0] < 1.3 and max(b - a for a, b in pairwise(times)) < 0.7


def test_slow_recognition_is_asked_less_often() -> None:
    audio, _ = spoken((0.5, 6.0))
    counts = []
    for cost in (0.0, 1.0):
        now = [0.0]
        listener = Listener()

        def recognize(piece: SpeechSegment, cost: float = cost, now: list[float] = now) -> Segment:
            now[0] += cost
            return listener(piece)  # noqa: B023

        live = LiveText(recognize, SegmentConfig(), lambda now=now: now[0])  # type: ignore[misc]
        for at in range(0, len(audio), CHUNK):
            now[0] = max(now[0], at / RATE)
            list(live.feed(audio[at : at + CHUNK]))
        counts.append(len(listener.asked))
    assert counts[1] < counts[0] / 2


def test_partial_texts_that_were_noise_are_cleared() -> None:
    texts = iter(["something", "something more", *[""] * 99])
    live = LiveText(lambda piece: Segment(piece.start, piece.start + 1, next(texts)), SegmentConfig())
    events = [event for _, event in listen(live, spoken((0.5, 1.5))[0])]
    assert [event.segment.text for event in events][0 :: len(events) - 1] == ["something", ""]


def test_speech_without_a_pause_is_settled_all_the_same() -> None:
    audio, _ = spoken((0.5, 13.0))
    settled = [
        event.segment for _, event in listen(LiveText(Listener(), SegmentConfig(longest=5.0)), audio) if event.settled
    ]
    assert len(settled) > 2
    assert all(abs(before.end - after.start) < 0.02 for before, after in pairwise(settled))


WORDS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=8)


def units(words: Sequence[tuple[str, int]]) -> list[TimedUnit]:
    """Words one after another, each with a duration."""
    found, at = [], 0
    for text, duration in words:
        found.append(TimedUnit(text, 1, bool(found), at, at + duration))
        at += duration
    return found


@given(st.lists(WORDS, max_size=6))
def test_no_partial_text_changes_further_back_than_its_last_words(texts: list[list[tuple[str, int]]]) -> None:
    shown: list[TimedUnit] = []
    for words in texts:
        kept = [unit.text for unit in shown[:-LOOSE]]
        shown = steady(shown, units(words))
        assert [unit.text for unit in shown[: len(kept)]] == kept
        assert shown[len(kept) :] == [] or not kept or shown[len(kept) :][0] in units(words)


def test_the_live_text_is_that_of_the_file(learnt: Path) -> None:
    recognizer = load_recognizer(learnt, "cpu")
    gap = silence(1.0)
    audio = np.concatenate([gap, *(part for text in ("a b", "b", "a c", "c") for part in (tone(text), gap))])
    audio = audio + 1e-4 * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)
    file = [(p.start, recognized(recognizer, p).text) for p in cut([audio], SegmentConfig())]
    live = LiveText(lambda piece: recognized(recognizer, piece), SegmentConfig())
    found = [(e.segment.start, e.segment.text) for _, e in listen(live, audio) if e.settled and e.segment.text]
    assert [text for _, text in found] == [text for _, text in file if text]


def recognized(recognizer: Recognizer, piece: SpeechSegment) -> Segment:
    (segment,) = recognizer.recognize([recognizer.extractor(piece.samples, piece.loudest)], words=True)
    return placed(segment, piece.start, len(piece.samples) / RATE)
