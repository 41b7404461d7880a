import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from echo_asr.cli import main
from echo_asr.config import build_sections
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.load import load
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor, Features
from echo_asr.research.f0_controls import (
    DONORS,
    F0Control,
    Kind,
    control_f0,
    load_recognizer,
    make_control,
)
from echo_asr.research.sections import SECTIONS, StudyConfig
from echo_asr.train.prepare import hold_out

TRACKS = [torch.tensor([100.0, 200.0]), torch.tensor([400.0, 100.0, 400.0])]


def controlled(kind: Kind, one: Features) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return control_f0(kind, one.pitch, one.track, one.voicing, TRACKS)


def test_each_control_keeps_what_it_says(make_features: Callable[..., Features]) -> None:
    one = make_features(29)
    before = one.pitch.clone(), one.track.clone(), one.voicing.clone()
    voiced = one.pitch[0] > 0
    for kind in get_args(Kind):
        pitch, track, voicing = controlled(kind, one)
        assert torch.equal(pitch[1], one.pitch[1]), "energy stays"
        assert torch.equal(pitch[0], track * voicing), "what is heard and what turns agree"
        if kind == "energy":
            assert not voicing.any() and not pitch[2].any() and not pitch[0].any()
        else:
            assert torch.equal(voicing, one.voicing) and torch.equal(pitch[2], one.pitch[2])
        if kind in ("voicing", "energy"):
            assert (track == 220.0).all()
        if kind == "constant":
            assert (track == one.pitch[0][voiced].median()).all()
        if kind == "measured":
            assert torch.equal(track, one.track)
    assert all(torch.equal(a, b) for a, b in zip(before, (one.pitch, one.track, one.voicing), strict=True))


def test_a_shuffled_contour_is_anothers_from_end_to_end(make_features: Callable[..., Features]) -> None:
    seen = set()
    for seed in range(12):
        _, track, _ = controlled("shuffled", make_features(33, seed=seed))
        donor = TRACKS[0] if track[-1] == 200.0 else TRACKS[1]
        where = np.linspace(0, len(donor) - 1, 33)
        octaves = np.interp(where, np.arange(len(donor)), np.log2(donor.numpy()))
        torch.testing.assert_close(track, torch.from_numpy(2**octaves).float())
        seen.add(len(donor))
    assert seen == {2, 3}, "all are handed out"


def test_nobody_is_handed_their_own_contour(make_features: Callable[..., Features]) -> None:
    clips = [make_features(20, seed=seed) for seed in range(8)]
    for one in clips:
        _, track, _ = control_f0("shuffled", one.pitch, one.track, one.voicing, [c.track for c in clips])
        assert not torch.equal(track, one.track)


def test_a_recording_without_voice_stays_without(make_features: Callable[..., Features]) -> None:
    heard = make_features(9)
    silent = torch.zeros(9)
    one = replace(heard, pitch=torch.stack((silent, heard.pitch[1], silent)), voicing=silent)
    for kind in get_args(Kind):
        pitch, track, _ = controlled(kind, one)
        assert not pitch[0].any() and (track > 0).all()


def test_shuffled_needs_others() -> None:
    extractor = FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation"), F0Control("shuffled"))
    with pytest.raises(EchoError, match="study.f0 shuffled takes the pitch of another recording"):
        extractor(np.zeros(800, np.float32))


def test_what_is_kept_on_disk_is_the_same_for_all(tmp_path: Path) -> None:
    """So that a study of controls extracts features once."""
    samples = np.sin(np.arange(4000) / 10).astype(np.float32)
    for kind in get_args(Kind):
        extractor = FeatureExtractor(FeatureConfig(tracker="autocorrelation"), make_control(kind))
        if extractor.transform:
            extractor.transform.fit([extractor.measure(samples[:3000])])
        FeatureCache(tmp_path, extractor).features(samples)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_an_unknown_control_is_refused() -> None:
    with pytest.raises(ValueError, match="f0: expected one of measured, shuffled"):
        StudyConfig(f0="none")  # type: ignore[arg-type]


def test_the_option_under_its_earlier_name_is_read() -> None:
    for earlier, kind in (("as_heard", "measured"), ("shuffled", "shuffled")):
        with pytest.warns(UserWarning, match="features.f0 is now study.f0"):
            built = build_sections({"features": {"f0": earlier, "mels": 24}}, SECTIONS)
        assert built["study"].f0 == kind and built["features"].mels == 24
    with pytest.warns(UserWarning, match="--features.f0 is now --study.f0"):
        assert build_sections({}, SECTIONS, {"features.f0": "constant"})["study"].f0 == "constant"
    with pytest.raises(EchoError, match="features.f0: expected one of as_heard, shuffled, .*; got 'none'"):
        build_sections({"features": {"f0": "none"}}, SECTIONS)


def test_a_model_keeps_the_pitch_that_it_was_trained_with(
    corpus: Path, config: Path, tmp_path: Path, capsys: Any
) -> None:
    """So that one model has one figure, whoever measures it and on which split."""
    run = tmp_path / "run"
    words = ["train", str(config), "--corpus", str(corpus), "--out", str(run), "--study.f0", "shuffled"]
    assert main([*words, "--train.max_steps", "1", "--device", "cpu"]) == 0
    recognizer = load_recognizer(run, "cpu")
    cache = FeatureCache(None, recognizer.extractor)
    expected = [cache.measured(u.audio).track for u in hold_out(load_corpus(corpus)).split("train")]
    control = recognizer.extractor.transform
    assert isinstance(control, F0Control) and control.kind == "shuffled"
    assert len(control.donors) == len(expected) and all(map(torch.equal, control.donors, expected))
    capsys.readouterr()
    assert main(["evaluate", str(run), str(corpus), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["utterances"] == 6
    assert main(["transcribe", str(corpus / "00.wav"), "--model", str(run)]) == 0
    with pytest.raises(EchoError, match="was trained with study.f0 shuffled, and is of use under that alone"):
        load(run)
    (run / DONORS).unlink()
    with pytest.raises(EchoError, match=f"{DONORS}: missing or damaged.*train the model again"):
        load_recognizer(run)


@pytest.mark.parametrize(
    ("study", "message"), [("{f0: loud}", "study.f0.: expected one of measured.*got loud"), ("5", "must be a mapping")]
)
def test_a_control_that_there_is_not_is_refused_in_one_line(
    study: str, message: str, learnt: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(learnt, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    with (run / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(f"study: {study}\n")
    with pytest.raises(EchoError, match=message):
        load_recognizer(run)
    with pytest.raises(EchoError, match="was trained with study.f0"):
        load(run)


def test_a_model_of_measured_pitch_has_no_control(learnt: Path) -> None:
    assert load_recognizer(learnt).extractor.transform is None and not (learnt / DONORS).exists()
    assert "study" not in (learnt / "config.yaml").read_text(encoding="utf-8")
