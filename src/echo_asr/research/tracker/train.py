"""Trains the pitch tracker: `python -m echo_asr.research.tracker.train CORPUS OUT [--minutes 20] [--clips 1500]`.

It learns from the training split of a corpus (of Echo's own weights: `arctic`, CC0), from speech of espeak-ng (the
extra `echo-asr[synth]`) and from voices made of formants, all synthesised with an F0 that is known. OUT is the file of
weights; the clips are kept beside it, for another training. It takes one thread, and as many minutes as told once the
clips are made.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from echo_asr.audio import load_audio
from echo_asr.audio.convert import HOP
from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError
from echo_asr.features.pitch.network import BEFORE, CANDIDATES, FIRST, OCTAVE, PitchNetwork, samples_of
from echo_asr.research.tracker.corruption import Corruption
from echo_asr.research.tracker.pool import FRAMES, SAMPLES, Clips, make_clips, make_noises
from echo_asr.storage import pack, replace_file, unpack

BATCH = 8  # clips
RECORDINGS = 250  # of the corpus that are read, at most
NOISES = 300  # clips
RATE, WARM_UP = 4e-3, 0.03  # of learning, and the share of the time in which it rises
SPREAD = 1.0  # candidates, standard deviation of the target about F0
AVERAGED = 0.995  # decay of the averaged weights, which are those that are saved
SHOWN = 25  # updates between two lines of progress
CROP = 120  # frames of an update


def padded(audio: Tensor) -> Tensor:
    """Clips with as much silence around them as the network needs for all of their frames."""
    return functional.pad(audio, (BEFORE, BEFORE - HOP))


def losses(net: PitchNetwork, audio: Tensor, known: list[Tensor], has_voice: Tensor) -> dict[str, Tensor]:
    """Cross-entropies of F0, of voicing and of creak, each a mean over the frames that count."""
    f0, voiced, creak, sure, creak_sure = known
    scores, voicing, creaky = net.scores(audio)
    wanted = OCTAVE * (f0 / FIRST).log2()
    distance = torch.arange(CANDIDATES) - wanted[..., None]
    target = torch.exp(-0.5 * (distance / SPREAD) ** 2)
    target = target / target.sum(dim=-1, keepdim=True)
    voiced = voiced * has_voice[:, None]
    each = -(target * scores.log_softmax(dim=-1)).sum(dim=-1)
    weight = voiced * sure
    sure = torch.where(has_voice[:, None], sure, 1.0)
    creak_weight = creak_sure * has_voice[:, None]
    own = functional.binary_cross_entropy_with_logits
    return {
        "f0": (each * weight).sum() / weight.sum().clamp(min=1.0),
        "voicing": own(voicing, voiced, sure),
        "creak": own(creaky, creak, creak_weight, reduction="sum") / creak_weight.sum().clamp(min=1.0),
    }


def train(
    clips: Clips, noises: np.ndarray, minutes: float, rate: float = RATE, start: Path | None = None, seed: int = 0
) -> Iterator[dict[str, Tensor]]:
    """Train for so many minutes: the averaged weights, now and then and at the end."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = PitchNetwork()
    if start is not None:
        net.load_state_dict({name: value.float() for name, value in unpack(start.read_bytes()).items()})
    average = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3, betas=(0.9, 0.98))
    corrupt = Corruption(noises, generator)
    samples, *labels = (torch.from_numpy(value) for value in astuple(clips))
    began, step = time.monotonic(), 0
    shown: dict[str, float] = {}
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        rows = torch.randint(len(samples), (BATCH,), generator=generator)
        audio, has_voice = corrupt(samples[rows].float())
        audio, known = padded(audio), [label[rows].float() for label in labels]
        for begin in range(0, FRAMES, CROP):  # which keeps all in the processor's cache
            crop = audio[:, begin * HOP : begin * HOP + samples_of(CROP)]
            found = losses(net, crop, [label[:, begin : begin + CROP] for label in known], has_voice)
            loss = found["f0"] + 2.0 * found["voicing"] + 0.3 * found["creak"]
            for group in optimizer.param_groups:
                group["lr"] = rate * min(share / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * share))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimizer.step()
        step += 1
        decay = min(AVERAGED, step / (step + 10))
        with torch.no_grad():
            for name, weight in net.named_parameters():
                average[name].lerp_(weight, 1 - decay)
        for name, one in found.items():
            shown[name] = 0.98 * shown.get(name, float(one.detach())) + 0.02 * float(one.detach())
        if step % SHOWN == 0:
            yield average
            print(f"{share:6.1%} {step:6d} " + "  ".join(f"{k} {v:.3f}" for k, v in shown.items()), flush=True)
    yield average


def load_clips(corpus: str, kept: Path, count: int) -> tuple[Clips, np.ndarray]:
    """The clips and noises, from a file where they are kept already."""
    if not kept.is_file():
        rows = [row for row in load_corpus(corpus).split("train") if row.text.strip()]
        drawn = np.random.default_rng(0).permutation(len(rows))[:RECORDINGS]
        recordings = [load_audio(rows[row].audio) for row in drawn]
        clips = make_clips(recordings, [rows[row].text for row in drawn], count, seed=1)
        np.savez(kept, noises=make_noises(NOISES, seed=2), **vars(clips))
    with np.load(kept) as found:
        return Clips(**{name: found[name] for name in found.files if name != "noises"}), found["noises"]


def save(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights in float16; the file appears whole or not at all."""
    packed = pack({name: value.half() for name, value in weights.items()})
    replace_file(path, lambda part: part.write_bytes(packed))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m echo_asr.research.tracker.train", description=__doc__)
    parser.add_argument("corpus", metavar="CORPUS", help="of which the training split is used")
    parser.add_argument("out", type=Path, metavar="OUT", help="the file of weights: NAME.safetensors")
    parser.add_argument("--minutes", type=float, default=20.0, help="that it trains (default 20)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"of learning, the highest (default {RATE:g})")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to go on from (default none)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of clips and of what is done to them")
    parser.add_argument("--clips", type=int, default=1500, help="of voices (default 1500)")
    arguments = parser.parse_args()
    if arguments.start is not None and not arguments.start.is_file():
        parser.error(f"--start: {arguments.start}: no such file; give weights of this network, NAME.safetensors")
    if not arguments.out.parent.is_dir():
        parser.error(f"OUT: {arguments.out.parent}: no such folder; make it first")
    torch.set_num_threads(1)
    try:
        clips, noises = load_clips(arguments.corpus, arguments.out.with_suffix(".npz"), arguments.clips)
    except EchoError as error:
        parser.exit(1, f"{error}\n")
    assert clips.samples.shape[1] == SAMPLES
    for weights in train(clips, noises, arguments.minutes, arguments.rate, arguments.start, arguments.seed):
        save(weights, arguments.out)


if __name__ == "__main__":
    main()
