"""A voice becomes known while a recording is heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from echo_asr.decode.heard_voice import HeardVoice, HeardVoices, measure_voice
from echo_asr.decode.segments import SegmentConfig, SpeechSegment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import FeatureExtractor
from echo_asr.features.voice import UNKNOWN, Moments, Voice
from tests.helpers.tone_corpus import tone

A, B = tone("a b"), tone("c")


@pytest.fixture
def extractor(learnt_states: Recognizer) -> FeatureExtractor:
    from echo_asr.decode.load import load_recognizer

    found = load_recognizer(learnt_states).extractor  # type: ignore[arg-type]
    assert found.speaker_states is not None
    return found


def segment(samples: np.ndarray, start: float) -> SpeechSegment:
    return SpeechSegment(start, samples, -20.0)


def known(extractor: FeatureExtractor, *heard: np.ndarray) -> Voice:
    """The voice of all that was heard, at once."""
    moments, states = Moments(), extractor.states
    assert states is not None
    for samples in heard:
        measured = extractor.measure(samples, -20.0)
        assert measured.states is not None
        states.add_speech(moments, measured.states, measured.null)
    return Voice(states=states.of_voice(moments))


def equal(extractor: FeatureExtractor, found: object, samples: np.ndarray, voice: Voice) -> bool:
    expected = extractor(samples, -20.0, voice).states
    assert expected is not None
    return torch.equal(found.states, expected)  # type: ignore[attr-defined]


def test_each_segment_is_relative_to_what_was_heard_up_to_its_end(extractor: FeatureExtractor) -> None:
    heard = HeardVoice(extractor, pitch=False)
    assert equal(extractor, heard.features(segment(A, 0.0)), A, known(extractor, A))
    assert equal(extractor, heard.features(segment(B, 2.0)), B, known(extractor, A, B))


def test_a_segment_that_grows_counts_once(extractor: FeatureExtractor) -> None:
    heard = HeardVoice(extractor, pitch=False)
    for end in (4000, 6000, len(A)):
        found = heard.features(segment(A[:end], 0.0))
    assert equal(extractor, found, A, known(extractor, A))
    assert equal(extractor, heard.features(segment(B, 2.0)), B, known(extractor, A, B))


def test_a_voice_that_is_known_stays_as_it_is(extractor: FeatureExtractor) -> None:
    voice = replace(known(extractor, B, B), f0=170.0)
    heard = HeardVoice(extractor, True, voice)
    found = [heard.features(segment(A, at)) for at in (0.0, 2.0)]
    assert all(equal(extractor, one, A, voice) and one.speaker_f0 == 170.0 for one in found)


def test_recordings_have_a_voice_each(extractor: FeatureExtractor) -> None:
    heard = HeardVoices(extractor, pitch=False)
    first = heard.features([(0, segment(A, 0.0))])
    first += heard.features([(0, segment(B, 2.0)), (1, segment(B, 0.0))])  # gathered later
    for found, samples, of in zip(first, (A, B, B), ((A,), (A, B), (B,)), strict=True):
        assert equal(extractor, found, samples, known(extractor, *of))
    (last,) = HeardVoices(extractor, False, [Voice(), known(extractor, A)]).features([(1, segment(B, 0.0))])
    assert equal(extractor, last, B, known(extractor, A))


def test_pitch_is_relative_to_the_median_of_what_was_heard_of_late(
    extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that grows counts once and whole, a recording begins anew, and what is known before stays."""
    voiced = [f0[f0 > 0] for f0 in (extractor.measure(samples, -20.0).pitch[0] for samples in (A, B))]
    monkeypatch.setattr("echo_asr.decode.heard_voice.FEWEST", len(voiced[0]) + 1)
    monkeypatch.setattr("echo_asr.decode.heard_voice.RECENT", len(voiced[0]) + 4)
    heard = HeardVoices(extractor, True, [Voice(), Voice(), Voice(f0=170.0)])
    pieces = [(0, A[: len(A) // 2], 0.0), (0, A, 0.0), (0, B, 2.0), (1, A, 0.0), (2, A, 0.0)]
    found = [heard.features([(number, segment(samples, at))])[0].speaker_f0 for number, samples, at in pieces]
    assert found[:2] == [0.0, 0.0] and found[3:] == [0.0, 170.0]  # of too little nothing is said
    assert found[2] == float(torch.cat(voiced)[-len(voiced[0]) - 4 :].median())
    assert HeardVoice(extractor, pitch=False).features(segment(B, 0.0)).speaker_f0 == 0.0


def test_the_voice_of_one_person_is_that_of_the_speech_in_all_recordings(
    extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so many recordings as are enough, spread over all; what cannot be read is passed over."""
    measured: list[int] = []
    measure = extractor.measure_batch
    monkeypatch.setattr(
        extractor, "measure_batch", lambda clips, levels: measured.extend(map(len, clips)) or measure(clips, levels)
    )
    found = measure_voice(extractor, True, [A, "nothing.wav", B], None, SegmentConfig(margin=0.0))
    assert found.states is not None and 100 < found.f0 < 400 and len(measured) == 2
    near = known(extractor, A, B).states
    assert near is not None and (found.states.mean - near.mean).abs().max() < 0.2 * near.deviation.max()
    monkeypatch.setattr("echo_asr.features.voice.RECORDINGS", 3)
    measured.clear()
    measure_voice(extractor, False, [A] * 4 + [B] * 2, None, SegmentConfig())
    assert len(measured) == 3 and measured[2] < measured[0]
    monkeypatch.setattr(extractor, "config", replace(extractor.config, states_reference="corpus"))
    assert measure_voice(extractor, False, [A], None, SegmentConfig()) == UNKNOWN
