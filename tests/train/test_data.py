import shutil
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.audio import load_audio
from echo_asr.data.batch import Batch
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Corpus, load_corpus
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.data.speakers import states_of_voice
from echo_asr.data.spec_augment import SpecAugment
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.voice import Standard, Voice
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.config import TrainConfig
from echo_asr.train.data import EDGE, NEAR, TrainingData
from tests.helpers.tone_corpus import CONFIG, TEXTS, write_corpus


def make_data(corpus: Corpus | Path, tokenizer: Tokenizer | None = None, **options: Any) -> TrainingData:
    corpus = corpus if isinstance(corpus, Corpus) else load_corpus(corpus)
    plain = {"noise_share": 0.25, "noisy_copies": 0, "concatenated_share": 0.0, "clean_start": 0.0}
    settings = TrainConfig(batch_seconds=2.0, **{**plain, **options})
    tokenizer = tokenizer or Tokenizer.train([normalize_basic(u.text) for u in corpus.utterances])
    cache = FeatureCache(None, FeatureExtractor(FeatureConfig(**CONFIG["features"])))
    return TrainingData(corpus, tokenizer, normalize_basic, settings, 4, cache)


def equal(left: Batch, right: Batch) -> bool:
    pairs = [(left.tokens, right.tokens), (left.lengths, right.lengths)]
    ours, theirs = ({n: t for n, t in vars(one.features).items() if t is not None} for one in (left, right))
    assert ours.keys() == theirs.keys()
    return all(torch.equal(a, b) for a, b in [*pairs, *((ours[name], theirs[name]) for name in ours)])


def test_each_speaker_has_a_pitch_of_their_own_where_the_model_asks_for_it(corpus: Path) -> None:
    """Measured over training and validation, at the speed of the recording; nobody's where no speaker is named."""
    loaded = load_corpus(corpus)
    named = [replace(u, speaker=("anna", "ben", "")[i % 3]) for i, u in enumerate(loaded.utterances)]
    loaded = replace(loaded, utterances=tuple(named))
    data = make_data(loaded, speeds=(1.0, 1.1))
    data.prepare(loaded.split("validation"))
    assert data.speaker_f0 == {} and data.features(named[0]).speaker_f0 == 0.0
    data = replace(data, by_speaker=True)
    data.prepare(loaded.split("validation"))
    assert set(data.speaker_f0) == {"anna", "ben"}
    heard = [u for u in named if u.split != "test" and u.speaker == "anna"]
    f0 = torch.cat([data.features(u).pitch[0] for u in heard])
    assert data.speaker_f0["anna"] == float(f0[f0 > 0].median())
    assert data.features(heard[0], Perturbation(1.1)).speaker_f0 == pytest.approx(1.1 * data.speaker_f0["anna"])
    octave_up = data.features(heard[0], Perturbation(semitones=12.0))
    assert octave_up.speaker_f0 == pytest.approx(2.0 * data.speaker_f0["anna"])
    nobody = next(u for u in named if not u.speaker)
    assert data.features(nobody).speaker_f0 == 0.0


