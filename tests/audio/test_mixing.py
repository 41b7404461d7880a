"""One channel of several."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.audio import load_audio, stream_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.segment import AudioSegment

SECONDS = 6
RNG = np.random.default_rng(0)
SPEECH = (0.3 * np.sin(np.arange(SECONDS * SAMPLE_RATE) / 9) * np.repeat(RNG.uniform(0.1, 1, 60), 1600)).astype(
    np.float32
)
OTHER = (0.3 * np.sin(np.arange(SECONDS * SAMPLE_RATE) / 13)).astype(np.float32)
NOISE = (0.003 * RNG.standard_normal((SECONDS * SAMPLE_RATE, 4))).astype(np.float32)
HALF = np.where(np.arange(len(SPEECH)) < len(SPEECH) // 2, 1, -1).astype(np.float32)  # one half is opposite
CANCELLING = {
    "opposite": [0.5 * SPEECH, -SPEECH],
    "opposite, one softer": [SPEECH, -0.6 * SPEECH],
    "opposite, with noise": [0.8 * SPEECH + NOISE[:, 0], -SPEECH + NOISE[:, 1]],
    "opposite, with an offset": [SPEECH + 0.2, 0.2 - 0.9 * SPEECH],
    "opposite in a half": [SPEECH, 0.9 * HALF * SPEECH],
    "four of them": [0.5 * SPEECH, -0.5 * SPEECH, SPEECH, -SPEECH],
}
ADDING = {
    "equal": [SPEECH, SPEECH],
    "one dead": [SPEECH, 0 * SPEECH],
    "all but one dead": [0 * SPEECH, 0 * SPEECH, SPEECH, 0 * SPEECH],
    "a speaker in each": [SPEECH, OTHER],
    "in turns": [np.where(HALF > 0, SPEECH, 0), np.where(HALF > 0, 0, OTHER)],
    "quarter of a period late": [SPEECH, np.roll(SPEECH, 14)],
    "silence": [0 * SPEECH, 0 * SPEECH],
    "noise": list(NOISE.T),
}


@pytest.mark.parametrize("kind", CANCELLING)
@pytest.mark.parametrize("block", [1 << 20, 5000])
def test_channels_that_cancel_each_other_leave_the_loudest(
    kind: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_asr.audio.libsndfile.BLOCK", block)
    channels = np.stack(CANCELLING[kind], axis=1)
    loudest = int(channels.std(axis=0).round(4).argmax())
    soundfile.write(tmp_path / "a.wav", channels, SAMPLE_RATE, subtype="FLOAT")
    with pytest.warns(
        UserWarning, match=rf"a\.wav: its channels cancel each other .* channel {loudest} \(from 0\)"
    ) as reported:
        audio = load_audio(tmp_path / "a.wav")
    assert len(reported) == 1
    np.testing.assert_array_equal(audio, channels[:, loudest], "in all of the recording")
    with pytest.warns(UserWarning, match="cancel"):
        np.testing.assert_array_equal(np.concatenate(list(stream_audio(tmp_path / "a.wav"))), audio)
    with pytest.warns(UserWarning, match="audio ndarray: its channels cancel"):
        np.testing.assert_array_equal(load_audio(channels.T), audio)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # whoever names a channel gets it
        np.testing.assert_array_equal(load_audio(AudioSegment(tmp_path / "a.wav", channel=1)), channels[:, 1])


@pytest.mark.parametrize("kind", ADDING)
@pytest.mark.parametrize("block", [1 << 20, 5000])
def test_other_channels_are_averaged(kind: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.audio.libsndfile.BLOCK", block)
    channels = np.stack(ADDING[kind], axis=1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", channels, SAMPLE_RATE, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), channels.mean(axis=1), atol=1e-6)


def test_a_segment_warns_once_of_its_file(tmp_path: Path) -> None:
    """A corpus of one long recording would otherwise warn of every utterance."""
    soundfile.write(tmp_path / "a.wav", np.stack([SPEECH, -SPEECH], axis=1), SAMPLE_RATE)
    with warnings.catch_warnings(record=True) as reported:
        warnings.simplefilter("default")
        for start in range(5):
            load_audio(AudioSegment(tmp_path / "a.wav", start, 1.0))
    assert len(reported) == 1
