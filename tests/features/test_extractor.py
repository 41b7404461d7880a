"""Features against librosa and a plain float64 transform; silence, levels, nulls and batches."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.features import FeatureBatch, FeatureConfig, FeatureExtractor, Features, collate_features
from echo_asr.features.log_mel import mel_edges, mel_filters

FIELDS = ("spectrogram", "pitch", "track", "voicing", "null")


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor(FeatureConfig(tracker="autocorrelation"))


def hum(samples: int, f0: float = 150.0, rms_db: float = -20.0) -> np.ndarray:
    """Ten harmonics, falling by 6 dB an octave, at a level in dBFS; `(S,)`."""
    time = np.arange(samples) / 16_000
    wave = sum(np.sin(2 * np.pi * k * f0 * time + k) / k for k in range(1, 11))
    return (wave / np.sqrt(np.mean(wave**2)) * 10 ** (rms_db / 20)).astype(np.float32)


def noise(samples: int, rms_db: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(samples) * 10 ** (rms_db / 20)).astype(np.float32)


def sine(rms_db: float, hz: float = 500.0) -> np.ndarray:
    wave = np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)
    return (np.sqrt(2) * 10 ** (rms_db / 20) * wave).astype(np.float32)


@pytest.mark.parametrize("mels", [8, 40, 80, 128])
def test_mel_filters_are_librosas(mels: int) -> None:
    expected = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=mels)
    np.testing.assert_allclose(mel_filters(mels), expected, atol=1e-7)
    np.testing.assert_allclose(mel_edges(mels), librosa.mel_frequencies(mels + 2, fmax=8000.0), rtol=1e-12)


def test_spectrogram_and_energy_equal_a_plain_float64_transform(extractor: FeatureExtractor) -> None:
    audio = hum(8_100) + noise(8_100, -50.0)
    padded = np.concatenate([np.zeros(256), audio.astype(np.float64), np.zeros(512)])
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400), 56)
    frames = [padded[160 * t : 160 * t + 512] * window for t in range(51)]
    power = np.abs(np.fft.rfft(frames, axis=1).T) ** 2
    mel = np.log10(librosa.filters.mel(sr=16_000, n_fft=512, n_mels=80).astype(np.float64) @ power)
    features = extractor(audio)
    assert features.frames == 51
    expected = np.clip(mel - (mel.max() - 8), 0, None) / 8
    np.testing.assert_allclose(features.spectrogram.numpy(), expected, atol=2e-5)
    level = np.log10(power[4:].sum(axis=0))  # from 125 Hz, bin 4
    np.testing.assert_allclose(features.pitch[1].numpy(), (level - level.max() + 8) / 8, atol=2e-5)
    # This sound lies above 125 Hz, but for what its edges splatter: the energy is that of the samples.
    level = np.log10([np.sum(frame**2) / np.sum(window**2) for frame in frames])
    expected = (level - level.max() + 8) / 8
    np.testing.assert_allclose(features.pitch[1, 1:-1].numpy(), expected[1:-1], atol=1e-3)


def test_shapes_types_and_ranges(extractor: FeatureExtractor) -> None:
    features = extractor(np.concatenate([hum(8_000), np.zeros(4_000, np.float32)]))
    assert features.spectrogram.shape == (80, 75) and features.pitch.shape == (3, 75)
    assert features.track.shape == features.voicing.shape == features.null.shape == (75,)
    assert features.null.dtype == torch.bool
    for name in ("spectrogram", "pitch", "track", "voicing"):
        assert getattr(features, name).dtype == torch.float32
    for values in (features.spectrogram, features.pitch[1], features.pitch[2]):
        assert values.min() >= 0 and values.max() <= 1
    assert features.spectrogram.max() == features.pitch[1].max() == 1
    assert torch.equal(features.voicing, (features.pitch[0] > 0).float())
    assert torch.equal(features.track[features.voicing > 0], features.pitch[0][features.voicing > 0])
    assert features.pitch[0, 5:45].mean() == pytest.approx(150.0, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 2_000))
def test_frames_are_a_sixteenth_of_a_kilosample_rounded_up(extractor: FeatureExtractor, samples: int) -> None:
    features = extractor(hum(samples))
    assert features.frames == max(1, -(-samples // 160))
    for name in FIELDS:
        values = getattr(features, name)
        assert values.shape[-1] == features.frames and torch.isfinite(values.float()).all()


@pytest.mark.parametrize("tracker", ["echo", "swiftf0", "autocorrelation"])
@pytest.mark.parametrize("samples", [1, 100, 2_400, 16_000])
def test_digital_silence_is_exactly_zero(tracker: str, samples: int) -> None:
    extractor = FeatureExtractor(FeatureConfig(tracker=tracker))  # type: ignore[arg-type]
    features = extractor(np.zeros(samples, np.float32))
    assert not features.spectrogram.any() and not features.pitch.any() and not features.voicing.any()
    assert features.null.all() and (features.track == 220.0).all()


def test_silence_within_a_recording_is_exactly_zero(extractor: FeatureExtractor) -> None:
    gap = np.zeros(8_000, np.float32)
    features = extractor(np.concatenate([hum(8_000), gap, hum(8_000)]))
    inside = slice(52, 98)  # frames whose windows lie in the gap
    assert not features.spectrogram[:, inside].any() and not features.pitch[:, inside].any()
    assert features.null[inside].all() and not features.null[:50].any() and not features.null[101:].any()


@pytest.mark.parametrize("frame", [0, 7, 99])
def test_frame_t_is_centred_at_sample_160_t(extractor: FeatureExtractor, frame: int) -> None:
    click = np.zeros(16_000, np.float32)
    click[160 * frame] = 0.9
    features = extractor(click)
    assert features.pitch[1].argmax() == frame and features.spectrogram.sum(dim=0).argmax() == frame
    recognised = torch.nonzero(~features.null).flatten()
    assert (recognised - frame).abs().max() <= 1  # a window of 25 ms reaches the neighbours alone


def test_zeros_behind_a_recording_change_nothing_before(extractor: FeatureExtractor) -> None:
    audio = hum(4_321) + noise(4_321, -45.0)
    alone, longer = extractor(audio), extractor(np.concatenate([audio, np.zeros(9_000, np.float32)]))
    for name in FIELDS:  # equal but for the rounding of transforms of more frames at once
        torch.testing.assert_close(getattr(longer, name)[..., : alone.frames], getattr(alone, name), msg=name)


def voice(seed: int, samples: int = 16_000) -> np.ndarray:
    """A voice of moving pitch that comes and goes, over noise 35 dB below; peak at 1. `(S,)`."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    f0 = rng.uniform(90.0, 300.0) * 2 ** (0.3 * np.sin(2 * np.pi * rng.uniform(0.5, 2.0) * time))
    phase = 2 * np.pi * np.cumsum(f0) / 16_000
    wave = sum(np.sin(k * phase + k) / k for k in range(1, 9)) * (np.sin(2 * np.pi * 2.5 * time) > -0.3)
    audio = wave + 0.02 * np.abs(wave).max() * rng.standard_normal(samples)
    return (audio / np.abs(audio).max()).astype(np.float32)


