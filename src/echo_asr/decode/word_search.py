"""Looks for words in recordings, whether or not they are in the best texts of these.

Evidence for a word at a place are the ratio of its CTC path to the best one (`keyword_paths`), and the probability of
the word where the best text has it. A logistic calibration joins them (`evaluate.finding`). What the decoder makes of
the best text with the word put in there adds nothing to them (LOG.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.decode.alignment import ctc_align, span_times
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.keyword_paths import keyword_paths
from echo_asr.decode.keywords import boundary_tokens, make_keywords
from echo_asr.decode.results import Place, Segment
from echo_asr.decode.times import token_texts
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_places import Spot, keyword_spots
from echo_asr.features import Features
from echo_asr.model.calibration import LogisticCalibration
from echo_asr.model.encoder import Encoded

LEAST, LEAST_EACH = -16.0, -4.0  # nats: the smallest ratio of a path that is looked at, and that for each token
# For models without a calibration of their own.
DEFAULT = LogisticCalibration((0.3, 0.5, 4.5, 3.5), -4.5)


@dataclass(frozen=True)
class Hit:
    """A place in a clip at which a keyword may be.

    Attributes:
        keyword: its number.
        spot: the place, and the best text of the clip with the keyword there.
        measured: nats of the CTC path's ratio, and for each token; the probability of the word where the best text has
            it there, else 0; and the logarithm of its number of tokens.
    """

    keyword: int
    spot: Spot
    measured: tuple[float, ...]


class WordSearch:
    """Looks for words in clips with a recogniser.

    Args:
        words: words or phrases, as they are written in texts.
        least: probability of a place that is returned.
        within_words: also inside longer words.

    Raises:
        EchoError: as `make_keywords`.
    """

    def __init__(
        self, recognizer: Recognizer, words: Iterable[str], least: float = 0.5, within_words: bool = False
    ) -> None:
        self.recognizer, self.least = recognizer, least
        tokenizer = recognizer.bundle.tokenizer
        self.keywords = make_keywords(words, recognizer.normalize, tokenizer, within_words)
        self.boundaries = boundary_tokens(tokenizer)
        self.calibration = recognizer.bundle.found or DEFAULT

    def find(self, features: Sequence[Features]) -> list[list[Place]]:
        """The places in clips, in their order, each in the order of time, in seconds from the clip's beginning."""
        found: list[list[Place]] = [[] for _ in features]
        for group in batches_to_search(features):
            clips = [features[i] for i in group]
            with torch.inference_mode():
                encoded = self.recognizer.encode(clips)
                hits = self.hits(encoded, self.recognizer.recognize_encoded(clips, encoded, words=True))
                sure = [
                    [(hit, p) for hit in own if (p := self.calibration(hit.measured)) >= self.least] for own in hits
                ]
                placed = self._timed(clips, encoded, [[hit for hit, _ in own] for own in sure])
            for index, spots, own in zip(group, placed, sure, strict=True):
                places = [
                    Place(self.keywords[hit.keyword].word, spot.start, spot.end, p)
                    for spot, (hit, p) in zip(spots, own, strict=True)
                ]
                found[index] = sorted(places, key=lambda place: (place.start, place.end))
        return found

    def hits(self, encoded: Encoded, segments: Sequence[Segment]) -> list[list[Hit]]:
        """All places that are looked at in a batch of clips, however improbable; those of one keyword do not overlap.

        Args:
            segments: what is recognised in each clip, with its words.
        """
        recognizer, calibrated = self.recognizer, self.recognizer.bundle.calibration
        step = recognizer.bundle.model.config.subsampling
        logs = recognizer.bundle.model.ctc_log_probabilities(encoded).cpu().numpy()
        lengths = encoded.lengths.tolist()
        paths = keyword_paths(logs, lengths, self.keywords, self.boundaries, LEAST, LEAST_EACH)
        own: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        for path in paths:
            times = (frames_to_seconds(path.first * step), frames_to_seconds((path.last + 1) * step))
            own.setdefault((path.row, path.keyword), []).append((*times, path.ratio))
        found: list[list[Hit]] = [[] for _ in segments]
        for row, segment in enumerate(segments):
            for number, keyword in enumerate(self.keywords):
                near = own.get((row, number), ())
                if not near and keyword.text not in segment.text:
                    continue
                size = min(len(spelling.tokens) for spelling in keyword.spellings)
                for spot, ratio in keyword_spots(segment, keyword, near, max(LEAST, LEAST_EACH * size), calibrated):
                    measured = (ratio, ratio / size, spot.probability, math.log(size))
                    found[row].append(Hit(number, spot, measured))
        return found

    def _timed(self, clips: Sequence[Features], encoded: Encoded, hits: Sequence[Sequence[Hit]]) -> list[list[Spot]]:
        """The spots of hits, those that the best text lacks with the times that they have in an alignment."""
        found = [[hit.spot for hit in own] for own in hits]
        missing = [(r, n) for r, own in enumerate(found) for n, spot in enumerate(own) if not spot.probability]
        if not missing:
            return found
        model, tokenizer = self.recognizer.bundle.model, self.recognizer.bundle.tokenizer
        tokens = [tokenizer.encode(found[row][number].text, "skip") for row, number in missing]
        rows = torch.tensor([row for row, _ in missing])
        logs = model.ctc_log_probabilities(encoded).cpu()[rows]
        spans = ctc_align(logs, encoded.lengths.cpu()[rows], tokens)
        for (row, number), text, own in zip(missing, tokens, spans, strict=True):
            texts = token_texts(tokenizer, text)
            times = span_times(texts, own, clips[row], model.config.subsampling)
            found[row][number] = found[row][number].aligned(texts, times)
        return found
