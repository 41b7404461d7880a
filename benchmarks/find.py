"""Words found in joined recordings: `python -m benchmarks.find MODEL CORPUS [--words 100] [--seeds 5] [--json]`.

The clips of the validation split are divided in two at random, clips of one text in one half. The calibrations are
fitted to one half; the clips of the other are joined in random order, with pauses of 0.3 to 1 s, noise as loud as the
softest frames of the next clip, and words drawn from the texts of both halves are looked for in it. Then the halves
change places.

`text` is what is found by searching the text that the model recognises; it makes so many false alarms. `find` is how
many of the spoken words are among the places of `WordSearch` at the same number of false alarms, and `sure` at a
probability of 0.5. `like` is the same of `ExampleSearch`, for words of which the first half has a clip: of `--speaker`
where one is named, whose clips are then not in the joined recording, and of whose texts the words are then drawn. A
place is right if its middle lies within a clip whose text has the word, as often as it has it. Intervals are of a
bootstrap over words.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from benchmarks.joined_alignment import PAUSES, noise
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, frames_to_seconds, samples_to_seconds, seconds_to_samples
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.partition import stratified_sample
from echo_asr.decode.batches import GROUP_SECONDS, batches_to_search
from echo_asr.decode.example_search import DEFAULT, Example, likenesses, make_example
from echo_asr.decode.gather import gather_speech
from echo_asr.decode.heard_voice import HeardVoices
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment
from echo_asr.decode.segments import SpeechSegment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_search import WordSearch
from echo_asr.errors import EchoError
from echo_asr.evaluate.calibration import expected_calibration_error
from echo_asr.evaluate.finding import KnownBatch, cut_out, fit_alike, fit_found, known_batches
from echo_asr.features import Features

DRAWS = 2000  # of the bootstrap
EXAMPLES = (1, 3)  # of a word, at most, that are looked for together


@dataclass
class Clip:
    """A clip with its normalised text, and where it is in the joined recording, in seconds."""

    utterance: Utterance
    text: str
    samples: np.ndarray
    features: Features
    recognised: Segment
    start: float = 0.0
    end: float = 0.0

    def times(self, word: str) -> int:
        """How often the word is spoken in it."""
        return f" {self.text} ".replace(" ", "  ").count(f" {word.replace(' ', '  ')} ")


Places = list[tuple[str, float, float]]  # word, middle in seconds, score


def judged(places: Places, clips: Sequence[Clip], words: set[str]) -> list[tuple[str, bool, float]]:
    """The places by descending score: the word, whether it is right, and the score."""
    left = Counter({(number, word): clip.times(word) for number, clip in enumerate(clips) for word in words})
    starts = np.array([clip.start for clip in clips])
    found = []
    for word, middle, score in sorted(places, key=lambda place: -place[2]):
        number = int(np.searchsorted(starts, middle, side="right")) - 1
        right = number >= 0 and middle <= clips[number].end and left[number, word] > 0
        if right:
            left[number, word] -= 1
        found.append((word, right, score))
    return found


def until(ranked: Sequence[tuple[str, bool, float]], alarms: int) -> Counter[str]:
    """The right places of each word among those with so many wrong ones before them."""
    right: Counter[str] = Counter()
    wrong = 0
    for word, is_right, _ in ranked:
        wrong += not is_right
        if wrong > alarms:
            break
        right[word] += is_right
    return right


def join(clips: Sequence[Clip], rng: np.random.Generator) -> np.ndarray:
    """The clips one after another with pauses; their times are noted."""
    parts: list[np.ndarray] = []
    size = 0
    for clip in clips:
        pause = noise(clip.samples, seconds_to_samples(rng.uniform(*PAUSES)), rng)
        clip.start = samples_to_seconds(size + len(pause))
        size += len(pause) + len(clip.samples)
        clip.end = samples_to_seconds(size)
        parts += [pause, clip.samples]
    return np.concatenate(parts)


def halves(clips: Sequence[Clip], rng: np.random.Generator) -> tuple[list[Clip], list[Clip]]:
    texts = sorted({clip.text for clip in clips})
    first = set(rng.permutation(texts)[: len(texts) // 2].tolist())
    return [c for c in clips if c.text in first], [c for c in clips if c.text not in first]


@torch.inference_mode()
def search(
    recognizer: Recognizer,
    audio: np.ndarray,
    words: Sequence[str],
    examples: dict[int, dict[str, Sequence[Example]]],
) -> tuple[dict[str, Places], dict[str, set[str]]]:
    """The places of the recognised text, of `WordSearch` and of `ExampleSearch` with each number of examples; and the
    words that there are examples of."""
    words_search, step = WordSearch(recognizer, words, 0.0), recognizer.bundle.model.config.subsampling
    alike = recognizer.bundle.alike or DEFAULT
    ways = {f"like {most}": own for most, own in examples.items()}
    found: dict[str, Places] = {name: [] for name in ("text", "find", *ways)}
    heard = HeardVoices(recognizer.extractor, recognizer.pitch_by_speaker)
    for waiting in gather_speech([audio], None, recognizer.decode.segments, GROUP_SECONDS):
        starts = [item.start for _, item in waiting if isinstance(item, SpeechSegment)]
        features = heard.features(waiting)
        for group in batches_to_search(features):
            clips = [features[i] for i in group]
            encoded = recognizer.encode(clips)
            segments = recognizer.recognize_encoded(clips, encoded, words=True)
            for number, own in zip(group, words_search.hits(encoded, segments), strict=True):
                for hit in own:
                    middle = starts[number] + (hit.spot.start + hit.spot.end) / 2
                    place = (words[hit.keyword], middle, words_search.calibration(hit.measured))
                    found["find"].append(place)
                    if hit.spot.probability:
                        found["text"].append(place)
            for way, word, known in [(way, word, some) for way, all_ in ways.items() for word, some in all_.items()]:
                for number, likely in zip(group, likenesses(recognizer, known, encoded, alike), strict=True):
                    for one in likely:
                        middle = starts[number] + frames_to_seconds((one.first + one.last + 1) / 2 * step)
                        found[way].append((word, middle, alike(one.measured)))
    return found, {way: set(own) for way, own in ways.items()}


def examples_of(
    recognizer: Recognizer, batches: Sequence[KnownBatch], words: Sequence[str], most: int, allowed: set[int]
) -> dict[str, Sequence[Example]]:
    """Up to `most` examples of each word, cut out of clips at the times of an alignment; whole clips of one word."""
    found: dict[str, list[Example]] = {}
    for batch in batches:
        for row, spoken in enumerate(batch.spoken):
            for word in spoken.words:
                known = found.setdefault(word.word, [])
                if word.word in words and len(known) < most and batch.numbers[row] in allowed:
                    clip = batch.clips[row]
                    with suppress(EchoError):
                        known.append(make_example(recognizer, clip if len(spoken.words) == 1 else cut_out(clip, word)))
    return {word: found[word] for word in words if found.get(word)}


@dataclass
class Half:
    """What is found in a joined recording: the places of each way, and the words that each way looks for."""

    clips: Sequence[Clip]
    words: Sequence[str]
    seconds: float
    places: dict[str, Places]
    examples: dict[str, set[str]]

    def counts(self, words: set[str], ways: Sequence[str]) -> tuple[dict[str, list[int]], int]:
        """For each of the words how often it is spoken, found by the text, and by each way at as many false alarms
        as the text has; and these."""
        of_text = judged([p for p in self.places["text"] if p[0] in words], self.clips, words)
        alarms = sum(not right for _, right, _ in of_text)
        found = [Counter(word for word, right, _ in of_text if right)]
        for way in ways:
            found.append(until(judged([p for p in self.places[way] if p[0] in words], self.clips, words), alarms))
        spoken = {word: sum(clip.times(word) for clip in self.clips) for word in words}
        return {word: [spoken[word], *(own[word] for own in found)] for word in words}, alarms


def measure_half(
    recognizer: Recognizer, known: Sequence[Clip], other: Sequence[Clip], words: Sequence[str], speaker: str,
    most_words: int, rng: np.random.Generator,
) -> Half:  # fmt: skip
    """What is found in the joined clips `other` with calibrations, and examples, of `known`."""
    hour = [
        replace(other[i]) for i in rng.permutation(len(other)) if not speaker or other[i].utterance.speaker != speaker
    ]
    features = [clip.features for clip in known]
    batches = known_batches(recognizer, [clip.text for clip in known], features, [clip.recognised for clip in known])
    recognizer.bundle.found = fit_found(recognizer, batches)
    recognizer.bundle.alike = fit_alike(recognizer, batches)
    allowed = {i for i, clip in enumerate(known) if not speaker or clip.utterance.speaker == speaker}
    spoken = {word for i in allowed for word in known[i].text.split()}
    known_words = [word for word in words if word in spoken][:most_words]
    examples = {most: examples_of(recognizer, batches, known_words, most, allowed) for most in EXAMPLES}
    audio = join(hour, rng)
    return Half(hour, words, len(audio) / SAMPLE_RATE, *search(recognizer, audio, words, examples))


def shares(rows: Sequence[list[int]], rng: np.random.Generator) -> list[dict[str, object]]:
    """Per cent of the spoken words that each way finds, and what it finds more than the text, with 95 % intervals of a
    bootstrap over the rows, one a word and half."""
    table = np.array(rows, dtype=np.float64)
    drawn = table[rng.integers(len(table), size=(DRAWS, len(table)))].sum(1)
    rates, whole = 100 * drawn[:, 1:] / drawn[:, :1], 100 * table[:, 1:].sum(0) / table[:, 0].sum()
    found = []
    for way in range(table.shape[1] - 1):
        more = rates[:, way] - rates[:, 0]
        found.append({
            "found": round(float(whole[way]), 1),
            "interval": np.percentile(rates[:, way], (2.5, 97.5)).round(1).tolist(),
            "more": round(float(whole[way] - whole[0]), 1),
            "more_interval": np.percentile(more, (2.5, 97.5)).round(1).tolist(),
        })  # fmt: skip
    return found


def report(halves: Sequence[Half], rng: np.random.Generator) -> dict[str, object]:
    """The figures of all halves of all seeds together."""
    hours = sum(half.seconds for half in halves) / 3600
    result: dict[str, object] = {"hours": round(hours, 3)}
    for name, ways in (("words", ["find"]), *((way, ["find", way]) for way in halves[0].examples)):
        rows, alarms = list[list[int]](), 0
        for half in halves:
            asked = set(half.words) if name == "words" else half.examples[name]
            found, wrong = half.counts(asked, ways)
            rows += found.values()
            alarms += wrong
        spoken = sum(row[0] for row in rows)
        figures = dict(zip(["text", *ways], shares(rows, rng), strict=True)) if spoken else {}
        result[name] = {"spoken": spoken, "alarms_an_hour": round(alarms / hours, 1), **figures}
    scored = [one for half in halves for one in judged(half.places["find"], half.clips, set(half.words))]
    sure = [right for _, right, p in scored if p >= 0.5]
    spoken = sum(clip.times(word) for half in halves for clip in half.clips for word in half.words)
    rated, right = np.array([p for *_, p in scored]), np.array([r for _, r, _ in scored])
    result["sure"] = {
        "found": round(100 * sum(sure) / max(1, spoken), 1),
        "alarms_an_hour": round((len(sure) - sum(sure)) / hours, 1),
        "ece": round(expected_calibration_error(rated, right), 4),
        "mean_probability": round(float(np.mean([p for *_, p in scored if p >= 0.5])), 3),
        "right": round(float(np.mean(sure)), 3),
    }  # fmt: skip
    return result


def main() -> None:
    parser = model_and_corpus("find", __doc__ or "")
    parser.add_argument("--words", type=int, default=100, help="drawn for each seed (default 100)")
    parser.add_argument("--seeds", type=int, default=5, help="from 0 (default 5)")
    parser.add_argument("--clips", type=int, default=0, help="of the split, at most (default all)")
    parser.add_argument("--examples", type=int, default=20, help="words looked for by examples, at most (default 20)")
    parser.add_argument("--speaker", default="", help="of the examples, and not in the joined recordings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    recognizer = load(arguments.model, "cpu")
    utterances = list(load_corpus(arguments.corpus).split(arguments.split))
    if arguments.clips:
        utterances = stratified_sample(utterances, arguments.clips)
    clips = []
    for utterance in utterances:
        samples = load_audio(utterance.audio)
        features = recognizer.extractor(samples)
        (recognised,) = recognizer.recognize([features], words=True)
        clips.append(Clip(utterance, recognizer.normalize(utterance.text), samples, features, recognised))
    named = [clip for clip in clips if arguments.speaker in ("", clip.utterance.speaker)]
    vocabulary = sorted({word for clip in named for word in clip.text.split()})
    found: list[Half] = []
    for seed in range(arguments.seeds):
        rng = np.random.default_rng(seed)
        words = rng.permutation(vocabulary)[: arguments.words].tolist()
        first, second = halves(clips, rng)
        for known, other in ((first, second), (second, first)):
            found.append(measure_half(recognizer, known, other, words, arguments.speaker, arguments.examples, rng))
    figures = report(found, np.random.default_rng(0))
    seconds = round(time.process_time() - began)
    print(json.dumps({**vars(arguments), **figures, "cpu_seconds": seconds}))


if __name__ == "__main__":
    main()
