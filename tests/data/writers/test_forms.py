"""What `echo-asr corpus export` writes, read back by Echo, and by the programs that it is for."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.cli import main
from echo_asr.data.corpus import Corpus, Utterance, load_corpus
from echo_asr.data.writers.forms import WRITERS, Form, export_corpus
from echo_asr.data.writers.names import unique_names
from echo_asr.errors import EchoError

RATE = 24_000  # Hz, at which the times below are whole samples


def tones(seconds: float, channels: int, seed: int) -> np.ndarray:
    """`(S, channels)`, each channel of other tones below 4 kHz, at which all resamplers agree."""
    hertz = np.random.default_rng(seed).uniform(100, 4000, (12, channels))
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.05 * np.sin(2 * np.pi * hertz[:, None, :] * time[None, :, None]).sum(axis=0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of whole files and of segments, one channel of two, all splits, with and without speakers and texts."""
    folder = tmp_path_factory.mktemp("source")
    for name, channels, seed in (("a.wav", 1, 0), ("b/a.flac", 1, 1), ("long talk.wav", 2, 2), ("long.flac", 1, 3)):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, tones(3.0 if "long" in name else 0.5, channels, seed), RATE)
    rows = [
        ("a.wav", "xin chào, bạn", "lan", "train", "", "", ""),
        ("b/a.flac", "nan", "", "validation", "0.5", "", ""),
        ("long talk.wav", 'một "hai"', "minh", "train", "0.75", "0.5", "1"),
        ("long talk.wav", "ba", "lan", "train", "0.75", "1.25", "0"),
        ("long talk.wav", "null", "minh", "train", "0.5", "2.25", ""),
        ("long.flac", "", "hoa", "test", "1.0", "0.25", ""),
        ("long.flac", "bốn", "hoa", "test", "1.123456", "1.5", ""),
    ]
    columns = ("file_name", "transcription", "speaker", "split", "duration", "excerpt_start", "excerpt_channel")
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder


@pytest.fixture(scope="module")
def corpus(source: Path) -> Any:
    with pytest.warns(UserWarning, match="1 of 7 texts empty"):
        return load_corpus(source)


def place(u: Utterance) -> tuple[str, float, int | None]:
    """File, start and channel."""
    segment = u.audio if isinstance(u.audio, AudioSegment) else AudioSegment(Path(u.audio))  # type: ignore[arg-type]
    return str(segment.path), round(segment.start, 5), segment.channel


def sorted_by_text(corpus: Corpus) -> list[Utterance]:
    return sorted(corpus.utterances, key=lambda u: (u.split, u.text))


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.filterwarnings("ignore:.*texts empty")
def test_what_is_exported_is_read_back(form: Form, corpus: Corpus, tmp_path: Path) -> None:
    export_corpus(corpus, form, tmp_path / "out")
    read = load_corpus(tmp_path / "out")
    assert len(read.utterances) == len(corpus.utterances)
    for ours, theirs in zip(sorted_by_text(corpus), sorted_by_text(read), strict=True):
        assert (theirs.text, theirs.speaker, theirs.split) == (ours.text, ours.speaker, ours.split)
        assert theirs.duration == pytest.approx(ours.duration, abs=2e-6)
        if form == "audiofolder":
            assert isinstance(theirs.audio, Path) and theirs.audio.is_relative_to(tmp_path)
        else:
            assert place(theirs) == place(ours)
        np.testing.assert_allclose(load_audio(theirs.audio), load_audio(ours.audio), atol=2**-15)
    if form == "lhotse":
        assert {u.id for u in read.utterances} == {u.id for u in corpus.utterances}


