"""Repositories in the hub's own layout, read with the network switched off."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.audio import load_audio
from echo_asr.data.corpus import load_corpus
from echo_asr.data.readers import hub
from echo_asr.data.readers.hub import parse_name
from echo_asr.data.readers.records import map_splits
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken

Put = Callable[..., Path]


def flac(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(round(16_000 * seconds)) / 20), 16_000, format="FLAC")
    return file.getvalue()


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table() -> Callable[..., None]:
    """`(path, texts, text="text", speaker=None, clip=flac)`: a table of clips as the hub has them."""
    pytest.importorskip("datasets", reason="needs the extra datasets")
    import pyarrow
    import pyarrow.parquet

    def write(
        path: str, texts: Sequence[str | None], text: str = "text", speaker: str = "", audio: str = "audio",
        clip: Callable[[float], bytes | None] = flac,
    ) -> None:  # fmt: skip
        kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
        signals = [clip(0.1 * (i + 1)) for i in range(len(texts))]
        clips = [None if signal is None else {"bytes": signal, "path": f"{i}.flac"} for i, signal in enumerate(signals)]
        columns: dict[str, Any] = {audio: pyarrow.array(clips, kind), text: pyarrow.array(texts, pyarrow.string())}
        features: dict[str, Any] = {
            audio: {"sampling_rate": 16_000, "_type": "Audio"}, text: {"dtype": "string", "_type": "Value"},
        }  # fmt: skip
        if speaker:
            columns[speaker] = list(range(len(texts)))
            features[speaker] = {"dtype": "int64", "_type": "Value"}
        made = pyarrow.table(columns).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(made, path)

    return write


README = """---
configs:
- config_name: clean
  data_files:
  - {split: train.100, path: clean/train.100/*.parquet}
  - {split: train.360, path: clean/train.360/*.parquet}
  - {split: validation, path: clean/validation/*.parquet}
  - {split: test, path: clean/test/*.parquet}
---
"""


def test_a_repository_as_librispeech_is(put: Put, table: Callable[..., None], tmp_path: Path) -> None:
    for split, count in (("train.100", 3), ("train.360", 2), ("validation", 2), ("test", 1)):
        table(f"repo/clean/{split}/0000.parquet", [f"{split} {i}" for i in range(count)], speaker="speaker_id")
    put("repo/README.md", README)
    corpus = load_corpus("hf:./repo:clean")
    assert [(u.text, u.split, u.speaker) for u in corpus.utterances] == [
        ("train.100 0", "train", "0"), ("train.100 1", "train", "1"), ("train.100 2", "train", "2"),
        ("train.360 0", "train", "0"), ("train.360 1", "train", "1"),
        ("validation 0", "validation", "0"), ("validation 1", "validation", "1"), ("test 0", "test", "0"),
    ]  # fmt: skip
    assert [round(u.duration, 3) for u in corpus.utterances[:3]] == [0.1, 0.2, 0.3]
    assert len({u.id for u in corpus.utterances}) == 8
    for utterance in corpus.utterances:
        assert str(utterance.audio).startswith(str(tmp_path / "cache")) and str(utterance.audio).endswith(".flac")
    np.testing.assert_array_equal(
        load_audio(corpus.utterances[1].audio), soundfile.read(io.BytesIO(flac(0.2)), dtype="float32")[0]
    )

    exported = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.flac")}
    assert load_corpus("hf:./repo:clean").utterances == corpus.utterances  # read from the cache
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.flac")} == exported

    few = load_corpus("hf:./repo:clean:1")
    assert [u.text for u in few.utterances] == ["train.100 0", "train.360 0", "validation 0", "test 0"]

    table("repo/clean/test/0000.parquet", ["corrected"])  # what changed is imported anew
    assert load_corpus("hf:./repo:clean").split("test")[0].text == "corrected"


@pytest.mark.parametrize(
    ("text", "speaker"), [("sentence", "client_id"), ("raw_transcription", ""), ("transcription", "")]
)
def test_names_of_columns_and_files_without_a_readme(table: Callable[..., None], text: str, speaker: str) -> None:
    table("repo/data/train-00000-of-00001.parquet", ["a", None], text, speaker)
    table("repo/data/test-00000-of-00001.parquet", ["b"], text, speaker)
    corpus = load_corpus("hf:./repo")
    assert [(u.text, u.split) for u in corpus.utterances] == [("a", "train"), ("", "train"), ("b", "test")]
    assert [u.speaker for u in corpus.utterances] == (["0", "1", "0"] if speaker else ["", "", ""])


def test_a_clip_that_is_no_audio_is_a_broken_record(table: Callable[..., None]) -> None:
    table("repo/train.parquet", ["a", "b"], clip=lambda seconds: flac(seconds) if seconds < 0.15 else b"no sound")
    corpus = load_without_broken("hf:./repo", r"metadata\.csv line 3 names a recording that cannot be read", "1 of 2")
    assert [u.text for u in corpus.utterances] == ["a"]


def test_a_repository_of_plain_files_is_read_where_it_lies(put: Put, tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(f"repo/vi/{split}/a.wav", 0.1), put(f"repo/vi/{split}/b.wav", 0.1)
        put(f"repo/vi/{split}/metadata.csv", "file_name,transcription\na.wav,x\nb.wav,y\n")
    assert [u.id for u in load_corpus("hf:./repo:vi").utterances] == [
        "test/a.wav", "test/b.wav", "train/a.wav", "train/b.wav",
    ]  # fmt: skip
    assert [u.id for u in load_corpus("hf:./repo:vi:1").utterances] == ["test/a.wav", "train/a.wav"]
    assert not (tmp_path / "cache").exists()


def test_what_a_user_can_get_wrong(put: Put, table: Callable[..., None], tmp_path: Path) -> None:
    table("repo/data/train.parquet", ["a"])
    with pytest.raises(EchoError, match=r"hf:\./nowhere: no such folder; give hf:\./PATH:CONFIG"):
        load_corpus("hf:./nowhere:x")
    with pytest.raises(EchoError, match=r"BuilderConfig 'vi' not found.*give one of its configurations"):
        load_corpus("hf:./repo:vi")
    table("mute/data/train.parquet", ["a"], text="label")
    with pytest.raises(EchoError, match=r"hf:\./mute has no column of text; it has: audio, label; expected one of"):
        load_corpus("hf:./mute")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EchoError, match=r"empty has no metadata\.csv"):
        load_corpus("hf:./empty")
    put("damaged/data/train.parquet", "this is no table")
    with pytest.raises(EchoError, match=r"hf:\./damaged cannot be read \(.*check its name"):
        load_corpus("hf:./damaged")
    assert not list((tmp_path / "cache").rglob(".exporting*")) and not list((tmp_path / "cache").rglob("splits.json"))


def test_the_hub_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="needs the extra datasets")
    for place in ("huggingface_hub.constants", "datasets.config"):  # where another test has imported them before
        monkeypatch.setattr(f"{place}.HF_HUB_OFFLINE", True)
    message = r"hf:nobody/nothing:en cannot be read .*give a copy of it as hf:\./PATH:CONFIG"
    with pytest.raises(EchoError, match=message):
        load_corpus("hf:nobody/nothing:en")


def test_names() -> None:
    assert parse_name("google/fleurs:vi_vn") == ("google/fleurs", "vi_vn", None)
    assert parse_name("google/fleurs:vi_vn:500") == ("google/fleurs", "vi_vn", 500)
    assert parse_name("a/b::20") == ("a/b", "", 20) and parse_name("a/b") == ("a/b", "", None)
    assert parse_name(r"C:\data\repo:x") == (r"C:\data\repo", "x", None)
    for wrong in ("", ":x", "a:b:c:d", "a/b:x:0"):
        with pytest.raises(EchoError, match=r"names no data set; expected hf:REPO"):
            parse_name(wrong)


def test_names_of_splits() -> None:
    assert map_splits(["train.clean.100", "train.other.500", "validation.clean", "test_other", "invalidated"]) == {
        "train.clean.100": "train", "train.other.500": "train", "validation.clean": "validation", "test_other": "test",
    }  # fmt: skip
    assert map_splits(["train", "train_sp", "dev", "eval", "other"]) == {
        "train": "train", "dev": "validation", "eval": "test",
    }  # fmt: skip


def test_a_clip_without_a_recording_is_a_broken_record(table: Callable[..., None]) -> None:
    table("repo/train-00000-of-00001.parquet", ["a", "b", "c"], clip=lambda s: None if s == 0.2 else flac(s))
    refused = r"line 3 .* cannot be read: .*is an empty file"
    corpus = load_without_broken("hf:./repo", refused, "1 of 3 records are left out")
    assert [u.text for u in corpus.utterances] == ["a", "c"]


def test_no_network_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(hub.socket, "getaddrinfo", no_network)
    monkeypatch.setattr(hub, "getproxies", dict)
    for switch in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(switch, "0")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    with pytest.raises(
        EchoError, match=r"hf:a/b:c .* hub\.example cannot be found from here \(Name or .*check the network"
    ):
        load_corpus("hf:a/b:c")


def clips_table(path: str, clips: list[dict[str, Any] | None], typed: bool) -> None:
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    made = pyarrow.table({"audio": pyarrow.array(clips, kind), "text": [str(i) for i in range(len(clips))]})
    if typed:
        features = {"audio": {"_type": "Audio"}, "text": {"dtype": "string", "_type": "Value"}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(made, path)


@pytest.mark.parametrize("typed", [True, False])
def test_rows_that_name_no_recording(typed: bool) -> None:
    """They are broken records each, a whole split of them too; a data set of nothing else is none of recordings."""
    pytest.importorskip("datasets", reason="needs the extra datasets")
    good = {"bytes": flac(0.1), "path": "a.flac"}
    empty = [{"bytes": None, "path": None}, {"bytes": None, "path": ""}, None]
    clips_table("repo/data/train-00000-of-00001.parquet", [good, *empty, good], typed)
    clips_table("repo/data/test-00000-of-00001.parquet", empty, typed)
    corpus = load_without_broken("hf:./repo", r"metadata\.csv line 3 .*is an empty file", "6 of 8 records are left out")
    assert [u.text for u in corpus.utterances] == ["0", "4"]
    clips_table("none/train.parquet", empty, typed)
    for _ in range(2):
        with pytest.raises(EchoError, match=r"hf:\./none holds no audio files: none of its rows has one \(3\)"):
            load_corpus("hf:./none", "skip")


def test_a_column_that_is_not_of_recordings() -> None:
    pytest.importorskip("datasets", reason="needs the extra datasets")
    Path("repo").mkdir()
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"audio": ["a.wav"], "text": ["x"]}), "repo/train.parquet")
    with pytest.raises(EchoError, match=r"the column audio holds no audio files \(row 1\); give another repository"):
        load_corpus("hf:./repo")
