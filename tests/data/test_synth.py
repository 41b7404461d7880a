import importlib.util
import json
import subprocess
import wave
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest

from echo_asr.data import synth
from echo_asr.data.corpus import Corpus, load_corpus
from echo_asr.data.espeak import Espeak
from echo_asr.data.synth import EDITIONS, NAMES, synthetic_corpus
from echo_asr.data.tones import EDITION, LANGUAGE, SYLLABLES, VOCABULARY, VOICES, Recipe, _speak_for
from echo_asr.errors import EchoError

SMALL = Recipe(train=20, validation=4, test=8)
RATE = 16_000  # Hz

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="espeakng-loader (the extra echo-asr[synth]) is not installed",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    synthetic_corpus("tones", root, SMALL)
    return root


@pytest.fixture(scope="module")
def corpora(cache: Path) -> tuple[Corpus, Corpus]:
    toned, flat = (load_corpus(synthetic_corpus(name, cache, SMALL)) for name in NAMES)
    return toned, flat


def samples_of(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def boundaries(corpus: Corpus) -> dict[str, list[tuple[str, float, float]]]:
    lines = (Path(corpus.name) / "boundaries.jsonl").read_text(encoding="utf-8").splitlines()
    clips = [json.loads(line) for line in lines]
    return {clip["file_name"]: [(w["word"], w["start"], w["end"]) for w in clip["words"]] for clip in clips}


@needs_espeak
def test_the_two_corpora_pair_clip_by_clip(corpora: tuple[Corpus, Corpus]) -> None:
    toned, flat = corpora
    assert [replace(u, audio=Path()) for u in toned.utterances] == [replace(u, audio=Path()) for u in flat.utterances]
    assert [len(toned.split(split)) for split in toned.splits] == [20, 4, 8]
    assert boundaries(toned) == boundaries(flat)
    for one, other in zip(toned.utterances, flat.utterances, strict=True):
        with_tones, without = samples_of(one.audio), samples_of(other.audio)
        assert with_tones.size == without.size == round(one.duration * RATE)
        assert not np.array_equal(with_tones, without)


@needs_espeak
def test_texts_are_words_of_the_vocabulary_equally_often(corpora: tuple[Corpus, Corpus]) -> None:
    texts = [utterance.text.split(" ") for utterance in corpora[0].split("train")]
    assert Counter(map(len, texts)) == dict.fromkeys((1, 2, 3, 4), 5)
    counts = Counter(word for text in texts for word in text)
    assert set(counts) == set(VOCABULARY) and set(counts.values()) <= {2, 3}  # 50 words, 24 different ones


@needs_espeak
def test_words_are_where_the_boundaries_say(corpora: tuple[Corpus, Corpus]) -> None:
    for corpus in corpora:
        times = boundaries(corpus)
        assert list(times) == [utterance.id for utterance in corpus.utterances]
        for utterance in corpus.utterances:
            samples = samples_of(utterance.audio).astype(float)
            words = times[utterance.id]
            assert " ".join(word for word, _, _ in words) == utterance.text
            edges = [0.0, *(time for _, start, end in words for time in (start, end)), utterance.duration]
            assert edges == sorted(edges)
            spans = list(zip(edges, edges[1:], strict=False))
            peak = np.abs(samples).max()
            for number, (start, end) in enumerate(spans):
                if number % 2:
                    word = samples[round(start * RATE) : round(end * RATE)]
                    assert np.abs(word).max() > 0.1 * peak
                else:  # silence; resampling rings a little beyond the words
                    quiet = samples[round((start + 0.005) * RATE) : round((end - 0.005) * RATE)]
                    assert quiet.size and np.abs(quiet).max() <= 1
                    least = 0.06 if 0 < number < len(spans) - 1 else 0.10  # seconds
                    assert end - start >= least - 1e-3


@needs_espeak
def test_tones_are_heard_in_the_one_and_not_in_the_other(corpora: tuple[Corpus, Corpus]) -> None:
    changes: list[dict[str, list[float]]] = []
    for corpus in corpora:
        change = defaultdict(list)  # tone -> semitones from the first half of each word to its end
        times = boundaries(corpus)
        for utterance in corpus.utterances:
            samples = samples_of(utterance.audio) / 32768
            for word, start, end in times[utterance.id]:
                voiced = samples[round((start + 0.4 * (end - start)) * RATE) : round((end - 0.02) * RATE)]
                f0 = librosa.yin(voiced, fmin=60, fmax=450, sr=RATE, frame_length=960, hop_length=80, center=False)
                change[word[-1]].append(12 * np.log2(np.median(f0[-5:]) / np.median(f0[:5])))
        changes.append(change)
    with_tones, without = ({tone: np.median(values) for tone, values in change.items()} for change in changes)
    assert with_tones["2"] > 1 and with_tones["3"] > 0.7 and with_tones["4"] < -2.5  # semitones
    assert abs(with_tones["1"]) < 0.7
    assert all(abs(value) < 0.1 for value in without.values())


@needs_espeak
def test_a_fresh_process_repeats_every_byte(cache: Path, tmp_path: Path) -> None:
    first = synthetic_corpus("tones", cache, SMALL).parent
    second = synthetic_corpus("tones-flat", tmp_path, SMALL).parent
    assert first.name == second.name
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert len(files) == 2 * (32 + 2)
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


@needs_espeak
def test_what_is_rendered_is_not_rendered_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(synth, "Recipe", lambda: SMALL)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(cache))
    for name in NAMES:
        assert load_corpus(f"synth:{name}").name == f"synth:{name}"
    with pytest.raises(AssertionError, match="rendered again"):  # another recipe is another corpus
        synthetic_corpus("tones", cache, replace(SMALL, seed=1))
    assert len(list((cache / "synth").iterdir())) == 1  # and a failure leaves nothing behind


