"""Loading sound: formats, rates, channels, types, and one line for every way it goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from echo_asr.audio import audio_duration, load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.errors import EchoError


def sine(rate: int, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "FLOAT", 0.0),
        ("a.wav", "PCM_U8", 2**-7),
        ("a.flac", "PCM_16", 2**-15),
        ("a.aiff", "PCM_16", 2**-15),
        ("a.ogg", "VORBIS", 0.05),
        ("a.ogg", "OPUS", 0.05),
        ("a.opus", "OPUS", 0.05),
        ("a.mp3", "MPEG_LAYER_III", 0.05),
    ],
)
def test_every_format_gives_the_samples_back(tmp_path: Path, name: str, subtype: str, tolerance: float) -> None:
    path = tmp_path / name
    container = "OGG" if subtype in ("VORBIS", "OPUS") else None
    soundfile.write(path, sine(SAMPLE_RATE), SAMPLE_RATE, subtype=subtype, format=container)
    audio = load_audio(path)
    assert audio.dtype == np.float32 and audio.shape == (SAMPLE_RATE,)
    # A lossy codec rings at the edges of the clip; its inside is compared.
    inside = slice(None) if tolerance < 0.01 else slice(2000, -2000)
    np.testing.assert_allclose(audio[inside], sine(SAMPLE_RATE)[inside], atol=tolerance, rtol=0)
    assert audio_duration(path) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_resampling_keeps_time_pitch_and_level(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(rate), rate, subtype="FLOAT")
    audio = load_audio(path)
    assert abs(len(audio) - SAMPLE_RATE) <= 1
    np.testing.assert_allclose(audio[800:-800], sine(SAMPLE_RATE)[800 : len(audio) - 800], atol=1e-3)
    assert audio_duration(path) == pytest.approx(1.0)
    np.testing.assert_array_equal(load_audio(sine(rate), rate), audio)


def test_content_above_8_khz_does_not_fold_back() -> None:
    assert np.abs(load_audio(sine(48000, hz=11000.0), 48000)[800:-800]).max() < 1e-3


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    left, right = sine(SAMPLE_RATE), sine(SAMPLE_RATE, hz=200.0)
    soundfile.write(path, np.stack([left, right], axis=1), SAMPLE_RATE, subtype="FLOAT")
    expected = (left + right) / 2
    np.testing.assert_allclose(load_audio(path), expected, atol=1e-7)
    np.testing.assert_allclose(load_audio(np.stack([left, right])), expected, atol=1e-7)
    np.testing.assert_allclose(load_audio(np.stack([left, right], axis=1)), expected, atol=1e-7)
    np.testing.assert_allclose(load_audio(torch.from_numpy(np.stack([left, right]))), expected, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_integers_are_scaled_as_soundfile_scales_them(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.wav"
    samples: np.ndarray = (sine(SAMPLE_RATE) * np.iinfo(dtype).max).astype(dtype)
    soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16" if dtype is np.int16 else "PCM_32")
    np.testing.assert_array_equal(load_audio(samples), load_audio(path))


def test_unsigned_bytes_are_silent_at_128() -> None:
    np.testing.assert_array_equal(load_audio(np.array([0, 128, 192], np.uint8)), [-1.0, 0.0, 0.5])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_tensors_of_any_float_type(dtype: torch.dtype) -> None:
    tensor = torch.tensor([0.5, -0.25, 0.0], dtype=dtype, requires_grad=True)
    np.testing.assert_array_equal(load_audio(tensor), np.array([0.5, -0.25, 0.0], np.float32))


def test_the_callers_array_is_not_shared() -> None:
    samples = sine(SAMPLE_RATE)
    load_audio(samples)[:] = 1.0
    assert np.abs(samples).max() < 0.5


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1, 1, width=32)))
def test_an_array_at_16_khz_comes_back_unchanged(samples: np.ndarray) -> None:
    np.testing.assert_array_equal(load_audio(samples), samples)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2000), st.sampled_from([8000, 11025, 44100, 48000, 96000]))
def test_no_clip_is_too_short_to_resample(samples: int, rate: int) -> None:
    audio = load_audio(np.full(samples, 0.1, np.float32), rate)
    assert audio.dtype == np.float32 and np.isfinite(audio).all()
    assert len(audio) >= 1 and abs(len(audio) - samples * SAMPLE_RATE / rate) <= 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "empty file"),
        ("text.wav", b"hello\n" * 1000, "is not an audio file"),
        ("text.mp3", b"hello\n" * 20_000, "is not an audio file"),
        ("text.m4a", b"hello\n" * 1000, "is not an audio file"),
        ("bytes.wav", bytes(range(256)) * 40, "is not an audio file"),
        ("bytes.raw", bytes(range(256)) * 40, "is not an audio file"),
        ("header.wav", b"RIFF", "is not an audio file"),
    ],
)
def test_what_is_no_audio_is_reported_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match="nowhere.wav: no such file; check the path"):
            read(tmp_path / "nowhere.wav")
        with pytest.raises(EchoError, match="is a folder; name one audio file"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", None), ("a.flac", None), ("a.aiff", None), ("a.mp3", None), ("a.ogg", "VORBIS"), ("a.ogg", "OPUS")],
)
@pytest.mark.parametrize("share", [0.35, 0.8])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, subtype: str | None, share: float) -> None:
    path = tmp_path / name
    soundfile.write(path, sine(SAMPLE_RATE, 3.0), SAMPLE_RATE, subtype=subtype)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(EchoError, match=f"{name}: is truncated or damaged .*; copy or record it again"):
        load_audio(path)


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_a_wav_written_into_a_pipe_is_read(tmp_path: Path, size: int) -> None:
    """Such files state no size; that is no truncation."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(SAMPLE_RATE), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(load_audio(path)) == SAMPLE_RATE


