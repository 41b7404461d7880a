"""ELAN files as Echo writes them, read back by Echo and by pympi."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import fromstring

import numpy as np
import pympi
import pytest
import soundfile

from echo_asr.annotations.elan import find_recording, read_elan_document
from echo_asr.annotations.elan_writer import render_elan
from echo_asr.annotations.phrases import Phrase, TimedWord
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.phrases import make_phrases
from tests.helpers.eaf import assert_rules
from tests.helpers.slow import slow
from tests.helpers.transcriptions import random_transcription

PHRASES = [
    Phrase(0, 400, "a <b>", (TimedWord(0, 200, "a", "0.91"), TimedWord(200, 400, "<b>", "1.00"))),
    Phrase(400, 401, "\"&'", (TimedWord(400, 401, "\"&'", ""),)),
    Phrase(700, 2000, "không có từ"),
]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "my rec.wav"
    soundfile.write(path, np.zeros(60 * 8000, np.int16), 8000)
    return path


@pytest.fixture
def write(tmp_path: Path, recording: Path) -> Callable[[list[Phrase]], Path]:
    def written(phrases: list[Phrase]) -> Path:
        path = tmp_path / "x.eaf"
        path.write_text(render_elan(phrases, recording, tmp_path), encoding="utf-8")
        return path

    return written


def pympi_tiers(path: Path) -> tuple[list[tuple[int, int, str]], ...]:
    """Phrases, words, and the confidences of these."""
    read = pympi.Eaf(str(path))
    names = ("phrases", "words", "confidences")
    return tuple(sorted(span[:3] for span in read.get_annotation_data_for_tier(name)) for name in names)


@pytest.mark.parametrize("count", [15, slow(200)])
def test_what_is_written_is_read(count: int, write: Callable[[list[Phrase]], Path]) -> None:
    for seed in range(count):
        phrases = make_phrases(random_transcription(seed))
        path = write(phrases)
        assert_rules(path)
        words = [word for phrase in phrases for word in phrase.words]
        expected = [p[:3] for p in phrases], [w[:3] for w in words], [(*w[:2], w.confidence) for w in words]
        assert pympi_tiers(path) == expected
        for tier, spans in (("phrases", expected[0]), ("words", expected[1])):
            if spans:
                found = [(u.audio.start, u.audio.duration, u.text) for u in load_corpus(f"{path}:{tier}").utterances]
                assert found == [(pytest.approx(a / 1000), pytest.approx((b - a) / 1000), t) for a, b, t in spans]


def test_all_of_a_file(write: Callable[[list[Phrase]], Path], recording: Path) -> None:
    path = write(PHRASES)
    assert_rules(path)
    assert pympi_tiers(path)[0] == [phrase[:3] for phrase in PHRASES]
    root = fromstring(path.read_bytes())
    (last,) = [p.text for p in root.iter("PROPERTY") if p.get("NAME") == "lastUsedAnnotationId"]
    assert last == "9"  # three phrases, three words and their confidences
    assert find_recording(path, root) == (recording, 0.0)
    assert isinstance((audio := load_corpus(f"{path}:phrases").utterances[0].audio), AudioSegment)
    assert audio.path == recording


def test_a_recording_without_speech_is_a_file_without_annotations(write: Callable[[list[Phrase]], Path]) -> None:
    path = write([])
    assert_rules(path)
    assert pympi_tiers(path) == ([], [], [])


@pytest.mark.parametrize("name", ["rec.wav", "100%41 é <&>.mp3", 'it\'s "x".flac'])
def test_addresses_of_recordings(name: str, tmp_path: Path) -> None:
    """They are absolute and relative, without escapes, as ELAN writes and reads them; either finds the recording."""
    (tmp_path / "audio").mkdir(), (tmp_path / "eaf").mkdir()
    recording, path = tmp_path / "audio" / name, tmp_path / "eaf" / "x.eaf"
    recording.touch()
    path.write_text(render_elan([], recording, path.parent), encoding="utf-8")
    (media,) = read_elan_document(path).root.iter("MEDIA_DESCRIPTOR")
    assert media.get("MEDIA_URL") == f"file://{recording}"
    assert media.get("RELATIVE_MEDIA_URL") == f"../audio/{name}"
    kinds = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".flac": "audio/flac"}
    assert media.get("MIME_TYPE") == kinds[recording.suffix]
    assert [os.path.samefile(find_recording(path, read_elan_document(path).root)[0], recording)] == [True]
    moved = path.rename(tmp_path / "x.eaf")
    assert find_recording(moved, read_elan_document(moved).root)[0] == recording


def test_characters_that_xml_does_not_have_are_replaced(write: Callable[[list[Phrase]], Path]) -> None:
    path = write([Phrase(0, 5, "a\x00b\ufffe\x1bc\ud800")])
    assert pympi_tiers(path)[0] == [(0, 5, "a\ufffdb\ufffd\ufffdc\ufffd")]
