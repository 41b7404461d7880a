"""The rule by which voices of `synth:tones` are chosen, measured on every word over three pitch ranges."""

import importlib.util

import numpy as np
import pytest

from echo_asr.audio import resample
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.espeak import Espeak
from echo_asr.data.tones import EDITION, LANGUAGE, TONES, VOCABULARY, VOICES, _speak_for
from echo_asr.features import FeatureConfig, FeatureExtractor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("espeakng_loader", "swift_f0"))),
        reason="espeakng-loader or swift-f0 (the extras echo-asr[synth] and echo-asr[swiftf0]) is not installed",
    ),
]

RANGES = ((80, 168), (120, 252), (170, 357))  # Hz, bottom and top of the pitch range
SECONDS = 0.35  # of every word
EDGE = 10  # frames of silence before and after a word
FRAMES = 30  # to which every word is brought
LEAST_DISTANCE = 8.0  # dB, root mean square over words, pitch ranges, mel bins and time
LEAST_SHARES = (0.7, 0.93, 0.8)  # of frames voiced, of these as high as in other voices, of words told by tone
REFUSED = ("caleb", "max", "whisper")  # variants, by the rule
SPLITS = {split: [voice for voices in registers for voice in voices] for split, registers in VOICES[EDITION].items()}

Measured = dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Of each voice the spectrogram in dB below its peak `(R, W, M, FRAMES)` and F0 in semitones above 100 Hz
    `(R, W, FRAMES)`, NaN where unvoiced, for `R` pitch ranges and `W` words."""
    extractor = FeatureExtractor(FeatureConfig(tracker="swiftf0"))  # by which the voices were chosen
    silence = np.zeros(EDGE * SAMPLE_RATE // 100, np.float32)
    found: Measured = {}
    with Espeak() as espeak:
        for voice in (*sum(SPLITS.values(), []), *REFUSED):
            spectra, pitches = [], []
            for low, high in RANGES:
                espeak.set_voice(LANGUAGE, voice, low, high)
                for word in VOCABULARY:
                    spoken = _speak_for(espeak, word, SECONDS)[1].astype(np.float32) / 32768
                    spoken = resample(spoken, espeak.sample_rate, SAMPLE_RATE)
                    features = extractor(np.concatenate([silence, spoken, silence]))
                    spectrum, f0 = 80 * features.spectrogram.numpy()[:, EDGE:-EDGE], features.pitch.numpy()[0]
                    f0 = 12 * np.log2(np.where(f0 > 0, f0, np.nan)[EDGE:-EDGE] / 100)
                    at = np.linspace(0, f0.size - 1, FRAMES)
                    spectra.append([np.interp(at, np.arange(f0.size), mel_bin) for mel_bin in spectrum])
                    pitches.append(np.interp(at, np.arange(f0.size), f0))
            shape = (len(RANGES), len(VOCABULARY))
            found[voice] = (
                np.asarray(spectra, np.float32).reshape(*shape, -1, FRAMES),
                np.reshape(pitches, (*shape, FRAMES)),
            )
    return found


def distance(measured: Measured, one: str, other: str) -> float:
    """Root mean square difference of two voices' spectrograms in dB."""
    return float(np.sqrt(np.mean((measured[one][0] - measured[other][0]) ** 2)))


@pytest.mark.parametrize(("split", "others"), [("validation", "train"), ("test", "train"), ("test", "validation")])
def test_unseen_voices_are_far_from_those_seen_before(measured: Measured, split: str, others: str) -> None:
    nearest = {v: min((distance(measured, v, other), other) for other in SPLITS[others]) for v in SPLITS[split]}
    assert {voice: found for voice, found in nearest.items() if found[0] < LEAST_DISTANCE} == {}


def f0_clarity(measured: Measured, voice: str) -> tuple[float, float, float]:
    """Least over the pitch ranges: share of frames voiced in most voices of training that are so here; of these, share
    within a semitone of those voices' median; share of words whose tone is that of the nearest mean contour."""
    contours = np.stack([measured[other][1] for other in SPLITS["train"]])
    usual = np.where(np.isfinite(contours).mean(axis=0) > 0.5, np.nanmedian(contours, axis=0), np.nan)
    own = measured[voice][1]
    difference = np.abs(own - usual)
    tone_of = np.array([TONES.index(word[-1]) for word in VOCABULARY])
    shares = []
    for number in range(len(RANGES)):
        voiced, expected = np.isfinite(difference[number]), np.isfinite(usual[number])
        means = np.stack([np.nanmean(usual[number, tone_of == tone], axis=0) for tone in range(len(TONES))])
        apart = np.nanmean((own[number][:, None] - means) ** 2, axis=-1)  # (W, tones), NaN for a word without F0
        right = np.nan_to_num(apart, nan=np.inf).argmin(axis=1) == tone_of
        recognised = voiced.sum(axis=1) >= 5  # frames
        near = difference[number][voiced] < 1
        shares.append((voiced.sum() / expected.sum(), near.mean() if near.size else 0.0, (right & recognised).mean()))
    return tuple(np.min(shares, axis=0).tolist())


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN slice")
def test_voices_have_a_clear_f0_and_separable_tones(measured: Measured) -> None:
    shares = {voice: f0_clarity(measured, voice) for voice in measured}
    assert {voice for voice, found in shares.items() if np.less(found, LEAST_SHARES).any()} == set(REFUSED)
