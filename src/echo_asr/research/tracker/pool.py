"""The clips that a pitch tracker is trained on: voices of known F0, and noises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from echo_asr.audio import resample
from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.data.espeak import Espeak
from echo_asr.data.noise import AUDIBLE, noise_clip
from echo_asr.data.tones import EDITION, LANGUAGE, VOICES
from echo_asr.research.tracker.pulses import STEP, Speech, synthesise
from echo_asr.research.tracker.resynthesis import lpc_speech, moved_speech
from echo_asr.research.tracker.voices import random_voice

FRAMES = 240  # of a clip, 2.4 s
SAMPLES = FRAMES * HOP
STEPS = SAMPLES // STEP
VOICED = 0.05  # strength of pulses from which a frame is voiced
LANGUAGES = ("en-us", "cmn", "vi", "de", "es", "fr", "hi", "sw", "tr", "fi")
# Kinds of clips, and their shares.
KINDS = {"formants": 0.42, "prediction": 0.22, "moved": 0.11, "espeak": 0.13, "said": 0.12}
INITIALS = ("", "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "s", "sh", "t", "z", "zh")
FINALS = ("a", "ai", "an", "ang", "ao", "e", "en", "eng", "ou", "u")


@dataclass
class Clips:
    """`N` clips of 2.4 s: samples `(N, 38400)` int16, and for each frame `(N, 240)` F0 in Hz, voicing and creak (0 or
    1), and how sure the first two and the last are (0 to 1); float16, F0 float32."""

    samples: np.ndarray
    f0: np.ndarray
    voiced: np.ndarray
    creak: np.ndarray
    sure: np.ndarray
    creak_sure: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Self:
        """Clips that are to be filled in."""
        frames = [np.zeros((count, FRAMES), np.float16) for _ in range(4)]
        return cls(np.zeros((count, SAMPLES), np.int16), np.full((count, FRAMES), 100.0, np.float32), *frames)

    def put(self, row: int, samples: np.ndarray, known: dict[str, np.ndarray]) -> None:
        """Fill in a clip from samples and steps of 5 ms, the first 2.4 s of them."""
        used = min(len(samples), SAMPLES)
        part = samples[:used] / max(float(np.abs(samples[:used]).max()), 1e-9)
        self.samples[row, :used] = np.rint(32000 * part)
        for name, values in known.items():
            taken = values[: 2 * FRAMES : 2]
            getattr(self, name)[row, : len(taken)] = taken


def make_clips(recordings: Sequence[np.ndarray], texts: Sequence[str], count: int, seed: int) -> Clips:
    """Clips of all kinds, from recordings of speech, texts that espeak-ng says, and formants alone."""
    rng = np.random.default_rng(seed)
    clips = Clips.empty(count)
    spoken = _spoken(texts, max(1, round(count * (KINDS["espeak"] + KINDS["said"]) / 3)), rng)
    kinds = rng.choice(list(KINDS), count, p=list(KINDS.values()))
    for row, kind in enumerate(kinds):
        if kind in ("moved", "said"):
            part, semitones = (recordings, rng.uniform(-12.0, 10.0)) if kind == "moved" else (spoken, 0.0)
            audio, f0, voiced, sure = moved_speech(_part(part, rng), semitones)
            clips.put(row, audio, {"f0": f0, "voiced": voiced, "sure": sure})
            continue
        if kind == "formants":
            speech = random_voice(STEPS, rng)
        else:
            speech = lpc_speech(_part(recordings if kind == "prediction" else spoken, rng), rng)
        clips.put(row, synthesise(speech, rng), _known(speech, kind == "formants"))
    return clips


def make_noises(count: int, seed: int) -> np.ndarray:
    """Noises, tones, glides, chords and music `(count, 38400)` int16."""
    rng = np.random.default_rng(seed)
    made = np.zeros((count, SAMPLES), np.int16)
    for row in range(count):
        if row % 3 == 0:
            audio = music(rng)
        else:
            audio = noise_clip(AUDIBLE[row % len(AUDIBLE)], SAMPLES / SAMPLE_RATE, int(rng.integers(2**31)))
        made[row] = np.rint(32000 * audio / max(float(np.abs(audio).max()), 1e-9))
    return made


def music(rng: np.random.Generator) -> np.ndarray:
    """Notes of an equal-tempered scale, one or several at a time, struck, bowed or blown, and a drum: `(38400,)`."""
    time = np.arange(SAMPLES) / SAMPLE_RATE
    total = np.zeros(SAMPLES)
    beat = rng.uniform(0.12, 0.6)  # seconds
    decay, attack = rng.choice([0.08, 0.3, 1.0, 30.0]), rng.choice([0.003, 0.03, 0.1])  # seconds
    slope, overtones = rng.uniform(0.5, 2.5), int(rng.integers(1, 12))
    stretch = rng.choice([0.0, 0.0, 3e-4, 2e-3])  # of overtones, as of strings and bells
    tuning = 55.0 * 2.0 ** (rng.random() / 12.0)  # Hz, of the lowest note: no F0 is a note by itself
    start = -rng.uniform(0.0, beat)
    while start < time[-1]:
        end = start + beat * rng.choice([1, 1, 2, 4])
        here = (time >= start) & (time < end)
        since = time[here] - start
        envelope = np.exp(-since / decay) * np.minimum(since / attack, 1.0) * np.minimum((end - time[here]) / 0.01, 1.0)
        for _ in range(int(rng.choice([1, 1, 2, 3, 4]))):
            f0 = tuning * 2.0 ** (rng.integers(0, 48) / 12.0)
            for n in range(1, overtones + 1):
                frequency = n * f0 * math.sqrt(1.0 + stretch * n * n)
                if frequency < 7500:
                    phase = 2 * np.pi * (frequency * since + rng.random())
                    total[here] += rng.uniform(0.5, 1.0) * n**-slope * envelope * np.sin(phase)
        if rng.random() < 0.3:
            total[here] += rng.uniform(0.0, 1.0) * np.exp(-since / 0.04) * rng.standard_normal(int(here.sum()))
        start = end if rng.random() < 0.8 else end + beat
    return total


def _known(speech: Speech, creak: bool) -> dict[str, np.ndarray]:
    voiced = speech.voiced > (VOICED if creak else 0.5)
    return {
        "f0": speech.f0, "voiced": voiced, "creak": speech.creak, "sure": speech.sure,
        "creak_sure": voiced.astype(np.float64) * (1.0 if creak else 0.5),
    }  # fmt: skip


def _part(recordings: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Up to 3.6 s of one of the recordings: as much as a clip may need at the highest speed."""
    audio = recordings[int(rng.integers(len(recordings)))]
    longest = round(1.5 * SAMPLES)
    start = int(rng.integers(max(1, len(audio) - longest)))
    return audio[start : start + longest]


def _spoken(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Texts said by espeak-ng's voices of training in several languages, and syllables of Mandarin, which hold still;
    a third of all on one note."""
    names = [name for group in VOICES[EDITION]["train"] for name in group]
    made: list[np.ndarray] = []
    with Espeak() as espeak:
        for _ in range(count):
            low = int(rng.uniform(80, 200))
            language, text, fastest = str(rng.choice(LANGUAGES)), str(rng.choice(texts)), 260
            if rng.random() < 0.5:
                syllables = [rng.choice(INITIALS) + rng.choice(FINALS) + str(rng.integers(1, 5)) for _ in range(8)]
                language, text, fastest = LANGUAGE, " ".join(syllables), 200
            espeak.set_voice(language, str(rng.choice(names)), low, 2 * low)
            said: Any = espeak.speak(text, int(rng.uniform(100, fastest)), flat=bool(rng.random() < 1 / 3))
            made.append(resample(said.astype(np.float32) / 32768, espeak.sample_rate, SAMPLE_RATE))
    return [audio for audio in made if len(audio) > SAMPLE_RATE // 2 and np.abs(audio).max() > 1e-3]
