"""Files that libsndfile reads: codecs without seeking, recordings one after another, headers that know no length."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.audio import audio_duration, load_audio, stream_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.mpeg import frame_at
from echo_asr.audio.segment import AudioSegment
from echo_asr.errors import EchoError

SECONDS = 3.0
KINDS = [
    (container, subtype)
    for container in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(container)
    # Without a rate (RAW, XI), in two files (SD2), and not written by soundfile (DWVW in AIFF, MP3 in WAV and others).
    if container not in ("RAW", "SD2", "XI") and not subtype.startswith("DWVW") and ("MPEG" not in subtype)
] + [("MP3", "MPEG_LAYER_III")]
RATES = {"OPUS": 16_000, "MPEG_LAYER_III": 16_000}  # Hz; of others 8 kHz


def tone(rate: int, seconds: float = SECONDS, hz: float = 300.0) -> np.ndarray:
    """A tone that changes in level, so that parts of it differ."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * time) * (0.6 + 0.4 * np.sin(7 * time))).astype(np.float32)


def assert_read(path: Path, expected: np.ndarray, rate: int, tolerance: float) -> np.ndarray:
    """All ways to read a file give the expected samples at its own rate, and agree."""
    whole = load_audio(path)
    reference = load_audio(expected, rate)
    assert len(reference) <= len(whole) <= len(reference) + 0.1 * SAMPLE_RATE, "the last block of a codec may be padded"
    inside = slice(1000, len(reference) - 2000)  # codecs and the resampler ring at the ends
    assert np.abs(whole[inside] - reference[inside]).max() < tolerance
    assert audio_duration(path) == pytest.approx(len(whole) / SAMPLE_RATE, abs=1e-3)
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(path))), whole)
    part = load_audio(AudioSegment(path, 1.25, 0.5))
    assert len(part) == 8000
    np.testing.assert_allclose(part[500:-500], whole[20_500:27_500], atol=2e-3)
    np.testing.assert_allclose(load_audio(AudioSegment(path, 1.25))[500:-500], whole[20_500:-500], atol=2e-3)
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(AudioSegment(path, 1.25, 0.5)))), part)
    with pytest.raises(EchoError, match="is not within that file"):
        load_audio(AudioSegment(path, 60.0, 1.0))
    return whole


@pytest.mark.parametrize(("container", "subtype"), KINDS)
def test_every_codec_is_read_whole_and_in_segments(container: str, subtype: str, tmp_path: Path) -> None:
    """Also GSM 6.10, G.721, G.723, NMS ADPCM and DPCM, which libsndfile reads from beginning to end only."""
    rate = RATES.get(subtype, 8000)
    path = tmp_path / "a.audio"
    soundfile.write(path, tone(rate), rate, format=container, subtype=subtype)
    assert_read(path, tone(rate), rate, 0.15)


# --- sizes that are none ---


def header_of(path: Path, container: str) -> tuple[bytearray, dict[str, list[int]]]:
    """The bytes of a file, and the offsets of the numbers that state the size of the whole and of the audio."""
    content = bytearray(path.read_bytes())
    data = content.find(b"SSND" if container == "AIFF" else b"data")
    places = {
        "WAV": [4, data + 4], "AIFF": [4, content.find(b"COMM") + 10, data + 4], "AU": [8], "RF64": [20, 28, 36],
        "CAF": [data + 4], "W64": [16, data + 16],
    }  # fmt: skip
    return content, {
        "all": places[container],
        "audio": places[container][-2:-1] if container == "RF64" else places[container][-1:],
    }


SIZES = [0, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF]  # a recorder cut off; sox, ffmpeg into a pipe


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["all", "audio"])
@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "RF64", "CAF", "W64"])
def test_a_header_without_a_size_is_read_to_the_files_end(
    container: str, which: str, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.audio"
    soundfile.write(path, tone(SAMPLE_RATE), SAMPLE_RATE, format=container, subtype="PCM_16")
    content, places = header_of(path, container)
    for at in places[which]:
        if container in ("RF64", "CAF", "W64"):
            form = ">q" if container == "CAF" else "<q"
            content[at : at + 8] = struct.pack(form, -1 if size == 0xFFFF_FFFF else 0 if size == 0 else 1 << 62)
        else:
            content[at : at + 4] = struct.pack(">I" if container in ("AIFF", "AU") else "<I", size)
    path.write_bytes(content)
    assert_read(path, tone(SAMPLE_RATE), SAMPLE_RATE, 1e-3)


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ULAW", "FLOAT"])
def test_so_with_other_codecs(subtype: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE, subtype=subtype)
    content, places = header_of(tmp_path / "a.wav", "WAV")
    for at in places["all"]:
        content[at : at + 4] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    assert_read(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE, 0.1)


@pytest.mark.parametrize("total", [0, 36, 96_036])
def test_a_size_that_was_written_before_the_recording_went_on(total: int, tmp_path: Path) -> None:
    """As of recorders that renew the header now and then, and of those that renew one size only."""
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8], content[40:44] = struct.pack("<I", total), struct.pack("<I", 32_000)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.warns(UserWarning, match=r"a\.wav: its header leaves out the last 64000 bytes"):
        assert_read(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE, 1e-3)


