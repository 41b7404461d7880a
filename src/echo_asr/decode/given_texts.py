"""Forced alignment of recordings with texts that are given: when each word and each symbol is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from echo_asr.audio import AudioSource, audio_duration, load_audio, stream_audio
from echo_asr.audio.convert import SAMPLE_RATE, frames_to_seconds
from echo_asr.audio.load import Audio
from echo_asr.audio.segment import AudioFile
from echo_asr.decode.alignment import align
from echo_asr.decode.batches import BATCH_SECONDS, GROUP_SECONDS, batches_by_length, gathered
from echo_asr.decode.heard_voice import HeardVoice
from echo_asr.decode.long_texts import divide_text
from echo_asr.decode.results import Segment, Token, Word, placed
from echo_asr.decode.times import character_times
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_homes import encode_words
from echo_asr.errors import EchoError
from echo_asr.features import Features, collate_features
from echo_asr.features.voice import UNKNOWN, Voice
from echo_asr.model.echo import encoder_frames
from echo_asr.text.normalize import Normalizer, join_texts
from echo_asr.text.script import make_script
from echo_asr.text.spelling import written_words

LONGEST = 120.0  # seconds of a recording that is aligned as a whole
_Waiting = tuple[Features | EchoError, str, str]  # features, or why there are none; the text; the recording's name
Progress = Callable[[int, float], None]


def align_each(
    recognizer: Recognizer,
    sources: Iterable[Audio],
    texts: Iterable[str],
    sampling_rate: int | None = None,
    voices: Iterable[Voice] = (),
) -> Iterator[Segment | EchoError]:
    """The alignment of each recording with its text, as of `align_phrases`, in one segment; for a recording that cannot
    be read, or any of whose text cannot be aligned, the reason."""
    for phrases in align_phrases(recognizer, sources, texts, sampling_rate, voices):
        yield _joined(phrases)


def align_phrases(
    recognizer: Recognizer,
    sources: Iterable[Audio],
    texts: Iterable[str],
    sampling_rate: int | None = None,
    voices: Iterable[Voice] = (),
    progress: Progress = lambda number, seconds: None,
) -> Iterator[list[Segment | EchoError]]:
    """The alignment of each recording with its text, as of `align_features`, in their order: one segment of up to two
    minutes; of a longer recording those between its pauses, each with its part of the text. For a recording that cannot
    be read, or a text that cannot be aligned, the reason.

    Recordings are gathered up to five minutes and aligned in batches of similar length; what is held at any time does
    not depend on how many there are.

    Args:
        voices: what is known of who speaks in each.
        progress: called with the number of a long recording, and the seconds of it that are read.
    """
    known = iter(voices)
    waiting: list[_Waiting] = []
    held = 0.0
    for number, (source, text) in enumerate(zip(sources, texts, strict=True)):
        voice, name, rate = next(known, UNKNOWN), _name(source), sampling_rate
        try:
            if isinstance(source, AudioSource):
                source, rate = load_audio(source), None
            if _duration(source, rate) > LONGEST:
                yield from ([one] for one in _align_waiting(recognizer, waiting))
                waiting, held = [], 0.0
                audio = stream_audio(source, rate)
                yield _align_long(recognizer, audio, text, name, voice, partial(progress, number))
                continue
            clip = recognizer.extractor(load_audio(source, rate), voice=voice)
            waiting.append((clip, text, name))
            held += frames_to_seconds(clip.frames)
        except EchoError as unreadable:
            waiting.append((unreadable, text, ""))
        if held >= GROUP_SECONDS:
            yield from ([one] for one in _align_waiting(recognizer, waiting))
            waiting, held = [], 0.0
    yield from ([one] for one in _align_waiting(recognizer, waiting))


def _align_long(
    recognizer: Recognizer,
    blocks: Iterable[np.ndarray],
    text: str,
    name: str,
    voice: Voice,
    progress: Callable[[float], None],
) -> list[Segment | EchoError]:
    """Align a recording of any length: the segments in which words are spoken, or why there are none, or why one cannot
    be aligned."""
    heard = HeardVoice(recognizer.extractor, False, voice)  # states by all of it, pitch by each segment
    script = make_script(enumerate(text.splitlines(), 1), recognizer.normalize)
    try:
        tokens, words = encode_words(recognizer, script, range(len(script.words)))
    except EchoError as unknown:
        return [EchoError(f"{name}: {unknown}")]
    try:
        parts = divide_text(recognizer, blocks, tokens, words, heard, progress) if tokens else []
    except EchoError as unreadable:
        return [unreadable]
    except ValueError as short:
        return [EchoError(f"{name}: its text is too long for it: {short}; correct the text or the recording")]
    if tokens and not parts:
        return [EchoError(f"{name}: {_silent(text)}")]
    if not parts:
        return [Segment(0.0, sum(map(len, blocks)) / SAMPLE_RATE, text)]
    found: list[Segment | EchoError] = []
    for group in gathered(parts, lambda part: part.seconds, GROUP_SECONDS):
        clips = [recognizer.extractor.transformed(part.measured, heard.voice) for part in group]
        own = [script.text(part.words) for part in group]
        for part, result in zip(group, align_features(recognizer, clips, own), strict=True):
            if isinstance(result, EchoError):
                where = f"{name} ({part.start:.2f}-{part.start + part.seconds:.2f} s)"
                found.append(EchoError(f"{where}: {result}"))
            else:
                found.append(placed(result, part.start, part.seconds))
    return found


def _joined(phrases: Sequence[Segment | EchoError]) -> Segment | EchoError:
    """One segment, from the beginning of the recording, of several."""
    segments = []
    for one in phrases:
        if isinstance(one, EchoError):
            return one
        segments.append(one)
    if len(segments) == 1:
        return segments[0]
    words, tokens = (tuple(x for s in segments for x in getattr(s, name)) for name in ("words", "tokens"))
    return Segment(0.0, segments[-1].end, join_texts(s.text for s in segments), words, tokens)


def _duration(source: AudioFile | np.ndarray | torch.Tensor, sampling_rate: int | None) -> float:
    """Seconds of a recording, 0 for what is none."""
    if isinstance(source, np.ndarray | torch.Tensor):
        return max(source.shape, default=0) / (sampling_rate or SAMPLE_RATE)
    return audio_duration(source)


def _align_waiting(recognizer: Recognizer, waiting: Sequence[_Waiting]) -> Iterator[Segment | EchoError]:
    """Align what was gathered: features, or why there are none; the text; and the name of the recording."""
    clips = [(clip, text) for clip, text, _ in waiting if not isinstance(clip, EchoError)]
    found = iter(align_features(recognizer, [clip for clip, _ in clips], [text for _, text in clips]))
    for clip, _, name in waiting:
        result = clip if isinstance(clip, EchoError) else next(found)
        yield EchoError(f"{name}: {result}") if isinstance(result, EchoError) and name else result


def _name(source: Audio) -> str:
    return "audio" if isinstance(source, np.ndarray | torch.Tensor) else str(source)


@torch.inference_mode()
def align_features(
    recognizer: Recognizer, features: Sequence[Features], texts: Sequence[str]
) -> list[Segment | EchoError]:
    """The words and symbols of given texts with their times in seconds from the beginning of each clip, and their
    probabilities; or why a text cannot be aligned.

    The text of a segment is the given one, and its words are spelled as there, where each is normalised by itself;
    else they are the normalised ones. Its symbols are those of the model, of the normalised text. A text of which
    normalising leaves nothing has neither.

    A text cannot be aligned that has a character which the model does not know, that takes more encoder frames than
    there are, or whose clip is silent or longer than two minutes.
    """
    bundle = recognizer.bundle
    found: list[Segment | EchoError] = []
    ids: list[list[int]] = []
    for clip, text in zip(features, texts, strict=True):
        encoded = _encode(recognizer, clip, text)
        found.append(Segment(0.0, frames_to_seconds(clip.frames), text) if isinstance(encoded, list) else encoded)
        ids.append(encoded if isinstance(encoded, list) else [])
    chosen = [number for number, tokens in enumerate(ids) if tokens]
    for batch in batches_by_length([frames_to_seconds(features[n].frames) for n in chosen], BATCH_SECONDS):
        numbers = [chosen[place] for place in batch]
        clips = [features[n] for n in numbers]
        encoded_clips = bundle.model.encode(collate_features(clips).to(bundle.model.device), recognizer.features)
        tokens = [ids[n] for n in numbers]
        aligned = align(bundle.model, encoded_clips, clips, tokens, bundle.tokenizer, recognizer.decode.times)
        for number, (symbols, words) in zip(numbers, aligned, strict=True):
            spelled = spelled_words(symbols, texts[number], recognizer.normalize) or words
            timed = tuple(replace(word, probability=bundle.calibration(word.probability)) for word in spelled)
            segment = Segment(0.0, frames_to_seconds(features[number].frames), texts[number])
            found[number] = replace(segment, words=timed, tokens=symbols)
    return found


def _encode(recognizer: Recognizer, clip: Features, text: str) -> list[int] | EchoError:
    """The ids of a text, or why it cannot be aligned."""
    try:
        ids = recognizer.bundle.tokenizer.encode(recognizer.normalize(text))
    except EchoError as error:
        return error
    seconds = frames_to_seconds(clip.frames)
    if not ids:
        return ids
    if seconds > LONGEST:
        mend = "echo-asr corpus cut makes clips of it"
        return EchoError(f"lasts {seconds:.0f} s, and a text is aligned with up to {LONGEST:.0f} s; {mend}")
    if clip.null.all():
        return EchoError(_silent(text))
    there = int(encoder_frames(torch.tensor(clip.frames), recognizer.bundle.model.config))
    needed = len(ids) + sum(before == after for before, after in pairwise(ids))
    if needed > there:
        what = f"its text is too long for {seconds:.2f} s: it takes {needed} encoder frames, and there are {there}"
        return EchoError(f"{what}; correct the text or the times")
    return ids


def _silent(text: str) -> str:
    return f"is silent, and has the text {text[:40]!r}; correct either"


def spelled_words(tokens: Sequence[Token], text: str, normalize: Normalizer) -> tuple[Word, ...] | None:
    """The words of a text as it is written, with capitals and punctuation, at the times of its symbols; ideographs are
    words. None where its words, each normalised, are not what the symbols spell.

    A word has the lowest probability of its symbols. Punctuation that stands alone belongs to the word before.

    Args:
        tokens: of the normalised text.
    """
    characters = character_times(tokens)
    written = written_words(text, normalize)
    spelled = "".join("".join(word.normal.split()) for word in written)
    if spelled != "".join(character.text for character in characters):
        return None
    found: list[Word] = []
    place, before = 0, ""  # punctuation before the first word
    for word in written:
        own = characters[place : place + len("".join(word.normal.split()))]
        place += len(own)
        joined = " " * word.spaced + word.written
        if own:
            lowest = min(character.probability for character in own)
            found.append(Word((before + joined).strip(), own[0].start, own[-1].end, lowest))
            before = ""
        elif found:
            found[-1] = replace(found[-1], word=found[-1].word + joined)
        else:
            before += joined
    return tuple(found)
