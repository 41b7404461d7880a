"""Whatever the files of a corpus hold, reading it gives records and broken records, or an EchoError of one line, in
bounded memory.

Run as a program, with a folder, it reads damaged and hostile corpora there under a limit of memory.
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
import random
import subprocess
import sys
import tarfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError

RATE = 16_000  # Hz
MEMORY = 1 << 30  # bytes that reading a corpus may take beyond what the program has by itself
SECONDS = 60  # for one hostile corpus, on a machine that does other things, too
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="file:///x/a.wav" RELATIVE_MEDIA_URL="./a.wav"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="50"/></TIME_ORDER>
<TIER TIER_ID="tx" PARTICIPANT="A"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1"
 TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>m\u00e0</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>
"""
GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n0.1\n<exists>\n1\n"IntervalTier"\n"tx"\n0\n0.1\n2\n'
GRID += '0\n0.05\n"m\u00e0 ""x"""\n0.05\n0.1\n""\n'
CUES = "1\n00:00:00,000 --> 00:00:00,050\n<v A>m\u00e0\n\n2\n00:00:00,050 --> 00:00:00,100\nx\n"
RECORDING = {
    "id": "r", "duration": 0.1, "sampling_rate": RATE, "num_samples": 1600,
    "sources": [{"type": "file", "channels": [0, 1], "source": "a.wav"}],
}  # fmt: skip
SUPERVISION = {"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.05, "channel": 0, "text": "m\u00e0"}
CUT = {
    "id": "c", "start": 0, "duration": 0.1, "channel": 0, "type": "MonoCut", "supervisions": [SUPERVISION],
    "recording": RECORDING,
}  # fmt: skip
# The forms of corpora as their files, of which each can be damaged.
FORMS: dict[str, dict[str, str]] = {
    "csv": {"metadata.csv": 'file_name,transcription,speaker,duration\na.wav,"m\u00e0, ba",A,0.1\nb.wav,x,,\n,,,\n'},
    "jsonl": {
        "metadata.jsonl": '{"file_name": "a.wav", "text": "m\u00e0", "excerpt_channel": 1}\n'
        '{"file_name": "b.wav", "text": ""}\n',
    },
    "kaldi": {
        "wav.scp": "r a.wav\nq b.wav\n", "segments": "u r 0 0.05 0\nv q 0.01 -1\n", "text": "u m\u00e0\nv x\n",
        "reco2dur": "r 0.1\n",
    },
    "ljspeech": {"metadata.csv": "a|1|m\u00e0\nb|x|\n"},
    "commonvoice": {
        "train.tsv": 'client_id\tpath\tsentence\nA\ta.wav\t"m\u00e0\nA\tb.wav\tx\n',
        "clip_durations.tsv": "clip\tduration\na.wav\t100\n",
    },
    "elan": {"a.eaf": EAF, "b.eaf": EAF.replace("./a.wav", "./b.wav")},
    "textgrid": {"a.TextGrid": GRID, "b.TextGrid": GRID},
    "subtitles": {"a.srt": CUES, "b.vtt": "WEBVTT\n\n" + CUES.replace("00:00:", "00:")},
    "cuts": {"cuts.jsonl": json.dumps(CUT) + "\n" + json.dumps(CUT | {"id": "d"}) + "\n"},
    "supervisions": {
        "supervisions.jsonl": json.dumps(SUPERVISION) + "\n", "recordings.jsonl": json.dumps(RECORDING) + "\n",
    },
}  # fmt: skip
PIECES = [
    b'"', b"'", b"\n", b"\r", b"\0", b"\t", b",", b";", b"|", b" ", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9",
    b"\xed\xa0\x80", b"1e999", b"-1", b"nan", b"0", b"9" * 400, b"{}", b"[", b"null", b"&x;", b"<", b"<!DOCTYPE a [",
    b"../../a.wav", b"/etc/passwd",
    b"http://198.51.100.1/a.wav", b"x" * 70_000, b"echo 1 |", b"\xe2\x80\xa8", b"\\ud800", b"file_name",
]  # fmt: skip


def write(folder: Path, form: str) -> list[Path]:
    """A good corpus of a form, in a folder; the files of it that are text."""
    for name in ("a.wav", "b.wav", "wavs/a.wav", "wavs/b.wav", "clips/a.wav", "clips/b.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if form in ("ljspeech", "commonvoice") or "/" not in name:
            soundfile.write(folder / name, np.zeros((1600, 2)), RATE)
    for name, content in FORMS[form].items():
        (folder / name).write_bytes(content.encode())
    return [folder / name for name in FORMS[form]]


def check(spec: Path | str) -> str:
    """Read a corpus; what became of it, in a word."""
    for broken in ("refuse", "skip"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                corpus = load_corpus(spec, broken)  # type: ignore[arg-type]
        except EchoError as error:
            assert str(error) and "\n" not in str(error) and len(str(error)) < 5000
            found = "refused"
            continue
        assert corpus.utterances and len({u.id for u in corpus.utterances}) == len(corpus.utterances)
        for utterance in corpus.utterances:
            assert 0 < utterance.duration < float("inf")
            assert len(utterance.text.splitlines()) < 2
            (utterance.text + utterance.speaker + utterance.id).encode()
        found = "read" if not corpus.broken else "skipped"
    return found


def damage(content: bytes, rng: random.Random) -> bytes:
    """Bytes with some changes."""
    for _ in range(rng.randint(1, 4)):
        at, part = rng.randint(0, len(content)), rng.choice([*PIECES, rng.randbytes(rng.randint(1, 8))])
        kind = rng.choice(("insert", "replace", "remove", "cut", "repeat"))
        if kind == "cut":
            content = content[:at]
        elif kind == "remove":
            content = content[:at] + content[at + rng.randint(1, 40) :]
        elif kind == "repeat":
            content = content[:at] + content[at : at + 60] * 3 + content[at:]
        else:
            content = content[:at] + part + content[at + (len(part) if kind == "replace" else 0) :]
    return content


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_what_is_good(form: str, tmp_path: Path) -> None:
    write(tmp_path, form)
    assert check(tmp_path) == "read"


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), packed=st.booleans())
def test_damaged_corpora(form: str, seed: int, packed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    rng = random.Random(seed)
    chosen = rng.choice(write(folder, form))
    content = damage(chosen.read_bytes(), rng)
    chosen.write_bytes(content)
    if packed and form in ("kaldi", "cuts", "supervisions"):
        chosen.with_name(f"{chosen.name}.gz").write_bytes(damage(gzip.compress(content), rng))
        chosen.unlink()
    check(folder)


# --- hostile corpora, under a limit of memory ---


def packed(path: Path, block: bytes, count: int) -> None:
    with gzip.open(path, "wb", 6) as file:
        for _ in range(count):
            file.write(block)


def hostile(folder: Path) -> Iterator[Path | str]:
    """Corpora that would take all memory or time if their word were taken for it."""

    def begin(name: str, form: str) -> Path:
        write(folder / name, form)
        return folder / name

    for number, block in enumerate((b"\0" * (1 << 20), b"\n" * (1 << 20), b" \n" * (1 << 19), b"u x\n" * (1 << 18))):
        path = begin(f"kaldi{number}", "kaldi")
        (path / "text").unlink()
        packed(path / "text.gz", block, 1500)
        yield path
    for number, line in enumerate(
        (b"[" * (6 << 20), b'{"a":' * (1 << 20), b"[" + b"[]," * (2 << 20), b'{"a":1' + b" " * (1 << 28))
    ):
        path = begin(f"json{number}", "jsonl")
        with (path / "metadata.jsonl").open("ab") as file:
            file.write(line + b"\n")
        yield path
    path = begin("cuts", "cuts")
    (path / "cuts.jsonl").unlink()
    packed(path / "cuts.jsonl.gz", json.dumps(CUT).encode() * 4000, 1500)
    yield path
    for name, form in (
        ("metadata.csv", "csv"),
        ("train.tsv", "commonvoice"),
        ("metadata.csv", "ljspeech"),
        ("b.eaf", "elan"),
        ("b.TextGrid", "textgrid"),
        ("b.vtt", "subtitles"),
    ):
        path = begin(f"sparse-{form}", form)
        with (path / name).open("r+b") as file:
            file.truncate(1 << 40)
        yield path
    path = begin("elan", "elan")
    entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (path / "c.eaf").write_text(f"<!DOCTYPE x [{entities}]><ANNOTATION_DOCUMENT>&i;</ANNOTATION_DOCUMENT>")
    (path / "d.eaf").write_text("<a>" * 2_000_000)
    (path / "e.eaf").write_text(f"<ANNOTATION_DOCUMENT>{'<a/>' * 2_000_000}</ANNOTATION_DOCUMENT>")
    yield f"{path}:tx"
    path = begin("textgrid", "textgrid")
    (path / "c.TextGrid").write_text(GRID + 'x""' * 15_000_000)
    (path / "d.TextGrid").write_text(GRID.replace("\n2\n", "\n999999999999\n"))
    yield f"{path}:tx"
    path = begin("subtitles", "subtitles")
    (path / "c.srt").write_text(CUES + "1:1" * 15_000_000)
    (path / "d.srt").write_text(CUES + "<" * 10_000_000 + "<v <rt>{\\&a" * 1_000_000)
    yield path
    if importlib.util.find_spec("lhotse"):
        path = begin("shar", "cuts")
        packed(path / "cuts.000000.jsonl.gz", b"\n" * (1 << 20), 1500)
        member = tarfile.TarInfo("c.flac")
        member.size = 1 << 40
        (path / "recording.000000.tar").write_bytes(member.tobuf())
        yield path


@pytest.mark.slow
def test_hostile_corpora_take_little_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="needs limits of memory")
    done = subprocess.run([sys.executable, __file__, tmp_path], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.endswith("all\n")


def limit_memory(more: int) -> Callable[[], None]:
    """Let this process take so many bytes more than it has; what is returned lifts the limit."""
    import resource

    memory = Path("/proc/self/statm")
    pages = int(memory.read_text(encoding="utf-8").split()[0]) if memory.is_file() else 0
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more if pages else 1 << 34, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_AS, before)


if __name__ == "__main__":
    here = Path(sys.argv[1])
    for form in FORMS:  # so that what is imported late is there before there is a limit
        write(here / form, form)
        check(here / form)
    for module in ("echo_asr.data.readers.shar", "lhotse"):
        if importlib.util.find_spec(module):
            importlib.import_module(module)
    for spec in hostile(here):
        lift = limit_memory(MEMORY)
        began = time.monotonic()
        what = check(spec)
        took = time.monotonic() - began
        print(f"{spec}: {what}, {took:.2f} s", flush=True)
        assert took < SECONDS and what in ("skipped", "refused")
        lift()
    rng = random.Random(0)
    for turn in range(200):
        chosen = rng.choice(write(here / f"turn{turn}", rng.choice(sorted(FORMS))))
        chosen.write_bytes(damage(chosen.read_bytes(), rng))
        lift = limit_memory(MEMORY)
        check(here / f"turn{turn}")
        lift()
    print("all")
