"""Clips of a long recording, read back by Echo and by the library that the form is of."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.writers.clips import excerpts, write_clips

TEXTS = ("xin chào, bạn", 'một "hai"', "ba")
SPANS = ((0.1, 0.35), (0.35, 0.6), (0.75, 0.9))  # seconds


def utterances(recording: AudioSegment, spans: tuple[tuple[float, float], ...] = SPANS) -> list[Utterance]:
    return [
        Utterance(str(number), AudioSegment(recording.path, a, b - a, recording.channel), text, "lan", "train", b - a)
        for number, ((a, b), text) in enumerate(zip(spans, TEXTS, strict=True))
    ]


def noise(rate: int, channels: int, subtype: str) -> np.ndarray:
    """A second of integers `(S, channels)` as files of 16 or 24 bits have them."""
    bits = 16 if subtype == "PCM_16" else 24
    values = np.random.default_rng(rate).integers(-(2 ** (bits - 2)), 2 ** (bits - 2), (rate, channels))
    return (values << (32 - bits)).astype(np.int32)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize(("rate", "channels", "channel"), [(8000, 1, None), (44_100, 2, 1), (192_000, 1, None)])
def test_samples_rate_and_bits_are_those_of_the_recording(
    rate: int, channels: int, channel: int | None, subtype: str, tmp_path: Path
) -> None:
    recording = AudioSegment(tmp_path / "Geschichte 1 (ở nhà).wav", channel=channel)
    data = noise(rate, channels, subtype)
    soundfile.write(recording.path, data, rate, subtype)
    (tmp_path / "out").mkdir()
    write_clips(tmp_path / "out", recording, utterances(recording))
    read = load_corpus(tmp_path / "out").utterances
    assert [(u.text, u.speaker, u.duration) for u in read] == [
        (text, "lan", pytest.approx(b - a, abs=1 / rate)) for text, (a, b) in zip(TEXTS, SPANS, strict=True)
    ]
    for utterance, (start, end) in zip(read, SPANS, strict=True):
        samples, own_rate = soundfile.read(utterance.audio, dtype="int32")
        assert own_rate == rate and soundfile.info(utterance.audio).subtype == subtype
        assert (samples == data[round(start * rate) : round(end * rate), channel or 0]).all()


def test_recordings_of_floating_point_keep_24_bits(tmp_path: Path) -> None:
    recording = AudioSegment(tmp_path / "a.wav")
    data = np.random.default_rng(0).uniform(-0.9, 0.9, 48_000).astype(np.float32)
    soundfile.write(recording.path, data, 48_000, "FLOAT")
    write_clips(tmp_path, recording, utterances(recording))
    first = load_corpus(tmp_path).utterances[0]
    np.testing.assert_allclose(soundfile.read(first.audio)[0], data[4800:16800], atol=2**-24)


def test_a_rate_that_flac_has_not_becomes_16_khz(tmp_path: Path) -> None:
    """Recorders of bats have such, and converters that slow recordings down."""
    recording = AudioSegment(tmp_path / "a.wav")
    soundfile.write(recording.path, noise(700_000, 1, "PCM_16"), 700_000, "PCM_16")
    write_clips(tmp_path, recording, utterances(recording))
    for utterance, (start, end) in zip(load_corpus(tmp_path).utterances, SPANS, strict=True):
        assert soundfile.info(utterance.audio).samplerate == 16_000
        whole = load_audio(recording.path)[round(start * 16_000) : round(end * 16_000)]
        np.testing.assert_allclose(load_audio(utterance.audio), whole, atol=2**-15)


def test_names_have_room_for_numbers_and_endings(tmp_path: Path) -> None:
    recording = AudioSegment(tmp_path / f"{'長い話' * 27}.wav")  # 243 bytes before the ending
    soundfile.write(recording.path, noise(8000, 1, "PCM_16"), 8000)
    (tmp_path / "out").mkdir()
    write_clips(tmp_path / "out", recording, utterances(recording))
    assert len(load_corpus(tmp_path / "out").utterances) == 3


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=9), st.lists(st.integers(0, 9), max_size=9))
def test_excerpts_do_not_depend_on_blocks(lengths: list[tuple[int, int]], sizes: list[int]) -> None:
    samples = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)) if sizes else []
    spans = sorted((first, first + length) for first, length in lengths)
    for found, (first, last) in zip(excerpts(iter(blocks), spans), spans, strict=True):
        assert (found == samples[first:last]).all() and len(found) == len(samples[first:last])


@pytest.mark.slow
def test_datasets_reads_the_clips_with_their_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    for module in ("torchcodec", "torchcodec.encoders"):  # it imports them even for files that it only names
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(AudioEncoder=None))
    recording, out = AudioSegment(tmp_path / "a b.wav"), tmp_path / "out"
    soundfile.write(recording.path, noise(16_000, 1, "PCM_16"), 16_000)
    out.mkdir()
    (out / "report.tsv").write_text("kind\tstart\n", encoding="utf-8")
    write_clips(out, recording, utterances(recording))
    found = datasets.load_dataset("audiofolder", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    assert list(found) == ["train"]
    rows = found["train"].cast_column("audio", datasets.Audio(decode=False))
    assert [(row["transcription"], row["speaker"]) for row in rows] == [(text, "lan") for text in TEXTS]
    for row, ours in zip(rows, load_corpus(out).utterances, strict=True):
        assert Path(row["audio"]["path"]).name == ours.audio.name  # type: ignore[union-attr]
        assert row["start"] == pytest.approx(SPANS[int(ours.id[-6]) - 1][0])
