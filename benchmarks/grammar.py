"""Clips of a corpus as sentences of a grammar: `python -m benchmarks.grammar MODEL CORPUS [--joined MINUTES]`.

The grammar has that many different texts of the corpus, drawn at random, or all of them; clips with another text should
be rejected. Where more are asked for than the clips have, texts of the other splits, and pairs of any, are added.
Printed as one JSON object, in percent with 95 % intervals: clips that are wrong in a free search, and as a sentence of
the grammar at any probability (`wrong`); false accepts where 1 % of the clips of the grammar are rejected, and where
the model's own threshold is (`decode.reject`), of other clips and of noise an hour; CPU seconds of both searches,
features not included, without noise, and of the compilation. `--each` reads several splits (`train` is for speakers who
were left out of training).

With `--strings` two to six clips of single digits of one speaker follow each other, with pauses of 0.05 to 0.2 s, and
are heard as a number of that many digits at most: how many strings of digits are wrong in a free search, and by the
grammar.

With `--joined` clips follow each other with pauses of 0.8 to 1.5 s of noise, as loud as their softest frames are in the
median, until they have been joined to so many minutes. Printed is how many have another text than the clip alone, of
which the model knows the voice as it does in the recording (`other`) or does not (`other, unknown voice`), and how many
are wrong in each way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from benchmarks.joined_alignment import noise, softest_level, steady_noise
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, seconds_to_samples
from echo_asr.audio.load import Audio
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.grammar import NOISE_CLIPS, NOISE_SECONDS, Accepted, Share, noises
from echo_asr.text.grammar import Grammar
from echo_asr.text.written import written

PAUSES = (0.8, 1.5)  # seconds
DEFAULT = 200  # sentences
LOST = 0.01  # share of the sentences that may be rejected
SPECIAL = "\\[]()|{}<>:;#*=@"
DIGITS = "zero one two three four five six seven eight nine".split()
LONGEST, BETWEEN = 6, (0.05, 0.2)  # digits of a string, and seconds between them


def fill(sentences: Sequence[str], wanted: int, others: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Sentences, and others until there are as many as wanted, then pairs of these."""
    found = list(dict.fromkeys([*sentences, *others]))[: max(wanted, len(sentences))]
    known, single = set(found), len(found)
    if wanted > single + single**2 // 2:
        raise SystemExit(f"--sentences: the corpus has {single} texts, too few for {wanted} sentences")
    while len(found) < wanted:
        pair = " ".join(found[i] for i in rng.integers(single, size=2))
        if pair not in known:
            known.add(pair)
            found.append(pair)
    return found


def as_template(text: str) -> str:
    """A text in which no sign means anything."""
    return "".join(f"\\{sign}" if sign in SPECIAL else sign for sign in text)


def searched(recognizer: Recognizer, clips: Sequence[Any]) -> tuple[list[Segment], float]:
    """What is found in clips, from their features, and the CPU seconds of it."""
    began = time.process_time()
    found = recognizer.recognize(clips)
    return found, time.process_time() - began


def percent(share: Share) -> list[float]:
    return [round(share.percent, 2), *(round(end, 2) for end in share.ci95)]