def test_each_speaker_has_states_of_their_own_where_the_model_asks_for_it(
    corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the speed that is asked for; where no speaker is named, those of the recording."""
    pytest.importorskip("transformers")
    loaded = load_corpus(corpus)
    named = [replace(u, speaker=("anna", "ben", "")[i % 3]) for i, u in enumerate(loaded.utterances)]
    loaded = replace(loaded, utterances=tuple(named))
    data = make_data(loaded, speeds=(1.0, 1.1))
    settings = FeatureConfig(**CONFIG["features"], states=str(encoder), states_reference="speaker")
    data.cache = FeatureCache(None, FeatureExtractor(settings))
    states = data.cache.extractor.states
    assert states is not None
    data.prepare(loaded.split("validation"))
    states.standard = Standard.fit(data.first_states(states))
    fast, spoken = Perturbation(1.1), [u for u in named if u.split == "train"]
    anna, nobody = (next(u for u in spoken if u.speaker == name) for name in ("anna", ""))
    heard = [u for u in named if u.split != "test" and u.speaker == "anna"]
    for how in (UNPERTURBED, fast):
        measured = {u.id: data.cache.measured(u.audio, how) for u in heard}
        voice = Voice(states=states_of_voice(states, heard, lambda u, known=measured: known[u.id]))  # type: ignore[misc]
        expected = data.cache.extractor.transformed(measured[anna.id], voice).states
        assert expected is not None and torch.equal(data.features(anna, how).states, expected)  # type: ignore[arg-type]
    alone = data.cache.extractor(load_audio(nobody.audio)).states
    assert alone is not None and torch.equal(data.features(nobody).states, alone)  # type: ignore[arg-type]
    beside: list[str] = []
    known = data.voice
    monkeypatch.setattr(data, "voice", lambda speaker: beside.append(speaker) or known(speaker))
    rng = np.random.default_rng(0)
    for _ in range(40):
        data._noise_clip(0.3, rng)
    assert 10 < len(beside) < 30 and set(beside) == {"anna", "ben"}, "noise alone, and beside a voice"


def test_noise_with_empty_texts_is_trained_on(corpus: Path) -> None:
    data = make_data(corpus, augment=SpecAugment(0, 0, 0, 0.0), speeds=(1.0,))
    assert len(data.noise) == 3, "a quarter of 12"
    plan = data.plan(0)
    assert sorted(index for batch in plan for index in batch) == list(range(15))
    found, texts = [], []
    for indices in plan:
        batch = data.batch(0, indices)
        for row, (index, length) in enumerate(zip(indices, batch.lengths.tolist(), strict=True)):
            if index >= 12:
                assert length == 0 and not batch.tokens[row].any()
                frames = int(batch.features.lengths[row])
                found.append(batch.features.spectrogram[row, :, :frames])
            else:
                texts.append(data.tokenizer.decode(batch.tokens[row, :length].tolist()))
    assert sorted(texts) == sorted(TEXTS["train"])
    durations = {u.duration for u in load_corpus(corpus).split("train")}
    assert all(min(abs(one.shape[1] / 100 - d) for d in durations) < 0.011 for one in found)


def test_noise_is_of_every_level_and_new_in_each_epoch(corpus: Path) -> None:
    class Keep(FeatureExtractor):
        heard: list[np.ndarray] = []
        peaks: list[float] = []

        def measure(self, audio: np.ndarray, loudest: float = -np.inf) -> Any:
            self.heard.append(audio)
            found = super().measure(audio, loudest)
            self.peaks.append(float(found.spectrogram.max()))
            return found

    data = make_data(corpus, noise_share=0.9)
    data.cache = FeatureCache(None, Keep(FeatureConfig(**CONFIG["features"])))
    numbers = range(len(data.examples), data.first_row)

    def heard(epoch: int) -> list[np.ndarray]:
        Keep.heard.clear()
        for number in numbers:
            assert data.batch(epoch, [number]).lengths.tolist() == [0]
        return list(Keep.heard)

    first = heard(0)
    assert len(first) == len(data.noise) == 11
    assert [len(clip) / 16000 for clip in first] == pytest.approx(data.noise, abs=1e-3)
    assert all(np.array_equal(a, b) for a, b in zip(first, heard(0), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, heard(1), strict=True) if a.any())
    for epoch in range(2, 12):
        heard(epoch)
    levels = np.array([80 * (peak - 1) for peak in Keep.peaks if peak])  # dB under the level of speech
    assert 0.35 < (levels == 0.0).mean() < 0.65, "half as loud as speech"
    assert levels.min() > -40.0 and all(((low < levels) & (levels <= low + 10)).any() for low in (-30, -20, -10))
    data.config = replace(data.config, seed=1)
    assert not any(np.array_equal(a, b) for a, b in zip(first, heard(0), strict=True) if a.any())


def test_no_noise_is_asked_for_none_is_made(corpus: Path) -> None:
    assert make_data(corpus, noise_share=0.0).noise == []


def test_a_batch_depends_on_seed_epoch_and_examples_alone(corpus: Path) -> None:
    one, other = make_data(corpus), make_data(corpus)
    other.batch(3, [1, 2])  # what was made before does not matter
    assert equal(one.batch(0, [0, 4, 13]), other.batch(0, [0, 4, 13]))
    assert not equal(one.batch(0, [0, 4]), one.batch(1, [0, 4])), "epochs augment anew"
    assert not equal(one.batch(0, [0, 4]), make_data(corpus, seed=1).batch(0, [0, 4]))
    alone, together = one.batch(0, [4]), one.batch(0, [0, 4])
    frames = int(alone.features.lengths[0])
    assert torch.equal(alone.features.spectrogram[0], together.features.spectrogram[1, :, :frames])


def test_recordings_are_heard_at_each_speed(corpus: Path) -> None:
    data = make_data(corpus, speeds=(0.8, 1.0, 1.25))
    index = 0
    duration = data.examples[index].utterance.duration
    frames = {int(data.batch(epoch, [index]).features.lengths[0]) for epoch in range(30)}
    expected = [np.ceil(round(duration * 16_000 / speed) / 160) for speed in (0.8, 1.0, 1.25)]
    assert len(frames) == 3
    assert all(abs(got - want) <= 1 for got, want in zip(sorted(frames, reverse=True), expected, strict=True))


def test_voices_are_moved_by_each_shift_at_each_speed(corpus: Path) -> None:
    """In recordings and in rows of them, which are of one perturbation throughout."""
    data = make_data(corpus, speeds=(1.0, 1.25), semitones=(-3.0, 0.0), concatenated_share=0.9)
    assert len(data.config.clean) == 4 and data.rows
    heard: list[Perturbation] = []
    features = data.features
    data.features = lambda utterance, perturbation: heard.append(perturbation) or features(utterance, perturbation)  # type: ignore
    for epoch in range(20):
        data.batch(epoch, [0])
    assert set(heard) == set(data.config.clean)
    heard.clear()
    row = next(i for i, row in enumerate(data.rows) if len(row.parts) > 1)
    for epoch in range(20):
        data.batch(epoch, [data.first_row + row])
        assert len(set(heard[-len(data.rows[row].parts) :])) == 1
    assert set(heard) == set(data.config.clean)


def test_batches_go_on_without_end_from_any_place(corpus: Path) -> None:
    data = make_data(corpus)
    size = len(data.plan(0))
    assert size >= 3
    with closing(data.batches(0)) as endless:
        whole = list(islice(endless, 2 * size + 1))
    places = [(epoch, number) for epoch, number, _ in whole]
    assert places == [(e, n) for e in (0, 1) for n in range(size)] + [(2, 0)]
    for start in (1, size - 1, size):  # `size` is how the end of an epoch is kept
        with closing(data.batches(0, start)) as rest:
            for (epoch, number, batch), wanted in zip(islice(rest, 3), whole[start:], strict=False):
                assert (epoch, number) == wanted[:2] and equal(batch, wanted[2])
    with closing(data.batches(1, 2)) as rest:
        epoch, number, batch = next(rest)
        assert (epoch, number) == (1, 2) and equal(batch, whole[size + 2][2])


def test_a_recording_that_went_away_is_told(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "copy")
    data = make_data(tmp_path / "copy")
    for path in (tmp_path / "copy").glob("*.wav"):
        path.unlink()
    with closing(data.batches(0)) as batches, pytest.raises(EchoError, match=r"copy.*\.wav: no such file"):
        next(batches)


def test_the_fingerprint_tells_corpora_apart(corpus: Path) -> None:
    rows = load_corpus(corpus)
    data = make_data(rows)
    assert data.fingerprint == make_data(load_corpus(corpus)).fingerprint
    first = rows.utterances[0]
    assert first.split == "train"
    changes = [{"text": "b"}, {"id": "other"}, {"duration": first.duration + 0.1}, {"split": "validation"}]
    seen = {data.fingerprint}
    for change in changes:
        changed = replace(rows, utterances=(replace(first, **change), *rows.utterances[1:]))
        seen.add(make_data(changed, data.tokenizer).fingerprint)
    seen.add(make_data(rows, Tokenizer.train(["Aabc "])).fingerprint)  # the same texts, other ids
    assert len(seen) == 2 + len(changes)


def test_what_is_prepared_is_what_training_reads(corpus: Path, tmp_path: Path) -> None:
    """Where the features of the whole corpus are needed first, as for the pitch of speakers."""
    data = make_data(corpus, speeds=(0.9, 1.0, 1.0))
    data.cache, data.by_speaker = FeatureCache(tmp_path, data.cache.extractor), True
    counts: list[tuple[int, int]] = []
    lines: list[str] = []
    validation = load_corpus(corpus).split("validation")
    data.prepare(validation, lambda done, total: counts.append((done, total)), workers=1, tell=lines.append)
    assert counts[-1] == (12 * 2 + 4, 12 * 2 + 4)
    assert len(lines) == 1 and "before the first update: pitch is relative to each speaker's median F0" in lines[0]
    entries = set(tmp_path.rglob("*.safetensors"))
    for number, indices in enumerate(data.plan(0)):
        data.batch(number, indices)
    for utterance in validation:
        data.features(utterance)
    assert set(tmp_path.rglob("*.safetensors")) == entries


def test_recordings_alone_are_read_before_training(corpus: Path, tmp_path: Path) -> None:
    data = make_data(corpus)
    data.cache = FeatureCache(tmp_path, data.cache.extractor)
    counts: list[tuple[int, int]] = []
    lines: list[str] = []
    for _ in range(2):
        validation = load_corpus(corpus).split("validation")
        data.prepare(validation, lambda done, total: counts.append((done, total)), workers=1, tell=lines.append)
    assert counts[-2:] == [(16, 16), (16, 16)] and len(counts) == 18, "read once"
    assert len(lines) == 1 and "features are made while training runs" in lines[0]
    assert not any(tmp_path.rglob("*.safetensors"))


def test_the_features_that_are_made_ahead_are_those_of_the_batches(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(corpus, speeds=(0.9, 1.0, 1.1), noisy_copies=1, concatenated_share=0.5)
    read: list[Any] = []
    features = data.cache.features
    monkeypatch.setattr(data.cache, "features", lambda *job: read.append(job[:2]) or features(*job))
    data.clean_epochs = 1
    for epoch in range(3):
        for indices in data.plan(epoch):
            read.clear()
            data.batch(epoch, indices)
            assert list(data._jobs(epoch, indices)) == read


def test_texts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "long", [("train", "a", 1.0), ("train", "a remarkably long text", 1.0)])
    with pytest.raises(EchoError, match="1 of 2 texts are too long for the frames.*01.wav"):
        make_data(replace(load_corpus(folder), utterances=tuple(
            replace(u, duration=0.2) for u in load_corpus(folder).utterances
        )))  # fmt: skip


def test_a_corpus_without_training_split_is_refused(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "test", [("test", "a", 1.0)])
    with pytest.raises(EchoError, match="has no split 'train'.*test"):
        make_data(folder)


def test_recordings_are_heard_in_noise_too(corpus: Path) -> None:
    data = make_data(corpus, speeds=(1.0,), noisy_copies=2, augment=SpecAugment(0, 0, 0, 0.0))
    alone = data.features(data.examples[0].utterance).spectrogram
    heard = [data.batch(epoch, [0]).features for epoch in range(40)]
    clean = [batch for batch in heard if torch.equal(batch.spectrogram[0], alone)]
    assert 5 <= len(clean) <= 22, "a third of the time as recorded"
    noisy = [batch.spectrogram[0] for batch in heard if not torch.equal(batch.spectrogram[0], alone)]
    lengths = {one.shape[1] - alone.shape[1] for one in noisy}
    assert min(lengths) >= 0 and max(lengths) <= 2 * NEAR and len(lengths) > 10, "with a little noise on either side"
    assert all((one > 0).sum() > (alone > 0).sum() for one in noisy), "more is heard"
    spans = [(one > 0).float().mean(0).unfold(0, alone.shape[1], 1).mean(1).max() for one in noisy]
    assert min(spans) > (alone > 0).float().mean(), "and not in the margins alone"


@pytest.mark.parametrize("noisy_copies", [0, 1])
def test_rows_of_recordings_say_their_texts_in_order(corpus: Path, noisy_copies: int) -> None:
    data = make_data(
        corpus, speeds=(1.0,), noisy_copies=noisy_copies, concatenated_share=0.9, augment=SpecAugment(0, 0, 0, 0.0)
    )
    first = 12 + len(data.noise)
    assert len(data.rows) == 11 and len(data.durations) == first + 11
    for number, row in enumerate(data.rows):
        batch = data.batch(0, [first + number])
        spoken = " ".join(data.examples[i].text for i in row.parts)
        assert data.tokenizer.decode(batch.tokens[0].tolist()) == spoken
        if not row.noise:
            assert int(batch.features.lengths[0]) == pytest.approx(100 * data.durations[first + number], abs=4)
            assert not batch.features.spectrogram[0, :, : row.gaps[0]].any()
    assert any(row.noise for row in data.rows) == bool(noisy_copies)


def test_half_of_the_clips_have_silence_around_them_where_rows_are_trained_on(corpus: Path) -> None:
    options = {"speeds": (1.0,), "noisy_copies": 0, "augment": SpecAugment(0, 0, 0, 0.0)}
    data, plain = (
        make_data(corpus, concatenated_share=0.5, **options),
        make_data(corpus, concatenated_share=0.0, **options),
    )
    around = []
    for epoch in range(8):
        for index, example in enumerate(data.examples):
            batch, clip = data.batch(epoch, [index]), plain.batch(epoch, [index]).features.spectrogram[0]
            found = batch.features.spectrogram[0]
            assert batch.tokens[0].tolist() == list(example.tokens)
            silent = torch.nonzero(found.any(0)).flatten()
            before = int(silent[0]) - int(torch.nonzero(clip.any(0)).flatten()[0])
            after = found.shape[1] - clip.shape[1] - before
            assert torch.equal(found[:, before : before + clip.shape[1]], clip) and min(before, after) >= 0
            around.append((before, after))
    assert max(map(max, around)) <= EDGE and np.max(around, axis=0).min() > EDGE // 2
    assert 0.35 < np.mean([any(one) for one in around]) < 0.65


def test_noise_and_rows_come_in_after_the_clean_start(corpus: Path) -> None:
    options = {"speeds": (1.0,), "noisy_copies": 2, "concatenated_share": 0.5, "augment": SpecAugment(0, 0, 0, 0.0)}
    data = make_data(corpus, max_steps=100, clean_start=0.4, **options)
    whole = len(data.plan(0))
    assert data.clean_epochs == round(40 / whole) >= 2
    last, after = data.clean_epochs - 1, data.clean_epochs
    everything = [sorted(index for batch in data.plan(epoch) for index in batch) for epoch in (last, after)]
    assert everything == [list(range(data.first_row)), list(range(data.first_row + 6))]
    alone = data.features(data.examples[0].utterance).frames
    frames = [int(data.batch(epoch, [0]).features.lengths[0]) for epoch in range(after + 30)]
    assert set(frames[:after]) == {alone} and len(set(frames[after:])) > 5


def test_where_no_noise_is_to_come_in_no_epoch_is_apart(corpus: Path) -> None:
    assert make_data(corpus, max_steps=100, clean_start=0.4).clean_epochs == 0


def test_rows_in_a_script_without_spaces_have_none(corpus: Path) -> None:
    words = replace(
        load_corpus(corpus), utterances=tuple(u for u in load_corpus(corpus).utterances if " " not in u.text)
    )
    data = make_data(words, concatenated_share=0.9)
    row = next(row for row in data.rows if len(row.parts) > 1)
    assert data.tokenizer.decode(data._row_tokens(row)) == "".join(data.examples[i].text for i in row.parts)
