"""Films and recordings of telephones and browsers: their times are those of the film."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echo_asr.audio import audio_duration, load_audio, stream_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.segment import AudioSegment
from echo_asr.errors import EchoError

av = pytest.importorskip("av", reason="the extra echo-asr[av] is not installed")

RATE = 48_000  # Hz
CODECS = {".mkv": "aac", ".mp4": "aac", ".mov": "aac", ".webm": "libopus", ".mka": "libopus", ".m4a": "aac"}


def write(
    path: Path, tones: Sequence[tuple[float, float]], pictures: float = 0.0, channels: str = "mono", **options: Any
) -> Path:
    """A file with tones of 440 Hz, each from one time (seconds) to another; `pictures` lasts so many seconds."""
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(CODECS[path.suffix], rate=RATE, layout=channels)
        if pictures:
            film = container.add_stream("mpeg4", rate=10)
            film.width = film.height = 16
            film.pix_fmt = "yuv420p"
            for number in range(round(pictures * 10)):
                picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                picture.pts = number
                container.mux(film.encode(picture))
            container.mux(film.encode(None))
        size = 960 if stream.name == "libopus" else 1024  # samples of a frame
        for start, end in tones:
            for at in range(round(start * RATE), round(end * RATE), size):
                samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(at, at + size) / RATE).astype(np.float32)
                both = np.stack([samples] * (2 if channels == "stereo" else 1))
                frame = av.AudioFrame.from_ndarray(both, format="fltp", layout=channels)
                frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def spans(audio: np.ndarray) -> list[tuple[float, float]]:
    """From when to when there is sound, in seconds, by 10 ms."""
    loud = np.abs(audio[: len(audio) // 160 * 160].reshape(-1, 160)).max(axis=1) > 0.05
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int))) / 100
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def assert_times(path: Path, expected: Sequence[tuple[float, float]], tolerance: float = 0.06) -> None:
    """All ways to read it have sound at the expected times."""
    whole = load_audio(path)
    found = spans(whole)
    assert len(found) == len(expected), found
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert audio_duration(path) == pytest.approx(len(whole) / SAMPLE_RATE, abs=0.06)
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(path))), whole)
    start = expected[-1][0] + 0.25
    part = load_audio(AudioSegment(path, start, 0.5))
    assert len(part) == 8000 and spans(part)[0] == (0.0, 0.5)
    if expected[0][0] >= 1:
        assert not spans(load_audio(AudioSegment(path, 0.2, 0.5)))


@pytest.mark.parametrize("suffix", sorted(CODECS))
@pytest.mark.parametrize("channels", ["mono", "stereo"])
@pytest.mark.parametrize(
    "tones", [[(0.0, 2.0)], [(2.0, 3.0)], [(7.0, 8.0)], [(0.0, 1.0), (4.0, 5.0)], [(1.0, 1.5), (2.0, 2.5), (4.0, 5.0)]]
)
def test_times_are_those_of_the_film(
    suffix: str, channels: str, tones: list[tuple[float, float]], tmp_path: Path
) -> None:
    """Also where the sound begins late, and where packets are missing."""
    assert_times(write(tmp_path / f"a{suffix}", tones, channels=channels), tones)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("tones", [[(0.0, 2.0)], [(2.0, 3.0)], [(0.0, 1.0), (4.0, 5.0)]])
@pytest.mark.parametrize("pictures", [1.0, 9.0])
def test_so_beside_pictures(suffix: str, tones: list[tuple[float, float]], pictures: float, tmp_path: Path) -> None:
    assert_times(write(tmp_path / f"a{suffix}", tones, pictures), tones)


def test_small_gaps_add_up_and_uneven_clocks_do_not_chop(tmp_path: Path) -> None:
    lost = [(0.2 * number, 0.2 * number + 0.16) for number in range(20)]  # one packet of four is missing
    whole = load_audio(write(tmp_path / "a.webm", lost))
    assert len(whole) / SAMPLE_RATE == pytest.approx(lost[-1][1], abs=0.07)
    uneven = [
        (0.02 * number + 0.003 * (number % 3), 0.02 * number + 0.003 * (number % 3) + 0.019) for number in range(99)
    ]
    assert spans(load_audio(write(tmp_path / "b.webm", uneven)))[0][1] > 1.9


def test_an_edit_list_is_followed(tmp_path: Path) -> None:
    """A telephone cuts a recording so: the file plays from 0.5 s of its media, for 1.0 s."""
    path = write(tmp_path / "a.m4a", [(0.0, 0.9), (1.2, 3.0)])
    content = bytearray(path.read_bytes())
    entry = content.find(b"elst") + 12
    content[entry : entry + 8] = (1000).to_bytes(4, "big") + (RATE // 2).to_bytes(4, "big")  # ms, samples
    path.write_bytes(content)
    whole = load_audio(path)
    assert len(whole) / SAMPLE_RATE == pytest.approx(1.0, abs=0.03) and audio_duration(path) == pytest.approx(1.0)
    np.testing.assert_allclose(spans(whole)[:2], [(0.0, 0.4), (0.7, 1.0)], atol=0.05)


def test_appended_recordings_of_a_browser_are_read_on(tmp_path: Path) -> None:
    """Their time stamps begin anew."""
    one = write(tmp_path / "a.webm", [(0.0, 2.0)]).read_bytes()
    (tmp_path / "b.webm").write_bytes(2 * one)
    assert len(load_audio(tmp_path / "b.webm")) / SAMPLE_RATE == pytest.approx(4.0, abs=0.05)


def test_the_clock_of_a_broadcast_begins_anywhere(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(5.0, 7.0)])
    content = bytearray(path.read_bytes())
    at = content.find(b"\x44\x89\x88") + 3  # the duration, in ms, as a double
    content[at : at + 8] = np.array(2000.0, ">f8").tobytes()  # of what is there, and not from zero
    path.write_bytes(content)
    assert spans(load_audio(path))[0][0] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(
    ("suffix", "flags", "pictures"),
    [(".mp4", "faststart", 4.0), (".mp4", "", 4.0), (".m4a", "faststart", 0.0), (".mp4", "frag_keyframe", 4.0),
     (".mov", "faststart", 4.0), (".webm", "", 0.0), (".mkv", "", 0.0), (".mkv", "", 4.0)],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.4, 0.9, 0.99])
def test_a_part_of_a_film_is_refused(suffix: str, flags: str, pictures: float, share: float, tmp_path: Path) -> None:
    options = {"options": {"movflags": flags}} if flags else {}
    path = write(tmp_path / f"a{suffix}", [(0.0, 4.0)], pictures, **options)
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(4.0, abs=0.06)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match=f"a{suffix}: is truncated or damaged"):
            read(path)


def test_a_film_that_is_written_while_it_is_recorded_states_no_size(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(0.0, 2.0)], options={"live": "1"})
    assert_times(path, [(0.0, 2.0)])


def test_names_that_ffmpeg_would_take_for_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("no colons in names")
    one = write(tmp_path / "a.m4a", [(0.0, 1.0)])
    monkeypatch.chdir(tmp_path)
    for name in ("12:30.m4a", "concat:a.m4a", "http:x.m4a"):
        one = one.rename(tmp_path / name)
        assert len(load_audio(name)) == pytest.approx(SAMPLE_RATE, abs=800)


def test_a_playlist_opens_nothing_that_it_names(tmp_path: Path) -> None:
    inner = write(tmp_path / "a.mp4", [(0.0, 1.0)])
    for head in (f"ffconcat version 1.0\nfile {inner.name}\n", f"#EXTM3U\n#EXTINF:1,\n{inner.name}\n#EXT-X-ENDLIST\n"):
        (tmp_path / "b.m4a").write_bytes(head.encode() + b"\0")
        with pytest.raises(EchoError, match=r"b\.m4a: is not an audio file"):
            load_audio(tmp_path / "b.m4a")


def test_tags_in_other_alphabets_and_no_audio_track(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(0.0, 1.0)], options={})
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"L\xe9\xff\xfe"))
    assert len(load_audio(path)) == pytest.approx(SAMPLE_RATE, abs=800)
    with av.open(str(tmp_path / "b.mkv"), "w") as container:
        film = container.add_stream("mpeg4", rate=10)
        film.width = film.height = 16
        film.pix_fmt = "yuv420p"
        container.mux(film.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(film.encode(None))
    for read in (load_audio, audio_duration):
        with pytest.raises(EchoError, match=r"b\.mkv: has no audio track"):
            read(tmp_path / "b.mkv")


ERRORS = [ValueError("x"), OSError(5, "x"), IndexError("x"), RuntimeError("x"), AssertionError(), UnicodeError("x"),
          ZeroDivisionError("x"), MemoryError(), av.FFmpegError(1, "x"), av.InvalidDataError(1, "x")]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["open", "decode"])
def test_whatever_pyav_raises_is_reported_in_one_line(
    error: Exception, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mkv", [(0.0, 1.0)])

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("av.open" if where == "open" else "av.AudioResampler", fail)
    with pytest.raises(EchoError, match=r"a\.mkv: (is truncated or damaged|needs more memory)"):
        load_audio(path)
