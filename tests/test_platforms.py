"""Every command on a machine that is not like ours: another code page, none of the names that Windows lacks, no
network, and nothing written but what was asked for."""

import ast
import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import yaml

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.corpus import load_corpus
from echo_asr.errors import EchoError
from tests.helpers.commands import PACKAGE_ROOT, echo
from tests.helpers.foreign import Machine, Ran
from tests.helpers.slow import slow
from tests.helpers.tone_corpus import SHIFTS, TEXTS, tone, write_config

ROOT = Path(__file__).parents[1]
PACKAGE = PACKAGE_ROOT / "echo_asr"
TONES = {"a": "˥", "b": "˩", "c": "ч"}
FOLDER = "kôr pus ˥"  # a space, and letters that no code page has all of
COMMANDS = (
    "demo", "prepare", "train", "evaluate", "study", "transcribe", "lm", "corpus check", "corpus split",
    "corpus stats", "diagnose", "plot audio", "plot rotary", "plot attention", "plot run", "doctor",
)  # fmt: skip
FORMATS = ("txt", "json", "srt", "vtt", "tsv", "eaf", "textgrid")
TEXT_FILES = {f".{form}" for form in (*FORMATS, "TextGrid", "jsonl", "md", "yaml", "csv", "arpa", "html")}


def write_tones(folder: Path) -> Path:
    """The corpus of the training tests, written in tone letters."""
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file_name", "transcription", "speaker", "split"))
        rows = [(split, text) for split, texts in TEXTS.items() for text in texts]
        for number, (split, text) in enumerate(rows):
            name = f"é˥ {number:02d}.wav"
            soundfile.write(folder / name, tone(text, SHIFTS[split]), SAMPLE_RATE)
            table.writerow((name, " ".join(TONES[word] for word in text.split()), f"Ñandú {split}", split))
    return folder


# --- quick: one command in a process of its own ---


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones") / FOLDER)


@pytest.mark.parametrize(
    "setting",
    [
        {"PYTHONIOENCODING": "cp1252"},
        slow({"PYTHONIOENCODING": "ascii"}),
        slow({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    ],
    ids=["cp1252", "ASCII", "locale C"],
)
def test_output_is_utf8_whatever_the_code_page(
    setting: dict[str, str], tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    wanted = {"stdout": subprocess.PIPE, "encoding": "utf-8"}
    ran = echo("corpus", "stats", str(tones), "--clips", "0", **wanted)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr and FOLDER in ran.stdout
    assert all(letter in ran.stdout for letter in TONES.values()), ran.stdout
    ran = echo("corpus", "stats", str(tmp_path / "ˈ˥"), **wanted)
    assert ran.returncode == 1 and "ˈ˥ does not exist" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_a_name_that_is_no_utf8_is_told(tones: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    ran = echo("corpus", "stats", name, stdout=subprocess.PIPE, encoding="utf-8")
    assert ran.returncode == 1 and r"caf\udce9 does not exist" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (r"C:\Zoë\kôr pus", r"corpus folder C:\Zoë\kôr pus does not exist"),
        (r"C:\me@home\tones", r"corpus folder C:\me@home\tones does not exist"),
        (r"C:\tones@noise:10", r"corpus folder C:\tones does not exist"),
        (r"C:\tones@part:0.5@leave:anna", r"corpus folder C:\tones does not exist"),
        (r"hf:C:\data:vi", r"hf:C:\data: no such folder"),
    ],
)
def test_a_drive_letter_is_no_kind_of_corpus(spec: str, told: str) -> None:
    with pytest.raises(EchoError) as error:
        load_corpus(spec)
    assert told in str(error.value)


# --- the machine that the tests below stand on ---


def test_the_machine_lacks_what_windows_lacks(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "cp1252")
    (tmp_path / "echo_asr").mkdir()
    (tmp_path / "echo_asr" / "__main__.py").write_text(
        "import os, socket\n"
        "found = [name for name in ('statvfs', 'fork', 'path', 'replace') if hasattr(os, name)]\n"
        "try:\n    import fcntl\nexcept ImportError:\n    print(*found)\n"
        "try:\n    socket.getaddrinfo('somewhere.example', 80)\nexcept OSError:\n    pass\n",
        encoding="utf-8",
    )
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "echo_asr")], env=machine.environment, capture_output=True, encoding="utf-8",
        timeout=60, check=True,
    )  # fmt: skip
    assert ran.stdout == "path replace\n"
    assert machine.lookups is None or machine.lookups.read_text(encoding="utf-8") == "somewhere.example\n"


# --- slow: all of them ---


