"""Tones for texts that are written without, or with doubtful ones: the bases are given, the tones are free."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from echo_asr.audio import load_audio
from echo_asr.audio.convert import frames_to_seconds, samples_to_seconds
from echo_asr.audio.load import Audio
from echo_asr.decode.batches import GROUP_SECONDS, batches_to_search, gathered
from echo_asr.decode.constraint import GraphConstraint, TokenGraph
from echo_asr.decode.given_bases import GivenBases
from echo_asr.decode.results import Retoned
from echo_asr.decode.search import Hypothesis, search_nbest
from echo_asr.decode.tones import rank_by_tones
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import Features, collate_features
from echo_asr.features.voice import UNKNOWN, Voice
from echo_asr.text.config import TextConfig
from echo_asr.text.tone_transfer import transfer_tones
from echo_asr.text.tones import ToneNotation

LEAST_BEAM = 8  # hypotheses; the tones of several syllables are decided together
ANY_TOKENS = 1 << 30  # the text is given, and so is about how long it is


@dataclass(frozen=True)
class _Clip:
    """A recording and the normalised text whose tones are to be found in it."""

    number: int
    name: str  # of the recording, for messages
    features: Features
    text: str
    graph: TokenGraph


_Waiting = Retoned | EchoError | _Clip


def model_notation(text: TextConfig) -> ToneNotation:
    """Where tone is written in a model's texts.

    Raises:
        EchoError: its settings do not say.
    """
    if text.notation is None:
        why = "are without tone" if text.tones == "none" else "may have been trained before that was noted"
        mend = "name it, as in --text.tones digits (from Python notation=ToneNotation('digits'))"
        raise EchoError(f"the model's settings do not name where tone is written: its texts {why}; {mend}")
    return text.notation


def retone_each(
    recognizer: Recognizer,
    sources: Iterable[Audio],
    texts: Iterable[str],
    sampling_rate: int | None = None,
    notation: ToneNotation | None = None,
    voices: Sequence[Voice] = (),
) -> Iterator[Retoned | EchoError]:
    """The tones of each text in its recording, in order; recordings are gathered and decoded together.

    A recording is not cut at its pauses. What its text becomes does not depend on the others.

    Args:
        sources, texts: as many of one as of the other.
        notation: where tone is written; by default as in the model's settings.
        voices: what is known of who speaks in each source; empty where nothing is.

    Yields:
        the text with tones, or the error for which there is none: a recording that cannot be read or that is longer
        than `GROUP_SECONDS`, a text with characters that the tokenizer does not have.

    Raises:
        EchoError: the model writes no tone in the notation, or it is not known where it writes tone.
    """
    notation = notation or model_notation(recognizer.bundle.text)
    bases = GivenBases(recognizer.bundle.tokenizer, notation)

    def read() -> Iterator[_Waiting]:
        for number, (source, text) in enumerate(zip(sources, texts, strict=True)):
            normal = recognizer.normalize(text)
            base = bases.base(normal)
            if not base:
                yield Retoned(normal, text)
                continue
            try:
                graph = bases.graph(base)
                name = "a recording" if isinstance(source, np.ndarray | torch.Tensor) else str(source)
                voice = voices[number] if voices else UNKNOWN
                features = _features(recognizer, load_audio(source, sampling_rate), name, voice)
            except EchoError as error:
                yield error
                continue
            yield _Clip(number, name, features, text, graph)

    for group in gathered(read(), _seconds, GROUP_SECONDS):
        yield from _search(recognizer, group, notation)


def _seconds(waiting: _Waiting) -> float:
    return frames_to_seconds(waiting.features.frames) if isinstance(waiting, _Clip) else 0.0


def _features(recognizer: Recognizer, samples: np.ndarray, name: str, voice: Voice) -> Features:
    """The features of a whole recording.

    Raises:
        EchoError: it is too long.
    """
    seconds, usual = samples_to_seconds(len(samples)), recognizer.decode.segments.longest
    if seconds > GROUP_SECONDS:
        what = f"lasts {seconds:.0f} s; tones are found in recordings of up to {GROUP_SECONDS:.0f} s"
        raise EchoError(f"{name}: {what}; cut it into clips, each with its text")
    if seconds > usual:
        what = f"lasts {seconds:.0f} s, over decode.segments.longest ({usual:g} s), and is not cut at its pauses"
        warnings.warn(f"{name}: {what}; tones are surer in clips of a phrase, each with its text", stacklevel=3)
    return recognizer.extractor(samples, voice=voice)


@torch.inference_mode()
def _search(
    recognizer: Recognizer, waiting: Sequence[_Waiting], notation: ToneNotation
) -> Iterator[Retoned | EchoError]:
    """What was gathered, with the tones of the clips."""
    clips = [item for item in waiting if isinstance(item, _Clip)]
    found: dict[int, Retoned] = {}
    model, width = recognizer.bundle.model, max(recognizer.decode.beam, LEAST_BEAM)
    config = replace(recognizer.decode, beam=width, nbest=width, repetition=0, max_tokens=ANY_TOKENS)
    for group in batches_to_search([clip.features for clip in clips]):
        batch = [clips[n] for n in group]
        features = collate_features([clip.features for clip in batch]).to(model.device)
        encoded = model.encode(features, recognizer.features)
        graphs = [clip.graph for clip in batch]
        constraint = GraphConstraint(graphs, encoded.lengths.tolist(), width, encoded.lengths.device)
        searched = search_nbest(model, encoded, config, recognizer.fusion, recognizer.spell, constraint)
        if recognizer.bundle.tones is not None and recognizer.decode.tone_weight:
            own, weight = [clip.features for clip in batch], recognizer.decode.tone_weight
            searched = rank_by_tones(recognizer.bundle, own, encoded, searched, notation, weight)
        for clip, best in zip(batch, searched, strict=True):
            if best[0].score > -torch.inf:
                found[clip.number] = _retoned(recognizer, clip.text, best, notation)
    for item in waiting:
        if isinstance(item, _Clip) and item.number not in found:
            why = "is silent, or too short for its text"
            warnings.warn(f"{item.name}: {why}; no tones are found and {item.text!r} stays as it is", stacklevel=2)
            yield Retoned(recognizer.normalize(item.text), item.text, found=False)
        else:
            yield found[item.number] if isinstance(item, _Clip) else item


def _retoned(recognizer: Recognizer, text: str, best: Sequence[Hypothesis], notation: ToneNotation) -> Retoned:
    """The best of the texts that a search found, with the probabilities of its tones."""
    texts = [recognizer.bundle.tokenizer.decode(one.tokens) for one in best]
    shares = torch.tensor([one.score for one in best], dtype=torch.float64).softmax(0).tolist()
    probabilities = []
    for place, word in enumerate(texts[0].split()):
        probabilities.append(sum(p for p, other in zip(shares, texts, strict=True) if other.split()[place] == word))
    written = transfer_tones(text, texts[0], notation, recognizer.normalize)
    if written is None:
        return Retoned(texts[0], texts[0], tuple(probabilities), matched=False)
    return Retoned(texts[0], written, tuple(probabilities))
