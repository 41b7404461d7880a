import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_frames
from echo_asr.audio.level import to_one_level
from echo_asr.data.noise import BEDS, Kind, noise_clip
from echo_asr.data.perturbation import MARGIN, SNR_RANGE, UNPERTURBED, Perturbation, add_noise, perturb_speed
from echo_asr.data.psola import shift_semitones
from echo_asr.features.pitch import AutocorrelationTracker
from tests.helpers.voices import syllables, voice


def loudest_frequency(audio: np.ndarray) -> float:
    """Hz, of the largest bin of a windowed transform, to a third of a hertz."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size), 48_000))
    return float(spectrum.argmax()) * SAMPLE_RATE / 48_000


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_a_tone_rises_with_speed_and_keeps_its_level(factor: float) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 440.0 * time).astype(np.float32)
    perturbed = perturb_speed(tone, factor)
    assert perturbed.dtype == np.float32
    assert abs(perturbed.size - SAMPLE_RATE / factor) <= 1
    assert loudest_frequency(perturbed) == pytest.approx(440.0 * factor, abs=1.0)
    middle = perturbed[perturbed.size // 4 : -perturbed.size // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5**0.5, rel=0.01)


def test_as_recorded_is_the_recording_itself() -> None:
    audio = np.ones(7, np.float32)
    assert UNPERTURBED(audio) is audio and UNPERTURBED.name == ""


@given(size=st.integers(1, 16_000), number=st.integers(1, 5), level=st.floats(-60.0, -3.0))
@settings(max_examples=30, deadline=None)
def test_noise_is_as_far_below_the_recording_as_it_may_be(size: int, number: int, level: float) -> None:
    rng = np.random.default_rng(size)
    audio = (10 ** (level / 20) * rng.choice((-1.0, 1.0), size)).astype(np.float32)
    noisy = add_noise(audio, number)
    assert noisy.dtype == np.float32 and len(noisy) == size + 320 * MARGIN
    np.testing.assert_array_equal(noisy, add_noise(audio, number))
    if size > 8000:  # the recording can be found in it, and what is left is the noise
        bed = noisy.copy()
        bed[160 * MARGIN :][:size] -= audio
        below = level - 10 * np.log10(np.mean(bed.astype(np.float64) ** 2))
        assert SNR_RANGE[0] - 0.5 < below < SNR_RANGE[1] + 0.5  # dB


def test_noises_differ_by_number_and_by_recording() -> None:
    rng = np.random.default_rng(0)
    recordings = [rng.normal(0, 0.1, 4000).astype(np.float32) for _ in range(12)]
    levels = [np.log10(np.mean(add_noise(a, n)[: 160 * MARGIN] ** 2)) for a in recordings for n in (1, 2)]
    assert len(set(levels)) == 24 and max(levels) - min(levels) > 1.0


def test_silence_in_noise_is_still_a_clip() -> None:
    assert np.isfinite(add_noise(np.zeros(100, np.float32), 1)).all()


@given(size=st.integers(1, 400), factor=st.floats(0.5, 2.0))
def test_any_clip_stays_a_clip(size: int, factor: float) -> None:
    perturbed = perturb_speed(np.full(size, 0.25, np.float32), factor)
    assert perturbed.ndim == 1 and perturbed.size >= 1 and np.isfinite(perturbed).all()


def test_speech_is_learnt_in_every_kind_of_noise_that_a_corpus_can_be_heard_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tones and glides, too, which pass for a voice where a model never heard them beside one."""
    drawn = set()

    def noted(kind: Kind, seconds: float, seed: int, level_db: float) -> np.ndarray:
        drawn.add(kind)
        return noise_clip(kind, seconds, seed, level_db)

    monkeypatch.setattr("echo_asr.data.perturbation.noise_clip", noted)
    audio = np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    for number in range(1, 60):
        add_noise(audio, number)
    assert drawn == set(BEDS) and "mixed" in BEDS


def test_each_rendition_has_its_name_and_processes_can_share_it() -> None:
    audio = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    perturbations = [
        Perturbation(0.9),
        Perturbation(1.1),
        Perturbation(1.15),
        Perturbation(noise=1),
        Perturbation(0.9, noise=2),
    ]
    perturbations += [Perturbation(semitones=2.0), Perturbation(semitones=-2.0), Perturbation(0.9, 2.0)]
    for perturbation in perturbations:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(perturbation))(audio), perturbation(audio))
    assert len({r.name for r in perturbations} - {""}) == len(perturbations)
    np.testing.assert_array_equal(perturbations[0](audio), perturb_speed(audio, 0.9))
    np.testing.assert_array_equal(perturbations[4](audio), add_noise(perturb_speed(audio, 0.9), 2))


def test_a_voice_is_moved_and_its_tempo_kept() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 150.0 * n * time) / n for n in range(1, 20)).astype(np.float32) / 4
    tracker = AutocorrelationTracker()
    for perturbation in (Perturbation(semitones=-4.0), Perturbation(1.1, 3.0)):
        perturbed = perturbation(voice)
        assert abs(perturbed.size - SAMPLE_RATE / perturbation.speed) <= 1
        f0 = tracker(perturbed, perturbed.size // 160)[0]
        assert np.median(f0[f0 > 0]) == pytest.approx(150.0 * perturbation.f0_factor, rel=0.01)
    np.testing.assert_array_equal(Perturbation(semitones=2.0)(voice), shift_semitones(voice, 2.0))
    assert Perturbation(0.9, 12.0).f0_factor == pytest.approx(1.8)


@pytest.mark.parametrize("base", [95.0, 230.0])
@pytest.mark.parametrize(
    "perturbation", [Perturbation(0.9), Perturbation(1.1), Perturbation(1.0, 3.0), Perturbation(1.1, -2.0)], ids=str
)
def test_pitch_of_a_perturbed_voice_follows_from_that_of_the_voice(perturbation: Perturbation, base: float) -> None:
    voice_f0, voiced = syllables(base, 2.0)
    audio, tracker = to_one_level(voice(voice_f0, voiced)), AutocorrelationTracker()
    perturbed = perturbation(audio)
    frames = samples_to_frames(len(perturbed))
    found = perturbation.pitch(*tracker(audio, samples_to_frames(len(audio))), frames)
    measured = tracker(perturbed, frames)
    assert found[0].dtype == found[1].dtype == np.float32 and len(found[0]) == len(found[1]) == frames
    both = (found[0] > 0) & (measured[0] > 0)
    assert both.mean() > 0.5
    assert np.mean((found[0] > 0) == (measured[0] > 0)) > 0.95
    assert np.median(np.abs(found[0][both] / measured[0][both] - 1.0)) < 0.01
    assert np.mean(np.abs(found[0][both] / measured[0][both] - 1.0) < 0.05) > 0.95
    assert np.mean(np.abs(found[1][both] - measured[1][both])) < 0.05


def test_pitch_is_not_interpolated_over_silence_and_leaps() -> None:
    f0, periodicity = np.array([100.0, 100.0, 0.0, 0.0, 400.0, 100.0]), np.linspace(0.0, 1.0, 6)
    moved, certain = Perturbation(0.5).pitch(f0, periodicity, 12)
    assert np.allclose(moved, [50, 50, 50, 0, 0, 0, 0, 200, 200, 50, 50, 50], rtol=1e-6)
    assert np.allclose(certain[:11], np.linspace(0.0, 1.0, 11), rtol=1e-6) and certain[11] == 1.0
    assert np.array_equal(UNPERTURBED.pitch(f0, periodicity, 6)[0], f0.astype(np.float32))
