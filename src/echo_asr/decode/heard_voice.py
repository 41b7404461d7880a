"""The voice of who speaks in a recording, as it becomes known while the recording is heard."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch

from echo_asr.audio.load import Audio
from echo_asr.decode.batches import GROUP_SECONDS
from echo_asr.decode.gather import Waiting, gather_speech
from echo_asr.decode.segments import SegmentConfig, SpeechSegment
from echo_asr.features import FeatureExtractor, Features
from echo_asr.features.voice import UNKNOWN, Moments, Voice, median_f0, spread

ENOUGH = 300.0  # seconds of speech from which a voice is known
FEWEST, RECENT = 100, 300  # voiced frames from which F0 is known, and by which it is: another may speak before long


class HeardVoice:
    """Features of the segments of one recording, in their order: where they are relative to who speaks and that voice
    is not known, to what was heard of it up to the end of each segment; pitch to the last three seconds of voice, or to
    all of a segment that has more.

    Args:
        extractor: of the model.
        pitch: whether pitch is relative to the speaker's (`Recognizer.pitch_by_speaker`).
        known: what is known of the voice before.
    """

    def __init__(self, extractor: FeatureExtractor, pitch: bool, known: Voice = UNKNOWN) -> None:
        self.extractor, self.voice = extractor, known
        self._states = None if known.states else extractor.speaker_states
        self._moments, self._f0 = Moments(), torch.empty(0) if pitch and not known.f0 else None
        self._before, self._start = (self._moments, self._f0), -1.0

    def features(self, segment: SpeechSegment) -> Features:
        """The features of a segment, as a model takes them. One that begins where the last one did takes its place, as
        when more of it was said."""
        return self.of_measured(self.extractor.measure(segment.samples, segment.loudest), segment.start)

    def of_measured(self, measured: Features, start: float) -> Features:
        """The same from the measured features of a segment that begins at so many seconds."""
        if start != self._start:
            self._before, self._start = (self._moments, self._f0), start
        moments, f0 = self._before
        known = self.voice
        if self._states is not None and measured.states is not None:
            self._moments = copy(moments)
            self._states.add_speech(self._moments, measured.states, measured.null)
            known = replace(known, states=self._states.of_voice(self._moments))
        if f0 is not None:
            own = measured.pitch[0][measured.pitch[0] > 0]
            self._f0 = torch.cat([f0, own])[-max(RECENT, len(own)) :]
            known = replace(known, f0=median_f0(self._f0, FEWEST))
        self.voice = known
        return self.extractor.transformed(measured, self.voice)


class HeardVoices:
    """The same for several recordings, one after another.

    Args:
        extractor, pitch: as of `HeardVoice`.
        known: what is known of who speaks in each; empty where nothing is.
    """

    def __init__(self, extractor: FeatureExtractor, pitch: bool, known: Sequence[Voice] = ()) -> None:
        self.extractor, self.pitch, self.known = extractor, pitch, known
        self._number, self._voice = -1, HeardVoice(extractor, pitch)

    def features(self, waiting: Waiting) -> list[Features]:
        """The features of each segment among what was gathered of the recordings."""
        segments = [(number, item) for number, item in waiting if isinstance(item, SpeechSegment)]
        samples, levels = [item.samples for _, item in segments], [item.loudest for _, item in segments]
        clips = []
        for (number, segment), measured in zip(segments, self.extractor.measure_batch(samples, levels), strict=True):
            if number != self._number:
                known = self.known[number] if self.known else UNKNOWN
                self._number, self._voice = number, HeardVoice(self.extractor, self.pitch, known)
            clips.append(self._voice.of_measured(measured, segment.start))
        return clips


def measure_voice(
    extractor: FeatureExtractor,
    pitch: bool,
    sources: Sequence[Audio],
    sampling_rate: int | None,
    segments: SegmentConfig,
) -> Voice:
    """What a model has to know of one person, from recordings of that person alone: five minutes of speech, in up to a
    hundred recordings spread over all. What cannot be read is passed over.

    Args:
        extractor: of the model.
        pitch: whether its pitch is relative to the speaker's.
        sampling_rate: Hz, of sources that are samples.
        segments: how recordings are cut at their pauses.
    """
    states = extractor.speaker_states
    if states is None and not pitch:
        return UNKNOWN
    moments, f0, heard = Moments(), [torch.empty(0)], 0.0
    for waiting in gather_speech(spread(sources), sampling_rate, segments, GROUP_SECONDS):
        group = [item for _, item in waiting if isinstance(item, SpeechSegment)]
        measure = extractor.measure_batch if states is not None else extractor.measure_acoustic_batch
        for found in measure([item.samples for item in group], [item.loudest for item in group]):
            if states is not None and found.states is not None:
                states.add_speech(moments, found.states, found.null)
            if pitch:
                f0.append(found.pitch[0])
        heard += sum(item.seconds for item in group)
        if heard >= ENOUGH:
            break
    return Voice(median_f0(torch.cat(f0)), states.of_voice(moments) if states is not None else None)
