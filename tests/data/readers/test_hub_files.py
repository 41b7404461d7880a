"""A data set of others names its own files alone: nothing else of this machine or the network is copied or fetched."""

from __future__ import annotations

import errno
import gzip
import http.client
import io
import os
import socket
import ssl
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.audio.files import leads_into_network
from echo_asr.data.corpus import load_corpus
from echo_asr.data.readers.hub_files import FileError, HubFiles, OutsideError
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken

Put = Callable[..., Path]


@pytest.fixture(autouse=True)
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, and no network: whoever asks for a host fails the test."""

    def nobody(*asked: object) -> None:
        raise AssertionError(f"asked the network for {asked}")

    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setattr(socket.socket, "connect", nobody)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """`(path, clips)`: a table of clips, each a path or the bytes of a sound file, in the folder of a test."""
    pytest.importorskip("datasets", reason="needs the extra datasets")
    import pyarrow
    import pyarrow.parquet

    def write(path: str, clips: list[str | bytes], packed: str = "snappy") -> Path:
        kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
        cells = [{"bytes": c, "path": "x.wav"} if isinstance(c, bytes) else {"bytes": None, "path": c} for c in clips]
        made = pyarrow.table(
            {"audio": pyarrow.array(cells, kind), "text": [f"text {number}" for number in range(len(clips))]}
        )
        features = (
            '{"info": {"features": {"audio": {"_type": "Audio"}, "text": {"dtype": "string", "_type": "Value"}}}}'
        )
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        made = made.replace_schema_metadata({"huggingface": features})
        pyarrow.parquet.write_table(made, tmp_path / path, compression=packed)
        return tmp_path / path

    return write


def wav(seconds: float = 0.1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(16_000 * seconds), 0.1), 16_000, format="WAV")
    return file.getvalue()


def test_rows_of_a_table_that_lead_out_of_the_data_set(put: Put, table: Callable[..., Path], tmp_path: Path) -> None:
    secret = put("secret.wav", 0.1)
    put("repo/clips/own.wav", 0.1)
    (tmp_path / "repo/clips/link.wav").symlink_to(secret)
    outside = [
        str(secret), "../secret.wav", "clips/../../secret.wav", "clips/link.wav", "file://" + str(secret),
        "/etc/passwd", "http://198.51.100.1/x.wav", "https://example.org/x.wav", "hf://datasets/other/repo/x.wav", "s3://bucket/x.wav",
        "zip://x.wav::" + str(secret), "simplecache::" + str(secret), "file://" + str(secret) + "::clips/own.wav",
    ]  # fmt: skip
    table("repo/train.parquet", [wav(), *outside, "clips/own.wav", "clips/gone.wav"])
    refused = r"is row 2 of train, which names .*secret\.wav, outside of the data set; it is"
    left_out = rf"{len(outside) + 1} of {len(outside) + 3} records are left out"
    corpus = load_without_broken("hf:./repo", refused, left_out)
    assert [u.text for u in corpus.utterances] == ["text 0", f"text {len(outside) + 1}"]
    copied = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".csv"]
    assert sum(content[:4] == b"RIFF" for content in copied) == 2 and not any(b"root:" in c for c in copied)
    assert corpus.broken[-1].message.endswith("names clips/gone.wav, which is not there")


def test_the_hubs_own_cache_is_a_copy_though_its_files_are_links(put: Put, table: Callable[..., Path]) -> None:
    made = table("datasets--x/blobs/abc", [wav()])
    (made.parents[1] / "snapshots" / "1").mkdir(parents=True)
    (made.parents[1] / "snapshots" / "1" / "train.parquet").symlink_to(made)
    assert len(load_corpus("hf:./datasets--x/snapshots/1").utterances) == 1


@pytest.mark.parametrize(
    "pattern", ["/etc/*.parquet", "../o/*.parquet", "https://example.org/x", "C:\\x.parquet", "//host/x.parquet"]
)  # fmt: skip
def test_tables_that_a_card_names_elsewhere(put: Put, table: Callable[..., Path], pattern: str) -> None:
    table("repo/train.parquet", [wav()])
    put(
        "repo/README.md",
        f"---\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n    path: '{pattern}'\n---\n",
    )
    with pytest.raises(
        EchoError, match=r"README\.md names .*, outside of the data set; it is neither copied nor fetched"
    ):
        load_corpus("hf:./repo:a")


def test_a_card_of_aliases_of_aliases(put: Put, table: Callable[..., Path]) -> None:
    table("repo/train.parquet", [wav()])
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    put("repo/README.md", "\n".join(["---", *lines, "---"]))
    with pytest.raises(EchoError, match=r"README\.md: not valid YAML \(over 10000 values, aliases counted"):
        load_corpus("hf:./repo")


def test_a_table_that_is_damaged_or_would_fill_the_memory_goes_and_the_others_stay(
    put: Put, table: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table("repo/data/train-00000-of-00003.parquet", [wav()])
    put("repo/data/train-00001-of-00003.parquet", "no table")
    monkeypatch.setattr("echo_asr.data.readers.hub_files.UNPACKED", 1 << 20)
    table("repo/data/train-00002-of-00003.parquet", [b"\0" * (4 << 20)], "zstd")
    with pytest.warns(UserWarning, match=r"2 of 3 records .*train-00001-of-00003\.parquet is damaged"):
        corpus = load_corpus("hf:./repo", "skip")
    assert [u.text for u in corpus.utterances] == ["text 0"]
    assert "train-00002-of-00003.parquet unpacks to over 100 times its size" in corpus.broken[1].message
    table("only/train.parquet", [b"\0" * (4 << 20)], "zstd")
    with pytest.raises(EchoError, match=r"hf:\./only: the table .*train\.parquet unpacks to over 100 times its size"):
        load_corpus("hf:./only")


def test_a_table_that_repeats_one_clip_without_end(
    table: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the clip once, so that its last bytes state a small size; the cache would take it a thousand times."""
    monkeypatch.setattr("echo_asr.data.readers.hub_files.UNPACKED", 1 << 20)
    table("repo/train.parquet", [bytes(1 << 16)] * 400, "zstd")
    with pytest.raises(EchoError, match=r"hf:\./repo unpacks to over 100 times its size"):
        load_corpus("hf:./repo")
    assert not list((tmp_path / "cache").rglob("*.bin"))
    (tmp_path / "named").mkdir()
    (tmp_path / "named/a.wav").write_bytes(wav(60))
    table("named/train.parquet", ["a.wav"])  # a table of names is small beside its clips
    assert len(load_corpus("hf:./named").utterances) == 1


