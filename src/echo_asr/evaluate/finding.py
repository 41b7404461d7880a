"""How probable a found place is: calibrations of what is measured of it, fitted to clips whose texts are known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from echo_asr.audio.convert import HOP, frames_to_seconds, seconds_to_frames
from echo_asr.decode.alignment import align
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.example_search import DEFAULT, likenesses, make_example
from echo_asr.decode.keywords import Keyword, make_keywords
from echo_asr.decode.results import Segment, Word
from echo_asr.decode.times import words_from_tokens
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_places import text_spots
from echo_asr.decode.word_search import WordSearch
from echo_asr.errors import EchoError
from echo_asr.evaluate.calibration import fit_logistic
from echo_asr.features import Features
from echo_asr.model.calibration import Calibration, LogisticCalibration
from echo_asr.model.encoder import Encoded
from echo_asr.text.spelling import written_words

WORDS = 100  # that are looked for
EXAMPLES = 12  # that are looked for
FEWEST = 5  # right places, and wrong ones, to which a calibration is fitted


@dataclass(frozen=True)
class KnownBatch:
    """Clips that are encoded together, with their texts and when these are spoken.

    Attributes:
        numbers: of the clips, among all.
        spoken: the texts as segments, with their words and tokens.
        recognised: what the model recognises by itself, likewise.
    """

    numbers: Sequence[int]
    clips: Sequence[Features]
    encoded: Encoded
    spoken: Sequence[Segment]
    recognised: Sequence[Segment]


@torch.inference_mode()
def known_batches(
    recognizer: Recognizer, texts: Sequence[str], features: Sequence[Features], recognised: Sequence[Segment]
) -> list[KnownBatch]:
    """Clips that are not silent in batches, aligned with their normalised texts; characters that the model does not
    know are left out.

    Args:
        recognised: as of `Recognizer.recognize`, with words, which are calibrated anew.
    """
    calibrated = recognizer.bundle.calibration
    model, tokenizer = recognizer.bundle.model, recognizer.bundle.tokenizer
    found = []
    for group in batches_to_search(features):
        clips = [features[i] for i in group]
        encoded = recognizer.encode(clips)
        tokens = [tokenizer.encode(texts[i], "skip") for i in group]
        aligned = align(model, encoded, clips, tokens, tokenizer)
        spoken = [Segment(0.0, 0.0, tokenizer.decode(t), w, s) for t, (s, w) in zip(tokens, aligned, strict=True)]
        own = [replace(recognised[i], text=recognised[i].said, spoken="") for i in group]
        words = [[replace(w, probability=calibrated(w.probability)) for w in words_from_tokens(s.tokens)] for s in own]
        own = [replace(segment, words=tuple(w)) for segment, w in zip(own, words, strict=True)]
        found.append(KnownBatch(group, clips, encoded, spoken, own))
    return found


def fit_found(recognizer: Recognizer, batches: Sequence[KnownBatch]) -> LogisticCalibration | None:
    """The calibration of words that are looked for: up to `WORDS` of the words of the texts, drawn at random, in every
    clip. A place is right if it overlaps one at which the word is spoken. None where too few places are right or wrong.
    """
    texts = [one.text for batch in batches for one in batch.spoken]
    words = sorted({word.normal for text in texts for word in written_words(text, str)} - {""})
    random.Random(0).shuffle(words)
    try:
        search = WordSearch(recognizer, words[:WORDS], 0.0)
    except EchoError:  # there are no words
        return None
    measured, right = list[tuple[float, ...]](), list[bool]()
    for batch in batches:
        with torch.inference_mode():
            hits = search.hits(batch.encoded, batch.recognised)
        for own, spoken in zip(hits, batch.spoken, strict=True):
            for hit in own:
                measured.append(hit.measured)
                right.append(_is_spoken(spoken, search.keywords[hit.keyword], hit.spot.start, hit.spot.end))
    return _fitted(measured, right)


def fit_alike(recognizer: Recognizer, batches: Sequence[KnownBatch]) -> LogisticCalibration | None:
    """The calibration of places like an example: up to `EXAMPLES` words of the texts, drawn at random among those that
    several clips have, cut out of the features of one of these and looked for in all others."""
    step = recognizer.bundle.model.config.subsampling
    spoken = [(b, row, word) for b in batches for row, s in enumerate(b.spoken) for word in s.words]
    clips: dict[str, set[int]] = {}
    for batch, row, word in spoken:
        clips.setdefault(word.word, set()).add(batch.numbers[row])
    several = [one for one in spoken if len(clips[one[2].word]) > 1]
    random.Random(0).shuffle(several)
    measured, right = list[tuple[float, ...]](), list[bool]()
    for batch, row, word in several[:EXAMPLES]:
        try:
            example = make_example(recognizer, cut_out(batch.clips[row], word))
        except EchoError:  # it is silent, or too short
            continue
        (keyword,) = make_keywords([word.word], str, recognizer.bundle.tokenizer)
        for other in batches:
            with torch.inference_mode():
                places = likenesses(recognizer, [example], other.encoded, DEFAULT)
            for number, own, known in zip(other.numbers, places, other.spoken, strict=True):
                if number == batch.numbers[row]:
                    continue
                for place in own:
                    times = (frames_to_seconds(place.first * step), frames_to_seconds((place.last + 1) * step))
                    measured.append(place.measured)
                    right.append(_is_spoken(known, keyword, *times))
    return _fitted(measured, right)


def cut_out(clip: Features, word: Word) -> Features:
    """The features of a word of a clip."""
    first, after = (round(seconds_to_frames(time)) for time in (word.start, word.end))
    after = min(clip.frames, max(after, first + 1))
    parts: dict[str, Any] = {
        name: value[..., first:after] for name, value in vars(clip).items() if isinstance(value, torch.Tensor)
    }
    if clip.waveform is not None:
        parts["waveform"] = clip.waveform[HOP * first : HOP * after]
    return replace(clip, **parts)


def _is_spoken(spoken: Segment, keyword: Keyword, start: float, end: float) -> bool:
    """Whether a place overlaps one at which the keyword is spoken, by half of the shorter one or more."""
    if keyword.text not in spoken.text:
        return False
    for spot in text_spots(spoken, keyword, Calibration()):
        shared = min(end, spot.end) - max(start, spot.start)
        if shared >= min(end - start, spot.end - spot.start) / 2:
            return True
    return False


def _fitted(measured: Sequence[tuple[float, ...]], right: Sequence[bool]) -> LogisticCalibration | None:
    if min(sum(right), len(right) - sum(right)) < FEWEST:
        return None
    return fit_logistic(np.array(measured), np.array(right))