def measure(
    model: str, corpus: str, splits: Sequence[str], sentences: int | None, most: int, seed: int
) -> dict[str, Any]:
    torch.set_num_threads(1)
    recognizer, rng = load(model, "cpu"), np.random.default_rng(seed)
    whole = load_corpus(corpus)
    rows = [u for split in splits for u in whole.split(split) if recognizer.normalize(u.text)]
    rows = [rows[i] for i in rng.permutation(len(rows))[:most]]
    texts = [recognizer.normalize(u.text) for u in rows]
    different = sorted(set(texts))
    sentences = sentences or min(DEFAULT, len(different))
    chosen = {different[i] for i in rng.permutation(len(different))[:sentences]}
    spoken = set(texts)
    others = [text for u in whole.utterances if (text := recognizer.normalize(u.text)) and text not in spoken]
    of_grammar = fill(sorted(chosen), sentences if sentences > len(chosen) else 0, others, rng)
    began = time.process_time()
    listening = recognizer.with_grammar(Grammar.of(map(as_template, of_grammar)))
    assert listening.sentences is not None
    compiled, own = time.process_time() - began, listening.sentences.least
    listening.sentences.least = 0.0
    clips = [recognizer.extractor(load_audio(u.audio)) for u in rows]
    free, free_seconds = searched(recognizer, clips)
    heard, seconds = searched(listening, clips)
    inside = [number for number, text in enumerate(texts) if text in chosen]
    sure = np.array([one.sentence.probability if one.sentence else 0.0 for one in heard])
    not_there = np.array([number for number in range(len(rows)) if texts[number] not in chosen], dtype=np.int64)
    outside = Accepted(sure[not_there], sum(rows[number].duration for number in not_there) / 3600 or 1.0)
    sounds = [recognizer.extractor(sound) for sound in noises()]
    of_noise = [one.sentence.probability if one.sentence else 0.0 for one in listening.recognize(sounds)]
    noisy = Accepted(np.array(of_noise), NOISE_CLIPS * NOISE_SECONDS / 3600)
    result: dict[str, Any] = {
        "corpus": corpus,
        "sentences": len(of_grammar),
        "inside": len(inside),
        "outside": len(not_there),
        "free": percent(Share.over([free[n].said != texts[n] for n in inside])),
        "wrong": percent(Share.over([heard[n].said != texts[n] for n in inside])),
    }
    for name, least in (("at 1 % rejected", float(np.quantile(sure[inside], LOST))), (f"at {own:g}", own)):
        wrong = Share.over([heard[n].said != texts[n] and sure[n] >= least for n in inside])
        result[name] = {
            "least": round(least, 4),
            "rejected": percent(Share.over((sure[inside] < least).tolist())),
            "another": percent(wrong),
            "outside": percent(outside.at(least)) if len(not_there) else None,
            "noise an hour": [round(value, 1) for value in noisy.an_hour(least)],
        }
    times = {"free": round(free_seconds, 2), "grammar": round(seconds, 2), "compile": round(compiled, 3)}
    return {**result, "cpu seconds": times, "threads": 1, "seed": seed}


def strings(model: str, corpus: str, splits: Sequence[str], count: int, seed: int) -> dict[str, Any]:
    """Strings of digits joined from clips, in a free search, its numbers written, and by a grammar of such strings."""
    torch.set_num_threads(1)
    recognizer, rng = load(model, "cpu"), np.random.default_rng(seed)
    rows = [u for split in splits for u in load_corpus(corpus).split(split) if u.text in DIGITS]
    speakers = sorted({u.speaker for u in rows})
    recordings, numbers = list[Audio](), list[str]()
    for _ in range(count):
        speaker = speakers[int(rng.integers(len(speakers)))]
        own = [u for u in rows if u.speaker == speaker]
        drawn = [own[i] for i in rng.integers(len(own), size=int(rng.integers(2, LONGEST + 1)))]
        parts = list[np.ndarray]()
        for u in drawn:
            clip = load_audio(u.audio)
            parts += [clip, noise(clip, seconds_to_samples(rng.uniform(*BETWEEN)), rng)]
        recordings.append(np.concatenate(parts[:-1]))
        numbers.append("".join(str(DIGITS.index(u.text)) for u in drawn))
    listening = recognizer.with_grammar(Grammar.of(["language = en", f"{{digit}}*2-{LONGEST}"]))
    free = [written(one.text, "en") for one in recognizer.transcribe(recordings, words=False)]
    assert listening.sentences is not None
    own_least, listening.sentences.least = listening.sentences.least, 0.0
    results = listening.transcribe(recordings, words=False)
    any_probability = [one.text for one in results]
    heard = [
        " ".join(s.text for s in one.segments if s.sentence and s.sentence.probability >= own_least) for one in results
    ]
    found = {"free": free, "wrong": any_probability, "wrong or rejected": heard}
    shares = {
        name: percent(Share.over([a != b for a, b in zip(own, numbers, strict=True)])) for name, own in found.items()
    }
    rejected = percent(Share.over([not text for text in heard]))
    return {"corpus": corpus, "strings": count, **shares, "rejected": rejected, "seed": seed}


