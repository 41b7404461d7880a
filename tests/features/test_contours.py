"""Contours in semitones and levels, and the files that Praat reads."""

from __future__ import annotations

import csv
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest

from echo_asr.features.contours import SpeakerRange, to_csv, to_pitch, to_pitch_tier

F0 = np.array([0.0, 0.0, 100.0, 120.0, 150.0, 200.0, 0.0, 141.4, 100.0, 0.0], dtype=np.float32)
PERIODICITY = np.linspace(0.0, 0.9, 10, dtype=np.float32)
needs_praat = pytest.mark.skipif(importlib.util.find_spec("parselmouth") is None, reason="praat-parselmouth is missing")


def test_semitones_and_levels_of_a_speaker() -> None:
    speaker = SpeakerRange(median=100.0, low=80.0, high=160.0)
    f0 = np.array([100.0, 200.0, 50.0, 80.0, 160.0, 80.0 * 2**0.5, 0.0])
    assert speaker.semitones(f0)[:3] == pytest.approx([0.0, 12.0, -12.0])
    assert speaker.levels(f0)[2:6] == pytest.approx([1.0, 1.0, 5.0, 3.0])
    assert np.isnan(speaker.semitones(f0)[-1]) and np.isnan(speaker.levels(f0)[-1])


def test_an_octave_higher_is_the_same_contour() -> None:
    low, high = SpeakerRange.of(F0), SpeakerRange.of(2 * F0)
    assert low is not None and high is not None
    np.testing.assert_allclose(low.semitones(F0), high.semitones(2 * F0))
    np.testing.assert_allclose(low.levels(F0), high.levels(2 * F0))


def test_a_voice_without_range_and_none_at_all() -> None:
    flat = SpeakerRange.of(np.array([0.0, 110.0, 110.0]))
    assert flat is not None and flat.levels(np.array([0.0, 110.0]))[1] == 3.0
    assert SpeakerRange.of(np.zeros(4)) is None


def test_rows_hold_what_was_measured() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(F0, PERIODICITY, SpeakerRange.of(F0)))))
    assert [float(row["hertz"] or 0) for row in rows] == pytest.approx(F0.tolist(), abs=0.01)
    assert [row["voiced"] for row in rows] == [str(int(f > 0)) for f in F0]
    assert all((row["semitones"] == "") == (row["hertz"] == "") for row in rows)


def test_recordings_share_a_table() -> None:
    whole = to_csv(F0, PERIODICITY, SpeakerRange.of(F0), "a, b.wav") + to_csv(
        F0[:1], PERIODICITY, None, "c", head=False
    )
    rows = list(csv.DictReader(io.StringIO(whole)))
    assert [row["file"] for row in rows] == 10 * ["a, b.wav"] + ["c"]
    assert rows[-1] == {
        **dict.fromkeys(rows[0], ""),
        "file": "c",
        "time": "0.00",
        "voiced": "0",
        "periodicity": "0.000",
    }


@needs_praat
def test_praat_reads_the_same_values(tmp_path: Path) -> None:
    import parselmouth

    (tmp_path / "a.PitchTier").write_text(to_pitch_tier(F0, 0.1), encoding="utf-8")
    tier = parselmouth.read(str(tmp_path / "a.PitchTier"))
    count = int(parselmouth.praat.call(tier, "Get number of points"))
    times = [parselmouth.praat.call(tier, "Get time from index", n + 1) for n in range(count)]
    values = [parselmouth.praat.call(tier, "Get value at index", n + 1) for n in range(count)]
    assert times == pytest.approx(np.flatnonzero(F0) / 100) and values == pytest.approx(F0[F0 > 0].tolist(), abs=1e-3)
    (tmp_path / "a.Pitch").write_text(to_pitch(F0, PERIODICITY, 0.1), encoding="utf-8")
    pitch = parselmouth.read(str(tmp_path / "a.Pitch"))
    assert pitch.selected_array["frequency"].tolist() == pytest.approx(F0.tolist(), abs=1e-3)
    assert pitch.selected_array["strength"].tolist() == pytest.approx(PERIODICITY.tolist(), abs=1e-3)
    assert pitch.xs().tolist() == pytest.approx((np.arange(10) / 100).tolist())