@pytest.mark.parametrize("tracker", ["echo", "swiftf0", "autocorrelation"])
@pytest.mark.parametrize("gain_db", [20.0, -10.0, -30.0, -40.0, -55.0, -59.9])
def test_nothing_depends_on_the_gain(tracker: str, gain_db: float) -> None:
    extractor = FeatureExtractor(FeatureConfig(tracker=tracker, waveform=True))  # type: ignore[arg-type]
    for seed in range(3):
        loud = extractor(voice(seed))
        soft = extractor((voice(seed) * 10 ** (gain_db / 20)).astype(np.float32))
        assert 30 < loud.voicing.sum() < 95
        for name in (*FIELDS, "waveform"):
            torch.testing.assert_close(getattr(soft, name), getattr(loud, name), atol=2e-4, rtol=1e-4, msg=name)


def test_a_gain_that_is_a_power_of_two_changes_no_bit(extractor: FeatureExtractor) -> None:
    loud, soft = extractor(voice(0)), extractor(voice(0) * np.float32(2.0**-9))
    for name in FIELDS:
        assert torch.equal(getattr(soft, name), getattr(loud, name)), name


@settings(max_examples=25, deadline=None)
@given(peak=st.floats(1e-6, 1.0), samples=st.integers(1, 3_000), seed=st.integers(0, 9))
def test_below_60_db_under_full_scale_is_silence_and_no_softer_sound(
    extractor: FeatureExtractor, peak: float, samples: int, seed: int
) -> None:
    audio = noise(samples, -20.0, seed)
    features = extractor((audio / np.abs(audio).max() * peak).astype(np.float32))
    if peak < 0.999e-3:
        assert features.null.all() and not features.spectrogram.any() and not features.pitch.any()
        assert not features.voicing.any() and (features.track == 220.0).all()
    elif peak > 1.001e-3:
        assert not features.null.all() and features.spectrogram.max() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("tracker", ["echo", "swiftf0", "autocorrelation"])
