"""What a run trains and validates on: examples, clips of noise, rows of examples, features from the cache, batches."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from itertools import count, islice
from threading import Lock
from typing import Literal

import numpy as np
import torch

from echo_asr.audio.convert import HOP, frames_to_seconds
from echo_asr.data.ahead import FeaturesAhead
from echo_asr.data.batch import Batch, Example, check_lengths, collate, gc_paused, make_examples, plan_epoch
from echo_asr.data.cache import FeatureCache
from echo_asr.data.concatenate import ConcatenatedClip, crop, draw_concatenated, draw_levels, join, soften
from echo_asr.data.corpus import Audio, Corpus, Utterance
from echo_asr.data.noise import KINDS, noise_clip
from echo_asr.data.partition import stratified_sample
from echo_asr.data.perturbation import MARGIN, UNPERTURBED, Perturbation
from echo_asr.data.precompute import Job, check_recordings, fill_recordings
from echo_asr.data.speakers import known_by, speaker_medians, states_of_voice
from echo_asr.data.unreadable import UnreadableRecordings, warn_left_out
from echo_asr.distributed.launch import ProcessRank
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.features.extractor import PART_RANGE
from echo_asr.features.log_mel import frame_levels
from echo_asr.features.states import StatesExtractor
from echo_asr.features.voice import UNKNOWN, Standard, Voice
from echo_asr.text.normalize import join_texts
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.config import TrainConfig

NEAR = 20  # frames of noise left before and after an example, at most, so that batches stay the size that was planned
EDGE = 25  # frames of silence before and after half of the examples, at most, where rows of them are trained on, too
STANDARDISED = 300  # recordings by which states are standardised, at most
AHEAD = 3  # batches made ready while the model works
FEATURES_AHEAD = 12  # batches whose features are computed before that
DIGESTED = 10_000  # examples that are digested at a time
SOFTER = (-PART_RANGE, PART_RANGE)  # dB by which noise is softer than what is around it; as loud where below 0


@dataclass
class TrainingData:
    """The training split of a corpus, as batches.

    Args:
        corpus: must have a training split.
        tokenizer, normalize: of the model.
        config: of the training.
        subsampling: of the model, to check that texts fit.
        cache: of features.
        by_speaker: whether the model's pitch is relative to each speaker's; `prepare` then measures it.
        rank: of this process among those that train; each takes every so many-th batch.
        texts: the normalised texts of the training split, if they are there already.
        broken: what becomes of texts that do not fit their frames, and of recordings that cannot be read: `refuse` the
            corpus, or `skip` them with one warning that counts them.

    Raises:
        EchoError: no training split, a text that does not fit its frames or the tokenizer.
    """

    corpus: Corpus
    tokenizer: Tokenizer
    normalize: Callable[[str], str]
    config: TrainConfig
    subsampling: int
    cache: FeatureCache
    by_speaker: bool = False
    rank: ProcessRank = ProcessRank()
    texts: InitVar[Sequence[str] | None] = None
    broken: Literal["refuse", "skip"] = "refuse"

    def __post_init__(self, texts: Sequence[str] | None) -> None:
        self.speaker_f0: dict[str, float] = {}  # Hz
        self.spoken: dict[str, list[Utterance]] = {}  # of each speaker, for their states
        self.speaker_states: dict[tuple[str, Perturbation], Standard | None] = {}
        self.measuring = Lock()
        self.ahead: FeaturesAhead | None = None  # makes features while training runs
        broken: list[str] | None = [] if self.broken == "skip" else None
        utterances = self.corpus.split("train")
        examples = make_examples(utterances, self.tokenizer, self.normalize, texts=texts, broken=broken)
        if broken:
            share = f"{len(broken)} of {len(utterances)} texts"
            message = f"{self.corpus.name}: {share} cannot be encoded, and are left out, first: {broken[0]}"
            if not examples:
                raise EchoError(message)
            warnings.warn(message, stacklevel=2)
        self._arrange(check_lengths(examples, self.subsampling, max(self.config.speeds), self.broken))

    @gc_paused()
    def _arrange(self, examples: list[Example]) -> None:
        """Clips of noise and silence, whose text is empty, and rows that go with the examples, drawn from the lengths
        of these; and the seconds of each."""
        config, self.examples = self.config, examples
        spoken = [e.utterance.duration for e in examples]
        rng = np.random.default_rng([config.seed, 0x2E80])
        drawn = rng.integers(len(spoken), size=round(config.noise_share * len(spoken)))
        self.noise = [spoken[i] for i in drawn]
        rng = np.random.default_rng([config.seed, 0x10AD])
        self.rows = draw_concatenated(spoken, round(config.concatenated_share * len(spoken)), config.noisy_copies, rng)
        in_rows = [sum(spoken[i] for i in row.parts) + self._between(row) for row in self.rows]
        self.durations = [*spoken, *self.noise, *in_rows]
        self.first_row = len(self.durations) - len(self.rows)
        self.clean_epochs = 0  # before noisy perturbations and rows come in
        if self.rows or config.noisy_copies:
            batches = len(plan_epoch(self.durations[: self.first_row], config.batch_seconds, config.seed, 0))
            self.clean_epochs = round(config.clean_start * config.max_steps * self.batches_per_update / batches)

    def _noise_clip(self, seconds: float, rng: np.random.Generator) -> Features:
        """Silence or noise that was not drawn before, so that no clip of it can be learnt by heart. Half of the clips
        are as loud as speech is, as noise alone is; the others up to 30 dB softer, as noise between sentences is."""
        kind = KINDS[int(rng.integers(len(KINDS)))]
        clip = noise_clip(kind, seconds, int(rng.integers(2**31)))
        level = float(frame_levels(clip, max(1, len(clip) // HOP)).max())  # dBFS
        loudest, voice = level + PART_RANGE + float(rng.uniform(*SOFTER)), UNKNOWN
        if self.spoken and rng.random() < 0.5:
            voice = self.voice(sorted(self.spoken)[int(rng.integers(len(self.spoken)))])  # beside whom it is heard
        return self.cache.extractor(clip, loudest, voice)

    @property
    def batches_per_update(self) -> int:
        """Batches that make an update, of all processes together."""
        return self.config.accumulate * self.rank.count

    def _between(self, row: ConcatenatedClip) -> float:
        """Seconds of a row that are pauses; in noise, as many as there are on average."""
        return frames_to_seconds(len(row.parts) * MARGIN if row.noise else sum(row.gaps))

    def _row_tokens(self, row: ConcatenatedClip) -> Sequence[int]:
        """The ids of a row's texts with spaces between, where the tokenizer knows the space."""
        texts = [text for i in row.parts if (text := self.examples[i].text)]
        try:
            return self.tokenizer.encode(join_texts(texts))
        except EchoError:
            return [token for i in row.parts for token in self.examples[i].tokens]

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the texts, ids and lengths trained on; two corpora that differ have two."""
        digest = hashlib.sha256(json.dumps([self.tokenizer.kind, self.tokenizer.symbols]).encode())
        for first in range(0, len(self.examples), DIGESTED):
            part = self.examples[first : first + DIGESTED]
            strings = [string for e in part for string in (e.utterance.id, e.text)]
            digest.update("".join(strings).encode("utf-8", "surrogatepass"))
            digest.update(np.array([e.utterance.duration for e in part]).tobytes())
            digest.update(np.array([len(string) for string in strings]).tobytes())
            digest.update(np.array([len(e.tokens) for e in part]).tobytes())
        return digest.hexdigest()[:16]

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the processes that make features now."""
        return 0.0 if self.ahead is None else self.ahead.cpu_seconds

    @property
    def whole_first(self) -> str:
        """Why the features of the whole corpus are needed before the first update; empty where they are not."""
        if self.cache.extractor.config.states:
            return "states of a pretrained encoder are standardised by those of the corpus"
        if self.cache.extractor.transform is not None:
            return "a control of F0 draws on all recordings"
        return "pitch is relative to each speaker's median F0" if self.by_speaker else ""

    def features(self, utterance: Utterance, perturbation: Perturbation = UNPERTURBED) -> Features:
        """Features of an utterance, perturbed, from the cache; the pitch of its speaker is moved alike."""
        if self.ahead is not None:
            self.ahead.wait((utterance.audio, perturbation))
        return self.cache.features(utterance.audio, perturbation, self.voice(utterance.speaker, perturbation))

    def voice(self, speaker: str, perturbation: Perturbation = UNPERTURBED) -> Voice:
        """What is known of a speaker whose recordings are so perturbed: pitch is moved alike, states are measured."""
        f0, states = self.speaker_f0.get(speaker, 0.0) * perturbation.f0_factor, self.cache.extractor.speaker_states
        if states is None or speaker not in self.spoken:
            return Voice(f0)
        with self.measuring:
            key = speaker, perturbation
            if key not in self.speaker_states:
                own, cache = self.spoken[speaker], self.cache
                found = states_of_voice(states, own, lambda u: cache.measured(u.audio, perturbation))
                self.speaker_states[key] = found
            return Voice(f0, self.speaker_states[key])

    def first_states(self, extractor: StatesExtractor) -> Iterator[torch.Tensor]:
        """States of a part of the recordings, spread over the corpus, as the pretrained encoder gives them: from the
        cache, or by the extractor where the cache keeps none."""
        for example in stratified_sample(self.examples, STANDARDISED):
            found = self.cache.measured(example.utterance.audio)
            if found.states is None:
                assert found.waveform is not None
                found = replace(found, states=extractor(found.waveform))
            assert found.states is not None
            yield found.states

    def prepare(
        self,
        validation: Sequence[Utterance] = (),
        progress: Callable[[int, int], None] | None = None,
        workers: int = 1,
        gather: Callable[[dict[Audio, str]], list[dict[Audio, str]]] = lambda own: [own],
        tell: Callable[[str], None] | None = None,
    ) -> frozenset[Audio]:
        """See that the recordings of this process's share can be read. Their features are made while training runs,
        unless there is a reason to have them all first (`whole_first`), which is told; then the speakers' pitch is
        measured, too.

        Args:
            workers: processes that make features, at most.
            gather: what all processes found unreadable, by rank; waits for them.
            tell: as in `fill_cache`.

        Returns:
            the recordings that cannot be read, and are left out of training.

        Raises:
            UnreadableRecordings: there are some, and broken records are refused.
        """
        perturbations = tuple(dict.fromkeys(self.config.perturbations))
        left_out: dict[Audio, str] = {}
        whole_first, new = self.whole_first, 0
        self.ahead = None if whole_first else FeaturesAhead(self.cache, workers)
        if tell and whole_first:
            tell(f"features of the whole corpus are made before the first update: {whole_first}")
        while True:
            spoken = [e.utterance for e in self.rank.share(self.examples)]
            parts = [(spoken, perturbations), (self.rank.share(validation), (UNPERTURBED,))]
            own: dict[Audio, str] = {}
            try:
                if whole_first:
                    fill_recordings(self.cache, parts, progress, workers, tell)
                else:
                    assert self.ahead is not None
                    new += check_recordings(self.cache, parts, progress, self.ahead.find_unreadable)
            except UnreadableRecordings as error:
                if self.broken == "refuse":
                    raise
                own = error.messages
            found = {audio: message for part in gather(own) for audio, message in part.items()}
            if not found:
                break
            left_out |= found
            examples = [e for e in self.examples if e.utterance.audio not in found]
            if not examples:
                raise UnreadableRecordings(left_out)
            self._arrange(examples)
            validation = [u for u in validation if u.audio not in found]
            if not whole_first:
                break  # all others were read
        if left_out:
            total = len(self.examples) + len(validation) + len(left_out)
            warn_left_out(self.corpus.name, total, left_out)
        if tell and new:
            tell("features are made while training runs, which is slower until all of them are there")
        acoustic = self.cache.without_states()
        if transform := self.cache.extractor.transform:
            transform.fit(acoustic.measured(e.utterance.audio) for e in self.examples)
        utterances = [*(e.utterance for e in self.examples), *validation]
        self.spoken = known_by(utterances) if self.cache.extractor.speaker_states is not None else {}
        if self.by_speaker:
            self.speaker_f0 = speaker_medians(utterances, lambda u: acoustic.features(u.audio))
        return frozenset(left_out)

    def plan(self, epoch: int) -> list[list[int]]:
        """Batches of an epoch as indices; beyond the examples lie the clips of noise, and beyond those the rows."""
        durations = self.durations if epoch >= self.clean_epochs else self.durations[: self.first_row]
        return plan_epoch(durations, self.config.batch_seconds, self.config.seed, epoch)

    def batch(self, epoch: int, indices: list[int]) -> Batch:
        """One batch, augmented as (seed, epoch, example) decide."""
        features, tokens = zip(*(self._drawn(index, epoch) for index in indices), strict=True)
        spoken = len(self.examples)
        names = [str(self.examples[i].utterance.audio) if i < spoken else "" for i in indices]
        return collate(features, tokens, names)

    def _drawn(self, index: int, epoch: int) -> tuple[Features, Sequence[int]]:
        """An example, a clip of noise or a row, as it is perturbed and masked this time, and its ids."""
        rng, augment = np.random.default_rng([self.config.seed, epoch, index]), self.config.augment
        parts, perturbation = self._perturbation(index, epoch, rng)
        if index < len(self.examples):
            example = self.examples[index]
            clip = augment(self._perturbed(example, perturbation, NEAR, rng), rng)
            in_pauses = self.rows and epoch >= self.clean_epochs and not perturbation.noise and rng.random() < 0.5
            return join((clip,), rng.integers(0, EDGE + 1, 2).tolist()) if in_pauses else clip, example.tokens
        if index < self.first_row:
            return augment(self._noise_clip(self.noise[index - len(self.examples)], rng), rng), ()
        row = self.rows[index - self.first_row]
        clips = [augment(self._perturbed(self.examples[i], perturbation, MARGIN, rng), rng) for i in parts]
        if not row.noise:  # which is as loud throughout
            relative = self.cache.extractor.config.null_relative_db
            levels = draw_levels(len(clips), rng).tolist()
            clips = [soften(clip, level, relative) for clip, level in zip(clips, levels, strict=True)]
        return join(clips, row.gaps), self._row_tokens(row)

    def _perturbation(self, index: int, epoch: int, rng: np.random.Generator) -> tuple[Sequence[int], Perturbation]:
        """The examples that are in an example, a clip of noise (none) or a row, and their perturbation this time, which
        is the first that is drawn."""
        if len(self.examples) <= index < self.first_row:
            return (), UNPERTURBED
        clean = self.config.clean
        if index >= self.first_row:
            row = self.rows[index - self.first_row]
            noisy = Perturbation(noise=row.noise) if row.noise else None
            return row.parts, noisy or clean[int(rng.integers(len(clean)))]
        perturbations = self.config.perturbations if epoch >= self.clean_epochs else clean
        return (index,), perturbations[int(rng.integers(len(perturbations)))]

    def _jobs(self, epoch: int, indices: Sequence[int]) -> Iterator[Job]:
        """The features of a batch that come from the cache."""
        for index in indices:
            rng = np.random.default_rng([self.config.seed, epoch, index])
            parts, perturbation = self._perturbation(index, epoch, rng)
            yield from ((self.examples[i].utterance.audio, perturbation) for i in parts)

    def _perturbed(
        self, example: Example, perturbation: Perturbation, margin: int, rng: np.random.Generator
    ) -> Features:
        """Features of an example, perturbed; of the noise before and after it, if any, up to `margin` frames."""
        clip = self.features(example.utterance, perturbation)
        if not perturbation.noise:
            return clip
        before, after = rng.integers(0, margin + 1, 2).tolist()
        return crop(clip, MARGIN - before, MARGIN - after)

    def batches(
        self, epoch: int, start: int = 0, most: int | None = None, others: Sequence[Utterance] = ()
    ) -> Generator[tuple[int, int, Batch]]:
        """`(epoch, number, batch)` without end, from batch `start` of `epoch`; made ready in the background.

        Of several processes each has one of every `count` batches that follow each other; epoch and number are those of
        the last of these.

        Args:
            most: batches that are taken, if that is known.
            others: utterances whose features are asked for later, too, as in validation.
        """

        def order() -> Iterator[tuple[int, int, list[int]]]:
            for at in count(epoch):
                for number, indices in enumerate(self.plan(at)):
                    if at > epoch or number >= start:
                        yield at, number, indices

        def own() -> Iterator[tuple[int, int, int, list[int]]]:
            everybody = order()
            while True:
                together = list(islice(everybody, self.rank.count))
                own_epoch, _, indices = together[self.rank.rank]
                yield own_epoch, *together[-1][:2], indices

        planned = own()
        ahead = self.ahead or FeaturesAhead(self.cache, 0)
        coming, known = deque(islice(planned, FEATURES_AHEAD)), FEATURES_AHEAD
        first = list(coming)[:most]
        ahead.want(job for own_epoch, _, _, indices in first for job in self._jobs(own_epoch, indices))
        ahead.want((u.audio, UNPERTURBED) for u in others)
        with closing(ahead), ThreadPoolExecutor(self.config.loaders) as pool:
            waiting: deque[tuple[int, int, Future[Batch]]] = deque()
            try:
                while True:
                    while len(waiting) < AHEAD + self.config.loaders - 1:
                        own_epoch, at, number, indices = coming.popleft()
                        waiting.append((at, number, pool.submit(self.batch, own_epoch, indices)))
                        coming.append(next(planned))
                        known += 1
                        if most is None or known <= most:
                            ahead.want(self._jobs(coming[-1][0], coming[-1][3]))
                    at, number, made = waiting.popleft()
                    yield at, number, made.result()
            finally:
                for _, _, made in waiting:
                    made.cancel()
