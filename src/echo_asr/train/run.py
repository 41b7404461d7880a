"""From a configuration and a corpus to a trained model: what the `train` command does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from echo_asr.config import build_sections, read_yaml, yaml_text
from echo_asr.console import hours, progress_bar
from echo_asr.data.batch import Example, gc_paused, make_examples
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Corpus, load_corpus
from echo_asr.decode.transcribe import choose_device
from echo_asr.distributed.launch import find_rank
from echo_asr.distributed.processes import Processes, open_processes, reseed
from echo_asr.distributed.sharding import gather_whole
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor
from echo_asr.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS, Bundle, load_bundle
from echo_asr.model.config import TextConfig, expand_preset
from echo_asr.model.echo import Echo
from echo_asr.storage import sweep
from echo_asr.text.orthography import merged_words
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.data import TrainingData
from echo_asr.train.loop import SECTIONS, Trainer, grow_vocabulary
from echo_asr.train.report import Reporter, Silent
from echo_asr.train.state import CHECKPOINT, Progress

HELD_OUT = 20  # one training utterance in so many is validated on where a corpus has no validation split


def read_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The sections of a configuration file (or the defaults), with `--section.key value` overrides.

    Raises:
        EchoError: whatever is wrong with either, in one line.
    """
    data = read_yaml(path) if path is not None else {}
    words = list(overrides)
    for index, word in enumerate(words):
        if word == "--model.preset" or word.startswith("--model.preset="):
            size = 1 if "=" in word else 2
            if size == 2 and index + 1 == len(words):
                raise EchoError("--model.preset: expected the name of a preset after it")
            name = word.split("=", 1)[1] if "=" in word else words[index + 1]
            model = data.get("model") or {}
            if isinstance(model, dict):  # else it is refused below
                data["model"] = {**model, "preset": name}
            del words[index : index + size]
            break
    return build_config(data, str(path) if path is not None else "options", words)