def test_a_plain_copy_is_held_to_its_folder_and_a_list_of_ones_own_is_not(put: Put, tmp_path: Path) -> None:
    elsewhere = put("elsewhere/b.wav", 0.1)
    put("repo/a.wav", 0.1)
    put("repo/metadata.csv", f"file_name,text\na.wav,x\n{elsewhere},y\n../elsewhere/b.wav,z\nhttp://h/b.wav,w\n")
    with pytest.warns(UserWarning, match=r"3 of 4 records .*line 3 names .*b\.wav, outside of the data set"):
        assert [u.text for u in load_corpus("hf:./repo", "skip").utterances] == ["x"]
    with pytest.warns(UserWarning, match=r"1 of 4 records .*http:/"):
        assert [u.text for u in load_corpus("repo", "skip").utterances] == ["x", "y", "z"]


def test_addresses_of_a_data_set_of_the_hub() -> None:
    within = HubFiles("a/b")
    own = [
        "hf://datasets/a/b@abc/x.wav",
        "hf://datasets/a/b/d/x.wav",
        "https://huggingface.co/datasets/a/b/resolve/1/x.wav",
    ]
    for name in own:
        assert within.locate(name) == name
        assert within.locate(f"zip://x.wav::{name}") == f"zip://x.wav::{name}"
    assert within.locate("clips/x.wav") == "hf://datasets/a/b/clips/x.wav"
    for name in (
        "hf://datasets/a/bc/x.wav", "hf://datasets/a/b/../c/x.wav", "hf://buckets/a/b/x.wav", "../c/x.wav",
        "/etc/passwd", "https://huggingface.co/datasets/a/c/resolve/1/x.wav", "https://huggingface.co.example.org/datasets/a/b/resolve/1/x",
        "http://127.0.0.1/x.wav", "C:\\x.wav", "\\\\host\\x.wav", f"file:///etc/passwd::{own[0]}", f"x.wav::{own[0]}",
        "",
    ):  # fmt: skip
        with pytest.raises(OutsideError, match="outside of the data set"):
            within.locate(name)


def test_places_in_the_network_are_not_asked_on_windows() -> None:
    here, there = Path("C:/corpus/metadata.csv"), Path("//lab/corpus/metadata.csv")
    assert leads_into_network("//host/share/x.wav", here, windows=True)
    assert leads_into_network("\\\\host\\share\\x.wav", here, windows=True)
    assert not leads_into_network("D:\\x.wav", here, windows=True)
    assert not leads_into_network("//lab/other/x.wav", there, windows=True)  # where the person's own files are
    assert not leads_into_network("//data/x.wav", Path("/corpus"), windows=False)


