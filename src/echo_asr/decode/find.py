"""Looks for something in recordings of any length: for words, or for what sounds like examples of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from echo_asr.audio.load import Audio
from echo_asr.decode.batches import GROUP_SECONDS
from echo_asr.decode.example_search import ExampleSearch
from echo_asr.decode.gather import gather_speech
from echo_asr.decode.heard_voice import HeardVoices
from echo_asr.decode.results import Found, Place
from echo_asr.decode.segments import SpeechSegment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_search import WordSearch
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.features.voice import Voice


class Search(Protocol):
    """What is looked for."""

    def find(self, features: Sequence[Features]) -> list[list[Place]]:
        """The places in clips, in their order, in seconds from the beginning of each."""


def make_search(
    recognizer: Recognizer,
    words: Sequence[str] = (),
    sampling_rate: int | None = None,
    *,
    like: Sequence[Audio] = (),
    name: str = "",
    least: float = 0.5,
    within_words: bool = False,
) -> Search:
    """A search for words or phrases, or for what is like recordings of one word.

    Args:
        words: as they are written in texts.
        sampling_rate: Hz, of examples that are samples.
        like: recordings of the word.
        name: what a word of which there are recordings is called.
        least: probability of a place.
        within_words: also inside longer words.

    Raises:
        EchoError: there is neither, or both; or as `make_keywords`, or `ExampleSearch`.
    """
    if like and words:
        raise EchoError("words and recordings of one cannot be looked for together; take one after the other")
    if like:
        return ExampleSearch(recognizer, like, name, least, sampling_rate)
    return WordSearch(recognizer, words, least, within_words)


def find_each(
    recognizer: Recognizer,
    sources: Iterable[Audio],
    search: Search,
    sampling_rate: int | None = None,
    voices: Sequence[Voice] = (),
    progress: Callable[[int, float], None] = lambda index, seconds: None,
) -> Iterator[Found | EchoError]:
    """The places in each recording, or why it cannot be read to its end.

    Recordings are read, cut at their pauses and gathered as in `Recognizer.transcribe_each`: what is held at any time
    does not depend on how long or how many they are.

    Args:
        sampling_rate: Hz, of sources that are samples.
        voices: what is known of who speaks in each source; empty where nothing is.
        progress: called with the number of a recording, and the seconds of it that are searched.
    """
    places: list[Place] = []  # in the recording that has not ended yet
    heard = HeardVoices(recognizer.extractor, recognizer.pitch_by_speaker, voices)
    for waiting in gather_speech(sources, sampling_rate, recognizer.decode.segments, GROUP_SECONDS):
        found = iter(search.find(heard.features(waiting)))
        for index, item in waiting:
            if isinstance(item, SpeechSegment):
                for place in next(found):
                    start, end = (item.start + min(time, item.seconds) for time in (place.start, place.end))
                    places.append(replace(place, start=start, end=end))
                progress(index, item.start + item.seconds)
                continue
            yield item.error or Found(item.duration, tuple(places))
            places = []
