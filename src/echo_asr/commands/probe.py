"""`echo-asr probe`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

from echo_asr.commands.arguments import CORPUS, Parser, Subparsers, add_broken, add_command
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.research.probe.layers import Comparison, Probed

RECIPE = "pretrained"
HEADS = {"character": "characters", "base": "syllables without tone", "tone": "tones"}


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "recommend the layers of a pretrained encoder that a model should read, on a corpus"
    parser = add_command(commands, "probe", text, run, options=True)
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    parser.add_argument("--encoder", required=True, metavar="NAME", help="hub name or folder, as of features.states")
    parser.add_argument("--minutes", type=float, default=10.0, help="of speech to train on (default 10)")
    parser.add_argument("--updates", type=int, default=600, help="of the probe of each layer (default 600)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of utterances and of the probes (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_broken(parser)
    parser.epilog = "Options of the texts can follow, e.g. --text.tones diacritics."


def run(arguments: argparse.Namespace) -> None:
    """Compare the layers, and print a table and what to train with."""
    from echo_asr.config import build_sections
    from echo_asr.console import print_table, progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.pretrained.source import find
    from echo_asr.research.probe.layers import LayerProbing
    from echo_asr.research.probe.part import ProbedPart
    from echo_asr.text.config import TextConfig

    for name, least in (("minutes", 0.1), ("updates", 10)):
        if not getattr(arguments, name) >= least:
            raise EchoError(f"--{name}: expected at least {least}, got {getattr(arguments, name)}")
    began = time.perf_counter()
    text = build_sections({}, {"text": TextConfig}, arguments.changes, "options")["text"]
    corpus = load_corpus(arguments.corpus, arguments.broken)
    part = ProbedPart(corpus, find(arguments.encoder), text, arguments.minutes, arguments.seed)
    trained, validated = (f"{seconds / 60:.1f} min" for seconds in part.seconds)
    about = f"{len(part.layers)} layers, {trained} of training speech and {validated} of validation"
    print(f"echo-asr probe: {about}: {part.bytes_needed / 1e6:.0f} MB of memory", file=sys.stderr)
    with progress_bar("states", len(part.training) + len(part.validation)) as advance:
        states = part.extract(lambda done: advance(done, ""))
    probing = LayerProbing(part, states, arguments.seed, arguments.updates)
    done: list[Probed] = []
    with progress_bar("layers", len(part.layers)) as advance:

        def note(probed: Probed) -> None:
            done.append(probed)
            advance(min(len(done), len(part.layers)), "")  # and then pairs, whose number is not known before

        found = probing.compare(note)
    seconds = time.perf_counter() - began
    if arguments.json:
        print(json.dumps(_record(arguments, part.seconds, found, seconds)))
        return
    names = list(found.chosen.rates)
    rows = [(_layers(one), *(_rate(one, name) for name in names), _mark(one, found)) for one in done]
    title = f"{arguments.encoder} on {arguments.corpus}: errors in %, with 95 % intervals"
    print_table(title, ("layer", *(HEADS[name] for name in names), ""), rows, _verdict(found, seconds))
    print(_command(arguments, found))


def _layers(one: Probed) -> str:
    return " and ".join(map(str, one.layers))


def _rate(one: Probed, name: str) -> str:
    rate = one.rates[name]
    return f"{rate.percent:.1f} ({rate.ci95[0]:.1f} to {rate.ci95[1]:.1f})"


def _mark(one: Probed, found: Comparison) -> str:
    best = [f"best for {HEADS[name]}" for name in one.rates if one is found.best(name)]
    return "; ".join([*best, *(["recommended"] if one is found.chosen else [])])


def _verdict(found: Comparison, seconds: float) -> str:
    """In words, whether a pair is worth its price."""
    pair = found.best_pair
    better = "are better than" if found.chosen is pair else "are not shown to be better than"
    compared = f"layers {_layers(pair)} together {better} layer {_layers(found.best())}"
    return f"{compared} by itself (p = {found.p:.2g}); {seconds:.0f} s in all"


def _command(arguments: argparse.Namespace, found: Comparison) -> str:
    """What to train with."""
    layers = json.dumps(list(found.chosen.layers))
    words = ["echo-asr", "train", RECIPE, "--corpus", arguments.corpus, "--out", "RUN"]
    words += ["--features.states", arguments.encoder, "--features.encoder_layers", layers]
    for option, value in arguments.changes.items():
        words += [f"--{option}", str(value)]
    return shlex.join(words)


def _record(
    arguments: argparse.Namespace, lengths: tuple[float, float], found: Comparison, seconds: float
) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "corpus": arguments.corpus,
        "encoder": arguments.encoder,
        "speech_seconds": dict(zip(("training", "validation"), (round(x, 1) for x in lengths), strict=True)),
        "layers": [one.to_dict() for one in found.single],
        "pairs": [one.to_dict() for one in found.pairs],
        "recommended": list(found.chosen.layers),
        "p": found.p,
        "seconds": round(seconds, 1),
        "command": _command(arguments, found),
    }
