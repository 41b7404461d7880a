"""What of a contour tells tones of somebody new: `python -m benchmarks.tone_model MODEL CORPUS@leave:A CORPUS@only:A`.

For a model with the states of a pretrained encoder. A tone model (`echo_asr.train.tone_fit`) is fitted to the training
split of the first corpus with some of its measurements alone, or with another reference of F0, and weighs the tones of
the texts that the model recognises in a split of the second. Printed for each as a JSON object: tones that are wrong,
in percent, the difference to the model without it, with its interval over clips, and how many the contour alone has
wrong, of syllables whose text is given. With `--heard 1 3 10` also where F0 is relative to the median of each clip and
of 0, 2 or 9 others before it, as in the middle of a recording.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from echo_asr.data.batch import Example, make_examples
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.speakers import speaker_voices
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.load import load
from echo_asr.decode.tones import weigh_tones
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.tone_errors import count_tone_errors
from echo_asr.features import Features
from echo_asr.features.pitch import REFERENCE_F0
from echo_asr.features.voice import median_f0
from echo_asr.model.tone_model import MEASUREMENTS, POINTS, ToneModel
from echo_asr.research.compare import compare_errors
from echo_asr.train.tone_fit import measured_syllables, pitch_in_noise, train_tones

F0, PERIODICITY, VOICING, ENERGY = (list(range(n * POINTS, (n + 1) * POINTS)) for n in range(4))
REST = list(range(4 * POINTS, MEASUREMENTS))  # duration, and whether it is known who speaks
ALL = [*F0, *PERIODICITY, *VOICING, *ENERGY, *REST]
KEPT = {
    "all": ALL,
    "F0 alone": [*F0, REST[-1]],
    "without F0": [*PERIODICITY, *VOICING, *ENERGY, *REST],
    "energy and duration alone": [*ENERGY, *REST],
}


def fit(measured: np.ndarray, tones: Sequence[str], kept: Sequence[int]) -> ToneModel:
    """A tone model that sees some of the measurements alone."""
    names = sorted(set(tones))
    hidden = np.ones(MEASUREMENTS, dtype=bool)
    hidden[list(kept)] = False
    return train_tones(np.where(hidden, 0.0, measured), np.array([names.index(tone) for tone in tones]), names)


class Split:
    """The clips of a split with what is known of who speaks, and features by reference of F0."""

    def __init__(self, recognizer: Recognizer, cache: FeatureCache, utterances: Sequence[Utterance]) -> None:
        self.voices = dict(
            zip(
                (u.id for u in utterances),
                speaker_voices(utterances, recognizer.extractor, True, cache),
                strict=True,
            )
        )
        self.cache = cache
        self.examples = make_examples(utterances, recognizer.bundle.tokenizer, recognizer.normalize, unknown="skip")

    def f0(self, example: Example, reference: float | None) -> float:
        """The speaker's median F0, or some Hertz instead; 0 for what nobody is known to have."""
        return self.voices[example.utterance.id].f0 if reference is None else reference

    def features(self, example: Example, reference: float | None = None) -> Features:
        """Features relative to the speaker, or to some Hertz."""
        found = self.cache.features(example.utterance.audio, voice=self.voices[example.utterance.id])
        return replace(found, speaker_f0=self.f0(example, reference))

    def noisy(self, example: Example, reference: float | None = None) -> Features:
        """Pitch in the noise of training, relative to the same."""
        return pitch_in_noise(self.cache.extractor, example.utterance.audio, self.f0(example, reference))


