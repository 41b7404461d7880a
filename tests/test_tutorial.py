"""The tutorial, as it stands: its commands and its Python, one after another, on a small corpus of tones."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.commands import run
from tests.helpers.pages import DOCS, SHORT, blocks, commands
from tests.helpers.tone_corpus import TEXTS, tone, write_corpus

PAGE = DOCS / "tutorial.md"
VOICES = [0.9 + 0.025 * number for number in range(10)]  # factors on F0, a speaker each


def utterances(folder: Path, voices: list[float]) -> Path:
    """A folder of recordings whose table has no splits, as that of the tutorial."""
    write_corpus(folder, [("train", text, voice) for voice in voices for text in TEXTS["train"]])
    table = folder / "metadata.csv"
    rows = [row[:3] for row in csv.reader(table.open(encoding="utf-8"))]
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    utterances(Path("my_corpus"), VOICES)
    utterances(Path("more_recordings"), [1.16])
    shutil.copy("more_recordings/11.wav", "new_recording.wav")  # "c c", by a voice that is not in my_corpus

    printed = {}
    for words in commands(PAGE):
        status, output, errors = run([*words, *(SHORT if words[0] == "train" else ())], capsys)
        assert status == 0, f"echo-asr {' '.join(words)}: {errors}"
        printed[" ".join(words[:2])] = output
    assert list(printed) == [
        "corpus check", "corpus stats", "corpus split", "recipes", "train mandarin", "evaluate runs/mine",
        "transcribe new_recording.wav", "evaluate runs/better",
    ]  # fmt: skip

    rows = list(csv.DictReader(Path("my_splits/metadata.csv").open(encoding="utf-8")))
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    mistakes = Path("mistakes.jsonl").read_text(encoding="utf-8").splitlines()
    assert all({"file", "reference", "hypothesis"} <= json.loads(line).keys() for line in mistakes)
    assert Path("subtitles/new_recording.srt").read_text(encoding="utf-8").startswith("1\n")
    assert json.loads(printed["evaluate runs/better"])["wer"]["percent"] < 20

    (code,) = blocks(PAGE, "python")
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith("c c\n")

    # The Python of other pages, with this model.
    for name in ("recording.wav", "interview.mp3", "a.wav", "b.wav"):
        shutil.copy("new_recording.wav", name)
    write_corpus(Path("cv-corpus-17.0/vi"), [("test", "a", 1.0)])
    names = {"samples": tone("a b"), "paths": ["a.wav", "b.wav"]}
    for page in (DOCS.parent / "README.md", DOCS / "transcribing.md", DOCS / "corpora.md"):
        code = next(code for code in blocks(page, "python") if "measure_pitch" not in code)  # which needs tones
        exec(compile(code.replace("Xin chào, bạn!", "c c"), str(page), "exec"), names)
    assert names["result"].text and len(names["many"]) == 3