@pytest.mark.parametrize("size", [0, 32_000])
def test_what_follows_the_audio_is_not_read_as_audio(size: int, tmp_path: Path) -> None:
    audio = tone(SAMPLE_RATE, 1.0)[: size // 2]
    soundfile.write(tmp_path / "a.wav", audio, SAMPLE_RATE)
    content = (tmp_path / "a.wav").read_bytes()
    for rest in (b"LIST\4\0\0\0INFO", b"LIST\4\0\0\0INFObext\3\0\0\0abc\0", b"id3 \4\0\0\0" + b"\xff" * 4):
        (tmp_path / "b.wav").write_bytes(content + rest)
        if size:
            np.testing.assert_array_equal(load_audio(tmp_path / "b.wav"), load_audio(tmp_path / "a.wav"))
        else:
            with pytest.raises(EchoError, match="holds no samples"):
                load_audio(tmp_path / "b.wav")


@pytest.mark.parametrize("name", ["a.au", "a.caf", "a.rf64", "a.w64", "a.sph"])
def test_a_part_of_a_file_of_other_forms_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(SAMPLE_RATE), SAMPLE_RATE, format="NIST" if name == "a.sph" else None, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match=f"{name}: is truncated or damaged .its header states"):
            read(path)


def test_flac_from_a_pipe_states_no_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(SAMPLE_RATE), SAMPLE_RATE)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # STREAMINFO: 36 bits of samples in all
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    assert_read(tmp_path / "a.flac", tone(SAMPLE_RATE), SAMPLE_RATE, 1e-3)


def test_sphere_with_a_header_of_blanks(tmp_path: Path) -> None:
    path = tmp_path / "a.sph"
    soundfile.write(path, tone(8000), 8000, format="NIST", subtype="ULAW")
    content = path.read_bytes()
    path.write_bytes(content[:1024].replace(b"\0", b" ") + content[1024:].replace(b"\0", b"\1"))
    assert 0 not in path.read_bytes()
    assert_read(path, tone(8000), 8000, 0.02)


# --- recordings one after another ---


def encode(path: Path, rate: int = SAMPLE_RATE, channels: int = 1, hz: float = 300.0, **options: str) -> bytes:
    audio = np.stack([tone(rate, hz=hz)] * channels, axis=1)
    soundfile.write(path, audio, rate, bitrate_mode="VARIABLE" if path.suffix == ".mp3" else None, **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".mp3", {}), (".ogg", {}), (".ogg", {"subtype": "OPUS"}), (".wav", {}), (".wav", {"subtype": "GSM610"})],
)
@pytest.mark.parametrize("second", [{}, {"rate": 24_000}, {"channels": 2}])
def test_appended_files_are_read_to_the_end(
    suffix: str, options: dict[str, str], second: dict[str, int], tmp_path: Path
) -> None:
    if "GSM610" in options.values() and "channels" in second:
        second = {}
    path = tmp_path / f"a{suffix}"
    content = encode(path, **options) + encode(path, hz=500.0, **second, **options)  # type: ignore[arg-type]
    path.write_bytes(content)
    expected = np.concatenate([tone(SAMPLE_RATE), tone(SAMPLE_RATE, hz=500.0)])
    whole = assert_read(path, expected, SAMPLE_RATE, 0.6)  # where they meet, the second codec has no past
    near = np.abs(np.arange(len(expected)) - len(expected) // 2) < 1000
    assert np.abs(whole[: len(expected)] - expected)[1000:-2000][~near[1000:-2000]].max() < 0.1
    later = slice(4 * SAMPLE_RATE, 5 * SAMPLE_RATE)
    assert np.abs(np.fft.rfft(whole[later])).argmax() == 500
    with pytest.raises(EchoError, match="truncated or damaged"):
        path.write_bytes(content[: -len(content) // 4])
        load_audio(path)


ID3 = b"ID3\x03\0\0\0\0\x10\0" + bytes(range(200)) * 10 + bytes(48)
TAG = b"TAG" + bytes(125)


@pytest.mark.parametrize("before", [b"", ID3])
@pytest.mark.parametrize("after", [b"", TAG, bytes(5000), b"APETAGEX" + bytes(500)])
def test_tags_are_no_audio(before: bytes, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content = encode(path)
    once = load_audio(path)
    path.write_bytes(before + content + after)
    np.testing.assert_array_equal(load_audio(path), once)
    path.write_bytes(2 * (before + content + after))
    np.testing.assert_array_equal(load_audio(path), np.concatenate([once, once]))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_mp3_without_a_header_is_read_to_its_end(count: int, rate: int, tmp_path: Path) -> None:
    """Of a variable bit rate: libsndfile takes it from the first frames, and would cut or refuse the file."""
    path = tmp_path / "a.mp3"
    content = encode(path, rate)
    first = frame_at(content, 0)
    assert first is not None
    path.write_bytes(ID3 + content[first.size :] * count + TAG)
    delay = 576  # samples; no header tells the decoder of the delay of the encoder
    whole = load_audio(path)
    assert len(whole) / SAMPLE_RATE == pytest.approx(count * SECONDS, abs=0.09 * count)
    start = round(delay / rate * SAMPLE_RATE)
    expected = load_audio(tone(rate), rate)
    assert np.abs(whole[start + 1000 : start + len(expected) - 2000] - expected[1000:-2000]).max() < 0.1
    assert audio_duration(path) == pytest.approx(len(whole) / SAMPLE_RATE, abs=1e-3)
    at = count * SECONDS - 1.0
    np.testing.assert_allclose(
        load_audio(AudioSegment(path, at, 0.5))[500:-500], whole[round(at * SAMPLE_RATE) :][500:7500], atol=2e-3
    )
