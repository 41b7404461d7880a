import shutil
from pathlib import Path

import pytest
import torch
import yaml

import echo_asr
from echo_asr.cli import main
from echo_asr.config import parse_words, read_yaml
from echo_asr.data.corpus import Corpus, Utterance, load_corpus
from echo_asr.data.noise import Kind, noise_clip
from echo_asr.errors import EchoError
from echo_asr.evaluate.evaluate import evaluate
from echo_asr.model.checkpoint import load_bundle
from echo_asr.model.config import PRESETS
from echo_asr.train.prepare import hold_out
from echo_asr.train.recipe import SECTIONS, read_config
from tests.helpers.tone_corpus import (
    CONFIG,
    MODEL_FILES,
    assert_same_run,
    checkpoint,
    metrics,
    same,
    snapshot,
    tone,
    write_corpus,
)
from tests.helpers.training import train

# --- configuration ---


def test_defaults_stand_where_nothing_is_said() -> None:
    assert read_config(None) == {name: kind() for name, kind in SECTIONS.items()}


def test_numbers_are_numbers_and_overrides_prevail(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("train: {learning_rate: 3e-4, speeds: [1, 1.1], max_steps: 7}\nmodel: {preset: tiny, width: 72}\n")
    words = ["--train.max_steps", "9", "--train.augment.time_masks=1", "--model.vrope.theta", "axis"]
    built = read_config(path, parse_words(words))
    assert built["train"].learning_rate == 3e-4 and built["train"].speeds == (1.0, 1.1)
    assert built["train"].max_steps == 9 and built["train"].augment.time_masks == 1
    assert built["model"].width == 72 and built["model"].heads == PRESETS["tiny"]["heads"]
    assert built["model"].vrope.theta == "axis"


@pytest.mark.parametrize("words", [["--model.preset", "small"], ["--model.preset=small"]])
def test_a_preset_can_be_given_on_the_command_line(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: {preset: tiny, dropout: 0.25}\n")
    built = read_config(path, parse_words([*words, "--model.heads", "2"]))["model"]
    assert built.width == PRESETS["small"]["width"] and built.heads == 2 and built.dropout == 0.25


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (
            "text: {conventions: {'[...]': remove}}",
            [],
            'c.yaml: "text.conventions": expected one of keep, drop, event, break, exclude for each; got remove',
        ),
        (
            "",
            ["--text.conventions", "{'[...]': 3}"],
            'options: "text.conventions": expected one of keep, drop, event, break, exclude for each; got 3',
        ),
        (
            "text: {conventions: {'...': drop}}",
            [],
            "c.yaml: text: convention '...': name a mark",
        ),
        ("text: {conventions: [drop]}", [], 'c.yaml: "text.conventions": expected names and values in braces'),
        ("train: {max_step: 3}", [], "c.yaml: unknown key train.max_step; did you mean max_steps?"),
        ("trian: {}", [], "c.yaml: unknown section 'trian'; did you mean train?"),
        ("model: {vrope: {thta: axis}}", [], "unknown key model.vrope.thta; did you mean theta?"),
        ("model: {vrope: 3}", [], "model.vrope must be a mapping of keys, got 3"),
        ("model: {preset: huge}", [], "model.preset must be one of tiny, small, medium, base, got 'huge'"),
        ("model: {preset: [a]}", [], "model.preset must be one of"),
        ("model: [1]", [], "section 'model' must be a mapping of keys, got [1]"),
        ("1: {}", [], "unknown section 1"),
        ("train: {1: 2}", [], "unknown key train.1"),
        ("hello", [], "a configuration is a mapping of sections, got str"),
        ("a: b: c", [], "c.yaml: not valid YAML"),
        ("a: 2024-13-45", [], "c.yaml: not valid YAML"),
        ("[" * 3000, [], "c.yaml: not valid YAML"),
        ("train: {learning_rate: fast}", [], "train.learning_rate"),
        ("train: {learning_rate: .nan}", [], "train.learning_rate must be positive, got nan"),
        ("train: {max_steps: 1.5}", [], "train.max_steps"),
        ("train: {speeds: 3}", [], "train.speeds"),
        ("train: {augment: {time_share: 7}}", [], "train.augment.time_share must lie in [0, 1], got 7"),
        ("model: {vrope: {theta: axs}}", [], "model.vrope.theta"),
        ("model: {width: 34}", [], "width 34 must be a multiple of heads"),
        ("train: {curriculum: {pitch: -1}}", [], "train.curriculum: updates must not be negative"),
        (
            "train: {curriculum: {ptich: 9}}",
            [],
            "train.curriculum names 'ptich'; model.features are spectrogram",
        ),
        (
            "{model: {features: [spectrogram, pitch]}, train: {max_steps: 5, curriculum: {pitch: 5}}}",
            [],
            "brings pitch in at update 5, and train.max_steps is 5",
        ),
        ("train: {curriculum: {spectrogram: 9}}", [], "train.curriculum must leave spectrogram, model.ctc_feature"),
        ("", ["--train.max_step", "3"], "unknown option --train.max_step; did you mean --train.max_steps?"),
        ("", ["--train.max_steps", "many"], "train.max_steps"),
        ("", ["--train.max_steps"], "--train.max_steps: expected one argument"),
        ("", ["--model.preset"], "--model.preset: expected the name of a preset after it"),
        ("", ["--model.preset", "huge"], "model.preset must be one of"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_line(text: str, words: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(EchoError) as caught:
        read_config(path, parse_words(words))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model:\ntrain:\n")
    assert read_config(path) == read_config(None)
    assert read_config(path, {"model.preset": "small"})["model"].width == PRESETS["small"]["width"]


@pytest.mark.parametrize("value", ["[1]", "3", "tiny"])
def test_a_preset_for_a_model_section_that_is_none_is_told(value: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"model: {value}\n")
    with pytest.raises(EchoError, match="section 'model' must be a mapping"):
        read_config(path, {"model.preset": "tiny"})


# --- splits ---


def rows(**counts: int) -> Corpus:
    names = [(split, f"{split}{number}") for split, count in counts.items() for number in range(count)]
    return Corpus("rows", tuple(Utterance(name, Path("x.wav"), "a", "", split, 1.0) for split, name in names))


@pytest.mark.parametrize(("count", "held"), [(2, 1), (3, 1), (19, 1), (20, 1), (21, 2), (400, 20)])
def test_a_twentieth_is_held_out_where_there_is_no_validation_split(count: int, held: int) -> None:
    before = rows(train=count, test=3)
    after = hold_out(before)
    assert len(after.split("validation")) == held and len(after.split("train")) == count - held
    assert [u.id for u in after.utterances] == [u.id for u in before.utterances]
    assert after.split("test") == before.split("test")
    assert hold_out(before) == after


def test_a_validation_split_is_left_as_it_is() -> None:
    corpus = rows(train=50, validation=1)
    assert hold_out(corpus) is corpus


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_to_hold_out_is_told(count: int) -> None:
    with pytest.raises(EchoError, match=rf"rows: too few training utterances \({count}\)"):
        hold_out(rows(train=count, test=2))


def test_a_corpus_without_validation_split_is_trained_on(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(tmp_path / "train", [("train", text, 1.0) for text in ("a", "b", "c", "a b")])
    train(config, str(folder), tmp_path / "run", ["--train.max_steps", "1"])
    assert "3 training utterances" in (said := " ".join(capsys.readouterr().err.split()))
    assert "1 for validation (held out, the corpus has no validation split)" in said


def test_conventions_are_applied_and_what_they_leave_is_warned_of(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ("[cough] mà", "xxx ma", "ko- má", "à:ki má", "má à", "mà kí tó nà")
    folder = write_corpus(tmp_path / "train", [("train", text, 1.0) for text in texts])
    rules = ["--text.conventions", '{"[...]": drop, xxx: exclude, "#": break}']
    tones = ["--text.tones", "diacritics", "--text.normalizer", "whisper"]
    train(config, str(folder), tmp_path / "run", ["--train.max_steps", "1", *rules, *tones])
    printed = " ".join(capsys.readouterr().err.split())
    assert "conventions: [...] 1 (dropped), xxx 1 (left out), # 0 (a break); 1 of 6 utterances are left out" in printed
    assert "(word- 1); echo-asr corpus check shows them, and proposes conventions" in printed
    assert "normalising removes or splits off the tones of" in printed and "à:ki -> a ki" in printed
    bundle = load_bundle(tmp_path / "run")
    assert bundle.text.conventions == {"[...]": "drop", "xxx": "exclude", "#": "break"}
    assert bundle.text.normalize("[cough] so") == "so"


def test_tones_and_conventions_are_settings_of_the_model(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ("a1 b2", "b1 [cough]", "xxx", "c2", "a2 (b1)", "c1 a1")
    rows = [(split, text, 1.0) for split in ("train", "validation") for text in texts]
    folder = write_corpus(tmp_path / "c", rows)
    words = ["--train.max_steps", "1", "--text.conventions", '{"[...]": event, xxx: exclude, "(...)": keep}']
    train(config, str(folder), tmp_path / "run", words)
    message = " ".join(capsys.readouterr().err.split())
    assert "5 training utterances" in message and "5 for validation" in message
    counted = "conventions: [...] 2 (an event), xxx 2 (left out), (...) 2 (kept); 2 of 12 utterances are left out"
    assert counted in message
    assert "tones: digits (100 % of the words carry one)" in message
    text = load_bundle(tmp_path / "run").text
    assert text.tones == "digits" and text.conventions["xxx"] == "exclude"
    symbols = load_bundle(tmp_path / "run").tokenizer.symbols[1:]
    assert "".join(symbols) == " 12abc\u25c6", "neither brackets nor letters of notes"
    assert main(["evaluate", str(tmp_path / "run"), str(folder), "--split", "validation"]) == 0
    out = capsys.readouterr().out
    assert "5 utterances" in out and "1 of 6 utterances are left out" in out and "tone error" in out
    before = snapshot(tmp_path / "run")
    train(config, str(folder), tmp_path / "run", words, resume=True)
    assert snapshot(tmp_path / "run").keys() >= before.keys(), (
        "the notation that was found is the one that is found again"
    )


# --- a run ---


def test_a_run_is_a_model(undisturbed: Path, corpus: Path) -> None:
    left = {path.relative_to(undisturbed).parts[0] for path in undisturbed.rglob("*") if path.is_file()}
    assert left == {*MODEL_FILES, "metrics.jsonl", "validations.jsonl", "tensorboard", "checkpoints"}
    assert [path.name for path in (undisturbed / "checkpoints").iterdir()] == ["last.pt"]
    written = read_yaml(undisturbed / "config.yaml")
    for section, keys in CONFIG.items():
        for key, value in keys.items():
            found = written[section][key]
            assert {name: found[name] for name in value} == value if isinstance(value, dict) else found == value
    assert read_config(undisturbed / "config.yaml")["train"].max_steps == 6, "it can be trained with again"
    recognizer = echo_asr.load(undisturbed)
    assert isinstance(recognizer.transcribe(tone("a")).text, str)


def test_the_config_of_a_run_is_yaml_for_people(undisturbed: Path) -> None:
    text = (undisturbed / "config.yaml").read_text()
    assert "!!" not in text and yaml.safe_load(text)["train"]["speeds"] == [0.9, 1.0, 1.1]


def test_the_same_seed_makes_the_same_run_and_another_another(
    undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    torch.rand(3)  # what was drawn before does not matter
    train(config, str(corpus), tmp_path / "again")
    assert_same_run(tmp_path / "again", undisturbed)
    train(config, str(corpus), tmp_path / "other", ["--train.seed", "1"])
    assert not same(checkpoint(tmp_path / "other")["model"], checkpoint(undisturbed)["model"])


def test_a_run_learns_to_write_what_was_said(learnt: Path, corpus: Path) -> None:
    corpora, recognizer = load_corpus(corpus), echo_asr.load(learnt)
    for split in ("train", "validation", "test"):
        found = evaluate(recognizer, "tones", split, corpora.split(split))
        assert found.hypotheses == found.references, f"{split}, free-running"
    lines = metrics(learnt)
    losses = [line["loss"] for line in lines if line["split"] == "validation"]
    # Not the second below the first: that one ends what is heard without noise.
    assert len(losses) == 2 and max(losses) < lines[0]["loss"] / 4


def test_silence_and_noise_are_learnt_as_no_speech(learnt: Path) -> None:
    recognizer = echo_asr.load(learnt)
    kinds: tuple[Kind, ...] = ("silence", "white", "pink")
    heard = {kind: recognizer.transcribe(noise_clip(kind, 0.4, seed=99, level_db=-30.0)).text for kind in kinds}
    assert heard == dict.fromkeys(kinds, "")


@pytest.mark.parametrize("what", ["run", "file in it", "file", "hidden file"])
def test_nothing_that_exists_is_trained_over(
    what: str, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if what == "run":
        shutil.copytree(undisturbed, out)
    elif what == "file":
        out.write_text("precious")
    else:
        out.mkdir()
        (out / (".precious" if what.startswith("hidden") else "precious.txt")).write_text("precious")
    before = snapshot(tmp_path)
    remedy = "go on with --resume, or choose another --out" if what == "run" else "choose another --out"
    with pytest.raises(EchoError, match=f"out: exists and is not empty; {remedy}"):
        train(config, str(corpus), out)
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_trained_into(config: Path, corpus: Path, tmp_path: Path) -> None:
    assert train(config, str(corpus), tmp_path, ["--train.max_steps", "1"]).step == 1
    assert load_bundle(tmp_path).tokenizer.vocabulary_size == 5
