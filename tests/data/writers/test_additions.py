"""Recordings that are added to a corpus, several at once, with whatever was there before."""

from __future__ import annotations

import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.writers import additions
from echo_asr.data.writers.additions import AlreadyThere, add_recording, open_additions
from echo_asr.errors import EchoError
from echo_asr.storage import StorageError

TEXTS = ('xin "chào", bạn', "mā má", "ประเทศไทย")


def recording(folder: Path, seed: int = 0) -> Path:
    path = folder / f"{seed}.wav"
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 8_000), 8_000)
    return path


def utterances(path: Path) -> list[Utterance]:
    return [
        Utterance(str(i), AudioSegment(path, 0.1 + 0.3 * i, 0.2), text, "", "train", 0.2)
        for i, text in enumerate(TEXTS)
    ]


def add(folder: Path, path: Path, name: str = "Bài 1.wav", speaker: str = "lan") -> list[str]:
    return add_recording(folder, path, name, utterances(path), speaker)


def files(folder: Path) -> set[str]:
    """All that is there, but for the lock."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != additions.LOCK}


def test_what_is_added_is_a_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    open_additions(folder)
    names = add(folder, recording(tmp_path)) + add(folder, recording(tmp_path, 1), speaker="")
    corpus = load_corpus(folder)
    assert [u.id for u in corpus.utterances] == names and len(set(names)) == 6 and not corpus.notices
    assert [u.text for u in corpus.utterances] == [*TEXTS, *TEXTS]
    assert [u.speaker for u in corpus.utterances] == ["lan"] * 3 + [""] * 3
    samples, rate = soundfile.read(corpus.utterances[1].audio, dtype="int16")
    whole = soundfile.read(tmp_path / "0.wav", dtype="int16")[0]
    assert rate == 8_000 and (samples == whole[3_200:4_800]).all()
    assert not [name for name in files(folder) if "part" in name]


@pytest.mark.parametrize(
    "before",
    [
        "file_name,transcription\nold.wav,old\n",
        "file_name,transcription\nold.wav,old",
        "\ufefffile_name;sentence;speaker_id;x\r\nold.wav;old;lan;1\r\n",
        "client_id\tsplit\tfile_name\ttext\nlan\ttest\told.wav\told\n",
    ],
)
def test_rows_that_are_there_stay_as_they_are(before: str, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    recording(folder).rename(folder / "old.wav")
    (folder / "metadata.csv").write_bytes(before.encode())
    open_additions(folder)
    add(folder, recording(tmp_path, 1))
    assert (folder / "metadata.csv").read_bytes().startswith(before.encode())
    found = load_corpus(folder).utterances
    assert [u.text for u in found] == ["old", *TEXTS] and found[0].id == "old.wav"
    assert {u.speaker for u in found[1:]} == ({"lan"} if "_id" in before else {""})


def test_many_add_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    open_additions(folder)
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda seed: add(folder, recording(tmp_path, seed)), range(12)))
    assert sorted(u.id for u in load_corpus(folder).utterances) == sorted(sum(added, []))


def test_a_recording_is_added_once(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    open_additions(folder)
    path = recording(tmp_path)
    add(folder, path)
    before = (folder / "metadata.csv").read_bytes()
    with pytest.raises(AlreadyThere, match="is in the corpus already, as Bài_1-"):
        add(folder, path)
    assert (folder / "metadata.csv").read_bytes() == before and len(load_corpus(folder).utterances) == 3


@pytest.mark.parametrize("broken", ["clips", "table", "audio"])
def test_what_fails_leaves_nothing_behind(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "corpus"
    open_additions(folder)
    add(folder, recording(tmp_path))
    before, path = files(folder), recording(tmp_path, 1)
    rows = (folder / "metadata.csv").read_bytes()

    def full(*_: object) -> None:
        raise StorageError("no room")

    with monkeypatch.context() as patch:
        if broken == "audio":
            path.write_bytes(path.read_bytes()[:6_000])
        elif broken == "table":
            patch.setattr(additions, "replace_file", full)
        else:
            number = iter(range(9))
            real = sys.modules["echo_asr.data.writers.clips"].replace_file
            patch.setattr(
                sys.modules["echo_asr.data.writers.clips"],
                "replace_file",
                lambda *how: real(*how) if next(number) < 2 else full(),
            )
        with pytest.raises(EchoError, match="no room" if broken != "audio" else "truncated|cut off"):
            add(folder, path)
    assert files(folder) == before and (folder / "metadata.csv").read_bytes() == rows
    assert len(add(folder, recording(tmp_path, 1))) == 3 == len(load_corpus(folder).utterances) - 3


def test_what_an_earlier_attempt_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    open_additions(folder)
    names = add(folder, recording(tmp_path))
    (folder / "metadata.csv").unlink()  # as if the power had failed before the table was there
    assert add(folder, recording(tmp_path)) == names and len(load_corpus(folder).utterances) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"metadata.csv": b"a,b\n"}, "expected a table of which the first line names file_name"),
        ({"metadata.csv": b""}, "expected a table"),
        ({"metadata.csv": "file_name,text\n".encode("utf-16")}, "it is not UTF-8"),
        ({"metadata.jsonl": b"{}"}, "holds something, and no metadata.csv"),
        ({"wav.scp": b""}, "choose an empty folder, or a corpus with a metadata.csv"),
    ],
)
def test_another_folder_is_refused(content: dict[str, bytes], message: str, tmp_path: Path) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(EchoError, match=message):
        open_additions(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(content)


def test_the_table_is_what_csv_reads(tmp_path: Path) -> None:
    open_additions(tmp_path / "corpus")
    add(tmp_path / "corpus", recording(tmp_path))
    with (tmp_path / "corpus" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        assert [row["transcription"] for row in csv.DictReader(file)] == list(TEXTS)
