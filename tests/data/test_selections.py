"""Parts of a corpus, and some of its speakers: what is chosen, never what it sounds like."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.cli import main
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Corpus, Utterance, load_corpus
from echo_asr.data.selections import OfSpeakers, Part
from echo_asr.data.variants import split_variant
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from tests.helpers.corpora import load_without_broken

SPLITS = ("train", "validation", "test")
SPEAKERS = st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=12)  # utterances by split, of each
SHARES = st.floats(0.001, 1.0)


def made(counts: list[tuple[int, int, int]]) -> Corpus:
    """A corpus of speakers `s0`, `s1`, ... with so many utterances of each split."""
    return Corpus("made", tuple(
        Utterance(f"{split}-{number}-{index}", Path("a.wav"), "text", f"s{number}", split, 1.0)
        for number, by_split in enumerate(counts)
        for split, count in zip(SPLITS, by_split, strict=True)
        for index in range(count)
    ))  # fmt: skip


def ids(corpus: Corpus, *splits: str) -> set[str]:
    return {u.id for u in corpus.utterances if u.split in (splits or SPLITS)}


@settings(max_examples=60, deadline=None)
@given(SPEAKERS, SHARES, SHARES, st.integers(0, 5))
def test_a_part_is_a_share_of_all_and_of_every_speaker(
    counts: list[tuple[int, int, int]], one: float, other: float, seed: int
) -> None:
    corpus = made(counts)
    whole, number = Counter(u.speaker for u in corpus.utterances if u.split == "train"), sum(c[0] for c in counts)
    less, more = Part(min(one, other), seed)(corpus), Part(max(one, other), seed)(corpus)
    assert ids(less) <= ids(more) <= ids(corpus)
    for share, part in ((min(one, other), less), (max(one, other), more)):
        assert ids(part, "validation") == ids(corpus, "validation") and ids(part, "test") == ids(corpus, "test")
        kept = Counter(u.speaker for u in part.utterances if u.split == "train")
        total = kept.total()
        assert total == (max(1, math.floor(share * number + 0.5)) if number else 0)
        if total >= len(whole):
            assert set(kept) == set(whole), "nobody is lost where there is room for all"
        else:
            assert max(kept.values(), default=1) == 1
        if all(total * n >= number for n in whole.values()):  # at least one of each is due: then shares are exact
            for speaker, n in whole.items():
                assert math.floor(total * n / number) <= kept[speaker] <= math.ceil(total * n / number)


def test_a_part_is_the_same_wherever_it_is_made_and_another_with_another_seed() -> None:
    corpus = made([(40, 2, 2), (20, 2, 2), (4, 0, 1)])
    shuffled = list(corpus.utterances)
    random.Random(0).shuffle(shuffled)
    part = Part(0.25)(corpus)
    assert ids(Part(0.25)(Corpus("elsewhere", tuple(shuffled))), "train") == ids(part, "train")
    assert Counter(u.speaker for u in part.utterances if u.split == "train") == {"s0": 10, "s1": 5, "s2": 1}
    assert [u for u in corpus.utterances if u in part.utterances] == list(part.utterances), "in the order of the corpus"
    assert ids(Part(0.25, 1)(corpus), "train") != ids(part, "train")
    assert sorted(ids(part, "train"))[:3] == ["train-0-11", "train-0-12", "train-0-14"], "for good"


def test_a_part_needs_no_speakers() -> None:
    nobody = tuple(Utterance(str(n), Path("a.wav"), "", "", "train", 1.0) for n in range(10))
    assert len(Part(0.25)(Corpus("c", nobody)).utterances) == 3
    assert len(Part(0.01)(Corpus("c", nobody)).utterances) == 1
    assert Part(1.0)(Corpus("c", nobody)).utterances == nobody


@settings(max_examples=40, deadline=None)
@given(SPEAKERS, st.integers(0, 3))
def test_a_speaker_and_all_others_share_the_corpus_split_by_split(
    counts: list[tuple[int, int, int]], several: int
) -> None:
    corpus = made([(n + 1, v, t) for n, v, t in counts] + [(1, 0, 0)])
    speakers = sorted({u.speaker for u in corpus.utterances})
    for first in range(len(speakers)):
        named = speakers[first : first + several + 1]
        if named == speakers:
            continue
        left, only = (OfSpeakers(kind, ",".join(named))(corpus) for kind in ("leave", "only"))
        assert {u.speaker for u in only.utterances} == set(named)
        assert {u.speaker for u in left.utterances} == set(speakers) - set(named)
        assert sorted(left.utterances + only.utterances, key=lambda u: u.id) == sorted(
            corpus.utterances, key=lambda u: u.id
        ), "each utterance is in one of them, in the split that it had"
        assert [u for u in corpus.utterances if u in set(left.utterances)] == list(left.utterances)


def test_what_nobody_is_known_to_have_said_is_neither_of_a_speaker_nor_of_the_others(folder: Path) -> None:
    with (folder / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("\nwho.wav,one,,validation")
    soundfile.write(folder / "who.wav", np.zeros(4000), SAMPLE_RATE)
    with pytest.warns(UserWarning, match="@leave:anna leaves out 1 utterance without a speaker, too"):
        assert {u.speaker for u in load_corpus(f"{folder}@leave:anna").utterances} == {"ben, the elder: 2", "cleo"}
    assert {u.speaker for u in load_corpus(f"{folder}@only:anna").utterances} == {"anna"}


def test_names_may_have_commas_and_stand_in_lists(folder: Path) -> None:
    def speakers(suffix: str) -> set[str]:
        return {u.speaker for u in load_corpus(f"{folder}{suffix}").utterances}

    assert speakers("@only:ben, the elder: 2") == {"ben, the elder: 2"}
    assert speakers("@only:cleo,ben, the elder: 2, anna") == {"anna", "ben, the elder: 2", "cleo"}
    assert speakers("@leave:ben, the elder: 2,cleo") == speakers("@leave:cleo@leave:ben, the elder: 2") == {"anna"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three speakers; two clips for training and one for test of each."""
    made = tmp_path / "corpus"
    made.mkdir()
    lines = ["file_name,transcription,speaker,split"]
    for number, speaker in enumerate(("anna", "ben, the elder: 2", "cleo")):
        for index, split in enumerate(("train", "train", "test")):
            time = np.arange(4000) / SAMPLE_RATE
            soundfile.write(made / f"{number}{index}.wav", 0.2 * np.sin(2e3 * (1 + number + index) * time), SAMPLE_RATE)
            lines.append(f'{number}{index}.wav,one,"{speaker}",{split}')
    (made / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return made


def test_selections_stand_among_variants_in_any_order(folder: Path) -> None:
    one = load_corpus(f"{folder}@leave:anna@part:0.5,seed=2@noise:10")
    other = load_corpus(f"{folder}@noise:10@leave:anna@part:.5,seed=2")
    assert one.utterances == other.utterances and len(one.split("train")) == 2
    assert one.name == f"{folder}@leave:anna@part:0.5,seed=2@noise:10"
    assert {u.speaker for u in one.split("train")} == {"ben, the elder: 2", "cleo"}
    left = load_corpus(f"{folder}@leave:ben, the elder: 2")
    assert [u.id for u in left.split("train")] == ["00.wav", "01.wav", "20.wav", "21.wav"]
    assert [u.id for u in left.split("test")] == ["02.wav", "22.wav"]


def test_channels_of_speakers(tmp_path: Path) -> None:
    """Where each speaker has a microphone, and for segments as for whole files."""
    both = np.random.default_rng(0).uniform(-0.5, 0.5, (SAMPLE_RATE, 2))
    soundfile.write(tmp_path / "a.wav", both, SAMPLE_RATE, "FLOAT")
    (tmp_path / "metadata.csv").write_text(
        "file_name,text,speaker,duration,excerpt_start,excerpt_channel\n"
        "a.wav,x,lan,,,\na.wav,y,minh,0.5,0.25,\na.wav,z,hoa,0.5,0.25,0\na.wav,w,hoa,0.5,0,\n"
    )

    def read(suffix: str) -> list[np.ndarray]:
        return [load_audio(u.audio) for u in load_corpus(f"{tmp_path}{suffix}").utterances]

    part, mean = slice(SAMPLE_RATE // 4, SAMPLE_RATE * 3 // 4), both.mean(axis=1)
    half = slice(0, SAMPLE_RATE // 2)
    for suffix, expected in (
        ("@channel:minh=1,lan=0", [both[:, 0], both[part, 1], both[part, 0], mean[half]]),
        ("@channel:1", [both[:, 1], both[part, 1], both[part, 1], both[half, 1]]),
        ("@part:1@channel:minh=0@gain:0", [mean, both[part, 0], both[part, 0], mean[half]]),
    ):
        for found, samples in zip(read(suffix), expected, strict=True):
            np.testing.assert_allclose(found, samples, atol=1e-6)
    assert load_corpus(f"{tmp_path}@channel:minh=1,lan=0").name == f"{tmp_path}@channel:minh=1,lan=0"
    with pytest.raises(EchoError, match="has 2 channels, counted from 0; correct the channel"):
        read("@channel:2")


def test_features_of_a_selection_are_those_of_the_whole(folder: Path, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation")))
    for utterance in load_corpus(folder).utterances:
        cache.features(utterance.audio)
    for suffix in ("@part:0.5", "@leave:cleo", "@only:cleo", "@leave:anna@part:0.5"):
        assert all(cache.holds(u.audio) for u in load_corpus(f"{folder}{suffix}").utterances)


def test_corpus_commands_take_selections(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "check", f"{folder}@leave:cleo", "--json"]) == 0
    assert main(["corpus", "stats", f"{folder}@part:0.5", "--json"]) == 0
    capsys.readouterr()
    assert main(["corpus", "stats", f"{folder}@leave:dora"]) == 1
    assert "no speaker is called 'dora'" in capsys.readouterr().err


def test_a_name_longer_than_a_folder_can_have_is_a_name(folder: Path) -> None:
    assert split_variant(f"{folder}@leave:{'x' * 400}") == (str(folder), OfSpeakers("leave", "x" * 400))


def test_broken_records_are_still_reported_of(folder: Path) -> None:
    with (folder / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("\ngone.wav,one,anna,train")
    load_without_broken(f"{folder}@part:0.5@gain:3", "names 1 audio file not found", "1 of 7 records are left out")


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("@part", "@part takes a share above 0 and up to 1, as in @part:0.25, got ''"),
        ("@part:25", "got '25'"),
        ("@part:0", "got '0'"),
        ("@part:nan", "got 'nan'"),
        ("@part:0.5,sede=1", "not an option: 'sede=1'; @part takes seed=NUMBER"),
        ("@part:0.5,seed=-1", "not an option: 'seed=-1'"),
        ("@leave", "@leave takes names of speakers, as in @leave:anna or @leave:anna,ben"),
        ("@leave:", "@leave takes names of speakers"),
        ("@only:anna,", "@only takes names of speakers, as in @only:anna or @only:anna,ben"),
        ("@leave:Anna", "no speaker is called 'Anna'; did you mean anna?"),
        ("@only:anna,cloe", "no speaker is called 'cloe'; did you mean cleo?"),
        ("@only:zz", "no speaker is called 'zz'; known: anna, ben, the elder: 2, cleo"),
        ("@only:anna@only:cleo", "no speaker is called 'cleo'; known: anna"),
        ("@leave:anna,cleo,ben, the elder: 2", "nobody is left, as these are all its speakers; leave out fewer"),
        ("@leaf:anna", "no variant is called 'leaf'; there are: noise, gain, pitch, flat, part, leave, only, empty, "),
        ("@channel", "@channel takes a number from 0, or one for each speaker, as in @channel:lan=0,minh=1; got ''"),
        ("@channel:anna=left", "as in @channel:lan=0,minh=1; got 'anna=left'"),
        ("@channel:anna=0,1", "as in @channel:lan=0,minh=1; got 'anna=0,1'"),
        ("@channel:-1", "as in @channel:lan=0,minh=1; got '-1'"),
        ("@channel:Anna=0", "no speaker is called 'Anna'; did you mean anna?"),
        ("@gain:2@channel:0", "its audio is computed, and has one channel; put @channel first"),
    ],
)
def test_what_cannot_be_selected_is_refused(suffix: str, message: str, folder: Path) -> None:
    with pytest.raises(EchoError, match="corpus .*: ") as refused:
        load_corpus(f"{folder}{suffix}")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_corpus_whose_speakers_are_not_known_is_refused() -> None:
    nobody = Corpus("c", (Utterance("u", Path("a.wav"), "", "", "train", 1.0),))
    with pytest.raises(EchoError, match="corpus c@leave:anna: its speakers are not known; name them in the corpus"):
        OfSpeakers("leave", "anna")(nobody)


def test_a_split_that_the_speaker_lacks_is_reported(folder: Path) -> None:
    with pytest.raises(EchoError, match="@only:cleo has no split 'validation'; choose from: train, test"):
        load_corpus(f"{folder}@only:cleo").split("validation")