@pytest.mark.parametrize("offset", [0.05, -0.5])
def test_a_constant_offset_is_no_audio(tracker: str, offset: float) -> None:
    extractor = FeatureExtractor(FeatureConfig(tracker=tracker))  # type: ignore[arg-type]
    speech = voice(1) * np.float32(0.02)
    alone, shifted = extractor(speech), extractor(speech + np.float32(offset))
    assert (shifted.spectrogram - alone.spectrogram).abs().mean() < 0.01
    assert (shifted.voicing != alone.voicing).sum() <= 2
    assert extractor(np.full(16_000, offset, np.float32)).null.all(), "an offset alone is silence"
    half = np.concatenate([np.zeros(8_000, np.float32), hum(8_000)])
    assert not extractor(half).spectrogram[:, :48].any(), "digital silence stays zero"


def test_a_part_of_a_recording_is_not_blown_up_further_than_30_db(extractor: FeatureExtractor) -> None:
    soft = sine(-60.0)
    for around, expected in ((-60.0, 1.0), (-35.0, 1.0), (-20.0, 1 - 10 / 80), (0.0, 1 - 30 / 80)):
        features = extractor(soft, around)
        # Between two filters' tops, a sine lies up to 1 dB off: 0.0125.
        assert features.spectrogram[:, 10:90].max() == pytest.approx(expected, abs=0.015)
        assert features.pitch[1, 10:90].max() == pytest.approx(expected, abs=0.005)
        assert (features.pitch[0, 10:90] > 0).all(), "F0 is measured at a level of its own"
    softer = (soft * np.float32(0.01), -60.0)  # all of the recording 40 dB softer: the part peaks below -60 dBFS
    torch.testing.assert_close(extractor(*softer).spectrogram, extractor(soft, -20.0).spectrogram, atol=1e-5, rtol=0)


def test_a_bump_in_a_part_does_not_hide_its_speech(extractor: FeatureExtractor) -> None:
    speech = voice(0) * np.float32(0.01)  # about -50 dBFS
    bumped = speech.copy()
    bumped[8_000:8_160] += np.hanning(160).astype(np.float32)
    alone, beside = extractor(speech, -50.0), extractor(bumped, -50.0)
    away = torch.arange(100).sub(50).abs() > 3  # frames that the bump is not in
    assert (beside.spectrogram - alone.spectrogram)[:, away].abs().max() < 15 / 80
    assert (extractor(bumped).spectrogram - alone.spectrogram)[:, away].abs().max() > 25 / 80, (
        "by itself its peak counts"
    )


