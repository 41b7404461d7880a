"""What a run needs before its first update: a validation split, a tokenizer, features in the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from echo_asr.config import read_yaml
from echo_asr.console import print_message, progress_bar
from echo_asr.data.batch import Example
from echo_asr.data.corpus import Corpus
from echo_asr.data.partition import stratified_sample
from echo_asr.distributed.processes import Processes
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.features.states import StatesExtractor
from echo_asr.model.checkpoint import CONFIG, TOKENIZER, Bundle
from echo_asr.pretrained.kept import has_encoder, kept
from echo_asr.pretrained.source import Source, find
from echo_asr.text.config import TextConfig
from echo_asr.text.profile import read_profile
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.data import TrainingData

HELD_OUT = 20  # one training utterance in so many is validated on where a corpus has no validation split


def hold_out(corpus: Corpus) -> Corpus:
    """The corpus, with a validation split: a 20th of its training utterances, if it has none of its own.

    Raises:
        EchoError: there are too few training utterances.
    """
    if "validation" in corpus.splits:
        return corpus
    rows = [u for u in corpus.utterances if u.split == "train"]
    if len(rows) < 2:
        raise EchoError(f"{corpus.name}: too few training utterances ({len(rows)}) to hold any out for validation")
    held = {u.id for u in stratified_sample(rows, -(-len(rows) // HELD_OUT))}
    moved = (replace(u, split="validation") if u.split == "train" and u.id in held else u for u in corpus.utterances)
    return replace(corpus, utterances=tuple(moved))


def choose_tokenizer(
    run: Path, config: TextConfig, texts: list[str], start: Bundle | None, resume: bool
) -> tuple[Tokenizer, dict[int, int]]:
    """The tokenizer of a run, and the new id of every id of the model that it starts from."""
    if resume and (run / TOKENIZER).is_file():
        return Tokenizer.load(run / TOKENIZER), {}
    if start is not None:
        return start.tokenizer.extend(texts)
    return new_tokenizer(texts, config), {}


def resumed_encoder(run: Path, features: FeatureConfig, started: bool) -> tuple[Source, FeatureConfig] | None:
    """The encoder of a run that goes on, and settings in which it is named as the run was started with it, if they name
    a folder of the same encoder, wherever that is now. None for a run without an encoder.

    Args:
        started: the run was started from a model, of which it has the encoder and the layers, whatever the settings
            name.

    Raises:
        EchoError: as `kept`, or what they name is a folder without an encoder.
    """
    if not features.states or not has_encoder(run):
        return None
    source, before = kept(run), read_yaml(run / CONFIG).get("features") or {}
    named = _whole_path(features.states)
    first = str(before.get("states", named))
    if started:
        layers = features.encoder_layers or tuple(before.get("encoder_layers", ()))
        return source, replace(features, states=first, encoder_layers=layers)
    if named != first and os.path.isdir(named) and find(named).digest == source.digest:
        named = first
    return source, replace(features, states=named)


def choose_encoder(
    features: FeatureConfig, start: Bundle | None, resumed: tuple[Source, FeatureConfig] | None, device: torch.device
) -> tuple[FeatureConfig, StatesExtractor | None]:
    """The settings of features with the layers of the pretrained encoder named, and its folder, if it is one, by its
    whole path; and what computes its states, in the cache or within the model. It is the encoder of the model that the
    run starts from, if there is one.

    Args:
        resumed: as of `resumed_encoder`, on the machine of the main process.
        device: that encodes.

    Raises:
        EchoError: there is no such encoder, or the model that the run starts from reads other layers of its own.
    """
    if not features.states:
        return features, None
    known = start.features.encoder_layers if start is not None else ()
    if known and features.encoder_layers not in ((), known):
        what = f"features.encoder_layers: the model of --init reads {list(known)}, not {list(features.encoder_layers)}"
        raise EchoError(f"{what}; leave them out, or train without --init")
    if resumed is not None:
        source, features = resumed
        named = features.states
        if not source.folder.is_dir():  # this is another machine
            source = replace(find(source.name, source.revision), dtype=source.dtype)
    elif start is not None and start.source is not None:
        source, named = start.source, start.source.name
    else:
        source = find(features.states, dtype=features.encoder_dtype)
        named = _whole_path(features.states)
    states = StatesExtractor(source, features.encoder_layers or known, device=device)
    return replace(features, states=named, encoder_layers=states.layers), states


def _whole_path(name: str) -> str:
    """The name of an encoder, by its whole path if it is a folder."""
    return os.path.abspath(name) if os.path.isdir(name) else name


def new_tokenizer(texts: Sequence[str], settings: TextConfig) -> Tokenizer:
    """The tokenizer of a new model: of normalised training texts, by a profile if one is named, or the ready one."""
    if settings.ready:
        return Tokenizer.load(settings.tokenizer)
    spaced = [*texts, " "] if any(texts) else texts  # texts follow each other, also where each is a single word
    if settings.profile:
        return Tokenizer.train(spaced, "profile", graphemes=read_profile(settings.tokenizer))
    return Tokenizer.train(spaced, settings.tokenizer, settings.vocabulary)


def prepare_recordings(data: TrainingData, processes: Processes, validation: Sequence[Example] = ()) -> list[Example]:
    """Do what `TrainingData.prepare` does for the recordings of training and validation, with a bar; each process does
    its share.

    Returns:
        what is left to validate on, where broken records are left out and some recordings cannot be read.

    Raises:
        EchoError: a recording cannot be read, or none of those to validate on.
    """
    rank = processes.rank
    workers = max(1, (os.cpu_count() or 1) // rank.local_count)
    what, each = ("features", len(set(data.config.perturbations))) if data.whole_first else ("recordings", 1)
    count = len(data.examples) * each + len(validation)
    utterances = [e.utterance for e in validation]
    with progress_bar(what, -(-count // rank.count)) if rank.main else nullcontext() as advance:
        progress = (lambda done, total: advance(done, "")) if advance else None
        tell = print_message if rank.main else None
        unreadable = data.prepare(utterances, progress, workers, processes.gather, tell)
    left = [e for e in validation if e.utterance.audio not in unreadable]
    if validation and not left:
        raise EchoError(f"{data.corpus.name}: none of the recordings to validate on can be read; mend some of them")
    return left
