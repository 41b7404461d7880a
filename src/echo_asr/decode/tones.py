"""Tones by two witnesses: what the recogniser has learnt to hear, and the F0 contour of each syllable.

A pretrained encoder tells tones from all that it hears, and of the people that a model was trained on it leaves little
for F0 to add: a network that gets both learns to use the states. Of people who were not trained on, F0 relative to
their own median says what the states do not. So the two are trained apart, and meet when a text is there: at each tone
of the best text, the decoder's probabilities of the tones that may stand there, given all before, are multiplied by
those of an explicit tone model (`echo_asr.model.tone_model`), to the power `decode.tone_weight`.

Shapes: `T` frames of 10 ms; `P` points and `W` measurements of a syllable.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from echo_asr.audio.convert import seconds_to_frames
from echo_asr.decode.alignment import ctc_align, predict_given, span_times
from echo_asr.decode.results import Token
from echo_asr.decode.search import Hypothesis
from echo_asr.decode.syllables import SHORTEST, TimedSyllable, time_syllables
from echo_asr.decode.times import token_texts
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.features.pitch import fill_track
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.encoder import Encoded
from echo_asr.model.tone_model import POINTS, ToneModel
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import Syllable, ToneNotation

LONG = 50.0  # frames that count as 1


def measure_syllable(clip: Features, start: float, end: float, speaker_f0: float) -> np.ndarray | None:
    """What tells the tone of a syllable, `(W,)`: at each of its points F0 in half octaves, periodicity, voicing and
    energy; its duration; and whether it is known who speaks. None where fewer than three of its frames are voiced.

    Args:
        start, end: seconds from the beginning of the clip.
        speaker_f0: Hz, to which F0 is relative; 0 for the median of the clip.
    """
    first, after = max(0, int(seconds_to_frames(start))), int(np.ceil(seconds_to_frames(end)))
    f0, energy, periodicity = (values.numpy() for values in clip.pitch)
    own = f0[first:after]
    voiced = np.flatnonzero(own > 0)
    if len(voiced) < SHORTEST:
        return None
    inside = slice(first + int(voiced[0]), first + int(voiced[-1]) + 1)
    reference = speaker_f0 or float(np.median(f0[f0 > 0]))
    octaves = np.log2(fill_track(f0[inside]).astype(np.float64) / reference)
    lines = (2.0 * octaves, periodicity[inside], (f0[inside] > 0).astype(float), energy[inside])
    at = np.linspace(0, len(octaves) - 1, POINTS)
    points = [np.interp(at, np.arange(len(line)), line) for line in lines]
    return np.concatenate([*points, [len(octaves) / LONG, float(speaker_f0 > 0)]])


@torch.inference_mode()
def timed_syllables(
    bundle: Bundle, clips: Sequence[Features], encoded: Encoded, texts: Sequence[Sequence[int]], notation: ToneNotation
) -> list[list[TimedSyllable]]:
    """The syllables of the text of each clip of a batch, given as ids, with their times by CTC."""
    spans = ctc_align(bundle.model.ctc_log_probabilities(encoded), encoded.lengths, texts)
    step, found = bundle.model.config.subsampling, list[list[TimedSyllable]]()
    for clip, text, own in zip(clips, texts, spans, strict=True):
        symbols = token_texts(bundle.tokenizer, text)
        times = span_times(symbols, own, clip, step) if text else []
        tokens = [Token(symbol, *time, 1.0) for symbol, time in zip(symbols, times, strict=True)]
        found.append(time_syllables(tokens, notation))
    return found


@dataclass(frozen=True)
class _Place:
    """A token of a text that writes a tone, and which token would write each of the others in its place."""

    syllable: int
    position: int
    tokens: dict[str, int]


def tone_places(
    tokenizer: Tokenizer,
    notation: ToneNotation,
    tokens: Sequence[int],
    syllables: Sequence[Syllable],
    tones: Sequence[str],
) -> Iterator[_Place]:
    """Where tones of a text, given as ids, may be exchanged: where another token in the place of one makes the same
    text with another tone. Syllables without a written tone, or whose other tones take more or fewer tokens, are left
    out."""
    text, at = tokenizer.decode(list(tokens)), 0
    pieces = iter(_pieces(tokenizer, text, list(tokens)))
    piece = next(pieces)
    for number, syllable in enumerate(syllables):
        start = text.find(str(syllable), at)
        if start < 0 or text[at:start].strip():
            return  # the text is not composed as syllables are
        at = start + len(str(syllable))
        while piece.end < at:
            piece = next(pieces)
        if syllable.tone not in tones:
            continue
        before, after = text[piece.start : start], text[at : piece.end]
        base = notation.without_tones((before + str(syllable) + after).strip())
        found = dict[int, dict[str, int]]()  # by position
        for tone in tones:
            other = before + with_tone(syllable, tone) + after
            if tone == syllable.tone or notation.without_tones(other.strip()) != base:
                continue
            try:
                encoded = tokenizer.encode(other)
            except EchoError:
                continue
            different = [n for n, (a, b) in enumerate(zip(encoded, piece.tokens, strict=False)) if a != b]
            if len(encoded) == len(piece.tokens) and len(different) == 1:
                found.setdefault(different[0], {})[tone] = encoded[different[0]]
        if len(found) == 1:
            ((position, others),) = found.items()
            yield _Place(number, piece.first + position, {syllable.tone: piece.tokens[position], **others})


class _Piece(NamedTuple):
    """A part of a text that is encoded by itself: where it is in the text, its tokens, and the number of the first."""

    start: int
    end: int
    tokens: list[int]
    first: int


def _pieces(tokenizer: Tokenizer, text: str, tokens: list[int]) -> list[_Piece]:
    """The words of a text, each with the space before it, if they are encoded as in the text; else the text."""
    found, start, first = list[_Piece](), 0, 0
    for match in re.finditer(r" *[^ ]+", text):
        try:
            own = tokenizer.encode(match.group())
        except EchoError:  # a tokenizer that does not keep the space
            break
        found.append(_Piece(start, match.end(), own, first))
        start, first = match.end(), first + len(own)
    if found and [token for piece in found for token in piece.tokens] == tokens:
        return found
    return [_Piece(0, len(text), tokens, 0)]


def with_tone(syllable: Syllable, tone: str) -> str:
    """The syllable with another tone, written where its own is."""
    places = syllable.at[:1] or (len(unicodedata.normalize("NFD", syllable.base)),)
    return str(replace(syllable, tone=tone, at=places * len(tone)))


def by_contour(tone_model: ToneModel, clip: Features, timed: TimedSyllable) -> dict[str, float] | None:
    """The logarithm of the probability of each tone by the contour of a syllable; None where it has no voice."""
    measured = measure_syllable(clip, timed.start, timed.end, clip.speaker_f0)
    if measured is None:
        return None
    return dict(zip(tone_model.names, tone_model.log_probabilities(measured[None])[0].tolist(), strict=True))


def rank_by_tones(
    bundle: Bundle,
    clips: Sequence[Features],
    encoded: Encoded,
    found: Sequence[Sequence[Hypothesis]],
    notation: ToneNotation,
    weight: float,
) -> list[list[Hypothesis]]:
    """Hypotheses of each clip of a batch that differ in tones alone, ranked by their scores and contours together.

    Args:
        found: of each clip, best first.
        weight: times the logarithm of the probability that the contour gives each tone, over that of a guess. What is
            divided otherwise than in the first hypothesis, has no voice or a tone that the model does not know gains
            and loses nothing.
    """
    if bundle.tones is None or not any(best and best[0].tokens for best in found):
        return [list(best) for best in found]
    guess, ranked = -float(np.log(len(bundle.tones.names))), list[list[Hypothesis]]()
    first = [best[0].tokens if best else [] for best in found]
    for clip, best, own in zip(clips, found, timed_syllables(bundle, clips, encoded, first, notation), strict=True):
        heard = {
            place: by_contour(bundle.tones, clip, timed)
            for (place, _), timed in zip(_by_place([timed.syllable for timed in own]), own, strict=True)
        }
        scored = []
        for one in best:
            words = bundle.tokenizer.decode(one.tokens).split()
            gain = 0.0
            for place, tone in _by_place([syllable for word in words for syllable in notation.syllables(word)]):
                of_tone = heard.get(place)
                gain += 0.0 if of_tone is None else of_tone.get(tone, guess) - guess
            scored.append(replace(one, score=one.score + weight * gain))
        ranked.append(sorted(scored, key=lambda one: -one.score))
    return ranked


def _by_place(syllables: Sequence[Syllable]) -> Iterator[tuple[tuple[int, str], str]]:
    """The tone of each syllable, by where its base begins in that of the text, and the base."""
    at = 0
    for syllable in syllables:
        yield (at, syllable.base), syllable.tone
        at += len(syllable.base)


@torch.inference_mode()
def weigh_tones(
    bundle: Bundle,
    clips: Sequence[Features],
    encoded: Encoded,
    texts: Sequence[Sequence[int]],
    weight: float,
    fused: bool = False,
) -> list[list[int]]:
    """The texts of a batch of clips, as ids, with the tones that are likeliest by decoder and contour together.

    Args:
        weight: of the contour, to whose power its probabilities are taken; the decoder's have 1.
        fused: the texts were searched for with a language model or hotwords, too: what they have chosen is as probable
            as what the decoder would have.
    """
    notation, changed = bundle.text.notation, [list(text) for text in texts]
    if bundle.tones is None or notation is None or not any(texts):
        return changed
    predicted = predict_given(bundle.model, encoded, texts)[1].cpu()
    syllables = timed_syllables(bundle, clips, encoded, texts, notation)
    for row, (clip, own) in enumerate(zip(clips, syllables, strict=True)):
        parts = [timed.syllable for timed in own]
        for place in tone_places(bundle.tokenizer, notation, texts[row], parts, bundle.tones.names):
            of_tone = by_contour(bundle.tones, clip, own[place.syllable])
            if of_tone is None:
                continue
            decoder = {token: float(predicted[row, place.position, token]) for token in place.tokens.values()}
            if fused:
                decoder[texts[row][place.position]] = max(decoder.values())
            scores = {token: decoder[token] + weight * of_tone[tone] for tone, token in place.tokens.items()}
            changed[row][place.position] = max(scores, key=scores.__getitem__)
    return changed
