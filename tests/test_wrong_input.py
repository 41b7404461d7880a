"""What is wrong or strange in recordings, metadata and models, as it meets the person who types the commands.

The modules' own tests have each mistake by itself; here are the ways by which it reaches them.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.storage import pack, unpack
from tests.helpers.commands import Place, run
from tests.helpers.tone_corpus import tone

SPOKEN = "a b"  # what is said in all recordings that say anything
NO_EXTRA = r"pip install 'echo-asr[av]'"
BAD = {
    "gone.wav": "no such file",
    "empty.wav": "is an empty file (0 bytes)",
    "text.wav": "is not an audio file Echo can read",
    "none.wav": "holds no samples",
    "nan.wav": "holds NaN or infinite samples",
    "inf.wav": "holds NaN or infinite samples",
    "half.wav": "is truncated or damaged",
    "half.flac": "is truncated or damaged",
    "half.ogg": "is truncated or damaged",
    "half.mp3": "is truncated or damaged",
    "1hz.wav": "states a sample rate of 1 Hz",
    "channels.wav": "is not an audio file Echo can read",
    "sound.m4a": NO_EXTRA,
}
RATES = {"8k.wav": 8_000, "44k1.wav": 44_100, "96k.flac": 96_000}  # Hz
KINDS = {"16.wav": "PCM_16", "24.wav": "PCM_24", "24.flac": "PCM_24", "float.wav": "FLOAT", "double.wav": "DOUBLE",
         "8.wav": "PCM_U8", "vorbis.ogg": "VORBIS"}  # fmt: skip
ONE = {"one.wav": 16_000, "one96k.wav": 96_000, "one8k.flac": 8_000}  # Hz, of clips of a single sample


def assert_one_line(errors: str, command: str, *parts: str) -> None:
    """All that is said is one line with all that it must name."""
    assert errors.count("\n") == 1 and errors.startswith(f"echo-asr {command}: "), errors
    assert all(part in errors for part in parts), errors


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of BAD recordings, all but the one that is gone. Read it only."""
    folder, sound = tmp_path_factory.mktemp("bad"), tone(SPOKEN)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("These are words. " * 100)
    soundfile.write(folder / "none.wav", sound[:0], SAMPLE_RATE)
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf)):
        spoilt = sound.copy()
        spoilt[100] = value
        soundfile.write(folder / name, spoilt, SAMPLE_RATE, subtype="FLOAT")
    for name in ("half.wav", "half.flac", "half.ogg", "half.mp3"):
        soundfile.write(folder / name, np.tile(sound, 4), SAMPLE_RATE)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
    for name, at, number in (("1hz.wav", 24, 1), ("channels.wav", 22, 65_535)):  # what the header states there
        soundfile.write(folder / name, sound, SAMPLE_RATE)
        whole = (folder / name).read_bytes()
        stated = number.to_bytes(4 if at == 24 else 2, "little")
        (folder / name).write_bytes(whole[:at] + stated + whole[at + len(stated) :])
    (folder / "sound.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(2000))
    return folder


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings as people have them, all of them legal, by name: those of `SPOKEN`, and those of one sample."""
    folder, sound = tmp_path_factory.mktemp("strange"), tone(SPOKEN)
    for name, rate in RATES.items():
        soundfile.write(folder / name, soxr.resample(sound, SAMPLE_RATE, rate), rate)
    for name, kind in KINDS.items():
        soundfile.write(folder / name, sound, SAMPLE_RATE, subtype=kind)
    soundfile.write(folder / "stereo.wav", np.stack([sound, 0.5 * sound], axis=1), SAMPLE_RATE)
    soundfile.write(folder / "mp3.mp3", sound, SAMPLE_RATE)
    soundfile.write(folder / "Größe '1' 音.wav", sound, SAMPLE_RATE)
    for name, rate in ONE.items():
        soundfile.write(folder / name, sound[1000:1001], rate)
    return {path.name: path for path in sorted(folder.iterdir())}


def write_folder(folder: Path, metadata: str, recordings: Sequence[Path] = ()) -> Path:
    """A corpus of copies of recordings."""
    folder.mkdir()
    for path in recordings:
        shutil.copy(path, folder)
    (folder / "metadata.csv").write_text(metadata, encoding="utf-8")
    return folder


# --- recordings ---


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_is_told_in_one_line(
    name: str,
    bad: Path,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Any,
) -> None:
    """Not even the libraries beneath, which have a way of their own to standard error, add to it."""
    monkeypatch.setitem(sys.modules, "av", None)
    words = ["transcribe", str(bad / name), *place.fill("--model {model} --output-dir {here}/texts")]
    status, output, errors = run(words, capfd)
    assert status == 1 and output == ""
    assert_one_line(errors, "transcribe", str(bad / name), BAD[name])
    assert place.contents() == {}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_in_a_corpus_is_told_before_a_run_begins(
    name: str,
    bad: Path,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Any,
) -> None:
    """A run that was begun would hold a model that nobody trained, and stand in the way of the next try."""
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(place.folder / "cache"))
    sounds = [place.named["corpus"] / f"0{number}.wav" for number in (0, 1, 2)]
    rows = "".join(f"{path.name},a,train\n" for path in sounds)
    here = write_folder(
        place.folder / "corpus",
        f"file_name,transcription,split\n{rows}{name},a b,train\n",
        [*sounds, *([bad / name] if (bad / name).exists() else [])],
    )
    told = ["names 1 audio file not found", "gone.wav"] if name == "gone.wav" else [str(here / name), BAD[name]]
    for words in (
        "prepare {here}/corpus --config {config}",
        "train {config} --corpus {here}/corpus --out {here}/run",
        "evaluate {model} {here}/corpus --split train --texts {here}/texts",
    ):
        status, output, errors = run(place.fill(words), capfd)
        assert status == 1 and output == ""
        assert_one_line(errors, words.split()[0], *told)
    assert not (place.folder / "run").exists() and not (place.folder / "texts").exists()


def test_recordings_of_all_kinds_are_transcribed(
    strange: dict[str, Path],
    place: Place,
    capfd: Any,
) -> None:
    words = ["transcribe", *map(str, strange.values()), *place.fill("--model {model} --format json")]
    status, output, errors = run(words, capfd)
    assert (status, errors) == (0, "")
    found = {Path(line["file"]).name: line for line in map(json.loads, output.splitlines())}
    assert {name: line["text"] for name, line in found.items()} == {n: "" if n in ONE else SPOKEN for n in strange}
    seconds = tone(SPOKEN).size / SAMPLE_RATE
    assert all(abs(line["duration"] - (0.0 if n in ONE else seconds)) < 0.08 for n, line in found.items())


def test_a_corpus_of_recordings_of_all_kinds_is_trained_on_and_measured(
    strange: dict[str, Path],
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Any,
) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(place.folder / "cache"))
    rows = "".join(f'"{name}",{"" if name in ONE else SPOKEN}\n' for name in strange)
    write_folder(place.folder / "corpus", f"file_name,transcription\n{rows}", list(strange.values()))
    status, output, errors = run(place.fill("prepare {here}/corpus --config {config}"), capfd)
    assert (status, errors) == (0, "") and f"train: {len(strange)} utterances" in output
    words = "train {config} --corpus {here}/corpus --out {here}/run --train.max_steps 2"
    status, _, errors = run(place.fill(words), capfd)
    assert status == 0 and f"{len(strange) - 1} training utterances" in errors, errors
    status, output, errors = run(place.fill("evaluate {model} {here}/corpus --split train --json"), capfd)
    found = json.loads(output)
    assert (status, errors) == (0, "") and found["utterances"] == len(strange)
    assert found["wer"]["percent"] == 0.0 and found["wer"]["reference"] == 2 * (len(strange) - len(ONE))


# --- metadata ---


@pytest.mark.parametrize(
    ("metadata", "parts"),
    [
        ("file_name,label\n00.wav,a\n", ["no column transcription; it has: file_name, label; needed: file_name, tra"]),
        (
            "file_name,transcription\n00.wav,a\n" + "".join(f"x{number}.wav,a\n" for number in range(7)),
            ["names 7 audio files not found", ": x0.wav, x1.wav, x2.wav, ...; put them there, or take their lines"],
        ),
        ("file_name,transcription,split\n00.wav,a,dev\n", ["line 2 has the split 'dev'; expected one of: train, val"]),
        ("file_name,transcription,transcription\n00.wav,a,b\n", ["transcription twice"]),
        ("file_name,transcription,duration\n00.wav,a,1e300\n01.wav,b,1e300\n", ["line 2", "duration '1e300'"]),
        ("file_name,transcription,duration\n00.wav,a,1e9\n01.wav,b,1\n", ["line 2", "duration '1e9'"]),
    ],
    ids=["column", "audio", "split", "twice", "absurd", "years"],
)
def test_wrong_metadata_is_told_by_every_command(
    metadata: str,
    parts: list[str],
    place: Place,
    capsys: Any,
) -> None:
    sounds = [place.named["corpus"] / f"0{number}.wav" for number in (0, 1)]
    write_folder(place.folder / "corpus", metadata, sounds)
    before = place.contents()
    for words in (
        "prepare {here}/corpus --config {config}",
        "train {config} --corpus {here}/corpus --out {here}/run",
        "evaluate {model} {here}/corpus --split train",
    ):
        status, output, errors = run(place.fill(words), capsys)
        assert status == 1 and output == ""
        assert_one_line(errors, words.split()[0], str(place.folder / "corpus/metadata.csv"), *parts)
    assert place.contents() == before


def test_texts_too_long_for_their_recordings_are_counted_and_the_remedy_is_told(
    place: Place,
    capsys: Any,
) -> None:
    sounds = sorted(place.named["corpus"].glob("*.wav"))[:5]
    texts = ("a", "a b c " * 30, "b", "c b a " * 30, "c")
    rows = "".join(f"{path.name},{text},\n" for path, text in zip(sounds, texts, strict=True))
    write_folder(place.folder / "corpus", f"file_name,transcription,speaker\n{rows}", sounds)
    before = place.contents()
    status, output, errors = run(place.fill("train {config} --corpus {here}/corpus --out {here}/run"), capsys)
    assert status == 1 and output == ""
    first = place.folder / "corpus" / sounds[1].name
    assert_one_line(
        errors, "train", "2 of 4 texts are too long", f"first {first} (", "179 tokens", "model.subsampling 2"
    )
    assert place.contents() == before


# --- models ---


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_told(value: float, place: Place, capsys: Any) -> None:
    """Else every recording would be transcribed as nothing, with status 0."""
    model = place.folder / "model"
    shutil.copytree(place.named["model"], model, ignore=shutil.ignore_patterns("tensorboard", "checkpoints"))
    weights = unpack((model / "model.safetensors").read_bytes())
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    weights[name] = torch.full_like(weights[name], value)
    (model / "model.safetensors").write_bytes(pack(weights))
    status, output, errors = run(place.fill("transcribe {corpus}/00.wav --model {here}/model"), capsys)
    assert status == 1 and output == ""
    assert_one_line(errors, "transcribe", str(model / "model.safetensors"), name)
