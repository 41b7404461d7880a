"""Divides a long recording at its pauses, and finds which part of its text is spoken in each of its segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from echo_asr.audio.convert import samples_to_seconds
from echo_asr.decode.batches import GROUP_SECONDS, batches_to_search, gathered
from echo_asr.decode.heard_voice import HeardVoice
from echo_asr.decode.memory import release_memory
from echo_asr.decode.segments import SpeechSegment, cut
from echo_asr.decode.settling import ctc_log_probabilities
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_homes import word_homes
from echo_asr.features import Features


@dataclass(frozen=True)
class SpokenPart:
    """A segment of a recording in which words of a text are spoken.

    Attributes:
        start: seconds from the beginning of the recording.
        seconds: its duration.
        measured: its features before the extractor's transform, which take less room: states of a pretrained encoder
            are at its own rate.
        words: numbers of the words.
    """

    start: float
    seconds: float
    measured: Features
    words: tuple[int, ...]


def divide_text(
    recognizer: Recognizer,
    blocks: Iterable[np.ndarray],
    tokens: Sequence[int],
    words: Sequence[int],
    heard: HeardVoice,
    progress: Callable[[float], None] = lambda seconds: None,
) -> list[SpokenPart]:
    """The segments of a recording that have words, in order, by the likeliest CTC path of the text through all speech;
    none where there is no speech. Segments are those of `Recognizer.transcribe`, by `decode.segments`; every word is in
    one of them.

    Held are the measured features of the recording, some 130 MB an hour, and for each value in a state of a pretrained
    encoder whose states are cached 360 KB an hour, if it has 50 a second; time grows with its length times that of the
    text.

    Args:
        blocks: of the recording, mono at 16 kHz.
        tokens: of the text, at least one.
        words: the number of the word that each begins in, or -1.
        heard: makes the features; afterwards it knows the voice from all of the recording.
        progress: called with the seconds that are read.

    Raises:
        EchoError: the recording cannot be read.
        ValueError: there are more tokens than frames of speech.
    """
    used, places = np.unique([0, *tokens], return_inverse=True)
    parts: list[SpokenPart] = []
    logs: list[np.ndarray] = []

    def seconds(segment: SpeechSegment) -> float:
        return samples_to_seconds(len(segment.samples))

    for group in gathered(cut(blocks, recognizer.decode.segments), seconds, GROUP_SECONDS):
        measured = recognizer.extractor.measure_batch([s.samples for s in group], [s.loudest for s in group])
        whole = [SpokenPart(s.start, seconds(s), own, ()) for s, own in zip(group, measured, strict=True)]
        clips = [heard.of_measured(part.measured, part.start) for part in whole]
        found: dict[int, np.ndarray] = {}
        for batch in batches_to_search(clips):
            of_batch = ctc_log_probabilities(recognizer, [clips[number] for number in batch])
            found.update(zip(batch, (log[:, used] for log in of_batch), strict=True))
        for number in sorted(found):
            logs.append(found[number])
            parts.append(whole[number])
        progress(group[-1].start + seconds(group[-1]))
        release_memory()
    if not parts:
        return []
    homes = np.array(word_homes(logs, places[1:].tolist(), words, max(words) + 1))
    own = [tuple(np.flatnonzero(homes == number).tolist()) for number in range(len(parts))]
    return [replace(part, words=numbers) for part, numbers in zip(parts, own, strict=True) if numbers]
