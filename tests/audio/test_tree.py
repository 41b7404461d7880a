from pathlib import Path

import pytest

from echo_asr.audio import tree
from echo_asr.audio.tree import files_below, find_recording, folders_below, recordings_beside
from echo_asr.errors import EchoError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/x.WAV", "b/c/x.wav", "a/x.mp4", "a/x.Wav", ".hidden/x.wav", "a/._x.wav", "a/x.txt", "d.wav/x.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_below_a_folder_in_order(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in files_below(folder, (".wav", ".mp3"))]
    assert found == ["a/x.Wav", "b/x.WAV", "b/c/x.wav", "d.wav/x.mp3"]


def test_folders_that_are_not_entered(folder: Path) -> None:
    found = [path.name for path in folders_below(folder, enter=lambda path: path.name != "b")]
    assert found == [folder.name, "a", "b", "d.wav"]


def test_a_whole_disk_is_no_corpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_FOLDERS", 3)
    with pytest.raises(EchoError, match="has over 3 folders below it; give the one that holds the recordings"):
        files_below(folder, (".wav",))


def test_the_recording_beside_a_file(folder: Path) -> None:
    """A film is the recording where there is no audio file."""
    assert find_recording(folder / "a" / "x.eaf", "x").name == "x.Wav"
    (folder / "a" / "x.Wav").unlink()
    assert [path.name for path in recordings_beside(folder / "a" / "x.eaf", "x")] == ["x.mp4"]
    with pytest.raises(EchoError, match=r"y\.eaf: its recording is not there; put it beside the file, as y\.wav"):
        find_recording(folder / "a" / "y.eaf", "y")