def test_kaldi_tables(corpus: Corpus, tmp_path: Path) -> None:
    """Sorted by bytes, ids of one word that begin with the speaker, and the speaker of each utterance twice."""
    lines = export_corpus(corpus, "kaldi", tmp_path / "out")
    assert lines[:3] == ["train: 4 utterances", "validation: 1 utterance", "test: 2 utterances"]
    assert "here are 2 recordings that are not wav" in lines[3]
    for split in ("train", "dev", "test"):
        folder = tmp_path / "out" / split
        tables = {path.name: path.read_text(encoding="utf-8").splitlines() for path in folder.iterdir()}
        assert ("segments" in tables) == (split != "dev")
        for rows in tables.values():
            assert rows == sorted(rows, key=str.encode)
        speaker = dict(row.split() for row in tables["utt2spk"])
        assert all(name.startswith(speaker[name]) for name in speaker)
        assert sorted(speaker) == sorted(row.split(" ")[0] for row in tables["text"])
        back = {name: row.split()[0] for row in tables["spk2utt"] for name in row.split()[1:]}
        assert back == speaker
    assert (tmp_path / "out" / "dev" / "utt2spk").read_text(encoding="utf-8") == "b_a.flac b_a.flac\n"


def test_speakers_of_several_words(tmp_path: Path) -> None:
    """Kaldi's names are one word; speakers that would fall together are kept apart."""
    audio = tmp_path / "a.wav"
    utterances = [
        Utterance(str(i), audio, "x", who, "train", 1.0) for i, who in enumerate(("Lan Anh", "Lan_Anh", "Lan"))
    ]
    export_corpus(Corpus("c", tuple(utterances)), "kaldi", tmp_path / "out")
    table = (tmp_path / "out" / "train" / "utt2spk").read_text(encoding="utf-8")
    assert table == "Lan-2 Lan\nLan_Anh-0 Lan_Anh\nLan_Anh_2-1 Lan_Anh_2\n"


@given(st.lists(st.text(max_size=6) | st.sampled_from(["a", "A", "a_2", "a b", "a/b", "é"]), max_size=12))
def test_names_are_words_and_unique(texts: list[str]) -> None:
    for key in (str, str.casefold):
        names = list(unique_names(texts, key))
        assert len({key(name) for name in names}) == len(texts)
        assert all(len(name.split()) == 1 and name == Path(name).name and not name.startswith(".") for name in names)


