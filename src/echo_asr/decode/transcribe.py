"""A recogniser: a trained model with its features and text, ready to use."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

import numpy as np
import torch

from echo_asr.audio.convert import SAMPLE_RATE, frames_to_seconds
from echo_asr.audio.load import Audio
from echo_asr.decode.alignment import align
from echo_asr.decode.batches import GROUP_SECONDS, batches_to_search
from echo_asr.decode.fusion import Fusion
from echo_asr.decode.gather import Waiting, gather_speech
from echo_asr.decode.heard_voice import HeardVoices, measure_voice
from echo_asr.decode.results import Place, Retoned, Segment, Transcription, made_of, placed
from echo_asr.decode.search import DecodeConfig, Hypothesis, make_fusion, make_spell, search_nbest
from echo_asr.decode.segments import SpeechSegment
from echo_asr.decode.sentences import Sentences, hear
from echo_asr.decode.spoken import evidence, pooled_states
from echo_asr.decode.written import with_written
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor, Features, FeatureTransform, collate_features
from echo_asr.features.states import StatesExtractor
from echo_asr.features.voice import Voice
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.encoder import Encoded
from echo_asr.text.grammar import Grammar
from echo_asr.text.tones import ToneNotation
from echo_asr.text.written import written_spans

HOTWORD_BEAM = 4  # hypotheses that are kept at least where there are hotwords


Result = TypeVar("Result")
Results = Iterator[tuple[int, Segment | Transcription | EchoError]]


class Recognizer:
    """Transcribes with a trained model.

    Args:
        bundle: model, tokenizer and settings.
        decode: how text is searched for.
        transform: of features, with which the model was trained.

    Raises:
        EchoError: the language model, a hotword or the grammar cannot be used with the model.
    """

    def __init__(
        self, bundle: Bundle, decode: DecodeConfig | None = None, transform: FeatureTransform | None = None
    ) -> None:
        self.bundle, self.decode = bundle, decode or DecodeConfig()
        states, model = None, bundle.model
        if bundle.source is not None:
            states = StatesExtractor(bundle.source, bundle.features.encoder_layers, model.standard, model.device)
        self.extractor = FeatureExtractor(bundle.features, transform, states).to(model.device)
        self.normalize = bundle.text.normalize
        self.fusion = make_fusion(self.decode, bundle.tokenizer, self.normalize)
        self.spell = make_spell(bundle.tokenizer)
        self.sentences: Sentences | None = None
        if self.decode.grammar:
            self.sentences = Sentences.of(Grammar.load(self.decode.grammar), bundle, self.decode.reject)
        self.features = bundle.trained_features  # those that are encoded, as in `Echo.encode`; None for all

    def with_hotwords(self, phrases: Sequence[str]) -> Recognizer:
        """The same model, which expects these words and phrases, too, in a beam of at least `HOTWORD_BEAM`.

        Raises:
            EchoError: the model cannot spell one of them.
        """
        beam = max(self.decode.beam, HOTWORD_BEAM)
        changed = copy.copy(self)
        changed.decode = replace(self.decode, hotwords=(*self.decode.hotwords, *phrases), beam=beam)
        without_lm = replace(changed.decode, lm="")
        fusion = make_fusion(without_lm, self.bundle.tokenizer, self.normalize)
        if self.fusion is not None:  # its language model has been read already
            fusion = Fusion(self.fusion.scorer, self.fusion.weight, fusion.hotwords if fusion else None)
        changed.fusion = fusion
        return changed

    def with_grammar(self, grammar: Grammar) -> Recognizer:
        """The same model, which hears a sentence of this grammar or nothing.

        Raises:
            EchoError: the model can write none of its sentences.
        """
        changed = copy.copy(self)
        changed.decode, changed.fusion = replace(self.decode, lm="", hotwords=()), None
        changed.sentences = Sentences.of(grammar, self.bundle, self.decode.reject)
        return changed

    @overload
    def transcribe(self, audio: Audio, sampling_rate: int | None = None, *, words: bool = True) -> Transcription: ...
    @overload
    def transcribe(
        self, audio: list[Audio] | tuple[Audio, ...], sampling_rate: int | None = None, *, words: bool = True
    ) -> list[Transcription]: ...
    def transcribe(
        self, audio: Audio | list[Audio] | tuple[Audio, ...], sampling_rate: int | None = None, *, words: bool = True
    ) -> Transcription | list[Transcription]:
        """The transcription of a file or a segment of one, of samples (at `sampling_rate` Hz, 16 kHz by default), or of
        each in a list of these, which are decoded together.

        Files may be of any length: they are read in blocks, cut at their pauses, and what is between is decoded.

        Args:
            audio: path, `AudioSegment`, array, tensor, or a list or tuple of them.
            words: also find when each word is spoken, and how probable it is. It costs a little.

        Raises:
            EchoError: a recording cannot be read; see `echo_asr.audio.load_audio`.
        """
        texts: list[Transcription] = []
        for _, result in self.transcribe_each(_sources(audio), sampling_rate, words=words):
            if isinstance(result, EchoError):
                raise result
            if isinstance(result, Transcription):
                texts.append(result)
        return texts if isinstance(audio, list | tuple) else texts[0]

    def transcribe_each(
        self,
        sources: Iterable[Audio],
        sampling_rate: int | None = None,
        *,
        words: bool = True,
        voices: Sequence[Voice] = (),
    ) -> Results:
        """Transcribe recordings one after another, and yield each segment as soon as it is known.

        Speech is gathered over pauses and recordings and decoded in batches of similar length; what is held at any time
        does not depend on how long or how many the recordings are.

        Args:
            voices: what is known of who speaks in each source (`echo_asr.data.speakers.speaker_voices`); empty where
                nothing is.

        Yields:
            the number of a source, and a segment of it; after its segments its `Transcription`, or the error for which
            it could not be read to its end.
        """
        open_segments = list[Segment]()  # of the recording that has not ended yet
        heard = HeardVoices(self.extractor, voices)
        for waiting in gather_speech(sources, sampling_rate, self.decode.segments, GROUP_SECONDS):
            yield from self._decode(waiting, open_segments, words, heard)

    @overload
    def align(self, audio: Audio, text: str, sampling_rate: int | None = None) -> Segment: ...
    @overload
    def align(
        self, audio: list[Audio] | tuple[Audio, ...], text: Sequence[str], sampling_rate: int | None = None
    ) -> list[Segment]: ...
    def align(
        self,
        audio: Audio | list[Audio] | tuple[Audio, ...],
        text: str | Sequence[str],
        sampling_rate: int | None = None,
    ) -> Segment | list[Segment]:
        """The words and symbols of a given text with their times in its recording, of any length; or of each text in a
        list, in the recording of the same place.

        Raises:
            EchoError: a recording cannot be read, or a text not be aligned; see `echo_asr.decode.given_texts`.
        """
        from echo_asr.decode.given_texts import align_each  # which imports this module

        found = _all_read(align_each(self, *_paired(audio, text), sampling_rate))
        return found if isinstance(audio, list | tuple) else found[0]

    @overload
    def retone(
        self, audio: Audio, text: str, sampling_rate: int | None = None, *, notation: ToneNotation | None = None
    ) -> Retoned: ...
    @overload
    def retone(
        self,
        audio: list[Audio] | tuple[Audio, ...],
        text: Sequence[str],
        sampling_rate: int | None = None,
        *,
        notation: ToneNotation | None = None,
    ) -> list[Retoned]: ...
    def retone(
        self,
        audio: Audio | list[Audio] | tuple[Audio, ...],
        text: str | Sequence[str],
        sampling_rate: int | None = None,
        *,
        notation: ToneNotation | None = None,
    ) -> Retoned | list[Retoned]:
        """A text with the tones that its recording has; tones in the given text make no difference.

        At least eight hypotheses are searched, whatever `decode.beam`. Where no tones can be found, as in silence, a
        warning names the recording, and its text comes back as it was.

        Args:
            audio: as in `transcribe`; a recording is not cut at its pauses.
            text: of the recording, or a list of one for each.
            notation: where tone is written; by default as in the model's settings.

        Raises:
            EchoError: see `echo_asr.decode.retone.retone_each`.
        """
        from echo_asr.decode.retone import retone_each  # which imports this module

        found = _all_read(retone_each(self, *_paired(audio, text), sampling_rate, notation))
        return found if isinstance(audio, list | tuple) else found[0]

    @overload
    def find(
        self, audio: Audio, words: str | Sequence[str] = (), sampling_rate: int | None = None, **how: Any
    ) -> tuple[Place, ...]: ...
    @overload
    def find(
        self,
        audio: list[Audio] | tuple[Audio, ...],
        words: str | Sequence[str] = (),
        sampling_rate: int | None = None,
        **how: Any,
    ) -> list[tuple[Place, ...]]: ...
    def find(
        self,
        audio: Audio | list[Audio] | tuple[Audio, ...],
        words: str | Sequence[str] = (),
        sampling_rate: int | None = None,
        **how: Any,
    ) -> tuple[Place, ...] | list[tuple[Place, ...]]:
        """The places where words may be spoken, also those that `transcribe` misses, in the order of time.

        Args:
            audio: as in `transcribe`.
            words: a word or phrase, or several, as they are written in texts.
            how: `least`, the probability that a place has at least (0.5 by default), and `within_words=True` for words
                inside longer ones, too; or, in place of words, `like`, recordings of one word alone, of at most ten
                seconds each.

        Raises:
            EchoError: a recording cannot be read, or a word or an example cannot be looked for.
        """
        from echo_asr.decode.find import find_each, make_search  # which import this module

        search = make_search(self, [words] if isinstance(words, str) else words, sampling_rate, **how)
        places = [one.places for one in _all_read(find_each(self, _sources(audio), search, sampling_rate))]
        return places if isinstance(audio, list | tuple) else places[0]

    def _decode(self, waiting: Waiting, open_segments: list[Segment], words: bool, heard: HeardVoices) -> Results:
        """Decode what was gathered; `open_segments` are those of the recording that has not ended yet, before and
        after."""
        found = iter(self.recognize(heard.features(waiting), words))
        for index, item in waiting:
            if isinstance(item, SpeechSegment):
                segment = placed(next(found), item.start, item.seconds)
                if segment.text or segment.sentence:
                    open_segments.append(segment)
                if segment.text:
                    yield index, segment
                continue
            whole = made_of(open_segments, item.duration)
            open_segments.clear()
            if item.error is not None:
                yield index, item.error
            else:
                yield index, whole

    def warm_up(self) -> None:
        """Load what is loaded when it is first needed, as tracker and pretrained encoder are, so that the first
        recording does not wait for it."""
        noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
        self.recognize([self.extractor(noise)], words=True)

    @property
    def pitch_by_speaker(self) -> bool:
        """Whether pitch is relative to that of the speaker."""
        return self.bundle.model.config.vrope.reference == "speaker"

    def voice(self, audio: Sequence[Audio], sampling_rate: int | None = None) -> Voice:
        """What the model has to know of one person, from recordings of that person alone (`measure_voice`): for
        `voices` of `transcribe_each`. Nothing, for a model to which it makes no difference."""
        return measure_voice(self.extractor, self.pitch_by_speaker, audio, sampling_rate, self.decode.segments)

    @torch.inference_mode()
    def recognize(self, features: Sequence[Features], words: bool = False) -> list[Segment]:
        """What is recognised in clips, from their features, in their order; decoded in batches of similar length.

        What is found does not depend on what else is in the list. Times are in seconds from each clip's beginning. The
        text of silence, a clip all of whose frames are null, is empty.
        """
        found: list[Segment] = [Segment(0.0, frames_to_seconds(f.frames), "") for f in features]
        for group in batches_to_search(features):
            clips = [features[i] for i in group]
            encoded = self.encode(clips)
            own = self._hear(clips, encoded, words) if self.sentences else self._write(clips, encoded, words)
            for index, segment in zip(group, own, strict=True):
                found[index] = segment
        return found

    def _write(self, clips: Sequence[Features], encoded: Encoded, words: bool) -> list[Segment]:
        """What is recognised in a batch of clips, as the model writes it."""
        segments, language = self.recognize_encoded(clips, encoded, words), self.bundle.text.written
        if language == "none":
            return segments
        spans = [written_spans(segment.text, language) for segment in segments]
        texts = [" ".join(span.text for span in own) for own in spans]
        return [with_written(*one) for one in zip(segments, texts, spans, strict=True)]

    def _hear(self, clips: Sequence[Features], encoded: Encoded, words: bool) -> list[Segment]:
        """The sentences of the grammar that are heard in a batch of clips."""
        assert self.sentences is not None
        graphs = [self.sentences.grammar.graph] * len(clips)
        heard = hear(self.bundle.model, encoded, self.decode, graphs, self.spell)
        segments = self._segments(clips, encoded, [one.best[: self.decode.nbest] for one in heard], words)
        judged = [self.sentences.judge(*one) for one in zip(segments, heard, strict=True)]
        return self._spoken(judged, encoded, [found.evidence for found in heard])

    def encode(self, clips: Sequence[Features]) -> Encoded:
        """The features of a batch of clips, encoded."""
        return self.bundle.model.encode(collate_features(list(clips)).to(self.bundle.model.device), self.features)

    def recognize_encoded(self, clips: Sequence[Features], encoded: Encoded, words: bool) -> list[Segment]:
        """What is recognised in a batch of clips, which are encoded already, as it is spoken and without a grammar."""
        texts = search_nbest(self.bundle.model, encoded, self.decode, self.fusion, self.spell)
        self._warn_of_cut(encoded.lengths.tolist(), [len(best[0].tokens) for best in texts])
        log_probabilities = self.bundle.model.ctc_log_probabilities(encoded)
        found = evidence(log_probabilities, encoded.lengths, [best[0] for best in texts])
        return self._spoken(self._segments(clips, encoded, texts, words), encoded, found)

    def _spoken(self, segments: Sequence[Segment], encoded: Encoded, found: Sequence[float]) -> list[Segment]:
        """The segments of a batch of clips with the evidence for their texts; without a text where it was hardly
        spoken."""
        kept = [replace(segment, evidence=own) for segment, own in zip(segments, found, strict=True)]
        probability = self.bundle.speech
        if probability is None or not self.decode.least_speech:
            return kept
        pooled = pooled_states(self.bundle.model, encoded).tolist()
        return [
            one if probability(states, one.evidence) >= self.decode.least_speech else Segment(one.start, one.end, "")
            for one, states in zip(kept, pooled, strict=True)
        ]

    def _segments(
        self, clips: Sequence[Features], encoded: Encoded, texts: Sequence[Sequence[Hypothesis]], words: bool
    ) -> list[Segment]:
        """The best texts of a batch of clips, with the times of the words of the first."""
        model, tokenizer, calibrated = self.bundle.model, self.bundle.tokenizer, self.bundle.calibration
        found: list[Segment] = []
        for clip, best in zip(clips, texts, strict=True):
            ranked = [(tokenizer.decode(one.tokens), one.score) for one in best]
            others = tuple(ranked) if len(ranked) > 1 else ()
            found.append(Segment(0.0, frames_to_seconds(clip.frames), ranked[0][0], alternatives=others))
        if words:
            times = align(model, encoded, clips, [best[0].tokens for best in texts], tokenizer, self.decode.times)
            for index, (tokens, scored) in enumerate(times):
                spoken = tuple(replace(w, probability=calibrated(w.probability)) for w in scored)
                found[index] = replace(found[index], tokens=tokens, words=spoken)
        return found

    def _warn_of_cut(self, frames: Sequence[int], sizes: Sequence[int]) -> None:
        most = self.decode.max_tokens
        if any(size >= most < bound for size, bound in zip(sizes, frames, strict=True)):
            what = f"a text is as long as decode.max_tokens allows ({most} tokens) and ends there, whatever follows"
            warnings.warn(f"{what}; raise it, or lower decode.segments.longest", stacklevel=3)


def _sources(audio: Audio | list[Audio] | tuple[Audio, ...]) -> Sequence[Audio]:
    """One recording, or several, as a list."""
    return audio if isinstance(audio, list | tuple) else [audio]


def _paired(
    audio: Audio | list[Audio] | tuple[Audio, ...], text: str | Sequence[str]
) -> tuple[Sequence[Audio], Sequence[str]]:
    """One recording and its text, or a list of each, as two lists of equal length."""
    sources = _sources(audio)
    texts = [text] if isinstance(text, str) else text
    if len(texts) != len(sources) or (isinstance(text, str) and sources is audio):
        raise ValueError(f"text: expected one for each of {len(sources)} recordings, got {len(texts)}")
    return sources, texts


def _all_read(results: Iterable[Result | EchoError]) -> list[Result]:
    """All results; the first error is raised."""
    found: list[Result] = []
    for result in results:
        if isinstance(result, EchoError):
            raise result
        found.append(result)
    return found