def joined(model: str, corpus: str, splits: Sequence[str], minutes: float, seed: int) -> dict[str, Any]:
    """How many clips have another text in a long recording than alone, with all texts of the corpus as the grammar."""
    torch.set_num_threads(1)
    recognizer, rng = load(model, "cpu"), np.random.default_rng(seed)
    rows = [u for split in splits for u in load_corpus(corpus).split(split) if recognizer.normalize(u.text)]
    listening = recognizer.with_grammar(
        Grammar.of(map(as_template, sorted({recognizer.normalize(u.text) for u in rows})))
    )
    order = rng.permutation(len(rows)).tolist()
    clips, spans, parts, size = list[Audio](), list[tuple[float, float]](), list[np.ndarray](), 0
    softest = [softest_level(load_audio(u.audio)) for u in rows]
    while len(clips) < len(order) and size < 60 * minutes * SAMPLE_RATE:
        clip = load_audio(rows[order[len(clips)]].audio)
        pause = steady_noise(float(np.median(softest)), seconds_to_samples(rng.uniform(*PAUSES)), rng)
        start = size + len(pause)
        size = start + len(clip)
        spans.append((start / SAMPLE_RATE, size / SAMPLE_RATE))
        clips.append(clip)
        parts += [pause, clip]
    found = listening.transcribe(np.concatenate(parts), words=False).segments
    texts = {
        "joined": [
            " ".join(one.said for one in found if start <= (one.start + one.end) / 2 <= end) for start, end in spans
        ],
        "alone": [""] * len(clips),
        "unknown voice": [one.said for one in listening.transcribe(clips, words=False)],
    }
    voices = [recognizer.voice(clips)] * len(clips)
    for number, one in listening.transcribe_each(clips, voices=voices, words=False):
        if isinstance(one, Transcription):
            texts["alone"][number] = one.said
    spoken = [recognizer.normalize(rows[number].text) for number in order[: len(clips)]]

    def different(first: list[str], second: list[str]) -> list[float]:
        return percent(Share.over([a != b for a, b in zip(first, second, strict=True)]))

    return {
        "corpus": corpus,
        "minutes": round(size / SAMPLE_RATE / 60, 1),
        "clips": len(spans),
        "other": different(texts["alone"], texts["joined"]),
        "other, unknown voice": different(texts["unknown voice"], texts["joined"]),
        "wrong": {name: different(own, spoken) for name, own in texts.items()},
    }


def main() -> None:
    parser = model_and_corpus("grammar", __doc__)
    parser.add_argument("--each", nargs="+", metavar="SPLIT", help="several splits")
    parser.add_argument("--sentences", type=int, help="of the grammar (default 200, or as many as the clips have)")
    parser.add_argument("--clips", type=int, default=1000, help="of the splits, at most (default 1000)")
    parser.add_argument(
        "--joined", type=float, metavar="MINUTES", help="compare clips in so long a recording with themselves"
    )
    parser.add_argument("--strings", type=int, metavar="COUNT", help="so many strings of joined digits instead")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    where = (arguments.model, arguments.corpus, arguments.each or [arguments.split])
    if arguments.strings:
        print(json.dumps(strings(*where, arguments.strings, arguments.seed)))
    elif arguments.joined:
        print(json.dumps(joined(*where, arguments.joined, arguments.seed)))
    else:
        print(json.dumps(measure(*where, arguments.sentences, arguments.clips, arguments.seed)))


if __name__ == "__main__":
    main()
