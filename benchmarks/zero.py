"""Null frames in the attention of a trained model: `python -m benchmarks.zero MODEL CORPUS [--split validation]`.

For every attention: the learnt factor of nulls (gamma), the share of keys that are null, the share of attention that
they get, and that of the start token. Prints one JSON object a layer.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from echo_asr.audio import load_audio
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.load import load
from echo_asr.research.diagnose.zero import zero_shares


def main() -> None:
    parser = model_and_corpus("zero", __doc__)
    parser.add_argument("--clips", type=int, default=100, help="of it, at most (default 100)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recognizer, rows = load(arguments.model, "cpu"), load_corpus(arguments.corpus).split(arguments.split)
    chosen = np.random.default_rng(0).permutation(len(rows))[: arguments.clips]
    features = [recognizer.extractor(load_audio(rows[i].audio)) for i in chosen]
    for found in zero_shares(recognizer, features):
        row = dataclasses.asdict(found)
        row["gamma"] = [float(f"{gamma:.3g}") for gamma in found.gamma]
        for name in ("null_keys", "null_share", "start_share"):
            row[name] = None if row[name] is None else round(row[name], 5)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