def every_command(corpus: str, folder: Path) -> list[list[str]]:
    """What follows is in order: later ones use what those before made."""
    first, second = f"{corpus}/é˥ 00.wav", f"{corpus}/é˥ 03.wav"
    config = write_config(folder / "cönfig.yaml", features={"tracker": "swiftf0"}, train={"max_steps": 4})
    study = {
        "name": "˥ oder ˩", "question": "˥?", "corpus": corpus, "base": yaml.safe_load(config.read_text("utf-8")),
        "arms": {"˥": {}, "aux": {"model.dropout": 0.3}}, "baseline": "˥", "seeds": 1,
        "endpoints": {"ˈword": {"measure": "word"}}, "primary": "ˈword",
    }  # fmt: skip
    (folder / "stüdy.yaml").write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    (folder / "texts ˥.txt").write_text("˥ ˩\nч ˥ ж\n", encoding="utf-8")
    (folder / "words ˥.txt").write_text("˩\n", encoding="utf-8")
    (folder / "list.txt").write_text(f"{first}\n{second}\n", encoding="utf-8")
    train = ["train", "cönfig.yaml", "--corpus", corpus, "--out", "rün", "--train.speeds", "[1.0]"]
    use = ["transcribe", first, second, "--model", "rün"]
    commands = [
        ["--help"], ["--version"], *([*name.split(), "--help"] for name in COMMANDS),
        ["doctor"],
        ["corpus", "check", corpus], ["corpus", "check", corpus, "--json"],
        ["corpus", "stats", corpus], ["corpus", "stats", corpus, "--json"],
        ["corpus", "split", corpus, "--by", "utterance", "--out", "splít"],
        ["corpus", "stats", "splít", "--clips", "0"],
        ["prepare", corpus, "--config", "cönfig.yaml"],
        train, [*train, "--resume"],
        ["evaluate", "rün", corpus, "--texts", "heard ˥.jsonl"], ["evaluate", "rün", corpus, "--json"],
        use, ["transcribe", "--files", "list.txt", "--model", "rün", "--format", "json"],
        *([*use, "--output-dir", f"öut {form}", "--format", form] for form in FORMATS),
        ["lm", "texts ˥.txt", "--model", "rün", "--out", "lm ˥.arpa", "--order", "3"],
        [*use, "--decode.beam", "4", "--decode.lm", "lm ˥.arpa", "--hotwords", "words ˥.txt"],
        ["diagnose", "rün", corpus, "--out", "díag"],
        ["plot", "audio", first, "--out", "píctures"], ["plot", "rotary", first, "--out", "píctures"],
        ["plot", "attention", "rün", first, "--out", "píctures"], ["plot", "run", "rün", "rün", "--out", "píctures"],
        ["study", "stüdy.yaml", "--out", "stüdy", "--jobs", "2", "--device", "cpu"],
    ]  # fmt: skip
    try:
        import flashlight.lib.text  # noqa: F401
    except ImportError:
        commands = [words for words in commands if "--decode.lm" not in words]
    return commands


# A line each, with the letters that were given, and nothing else.
MISTAKES: list[tuple[list[str], int, str]] = [
    (["doctor", "--ˈ˥"], 2, "ˈ˥"),
    (["evaluate", "rün", "ˈ˥"], 1, "ˈ˥ does not exist"),
    (["evaluate", "ˈ˥", FOLDER], 1, "ˈ˥"),
    (["train", "ˈ˥.yaml", "--corpus", "here", "--out", "x"], 1, "ˈ˥.yaml"),
    (["train", "cönfig.yaml", "--corpus", FOLDER, "--out", "x", "--train.ˈ˥", "1"], 1, "ˈ˥"),
    (["transcribe", "ˈ˥.wav", "--model", "rün"], 1, "ˈ˥.wav: no such file"),
    (["transcribe", "caf\udce9.wav", "--model", "rün"], 1, r"caf\udce9.wav: no such file"),
    (["transcribe", "x.wav", "--model", "rün", "--device", "ˈ˥"], 1, "ˈ˥"),
    (["plot", "ˈ˥"], 2, "ˈ˥"),
    (["study", "ˈ˥.yaml"], 1, "ˈ˥.yaml"),
    (["lm", "ˈ˥.txt", "--model", "rün", "--out", "x"], 1, "ˈ˥.txt"),
    (["corpus", "split", "ˈ˥", "--out", "x"], 1, "ˈ˥"),
]


