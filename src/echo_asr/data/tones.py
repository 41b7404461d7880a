"""The speech of `synth:tones` and `synth:tones-flat`: words that differ in pitch, with natural and with constant F0.

The vocabulary is six Mandarin syllables in the four tones. Utterances of one to four words are spoken by many voices
of espeak-ng; no voice of the validation or test split occurs in training. Every clip is made twice, with the tones
and with the F0 of every word constant: the same text, voice, rates, levels and word times.

Other cues to the tones are removed. Every word is spoken at the rate that gives a duration drawn without regard to its
tone (by itself espeak-ng makes tones 2 and 3 a quarter longer). Words are synthesised one by one and joined with
pauses, which avoids tone sandhi and makes their times known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from echo_asr.audio import resample
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.espeak import Espeak

LANGUAGE = "cmn-latn-pinyin"
SYLLABLES = ("ma", "li", "shu", "ge", "tao", "wei")
TONES = ("1", "2", "3", "4")  # high, rising, dipping, falling
VOCABULARY = tuple(syllable + tone for syllable in SYLLABLES for tone in TONES)

# Timbres of espeak-ng's variants, for voices of low and of high pitch, by edition. The rule, measured by
# tests/data/test_tones.py on every word over three pitch ranges with the features of the model, is:
# - SwiftF0 finds F0 and separable tones. Of frames voiced in most voices 72 % or more have an F0 (test 95), 94 % of
#   these within a semitone of the other voices' (99), and by F0 alone 83 % of words or more get their tone (95). The
#   whispers and `caleb` have no F0; `max` and its copies lose it.
# - No voice of validation or test is similar to one of training. The spectrum of each lies 8.0 dB (root mean square
#   over words, mel bins and time) or more from that of any in training (test 8.2), those of test 8.1 dB or more from
#   any in validation; half of all pairs, over 17 dB.
# In the edition 2026-12 no voice of the test split was in any split before. The ten test voices of 2026-11 are in
# validation; voices of training that are similar to a new test voice are in no split, and three
# others came to training. The edition 2026-11 stays so that studies with it can be repeated.
EDITION = "2026-12"
VOICES = {
    EDITION: {
        "train": (
            (
                "Alex", "Andy", "Demonic", "Denis", "Mario", "Mike", "Mr serious", "UniRobot", "boris", "david", "ed",
                "grandpa", "ian", "iven2", "iven4", "kaukovalta", "klatt4", "m1", "m4", "m5", "marcelo", "norbert",
                "paul", "pedro", "quincy", "victor",
            ),
            ("Alicia", "AnxiousAndy", "anika", "belinda", "grandma", "linda"),
        ),
        "validation": (
            ("Jacky", "Lee", "Marco", "Storm", "Tweaky", "antonio", "m2", "pablo", "rob", "sandro", "travis"),
            ("Andrea", "Annie", "f2", "shelby", "zac"),
        ),
        "test": (("Diogo", "Gene2", "Reed", "RicishayMax2", "gustave", "klatt2", "m7"), ("f1", "f3", "steph2")),
    },
    "2026-11": {
        "train": (
            (
                "Alex", "Andy", "Demonic", "Denis", "Gene", "Hugo", "Mario", "Michael", "Mr serious", "UniRobot",
                "adam", "boris", "david", "ed", "ian", "iven2", "iven4", "kaukovalta", "klatt", "klatt4", "m1", "m4",
                "m5", "m8", "marcelo", "michel", "norbert", "paul", "pedro", "quincy", "victor",
            ),
            ("Alicia", "AnxiousAndy", "Nguyen", "anika", "belinda", "f4", "grandma", "steph"),
        ),
        "validation": (("Jacky", "Tweaky", "rob", "sandro"), ("Andrea", "zac")),
        "test": (("Lee", "Marco", "Storm", "antonio", "m2", "pablo", "travis"), ("Annie", "f2", "shelby")),
    },
}  # fmt: skip
SPLITS = tuple(VOICES[EDITION])

USUAL_RATE = 190  # words a minute, where the search for a rate starts
RATE_TRIALS = 5  # at most, of a word

Item = TypeVar("Item")


@dataclass(frozen=True)
class Recipe:
    """Texts and voices of a corpus. Everything random follows the seed. Pairs are a lowest and a highest value."""

    edition: str = EDITION  # of the voices
    train: int = 1300  # clips
    validation: int = 160  # clips
    test: int = 240  # clips
    words: tuple[int, int] = (1, 4)  # in a clip
    low_voices: tuple[float, float] = (80.0, 120.0)  # Hz, the bottoms of their pitch ranges
    high_voices: tuple[float, float] = (120.0, 180.0)  # Hz
    pitch_change: float = 1.5  # semitones up or down, by which a clip differs from its voice
    pitch_span: tuple[float, float] = (1.9, 2.3)  # top of the pitch range over its bottom
    word_seconds: tuple[float, float] = (0.26, 0.40)  # of a typical word of a clip
    word_change: float = 0.15  # share by which a word is longer or shorter than typical
    pause_seconds: tuple[float, float] = (0.06, 0.20)  # between words
    edge_seconds: tuple[float, float] = (0.10, 0.30)  # silence before the first word and after the last
    level: tuple[float, float] = (-32.0, -16.0)  # dBFS, root mean square of the words of a clip
    word_level: float = 2.0  # dB up or down, by which a word differs from its clip
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, tuple) and not value[0] <= value[1]:
                raise ValueError(f"{name}: expected a lowest and a highest value, got {value}")
            if name in (*SPLITS, "seed") and not value >= 0:
                raise ValueError(f"{name}: expected 0 or more, got {value}")
        if self.edition not in VOICES:
            raise ValueError(f"edition: expected one of {', '.join(VOICES)}; got {self.edition!r}")


@dataclass(frozen=True)
class WordTime:
    """The times of a word in a clip."""

    word: str
    start: float  # seconds
    end: float  # seconds


@dataclass(frozen=True)
class Clip:
    """One utterance in two versions."""

    split: str
    voice: str
    words: tuple[WordTime, ...]
    toned: np.ndarray  # (S,) float32, 16 kHz
    flat: np.ndarray  # (S,) float32, the same with the F0 of every word constant


def speak_clips(recipe: Recipe, espeak: Espeak) -> Iterator[Clip]:
    """The clips of all splits, in order. In a fresh process the same recipe gives the same samples."""
    for number, split in enumerate(SPLITS):
        random = np.random.default_rng([recipe.seed, number])
        words = _shuffled_forever(VOCABULARY, random)
        voices = _shuffled_forever(tuple(_voice_bottoms(recipe, split).items()), random)
        lengths = _shuffled_forever(range(recipe.words[0], recipe.words[1] + 1), random)
        for _ in range(getattr(recipe, split)):
            voice, bottom = next(voices)
            semitones = random.uniform(-recipe.pitch_change, recipe.pitch_change)
            low = bottom * 2 ** (semitones / 12)
            espeak.set_voice(LANGUAGE, voice, round(low), round(low * random.uniform(*recipe.pitch_span)))
            texts = [next(words) for _ in range(next(lengths))]
            pairs = _speak_words(recipe, espeak, texts, random)
            spans, toned, flat = _join(recipe, texts, pairs, espeak.sample_rate, random)
            yield Clip(split, voice, spans, toned, flat)


def _shuffled_forever(items: Sequence[Item], random: np.random.Generator) -> Iterator[Item]:
    """All items in a random order, then in another, without end, so that all are equally frequent."""
    while True:
        yield from (items[index] for index in random.permutation(len(items)))


def _voice_bottoms(recipe: Recipe, split: str) -> dict[str, float]:
    """The voices of a split and the usual bottoms of their pitch ranges in Hz, evenly spread on a log scale."""
    bottoms: dict[str, float] = {}
    ranges = (recipe.low_voices, recipe.high_voices)
    for voices, (lowest, highest) in zip(VOICES[recipe.edition][split], ranges, strict=True):
        bottoms |= zip(voices, np.geomspace(lowest, highest, len(voices)).tolist(), strict=True)
    return bottoms


def _speak_words(recipe: Recipe, espeak: Espeak, texts: Sequence[str], random: np.random.Generator) -> list[np.ndarray]:
    """Each word as samples `(2, S)`, toned and flat, at one rate, full scale at +-1, at the level of espeak-ng."""
    typical = np.exp(random.uniform(*np.log(recipe.word_seconds)))
    pairs = []
    for text in texts:
        seconds = typical * random.uniform(1 - recipe.word_change, 1 + recipe.word_change)
        rate, toned = _speak_for(espeak, text, seconds)
        flat = espeak.speak(text, rate, flat=True)
        pair = np.zeros((2, max(toned.size, flat.size)), np.float32)  # they differ by a period of the voice
        pair[0, : toned.size] = toned
        pair[1, : flat.size] = flat
        pairs.append(pair / 32768)
    return pairs


def _speak_for(espeak: Espeak, text: str, seconds: float) -> tuple[int, np.ndarray]:
    """The rate, of those tried, at which the duration of a word is closest to `seconds`; and its samples `(S,)`."""
    tried: dict[int, np.ndarray] = {}
    rate = USUAL_RATE
    while rate not in tried and len(tried) < RATE_TRIALS:
        tried[rate] = espeak.speak(text, rate)
        lasted = tried[rate].size / espeak.sample_rate
        rate = int(np.clip(round(rate * lasted / seconds), espeak.SLOWEST, espeak.FASTEST))
    return min(tried.items(), key=lambda item: abs(item[1].size / espeak.sample_rate - seconds))


def _join(
    recipe: Recipe, texts: Sequence[str], pairs: Sequence[np.ndarray], rate: int, random: np.random.Generator
) -> tuple[tuple[WordTime, ...], np.ndarray, np.ndarray]:
    """The words with pauses between, at a random level, as 16 kHz samples `(S,)`, toned and flat."""
    parts: list[np.ndarray] = []
    times: list[WordTime] = []
    done = 0  # samples at `rate`
    for number, (text, pair) in enumerate(zip(texts, pairs, strict=True)):
        before = recipe.pause_seconds if number else recipe.edge_seconds
        silence = np.zeros((2, round(random.uniform(*before) * rate)), np.float32)
        gain = 10 ** (random.uniform(-recipe.word_level, recipe.word_level) / 20)
        start = done + silence.shape[1]
        done = start + pair.shape[1]
        parts.extend((silence, gain * pair))
        times.append(WordTime(text, round(start / rate, 4), round(done / rate, 4)))
    parts.append(np.zeros((2, round(random.uniform(*recipe.edge_seconds) * rate)), np.float32))
    both = np.concatenate(parts, axis=1)
    spoken = np.concatenate(parts[1::2], axis=1)[0]
    gain = 10 ** (random.uniform(*recipe.level) / 20) / np.sqrt(np.mean(spoken**2))
    both *= min(gain, 0.9 / np.abs(both).max())  # room for what resampling adds to peaks
    toned, flat = (resample(channel, rate, SAMPLE_RATE) for channel in both)
    return tuple(times), toned, flat