@needs_espeak
def test_words_last_as_long_as_asked_whatever_their_tone() -> None:
    with Espeak() as espeak:
        for voice in ("m4", "steph"):
            espeak.set_voice(LANGUAGE, voice, 120, 240)
            for seconds in (0.25, 0.35, 0.45):
                lasted = {w: _speak_for(espeak, w, seconds)[1].size / espeak.sample_rate for w in VOCABULARY}
                assert all(value == pytest.approx(seconds, rel=0.08) for value in lasted.values())
                for syllable in SYLLABLES:
                    tones = [lasted[word] for word in VOCABULARY if word.startswith(syllable)]
                    assert max(tones) / min(tones) < 1.1


@pytest.mark.parametrize("edition", VOICES)
def test_no_voice_is_in_two_splits(edition: str) -> None:
    names = [voice for registers in VOICES[edition].values() for voices in registers for voice in voices]
    assert len(names) == len(set(names)) and set(VOICES[edition]) == {"train", "validation", "test"}


def test_no_voice_of_the_test_split_was_in_any_split_before() -> None:
    before = {voice for registers in VOICES["2026-11"].values() for voices in registers for voice in voices}
    assert not before & {voice for voices in VOICES[EDITION]["test"] for voice in voices}


@needs_espeak
def test_the_voices_are_there_to_be_had() -> None:
    names = {v for splits in VOICES.values() for registers in splits.values() for voices in registers for v in voices}
    with Espeak() as espeak:
        assert not names - set(espeak.variants())


@needs_espeak
def test_an_earlier_edition_has_its_own_voices(tmp_path: Path) -> None:
    recipe = replace(EDITIONS["tones-2026-11"], train=8, validation=6, test=10)
    folder = synthetic_corpus("tones-2026-11", tmp_path, recipe)
    spoken = {split: {u.speaker for u in load_corpus(folder).split(split)} for split in ("validation", "test")}
    assert folder.name == "tones"
    for split, speakers in spoken.items():
        assert speakers == {voice for voices in VOICES["2026-11"][split] for voice in voices}


def test_an_unknown_name() -> None:
    with pytest.raises(EchoError, match=r"called 'bells'; there are: tones, tones-flat, tones-2026-11"):
        synthetic_corpus("bells")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train", -1, r"train: expected 0 or more, got -1"),
        ("seed", -1, r"seed: expected 0 or more"),
        ("edition", "2020-01", r"edition: expected one of 2026-12, 2026-11; got '2020-01'"),
        ("pause_seconds", (0.2, 0.1), r"pause_seconds: expected a lowest and a highest value, got \(0\.2, 0\.1\)"),
    ],
)
def test_recipes_that_are_wrong(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Recipe(), **{field: value})


def test_without_the_extra_its_name_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EchoError, match=r"synthetic speech failed: .*pip install 'echo-asr\[synth\]'"):
        synthetic_corpus("tones", tmp_path / "cache", SMALL)
    assert not list((tmp_path / "cache" / "synth").iterdir())


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EchoError, match=r"cannot write .*; make room there, or set ECHO_ASR_CACHE to another"):
        synthetic_corpus("tones", tmp_path / "file", SMALL)


def test_who_renders_second_takes_what_the_first_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another_was_first(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        temporary = Path(command[3])
        (temporary / "tones").mkdir()
        (folders := list(temporary.parent.iterdir())).remove(temporary)
        assert not folders
        (wanted[0] / "tones").mkdir(parents=True)
        (wanted[0] / "tones" / "first").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    wanted: list[Path] = []
    whole = synth.create_folder
    monkeypatch.setattr(synth, "create_folder", lambda folder, *rest: (wanted.append(folder), whole(folder, *rest)))
    monkeypatch.setattr(subprocess, "run", another_was_first)
    folder = synthetic_corpus("tones", tmp_path, SMALL)
    assert (folder / "first").exists() and list((tmp_path / "synth").iterdir()) == [folder.parent]
