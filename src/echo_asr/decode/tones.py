"""Tones by two witnesses: what the recogniser has learnt to hear, and the F0 contour of each syllable.

A pretrained encoder tells tones from all that it hears, and of the people that a model was trained on it leaves little
for F0 to add: a network that gets both learns to use the states. Of people who were not trained on, F0 relative to
their own median says what the states do not. So the two are trained apart, and meet when a text is there: at each tone
of the best text, the decoder's probabilities of the tones that may stand there, given all before, or of the texts with
them, are multiplied by those of an explicit tone model (`echo_asr.model.tone_model`) to the power `decode.tone_weight`.

Shapes: `T` frames of 10 ms; `P` points and `W` measurements of a syllable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from echo_asr.audio.convert import seconds_to_frames
from echo_asr.decode.alignment import ctc_align, predict_given, span_times, text_log_probabilities
from echo_asr.decode.results import Token
from echo_asr.decode.search import Hypothesis
from echo_asr.decode.syllables import SHORTEST, TimedSyllable, time_syllables
from echo_asr.decode.times import token_texts
from echo_asr.decode.tone_exchange import Exchange, exchanges
from echo_asr.features import Features
from echo_asr.features.pitch import fill_track
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.encoder import Encoded
from echo_asr.model.tone_model import POINTS, ToneModel
from echo_asr.text.tones import Syllable, ToneNotation

LONG = 50.0  # frames that count as 1
MOST_TRIED = 2  # tones of a syllable that are tried in the whole text
MOST_TEXTS = 64  # that are tried in the place of one, those that the contours prefer most


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


class _Weighed:
    """A text whose tones are weighed: what may be exchanged, and what is gained by it.

    Args:
        text: as ids.
        timed: its syllables.
        frames: of the encoder, of which each token of a text takes one or more.
    """

    def __init__(
        self,
        bundle: Bundle,
        clip: Features,
        text: Sequence[int],
        timed: Sequence[TimedSyllable],
        frames: int,
        weight: float,
    ) -> None:
        assert bundle.tones is not None and bundle.text.notation is not None
        self.tokenizer, self.notation, self.weight = bundle.tokenizer, bundle.text.notation, weight
        self.tokens, self.frames = list(text), max(frames, len(text))
        self.syllables = [one.syllable for one in timed]
        names = bundle.tones.names
        of_each = {n: by_contour(bundle.tones, clip, one) for n, one in enumerate(timed) if one.syllable.tone in names}
        self.contours = {n: found for n, found in of_each.items() if found is not None}
        wanted = dict.fromkeys(self.contours, names)
        found = list(exchanges(self.tokenizer, self.notation, self.tokens, self.syllables, wanted))
        self.alone = [one for one in found if one.alone >= 0]
        tried = [one for one in found if one.alone < 0 and self._tried(one)]
        self.others = sorted(tried, key=self._by_contour, reverse=True)[:MOST_TEXTS]
        self.best: dict[int, tuple[float, Exchange]] = {}  # what is gained at most at a syllable, and by what

    def _by_contour(self, one: Exchange) -> float:
        """What is gained by the contour alone."""
        of_tone = self.contours[one.syllable]
        return of_tone[one.tone] - of_tone[self.syllables[one.syllable].tone]

    def _tried(self, one: Exchange) -> bool:
        """Whether the whole text with a tone is asked for: one of the two that the contour prefers most."""
        of_tone = self.contours[one.syllable]
        fits = len(self.tokens) + len(one.tokens) - (one.after - one.first) <= self.frames
        best = sorted(of_tone, key=of_tone.__getitem__, reverse=True)[:MOST_TRIED]
        return fits and one.tone in best and self._by_contour(one) > 0.0

    def offer(self, one: Exchange, decoder: float) -> None:
        """A tone that the decoder holds for so much more probable, in logarithms, than that of the text."""
        gain = decoder + self.weight * self._by_contour(one)
        if gain > self.best.get(one.syllable, (0.0,))[0]:
            self.best[one.syllable] = gain, one

    def changed(self) -> list[int]:
        """The ids of the text with the tones by which most is gained, as many as go together."""
        chosen = sorted(self.best.values(), key=lambda found: -found[0])
        while chosen:
            changed = self._with([one for _, one in chosen])
            if changed is not None:
                return changed
            chosen.pop()
        return self.tokens

    def _with(self, chosen: Sequence[Exchange]) -> list[int] | None:
        """The ids of the text with several exchanges; None where it is too long, or other syllables come of it."""
        places = [one.alone for one in chosen]
        if -1 not in places and len(set(places)) == len(places):
            changed = list(self.tokens)
            for one in chosen:
                changed[one.alone] = one.token
            return changed
        if len(chosen) == 1:
            return chosen[0].in_place(self.tokens)
        text = self.tokenizer.decode(self.tokens)
        for one in sorted(chosen, key=lambda one: -one.start):  # what is before a change stays where it was
            text = text[: one.start] + one.written + text[one.end :]
        meant = {one.syllable: one.tone for one in chosen}
        wanted = [(one.base, meant.get(n, one.tone)) for n, one in enumerate(self.syllables)]
        found = [(one.base, one.tone) for word in text.split() for one in self.notation.syllables(word)]
        changed = self.tokenizer.encode(text)
        return changed if found == wanted and len(changed) <= self.frames else None


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

    How probable a tone is that one token writes in the place of another, the decoder has said where it is. Others, of
    several tokens or none, are tried where the contour prefers them: how probable is the whole text with them?

    Args:
        weight: of the contour, to whose power its probabilities are taken; the decoder's have 1.
        fused: the texts were searched for with a language model or hotwords, too: what they have chosen is as probable
            as what the decoder would have.
    """
    notation = bundle.text.notation
    if bundle.tones is None or notation is None or not any(texts):
        return [list(text) for text in texts]
    predicted = predict_given(bundle.model, encoded, texts)[1].cpu()
    rows = zip(
        clips, texts, timed_syllables(bundle, clips, encoded, texts, notation), encoded.lengths.tolist(), strict=True
    )
    weighed = [_Weighed(bundle, *one, weight) for one in rows]
    for row, own in enumerate(weighed):
        of_token = predicted[row]
        highest = dict[int, float]()  # of the tones of a syllable
        for one in own.alone if fused else ():
            both = of_token[one.alone, [own.tokens[one.alone], one.token]]
            highest[one.syllable] = max(highest.get(one.syllable, -np.inf), float(both.max()))
        for one in own.alone:
            usual = highest.get(one.syllable, float(of_token[one.alone, own.tokens[one.alone]]))
            own.offer(one, float(of_token[one.alone, one.token]) - usual)
    asked = [(row, one) for row, own in enumerate(weighed) for one in own.others]
    as_is = {
        row: bundle.tokenizer.encode(bundle.tokenizer.decode(own.tokens))
        for row, own in enumerate(weighed)
        if own.others
    }
    tried = [*as_is.items(), *((row, one.in_place(weighed[row].tokens)) for row, one in asked)]
    found = text_log_probabilities(bundle.model, encoded, tried)
    usual_of = dict(zip(as_is, found, strict=False))
    for (row, one), probability in zip(asked, found[len(as_is) :], strict=True):
        gain = probability - usual_of[row]
        weighed[row].offer(one, min(gain, 0.0) if fused else gain)
    return [own.changed() for own in weighed]
