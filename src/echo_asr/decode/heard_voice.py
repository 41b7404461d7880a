"""The voice of who speaks in a recording, as it becomes known while the recording is heard."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from echo_asr.decode.gather import Waiting
from echo_asr.decode.segments import SpeechSegment
from echo_asr.features import FeatureExtractor, Features
from echo_asr.features.voice import UNKNOWN, Moments, Voice


class HeardVoice:
    """Features of the segments of one recording, in their order: where they are relative to who speaks and that voice
    is not known, to what was heard of it up to the end of each segment.

    Args:
        extractor: of the model.
        known: what is known of the voice before.
    """

    def __init__(self, extractor: FeatureExtractor, known: Voice = UNKNOWN) -> None:
        self.extractor, self.voice = extractor, known
        states = extractor.states
        self._gathers = states is not None and states.by_speaker and known.states is None
        self._moments, self._before, self._start = Moments(), Moments(), -1.0

    def features(self, segment: SpeechSegment) -> Features:
        """The features of a segment, as a model takes them. One that begins where the last one did takes its place, as
        when more of it was said."""
        return self.of_measured(self.extractor.measure(segment.samples, segment.loudest), segment.start)

    def of_measured(self, measured: Features, start: float) -> Features:
        """The same from the measured features of a segment that begins at so many seconds."""
        states = self.extractor.states
        if self._gathers and states is not None and measured.states is not None:
            if start != self._start:
                self._before, self._start = self._moments, start
            self._moments = copy(self._before)
            self._moments.add(states.in_speech(measured.states, measured.null))
            self.voice = Voice(self.voice.f0, states.of_voice(self._moments))
        return self.extractor.transformed(measured, self.voice)


class HeardVoices:
    """The same for several recordings, one after another.

    Args:
        extractor: of the model.
        known: what is known of who speaks in each; empty where nothing is.
    """

    def __init__(self, extractor: FeatureExtractor, known: Sequence[Voice] = ()) -> None:
        self.extractor, self.known = extractor, known
        self._number, self._voice = -1, HeardVoice(extractor)

    def features(self, waiting: Waiting) -> list[Features]:
        """The features of each segment among what was gathered of the recordings."""
        clips = []
        for number, item in waiting:
            if number != self._number:
                known = self.known[number] if self.known else UNKNOWN
                self._number, self._voice = number, HeardVoice(self.extractor, known)
            if isinstance(item, SpeechSegment):
                clips.append(self._voice.features(item))
        return clips
