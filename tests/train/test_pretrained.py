"""Training on the states of a pretrained encoder, by the recipe `pretrained`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import echo_asr
from echo_asr.audio import load_audio
from echo_asr.config import read_yaml
from echo_asr.data.corpus import load_corpus
from echo_asr.data.speakers import speaker_voices
from echo_asr.decode.results import Segment
from echo_asr.errors import EchoError
from echo_asr.evaluate.evaluate import evaluate
from echo_asr.features.states import StatesExtractor
from echo_asr.model.checkpoint import load_bundle
from echo_asr.train import tone_fit, validation
from echo_asr.train.recipe import read_config
from tests.helpers.encoders import LAYERS, WIDTH, states_words
from tests.helpers.tone_corpus import assert_same_run, tone, write_corpus
from tests.helpers.training import train, train_until_crash

RECIPE = Path("pretrained")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, corpus: Path, encoder: Path) -> Path:
    """A run of 6 updates. Read it only."""
    folder = tmp_path_factory.mktemp("states") / "run"
    train(RECIPE, str(corpus), folder, states_words(encoder))
    return folder


def test_a_model_says_what_it_reads(run: Path, encoder: Path) -> None:
    written = read_yaml(run / "config.yaml")
    assert written["features"]["encoder_layers"] == [LAYERS // 2, LAYERS], "the default, by its numbers"
    assert written["features"]["states"] == str(encoder)
    bundle = load_bundle(run)
    assert bundle.model.states == 2 * WIDTH and bundle.model.config.features == ("states",)


def test_states_are_standardised_by_those_of_the_corpus(run: Path, corpus: Path) -> None:
    """By numpy, from the recordings that are trained on."""
    recognizer = echo_asr.load(run)
    found = []
    for utterance in load_corpus(corpus).split("train"):
        states = recognizer.extractor.measure(load_audio(utterance.audio)).states
        assert states is not None
        found.append(states.double().numpy())
    joined, model = np.concatenate(found, axis=1), recognizer.bundle.model
    np.testing.assert_allclose(model.states_mean.numpy(), joined.mean(1), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(model.states_deviation.numpy(), joined.std(1), rtol=1e-2)


def test_a_folder_is_named_so_that_the_model_is_of_use_elsewhere(
    corpus: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    shutil.copytree(encoder, here / "encoder")
    monkeypatch.chdir(here)
    train(RECIPE, str(corpus), tmp_path / "run", [*states_words(Path("encoder")), "--train.max_steps", "1"])
    monkeypatch.chdir(tmp_path)
    assert read_yaml(tmp_path / "run" / "config.yaml")["features"]["states"] == str(here / "encoder")
    echo_asr.load(tmp_path / "run").transcribe(tone("a"))


@pytest.mark.parametrize("update", [1, 4])
def test_a_run_on_states_that_crashed_ends_as_if_it_had_not(
    update: int, run: Path, corpus: Path, encoder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "run"
    train_until_crash(update, RECIPE, str(corpus), again, states_words(encoder))
    torch.manual_seed(12345)
    assert train(RECIPE, str(corpus), again, states_words(encoder), resume=True).step == 6
    assert_same_run(again, run)


def test_states_are_computed_once(
    run: Path, corpus: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run, without noise, which is computed each time, encodes nothing."""
    monkeypatch.setattr(validation, "few_noises", list)
    monkeypatch.setattr(StatesExtractor, "of_each", lambda *_: pytest.fail("encoded again"))
    train(RECIPE, str(corpus), tmp_path / "run", [*states_words(encoder), "--train.noise_share", "0.0"])


