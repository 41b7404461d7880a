"""Encoders by the name of a folder or of a model of the hub, and what is wrong with one in one line."""

from pathlib import Path

import pytest

from echo_asr.errors import EchoError
from echo_asr.pretrained.source import Source, find
from echo_asr.pretrained.weights import digest
from tests.helpers.hub import COMMIT, REPO, cached, fill

pytest.importorskip("huggingface_hub")


def test_a_folder_is_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    found = find("encoder")
    assert found == Source(folder, str(folder), "", digest(folder), "mit")
    assert found == find(folder) and found.describe() == f"{folder}, licence mit"


def test_what_is_wrong_with_a_folder_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    with pytest.raises(EchoError, match="no such folder; give one that transformers wrote, or OWNER/REPO"):
        find(folder)
    folder.mkdir()
    with pytest.raises(EchoError, match="no config.json there; give a folder of transformers"):
        find(folder)
    fill(folder, weights=False, model_type="wisper")
    with pytest.raises(EchoError, match="type 'wisper', which is no encoder that Echo knows; did you mean whisper"):
        find(folder)
    fill(folder, weights=False, model_type="zzz")
    with pytest.raises(EchoError, match="type 'zzz'.*; known: hubert, moonshine"):
        find(folder)
    fill(folder, weights=False)
    with pytest.raises(EchoError, match="no model.safetensors there"):
        find(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(EchoError, match="config.json: cannot be read .*fetch it again"):
        find(folder)


def test_a_folder_of_that_name_comes_first_unless_there_is_a_revision(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, folder = cached(cache), fill(tmp_path / "here" / REPO, d_model=16)
    monkeypatch.chdir(tmp_path / "here")
    assert find(REPO).folder == folder
    assert find(REPO, COMMIT).folder == find(f"{REPO}@main").folder == snapshot


@pytest.mark.parametrize(
    "name",
    ["nobody", "a/b/c", "./a/b", "~/a", "a/b@", "a b/c", "C:\\a\\b", "a/..", "a/b--c", "", "~nobody/a", "a" * 300],
)
def test_a_name_that_is_neither_is_one_line(name: str, cache: Path) -> None:
    with pytest.raises(EchoError, match="no such folder; give one that"):
        find(name)


def test_two_revisions_are_refused() -> None:
    with pytest.raises(EchoError, match="names a revision, and second is another"):
        find(f"{REPO}@first", "second")
