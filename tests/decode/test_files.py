import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.audio import load_audio
from echo_asr.decode.files import expand_folders, output_names, read_list, transcribe_files
from echo_asr.decode.formats import ENDINGS, FORMATS, render
from echo_asr.decode.results import Segment, Transcription
from echo_asr.distributed.launch import ProcessRank
from echo_asr.errors import EchoError
from echo_asr.features.voice import UNKNOWN, Voice


class FakeRecognizer:
    """Reads files as a recogniser does, and recognises the first letter of the file's name."""

    def __init__(self) -> None:
        self.read: list[Path] = []
        self.voices: Sequence[Voice] = ()
        self.interrupted: set[str] = set()

    def transcribe_each(
        self, paths: Sequence[Path], words: bool, voices: Sequence[Voice]
    ) -> Iterator[tuple[int, Segment | Transcription | EchoError]]:
        self.voices = voices
        for index, path in enumerate(paths):
            try:
                seconds = len(load_audio(path)) / 16_000
            except EchoError as error:
                yield index, error
                continue
            path = getattr(path, "path", path)  # of a segment
            self.read.append(path)
            segments = (Segment(0.0, seconds / 2, "mā"), Segment(seconds / 2, seconds, path.stem[0]))
            yield index, segments[0]
            if path.stem in self.interrupted:
                raise KeyboardInterrupt
            yield index, segments[1]
            yield index, Transcription(f"mā {path.stem[0]}", seconds, segments)

    def voice(self, paths: Sequence[Path]) -> Voice:
        return Voice(float(len(paths)))


@pytest.fixture
def recognizer() -> Any:
    return FakeRecognizer()


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """a.wav and c.flac are sound, b.wav is not, d.wav is not there."""
    for name, seconds in (("a.wav", 0.5), ("c.flac", 0.25)):
        soundfile.write(tmp_path / name, np.full(round(16_000 * seconds), 0.1), 16_000)
    (tmp_path / "b.wav").write_text("this is text")
    return [tmp_path / name for name in ("a.wav", "b.wav", "c.flac", "d.wav")]


def test_one_bad_file_does_not_stop_the_others(recognizer: Any, recordings: list[Path], capsys: Any) -> None:
    assert transcribe_files(recognizer, recordings, "txt") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{recordings[0]}: mā a", f"{recordings[2]}: mā c"]
    lines = err.splitlines()
    assert len(lines) == 3, "one line for each bad file, and one for all"
    assert all(line.startswith("echo-asr transcribe: ") for line in lines)
    assert str(recordings[1]) in lines[0] and str(recordings[3]) in lines[1]
    assert lines[2] == "echo-asr transcribe: 2 of 4 files could not be transcribed"


def test_json_is_one_object_a_line(recognizer: Any, recordings: list[Path], capsys: Any) -> None:
    assert transcribe_files(recognizer, recordings, "json") == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{name: one[name] for name in ("file", "duration", "text")} for one in found] == [
        {"file": str(recordings[0]), "duration": 0.5, "text": "mā a"},
        {"file": str(recordings[2]), "duration": 0.25, "text": "mā c"},
    ]
    assert [segment["text"] for segment in found[0]["segments"]] == ["mā", "a"]


@pytest.mark.parametrize(("form", "start"), [("txt", "mā a"), ("json", "{")])
def test_a_single_file_gives_its_text_alone(
    form: str, start: str, recognizer: Any, recordings: list[Path], capsys: Any
) -> None:
    assert transcribe_files(recognizer, recordings[:1], form) == 0
    out, err = capsys.readouterr()
    assert out.startswith(start) and out.count("\n") == 1 and not err


def test_a_single_bad_file_gives_one_line(recognizer: Any, recordings: list[Path], capsys: Any) -> None:
    assert transcribe_files(recognizer, recordings[1:2], "txt") == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1


def without_date(text: str) -> str:
    return re.sub(' DATE="[^"]*"', "", text)  # of an eaf file


