"""Alignment of recordings and utterances with their texts, given or recognised, together with their F0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from echo_asr.audio import load_audio
from echo_asr.audio.convert import frames_to_seconds
from echo_asr.audio.load import Audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.decode.batches import GROUP_SECONDS, gathered
from echo_asr.decode.given_texts import align_features
from echo_asr.decode.recording_pitch import measure_pitch
from echo_asr.decode.results import Segment
from echo_asr.decode.syllables import AlignedSpeech
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.features.voice import UNKNOWN, Voice


@dataclass(frozen=True)
class GivenText:
    """A recording, or an utterance within one, and the text in it.

    Attributes:
        audio: a path, a segment of a file, or samples.
        text: as written, not normalised.
        speaker: empty if unknown.
        name: of the utterance.
        voice: what is known of who speaks.
    """

    audio: Audio
    text: str
    speaker: str = ""
    name: str = "1"
    voice: Voice = UNKNOWN


def align_given(
    recognizer: Recognizer, given: Iterable[GivenText], progress: Callable[[int], None] = lambda done: None
) -> Iterator[AlignedSpeech | EchoError]:
    """The times of given texts in their recordings, and the F0, in their order; for one that cannot be aligned the
    reason: a character that the model does not know, a text too long for its recording, silence, or more than 2 min.

    Recordings are gathered up to five minutes, and aligned in batches of similar length.

    Args:
        progress: called with the number of texts done.

    Raises:
        EchoError: a recording cannot be read.
    """
    done = 0
    read = ((one, recognizer.extractor.measure(load_audio(one.audio))) for one in given)
    for group in gathered(read, lambda pair: frames_to_seconds(pair[1].frames), GROUP_SECONDS):
        yield from _align_group(recognizer, group)
        done += len(group)
        progress(done)


def _align_group(
    recognizer: Recognizer, group: Sequence[tuple[GivenText, Features]]
) -> Iterator[AlignedSpeech | EchoError]:
    transformed = recognizer.extractor.transformed
    clips = [transformed(measured, one.voice) for one, measured in group]
    results = align_features(recognizer, clips, [one.text for one, _ in group])
    for (one, measured), found in zip(group, results, strict=True):
        if isinstance(found, EchoError):
            yield EchoError(f"{one.audio}: {found}")
            continue
        own = ((one.name, found.tokens),)
        yield AlignedSpeech(*_place(one.audio), one.speaker, measured.pitch[0].numpy(), own)


def _place(audio: Audio) -> tuple[str, float]:
    """The file of a recording, empty for samples, and the seconds in it at which the recording begins."""
    if isinstance(audio, AudioSegment):
        return str(audio.path), audio.start
    return "" if isinstance(audio, np.ndarray | torch.Tensor) else str(audio), 0.0


def align_recognized(
    recognizer: Recognizer, sources: Sequence[Audio], progress: Callable[[int], None] = lambda done: None
) -> Iterator[AlignedSpeech | EchoError]:
    """The recognised texts of recordings of any length with their times, a text for each segment of speech, named by
    its number from 1, and the F0; for a recording that cannot be read the reason."""
    segments: list[Segment] = []
    for index, result in recognizer.transcribe_each(sources):
        if isinstance(result, Segment):
            segments.append(result)
            continue
        progress(index + 1)
        if isinstance(result, EchoError):
            yield result
        else:
            source = sources[index]
            f0 = measure_pitch(source, recognizer.extractor, recognizer.decode.segments).f0
            texts = tuple((str(number), segment.tokens) for number, segment in enumerate(segments, 1))
            yield AlignedSpeech(*_place(source), "", f0, texts)
        segments = []