def test_lhotse_reads_its_manifests(corpus: Corpus, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse", reason="needs the extra lhotse")
    export_corpus(corpus, "lhotse", tmp_path / "out")
    for split, name in (("train", "train"), ("validation", "dev"), ("test", "test")):
        recordings = lhotse.load_manifest(tmp_path / "out" / f"recordings_{name}.jsonl.gz")
        supervisions = lhotse.load_manifest(tmp_path / "out" / f"supervisions_{name}.jsonl.gz")
        lhotse.validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
        cuts = lhotse.CutSet.from_manifests(recordings, supervisions).trim_to_supervisions(keep_overlapping=False)
        ours = {u.id: u for u in corpus.split(split)}
        found = {cut.supervisions[0].id: cut for cut in cuts}
        assert found.keys() == ours.keys()
        for key, cut in found.items():
            assert (cut.supervisions[0].text, cut.supervisions[0].speaker or "") == (ours[key].text, ours[key].speaker)
            assert cut.duration == pytest.approx(ours[key].duration, abs=1e-4)
            samples = cut.resample(16_000).load_audio().mean(axis=0)
            expected = load_audio(ours[key].audio)
            size = min(len(samples), len(expected)) - 800  # resamplers differ at the ends of a segment
            assert np.corrcoef(samples[800:size], expected[800:size])[0, 1] > 0.99


@pytest.mark.slow
def test_datasets_reads_its_audiofolder(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    for module in ("torchcodec", "torchcodec.encoders"):  # it imports them even for files that it only names
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(AudioEncoder=None))
    export_corpus(corpus, "audiofolder", tmp_path / "out")
    found = datasets.load_dataset("audiofolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert sorted(found) == ["test", "train", "validation"]
    for split, rows in found.items():
        rows = rows.cast_column("audio", datasets.Audio(decode=False))
        ours = {u.id: u for u in corpus.split(split)}
        assert {row["id"]: (row["transcription"], row["speaker"]) for row in rows} == {
            key: (u.text, u.speaker) for key, u in ours.items()
        }
        for row in rows:
            np.testing.assert_allclose(load_audio(row["audio"]["path"]), load_audio(ours[row["id"]].audio), atol=2**-15)


def test_whole_files_are_copied_as_they_are(corpus: Corpus, source: Path, tmp_path: Path) -> None:
    export_corpus(corpus, "audiofolder", tmp_path / "out")
    assert (tmp_path / "out/train/0000/a.wav").read_bytes() == (source / "a.wav").read_bytes()
    assert (tmp_path / "out/validation/0000/b_a.flac").read_bytes() == (source / "b/a.flac").read_bytes()


def test_soft_recordings_lose_nothing(tmp_path: Path) -> None:
    """Recorders of 32-bit float have no gain: their recordings may be 50 dB under full scale."""
    soundfile.write(tmp_path / "a.wav", tones(1.0, 1, 0) * 1e-3, RATE, "FLOAT")
    utterance = Utterance("a", AudioSegment(tmp_path / "a.wav", 0.25, 0.5), "x", "", "train", 0.5)
    export_corpus(Corpus("c", (utterance,)), "audiofolder", tmp_path / "out")
    (clip,) = load_corpus(tmp_path / "out").utterances
    np.testing.assert_allclose(load_audio(clip.audio), load_audio(utterance.audio), atol=2**-23)


@pytest.mark.filterwarnings("ignore:.*texts empty")
def test_computed_audio(corpus: Corpus, source: Path, tmp_path: Path) -> None:
    noisy = load_corpus(f"{source}@noise:10")
    with pytest.raises(EchoError, match=r"has computed audio, which is in no file; export it --to audiofolder"):
        export_corpus(noisy, "kaldi", tmp_path / "out")
    export_corpus(noisy, "audiofolder", tmp_path / "out")
    for ours, theirs in zip(sorted_by_text(noisy), sorted_by_text(load_corpus(tmp_path / "out")), strict=True):
        expected = load_audio(ours.audio)
        expected /= max(np.abs(expected).max(), 1.0)  # what exceeds full scale is made softer, not clipped
        np.testing.assert_allclose(load_audio(theirs.audio), expected, atol=2**-15)


@pytest.mark.filterwarnings("ignore:.*texts empty")
def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["corpus", "export", str(source), "--to", "lhotse", "--out"]
    (tmp_path / "empty").mkdir()
    assert main([*command, str(tmp_path / "empty")]) in (0, None)
    assert capsys.readouterr().out == "train: 4 utterances\nvalidation: 1 utterance\ntest: 2 utterances\n"
    before = sorted(tmp_path.rglob("*"))
    assert main([*command, str(tmp_path / "empty")]) == 1
    assert "exists and is not empty; choose another --out" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_recording_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    soundfile.write(tmp_path / "c" / "good.wav", tones(0.5, 1, 0), RATE)
    (tmp_path / "c" / "bad.wav").write_text("these are words")
    table = "file_name,text,duration,excerpt_start\ngood.wav,x,0.25,0\nbad.wav,y,0.25,0\n"
    (tmp_path / "c" / "metadata.csv").write_text(table)
    corpus = load_corpus(tmp_path / "c")
    for form in ("audiofolder", "lhotse"):
        with pytest.raises(EchoError, match=r"bad\.wav.*: is not an audio file Echo can read"):
            export_corpus(corpus, form, tmp_path / "out")  # type: ignore[arg-type]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]
    with pytest.warns(UserWarning, match="1 of 2 recordings cannot be read and are left out"):
        export_corpus(corpus, "audiofolder", tmp_path / "out", "skip")
    assert [u.text for u in load_corpus(tmp_path / "out").utterances] == ["x"]