def test_zero_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), SAMPLE_RATE)
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match=r"a\.wav: holds no samples"):
            read(tmp_path / "a.wav")
    with pytest.raises(EchoError, match="audio ndarray: holds no samples"):
        load_audio(np.zeros(0, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path: Path, value: float) -> None:
    samples = sine(8000)
    samples[4000] = value
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(EchoError, match=r"a\.wav: holds NaN or infinite samples \(first at 0\.500 s\)"):
        load_audio(tmp_path / "a.wav")
    with pytest.raises(EchoError, match="NaN or infinite"):
        load_audio(samples, 8000)
    with pytest.raises(EchoError, match="NaN or infinite"):
        load_audio(np.array([1e300]))  # beyond float32


@pytest.mark.parametrize("rate", [0, -1, 16000.5, "16000", True])
def test_a_sampling_rate_that_is_none(rate: object) -> None:
    with pytest.raises(EchoError, match="sampling_rate: expected a positive whole number of Hz, got"):
        load_audio(sine(SAMPLE_RATE), rate)  # type: ignore[arg-type]


def test_a_sampling_rate_that_contradicts_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(8000), 8000)
    assert len(load_audio(tmp_path / "a.wav", 8000)) == SAMPLE_RATE
    with pytest.raises(EchoError, match="sampling_rate is 16000, the file has 8000"):
        load_audio(tmp_path / "a.wav", 16000)


def test_arrays_that_are_no_audio() -> None:
    with pytest.raises(EchoError, match=r"expected shape \(S,\), \(channels, S\) or \(S, channels\); got \(2, 3, 4\)"):
        load_audio(np.zeros((2, 3, 4)))
    with pytest.raises(EchoError, match="expected float, int8, int16, int32 or uint8; convert the int64"):
        load_audio(np.array([1, 2, 3]))
    with pytest.raises(EchoError, match="expected float.*complex64"):
        load_audio(np.zeros(5, np.complex64))
    with pytest.raises(EchoError, match="audio list: expected a path, a numpy array or a torch tensor"):
        load_audio([0.0, 0.1])  # type: ignore[arg-type]


def test_m4a_without_the_extra_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100))
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match=r"a\.m4a: \.m4a needs the optional PyAV; .*pip install 'echo-asr\[av\]'"):
            read(path)


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus")])
def test_m4a_and_webm_with_the_extra(tmp_path: Path, name: str, codec: str) -> None:
    av = pytest.importorskip("av", reason="the extra echo-asr[av] is not installed")
    path = tmp_path / name
    rate, size = 48_000, 960  # Hz, samples a frame
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        signal = np.stack([sine(rate, 2.0)] * 2)
        for start in range(0, signal.shape[1], size):
            part = np.ascontiguousarray(signal[:, start : start + size])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = load_audio(path)
    assert audio_duration(path) == pytest.approx(2.0, abs=0.1)
    assert len(audio) == pytest.approx(2.0 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(audio[8000:24000]))
    assert np.argmax(spectrum) == 440 and np.sqrt(np.mean(audio[8000:24000] ** 2)) == pytest.approx(0.212, rel=0.05)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EchoError, match=f"{name}: is truncated or damaged"):
        load_audio(path)
