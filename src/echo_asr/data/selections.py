"""Selections of a corpus: suffixes of its spec that choose utterances, or channels of their recordings.

- ``FOLDER@part:0.25``: a quarter of the training utterances; ``@part:0.25,seed=3`` draws others. A quarter of
  each speaker is kept, and validation and test stay whole. Parts with one seed are nested: 0.25 lies within 0.5.
- ``FOLDER@leave:NAME``: all speakers but NAME, in every split; ``@leave:NAME,NAME`` leaves out several.
- ``FOLDER@only:NAME``: NAME alone, in every split; ``@only:NAME,NAME`` keeps several.

  No utterance changes its split, so that a model trained on ``FOLDER@leave:NAME`` stops by the validation utterances of
  the others, and is evaluated on the speaker left out with ``FOLDER@only:NAME``.
- ``FOLDER@empty:skip``: utterances with an empty text left out, as not yet transcribed; ``@empty:silence`` keeps them,
  as recordings without speech.
- ``FOLDER@channel:1``: that channel, from 0, of every recording; ``@channel:lan=0,minh=1`` of those of two speakers,
  as where each had a microphone. The channel that an utterance has already is replaced.

They combine with variants (`echo_asr.data.variants`) in any order, applied from left to right. Features are cached by
the audio, so that a selection shares those of the whole corpus.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from echo_asr.audio.segment import AudioSegment
from echo_asr.config import nearest
from echo_asr.console import counted
from echo_asr.data.corpus import Corpus, EmptyTexts, Utterance
from echo_asr.data.readers.records import Notice, parse_number
from echo_asr.errors import EchoError

NAMES = ("part", "leave", "only", "empty", "channel")


@dataclass(frozen=True)
class Part:
    """A share of the training utterances, drawn without replacement.

    Of `N` utterances, `share * N` are kept, rounded, and at least one. Of a speaker's `N_s`, `share * N_s`
    are kept, rounded up or down, and at least one wherever there are as many as speakers.

    Attributes:
        share: above 0, up to 1.
        seed: of the draw.
    """

    share: float
    seed: int = 0

    def __str__(self) -> str:
        return f"@part:{self.share:.12g}" + (f",seed={self.seed}" if self.seed else "")

    def __call__(self, corpus: Corpus) -> Corpus:
        """The corpus with that part of its training utterances, in their order, and all others."""
        training = [u for u in corpus.utterances if u.split == "train"]
        count = max(1, math.floor(self.share * len(training) + 0.5))
        kept = set(draw_in_turn(training, self.seed)[:count])
        chosen = tuple(u for u in corpus.utterances if u.split != "train" or u.id in kept)
        return replace(corpus, name=f"{corpus.name}{self}", utterances=chosen)


@dataclass(frozen=True)
class OfSpeakers:
    """The utterances of some speakers, or those of all others; each stays in its split.

    Utterances without a speaker are in neither, since they may be of anybody.

    Attributes:
        kind: `only` those named, or `leave` them out.
        names: of speakers, separated by commas; a name may have commas itself.
    """

    kind: Literal["leave", "only"]
    names: str

    def __str__(self) -> str:
        return f"@{self.kind}:{self.names}"

    def __call__(self, corpus: Corpus) -> Corpus:
        """The corpus with the utterances of those speakers, in their order.

        Raises:
            EchoError: there is no such speaker, speakers are not known, or nobody is left.
        """
        if not corpus.utterances:  # all its records are broken, which is reported elsewhere
            return corpus
        name = f"{corpus.name}{self}"
        speakers = {u.speaker for u in corpus.utterances} - {""}
        if not speakers:
            raise EchoError(f"corpus {name}: its speakers are not known; name them in the corpus to choose by them")
        named = _split_names(self.names, speakers)
        for speaker in named:
            if speaker not in speakers:
                raise EchoError(f"corpus {name}: no speaker is called {speaker!r}{nearest(speaker, speakers)}")
        kept = set(named) if self.kind == "only" else speakers.difference(named)
        if not kept:
            raise EchoError(f"corpus {name}: nobody is left, as these are all its speakers; leave out fewer")
        chosen = tuple(u for u in corpus.utterances if u.speaker in kept)
        notices = corpus.notices
        if self.kind == "leave" and (nameless := sum(not u.speaker for u in corpus.utterances)):
            what = f"leaves out {counted(nameless, 'utterance')} without a speaker, too"
            message = f"{what}, as anybody may have spoken; name the speakers to keep them"
            notices = (*notices, Notice("no speaker", name, message))
        return replace(corpus, name=name, utterances=chosen, notices=notices)


def _split_names(names: str, speakers: Collection[str]) -> list[str]:
    """Names separated by commas; where several could be meant, the longest that is a speaker."""
    pieces = names.split(",")
    found = list[str]()
    while pieces:
        runs = ((count, ",".join(pieces[:count])) for count in range(len(pieces), 0, -1))
        known = ((count, name) for count, run in runs for name in (run, run.strip()) if name in speakers)
        count, name = next(known, (1, pieces[0].strip()))
        found.append(name)
        pieces = pieces[count:]
    return found


@dataclass(frozen=True)
class Empty:
    """The meaning of an empty text, an argument of `echo_asr.data.corpus.read_corpus`."""

    meaning: EmptyTexts

    def __str__(self) -> str:
        return f"@empty:{self.meaning}"

    def __call__(self, corpus: Corpus) -> Corpus:
        """The corpus unchanged: the meaning was applied when it was read."""
        return replace(corpus, name=f"{corpus.name}{self}")


@dataclass(frozen=True)
class Channel:
    """A channel of the recordings, counted from 0.

    Attributes:
        channel: of all speakers; None if it depends on the speaker.
        of: the channels of speakers; the recordings of others stay as they are.
    """

    channel: int | None
    of: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        of = ",".join(f"{speaker}={channel}" for speaker, channel in self.of)
        return f"@channel:{of or self.channel}"

    def __call__(self, corpus: Corpus) -> Corpus:
        """The corpus with those channels of its recordings.

        Raises:
            EchoError: there is no such speaker, or the audio is computed.
        """
        name = f"{corpus.name}{self}"
        channels = dict(self.of)
        speakers = {u.speaker for u in corpus.utterances}
        if corpus.utterances and (unknown := [speaker for speaker in channels if speaker not in speakers]):
            what = f"no speaker is called {unknown[0]!r}{nearest(unknown[0], speakers - {''})}"
            raise EchoError(f"corpus {name}: {what}")
        chosen = []
        for u in corpus.utterances:
            channel = channels.get(u.speaker, self.channel)
            if channel is None:
                chosen.append(u)
                continue
            if not isinstance(u.audio, str | os.PathLike | AudioSegment):
                raise EchoError(f"corpus {name}: its audio is computed, and has one channel; put @channel first")
            segment = u.audio if isinstance(u.audio, AudioSegment) else AudioSegment(Path(u.audio))
            chosen.append(replace(u, audio=replace(segment, channel=channel)))
        return replace(corpus, name=name, utterances=tuple(chosen))


Selection = Part | OfSpeakers | Empty | Channel


def parse_selection(name: str, rest: str | None, spec: str) -> Selection:
    """Parse a selection from its name, one of NAMES, and the text after the colon, if any.

    Args:
        spec: the whole of the corpus spec, for messages.

    Raises:
        EchoError: no share or one out of range, an unknown option, or no speaker.
    """
    if name == "leave" or name == "only":
        if not rest or not all(part.strip() for part in rest.split(",")):
            raise EchoError(f"corpus {spec}: @{name} takes names of speakers, as in @{name}:anna or @{name}:anna,ben")
        return OfSpeakers("only" if name == "only" else "leave", rest)
    if name == "empty":
        if rest == "silence" or rest == "skip":
            return Empty("silence" if rest == "silence" else "skip")
        expected = "silence (nobody speaks) or skip (not yet transcribed: left out)"
        raise EchoError(f"corpus {spec}: @empty takes {expected}, as in @empty:skip, got {rest or ''!r}")
    if name == "channel":
        return _parse_channel(rest or "", spec)
    amount, *options = (rest or "").split(",")
    share = parse_number(amount)
    if share is None or not 0.0 < share <= 1.0:  # false of NaN, too
        raise EchoError(f"corpus {spec}: @part takes a share above 0 and up to 1, as in @part:0.25, got {amount!r}")
    seed = 0
    for option in options:
        key, _, value = option.partition("=")
        if key != "seed" or not (value.isascii() and value.isdigit()):
            raise EchoError(f"corpus {spec}: not an option: {option!r}; @part takes seed=NUMBER")
        seed = int(value)
    return Part(share, seed)


def _parse_channel(rest: str, spec: str) -> Channel:
    if re.fullmatch("[0-9]{1,4}", rest):
        return Channel(int(rest))
    of = [(found[1], int(found[2])) for part in rest.split(",") if (found := re.fullmatch("(.+)=([0-9]{1,4})", part))]
    if len(of) < rest.count(",") + 1:
        expected = "@channel takes a number from 0, or one for each speaker, as in @channel:lan=0,minh=1"
        raise EchoError(f"corpus {spec}: {expected}; got {rest!r}")
    return Channel(None, tuple(of))


def draw_in_turn(utterances: Sequence[Utterance], seed: int) -> list[str]:
    """The ids of utterances in the order in which they are drawn, so that smaller parts lie within larger ones.

    Each speaker's are in the order of a hash of seed and id. Speakers take turns: with `N_s` of `N` utterances, the
    k-th (from 0) may come from place `floor(k N / N_s)` on and is due before place `ceil((k + 1) N / N_s)`; of those
    that may come, the one that is due first does. Then the first `n` hold `n N_s / N` of each speaker, rounded up or
    down: no more than `n' - n` are both to come from `n` on and due before `n'`, so that none is late (the windows are
    those of Baruah et al. 1996, "Proportionate progress"). Last, the first of every speaker is moved to the front, so
    that no speaker is lost where there are as many places as speakers; speakers with most utterances come first.
    """
    by_speaker: dict[str, list[str]] = {}
    for u in sorted(utterances, key=lambda u: _hashed(seed, u.id)):
        by_speaker.setdefault(u.speaker, []).append(u.id)
    own, total = list(by_speaker.values()), len(utterances)
    coming = [(0, number, 0) for number in range(len(own))]  # first place, speaker, which of theirs
    ready: list[tuple[int, int, int]] = []  # due before, speaker, which of theirs
    firsts, others = list[str](), list[str]()
    for place in range(total):
        while coming and coming[0][0] <= place:
            _, number, which = heapq.heappop(coming)
            heapq.heappush(ready, (-(-(which + 1) * total // len(own[number])), number, which))
        _, number, which = heapq.heappop(ready)
        (others if which else firsts).append(own[number][which])
        if which + 1 < len(own[number]):
            heapq.heappush(coming, ((which + 1) * total // len(own[number]), number, which + 1))
    return firsts + others


def _hashed(seed: int, utterance: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{utterance}".encode("utf-8", "surrogatepass")).digest()
