"""Recordings and texts that turn out to be broken late: refused with their number, or left out and counted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.cli import main
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.unreadable import UnreadableRecordings, leave_out_unreadable
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.config import TrainConfig
from echo_asr.train.data import TrainingData

CONFIG = """
features: {mels: 16, tracker: autocorrelation}
text: {tokenizer: character}
model: {width: 16, heads: 1, feedforward: 16, spectrogram_layers: 1, decoder_layers: 0}
train: {max_steps: 2, noisy_copies: 0, speeds: [1.0], checkpoint_every: 1, validate_every: 2, concatenated_share: 0.0}
"""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clips of half a second whose durations are stated: one is empty, one is cut off, one has a text that is too long,
    and one of validation is no sound."""
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)  # recordings are looked at in as many threads
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = ["file_name,text,split,duration"]
    for number in range(8):
        soundfile.write(folder / f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(8000), 16_000)
        text = "so long a text that nobody can say it" if number == 3 else "a b"
        rows.append(f"{number}.wav,{text},{'validation' if number > 5 else 'train'},0.5")
    (folder / "1.wav").write_bytes(b"")
    (folder / "2.wav").write_bytes((folder / "2.wav").read_bytes()[:20])
    (folder / "7.wav").write_text("no sound")
    (folder / "metadata.csv").write_text("\n".join(rows))
    (tmp_path / "config.yaml").write_text(CONFIG)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = main([str(word) for word in words])
    return status, "".join(capsys.readouterr())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_training_goes_on_without_what_cannot_be_used(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = tmp_path / "config.yaml", tmp_path / "run"
    words = ("train", config, "--corpus", corpus, "--out", out)
    status, output = run(capsys, *words)
    assert status == 1 and "1 of 6 texts are too long for the frames" in output and "--broken skip" in output
    with pytest.warns(UserWarning) as warned:
        status, output = run(capsys, *words, "--broken", "skip")
    assert status == 0 and "3 training utterances (1.5 s), 1 for validation" in output
    messages = [str(warning.message) for warning in warned]
    assert any("1 of 6 texts are too long" in m and "3.wav" in m and "left out" in m for m in messages)
    assert any("3 of 7 recordings cannot be read and are left out, first: " in m and "1.wav" in m for m in messages)
    assert run(capsys, *words, "--broken", "skip", "--resume")[0] == 0


@pytest.mark.filterwarnings("ignore")
def test_prepare_evaluate_and_stats_do_so_too(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    status, output = run(capsys, "prepare", corpus, "--config", config)
    assert status == 1 and "1.wav: is an empty file (0 bytes)" in output
    assert "(and 2 more that cannot be read: echo-asr corpus check lists them, --broken skip leaves them out)" in output
    for command in (("prepare", corpus, "--config", config), ("corpus", "stats", corpus)):
        with pytest.warns(UserWarning, match="3 of 8 recordings cannot be read and are left out"):
            assert run(capsys, *command, "--broken", "skip")[0] == 0
    assert run(capsys, "corpus", "stats", corpus)[0] == 1


def test_a_run_trains_on_what_is_left_in_every_process(corpus: Path, tmp_path: Path) -> None:
    """A recording that another process found unreadable is left out here, too."""
    with pytest.warns(UserWarning, match="1 of 6 texts are too long"):
        loaded = load_corpus(corpus)
        texts = [u.text for u in loaded.split("train")]
        settings = TrainConfig(noisy_copies=0, speeds=(1.0,), concatenated_share=0.0)
        cache = FeatureCache(None, FeatureExtractor(FeatureConfig(mels=16, tracker="autocorrelation")))
        data = TrainingData(loaded, Tokenizer.train(texts), str, settings, 4, cache, broken="skip")
    assert [e.utterance.id for e in data.examples] == ["0.wav", "1.wav", "2.wav", "4.wav", "5.wav"]
    elsewhere: dict[Any, str] = {corpus / "4.wav": "4.wav: gone"}
    validation = loaded.split("validation")
    with pytest.warns(UserWarning, match="4 of 7 recordings cannot be read and are left out"):
        left_out = data.prepare(validation, gather=lambda own: [own, elsewhere if own else {}])
    assert {path.name for path in left_out} == {"1.wav", "2.wav", "4.wav", "7.wav"}
    assert [e.utterance.id for e in data.examples] == ["0.wav", "5.wav"] and len(data.durations) == data.first_row
    with pytest.raises(UnreadableRecordings, match="more that cannot be read"):
        TrainingData(loaded, Tokenizer.train(texts), str, settings, 1, cache).prepare(validation)


def test_utterances_of_which_some_or_all_cannot_be_read(corpus: Path) -> None:
    rows = [Utterance(f"{n}", corpus / f"{n}.wav", "", "", "train", 0.5) for n in range(4)]
    with pytest.warns(UserWarning, match=r"^name: 2 of 4 recordings cannot be read .*1\.wav: is an empty file"):
        assert [u.id for u in leave_out_unreadable("name", rows)] == ["0", "3"]
    with pytest.raises(EchoError, match=r"name: none of its 2 recordings can be read: .*1\.wav"):
        leave_out_unreadable("name", rows[1:3])


def test_the_error_counts_them() -> None:
    assert str(UnreadableRecordings({Path("a"): "a: gone"})) == "a: gone (--broken skip leaves it out)"
