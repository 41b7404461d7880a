"""Segments of files: the same samples as the same part of the whole, whatever the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from echo_asr.audio import audio_duration, load_audio, stream_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.cache import FeatureCache
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor

SECONDS = 3.0
FORMATS = {
    "wav": ("WAV", "PCM_16", 16_000), "flac": ("FLAC", "PCM_16", 16_000), "ogg": ("OGG", "VORBIS", 16_000),
    "opus": ("OGG", "OPUS", 16_000), "mp3": ("MP3", "MPEG_LAYER_III", 16_000),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((round(SECONDS * 16_000), 2))
    for suffix, (form, subtype, rate) in FORMATS.items():
        soundfile.write(made / f"a.{suffix}", noise[:, 0], rate, format=form, subtype=subtype)
    soundfile.write(made / "two.wav", noise, 16_000)
    return made


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 2.9), duration=st.floats(0.001, 1), suffix=st.sampled_from(sorted(FORMATS)))
@example(start=2.75, duration=0.25, suffix="mp3")  # an MP3 frame needs what the ones before left over
@example(start=2.75, duration=0.25, suffix="ogg")  # libvorbis is misled by a last page cut short
def test_a_segment_is_that_part_of_the_whole(folder: Path, start: float, duration: float, suffix: str) -> None:
    assume(start + duration <= SECONDS)
    path = folder / f"a.{suffix}"
    whole = load_audio(path)
    first = round(start * 16_000)
    expected = whole[first : first + round(duration * 16_000)]
    found = load_audio(AudioSegment(path, start, duration))
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(AudioSegment(path, start, duration)))), found)


def test_channels_and_open_ends(folder: Path) -> None:
    path = folder / "two.wav"
    both = soundfile.read(path, dtype="float32")[0]
    np.testing.assert_array_equal(load_audio(AudioSegment(path, 1.0, 0.5, channel=1)), both[16_000:24_000, 1])
    np.testing.assert_array_equal(load_audio(AudioSegment(path, channel=0)), both[:, 0])
    np.testing.assert_array_equal(load_audio(AudioSegment(path, 2.0)), both[32_000:].mean(axis=1))
    assert audio_duration(AudioSegment(path, 2.0)) == pytest.approx(1.0)
    assert audio_duration(AudioSegment(path, 2.0, 0.25)) == 0.25


def test_times_that_are_rounded_up_end_with_the_file(folder: Path) -> None:
    assert len(load_audio(AudioSegment(folder / "a.wav", 2.5, 0.9))) == 8000


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            {"start": 3.0, "duration": 0.1},
            r"a\.wav \(3\.000-3\.100 s\): is not within that file, which lasts 3\.0",
        ),
        ({"start": 2.0, "duration": 1.6}, r"correct its times"),
        ({"start": -1.0, "duration": 1.6}, r"correct its times"),
        ({"start": 1.0, "duration": 0.0}, r"correct its times"),
        ({"channel": 1}, r"a\.wav \(0\.000- s, channel 1\): has 1 channel, counted from 0; correct the channel"),
    ],
)
def test_times_that_are_not_in_the_file(folder: Path, times: dict[str, float], message: str) -> None:
    segment = AudioSegment(folder / "a.wav", **times)  # type: ignore[arg-type]
    with pytest.raises(EchoError, match=message):
        load_audio(segment)
    with pytest.raises(EchoError, match=message):
        list(stream_audio(segment))


def test_a_segment_of_what_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("words")
    with pytest.raises(EchoError, match=r"a\.wav: is not an audio file"):
        load_audio(AudioSegment(tmp_path / "a.wav", 1.0, 1.0))


def test_m4a(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra av")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        signal = (0.3 * np.sin(np.arange(32_000) / 20)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(signal[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    whole = load_audio(path)
    np.testing.assert_array_equal(load_audio(AudioSegment(path, 0.5, 0.25)), whole[8000:12_000])
    with pytest.raises(EchoError, match="is not within that file"):
        load_audio(AudioSegment(path, 5.0, 0.25))


def test_each_segment_has_features_of_its_own_in_the_cache(folder: Path, tmp_path: Path) -> None:
    extractor = FeatureExtractor(FeatureConfig(mels=16, tracker="autocorrelation"))
    cache = FeatureCache(tmp_path, extractor)
    path = folder / "a.wav"
    sources = [path, AudioSegment(path, 0.0, 0.5), AudioSegment(path, 0.5, 0.5), AudioSegment(path, 0.0, 0.75)]
    sources += [AudioSegment(folder / "two.wav", 0.0, 0.5, channel) for channel in (None, 0, 1)]
    for source in sources:
        assert not cache.holds(source)
        made = cache.features(source)
        assert cache.holds(source)
        again = FeatureCache(tmp_path, extractor).features(source)
        for found in (made, again):
            assert found.spectrogram.equal(extractor(load_audio(source)).spectrogram)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(sources)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_pieces_of_a_file_join_without_a_seam(folder: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = soundfile.read(folder / f"a.{suffix}", dtype="float32")[0]
    monkeypatch.setattr("echo_asr.audio.libsndfile.BLOCK", 7001)
    np.testing.assert_allclose(load_audio(folder / f"a.{suffix}"), whole, atol=1e-5)
