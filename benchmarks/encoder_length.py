"""What a Whisper encoder makes of a recording at its own length, beside what it makes of it padded to 30 seconds.

    python -m benchmarks.encoder_length ENCODER CORPUS [SECONDS ...]

Clips are the first so many seconds of a corpus's recordings, cut wherever that is; 0 stands for whole recordings. Their
states are standardised by dimension, as a model gets them, and compared with those of the clip padded to 30 s, which is
what Whisper was trained on: the mean cosine similarity over states, and over the last five of each clip, where
the padding begins. Then the same with tails of zeros, and the seconds of audio that are encoded in a CPU second.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, pad

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.data.corpus import load_corpus
from echo_asr.data.partition import stratified_sample
from echo_asr.features.states import default_layers
from echo_asr.features.voice import Standard
from echo_asr.pretrained import SpeechEncoder, build

TAILS = (0.0, 0.25, 0.5, 1.0, 2.0)  # s
WHOLE = 30.0  # s
LAST = 5  # states
CLIPS = 24


def states(encoder: SpeechEncoder, clip: Tensor, tail: float, layer: int) -> Tensor:
    """States `(N, C)` of a clip `(S,)` followed by `tail` seconds of zeros, those of the clip itself."""
    longer = pad(clip, (0, round(tail * SAMPLE_RATE)))
    (found,) = encoder.states(longer[None], torch.tensor([len(longer)]), (layer,))
    return found[0, : int(encoder.count(torch.tensor([len(clip)])))]


@torch.inference_mode()
def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("seconds", type=float, nargs="*", default=[0.0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoder = build(arguments.encoder)
    rows = load_corpus(arguments.corpus).split("train")
    print("| clip | layer | tail | similarity | of the last states | s of audio a CPU second |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seconds in arguments.seconds:
        long = [u for u in rows if u.duration >= seconds]
        chosen = stratified_sample(long, CLIPS)
        clips = [torch.from_numpy(load_audio(u.audio)) for u in chosen]
        clips = [clip[: round(seconds * SAMPLE_RATE)] if seconds else clip for clip in clips]
        clips = [clip / clip.abs().max() for clip in clips]
        spoken = samples_to_seconds(sum(map(len, clips)))
        for layer in default_layers(encoder.layers):
            whole = [states(encoder, clip, WHOLE - samples_to_seconds(len(clip)), layer) for clip in clips]
            standard = Standard.fit(one.T for one in whole)
            for tail in TAILS:
                began = time.process_time()
                found = [states(encoder, clip, tail, layer) for clip in clips]
                rate = spoken / (time.process_time() - began)
                alike = [
                    cosine_similarity(standard(one.T), standard(other.T), dim=0)
                    for one, other in zip(found, whole, strict=True)
                ]
                mean, last = (
                    float(torch.stack(part).mean())
                    for part in zip(*((a.mean(), a[-LAST:].mean()) for a in alike), strict=True)
                )
                name = f"{seconds:g} s" if seconds else "whole"
                print(f"| {name} | {layer} | {tail:g} s | {mean:.3f} | {last:.3f} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
