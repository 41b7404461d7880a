"""Changes the F0 of a recording by TD-PSOLA, which keeps its duration and roughly its formants.

Moulines and Charpentier 1990, "Pitch-synchronous waveform processing techniques for text-to-speech synthesis using
diphones". Voiced speech is cut into grains of two periods under a Hann window, centred at one mark a period. The grains
are overlap-added at the new periods, each the nearest in time. Grains are not resampled, so the spectral envelope, and
with it the formants, stays about the same. Unvoiced speech is unchanged.

It is not taken from a library: Praat and Rubber Band are under the GPL, and pyworld resynthesises unvoiced speech, too.
It differs from the source in one point: the sum is divided by that of the windows, so that a shift by 0 returns the
recording up to rounding, and a higher density of grains is not louder.

Shapes: `S` samples at 16 kHz, `T` frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from echo_asr.audio.convert import HOP, SAMPLE_RATE, samples_to_frames
from echo_asr.audio.level import to_one_level
from echo_asr.features.pitch import AutocorrelationTracker

SEARCH = 0.25  # share of a period by which a mark may lie off where it is expected
UNVOICED_STEP = 80  # samples between marks where there is no period, 5 ms
TINY = 1e-4  # sum of windows below which no grain was added
VERSION = 1  # raised when the same change gives other samples than before, so that cached features lapse


def change_f0(audio: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Samples `(S,)` with another F0: `(S,)` float32.

    Args:
        change: maps F0 in Hz of the voiced frames to the new F0; one value a frame.
    """
    samples = np.asarray(audio, dtype=np.float64)
    frames = max(1, samples_to_frames(len(samples)))
    f0 = AutocorrelationTracker()(to_one_level(audio), frames)[0].astype(np.float64)
    voiced = f0 > 0
    if not voiced.any():
        return np.array(audio, dtype=np.float32)
    ratio = np.ones(frames)
    ratio[voiced] = change(f0[voiced]) / f0[voiced]
    marks, periods = _marks(samples, f0)
    total, density = np.zeros(len(samples)), np.zeros(len(samples))
    place, last = float(marks[0]), int(marks[-1])
    while place <= last:
        at = int(np.searchsorted(marks, place))
        if at == len(marks) or (at and place - marks[at - 1] <= marks[at] - place):
            at -= 1
        _add_grain(samples, total, density, int(marks[at]), round(place), int(periods[at]))
        frame = min(int(round(place) // HOP), frames - 1)
        place += periods[at] / (ratio[frame] if _is_voiced(f0, int(marks[at])) else 1.0)
    out = np.where(density > TINY, total / np.maximum(density, TINY), samples)
    return _keep_unvoiced(samples, out, voiced).astype(np.float32)


def shift_semitones(audio: np.ndarray, semitones: float) -> np.ndarray:
    """Samples `(S,)` with F0 raised by so many semitones."""
    return change_f0(audio, lambda f0: f0 * 2.0 ** (semitones / 12.0))


def flatten_f0(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` with a constant F0: the median of the recording."""
    return change_f0(audio, lambda f0: np.full_like(f0, np.median(f0)))


def _is_voiced(f0: np.ndarray, sample: int) -> bool:
    return bool(f0[min(sample // HOP, len(f0) - 1)] > 0)


def _marks(samples: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Marks, and the number of samples from each to the next, a period in voiced speech. Marks are on peaks of one
    sign, that of the recording's highest, since a grain of the other sign would cancel its neighbours."""
    upright = samples * (1.0 if samples.max() >= -samples.min() else -1.0)
    marks: list[int] = []
    place, before = 0, False
    while place < len(samples):
        here = _is_voiced(f0, place)
        if here:
            period = SAMPLE_RATE / f0[min(place // HOP, len(f0) - 1)]
            reach = period * (SEARCH if before else 0.5)  # after unvoiced speech, anywhere in a period
            low = max(place - round(reach), marks[-1] + 1 if marks else 0)
            window = upright[low : place + round(reach) + 1]
            mark = low + int(window.argmax()) if window.size else place
            step = round(period)
        else:
            mark, step = place, UNVOICED_STEP
        marks.append(mark)
        place, before = mark + step, here
    found = np.asarray(marks)
    return found, np.diff(found, append=found[-1] + (found[-1] - found[-2] if len(found) > 1 else UNVOICED_STEP))


def _add_grain(samples: np.ndarray, total: np.ndarray, density: np.ndarray, mark: int, place: int, period: int) -> None:
    """Add the grain of two periods around `mark`, centred at `place`."""
    window = 0.5 + 0.5 * np.cos(np.pi * np.arange(-period, period + 1) / (period + 1))
    first = max(-period, -mark, -place)
    last = min(period, len(samples) - 1 - mark, len(samples) - 1 - place)
    if last < first:
        return
    part = window[first + period : last + period + 1]
    total[place + first : place + last + 1] += part * samples[mark + first : mark + last + 1]
    density[place + first : place + last + 1] += part


def _keep_unvoiced(samples: np.ndarray, out: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """The new samples where voiced and the old ones elsewhere, with a cross-fade of a frame between."""
    centres = np.arange(len(voiced)) * HOP
    share = np.interp(np.arange(len(samples)), centres, voiced.astype(np.float64))
    return share * out + (1.0 - share) * samples
