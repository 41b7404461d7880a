"""What `corpus stats` counts and measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.cli import main
from echo_asr.data.corpus import load_corpus
from echo_asr.data.stats import F0_EDGES, draw, histogram, measure

VOICES = {"low": 100.0, "high": 250.0}  # Hz


def pulses(hertz: float, seconds: float) -> np.ndarray:
    """Harmonics that fall off as a voice's do."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    harmonics = np.arange(1, 20)[:, None]
    signal: np.ndarray = 0.1 * (np.sin(2 * np.pi * hertz * harmonics * time) / harmonics).sum(axis=0)
    return signal


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = ["file_name,transcription,speaker,split"]
    for number in range(8):
        speaker = "low" if number % 4 else "high"
        soundfile.write(tmp_path / f"{number}.wav", pulses(VOICES[speaker], 0.5 + number / 10), 16_000)
        rows.append(f"{number}.wav,Ab{'c' if number == 7 else ''}!,{speaker},{'test' if number > 5 else 'train'}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    return tmp_path


def test_counts_and_voices(corpus: Path) -> None:
    stats = measure(load_corpus(corpus), tracker="autocorrelation")
    assert list(stats.splits) == ["train", "test", "all"]
    assert [s.utterances for s in stats.splits.values()] == [6, 2, 8]
    assert [s.speakers for s in stats.splits.values()] == [2, 1, 2]
    assert stats.splits["all"].hours == pytest.approx(sum(0.5 + n / 10 for n in range(8)) / 3600)
    seconds = [0.5 + n / 10 for n in range(8)]
    np.testing.assert_allclose(stats.splits["all"].seconds, np.quantile(seconds, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    assert stats.symbols == {"a": {"train": 6, "test": 2}, "b": {"train": 6, "test": 2}, "c": {"train": 0, "test": 1}}
    assert {name: clips for name, (_, clips) in stats.speaker_f0.items()} == {"high": 2, "low": 6}
    for name, hertz in VOICES.items():
        assert stats.speaker_f0[name][0] == pytest.approx(hertz, rel=0.03)
        assert stats.f0[int(np.searchsorted(F0_EDGES, hertz, side="right"))] > 0.1
    assert sum(stats.f0) == pytest.approx(1.0)


def test_the_sample_has_all_speakers_and_does_not_change(corpus: Path) -> None:
    rows = load_corpus(corpus).utterances
    few = draw(rows, 4, seed=0)
    assert sorted(u.speaker for u in few) == ["high", "high", "low", "low"]
    assert few == draw(rows, 4, seed=0) and len(draw(rows, 100, seed=0)) == 8 and draw(rows, 0, seed=0) == []
    assert measure(load_corpus(corpus), clips=0).f0 == ()


def test_the_command(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "stats", str(corpus), "--clips", "4"]) == 0
    output = capsys.readouterr().out
    assert (
        "split\tutterances\thours\tspeakers\tcharacters\ntrain\t6\t0.0013\t2\t12" in output
    )  # plain where it is piped
    assert "c\t0\t1" in output and "F0 in Hz, 4 clips" in output and "\u2588" in output and "\x1b" not in output
    assert main(["corpus", "stats", str(corpus), "--clips", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["splits"]["train"]["seconds"]["0.5"] == 0.75 and found["f0"]["clips"] == 2
    assert found["symbols"]["c"] == {"train": 0, "test": 1}
    assert main(["corpus", "stats", str(corpus), "--clips", "-1"]) == 1
    assert "--clips: expected 0 or more, got -1" in capsys.readouterr().err


def test_histogram() -> None:
    rows = histogram([0.0, 0.5, 0.25] + [0.0] * (len(F0_EDGES) - 3) + [0.25])
    assert rows[0] == ("under 50", "0.0 %", "") and rows[1][0] == "50-60" and rows[-1][0] == "over 566"
    assert [len(bar) for _, _, bar in rows[:3]] == [0, 40, 20]
