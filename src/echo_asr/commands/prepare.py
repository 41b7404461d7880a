"""`echo-asr prepare`: check a corpus and extract its features ahead of training."""

from __future__ import annotations

import argparse

from echo_asr.commands.arguments import CONFIG, CORPUS, Parser, Subparsers, add_broken, add_command


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "check a corpus, and extract the features that training will read"
    parser = add_command(commands, "prepare", text, run)
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    parser.add_argument("--config", metavar="CONFIG", help=f"what will be trained with: {CONFIG}")
    add_broken(parser)


def run(arguments: argparse.Namespace) -> None:
    """Extract the features of every split, those of `train` in each perturbation that the configuration has; print what
    each split holds, and where the features are. Under torchrun each process does its share."""
    import os
    from contextlib import nullcontext

    from echo_asr.console import counted, hours, print_message, progress_bar
    from echo_asr.data.cache import FeatureCache
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.perturbation import UNPERTURBED
    from echo_asr.data.precompute import fill_recordings
    from echo_asr.data.unreadable import UnreadableRecordings, warn_left_out
    from echo_asr.distributed.device import choose_device
    from echo_asr.distributed.launch import barrier, find_rank
    from echo_asr.features import FeatureExtractor
    from echo_asr.research.sections import SECTIONS
    from echo_asr.train.recipe import read_config

    sections = read_config(arguments.config, sections=SECTIONS)
    corpus = load_corpus(arguments.corpus, arguments.broken)
    extractor = FeatureExtractor(sections["features"])
    if extractor.states is not None:
        extractor.states.device = choose_device()
    cache = FeatureCache(None, extractor, required=True)
    rank = find_rank()
    lines, parts = [], []
    for name in corpus.splits:
        rows = corpus.split(name)
        perturbations = tuple(dict.fromkeys(sections["train"].perturbations if name == "train" else [UNPERTURBED]))
        parts.append((rank.share(rows), perturbations))
        speakers = len({u.speaker for u in rows if u.speaker})
        voices = counted(speakers, "speaker") if speakers else "unknown speakers"
        seconds = sum(u.duration for u in rows)
        lines.append(f"{arguments.corpus}, {name}: {counted(len(rows), 'utterance')}, {hours(seconds)}, {voices}")
    workers = max(1, (os.cpu_count() or 1) // rank.local_count)
    total = sum(len(rows) * len(perturbations) for rows, perturbations in parts)
    with progress_bar("features", total) if rank.main else nullcontext() as advance:
        progress = (lambda done, total: advance(done, "")) if advance else None
        tell = print_message if rank.main else None
        try:
            fill_recordings(cache, parts, progress, workers, tell)
        except UnreadableRecordings as error:
            if arguments.broken == "refuse":
                raise
            warn_left_out(arguments.corpus, sum(len(rows) for rows, _ in parts), error.messages)
    barrier(rank)
    if rank.main:
        print(*lines, f"features are in {cache.root}", sep="\n")
