"""Splits that share nothing, of about the durations asked for."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.cli import main
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.partition import BY, partition, stratified_sample, write_corpus
from echo_asr.errors import EchoError


def utterances(speakers: int, each: int, seed: int = 0) -> list[Utterance]:
    rng = np.random.default_rng(seed)
    return [
        Utterance(f"{s}-{i}", Path(f"{s}-{i}.wav"), f"Text {i % 7}.", f"who{s}", "train", float(rng.uniform(1, 6)))
        for s in range(speakers)
        for i in range(each)
    ]


def key(utterance: Utterance, by: str) -> str:
    return {"speaker": utterance.speaker, "text": utterance.text.lower(), "utterance": utterance.id}[by]


@settings(max_examples=40, deadline=None)
@given(
    speakers=st.integers(3, 12), each=st.integers(3, 20), by=st.sampled_from(BY), seed=st.integers(0, 5),
    shares=st.sampled_from([(0.1, 0.1), (0.2, 0.0), (0.0, 0.3), (0.05, 0.4)]),
)  # fmt: skip
def test_no_two_splits_share_anything(
    speakers: int, each: int, by: str, seed: int, shares: tuple[float, float]
) -> None:
    rows = utterances(speakers, each)
    parted = partition(rows, by, *shares, seed)  # type: ignore[arg-type]
    assert [u.id for u in parted] == [u.id for u in rows]
    assert parted == partition(rows, by, *shares, seed)  # type: ignore[arg-type]
    splits = defaultdict(set)
    for utterance in parted:
        splits[key(utterance, by)].add(utterance.split)
    assert all(len(found) == 1 for found in splits.values())
    wanted = {"train"} | {name for name, share in zip(("validation", "test"), shares, strict=True) if share}
    assert {u.split for u in parted} == wanted


@pytest.mark.parametrize("by", ["speaker", "utterance"])
def test_durations_are_as_asked_for(by: str) -> None:
    rows = utterances(60, 20)
    total = sum(u.duration for u in rows)
    for seed in range(3):
        parted = partition(rows, by, 0.1, 0.2, seed)  # type: ignore[arg-type]
        for split, share in (("validation", 0.1), ("test", 0.2)):
            assert sum(u.duration for u in parted if u.split == split) / total == pytest.approx(share, abs=0.01)
    assert partition(rows, by, seed=1) != partition(rows, by, seed=2)  # type: ignore[arg-type]


def test_equal_texts_stay_together_however_they_are_written() -> None:
    rows = [
        Utterance(str(i), Path("x"), t, "", "train", 1.0) for i, t in enumerate(["A b.", "a B", "c", "d", "e", "f"])
    ]
    parted = partition(rows, "text", 0.2, 0.2)
    assert parted[0].split == parted[1].split


@pytest.mark.parametrize(
    ("speakers", "options", "message"),
    [
        (2, {}, r"2 speakers cannot be distributed over 3 splits; take --by text, or one split less \(--test 0\)"),
        (5, {"validation": 0.6, "test": 0.5}, r"--validation 0\.6 and --test 0\.5: expected shares from 0, together"),
        (5, {"validation": 0.0, "test": 0.0}, r"expected shares from 0"),
        (5, {"validation": -0.1}, r"expected shares from 0"),
        (5, {"by": "day"}, r"--by: expected one of speaker, text, utterance; got 'day'"),
    ],
)
def test_what_cannot_be_split(speakers: int, options: dict[str, float], message: str) -> None:
    with pytest.raises(EchoError, match=message):
        partition(utterances(speakers, 3), **options)  # type: ignore[arg-type]


def test_speakers_without_names() -> None:
    rows = [Utterance(str(i), Path("x"), "a", "", "train", 1.0) for i in range(9)]
    with pytest.raises(EchoError, match=r"9 of 9 utterances have no speaker; name them in the corpus, or take"):
        partition(rows)


def test_the_command_writes_a_corpus_that_refers_to_the_audio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    signal = 0.1 * np.random.default_rng(0).standard_normal((80_000, 2))
    soundfile.write(data / "long.wav", signal, 16_000)
    rows = ["file_name,transcription,speaker,duration,excerpt_start,excerpt_channel"]
    rows += [f'long.wav,"say, {i}",who{i},0.5,{i / 2},{i % 2}' for i in range(9)]
    (data / "metadata.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "split", "data", "--out", "parted", "--validation", "0.2", "--test", "0.2"]) == 0
    output = capsys.readouterr().out
    assert "train: 5 utterances, 2.5 s (55.6 %), 5 speakers, 5 texts" in output
    before, after = load_corpus("data"), load_corpus("parted")
    assert after.splits == ("train", "validation", "test")
    for old, new in zip(before.utterances, after.utterances, strict=True):
        assert (old.text, old.speaker, old.duration) == (new.text, new.speaker, new.duration)
        assert isinstance(new.audio, AudioSegment)
        np.testing.assert_array_equal(load_audio(old.audio), load_audio(new.audio))
    assert (tmp_path / "parted" / "metadata.csv").read_text().splitlines()[1].startswith("../data/long.wav,")
    assert not list((tmp_path / "parted").glob("*.wav"))
    assert main(["corpus", "split", "data", "--out", "parted"]) == 1
    assert "parted: exists and is not empty; choose another --out" in capsys.readouterr().err
    moved = tmp_path / "elsewhere" / "parted"
    assert main(["corpus", "split", "parted", "--out", str(moved), "--seed", "4"]) == 0
    assert load_audio(load_corpus(moved).utterances[0].audio).shape == (8000,)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EchoError, match=r"cannot be made \(Not a directory\); choose another --out"):
        write_corpus(tmp_path / "file" / "out", utterances(3, 1))
    with pytest.raises(EchoError, match=r"file: exists and is not empty"):
        write_corpus(tmp_path / "file", utterances(3, 1))


@pytest.mark.parametrize("speakers", [2, 3, 6])
@pytest.mark.parametrize("in_turn", [True, False], ids=["in turn", "one after the other"])
def test_a_few_of_many_are_of_all_speakers(speakers: int, in_turn: bool) -> None:
    rows = [f"{i % speakers if in_turn else i * speakers // 600}-{i}" for i in range(600)]
    few = stratified_sample(rows, 120)
    said = [sum(row.startswith(f"{s}-") for row in few) for s in range(speakers)]
    assert len(few) == 120 == len(set(few)) and min(said) > 0.5 * 120 / speakers


def test_none_of_many_is_no_sample() -> None:
    with pytest.raises(ValueError, match="at least 1 item, got 0"):
        stratified_sample([1, 2], 0)


@given(size=st.integers(0, 300), most=st.integers(1, 300))
def test_a_few_of_many_are_so_many_in_order_and_always_the_same(size: int, most: int) -> None:
    few = stratified_sample(range(size), most)
    assert few == sorted(set(few)) == stratified_sample(range(size), most) and len(few) == min(size, most)