def test_a_model_on_states_is_started_from_and_gets_new_symbols(
    learnt_states: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It keeps its encoder, and what states are standardised by, as its weights fit no other."""
    rows = [("train", text, 1.0) for text in ("a", "b", "x")] + [("validation", "a", 1.02)]
    corpus = write_corpus(tmp_path / "extended", rows)
    words = [*states_words(Path("another/encoder")), "--features.states_reference", "corpus"]
    train_until_crash(1, RECIPE, str(corpus), tmp_path / "run", words, init=learnt_states)
    told = " ".join(capsys.readouterr().err.split())
    assert "that of --init is used, not features.states another/encoder" in told
    assert (
        "states_reference: corpus here, speaker where --init was trained, so that its texts are worse at first" in told
    )
    old, new = load_bundle(learnt_states), load_bundle(tmp_path / "run")
    assert new.tokenizer.symbols == [*old.tokenizer.symbols, "x"]
    assert (
        new.features == replace(old.features, states_reference="corpus")
        and new.source is not None
        and new.source.name == new.features.states
    )
    assert torch.equal(new.model.states_mean, old.model.states_mean)
    assert torch.equal(new.model.states_deviation, old.model.states_deviation)
    assert echo_asr.load(tmp_path / "run").transcribe(tone("c b")).text == "c b", "it still knows the old ones"


def test_a_run_that_was_started_from_a_model_on_states_resumes_by_the_same_words(
    corpus: Path, encoder: Path, tmp_path: Path
) -> None:
    """Its encoder and its layers are those of that model, and not what the words and the defaults name."""
    short = ["--train.max_steps", "1", "--train.noise_share", "0.0"]
    start, again = tmp_path / "start", tmp_path / "run"
    train(RECIPE, str(corpus), start, [*states_words(encoder), "--features.encoder_layers", "[1]", *short])
    words = [*states_words(Path("another/encoder")), *short]
    train(RECIPE, str(corpus), again, words, init=start)
    assert train(RECIPE, str(corpus), again, words, init=start, resume=True).step == 1
    assert read_yaml(again / "config.yaml")["features"]["encoder_layers"] == [1]


@pytest.mark.parametrize("layers", ["[1]", "[0, 1]"])
def test_a_model_on_other_layers_cannot_be_started_from(
    layers: str, run: Path, corpus: Path, encoder: Path, tmp_path: Path
) -> None:
    """Not even on as many others, to whose states its weights would fit."""
    words = [*states_words(encoder), "--features.encoder_layers", layers]
    with pytest.raises(EchoError, match=r"encoder_layers: the model of --init reads \[\d, \d\], not \["):
        train(RECIPE, str(corpus), tmp_path / "new", words, init=run)
    assert not (tmp_path / "new").exists()


# --- what states take on disk ---


def test_what_states_will_take_is_told_before_they_are_computed(
    corpus: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=250 * 10**9))
    words = [*states_words(encoder), "--train.speeds", "[1.0, 0.5]", "--train.max_steps", "1"]
    train(RECIPE, str(corpus), tmp_path / "run", words)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "GB free" in line]
    spoken, checked = (sum(u.duration for u in load_corpus(corpus).split(name)) for name in ("train", "validation"))
    size = (3 * spoken + checked) * 50 * 2 * WIDTH * 2 / 1e6  # MB: 50 states a second, two layers, two bytes
    assert f"layers {LAYERS // 2}, {LAYERS}: {size:.1f} MB" in line and "250.0 GB free" in line
    train(RECIPE, str(corpus), tmp_path / "again", words)
    assert "GB free" not in capsys.readouterr().err, "nothing is left to compute"


def test_states_that_do_not_fit_on_the_disk_are_refused_at_once(
    corpus: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    mend = r"set ECHO_ASR_CACHE .*--train.speeds '\[1.0\]'.*features.encoder_layers, now \[2, 4\]"
    with pytest.raises(EchoError, match=f"the states of .* take 0.* MB for .* s of audio.*0.0 MB free.*{mend}"):
        train(RECIPE, str(corpus), tmp_path / "run", states_words(encoder))
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache").exists()


def test_states_may_be_relative_to_each_speaker(encoder: Path, tmp_path: Path) -> None:
    """In training, also where it is resumed, and in use."""
    rows = [("train", text, shift) for text in ("a", "b", "a b") for shift in (0.9, 1.1)]
    corpus = write_corpus(tmp_path / "corpus", [*rows, ("validation", "b", 0.9), ("test", "a", 1.0)])
    words = [*states_words(encoder), "--features.states_reference", "speaker"]
    train(RECIPE, str(corpus), tmp_path / "run", words)
    train_until_crash(3, RECIPE, str(corpus), tmp_path / "again", words)
    train(RECIPE, str(corpus), tmp_path / "again", words, resume=True)
    assert_same_run(tmp_path / "again", tmp_path / "run")
    recognizer = echo_asr.load(tmp_path / "run")
    assert recognizer.extractor.speaker_states is not None
    spoken = load_corpus(corpus).split("test")
    (voice,) = speaker_voices(spoken, recognizer.extractor, recognizer.pitch_by_speaker)
    assert voice.states is not None and not torch.equal(voice.states.mean, recognizer.bundle.model.states_mean)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        heard = Segment(0, 1, "a")
        patch.setattr(recognizer, "recognize", lambda clips, _: [seen.append(c.states) or heard for c in clips])
        evaluate(recognizer, "tones", "test", spoken)
    assert torch.equal(seen[0], recognizer.extractor(load_audio(spoken[0].audio), voice=voice).states)


@pytest.mark.parametrize(("tuned", "why"), [(True, "states are cached, without model.tune"), (False, "is set")])
def test_where_states_cannot_be_relative_to_speakers_a_line_says_so(tuned: bool, why: str, encoder: Path) -> None:
    words = {"features.states_reference": "speaker"}
    if tuned:
        words |= {"features.states": str(encoder), "model.tune": "top"}
    with pytest.raises(EchoError, match=f"features.states_reference speaker is for where .*{why}.*; set it to corpus"):
        read_config(RECIPE if tuned else Path("mandarin"), words)


def test_states_are_relative_to_the_speaker_unless_the_encoder_is_in_the_model(encoder: Path) -> None:
    for tune, expected in (("none", "speaker"), ("top", "corpus")):
        sections = read_config(RECIPE, {"features.states": str(encoder), "model.tune": tune})
        assert sections["features"].states_reference == expected


def test_a_tone_model_is_fitted_beside_the_states_where_texts_have_tones(
    run: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are tones, which the height of F0 tells; nothing is fitted to texts without them, or to few."""
    assert load_bundle(run).tones is None
    monkeypatch.setattr(tone_fit, "FEWEST_OF_TONE", 2)
    rows = [(split, text, 1.0) for split in ("train", "validation") for text in ("a", "b", "c")] * 4
    corpus = write_corpus(tmp_path / "corpus", rows)
    table = corpus / "metadata.csv"
    written = table.read_text(encoding="utf-8")
    for number, spoken in enumerate("abc", 1):
        written = written.replace(f".wav,{spoken},", f".wav,ma{number},")
    table.write_text(written, encoding="utf-8")
    words = [*states_words(encoder), "--train.max_steps", "2"]
    train(RECIPE, str(corpus), tmp_path / "few", words)
    assert load_bundle(tmp_path / "few").tones is None
    monkeypatch.setattr(tone_fit, "FEWEST", 10)
    train(RECIPE, str(corpus), tmp_path / "run", words)
    fitted = load_bundle(tmp_path / "run").tones
    assert fitted is not None and fitted.names == ("1", "2", "3")
    assert fitted.syllables == 12