@pytest.mark.parametrize("kind", ["link", "long", "packed", "fifo"])
def test_shards_whose_members_are_no_plain_files(put: Put, tmp_path: Path, kind: str) -> None:
    """They are a broken record each; nothing is written outside of the cache, and nothing of this machine is read."""
    lhotse: Any = pytest.importorskip("lhotse", reason="needs the extra lhotse")
    put("audio/a.wav", 0.5)
    cut = lhotse.Recording.from_file(tmp_path / "audio/a.wav").to_cut()
    cut.supervisions.append(lhotse.SupervisionSegment("s", cut.recording.id, 0.0, 0.5, text="x"))
    (tmp_path / "shar").mkdir()
    lhotse.CutSet.from_cuts([cut]).to_shar(tmp_path / "shar", fields={"recording": "wav"}, shard_size=1)
    (shard,) = (tmp_path / "shar").glob("cuts.*")
    bad = shard.with_name(shard.name.replace("000000", "000001"))
    bad.write_bytes(shard.read_bytes())
    member = tarfile.TarInfo("../../../out.wav")
    if kind in ("link", "fifo"):
        member.type, member.linkname = (tarfile.SYMTYPE if kind == "link" else tarfile.FIFOTYPE), "/etc/passwd"
    with tarfile.open(tmp_path / "shar/recording.000001.tar", "w:gz" if kind == "packed" else "w") as archive:
        archive.addfile(member)
    if kind == "long":  # states a thousand gigabytes
        content = bytearray((tmp_path / "shar/recording.000001.tar").read_bytes())
        member.size = 1 << 40
        content[:512] = member.tobuf()[:512]
        (tmp_path / "shar/recording.000001.tar").write_bytes(content)
    with pytest.warns(UserWarning, match=r"1 of 2 records are left out, first: .*is of the shard .*000001"):
        corpus = load_corpus("shar", "skip")
    assert [u.text for u in corpus.utterances] == ["x"]
    assert not [path for path in tmp_path.rglob("out.wav")] and os.path.isdir(tmp_path / "cache")


NOT_FILES = [
    "clips", "own.wav/x", "x" * 300, "zip://a.txt::own.wav", "tar://q::own.wav", "gzip://x::own.wav", "gzip://own.wav",
    "gzip://::own.wav", "bz2://::own.wav", "xz://::own.wav", "zstd://::own.wav", "gzip://::cut.gz", "zip://gone::some.zip",
    "zip://a.wav::damaged.zip", "clips\\x.wav", "a\0b.wav", ".", "",
]  # fmt: skip


def test_files_that_cannot_be_read_are_broken_records(put: Put, table: Callable[..., Path], tmp_path: Path) -> None:
    """Whatever the reason, and however the row packs them: the other rows stay."""
    repo = put("repo/own.wav", 0.1).parent
    (repo / "clips").mkdir()
    (repo / "cut.gz").write_bytes(gzip.compress(wav())[:-20])
    for name in ("some.zip", "damaged.zip"):
        with zipfile.ZipFile(repo / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.wav", wav())
    content = bytearray((repo / "damaged.zip").read_bytes())
    content[40:60] = bytes(20)
    (repo / "damaged.zip").write_bytes(content)
    table("repo/train.parquet", [wav(), *NOT_FILES, "zip://a.wav::some.zip"])
    refused = r"is row 2 of train, which names clips, which cannot be read \(IsADirectory"
    left_out = rf"{len(NOT_FILES)} of {len(NOT_FILES) + 2} records are left out"
    corpus = load_without_broken("hf:./repo", refused, left_out)
    assert [u.text for u in corpus.utterances] == ["text 0", f"text {len(NOT_FILES) + 1}"]


@pytest.mark.parametrize(
    ("remote", "error", "stops"),
    [
        (False, OSError(errno.EIO, "Input/output error"), False),
        (False, OSError(errno.ENOSPC, "No space left on device"), True),
        (False, MemoryError(), True),
        (True, FileNotFoundError("gone"), False),
        (True, OSError(errno.ENAMETOOLONG, "File name too long"), False),
        (True, zipfile.BadZipFile("File is not a zip file"), False),
        (True, gzip.BadGzipFile("Not a gzipped file"), False),
        (True, ConnectionResetError("reset"), True),
        (True, TimeoutError("timed out"), True),
        (True, socket.gaierror(-2, "Name or service not known"), True),
        (True, ssl.SSLError("handshake"), True),
        (True, http.client.IncompleteRead(b""), True),
        (True, OSError(errno.ENETUNREACH, "Network is unreachable"), True),
        (True, OSError(errno.ENOSPC, "No space left on device"), True),
    ],
)
def test_only_the_network_and_the_machine_end_the_reading_of_rows(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool, error: Exception, stops: bool
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs the extra datasets")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(fsspec, "open", fail)
    put("repo/a.wav", 0.1)
    with pytest.raises(type(error) if stops else FileError):
        HubFiles("a/b", None if remote else tmp_path / "repo").read("a.wav")
