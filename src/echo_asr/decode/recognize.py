"""A recogniser of clips: what a trained model writes, or hears by a grammar, in features of short recordings."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import torch

from echo_asr.audio.convert import SAMPLE_RATE, frames_to_seconds
from echo_asr.decode.alignment import align
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.fusion import Fusion
from echo_asr.decode.results import Segment
from echo_asr.decode.search import DecodeConfig, Hypothesis, make_fusion, make_spell, search_nbest
from echo_asr.decode.sentences import Sentences, hear
from echo_asr.decode.spoken import evidence, pooled_states
from echo_asr.decode.tones import weigh_tones
from echo_asr.decode.written import with_written
from echo_asr.features import FeatureExtractor, Features, FeatureTransform, collate_features
from echo_asr.features.states import StatesExtractor
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.encoder import Encoded
from echo_asr.text.grammar import Grammar
from echo_asr.text.written import written_spans

HOTWORD_BEAM = 4  # hypotheses that are kept at least where there are hotwords


class ClipRecognizer:
    """Recognises clips from their features.

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

    def with_hotwords(self, phrases: Sequence[str]) -> Self:
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

    def with_grammar(self, grammar: Grammar) -> Self:
        """The same model, which hears a sentence of this grammar or nothing.

        Raises:
            EchoError: the model can write none of its sentences.
        """
        changed = copy.copy(self)
        changed.decode, changed.fusion = replace(self.decode, lm="", hotwords=()), None
        changed.sentences = Sentences.of(grammar, self.bundle, self.decode.reject)
        return changed

    def warm_up(self) -> None:
        """Load what is loaded when it is first needed, as tracker and pretrained encoder are, so that the first
        recording does not wait for it."""
        noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
        self.recognize([self.extractor(noise)], words=True)

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
        if self.bundle.tones is not None and self.decode.tone_weight:
            best_texts = [best[0].tokens for best in texts]
            weighed = weigh_tones(
                self.bundle, clips, encoded, best_texts, self.decode.tone_weight, self.fusion is not None
            )
            texts = [_led_by(best, tokens) for best, tokens in zip(texts, weighed, strict=True)]
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


def _led_by(best: Sequence[Hypothesis], tokens: list[int]) -> list[Hypothesis]:
    """Hypotheses, of which the first has these tokens, and none of the others."""
    return [replace(best[0], tokens=tokens), *(other for other in best[1:] if other.tokens != tokens)]