def build_config(data: Mapping[str, Any], where: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The sections of a configuration that is a mapping already; `where` is named in errors.

    Raises:
        EchoError: as `read_config`.
    """
    sections = _agreed(build_sections(expand_preset(data, where), SECTIONS, overrides, where), where)
    yaml_text(sections, where)  # a model's config.yaml holds them, and is read back
    return sections


def _agreed(sections: dict[str, Any], where: str) -> dict[str, Any]:
    """Sections that fit each other: features are extracted as the model listens, the curriculum knows them.

    Raises:
        EchoError: a curriculum with a feature that the model does not have, that keeps CTC's feature away, or that
            brings one in when training is over.
    """
    model, curriculum, updates = sections["model"], sections["train"].curriculum, sections["train"].max_steps
    unknown = [name for name in curriculum if name not in model.features]
    if unknown:
        raise EchoError(
            f"{where}: train.curriculum names {unknown[0]!r}; model.features are {', '.join(model.features)}"
        )
    if curriculum.get(model.ctc_feature, 0) > 0:
        raise EchoError(f"{where}: train.curriculum must leave {model.ctc_feature}, model.ctc_feature, at update 0")
    late = [name for name, update in curriculum.items() if update >= updates]
    if late:  # the model would be left with an encoder that never learnt
        raise EchoError(
            f"{where}: train.curriculum brings {late[0]} in at update {curriculum[late[0]]}, and train.max_steps is "
            f"{updates}; bring it in earlier, or leave it out of model.features"
        )
    wave = "waveform" in model.features
    return {**sections, "features": replace(sections["features"], waveform=wave)}


def hold_out(corpus: Corpus) -> Corpus:
    """The corpus, with a validation split: every 20th training utterance, if it has none of its own."""
    if "validation" in corpus.splits:
        return corpus
    rows = [u for u in corpus.utterances if u.split == "train"]
    if len(rows) < 2:
        raise EchoError(f"{corpus.name}: too few training utterances ({len(rows)}) to hold any out for validation")
    held = {u.id for u in rows[:: min(HELD_OUT, len(rows))]}
    moved = (replace(u, split="validation") if u.split == "train" and u.id in held else u for u in corpus.utterances)
    return replace(corpus, utterances=tuple(moved))


def train(
    config: str | os.PathLike[str] | None,
    corpus: str,
    out: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    resume: bool = False,
    init: str | os.PathLike[str] | None = None,
    device: str = "auto",
    broken: Literal["refuse", "skip"] = "refuse",
) -> Progress:
    """Train a model and leave it in `out`.

    Under torchrun every process calls this, and all train one model together (`echo_asr.distributed.processes`).

    Args:
        config: YAML file, or None for the defaults.
        corpus: as in `load_corpus`.
        overrides: words `--section.key value`.
        resume: go on from the checkpoint in `out`; there is one from the beginning.
        init: a model folder to start from; its symbols are kept and new ones added.
        device: as in `choose_device`.
        broken: what becomes of records of the corpus that cannot be used; as in `load_corpus`.

    Raises:
        EchoError: anything the user can mend.
        Interrupted: stopped by a signal, with a checkpoint saved.
    """
    sections = read_config(config, overrides)
    place, where = find_rank(), choose_device(device)
    divided = sections["train"].shard == "full"
    if divided and place.count == 1:
        raise EchoError(
            "train.shard full divides a model among processes, and this one is alone; use torchrun, or none"
        )
    with open_processes(place, where, divided) as processes:
        return _train(sections, corpus, broken, Path(out), resume, init, where, processes)


def _train(
    sections: dict[str, Any],
    corpus: str,
    broken: Literal["refuse", "skip"],
    run: Path,
    resume: bool,
    init: str | os.PathLike[str] | None,
    where: torch.device,
    processes: Processes,
) -> Progress:
    """`train`, in one of the processes that train together. The main one alone reads and writes the folder of the run,
    which the other machines need not see."""
    settings, place = sections["train"], processes.place
    processes.broadcast(lambda: check_folder(run, resume))
    with gc_paused():
        recordings = load_corpus(corpus, broken)
        own_validation = "validation" in recordings.splits
        recordings = hold_out(recordings)
        normalize = sections["text"].normalize
        texts = [normalize(u.text) for u in recordings.split("train")]
        start = load_bundle(init) if init is not None and not resume else None
        tokenizer, mapping = processes.broadcast(lambda: _tokenizer(run, sections["text"], texts, start, resume))
        cache = FeatureCache(None, FeatureExtractor(sections["features"]))
        by_speaker = sections["model"].vrope.reference == "speaker"
        subsampling = sections["model"].subsampling
        data = TrainingData(
            recordings, tokenizer, normalize, settings, subsampling, cache, by_speaker, place, texts, broken
        )
        validation = make_examples(recordings.split("validation"), tokenizer, normalize, unknown="skip")
    at_once = not resume or broken == "skip"  # before anything is written, for a recording may be unreadable
    if at_once:
        validation = prepare(data, processes, validation)

    torch.manual_seed(settings.seed)
    model = Echo(sections["model"], tokenizer.vocabulary_size, sections["features"].mels)
    if start is not None:
        _start_from(model, start, mapping, str(init))
    reseed(settings.seed, place)
    extra = {"decode": asdict(sections["decode"]), "train": asdict(settings)}
    bundle = Bundle(model.to(where), tokenizer, sections["features"], sections["text"], extra)
    processes.broadcast(lambda: _make_folder(run))
    reporter = Reporter(run) if place.main else Silent(run)
    trainer = Trainer(bundle, data, validation, settings, run, reporter, sections["decode"], processes)
    if resume:
        trainer.resume()
    else:
        trainer.checkpoint()  # before all else: what has one can be resumed, what has none can be started
    if processes.broadcast(lambda: not all((run / name).is_file() for name in (CONFIG, TOKENIZER, WEIGHTS))):
        state = gather_whole(model.state_dict())
        if place.main:
            bundle.save(run, state)
    seconds = sum(e.utterance.duration for e in data.examples)
    balance = data.balance
    reporter.say(
        f"{corpus}: {len(data.examples)} training utterances ({hours(seconds)}), {len(validation)} for validation"
        f"{'' if own_validation else ' (held out, the corpus has no validation split)'}, "
        f"{tokenizer.vocabulary_size - 1} symbols"
    )
    if place.main and not resume and (merged := merged_words((e.utterance.text for e in data.examples), normalize)):
        reporter.warn(str(merged))
    if not own_validation:
        reporter.say(
            "the utterances held out may be of speakers trained on, so that their errors flatter: echo-asr corpus "
            f"split {corpus} --out FOLDER makes validation and test splits of speakers of their own"
        )
    reporter.say(
        f"model: {model.parameter_count / 1e6:.2f} million parameters on {where}; {settings.max_steps} updates, "
        f"about {settings.max_steps * data.batches_per_update / balance.batches:.1f} epochs"
    )
    reporter.say(str(balance))
    if place.count > 1:
        each = f"{settings.accumulate} batch{'es' * (settings.accumulate > 1)} of each"
        reporter.say(f"{place.count} processes, {each} in an update")
    if resume:
        reporter.say(f"resumed after update {trainer.progress.step} of {settings.max_steps}")
    if not at_once:
        prepare(data, processes, validation)
    try:
        return trainer.train()
    finally:
        reporter.close()


def _tokenizer(
    run: Path, config: TextConfig, texts: list[str], start: Bundle | None, resume: bool
) -> tuple[Tokenizer, dict[int, int]]:
    """The tokenizer of a run, and the new id of every id of the model that it starts from."""
    if resume and (run / TOKENIZER).is_file():
        return Tokenizer.load(run / TOKENIZER), {}
    if start is not None:
        return start.tokenizer.extend(texts)
    return new_tokenizer(texts, config), {}


def new_tokenizer(texts: Sequence[str], settings: TextConfig) -> Tokenizer:
    """The tokenizer of a new model: learnt from normalised training texts, or the ready one that is named."""
    if settings.ready:
        return Tokenizer.load(settings.tokenizer)
    spaced = [*texts, " "] if any(texts) else texts  # texts follow each other, also where each is a single word
    return Tokenizer.train(spaced, settings.tokenizer, settings.vocabulary)


def _make_folder(run: Path) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EchoError(f"{run}: cannot be written ({error.strerror}); choose another --out") from None
    sweep(run)


def prepare(data: TrainingData, processes: Processes, validation: Sequence[Example] = ()) -> list[Example]:
    """Extract all the features that training and validation will read, with a bar; each process does its share.

    Returns:
        what is left to validate on, where broken records are left out and some recordings cannot be read.

    Raises:
        EchoError: a recording cannot be read, or none of those to validate on.
    """
    place = processes.place
    workers = max(1, (os.cpu_count() or 1) // place.local_count)
    count = len(data.examples) * len(set(data.config.perturbations)) + len(validation)
    heard = [e.utterance for e in validation]
    if not place.main:
        unreadable = data.prepare(heard, None, workers, processes.gather)
    else:
        with progress_bar("features", -(-count // place.count)) as advance:
            unreadable = data.prepare(heard, lambda done, total: advance(done, ""), workers, processes.gather)
    left = [e for e in validation if e.utterance.audio not in unreadable]
    if validation and not left:
        raise EchoError(f"{data.corpus.name}: none of the recordings to validate on can be read; mend some of them")
    return left


def check_folder(run: Path, resume: bool) -> None:
    """Make sure that a run can be started (or resumed) in a folder, without making it.

    Raises:
        EchoError: there is something else, nothing to resume, or the folder could not be made.
    """
    above = next(path for path in (run.absolute(), *run.absolute().parents) if path.exists())
    if above != run.absolute() and not (above.is_dir() and os.access(above, os.W_OK)):
        raise EchoError(f"{run}: cannot be written, {above} is no folder that you may write to; choose another --out")
    if resume:
        if not (run / CHECKPOINT).is_file():
            raise EchoError(f"{run}: no run to resume there, no {CHECKPOINT}; leave out --resume to start one")
    elif run.exists() and (not run.is_dir() or any(p.is_file() and p.suffix != ".part" for p in run.rglob("*"))):
        remedy = "go on with --resume, or " if (run / CHECKPOINT).is_file() else ""
        raise EchoError(f"{run}: exists and is not empty; {remedy}choose another --out")


def _start_from(model: Echo, start: Bundle, mapping: dict[int, int], name: str) -> None:
    ours = {**asdict(model.config), "features.mels": model.mels}
    theirs = {**asdict(start.model.config), "features.mels": start.model.mels}
    differ = [k for k in ours if ours[k] != theirs[k] and k not in ("dropout", "ctc_weight")]  # those only train
    if differ:
        raise EchoError(
            f"--init {name}: its model differs from the configuration in {', '.join(differ)}; "
            "take the configuration it was trained with, or train without --init"
        )
    model.load_state_dict(grow_vocabulary(start.model.state_dict(), mapping, model))
