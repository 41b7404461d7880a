"""Kaldi data folders."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken, rows

Put = Callable[..., Path]


@pytest.fixture
def kaldi(put: Put, tmp_path: Path) -> Path:
    """A data folder in a recipe, whose paths start from the recipe's folder, as Kaldi's do."""
    put("audio/r1.wav", 3.0), put("audio/r2.wav", 1.0)
    put("data/train/wav.scp", "r1 audio/r1.wav\nr2\taudio/r2.wav\n")
    put("data/train/segments", "s1-r1-0 r1 0.00 1.50\ns1-r1-1 r1 1.5 3.2\ns2-r2-0 r2 0.25 -1\n")
    put("data/train/text", "s1-r1-0 xin chào\ns1-r1-1 ma\ns2-r2-0\n")
    put("data/train/utt2spk", "s1-r1-0 s1\ns1-r1-1 s1\ns2-r2-0 s2\n")
    return tmp_path / "data" / "train"


def test_kaldi_with_segments(kaldi: Path, tmp_path: Path) -> None:
    corpus = load_corpus(kaldi)
    assert rows(corpus) == [
        ("s1-r1-0", "xin chào", "s1", "train"),
        ("s1-r1-1", "ma", "s1", "train"),
        ("s2-r2-0", "", "s2", "train"),
    ]
    first, second, third = corpus.utterances
    assert isinstance(second.audio, AudioSegment) and isinstance(third.audio, AudioSegment)
    assert (second.audio.start, second.duration) == (1.5, pytest.approx(1.5))  # not beyond the end of the recording
    assert (third.audio.start, third.duration) == (0.25, pytest.approx(0.75))  # -1: to the end
    np.testing.assert_allclose(load_audio(first.audio), load_audio(tmp_path / "audio/r1.wav")[:24_000])


def test_kaldi_with_packed_tables(kaldi: Path) -> None:
    plain = load_corpus(kaldi)
    for table in list(kaldi.iterdir()):
        table.with_name(f"{table.name}.gz").write_bytes(gzip.compress(table.read_bytes()))
        table.unlink()
    assert load_corpus(kaldi).utterances == plain.utterances
    with gzip.open(kaldi / "segments.gz", "at") as file:
        file.write("s3 r1 0.5\n")
    with pytest.raises(EchoError, match=r"segments\.gz line 4 is no segment"):
        load_corpus(kaldi)


def test_kaldi_without_segments_and_folders_of_splits(put: Put, tmp_path: Path) -> None:
    for split in ("train_clean_100", "dev-clean", "test"):
        wav = put(f"sound/{split}.wav", 0.5)
        put(f"data/{split}/wav.scp", f"{split}-u {wav}\n")
        put(f"data/{split}/text", f"{split}-u said in {split}\n")
    put("data/test/utt2dur", "test-u 7.5\n"), put("data/lang/phones.txt", "a 1\n")
    corpus = load_corpus(tmp_path / "data")
    assert [(u.id, u.split, u.speaker) for u in corpus.utterances] == [
        ("dev-clean/dev-clean-u", "validation", ""),
        ("test/test-u", "test", ""),
        ("train_clean_100/train_clean_100-u", "train", ""),
    ]
    assert [u.duration for u in corpus.utterances] == [pytest.approx(0.5), 7.5, pytest.approx(0.5)]


BROKEN_KALDI = [
    (
        "wav.scp",
        "r3 touch {here}/ran; cat x.wav |\n",
        r"wav\.scp line 3 is a command \(touch .*Echo does not run",
    ),
    ("wav.scp", "r3 /data/raw.ark:1234\n", r"wav\.scp line 3 is an entry of an archive"),
    ("wav.scp", "r3\n", r"wav\.scp line 3 names no file for r3"),
    ("wav.scp", "r1 other.wav\n", r"wav\.scp line 3 has r1 again, after line 1; keep one"),
    ("segments", "s3 r1 0.5\n", r"segments line 4 is no segment; expected: utterance, recording, start and end"),
    ("segments", "s3 r9 0.5 1\n", r"segments line 4 names s3, which has no line in .*text"),
    ("segments", "s1-r1-1 r1 0 1\n", r"segments line 4 has s1-r1-1 again"),
    ("text", "s9 lost\n", r"text line 4 is of s9, which is not in .*segments"),
]


@pytest.mark.parametrize(("file", "line", "message"), BROKEN_KALDI)
def test_broken_kaldi(kaldi: Path, tmp_path: Path, file: str, line: str, message: str) -> None:
    with (kaldi / file).open("a") as table:
        table.write(line.format(here=tmp_path))
    corpus = load_without_broken(kaldi, message, "1 of 4 records are left out")
    assert len(corpus.utterances) == 3
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ("2 1", r"segments line 1 has the times 2 to 1 s; expected a start from 0 and an end after it"),
        ("-1 1", r"has the times -1 to 1 s"),
        ("0 nan", r"has the times 0 to nan s"),
        ("1 9", r"ends at 9 s, and its recording lasts 3\.000 s; correct its times"),
        ("a b", r"segments line 1 is no segment"),
    ],
)
def test_segments_with_impossible_times(kaldi: Path, times: str, message: str) -> None:
    (kaldi / "segments").write_text(f"s1-r1-0 r1 {times}\ns1-r1-1 r1 1 2\ns2-r2-0 r2 0 1\n")
    with pytest.raises(EchoError, match=message):
        load_corpus(kaldi)


def test_kaldi_recordings_and_texts_that_do_not_meet(put: Put, kaldi: Path) -> None:
    (kaldi / "segments").unlink()
    put("data/train/text", "r1 x\nr7 y\n")
    with pytest.raises(EchoError, match=r"text line 2 is of r7, which is not in .*wav\.scp.*and 1 more"):
        load_corpus(kaldi)
    put("data/train/text", b"r1 caf\xe9\nr2 y\n".decode("latin-1"))
    (kaldi / "text").write_bytes(b"r2 y\nr1 caf\xe9\n")
    with pytest.raises(EchoError, match=r"text line 2 is not UTF-8 \(byte 6\)"):
        load_corpus(kaldi)
    (kaldi / "text").unlink()
    with pytest.raises(EchoError, match=r"train has wav\.scp and no text; add it"):
        load_corpus(kaldi)


def test_a_missing_split_says_how_to_make_one(kaldi: Path) -> None:
    with pytest.raises(EchoError, match=r"no split 'test'; choose from: train; echo-asr corpus split makes one"):
        load_corpus(kaldi).split("test")
    with pytest.raises(EchoError, match=r"no split 'tset'; choose from: train$"):
        load_corpus(kaldi).split("tset")


def test_a_packed_table_that_ends_early_keeps_the_rows_before(kaldi: Path) -> None:
    text = "".join(f"u{number} {number * 7919}\n" for number in range(50_000))
    packed = gzip.compress(b"s1-r1-0 xin\n" + text.encode())
    (kaldi / "text").unlink()
    for damaged in (packed[: len(packed) // 2], packed[:-2000] + b"\xff" * 2000):
        (kaldi / "text.gz").write_bytes(damaged)
        with pytest.warns(UserWarning, match="records are left out"):
            corpus = load_corpus(kaldi, "skip")
        assert [u.text for u in corpus.utterances] == ["xin"]
        assert any("text.gz cannot be unpacked" in broken.message for broken in corpus.broken)


@pytest.mark.parametrize("block", [b"\0", b"\n", b"x y\n"])
def test_a_packed_table_that_would_fill_the_memory(kaldi: Path, block: bytes) -> None:
    (kaldi / "text").unlink()
    (kaldi / "text.gz").write_bytes(gzip.compress(block * ((64 << 20) // len(block))))
    with pytest.raises(EchoError, match=r"text\.gz (unpacks to over 100 times its size|line 2 has x again)"):
        load_corpus(kaldi)


def test_the_channel_of_a_segment_is_its_own(put: Put, tmp_path: Path) -> None:
    put("call.wav", 1.0, channels=2), put("wav.scp", "call call.wav\n"), put("text", "a ma\nb ba\nc ka\n")
    put("segments", "a call 0.0 1.0 0\nb call 0.0 1.0 1\nc call 0.0 1.0 -1\n")
    a, b, c = (load_audio(u.audio) for u in load_corpus(tmp_path).utterances)
    np.testing.assert_array_equal(a, load_audio(AudioSegment(tmp_path / "call.wav", channel=0)))
    assert not np.allclose(a, b)
    np.testing.assert_allclose(c, (a + b) / 2, atol=1e-4)
    for wrong in ("A", "1 2", "0.5", "-2"):
        put("segments", f"a call 0.0 1.0 0\nb call 0.0 1.0 {wrong}\nc call 0.0 1.0\n")
        with pytest.raises(EchoError, match=r"segments line 2 has '.*' after its times; expected a channel from 0"):
            load_corpus(tmp_path)
