"""Recordings that lie, or are made to hurt: read or refused in a second, in bounded memory, and one by one."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("resource", reason="memory cannot be limited here")
if not Path("/proc/self/status").exists():
    pytest.skip("what is in use cannot be measured here", allow_module_level=True)

MEGABYTES = 400  # that reading may need, beyond what the libraries take
# Reads each file of a folder, or damaged copies of it, in all ways; prints what came of it and the seconds it took.
READER = """
import json, os, random, resource, sys, time, warnings
from pathlib import Path
import numpy as np
from echo_asr.audio import audio_duration, load_audio, stream_audio
from echo_asr.errors import EchoError
from echo_asr.audio.segment import AudioSegment

folder, megabytes, rounds, seed = Path(sys.argv[1]), *map(int, sys.argv[2:])
try:
    import av
except ImportError:
    pass
warnings.simplefilter("ignore")
used = int(Path("/proc/self/status").read_text().split("VmSize:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)

def streamed(path):
    count = 0
    for block in stream_audio(path):
        assert block.dtype == np.float32 and block.ndim == 1 and np.isfinite(block).all()
        count += len(block)
        if count > 16000 * 600:
            break
    return count / 16000

def loaded(source):
    samples = load_audio(source)
    assert samples.dtype == np.float32 and samples.ndim == 1 and samples.size and np.isfinite(samples).all()
    return len(samples) / 16000

def answers(path):
    found = {}
    for name, read in (("duration", lambda: audio_duration(path)), ("load", lambda: loaded(path)),
                       ("stretch", lambda: loaded(AudioSegment(path, 0.01, 0.02))), ("stream", lambda: streamed(path))):
        began = time.monotonic()
        try:
            answer = read()
            assert 0 < answer < float("inf"), answer
        except EchoError as error:
            answer = str(error)
            assert path.name in answer and "\\n" not in answer, answer
        found[name] = answer, time.monotonic() - began
    return found

EXTREMES = [n.to_bytes(4, o) for o in ("little", "big") for n in (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)]

def damaged(content, draw):
    for _ in range(draw.randint(1, 5)):
        at = draw.choice((draw.randrange(200), draw.randrange(len(content) + 1)))
        new = draw.choice((draw.choice(EXTREMES), draw.randbytes(draw.randint(1, 8))))
        kind = draw.choice(("replace", "replace", "insert", "remove", "cut", "twice"))
        content = {
            "replace": content[:at] + new + content[at + len(new) :], "insert": content[:at] + new + content[at:],
            "remove": content[:at] + content[at + draw.randint(1, 64) :], "cut": content[:at] or content[:1],
            "twice": content + content[at:],
        }[kind]
    return content[: 1 << 20]

files = [path for path in sorted(folder.iterdir()) if path.is_file()]
if not rounds:
    print(json.dumps({path.name: answers(path) for path in files}))
else:
    draw, slowest = random.Random(seed), 0.0
    (folder / "damaged").mkdir(exist_ok=True)
    for number in range(rounds):
        good = draw.choice(files)
        path = folder / "damaged" / good.name
        path.write_bytes(damaged(good.read_bytes(), draw))
        try:
            slowest = max(slowest, *(seconds for _, seconds in answers(path).values()))
        except BaseException:
            print(f"round {number}: {path}", file=sys.stderr)
            raise
    print(json.dumps({"slowest": slowest}))
"""


def read_limited(folder: Path, rounds: int = 0, seed: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-X", "faulthandler", "-c", READER, str(folder), str(MEGABYTES), str(rounds), str(seed)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr[-3000:]
    answers: dict[str, Any] = json.loads(finished.stdout)
    return answers


SAMPLES = bytes(range(1, 201)) * 160


def wav(
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    before: bytes = b"",
    data: bytes = SAMPLES,
    size: int | None = None,
) -> bytes:
    numbers = 1, channels, rate, rate * channels * bits // 8 % 2**32, channels * bits // 8 % 2**16, bits
    content = b"WAVE" + before + b"fmt \x10\0\0\0" + struct.pack("<HHIIHH", *numbers) + b"data"
    content += struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(content)) + content


def chunk(name: bytes, size: int, content: bytes = b"") -> bytes:
    return name + struct.pack("<I", size) + content


def replaced(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def hostile(folder: Path) -> dict[str, bytes]:
    """Files by name; those whose name begins with `ok` are to be read, others may be refused."""
    good = {}
    for name in ("a.aiff", "a.au", "a.caf", "a.w64", "a.rf64", "a.flac", "a.ogg", "a.mp3"):
        soundfile.write(folder / name, np.full(16_000, 0.1), 16_000)
        good[name[2:]] = (folder / name).read_bytes()
        (folder / name).unlink()
    comm = good["aiff"].find(b"COMM")
    files = {f"rate{rate}.wav": wav(rate) for rate in (0, 1, 10, 999, 1_000_001, 2**31 - 1, 2**32 - 1)}
    files |= {f"channels{count}.wav": wav(channels=count) for count in (0, 1025, 32_768, 65_535)}
    files |= {f"bits{bits}.wav": wav(bits=bits) for bits in (0, 7, 65_535)}
    files |= {
        f"{name.strip()}{size:x}.wav": wav(before=chunk(name.encode(), size))
        for name in ("LIST", "bext", "cue ", "smpl", "PEAK", "cart", "id3 ", "fact", "JUNK")
        for size in (0x7FFF_FFFF, 0xFFFF_FFF0)
    }
    return {
        **files,
        "ok1024.wav": wav(channels=1024, data=b"\1\2" * 1024 * 8000),
        "okprime.wav": wav(999_983, data=b"\1\2" * 200_000),
        "ok1000.wav": wav(1000),
        "cue.wav": wav(before=chunk(b"cue ", 28, struct.pack("<I", 2**31 - 1) + bytes(24))),
        "smpl.wav": wav(before=chunk(b"smpl", 36, bytes(28) + struct.pack("<II", 2**31 - 1, 0))),
        "info.wav": wav(before=chunk(b"LIST", 20, b"INFO" + chunk(b"IART", 2**31 - 1) + b"abcd")),
        "chunks.wav": wav(before=chunk(b"LIST", 0) * 100_000),
        "after.wav": wav() + chunk(b"LIST", 0) * 100_000,
        "inside.wav": wav()[:12] * 50_000,
        "many.wav": wav(data=b"\1\2" * 16) * 2000,
        "gigabytes.wav": wav(size=0x7FFE_0000),
        "rate.aiff": replaced(good["aiff"], comm + 16, bytes.fromhex("3fff8000000000000000")),  # 1 Hz
        "infinite.aiff": replaced(good["aiff"], comm + 16, bytes.fromhex("7fff8000000000000000")),
        "channels.aiff": replaced(good["aiff"], comm + 8, b"\xff\xff"),
        "offset.au": replaced(good["au"], 4, b"\xff\xff\xff\xf0"),
        "rate.au": replaced(good["au"], 16, struct.pack(">I", 1)),
        "rate.caf": replaced(good["caf"], 20, struct.pack(">d", 1.0)),
        "nan.caf": replaced(good["caf"], 20, struct.pack(">d", float("nan"))),
        "huge.caf": replaced(good["caf"], 20, struct.pack(">d", 1e300)),
        "terabytes.rf64": replaced(good["rf64"], 28, struct.pack("<Q", 1 << 42)),
        "terabytes.w64": replaced(good["w64"], good["w64"].find(b"data\xf3") + 16, struct.pack("<Q", 1 << 42)),
        "total.flac": replaced(good["flac"], 21, b"\xff" * 5),
        "rate.flac": replaced(good["flac"], 18, b"\0\0\x12"),
        "block.flac": replaced(good["flac"], 5, b"\xff\xff\xff"),
        "tag.mp3": b"ID3\3\0\0\x7f\x7f\x7f\x7f" + bytes(1000),
        "tags.mp3": b"ID3\3\0\0\0\0\0\0" * 20_000 + good["mp3"],
        "junk.mp3": good["mp3"][:600] + bytes(3_000_000),
        "syncs.mp3": b"\0" + b"\xff" * 2_000_000,
        "pages.ogg": good["ogg"] * 100,
        "page.ogg": good["ogg"] + b"OggS" * 100_000,
    }  # fmt: skip


def test_lies_of_headers_cost_nothing(tmp_path: Path) -> None:
    files = hostile(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name, answers in read_limited(tmp_path).items():
        for how, (answer, seconds) in answers.items():
            assert seconds < 2, (name, how, seconds)  # of a busy machine
            assert not name.startswith("ok") or isinstance(answer, float), (name, how, answer)
            if name.startswith("rate"):
                assert "sample rate of" in answer or "not an audio file" in answer, (name, answer)


def write_hours(path: Path, hours: int, rate: int) -> None:
    silence = np.zeros(rate * 600, np.int16)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(6 * hours):
            file.write(silence)


@pytest.mark.slow
def test_hours_in_a_few_bytes_are_streamed(tmp_path: Path) -> None:
    """The memory of a minute suffices; to hold them whole is refused."""
    write_hours(tmp_path / "a.flac", 3, 16_000)
    with (tmp_path / "sparse.wav").open("wb") as file:
        file.write(wav(size=0))
        file.truncate(40 << 30)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "endless.flac").write_bytes(replaced(content, 21, bytes([content[21] & 0xF0]) + bytes(4)))
    for name, answers in read_limited(tmp_path).items():
        assert "too long to be loaded at once" in answers["load"][0] or "more memory" in answers["load"][0], name
        assert answers["stream"][0] > 600 and isinstance(answers["duration"][0], float), name


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of short recordings of many forms."""
    folder = tmp_path_factory.mktemp("good")
    audio = 0.5 * np.sin(np.arange(1600) / 9)
    names = ("16.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.au", "a.caf", "a.w64", "a.rf64", "a.voc")
    kinds = {
        "float.wav": "FLOAT", "gsm.wav": "GSM610", "nms.wav": "NMS_ADPCM_16", "g721.au": "G721_32",
        "ima.wav": "IMA_ADPCM", "a.opus": "OPUS", "a.sph": "ULAW", "a.xi": "DPCM_16",
    }  # fmt: skip
    for name in (*names, *kinds):
        options = {"format": {"opus": "OGG", "sph": "NIST"}.get(name.split(".")[1]), "subtype": kinds.get(name)}
        soundfile.write(folder / name, audio, 44_100 if name == "a.xi" else 16_000, **options)
    (folder / "two.mp3").write_bytes((folder / "a.mp3").read_bytes() * 2)
    stereo = np.stack([audio, -audio], axis=1)
    soundfile.write(folder / "opposite.wav", stereo, 16_000)
    try:
        import av
    except ImportError:
        return folder
    for name, codec in (("a.m4a", "aac"), ("a.mp4", "aac"), ("a.mkv", "aac"), ("a.webm", "libopus"), ("a.aac", "aac")):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=48_000, layout="mono")
            for start in (0, 48_000):
                frame = av.AudioFrame.from_ndarray(np.full((1, 960), 0.1, np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 48_000, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


def test_damaged_recordings_under_a_memory_limit(good: Path) -> None:
    assert read_limited(good, rounds=150, seed=1)["slowest"] < 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_damaged_recordings_under_a_memory_limit(seed: int, good: Path) -> None:
    assert read_limited(good, rounds=3000, seed=seed)["slowest"] < 10