def main() -> None:
    parser = model_and_corpus("tone_model", __doc__ or "")
    parser.add_argument("other", help="corpus that is measured")
    parser.add_argument("--clips", type=int, default=2000, help="of it, at most (default 2000)")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0], help="decode.tone_weight (default 1)")
    parser.add_argument("--heard", type=int, nargs="*", default=[], help="clips of a voice that were heard")
    arguments = parser.parse_args()
    if min(arguments.heard, default=1) < 1:
        parser.error("--heard: at least 1, the clip itself")
    torch.set_num_threads(1)
    recognizer = load(arguments.model, "cpu")
    recognizer.bundle.tones = None
    cache, notation = FeatureCache(None, recognizer.extractor), recognizer.bundle.text.notation
    assert notation is not None, "a model of texts with tones"
    training = Split(recognizer, cache, load_corpus(arguments.corpus).split("train"))
    tested = load_corpus(arguments.other).split(arguments.split)
    chosen = np.random.default_rng(0).permutation(len(tested))[: arguments.clips]
    split = Split(recognizer, cache, [tested[i] for i in sorted(chosen.tolist())])
    references = [example.text for example in split.examples]
    clips = [split.features(example) for example in split.examples]
    heard = [segment.text for segment in recognizer.recognize(clips)]
    with torch.inference_mode():
        batches = [(group, recognizer.encode([clips[i] for i in group])) for group in batches_to_search(clips)]
    before = count_tone_errors(references, heard, notation)[0]
    tokens = [recognizer.bundle.tokenizer.encode(text) for text in heard]
    print(json.dumps({"tone model": "none", "clips": len(clips), **_rates(before, before)}), flush=True)

    def show(tone_model: ToneModel, f0: Sequence[float], arm: dict[str, object]) -> None:
        """Weigh the tones by contours relative to so many Hertz in each clip, and print what is wrong then."""
        for weight in arguments.weights:
            texts = list(heard)
            bundle = replace(recognizer.bundle, tones=tone_model)
            for group, encoded in batches:
                batch = [replace(clips[i], speaker_f0=f0[i]) for i in group]
                found = weigh_tones(bundle, batch, encoded, [tokens[i] for i in group], weight)
                for i, ids in zip(group, found, strict=True):
                    texts[i] = recognizer.bundle.tokenizer.decode(ids)
            after = count_tone_errors(references, texts, notation)[0]
            print(json.dumps({**arm, "weight": weight, **_rates(after, before)}), flush=True)

    for reference in (None, REFERENCE_F0, 0.0):
        measured, tones = measured_syllables(
            recognizer,
            training.examples,
            partial(training.features, reference=reference),
            partial(training.noisy, reference=reference),
        )[:2]
        own, given = measured_syllables(recognizer, split.examples, partial(split.features, reference=reference))[:2]
        known = own[:, -1] == float(reference != 0.0)
        name = {None: "speaker", REFERENCE_F0: f"{REFERENCE_F0:g} Hz", 0.0: "recording"}[reference]
        for kept, columns in KEPT.items() if reference is None else [("all", ALL)]:
            tone_model = fit(measured, tones, columns)
            best = np.array(tone_model.names)[tone_model.log_probabilities(own[known]).argmax(1)]
            alone = round(100.0 * float(np.mean(best != np.array(given)[known])), 1)
            of_each = [split.f0(example, reference) for example in split.examples]
            show(tone_model, of_each, {"tone model": kept, "F0 relative to": name, "contour alone": alone})
            if reference is None and kept == "all":
                for count in arguments.heard:
                    recent = [
                        median_f0(
                            torch.cat([clips[(number - before) % len(clips)].pitch[0] for before in range(count)])
                        )
                        for number in range(len(clips))
                    ]
                    show(tone_model, recent, {"tone model": kept, "F0 relative to": f"{count} clips"})


def _rates(errors: np.ndarray, baseline: np.ndarray) -> dict[str, object]:
    """The share of tones that are wrong, and how it differs from a baseline."""
    ours, theirs = errors[:, :3].sum(1), baseline[:, :3].sum(1)
    found: dict[str, object] = {"tones": round(100.0 * float(ours.sum() / errors[:, 3].sum()), 2)}
    if errors is not baseline:
        compared = compare_errors(ours[None], theirs[None], errors[:, 3], range(len(errors)))
        found["relative"] = None if compared.relative is None else round(compared.relative, 1)
        found["ci95"] = [round(end, 1) for end in compared.relative_interval or ()]
    return found


if __name__ == "__main__":
    main()
