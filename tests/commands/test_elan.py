"""Echo as a recogniser inside ELAN, against a stand-in that speaks ELAN's protocol."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

import echo_asr
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.segment import AudioSegment
from echo_asr.cli import main
from echo_asr.commands import elan_extension
from tests.helpers.commands import run
from tests.helpers.elan import Ended, Recogniser, Spans, load_elan_tier, understood, write_elan_tier
from tests.helpers.tone_corpus import tone

SPOKEN = ("a", "b c", "c", "a b")
ODD = 'O\'Neill & "Söhne" $HOME `x` 100% ˥'


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Spans]:
    """A recording of four clips a second apart, and their times in ms and texts."""
    pause = np.zeros(SAMPLE_RATE)
    parts, spans, now = [], [], 0
    for text in SPOKEN:
        clip = tone(text, 0.97)
        parts += [pause, clip]
        start = 1000 * (now + SAMPLE_RATE) // SAMPLE_RATE
        now += SAMPLE_RATE + clip.size
        spans.append((start, round(1000 * now / SAMPLE_RATE), text))
    folder = tmp_path_factory.mktemp("recordings") / ODD.replace("/", "")
    folder.mkdir()
    path = folder / "my recording.wav"
    soundfile.write(path, np.concatenate([*parts, pause]), SAMPLE_RATE)
    return path, spans


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory, learnt: Path) -> Recogniser:
    """Echo as it is installed, in a folder with spaces and quotes."""
    extensions = tmp_path_factory.mktemp("elan") / ODD / "extensions"
    extensions.mkdir(parents=True)
    assert main(["elan", "install", str(extensions), "--model", str(learnt)]) == 0
    return Recogniser(extensions / "echo-asr")


@pytest.fixture
def start(recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Ended]:
    """`(**parameters)`: start it in this process, which is quicker, and read both of its streams as ELAN does."""

    def start_here(data: bytes | None = None, **given: object) -> Ended:
        data = recogniser.call(given) if data is None else data
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(data), isatty=lambda: False))
        status, output, errors = run(["elan", "run"], capsys)
        lines = output.splitlines()
        assert all(line.startswith(("PROGRESS: ", "RESULT: ")) for line in lines), "nothing but the protocol"
        ended = understood([*lines[:-1], *errors.splitlines(), lines[-1]])
        assert status == (ended.result != "done") and ended.lines[-1] == lines[-1]
        return ended

    return start_here


def emptied(spans: Spans, *kept: int) -> Spans:
    return [(start, end, text if number in kept else "") for number, (start, end, text) in enumerate(spans)]


# --- what ELAN does: it starts the launcher, in a process of its own ---


@pytest.mark.skipif(os.name == "nt", reason="the launcher of Linux and macOS")
@pytest.mark.parametrize("close", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_elan_starts_the_launcher_and_loads_its_tier(
    recogniser: Recogniser, recording: tuple[Path, Spans], tmp_path: Path, close: bool
) -> None:
    path, spans = recording
    tier = write_elan_tier(tmp_path / "in put.xml", emptied(spans, 2))
    target = path.with_name("my recording_output_tier1.xml")
    target.touch()  # ELAN makes it
    ended = recogniser.start({"source": path, "input_tier": tier, "output_tier": target}, close)
    assert ended.lines == [
        "PROGRESS: 0% reading the parameters",
        "PROGRESS: 1% loading the model",
        "PROGRESS: 5% transcribing 3 annotations",
        "PROGRESS: 37% 1 of 3 annotations",
        "PROGRESS: 68% 2 of 3 annotations",
        "PROGRESS: 99% 3 of 3 annotations",
        "RESULT: DONE.",
    ]
    assert ended.result == "done" and load_elan_tier(target) == {"Echo": spans}
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, target.name]
    target.unlink()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the launcher of Linux and macOS")
def test_a_failure_reaches_elan_through_the_launcher(recogniser: Recogniser, tmp_path: Path) -> None:
    ended = recogniser.start({"source": tmp_path / "none.wav", "output_tier": tmp_path / "out.xml"}, LC_ALL="C")
    assert ended.result == "failed" and ended.lines[0] == "PROGRESS: 0% reading the parameters"
    assert ended.lines[-2].startswith(f"echo-asr elan run: {tmp_path}/none.wav") and len(ended.lines) == 3


@pytest.mark.skipif(os.name == "nt", reason="the launcher of Linux and macOS")
def test_a_launcher_whose_python_is_gone_names_the_remedy(tmp_path: Path) -> None:
    launcher = tmp_path / "x.sh"
    launcher.write_text(elan_extension.shell_launcher(f"/none/{ODD}/python"))
    ended = subprocess.run(["sh", launcher], capture_output=True, text=True, timeout=10)
    assert ended.stdout.splitlines() == [
        f"/none/{ODD}/python is not there; run echo-asr elan install again",
        "RESULT: FAILED.",
    ]


# --- what it transcribes ---


def test_only_empty_annotations_are_filled_at_their_own_times(
    start: Callable[..., Ended], recording: tuple[Path, Spans], learnt: Path, tmp_path: Path
) -> None:
    path, spans = recording
    given = emptied(spans, 1)
    given[1] = (*spans[1][:2], "what a person <wrote> & meant")
    given[3] = (*spans[3][:2], " \u200b")  # nothing that can be seen
    tier, target = write_elan_tier(tmp_path / "in.xml", given), tmp_path / "out.xml"
    ended = start(source=path, input_tier=tier, output_tier=target, tier_name="new tier ")
    assert ended.result == "done"
    assert load_elan_tier(target) == {"new_tier": [spans[0], given[1], spans[2], spans[3]]}
    alone = echo_asr.load(learnt).transcribe([AudioSegment(path, a / 1000, (b - a) / 1000) for a, b, _ in spans])
    assert [one.text for one in alone] == [text for _, _, text in spans]


def test_all_annotations_are_transcribed_when_asked_for_by_an_old_elan_on_windows(
    start: Callable[..., Ended], recogniser: Recogniser, recording: tuple[Path, Spans], tmp_path: Path
) -> None:
    path, spans = recording
    tier = write_elan_tier(tmp_path / "in.xml", [(a, b, "A & <B>") for a, b, _ in spans], "\r\n", seconds=False)
    given = {"source": path, "input_tier": tier, "annotations": "all", "output_tier": tmp_path / "out.xml"}
    ended = start(recogniser.call(given, escaped=False, line_end="\r\n"))
    assert ended.result == "done" and load_elan_tier(tmp_path / "out.xml") == {"Echo": spans}


def test_without_a_tier_the_whole_recording_is_transcribed(
    start: Callable[..., Ended], recording: tuple[Path, Spans], learnt: Path, tmp_path: Path
) -> None:
    path, _ = recording
    ended = start(source=path, output_tier=tmp_path / "out.xml")
    assert ended.result == "done" and ended.progress[-1] == 0.99
    segments = [segment for segment in echo_asr.load(learnt).transcribe(path, words=False).segments if segment.text]
    spans = [(round(1000 * s.start), round(1000 * s.end), s.text) for s in segments]
    assert spans and load_elan_tier(tmp_path / "out.xml") == {"Echo": spans}


def test_a_tier_without_empty_annotations_is_copied_with_a_warning(
    start: Callable[..., Ended], recording: tuple[Path, Spans], tmp_path: Path
) -> None:
    path, spans = recording
    tier, target = write_elan_tier(tmp_path / "in.xml", spans), tmp_path / "out.xml"
    ended = start(source=path, input_tier=tier, output_tier=target)
    assert ended.result == "done" and load_elan_tier(target) == {"Echo": spans}
    assert "warning: no annotation of the input tier is empty; choose 'all'" in "\n".join(ended.lines)


def test_silence_gives_an_empty_tier_with_a_warning(start: Callable[..., Ended], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    ended = start(source=tmp_path / "silence.wav", output_tier=tmp_path / "out.xml")
    assert ended.result == "done" and load_elan_tier(tmp_path / "out.xml") == {"Echo": []}
    assert "warning: there is no speech in the recording; the new tier is empty" in ended.lines


def test_an_annotation_after_the_recording_stays_empty_and_the_others_are_filled(
    start: Callable[..., Ended], recording: tuple[Path, Spans], tmp_path: Path
) -> None:
    path, spans = recording
    tier = write_elan_tier(tmp_path / "in.xml", [*emptied(spans), (60_000, 61_000, "")])
    ended = start(source=path, input_tier=tier, output_tier=tmp_path / "out.xml")
    assert ended.result == "done"
    assert load_elan_tier(tmp_path / "out.xml") == {"Echo": [*spans, (60_000, 61_000, "")]}
    (warning,) = (line for line in ended.lines if line.startswith("warning: "))
    assert "is not within that file" in warning and warning.endswith("the annotation stays as it is")


# --- what goes wrong ends in one line, and the protocol's last ---


def failure(ended: Ended) -> str:
    assert ended.result == "failed"
    (line,) = (line for line in ended.lines if not line.startswith(("PROGRESS: ", "RESULT: ")))
    assert line.startswith("echo-asr elan run: ")
    return line.removeprefix("echo-asr elan run: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": None}, "ELAN named no recording"),
        ({"source": "{here}/none.wav"}, "none.wav"),
        ({"source": "{here}/text.txt"}, "text.txt"),
        ({"output_tier": ""}, "ELAN named no file for the new tier"),
        ({"output_tier": "{here}/none/out.xml"}, "could not be written"),
        ({"model": " "}, "there is no model; enter the folder of one"),
        ({"model": "{here}/no model"}, "no model"),
        ({"annotations": "some"}, "annotations: expected empty or all, got 'some'"),
        ({"input_tier": "{here}/none.xml"}, "none.xml: the tier cannot be read"),
        ({"input_tier": "{here}/text.txt"}, "text.txt: is not a tier of ELAN's recognisers"),
        ({"input_tier": "{here}/empty.xml"}, "the input tier has no annotations; add some, or choose no tier"),
        ({"input_tier": "{here}/late.xml"}, "is not within that file"),
    ],
)
def test_mistakes_are_one_line_and_a_failure(
    changes: dict[str, str | None],
    message: str,
    start: Callable[..., Ended],
    recording: tuple[Path, Spans],
    tmp_path: Path,
) -> None:
    write_elan_tier(tmp_path / "empty.xml", [])
    write_elan_tier(tmp_path / "late.xml", [(60_000, 61_000, ""), (70_000, 71_000, "")])
    (tmp_path / "text.txt").write_text("no audio, and no tier\n")
    target = tmp_path / "out.xml"
    target.touch()
    given = {"source": str(recording[0]), "output_tier": str(target), **changes}
    ended = start(**{name: value and value.format(here=tmp_path) for name, value in given.items()})
    assert message in failure(ended)
    # What ELAN made for the tier would else be loaded, with a second error.
    assert not target.exists() or "output_tier" in changes


def test_a_failure_leaves_a_tier_of_an_earlier_run(start: Callable[..., Ended], tmp_path: Path) -> None:
    target = write_elan_tier(tmp_path / "out.xml", [(0, 1, "kept")])
    failure(start(source=tmp_path / "none.wav", output_tier=target))
    assert load_elan_tier(target) == {"tier_1": [(0, 1, "kept")]}


def test_no_parameters_are_a_failure(start: Callable[..., Ended]) -> None:
    assert "standard input has no parameters" in failure(start(data=b""))


def test_a_defect_shows_where_it_is_and_ends_as_a_failure(
    start: Callable[..., Ended], recording: tuple[Path, Spans], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        print("printed by a library")
        raise RuntimeError("a defect")

    monkeypatch.setattr("echo_asr.commands.elan._load", broken)
    ended = start(source=recording[0], output_tier=tmp_path / "out.xml")
    assert ended.result == "failed" and ended.lines[-2] == "RuntimeError: a defect"
    assert "printed by a library" in ended.lines

    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate\n20 GiB")

    monkeypatch.setattr("echo_asr.commands.elan._load", full)
    assert failure(start(source=recording[0], output_tier=tmp_path / "out.xml")).startswith("out of memory; ")


def test_a_person_who_starts_it_reads_what_it_is(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    status, output, errors = run(["elan", "run"], capsys)
    assert (status, output) == (1, "RESULT: FAILED.\n") and errors.count("\n") == 1
    assert "this is what ELAN starts" in errors


# --- the installation ---


def test_the_recogniser_describes_itself_as_elan_expects(recogniser: Recogniser, learnt: Path) -> None:
    assert (recogniser.name, recogniser.title) == ("echo-asr", "Echo speech recogniser")
    assert recogniser.parameters == {
        "source": None,
        "input_tier": None,
        "annotations": "empty",
        "model": str(learnt),
        "tier_name": "Echo",
        "output_tier": None,
    }
    kinds = {name: (given.get("type"), given.get("optional")) for name, given in recogniser.described.items()}
    assert kinds["source"] == ("audio", "false") and kinds["input_tier"] == ("tier", "true")
    assert kinds["output_tier"] == ("tier", "false")  # ELAN chooses a file for it only then
    assert recogniser.described["annotations"]["convoc"].split() == ["empty", "all"]


def test_the_launchers_start_this_python(recogniser: Recogniser) -> None:
    files = {path.suffix: path for path in recogniser.folder.iterdir()}
    assert files.keys() == {".cmdi", ".sh", ".bat", ".html"}
    if os.name == "posix":
        modes = {suffix: stat.S_IMODE(path.stat().st_mode) for suffix, path in files.items()}
        assert modes == {".sh": 0o755, ".bat": 0o644, ".cmdi": 0o644, ".html": 0o644}
    assert sys.executable in files[".sh"].read_text()
    batch = files[".bat"].read_bytes()
    assert batch.count(b"\r\n") == batch.count(b"\n") and batch.startswith(b"@echo off\r\n")
    assert f'set "PYTHON={sys.executable}"'.encode() in batch


def test_a_path_on_windows_keeps_its_odd_characters() -> None:
    text = elan_extension.batch_launcher("C:\\Program Files (x86)\\100% é & co\\python.exe", "D:\\src")
    assert 'set "PYTHON=C:\\Program Files (x86)\\100%% é & co\\python.exe"\r\n' in text
    assert 'set "PYTHONPATH=D:\\src"\r\n' in text and "chcp 65001 >nul\r\n" in text
    assert "chcp" not in elan_extension.batch_launcher("C:\\python.exe")


@pytest.mark.parametrize("inside", ["ELAN_6-8/app", "ELAN_7-1/lib/app", "ELAN_7.1.app/Contents/app", "ELAN_5-9"])
def test_the_folder_of_extensions_is_found_in_that_of_elan(inside: str, tmp_path: Path, capsys: Any) -> None:
    extensions = tmp_path / inside / "extensions"
    extensions.mkdir(parents=True)
    status, output, _ = run(["elan", "install", str(tmp_path / inside.split("/")[0])], capsys)
    assert status == 0 and output.splitlines() == [
        f"{extensions / 'echo-asr'} is written; restart ELAN, open the tab Recognizers, and choose "
        "'Echo speech recogniser'",
        "enter the folder of a model there, or run this again with --model MODEL",
    ]
    assert Recogniser(extensions / "echo-asr").parameters["model"] == ""


def test_an_installation_is_replaced(tmp_path: Path, learnt: Path, capsys: Any) -> None:
    extensions = tmp_path / "extensions"
    extensions.mkdir()
    assert run(["elan", "install", str(extensions)], capsys)[0] == 0
    status, output, _ = run(["elan", "install", str(extensions), "--model", os.path.relpath(learnt)], capsys)
    assert status == 0 and output.count("\n") == 1
    named = Recogniser(extensions / "echo-asr").parameters["model"]
    assert named and os.path.isabs(named) and os.path.samefile(named, learnt)
    assert len(list((extensions / "echo-asr").iterdir())) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("install {here}/none", "none: there is no such folder; give ELAN's folder 'extensions'"),
        ("install {here}", "has no folder 'extensions' of ELAN; give that one"),
        ("install {here}/file", "file: there is no such folder"),
        ("install {here}/x/extensions --model {here}", "model"),
        ("install {here}/y/extensions", "cannot be made"),
    ],
)
def test_a_wrong_folder_or_model_is_one_line(words: str, message: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "x" / "extensions").mkdir(parents=True)
    (tmp_path / "y" / "extensions").mkdir(parents=True)
    (tmp_path / "y" / "extensions" / "echo-asr").touch()
    status, output, errors = run(["elan", *words.format(here=tmp_path).split()], capsys)
    assert (status, output) == (1, "") and errors.count("\n") == 1
    assert errors.startswith("echo-asr elan install: ") and message in errors
    assert not (tmp_path / "x" / "extensions" / "echo-asr").exists()


def test_a_path_that_no_xml_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(echo_asr.EchoError, match="ELAN cannot take a path with such characters"):
        elan_extension.write_extension(tmp_path, "/bin/python", Path("a\x07b"))
    assert list(tmp_path.iterdir()) == []


def test_the_description_is_xml_whatever_the_path() -> None:
    root = ElementTree.fromstring(elan_extension.description(ODD))
    assert ODD in {element.get("default") for element in root.iter()}
