"""Files that will be written, refused where something would be lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from echo_asr.decode.outputs import check_output, refuse_existing, refuse_inputs
from echo_asr.errors import EchoError


@pytest.mark.parametrize("name", ["a.wav", "link.wav", "hard.wav", "x/../a.wav"])
def test_an_input_is_known_under_all_its_names(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("a")
    (tmp_path / "x").mkdir()
    (tmp_path / "link.wav").symlink_to("a.wav")
    os.link(tmp_path / "a.wav", tmp_path / "hard.wav")
    inputs = [tmp_path / "none.wav", tmp_path / "a.wav"]
    with pytest.raises(EchoError, match="is read here, and would be lost; choose another place"):
        refuse_inputs([tmp_path / "new", tmp_path / name], inputs)
    refuse_inputs([tmp_path / "new", tmp_path / "none.wav"], inputs)
    refuse_inputs([], inputs)


def test_files_are_kept_unless_they_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a")
    refuse_existing([tmp_path / "new"], overwrite=False)
    refuse_existing([tmp_path / "there"], overwrite=True)
    with pytest.raises(EchoError, match="there: is there already; choose another place, or give --overwrite"):
        refuse_existing([tmp_path / "new", tmp_path / "there"], overwrite=False)
    for overwrite in (True, False):
        with pytest.raises(EchoError, match="is a folder; name a file"):
            refuse_existing([tmp_path], overwrite)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_ordinary_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EchoError, match="pipe: is no ordinary file, and cannot be replaced"):
        refuse_existing([tmp_path / "pipe"], overwrite=True)


def test_a_file_that_could_not_be_written_in_the_end(tmp_path: Path) -> None:
    check_output(tmp_path / "a.PNG", "--curve", False, (".png",))
    with pytest.raises(EchoError, match=r"--curve .*a.doc: expected a name that ends in .png, .svg"):
        check_output(tmp_path / "a.doc", "--curve", False, (".png", ".svg"))
    with pytest.raises(EchoError, match=r"--texts .*/no/a: there is no folder .*/no; make it, or choose another"):
        check_output(tmp_path / "no" / "a", "--texts", False)
    (tmp_path / "kept").write_text("a")
    (tmp_path / "kept").chmod(0o444)
    with pytest.raises(EchoError, match="kept: is read-only; choose another --texts"):
        check_output(tmp_path / "kept", "--texts", True)
