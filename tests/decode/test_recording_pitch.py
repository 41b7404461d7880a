"""F0 of whole recordings: what was spoken, in blocks, and in the files of Praat."""

from __future__ import annotations

import csv
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.decode.recording_pitch import SUFFIXES, RecordingPitch, measure_pitch, render_pitch, write_pitch
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from tests.helpers.slow import slow
from tests.helpers.voices import syllables, voice

EXTRACTOR = FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation"))
needs_praat = pytest.mark.skipif(importlib.util.find_spec("parselmouth") is None, reason="praat-parselmouth is missing")


def spoken(base: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A voice `(S,)`, and its F0 at each frame `(T,)`, 0 where unvoiced."""
    f0, voiced = syllables(base, seconds)
    return voice(f0, voiced), (f0 * voiced)[::HOP]


def inner(true: np.ndarray) -> np.ndarray:
    """The voiced frames that are not beside an unvoiced one."""
    on = true > 0
    return np.convolve(on, np.ones(5), "same") == 5


@pytest.mark.parametrize(
    ("tracker", "seconds"), [("autocorrelation", 3.0), slow("swiftf0", 3.0), ("autocorrelation", 50.0)]
)
def test_f0_is_that_of_the_voice_throughout(tracker: Any, seconds: float, tmp_path: Path) -> None:
    audio, true = spoken(140.0, seconds)
    soundfile.write(tmp_path / "a.wav", np.concatenate((audio, np.zeros(SAMPLE_RATE * 2), audio)), SAMPLE_RATE)
    found = measure_pitch(tmp_path / "a.wav", FeatureExtractor(FeatureConfig(mels=24, tracker=tracker)))
    assert found.duration == 2 * seconds + 2 and len(found.f0) == len(found.periodicity) == 200 * seconds + 200
    true = np.concatenate((true, np.zeros(200), true))
    sure = inner(true)
    assert (found.f0[sure] > 0).mean() > 0.97
    both = sure & (found.f0 > 0)
    assert np.abs(12 * np.log2(found.f0[both] / true[both])).max() < 0.5  # semitones
    assert (found.f0[inner(1.0 - np.sign(true))] > 0).mean() < 0.02


@needs_praat
def test_praat_reads_what_is_written(tmp_path: Path) -> None:
    import parselmouth

    audio, _ = spoken(110.0, 1.234)
    soundfile.write(tmp_path / "a b.wav", audio, SAMPLE_RATE)
    found = measure_pitch(tmp_path / "a b.wav", EXTRACTOR)
    for form in ("pitchtier", "pitch"):
        assert write_pitch([tmp_path / "a b.wav"], form, tmp_path / "out", extractor=EXTRACTOR) == 0
    pitch = parselmouth.read(str(tmp_path / "out/a b.Pitch"))
    np.testing.assert_allclose(pitch.selected_array["frequency"], found.f0, atol=1e-3)
    assert pitch.duration == pytest.approx(found.duration, abs=1e-5)
    tier = parselmouth.read(str(tmp_path / "out/a b.PitchTier"))
    assert parselmouth.praat.call(tier, "Get number of points") == np.count_nonzero(found.f0)
    at = int(np.flatnonzero(found.f0)[3])
    assert parselmouth.praat.call(tier, "Get value at time", at / 100) == pytest.approx(found.f0[at], abs=1e-3)


@pytest.mark.parametrize("audio", [np.zeros(1, np.float32), np.zeros(SAMPLE_RATE, np.float32)])
@pytest.mark.parametrize("form", SUFFIXES)
def test_silence_has_no_f0(audio: np.ndarray, form: str) -> None:
    found = measure_pitch(audio, EXTRACTOR)
    assert not found.f0.any()
    assert render_pitch(found, form)


def test_an_unknown_format() -> None:
    with pytest.raises(EchoError, match="format 'praat': there is no such format; choose one of csv, pitchtier, pitch"):
        render_pitch(RecordingPitch(np.zeros(1), np.zeros(1), 0.01), "praat")


def test_files_are_those_of_praat_and_stay_where_asked(tmp_path: Path, corpus: Path, capsys: Any) -> None:
    paths = [corpus / "00.wav", corpus / "01.wav"]
    assert write_pitch(paths, "pitch", tmp_path / "out", extractor=EXTRACTOR) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00.Pitch", "01.Pitch"]
    (tmp_path / "out/00.Pitch").write_text("mine")
    assert write_pitch(paths, "pitch", tmp_path / "out", True, EXTRACTOR) == 0
    assert (tmp_path / "out/00.Pitch").read_text() == "mine"
    assert "2 of 2 are there already" in capsys.readouterr().err


def test_one_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path, corpus: Path, capsys: Any) -> None:
    paths = [tmp_path / "no.wav", corpus / "00.wav", corpus / "01.wav"]
    assert write_pitch(paths, extractor=EXTRACTOR) == 1
    output, errors = capsys.readouterr()
    assert "no.wav: no such file" in errors and "1 of 3 files" in errors
    rows = list(csv.DictReader(io.StringIO(output)))
    assert {row["file"] for row in rows} == {str(path) for path in paths[1:]}
    hertz = [float(row["hertz"]) for row in rows if row["hertz"] and row["file"] == str(paths[1])]
    assert np.median(hertz) == pytest.approx(130.0, rel=0.01)  # the word `a`
