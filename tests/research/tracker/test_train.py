"""The training of a pitch tracker, in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.features.pitch.network import PitchNetwork
from echo_asr.research.tracker.corruption import Corruption
from echo_asr.research.tracker.pool import FRAMES, SAMPLES, Clips, make_noises, music
from echo_asr.research.tracker.pulses import synthesise
from echo_asr.research.tracker.train import losses, main, padded
from echo_asr.research.tracker.voices import random_voice


@pytest.fixture(scope="module")
def clips() -> Clips:
    made = Clips.empty(3)
    for row in range(3):
        rng = np.random.default_rng(row)
        speech = random_voice(2 * FRAMES, rng)
        known = {"f0": speech.f0, "voiced": speech.voiced > 0.05, "creak": speech.creak, "sure": speech.sure}
        made.put(row, synthesise(speech, rng), known)
    return made


def test_corrupted_clips_are_finite_and_of_peak_one(clips: Clips) -> None:
    corrupt = Corruption(make_noises(6, 1), torch.Generator().manual_seed(0))
    for _ in range(4):
        audio, has_voice = corrupt(torch.from_numpy(clips.samples).float())
        assert audio.shape == (3, SAMPLES) and has_voice.shape == (3,)
        assert torch.isfinite(audio).all()
        torch.testing.assert_close(audio.abs().amax(dim=1), torch.ones(3))


def test_a_network_learns(clips: Clips) -> None:
    torch.manual_seed(0)
    net = PitchNetwork()
    audio = torch.from_numpy(clips.samples[:1, : 60 * 160]).float() / 32767
    known = [
        torch.from_numpy(v[:1, :60]).float() for v in (clips.f0, clips.voiced, clips.creak, clips.sure, clips.sure)
    ]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    shown = []
    for _ in range(12):
        found = losses(net, padded(audio), known, torch.ones(1, dtype=torch.bool))
        loss = found["f0"] + found["voicing"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shown.append(float(loss.detach()))
    assert shown[-1] < 0.7 * shown[0]


def test_music_is_not_silent() -> None:
    made = [music(np.random.default_rng(seed)) for seed in range(3)]
    assert all(np.isfinite(one).all() and np.abs(one).max() > 0.01 for one in made)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nothing", "t.safetensors"], 1, "nothing"),
        (["nothing", "none/t.safetensors"], 2, "none: no such folder"),
        (["nothing", "t.safetensors", "--start", "gone"], 2, "gone: no such file"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status and said in capsys.readouterr().err.splitlines()[-1]
    assert not any(tmp_path.iterdir())