@pytest.fixture(scope="module", params=["cp1252", "ascii"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("a folder of Zoë's"), request.param)


@pytest.fixture(scope="module")
def ran(machine: Machine) -> list[Ran]:
    write_tones(machine.work / FOLDER)
    return machine.run([*every_command(FOLDER, machine.work), *(words for words, _, _ in MISTAKES)])


@pytest.mark.slow
def test_every_command_runs(ran: list[Ran]) -> None:
    wrong = [one for one in ran[: -len(MISTAKES)] if one.status != 0 or "Traceback" in one.errors]
    assert wrong == []
    by_name = {" ".join(one.words): one for one in ran}
    assert "˥" in by_name[f"corpus stats {FOLDER}"].output and FOLDER in by_name[f"corpus check {FOLDER}"].output
    assert f"{FOLDER}/é˥ 03.wav: " in next(o for n, o in by_name.items() if n.startswith("transcribe kôr")).output
    assert any(letter in by_name[f"evaluate rün {FOLDER} --texts heard ˥.jsonl"].output + "˥" for letter in "˥˩ч")
    assert "reference  '˥'" in next(o for n, o in by_name.items() if n.startswith("train cönfig")).errors


@pytest.mark.slow
def test_every_mistake_is_one_line(ran: list[Ran]) -> None:
    for one, (words, status, told) in zip(ran[-len(MISTAKES) :], MISTAKES, strict=True):
        assert (one.status, one.output) == (status, ""), (words, one)
        assert told in one.errors and one.errors.count("\n") == 1, (words, one)


@pytest.mark.slow
def test_what_is_written_is_utf8_with_line_feeds(ran: list[Ran], machine: Machine) -> None:
    written = [path for path in machine.work.rglob("*") if path.suffix in TEXT_FILES]
    assert len(written) > 30
    for path in written:
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text or path.name == "metadata.csv", path  # RFC 4180 ends lines of CSV so
    assert {p.name for p in (machine.work / "stüdy/jobs").iterdir()} == {"-", "aux-"}  # `aux` is a device on Windows


@pytest.mark.slow
def test_no_command_looks_for_a_host(ran: list[Ran], machine: Machine) -> None:
    if machine.lookups is None:
        pytest.skip("needs gcc")
    assert ran and machine.lookups.read_text(encoding="utf-8") == ""


@pytest.mark.slow
def test_nor_does_it_after_a_thousand_files(ran: list[Ran], machine: Machine) -> None:
    """Telemetry that is on waits for minutes before it looks for its host."""
    if machine.lookups is None or machine.encoding != "cp1252":
        pytest.skip("needs gcc, and is done once")
    assert ran
    names = [str(path) for path in sorted((machine.work / FOLDER).glob("*.wav"))]
    listed = machine.folder / "list.txt"
    listed.write_text("\n".join(names * 50), encoding="utf-8")
    use = ["transcribe", "--files", str(listed), "--model", "rün"]
    (one,) = machine.run([use])
    assert one.status == 0 and one.output.count("\n") == 50 * len(names) >= 1000, one.errors
    assert machine.lookups.read_text(encoding="utf-8") == "" and list(machine.home.rglob("*")) == []


@pytest.mark.slow
def test_nothing_is_written_elsewhere(ran: list[Ran], machine: Machine) -> None:
    assert ran and list(machine.home.rglob("*")) == [] and list(machine.temporary.rglob("*")) == []
    assert machine.cache.is_dir()
    asked_for = {
        FOLDER, "cönfig.yaml", "stüdy.yaml", "texts ˥.txt", "words ˥.txt", "list.txt", "rün", "splít", "stüdy",
        "heard ˥.jsonl", "lm ˥.arpa", "díag", "píctures", *(f"öut {form}" for form in FORMATS),
    }  # fmt: skip
    assert {path.name for path in machine.work.iterdir()} == asked_for


# --- what can be seen in the source ---

NO_TEXT = ("os.", "tarfile.", "soundfile.", "av.", "wave.", "fsspec.", "gzip.open(path)", "_open(")  # what opens none


def calls(path: Path) -> Iterator[tuple[ast.Call, str, set[str], str]]:
    """Every call of a file: its node, the name that is called, its keywords, and the mode of a file that it opens."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            words = {keyword.arg or "" for keyword in node.keywords}
            modes = [
                a.value
                for a in node.args[:2]
                if isinstance(a, ast.Constant) and re.fullmatch("[rwax][bt+]*", str(a.value))
            ]
            yield node, name, words, str(modes[0]) if modes else "r"


@pytest.mark.parametrize("folder", [PACKAGE, ROOT / "benchmarks"], ids=lambda folder: folder.name)
def test_text_files_and_processes_have_an_encoding(folder: Path) -> None:
    """And what is written has the same bytes everywhere: Windows would end lines with two."""
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        for node, name, words, mode in calls(path):
            whole = ast.unparse(node)
            text = name in ("read_text", "write_text") or (name == "open" and "b" not in mode)
            if name == "open" and whole.startswith(NO_TEXT):
                continue
            if text and "encoding" not in words:
                wrong.append(f"{path.name}:{node.lineno} has no encoding: {whole}")
            if (name == "write_text" or (text and mode[0] in "wax")) and "newline" not in words:
                wrong.append(f"{path.name}:{node.lineno} has no newline: {whole}")
            if words & {"text", "universal_newlines"} and name in ("run", "Popen", "check_output"):
                wrong.append(f"{path.name}:{node.lineno} has no encoding: {whole}")
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_the_types_hold_on_other_systems(platform: str, tmp_path: Path) -> None:
    """Typeshed knows which names of the standard library a system has."""
    command = [sys.executable, "-m", "mypy", "--platform", platform, "--cache-dir", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout
