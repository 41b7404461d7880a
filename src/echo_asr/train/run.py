"""From a configuration and a corpus to a trained model: what the `train` command does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from echo_asr.console import hours
from echo_asr.data.batch import gc_paused, make_examples, weigh_plan
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.excluded import Transcribed, apply_conventions
from echo_asr.distributed.device import choose_device
from echo_asr.distributed.launch import find_rank
from echo_asr.distributed.processes import open_processes, reseed
from echo_asr.distributed.sharding import gather_whole
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor, FeatureTransform
from echo_asr.features.states import StatesExtractor
from echo_asr.features.voice import Standard
from echo_asr.model.checkpoint import Bundle, load_bundle
from echo_asr.model.config import ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.storage import make_folder, sweep
from echo_asr.text.config import TextConfig
from echo_asr.text.find_tones import FoundNotation
from echo_asr.text.marks import find_marks, marks_that_matter, proposed_conventions
from echo_asr.text.orthography import merged_words
from echo_asr.text.tones import show_tone
from echo_asr.train.data import TrainingData
from echo_asr.train.initial import start_from
from echo_asr.train.loop import Trainer
from echo_asr.train.prepare import choose_encoder, choose_tokenizer, hold_out, prepare_recordings, resumed_encoder
from echo_asr.train.recipe import SECTIONS
from echo_asr.train.report import Reporter, Silent
from echo_asr.train.state import Progress, check_folder, is_model
from echo_asr.train.throughput import cpu_seconds
from echo_asr.train.tone_fit import has_tone_model

MARKS = 5  # that are named in a warning

Broken = Literal["refuse", "skip"]
Monitor = Callable[[Trainer], dict[str, float]]


def train(
    sections: Mapping[str, Any],
    corpus: str,
    out: str | os.PathLike[str],
    resume: bool = False,
    init: str | os.PathLike[str] | None = None,
    device: str = "auto",
    broken: Broken = "refuse",
    monitor: Monitor | None = None,
    transform: FeatureTransform | None = None,
    slim: bool = False,
) -> Progress:
    """Train a model and leave it in `out`.

    Under torchrun every process calls this, and all train one model together (`echo_asr.distributed.processes`).

    Args:
        sections: the configuration, from `echo_asr.train.recipe.read_config`.
        corpus: as in `load_corpus`.
        resume: go on from the checkpoint in `out`; there is one from the beginning.
        init: a model folder to start from; its symbols are kept and new ones added.
        device: as in `choose_device`.
        broken: what becomes of records of the corpus that cannot be used; as in `load_corpus`.
        monitor: figures of the model for TensorBoard, asked for every `train.diagnose_every` updates.
        transform: of features, before the model gets them; it is fitted to the training recordings and saved in `out`.
        slim: leave the weights of a pretrained encoder out of the model folder, which names them.

    Raises:
        EchoError: anything the user can mend.
        Interrupted: stopped by a signal, with a checkpoint saved.
    """
    settings, text, asked = sections["train"], sections["text"], sections["features"]
    rank, where, run, cpu_began = find_rank(), choose_device(device), Path(out), cpu_seconds()
    sharded = settings.shard == "full"
    if sharded and rank.count == 1:
        raise EchoError("train.shard full divides a model among processes, and this one is alone; use torchrun or none")
    if sharded and asked.states_in == "model":
        raise EchoError("train.shard full cannot divide a pretrained encoder within a model; set it to none")
    # The main process alone reads and writes the folder of the run, which the other machines need not see.
    with open_processes(rank, where, sharded) as processes:
        processes.broadcast(lambda: check_folder(run, resume))
        with gc_paused():
            recordings = load_corpus(corpus, broken)
            own_validation = "validation" in recordings.splits
            transcribed = apply_conventions(corpus, recordings.utterances, text.transcription)
            recordings = hold_out(replace(recordings, utterances=transcribed.utterances))
            text, notation = text.find_tones([u.text for u in recordings.split("train")])
            normalize = text.normalize  # which heeds the notation
            texts = [normalize(u.text) for u in recordings.split("train")]
            start = load_bundle(init) if init is not None and not resume else None
            tokenizer, mapping = processes.broadcast(lambda: choose_tokenizer(run, text, texts, start, resume))
            resumed = processes.broadcast(lambda: resumed_encoder(run, asked, init is not None) if resume else None)
            features, states = choose_encoder(asked, start, resumed, where)
            extractor = FeatureExtractor(features, transform, states)
            cache = FeatureCache(None, extractor)
            model_config: ModelConfig = sections["model"]
            by_speaker = model_config.vrope.reference == "speaker" or has_tone_model(model_config, text)
            how = (settings, sections["model"].subsampling, cache, by_speaker, rank, texts, broken)
            data = TrainingData(recordings, tokenizer, normalize, *how)
            validation = make_examples(recordings.split("validation"), tokenizer, normalize, unknown="skip")
        at_once = not resume or broken == "skip"  # before anything is written, for a recording may be unreadable
        if at_once:
            validation = prepare_recordings(data, processes, validation)

        standard = None
        if states is not None and start is None and not resume:
            standard = processes.broadcast(lambda: Standard.fit(data.first_states(states)))
        model = _new_model(sections["model"], settings.seed, tokenizer.vocabulary_size, features, states)
        known = None if start is None else start.features.states_reference
        if start is not None:
            start_from(model, start, mapping, str(init))
            start = None  # it and its pretrained encoder need not stay in memory
        elif standard is not None:
            model.standardise_by(standard)
        reseed(settings.seed, rank)
        more = {name: asdict(one) for name, one in sections.items() if name not in SECTIONS and one != type(one)()}
        extra = {"decode": asdict(sections["decode"]), "train": asdict(settings), **more}
        source = None if states is None else states.source
        bundle = Bundle(model.to(where), tokenizer, features, text, extra, source=source)
        processes.broadcast(lambda: make_folder(run))
        if rank.main:
            sweep(run)  # what an earlier process left unfinished
        reporter = Reporter(run) if rank.main else Silent(run)
        trainer = Trainer(bundle, data, validation, settings, run, reporter, sections["decode"], processes, monitor)
        if resume:
            trainer.resume()
        if extractor.states is not None:
            extractor.states.standard = model.standard
        if not resume:
            trainer.checkpoint()  # before all else: what has one can be resumed, what has none can be started
        if processes.broadcast(lambda: not is_model(run)):
            state = gather_whole(model.state_dict())
            if rank.main:
                bundle.save(run, state, slim)
        _describe(trainer, corpus, own_validation, len(validation), where)
        if init is not None and features.states != asked.states:
            reporter.message(f"encoder: that of --init is used, not features.states {asked.states}")
        if known is not None and features.states and features.states_reference != known:
            what = f"{features.states_reference} here, {known} where --init was trained"
            reporter.message(f"features.states_reference: {what}, so that its texts are worse at first")
        _describe_texts(reporter, text, transcribed, notation)
        if rank.main and not resume:
            _warn_of_losses(reporter, text, [u.text for u in recordings.split("train")])
        if resume:
            reporter.message(f"resumed after update {trainer.progress.step} of {settings.max_steps}")
        if not at_once:
            prepare_recordings(data, processes, validation)
        if transform is not None and rank.main:
            transform.save(run)
        trainer.progress.cpu_seconds += cpu_seconds() - cpu_began
        try:
            return trainer.train()
        finally:
            reporter.close()


def _new_model(
    config: ModelConfig, seed: int, vocabulary: int, features: FeatureConfig, states: StatesExtractor | None
) -> Echo:
    """A model with weights as they are drawn; the pretrained encoder is a part of it where it reads states that are not
    cached."""
    encoder = states.encoder if states is not None and features.states_in == "model" else None
    channels = states.channels if states is not None else 0
    torch.manual_seed(seed)  # after the encoder, which also draws
    return Echo(config, vocabulary, features.mels, channels, encoder, features.encoder_layers)


def _warn_of_losses(reporter: Reporter, text: TextConfig, texts: Sequence[str]) -> None:
    """Warn of tones and lengths that normalising removes, and of words that it makes equal."""
    conventions = text.transcription
    if lost := text.lost_signs(texts):
        reporter.warn(str(lost))
    marks = find_marks(texts, conventions, text.word_signs)
    if matter := marks_that_matter(marks, text.normalize):
        shown = ", ".join(f"{one.mark} {one.count}" for one in matter[:MARKS])
        more = ", ..." if len(matter) > MARKS else ""
        what = (
            f"marks of the transcriber that text.conventions do not name are trained on as they stand ({shown}{more})"
        )
        reporter.warn(f"{what}; echo-asr corpus check shows them, and proposes conventions")
    plain = map(proposed_conventions(matter), map(conventions, texts))
    if merged := merged_words(plain, text.normalize, lost.characters):
        reporter.warn(str(merged))


def _describe(trainer: Trainer, corpus: str, own_validation: bool, validated: int, where: torch.device) -> None:
    """Print what is trained, on what, and how much there is of it."""
    data, settings, message = trainer.data, trainer.config, trainer.reporter.message
    seconds = sum(e.utterance.duration for e in data.examples)
    message(
        f"{corpus}: {len(data.examples)} training utterances ({hours(seconds)}), {validated} for validation"
        f"{'' if own_validation else ' (held out, the corpus has no validation split)'}, "
        f"{trainer.bundle.tokenizer.vocabulary_size - 1} symbols"
    )
    if not own_validation:
        message(
            "the utterances held out may be of speakers trained on, so that their errors flatter: echo-asr corpus "
            f"split {corpus} --out FOLDER makes validation and test splits of speakers of their own"
        )
    count = trainer.processes.rank.count
    balance = weigh_plan(data.plan(data.clean_epochs), data.durations, count)  # of the first epoch with all clips
    message(
        f"model: {trainer.model.parameter_count / 1e6:.2f} million parameters on {where}; {settings.max_steps} "
        f"updates, about {settings.max_steps * data.batches_per_update / balance.batches:.1f} epochs"
    )
    if trainer.bundle.source is not None:
        message(f"encoder: {trainer.bundle.source.describe()}")
    message(str(balance))
    if count > 1:
        each = f"{settings.accumulate} batch{'es' * (settings.accumulate > 1)} of each"
        message(f"{count} processes, {each} in an update")


def _describe_texts(
    reporter: Reporter, text: TextConfig, transcribed: Transcribed, found: FoundNotation | None
) -> None:
    """Print what conventions did to the texts, and where tone is written, if that was found by itself."""
    if text.conventions:
        reporter.message(str(transcribed))
    if found is not None and found.notation is not None:
        reporter.message(f"tones: {found}; set text.tones where that is wrong, none if nothing is a tone")
    if found is not None and found.doubtful:
        marks = " ".join(map(show_tone, found.doubtful))
        reporter.message(f"not taken for tones: {marks}; if they are, set text.tones and text.tone_marks")
