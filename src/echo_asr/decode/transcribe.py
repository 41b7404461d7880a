"""A recogniser of recordings: a trained model with its features and text, ready to use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

from echo_asr.audio.load import Audio
from echo_asr.decode.batches import GROUP_SECONDS
from echo_asr.decode.gather import Waiting, gather_speech
from echo_asr.decode.heard_voice import HeardVoices, measure_voice
from echo_asr.decode.recognize import ClipRecognizer
from echo_asr.decode.results import Place, Retoned, Segment, Transcription, made_of, placed
from echo_asr.decode.segments import SpeechSegment
from echo_asr.errors import EchoError
from echo_asr.features.voice import Voice
from echo_asr.text.tones import ToneNotation

Result = TypeVar("Result")
Results = Iterator[tuple[int, Segment | Transcription | EchoError]]


class Recognizer(ClipRecognizer):
    """Transcribes recordings of any length with a trained model; arguments as of `ClipRecognizer`."""

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
        heard = HeardVoices(self.extractor, self.pitch_by_speaker, voices)
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

    @property
    def pitch_by_speaker(self) -> bool:
        """Whether pitch is relative to that of the speaker, in the model or in the tone model beside it."""
        return self.bundle.model.config.vrope.reference == "speaker" or self.bundle.tones is not None

    def voice(self, audio: Sequence[Audio], sampling_rate: int | None = None) -> Voice:
        """What the model has to know of one person, from recordings of that person alone (`measure_voice`): for
        `voices` of `transcribe_each`. Nothing, for a model to which it makes no difference."""
        return measure_voice(self.extractor, self.pitch_by_speaker, audio, sampling_rate, self.decode.segments)


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
