"""TextGrids as Echo writes them, read back by Echo, by praatio and by Praat."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from praatio import textgrid as praatio

from echo_asr.annotations.phrases import Phrase, TimedWord
from echo_asr.annotations.textgrid import read_textgrid
from echo_asr.annotations.textgrid_writer import render_textgrid
from echo_asr.decode.phrases import make_phrases
from echo_asr.text.textfile import read_text_file
from tests.helpers.slow import slow
from tests.helpers.transcriptions import random_transcription

Spans = list[tuple[float, float, str]]
PHRASES = [
    Phrase(0, 400, 'a "b"', (TimedWord(0, 200, "a", "0.91"), TimedWord(200, 400, '"b"', "1.00"))),
    Phrase(400, 401, '""', (TimedWord(400, 401, '""', ""),)),
    Phrase(700, 2000, "không ! có <exists> 1 từ"),
]


def expected(phrases: list[Phrase], end: float) -> dict[str, Spans]:
    words = [word for phrase in phrases for word in phrase.words]
    tiers = {
        "phrases": [(p.start / 1000, p.end / 1000, p.text) for p in phrases],
        "words": [(w.start / 1000, w.end / 1000, w.text) for w in words],
        "confidences": [(w.start / 1000, w.end / 1000, w.confidence) for w in words],
    }
    return {name: without_gaps(spans, end) for name, spans in tiers.items()}


def without_gaps(spans: Spans, end: float) -> Spans:
    edges = [(0.0, 0.0, ""), *spans, (end, end, "")]
    gaps = [(a[1], b[0], "") for a, b in pairwise(edges) if a[1] < b[0]]
    return sorted([*spans, *gaps])


def own(path: Path) -> dict[str, Spans]:
    return {
        t.name: [(label.start, label.end, label.text) for label in t.labels]
        for t in read_textgrid(read_text_file(path))
    }


def by_praatio(path: Path) -> dict[str, Spans]:
    tiers = praatio.openTextgrid(str(path), includeEmptyIntervals=True).tiers
    return {tier.name: [tuple(entry) for entry in tier.entries] for tier in tiers}


@pytest.mark.parametrize("count", [15, slow(200)])
def test_what_is_written_is_read(count: int, tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    for seed in range(count):
        phrases = make_phrases(random_transcription(seed))
        path.write_text(render_textgrid(phrases, 60_000), encoding="utf-8")
        assert own(path) == expected(phrases, 60.0)
        assert by_praatio(path) == expected(phrases, 60.0)


def test_praat_reads_the_same(tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="Praat as an oracle")
    call, path = parselmouth.praat.call, tmp_path / "x.TextGrid"
    for seed in range(10):
        phrases = PHRASES if seed == 0 else make_phrases(random_transcription(seed))
        path.write_text(render_textgrid(phrases, 60_000), encoding="utf-8")
        grid = parselmouth.read(str(path))
        assert call(grid, "Get total duration") == 60.0
        for number, (name, spans) in enumerate(expected(phrases, 60.0).items(), 1):
            assert call(grid, "Get tier name", number) == name
            assert call(grid, "Get number of intervals", number) == len(spans)
            for place, span in enumerate(spans, 1):
                times = [call(grid, f"Get {side} time of interval", number, place) for side in ("start", "end")]
                assert (*times, call(grid, "Get label of interval", number, place)) == span


@pytest.mark.parametrize(("phrases", "duration", "end"), [([], 0, 0.001), ([], 1234, 1.234), (PHRASES, 1000, 2.0)])
def test_the_whole_recording_is_covered(phrases: list[Phrase], duration: int, end: float, tmp_path: Path) -> None:
    (tmp_path / "x.TextGrid").write_text(render_textgrid(phrases, duration), encoding="utf-8")
    assert own(tmp_path / "x.TextGrid") == expected(phrases, end)
    assert by_praatio(tmp_path / "x.TextGrid") == expected(phrases, end)
