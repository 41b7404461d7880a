"""The page on ELAN files, as it stands: check, train, fill, correct, train again, on a small corpus of tones."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.annotations.elan_writer import render_elan
from echo_asr.annotations.phrases import Phrase
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.corpus import load_corpus
from tests.helpers.commands import run
from tests.helpers.pages import DOCS, SHORT, commands
from tests.helpers.tone_corpus import TEXTS, tone

PAGE = DOCS / "fieldwork.md"
PAUSE = 0.5  # seconds between annotations
EMPTY = 4  # every so many-th annotation has no text yet


def session(folder: Path, voices: list[float], written: bool = True) -> list[str]:
    """A recording of every text of the tone corpus in each voice, and its annotations; returns the texts in order."""
    folder.mkdir(parents=True)
    texts, parts, phrases, now = [], [], [], 0
    for voice in voices:
        for text in TEXTS["train"]:
            clip = tone(text, voice)
            start = now + round(PAUSE * SAMPLE_RATE)
            parts += [np.zeros(start - now), clip]
            now = start + len(clip)
            shown = text if written and len(texts) % EMPTY else ""
            phrases.append(Phrase(start * 1000 // SAMPLE_RATE, now * 1000 // SAMPLE_RATE, shown))
            texts.append(text)
    soundfile.write(folder / "story.wav", np.concatenate(parts), SAMPLE_RATE)
    text = render_elan(phrases, folder / "story.wav", folder).replace('TIER_ID="phrases"', 'TIER_ID="tx"')
    (folder / "story.eaf").write_text(text.replace('PARENT_REF="phrases"', 'PARENT_REF="tx"'), encoding="utf-8")
    return texts


def texts_of(file: Path) -> list[str]:
    return [u.text for u in load_corpus(f"{file}:tx@empty:silence").utterances]


@pytest.mark.slow
def test_the_hour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    session(Path("sessions/monday"), [0.9, 0.95, 1.0])
    session(Path("sessions/tuesday"), [1.05, 1.1, 1.15])
    spoken = session(Path("wednesday"), [0.92, 1.08], written=False)
    told = session(Path("thursday"), [0.97])
    Path("thursday/story.wav").rename("thursday/tale.wav")
    Path("thursday/tale.txt").write_text("\n\n".join(told), encoding="utf-8")

    printed = {}
    for words in commands(PAGE):
        if words[:3] == ["corpus", "split", "sessions:tx"] and "more_splits" in words:  # what the page tells a person
            shutil.copytree("wednesday", "sessions/wednesday")
            wrong = Path("filled/story.eaf").read_text(encoding="utf-8")
            Path("sessions/wednesday/story.eaf").write_text(wrong, encoding="utf-8")
        status, output, errors = run([*words, *(SHORT if words[0] == "train" else ())], capsys)
        assert status == 0, f"echo-asr {' '.join(words)}: {errors}"
        printed[" ".join(words[:3])] = output + errors

    assert "18 of 72 texts empty, which are left out as not yet transcribed" in printed["corpus check sessions:tx"]
    filled = texts_of(Path("filled/story.eaf"))
    assert filled == spoken, "all are filled, in order, and this model makes no error"
    found = [printed[name] for name in printed if name.startswith("evaluate")]
    assert len(found) == 2 and all("word error" in text for text in found)
    assert len(load_corpus("sessions:tx").utterances) > len(load_corpus("splits").utterances)
    assert [u.text for u in load_corpus("aligned/tale.eaf:words").utterances] == " ".join(told).split()
    cut = load_corpus("tale_corpus").utterances
    assert len(cut) > len(told) / 2, "in texts of three words, those beside one that is doubtful are, too"
    assert all(str(u.audio).endswith(".flac") and u.speaker == "lan" for u in cut)