def test_steady_noise_is_not_null_but_quiet_is(extractor: FeatureExtractor) -> None:
    assert not extractor(noise(16_000, -60.0)).null.any()
    spoken = np.concatenate([hum(8_000, rms_db=-15.0), noise(8_000, -75.0)])  # 60 dB apart
    null = extractor(spoken).null
    assert not null[:49].any() and null[53:].all()
    assert not extractor(np.concatenate([hum(8_000, rms_db=-15.0), noise(8_000, -55.0)])).null.any()


def test_an_offset_does_not_hide_silence(extractor: FeatureExtractor) -> None:
    spoken = np.concatenate([hum(8_000), np.zeros(8_000, np.float32)]) + np.float32(0.02)
    assert extractor(spoken).null[53:97].all()


def test_a_null_frame_is_unvoiced() -> None:
    audio = np.concatenate([hum(8_000, rms_db=-10.0), hum(8_000, rms_db=-50.0)])
    strict = FeatureExtractor(FeatureConfig(null_relative_db=30.0))(audio)
    assert strict.null[54:].all() and not strict.voicing[54:].any() and not strict.pitch[0, 54:].any()
    lenient = FeatureExtractor(FeatureConfig(null_relative_db=60.0))(audio)
    assert lenient.voicing[60:90].all()


def test_long_recordings_are_cut_without_a_seam(extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = hum(40_000) + noise(40_000, -40.0)
    whole = extractor(audio)
    monkeypatch.setattr("echo_asr.features.log_mel.CHUNK", 37)
    torch.testing.assert_close(extractor(audio).spectrogram, whole.spectrogram, atol=1e-6, rtol=0)


@pytest.mark.parametrize("tracker", ["echo", "swiftf0", "autocorrelation"])
def test_repeats_to_the_bit_and_survives_pickling(tracker: str) -> None:
    extractor = FeatureExtractor(FeatureConfig(tracker=tracker))  # type: ignore[arg-type]
    audio = hum(9_000)
    first, again = extractor(audio), pickle.loads(pickle.dumps(extractor))
    for name in FIELDS:
        assert torch.equal(getattr(first, name), getattr(again(audio), name)), name
    assert again.key == extractor.key


def test_the_key_tells_every_setting_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    base = FeatureConfig()
    others = [
        replace(base, mels=64),
        replace(base, null_relative_db=55.0),
        replace(base, tracker="autocorrelation"),
        replace(base, waveform=True),
    ]
    # What is not in the key of acoustic features.
    of_states = {"states", "encoder_dtype", "encoder_layers", "states_in", "states_reference"}
    assert len(others) == len({f.name for f in fields(FeatureConfig)} - of_states)
    transformed = FeatureExtractor(base, lambda features: features)  # type: ignore[arg-type]
    assert transformed.key == FeatureExtractor(base).key, "a transform comes afterwards"
    keys = [FeatureExtractor(config).key for config in (base, *others)]
    assert len(set(keys)) == len(keys) and FeatureExtractor().key == keys[0]
    extractor = FeatureExtractor()
    extractor.tracker.version = "another"
    assert extractor.key not in keys
    monkeypatch.setattr("echo_asr.features.extractor.CODE_VERSION", -1)
    assert FeatureExtractor().key not in keys


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mels": 4}, "mels: expected a whole number from 8 to 128, got 4"),
        ({"mels": 80.0}, "mels: expected a whole number"),
        ({"null_relative_db": float("nan")}, "null_relative_db: expected"),
        ({"null_relative_db": -60.0}, "null_relative_db: expected a level from 10 to 120 dB"),
        ({"tracker": "dio"}, "tracker: expected one of echo, swiftf0, autocorrelation; got 'dio'"),
    ],
)
def test_settings_are_checked(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureConfig(**setting)


@pytest.mark.parametrize(
    "audio", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32), np.array([0.0, np.nan], np.float32)]
)
def test_what_is_no_audio_is_refused(extractor: FeatureExtractor, audio: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"audio: expected finite samples \(S,\), S >= 1; got"):
        extractor(audio)


