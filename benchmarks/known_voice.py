"""How many recordings make a voice known: `python -m benchmarks.known_voice MODEL CORPUS@only:NAME`.

For a model whose states are relative to the speaker: errors on a split of one person where each recording is heard by
itself, and where the voice is known from so many others, of the training split, without their texts.
"""

from __future__ import annotations

import numpy as np

from benchmarks.arguments import model_and_corpus
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.results import Transcription
from echo_asr.evaluate.metrics import error_rate
from echo_asr.evaluate.tone_errors import tone_errors
from echo_asr.features.voice import UNKNOWN
from echo_asr.research.f0_controls import load_recognizer


def main() -> None:
    """Print the errors for each number of recordings."""
    parser = model_and_corpus("known_voice", __doc__ or "")
    parser.add_argument("--known", type=int, nargs="+", default=[0, 5, 20, 100], help="recordings that are known")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    recognizer = load_recognizer(arguments.model, "cpu")
    corpus = load_corpus(arguments.corpus)
    rows, others = corpus.split(arguments.split), corpus.split("train")
    order = np.random.default_rng(arguments.seed).permutation(len(others))
    normal = recognizer.normalize
    references = [normal(row.text) for row in rows]
    notation = recognizer.bundle.text.measured_notation(references)
    for count in arguments.known:
        heard = [others[number] for number in order[:count]]
        voice = recognizer.voice([one.audio for one in heard]) if heard else UNKNOWN
        voices = [voice] * len(rows)
        found = [
            normal(result.said)
            for _, result in recognizer.transcribe_each([row.audio for row in rows], words=False, voices=voices)
            if isinstance(result, Transcription)
        ]
        seconds = sum(one.duration for one in heard)
        tones = f"; tones {tone_errors(references, found, notation).tone}" if notation else ""
        print(f"{count} recordings, {seconds:.0f} s: words {error_rate(references, found)}{tones}", flush=True)


if __name__ == "__main__":
    main()
