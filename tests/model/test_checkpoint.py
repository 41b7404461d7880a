import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from echo_asr.config import read_yaml, write_yaml
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.model.calibration import Calibration
from echo_asr.model.checkpoint import (
    CALIBRATION,
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    Bundle,
    load_bundle,
    load_weights,
    save_calibrations,
)
from echo_asr.model.config import PRESETS, ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.storage import pack, unpack
from echo_asr.text.config import TextConfig
from echo_asr.text.tokenizer import Tokenizer

Make = Callable[..., Any]
SYMBOLS = Tokenizer.train(["abc xy"])  # with zero, as many as the models here have
FILES = (CONFIG, WEIGHTS, TOKENIZER)


def one_line_error(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(EchoError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


@pytest.fixture
def bundle(make_model: Make) -> Bundle:
    model: Echo = make_model(vrope={"theta": "integrated", "radius": "acoustic"})
    extra = {"decode": {"beam": 3}, "train": {"speeds": [0.9, 1.0]}}
    return Bundle(model, SYMBOLS, FeatureConfig(mels=8), TextConfig(normalizer="none"), extra)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "a" / "model")
    return tmp_path / "a" / "model"


def test_a_saved_model_gives_the_same_logits(
    options: dict[str, Any], make_model: Make, make_batch: Make, texts: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    model: Echo = make_model(**options)
    Bundle(model, SYMBOLS, FeatureConfig(mels=8)).save(tmp_path)
    loaded = load_bundle(tmp_path).model
    assert loaded.config == model.config and not loaded.training
    own, read = model.state_dict(), loaded.state_dict()
    assert own.keys() == read.keys() and all(torch.equal(own[name], read[name]) for name in own)
    with torch.inference_mode():
        assert torch.equal(loaded(make_batch(), texts[0]), model(make_batch(), texts[0]))


def test_everything_else_comes_back_too(bundle: Bundle, folder: Path) -> None:
    loaded = load_bundle(str(folder))
    assert (loaded.features, loaded.text, loaded.extra) == (bundle.features, bundle.text, bundle.extra)
    assert loaded.tokenizer.symbols == SYMBOLS.symbols
    assert list(read_yaml(folder / CONFIG)) == ["features", "text", "model", "decode", "train"]


def test_a_model_is_its_three_files_and_no_more(folder: Path, tmp_path: Path) -> None:
    assert sorted(os.listdir(folder)) == sorted(FILES)
    (tmp_path / "b").mkdir()
    for name in FILES:
        (tmp_path / "b" / name).write_bytes((folder / name).read_bytes())
    assert load_bundle(tmp_path / "b").model.config == load_bundle(folder).model.config


def test_saving_again_replaces_the_model(bundle: Bundle, folder: Path) -> None:
    with torch.no_grad():
        bundle.model.ctc_head.bias.fill_(4.0)
    bundle.save(folder)
    assert (load_bundle(folder).model.ctc_head.bias == 4.0).all()
    assert sorted(os.listdir(folder)) == sorted(FILES)


def test_a_config_may_name_a_preset(tmp_path: Path) -> None:
    config = ModelConfig(**{**PRESETS["tiny"], "cross_layers": 2})
    Bundle(Echo(config, SYMBOLS.vocabulary_size), SYMBOLS).save(tmp_path)
    (tmp_path / CONFIG).write_text("model: {preset: tiny, cross_layers: 2}\n")
    assert load_bundle(tmp_path).model.config == config


@pytest.mark.parametrize("missing", FILES)
def test_a_half_copied_folder_is_told(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    message = f"^{re.escape(str(folder))}: not a complete model, {missing} missing; copy the whole folder$"
    with pytest.raises(EchoError, match=message):
        load_bundle(folder)


def test_all_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=f"not a complete model, {CONFIG}, {WEIGHTS}, {TOKENIZER} missing"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", f"a/model/{CONFIG}"])
def test_no_folder_is_told(name: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=f"{name}: no such model folder; a model is what `echo-asr train` leaves"):
        load_bundle(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (WEIGHTS, b"", f"{WEIGHTS}: damaged weights .*; copy the file again"),
        (WEIGHTS, b"\x00" * 100, f"{WEIGHTS}: damaged weights"),
        (WEIGHTS, b"\xff" * 100, f"{WEIGHTS}: damaged weights"),
        (WEIGHTS, b"version https://git-lfs.github.com/spec/v1\n", f"{WEIGHTS}: damaged weights"),
        (TOKENIZER, b"", f"{TOKENIZER}: cannot read it .*; expected a tokenizer.json"),
        (TOKENIZER, b"{}", f"{TOKENIZER}: cannot read it"),
        (TOKENIZER, b"\xff\xfe", f"{TOKENIZER}: cannot read it"),
        (CONFIG, b"model: [1, 2", f"{CONFIG}: not valid YAML"),
        (CONFIG, b"\xff\xfe\x00", f"{CONFIG}: "),
        (CONFIG, b"- model", f"{CONFIG}: a configuration is a mapping of sections, got list"),
        (CONFIG, b"model: {widht: 32}", f"{CONFIG}: unknown key model.widht; did you mean width"),
        (CONFIG, b"model: {width: wide}", f"{CONFIG}: .*width"),
        (
            CONFIG,
            b"model: {preset: huge}",
            f"{CONFIG}: model.preset must be one of tiny, small, medium, base, got 'huge'",
        ),
        (CONFIG, b"model: {width: 32}", f"{CONFIG}: .*width 32 must be a multiple of heads 3"),
    ],
)
def test_a_damaged_file_is_told(name: str, content: bytes, message: str, folder: Path) -> None:
    (folder / name).write_bytes(content)
    assert re.search(message, one_line_error(load_bundle, folder))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_weights_are_told(share: float, folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: int(len(whole) * share)])
    assert re.search(f"{WEIGHTS}: damaged weights .*; copy the file again", one_line_error(load_bundle, folder))


@pytest.mark.parametrize(
    ("section", "key", "value", "tensor"),
    [
        ("model", "width", 64, "ctc_head.weight"),
        ("model", "feedforward", 32, "feedforward"),
        ("model", "spectrogram_layers", 3, r"encoders.spectrogram.blocks.2"),
        ("model", "features", ["spectrogram"], "pitch"),
        ("model", "vrope", {"theta": "static"}, "rotation"),
        ("features", "mels", 16, "encoders.spectrogram.front.convolutions.0.weight"),
    ],
)
def test_files_of_two_models_are_told(section: str, key: str, value: Any, tensor: str, folder: Path) -> None:
    data = read_yaml(folder / CONFIG)
    data[section][key] = value
    write_yaml(folder / CONFIG, data)
    message = one_line_error(load_bundle, folder)
    told = re.search(r"weights do not fit config.yaml and tokenizer.json beside them \((\d+) tensors differ", message)
    assert told and int(told[1]) >= 1
    assert re.search(f"first .*{tensor}.*; keep the three files of one model together", message)


def test_the_tokenizer_of_another_model_is_told(folder: Path) -> None:
    Tokenizer.train(["more symbols than there were"]).save(folder / TOKENIZER)
    assert re.search(r"\(3 tensors differ, first ctc_head.bias\)", one_line_error(load_bundle, folder))


def test_loading_weights_into_a_model_takes_all_of_them(folder: Path, bundle: Bundle, make_model: Make) -> None:
    other: Echo = make_model(seed=5, vrope={"theta": "integrated", "radius": "acoustic"})
    before = {name: value.clone() for name, value in other.state_dict().items()}
    load_weights(other, folder / WEIGHTS)
    for name, value in bundle.model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
        assert name.endswith("frequencies") or not torch.equal(before[name], value)


def test_weights_that_do_not_fit_change_nothing(folder: Path, make_model: Make) -> None:
    other: Echo = make_model(width=64)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    one_line_error(load_weights, other, folder / WEIGHTS)
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


@pytest.mark.parametrize("name", FILES)
def test_a_failure_while_saving_leaves_the_old_file_whole(
    name: str, bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full just before the new file takes its place."""
    before = {n: (folder / n).read_bytes() for n in FILES}
    bundle.extra["train"]["speeds"] = [1.0]
    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).name == name:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    message = one_line_error(bundle.save, folder)
    assert re.search(
        rf"{name}: could not be written \(No space left on device\); an existing file is unchanged", message
    )
    assert (folder / name).read_bytes() == before[name]
    assert sorted(os.listdir(folder)) == sorted(FILES)
    monkeypatch.undo()
    assert load_bundle(folder).tokenizer.symbols == SYMBOLS.symbols


def test_a_file_where_the_folder_should_be_is_told(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("something else")
    message = one_line_error(bundle.save, tmp_path / "taken")
    assert re.search(r"taken: cannot be made \(File exists\); choose another folder", message)
    assert (tmp_path / "taken").read_text() == "something else"


def test_the_config_is_plain_yaml_that_a_person_can_read(folder: Path) -> None:
    data = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    assert data["model"]["features"] == ["spectrogram", "pitch"] and data["model"]["vrope"]["theta"] == "integrated"
    assert "!!" not in (folder / CONFIG).read_text(encoding="utf-8")


# --- the calibration of words


def test_a_calibration_goes_with_the_weights(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    """Beside the other note, wherever the three files are copied to, and no longer than these weights."""
    Bundle.save_weights(folder, bundle.model.state_dict(), ("spectrogram",))
    assert load_bundle(folder).calibration == Calibration(), "an older model has none"
    before = load_bundle(folder).model.state_dict()
    fitted = Calibration(0.3, 0.75, -1.25, 812)
    save_calibrations(folder, {CALIBRATION: fitted})
    loaded = load_bundle(folder)
    assert loaded.calibration == fitted and loaded.trained_features == ("spectrogram",)
    assert all(torch.equal(before[name], value) for name, value in loaded.model.state_dict().items())
    loaded.save(tmp_path / "copy")
    assert load_bundle(tmp_path / "copy").calibration == fitted
    assert all((tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes() for name in FILES)
    Bundle.save_weights(folder, bundle.model.state_dict())
    assert load_bundle(folder).calibration == Calibration(), "it was of other weights"


def test_a_damaged_calibration_is_told(folder: Path) -> None:
    state = load_bundle(folder).model.state_dict()
    (folder / WEIGHTS).write_bytes(pack(dict(state), calibration='{"a": -1}'))
    message = one_line_error(load_bundle, folder)
    assert "damaged calibration or tone model" in message and "copy the file again" in message


@pytest.mark.parametrize("damage", [b"", b"\xff" * 100, None])
def test_damaged_weights_take_no_calibration(damage: bytes | None, folder: Path) -> None:
    path = folder / WEIGHTS
    damaged = path.read_bytes()[:-10] if damage is None else damage
    path.write_bytes(damaged)
    fitted = {CALIBRATION: Calibration(0.3, 0.75, -1.25, 812)}
    message = one_line_error(save_calibrations, folder, fitted)
    assert re.search(f"{WEIGHTS}: damaged weights .*; copy the file again", message)
    assert path.read_bytes() == damaged
    path.unlink()
    assert "copy the file again" in one_line_error(
        save_calibrations, folder, {CALIBRATION: Calibration(0.3, 0.75, -1.25, 812)}
    )


def test_the_same_notes_give_the_same_bytes() -> None:
    """The library writes them in an order that changes from one process to the next."""
    notes = {f"note {number}": "\u00e4 \u4f60" for number in range(20)}
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, 2)}
    data = pack(tensors, **notes)
    assert data == pack(tensors, **dict(reversed(notes.items())))
    found = unpack(data)
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_weights_under_earlier_names_are_read(make_model: Callable[..., Echo], tmp_path: Path) -> None:
    """A radius was a parameter of the rotation itself."""
    for radius, names in (("learned", {"radius.raw": "raw_radius"}),
                          ("acoustic", {"radius.weight": "radius_weight", "radius.bias": "radius_bias"})):  # fmt: skip
        model = make_model(vrope={"radius": radius})
        earlier = dict(model.state_dict())
        for now, before in names.items():
            for name in [name for name in earlier if name.endswith(f"attention.rotation.{now}")]:
                earlier[name.removesuffix(now) + before] = earlier.pop(name)
        assert earlier.keys() != model.state_dict().keys()
        (tmp_path / "model.safetensors").write_bytes(pack(earlier))
        other = make_model(seed=1, vrope={"radius": radius})
        load_weights(other, tmp_path / "model.safetensors")
        assert all(torch.equal(other.state_dict()[name], value) for name, value in model.state_dict().items())