def test_a_batch_holds_each_recording_as_it_is_alone(extractor: FeatureExtractor) -> None:
    alone = [extractor(hum(samples)) for samples in (3_000, 160, 8_000)]
    batch = collate_features(alone)
    assert batch.lengths.tolist() == [19, 1, 50] and batch.lengths.dtype == torch.int64
    assert batch.spectrogram.shape == (3, 80, 50) and batch.pitch.shape == (3, 3, 50)
    for row, one in enumerate(alone):
        for name in FIELDS:
            assert torch.equal(getattr(batch, name)[row, ..., : one.frames], getattr(one, name)), name
        behind = slice(one.frames, None)
        assert not batch.spectrogram[row, :, behind].any() and not batch.pitch[row, :, behind].any()
        assert not batch.voicing[row, behind].any() and batch.null[row, behind].all()
        assert (batch.track[row, behind] == 220.0).all()
        assert batch.padding[row].sum() == 50 - one.frames and not batch.padding[row, : one.frames].any()


def test_a_batch_moves_whole(extractor: FeatureExtractor) -> None:
    for one in (extractor(hum(1_000)), listening(hum(1_000))):
        batch = collate_features([one]).to("meta")
        assert isinstance(batch, FeatureBatch)
        assert (batch.waveform is None) == (one.waveform is None)
        tensors = [tensor for tensor in vars(batch).values() if tensor is not None]
        assert {tensor.device.type for tensor in (*tensors, batch.padding)} == {"meta"} and len(tensors) >= 6


# --- the waveform


def listening(audio: np.ndarray, **settings: float) -> Features:
    """Features with the waveform."""
    config = FeatureConfig(tracker="autocorrelation", waveform=True, **settings)  # type: ignore[arg-type]
    return FeatureExtractor(config)(audio)


def test_the_waveform_is_absent_unless_asked_for(extractor: FeatureExtractor) -> None:
    audio = hum(2_000)
    without, with_it = extractor(audio), listening(audio)
    assert without.waveform is None and with_it.waveform is not None
    for name in FIELDS:
        assert torch.equal(getattr(without, name), getattr(with_it, name)), f"{name} is the same either way"


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 2_000])
def test_the_waveform_is_the_samples_over_their_peak_and_zeros_to_the_end_of_the_last_frame(samples: int) -> None:
    audio = hum(samples)
    waveform = listening(audio).waveform
    frames = -(-samples // 160)
    assert waveform is not None and waveform.shape == (160 * frames,) and waveform.dtype == torch.float32
    np.testing.assert_allclose(waveform[:samples], audio.astype(np.float64) / np.abs(audio).max(), atol=1e-7)
    assert float(waveform.abs().max()) == 1.0 and not waveform[samples:].any()


def test_the_waveform_of_silence_is_exactly_zero() -> None:
    assert torch.equal(listening(np.zeros(500, np.float32)).waveform, torch.zeros(640))


def test_a_batch_holds_each_waveform_as_it_is_alone(extractor: FeatureExtractor) -> None:
    alone = [listening(hum(samples)) for samples in (3_000, 160, 8_000)]
    waveform = collate_features(alone).waveform
    assert waveform is not None and waveform.shape == (3, 1, 8_000) and waveform.dtype == torch.float32
    for row, one in enumerate(alone):
        assert torch.equal(waveform[row, 0, : 160 * one.frames], one.waveform)
        assert not waveform[row, 0, 160 * one.frames :].any()
    with pytest.raises(ValueError, match="features: 1 of 2 hold no waveform; use one extractor"):
        collate_features([alone[0], extractor(hum(500))])


def test_a_batch_that_cannot_be(extractor: FeatureExtractor) -> None:
    with pytest.raises(ValueError, match="features: expected at least one recording"):
        collate_features([])
    other: Features = FeatureExtractor(FeatureConfig(mels=40, tracker="autocorrelation"))(hum(500))
    with pytest.raises(ValueError, match=r"expected one number of mel bins, got \[40, 80\]"):
        collate_features([extractor(hum(500)), other])