@pytest.mark.parametrize("form", FORMATS)
def test_each_recording_gets_a_file(
    form: str, recognizer: Any, recordings: list[Path], tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "new" / "texts"
    assert transcribe_files(recognizer, recordings, form, folder) == 1
    assert capsys.readouterr().out == ""
    ending = ENDINGS.get(form, form)
    assert sorted(os.listdir(folder)) == [f"a.{ending}", f"c.{ending}"]
    text = (folder / f"a.{ending}").read_text(encoding="utf-8")
    segments = (Segment(0.0, 0.25, "mā"), Segment(0.25, 0.5, "a"))
    expected = render(str(recordings[0]), Transcription("mā a", 0.5, segments), form, folder)
    assert without_date(text) == without_date(expected)


def test_what_was_there_before_is_replaced_only_if_asked(
    recognizer: Any, recordings: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("something old and longer")
    with pytest.raises(EchoError, match="a.txt: is there already; choose another place, or give --skip-existing or --"):
        transcribe_files(recognizer, recordings[:1], "txt", tmp_path)
    assert (tmp_path / "a.txt").read_text() == "something old and longer" and recognizer.read == []
    assert transcribe_files(recognizer, recordings[:1], "txt", tmp_path, overwrite=True) == 0
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "mā\na\n"


def test_an_interruption_keeps_what_was_heard(recognizer: Any, recordings: list[Path], tmp_path: Path) -> None:
    recognizer.interrupted, paths, folder = {"c"}, [recordings[0], recordings[2]], tmp_path / "texts"
    with pytest.raises(KeyboardInterrupt, match=r"c.flac is transcribed up to 0.1 s, see .*texts/c.partial.txt"):
        transcribe_files(recognizer, paths, "txt", folder)
    assert {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir()} == {
        "a.txt": "mā\na\n", "c.partial.txt": "mā\n",
    }  # fmt: skip
    recognizer.interrupted = set()
    assert transcribe_files(recognizer, paths, "txt", folder, skip_existing=True) == 0
    assert sorted(os.listdir(folder)) == ["a.txt", "c.txt"], "what is whole takes the place of what was begun"


def test_an_interruption_prints_what_was_heard(recognizer: Any, recordings: list[Path], capsys: Any) -> None:
    recognizer.interrupted = {"a"}
    with pytest.raises(KeyboardInterrupt, match="a.wav is transcribed up to 0.2 s, see above"):
        transcribe_files(recognizer, recordings[:1], "txt")
    assert capsys.readouterr().out == "mā\n"


def test_two_recordings_that_would_share_a_file_are_refused_before_any_work(
    recognizer: Any, recordings: list[Path], tmp_path: Path, capsys: Any
) -> None:
    paths = [recordings[0], tmp_path / "a.flac"]
    folder = tmp_path / "texts"
    with pytest.raises(EchoError, match=r"texts/a.txt: several recordings would be written there; rename them, or run"):
        transcribe_files(recognizer, paths, "txt", folder)
    assert recognizer.read == [] and not folder.exists()
    soundfile.write(tmp_path / "a.flac", np.zeros(160), 16_000)
    assert transcribe_files(recognizer, [recordings[0], tmp_path / "a.flac"], "txt") == 0, (
        "on standard output it is fine"
    )


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """A folder with sessions, of which two have recordings of the same name."""
    for name in ("s1/rec.wav", "s2/rec.wav", "s2/deep/x.flac", "s3/y.wav", ".old/rec.wav"):
        (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "corpus" / name, np.full(160, 0.1), 16_000)
    (tmp_path / "corpus" / "s1" / "rec.mp4").write_text("the film of the recording, which is beside it")
    (tmp_path / "corpus" / "s1" / "rec.eaf").write_text("<xml/>")
    return tmp_path / "corpus"


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_recordings_of_one_name_keep_their_folders(
    recognizer: Any, sessions: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "texts"
    monkeypatch.chdir(sessions / "s2")  # relative and whole paths together
    paths = [sessions / "s1" / "rec.wav", Path("rec.wav"), Path("deep/x.flac")]
    assert transcribe_files(recognizer, paths, "srt", out) == 0
    assert written(out) == ["s1/rec.srt", "s2/deep/x.srt", "s2/rec.srt"]
    assert transcribe_files(recognizer, paths, "srt", out, skip_existing=True) == 0
    assert "3 of 3 are there already" in capsys.readouterr().err
    assert transcribe_files(recognizer, paths[1:], "srt", tmp_path / "flat") == 0
    assert written(tmp_path / "flat") == ["rec.srt", "x.srt"], "no two have the same name"


def test_a_folder_stands_for_all_recordings_below_it(recognizer: Any, sessions: Path, tmp_path: Path) -> None:
    paths, above = expand_folders([sessions])
    found = [path.relative_to(sessions).as_posix() for path in paths]
    assert found == ["s1/rec.wav", "s2/rec.wav", "s2/deep/x.flac", "s3/y.wav"]
    assert transcribe_files(recognizer, paths, "txt", tmp_path / "texts", above=above) == 0
    assert written(tmp_path / "texts") == ["s1/rec.txt", "s2/deep/x.txt", "s2/rec.txt", "s3/y.txt"]


def test_the_tree_begins_above_all_that_was_named(sessions: Path) -> None:
    """So that outputs lie in the same places whatever else is in the folders."""
    s2, s3 = sessions / "s2", sessions / "s3"
    one = output_names(*expand_folders([s2 / "deep"]))
    assert [str(name) for name in one.values()] == ["x"]
    two = output_names(*expand_folders([s3, s2 / "rec.wav"]))
    assert [name.as_posix() for name in two.values()] == ["s3/y", "s2/rec"]
    assert expand_folders([s2 / "rec.wav"]) == ([s2 / "rec.wav"], None)


def test_a_channel_of_the_recordings(recognizer: Any, tmp_path: Path, capsys: Any) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((160, 2), 0.1), 16_000)
    for channel, status in ((1, 0), (2, 1)):
        how = {"channel": channel, "overwrite": True}
        assert transcribe_files(recognizer, [tmp_path / "a.wav"], "txt", tmp_path / "out", **how) == status
    assert written(tmp_path / "out") == ["a.txt"]
    assert "a.wav (0.000- s, channel 2): has 2 channels, counted from 0; correct the channel" in capsys.readouterr().err


def test_a_folder_without_recordings(sessions: Path) -> None:
    (sessions / "notes").mkdir()
    with pytest.raises(
        EchoError, match=r"notes has no recordings \(\.wav, \.flac, \.mp3, \.\.\.\) in it or below; give"
    ):
        expand_folders([sessions, sessions / "notes"])


@pytest.mark.parametrize("form", ["srt", "vtt", "tsv", "eaf", "textgrid"])
def test_several_subtitle_files_are_not_printed_as_one(form: str, recognizer: Any, recordings: list[Path]) -> None:
    with pytest.raises(EchoError, match=f"2 recordings make 2 {form} files; name a folder for them: --output-dir"):
        transcribe_files(recognizer, recordings[:2], form)
    assert recognizer.read == []


def test_a_folder_that_cannot_be_made_is_reported(recognizer: Any, recordings: list[Path], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(EchoError, match=r"taken: cannot be made \(File exists\); choose another --output-dir"):
        transcribe_files(recognizer, recordings, "txt", tmp_path / "taken")
    assert recognizer.read == []


def test_a_full_disk_is_reported(
    recognizer: Any, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EchoError, match="a.txt: could not be written .No space left on device"):
        transcribe_files(recognizer, recordings, "txt", tmp_path / "texts")
    assert os.listdir(tmp_path / "texts") == []


@pytest.mark.parametrize("form", ["txt", "json"])
def test_a_name_that_is_no_utf8_is_printed_all_the_same(
    form: str, recognizer: Any, recordings: list[Path], tmp_path: Path, capsys: Any
) -> None:
    """As names from old systems are: Latin-1."""
    name = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        recordings[0].rename(name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    assert transcribe_files(recognizer, [name, name], form) == 0
    lines = capsys.readouterr().out.encode("utf-8").decode().splitlines()
    assert len(lines) == 2 and all("caf?.wav" in line and "mā c" in line for line in lines)


# --- long lists, several processes ---


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    for number in range(7):
        soundfile.write(tmp_path / f"{number}.wav", np.full(4000, 0.1), 16_000)
    return [tmp_path / f"{number}.wav" for number in range(7)]


def test_several_processes_do_each_file_once(many: list[Path], tmp_path: Path) -> None:
    recognizers = [FakeRecognizer() for _ in range(3)]
    for rank, recognizer in enumerate(recognizers):
        transcribe_files(recognizer, many, "txt", tmp_path / "out", place=ProcessRank(rank, 3))  # type: ignore[arg-type]
    assert sorted(sum((recognizer.read for recognizer in recognizers), [])) == many
    assert [len(recognizer.read) for recognizer in recognizers] == [3, 2, 2]
    assert [(tmp_path / "out" / f"{n}.txt").read_text() for n in range(7)] == [f"mā\n{n}\n" for n in range(7)]


def test_what_is_written_already_is_skipped(many: list[Path], tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "3.txt").write_text("there before")
    (out / "4.json").write_text("another format")
    (out / "5.partial.txt").write_text("not whole")
    recognizer: Any = FakeRecognizer()
    assert transcribe_files(recognizer, many, "txt", out, skip_existing=True) == 0
    assert recognizer.read == [path for path in many if path.stem != "3"]
    assert (out / "3.txt").read_text() == "there before" and not (out / "5.partial.txt").exists()
    assert "1 of 7 are there already" in capsys.readouterr().err
    again: Any = FakeRecognizer()
    assert transcribe_files(again, many, "txt", out, skip_existing=True) == 0 and again.read == []


def test_several_processes_do_not_print_to_one_place(many: list[Path]) -> None:
    recognizer: Any = FakeRecognizer()
    with pytest.raises(EchoError, match="2 processes cannot print together; name a folder.*--output-dir"):
        transcribe_files(recognizer, many, "txt", place=ProcessRank(0, 2))
    with pytest.raises(EchoError, match="--skip-existing looks into the folder of the texts; name it: --output-dir"):
        transcribe_files(recognizer, many, "txt", skip_existing=True)
    assert recognizer.read == []


def test_two_files_of_one_name_are_found_whoever_has_them(many: list[Path], tmp_path: Path) -> None:
    twin = tmp_path / "0.flac"
    soundfile.write(twin, np.full(4000, 0.1), 16_000)
    recognizer: Any = FakeRecognizer()
    with pytest.raises(EchoError, match="several recordings would be written there"):
        transcribe_files(recognizer, [*many, twin], "txt", tmp_path / "out", place=ProcessRank(1, 2))


def test_a_list_names_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list").write_text("a.wav\n\nb c.wav\r\n", encoding="utf-8")
    assert read_list(str(tmp_path / "list")) == [Path("a.wav"), Path("b c.wav")]
    for encoding in ("utf-8-sig", "utf-16"):  # as Windows' editor and its shell write them
        (tmp_path / "list").write_text("mā ˥.wav\n", encoding=encoding)
        assert read_list(str(tmp_path / "list")) == [Path("mā ˥.wav")]
    monkeypatch.setattr("sys.stdin", io.StringIO("x.wav\n"))
    assert read_list("-") == [Path("x.wav")]


def test_a_list_that_names_nothing_is_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(EchoError, match="--files .*empty: names no file"):
        read_list(str(tmp_path / "empty"))
    with pytest.raises(EchoError, match="--files .*absent: cannot be read .No such file"):
        read_list(str(tmp_path / "absent"))


@pytest.mark.parametrize("one_speaker", [False, True])
def test_the_voice_of_one_speaker_is_known_from_all_recordings(
    one_speaker: bool, recognizer: FakeRecognizer, recordings: list[Path], tmp_path: Path
) -> None:
    """Also in a process that transcribes a share of them."""
    where = (tmp_path / "texts", False, ProcessRank(1, 2, 1, 2))
    transcribe_files(recognizer, recordings, "txt", *where, one_speaker=one_speaker)  # type: ignore[arg-type]
    assert recognizer.voices == [Voice(4.0) if one_speaker else UNKNOWN] * 2
