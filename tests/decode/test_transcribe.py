import re
import socket
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import echo_asr
from echo_asr.config import read_yaml, write_yaml
from echo_asr.decode import batches, transcribe
from echo_asr.decode.batches import batches_by_length
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.device import choose_device
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.model.calibration import Calibration
from echo_asr.model.checkpoint import CONFIG, Bundle
from echo_asr.text.tokenizer import Tokenizer

Make = Callable[..., Any]
SYMBOLS = Tokenizer.train(["abcxyz"])
FEATURES = FeatureConfig(mels=8, tracker="autocorrelation")


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """A gliding, swelling tone in noise, `(S,)` at 16 kHz."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    phase = 2 * np.pi * (120 + 30 * seed + 20 * np.sin(3 * time)) * time
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    return (0.3 * np.sin(phase) * np.sin(4 * time) ** 2 + noise).astype(np.float32)


@pytest.fixture(scope="module")
def bundle(make_model: Make) -> Bundle:
    model = make_model(vrope={"theta": "axis", "nulls": "weight"}, subsampling=2)
    with torch.no_grad():
        model.decoder.end_bias.fill_(-1.0)
    return Bundle(model, SYMBOLS, FEATURES, extra={"decode": {"beam": 3, "ctc_weight": 0.5}})


@pytest.fixture(scope="module")
def recognizer(bundle: Bundle) -> Recognizer:
    return Recognizer(bundle, DecodeConfig(beam=3))


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_file_and_its_samples_have_one_text(recognizer: Recognizer, tmp_path: Path) -> None:
    samples = sound(0.73)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    found = recognizer.transcribe(tmp_path / "a.wav")
    assert found.text and set(found.text) <= set("abcxyz")
    assert found.duration == pytest.approx(0.73)
    for source in (str(tmp_path / "a.wav"), samples, torch.from_numpy(samples), np.stack((samples, samples))):
        assert recognizer.transcribe(source) == found


def test_the_rate_of_samples_is_heeded(recognizer: Recognizer) -> None:
    assert recognizer.transcribe(sound(0.5), 8000).duration == pytest.approx(1.0)
    assert recognizer.transcribe(sound(0.5)).duration == pytest.approx(0.5)


def test_what_is_no_audio_is_reported(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not sound")
    with pytest.raises(EchoError, match="notes.wav"):
        recognizer.transcribe(tmp_path / "notes.wav")
    with pytest.raises(EchoError, match="nowhere.wav"):
        recognizer.transcribe(tmp_path / "nowhere.wav")
    with pytest.raises(EchoError, match="no samples"):
        recognizer.transcribe(np.zeros(0, np.float32))


@pytest.mark.parametrize("samples", [1, 159, 161, 8000])
def test_silence_of_any_length_is_transcribed(samples: int, recognizer: Recognizer) -> None:
    found = recognizer.transcribe(np.zeros(samples, np.float32))
    assert found.duration == samples / 16_000 and len(found.text) <= -(-samples // 320)


@pytest.mark.parametrize("batch_seconds", [0.01, 1.0, 120.0])
def test_a_list_is_transcribed_in_its_order_whatever_the_batches(
    batch_seconds: float, recognizer: Recognizer, make_features: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = [make_features(frames) for frames in (31, 9, 44, 1, 31, 60, 17)]
    alone = [recognizer.recognize([one])[0] for one in recordings]
    monkeypatch.setattr(batches, "BATCH_SECONDS", batch_seconds)
    assert recognizer.recognize(recordings) == alone
    assert recognizer.recognize(recordings[::-1]) == alone[::-1]
    assert len(set(alone)) > 3 and recognizer.recognize([]) == []


@given(
    durations=st.lists(st.floats(0.01, 40.0), max_size=12),
    batch_seconds=st.floats(0.5, 100.0),
)
@settings(max_examples=100, deadline=None)
def test_batches_hold_everything_once_and_no_more_than_they_may(durations: list[float], batch_seconds: float) -> None:
    groups = list(batches_by_length(durations, batch_seconds))
    assert sorted(index for group in groups for index in group) == list(range(len(durations)))
    for group in groups:
        longest = max(durations[index] for index in group)
        assert len(group) == 1 or longest * len(group) <= batch_seconds
    for longer, shorter in zip(groups, groups[1:], strict=False):
        assert min(durations[i] for i in longer) >= max(durations[i] for i in shorter), "similar lengths together"
        assert durations[longer[0]] * (len(longer) + 1) > batch_seconds, "batches are full"


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "cpu:x", "cuda 0"])
def test_a_device_that_is_not_there_is_reported(name: str) -> None:
    with pytest.raises(EchoError, match=f"^device {name!r} is not available here .*; take --device cpu or auto$"):
        choose_device(name)


def test_loading_a_folder_takes_its_own_settings_and_those_given(folder: Path, recognizer: Recognizer) -> None:
    assert load(folder).decode == DecodeConfig(beam=3, ctc_weight=0.5)
    assert load(str(folder), "cpu", beam=7, length_bonus=-0.5).decode == DecodeConfig(7, 0.5, -0.5)
    samples = sound(0.6)
    assert echo_asr.load(folder, ctc_weight=0.4).transcribe(samples) == recognizer.transcribe(samples)


@pytest.mark.parametrize("decode", ["left out", None, {}])
def test_a_model_without_settings_for_decoding_takes_the_defaults(decode: Any, folder: Path) -> None:
    data = read_yaml(folder / CONFIG)
    if decode == "left out":
        del data["decode"]
    else:
        data["decode"] = decode
    write_yaml(folder / CONFIG, data)
    assert load(folder).decode == DecodeConfig()


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"beams": 3}, "unknown option --decode.beams; did you mean --decode.beam?"),
        ({"beam": 0}, "config.yaml: .*decode.beam must be at least 1, got 0"),
        ({"beam": "wide"}, '^options: "decode.beam": expected a whole number; got wide$'),
        ({"ctc_weight": 2}, "config.yaml: .*decode.ctc_weight must lie in"),
    ],
)
def test_wrong_settings_are_reported(given_settings: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(EchoError, match=message) as caught:
        load(folder, **given_settings)
    assert "\n" not in str(caught.value)


def test_wrong_settings_in_the_folder_are_reported(folder: Path) -> None:
    data = read_yaml(folder / CONFIG)
    write_yaml(folder / CONFIG, {**data, "decode": {"length_bonos": 1}})
    with pytest.raises(EchoError, match=f"^{re.escape(str(folder))}.*unknown key decode.length_bonos; did you mean"):
        load(folder)


def test_a_long_recording_is_what_its_clips_are(recognizer: Recognizer, tmp_path: Path) -> None:
    """SpeechSegment at its pauses, decoded together, put together again."""
    clips = [sound(0.6 + 0.2 * n, n) for n in range(5)]
    pause = np.zeros(24_000, np.float32)
    whole = np.concatenate([part for clip in clips for part in (pause, clip)] + [pause])
    soundfile.write(tmp_path / "long.wav", whole, 16_000, subtype="FLOAT")
    found = recognizer.transcribe(tmp_path / "long.wav", words=False)
    assert found.duration == len(whole) / 16_000
    assert len(found.segments) == 5 and found.text == " ".join(s.text for s in found.segments)
    for segment, clip, start in zip(
        found.segments, clips, np.cumsum([1.5] + [2.1 + 0.2 * n for n in range(4)]), strict=True
    ):
        assert segment.start <= start + 0.1 and segment.end >= start + len(clip) / 16_000 - 0.1
        begin, end = round(segment.start * 16_000), round(segment.end * 16_000)
        piece = recognizer.extractor(whole[begin:end])
        assert segment.text == recognizer.recognize([piece])[0].text


def test_many_are_as_one_by_one_whatever_is_gathered(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = np.zeros(24_000, np.float32)
    many = [sound(0.5), np.concatenate((sound(0.4, 1), pause, sound(0.7, 2))), pause, sound(0.9, 3)]
    alone = [recognizer.transcribe(one, words=False) for one in many]
    assert alone[2].text == "" and alone[2].segments == () and alone[2].duration == 1.5
    for seconds in (0.1, 1.0, 300.0):
        monkeypatch.setattr(transcribe, "GROUP_SECONDS", seconds)
        assert recognizer.transcribe(many, words=False) == alone
    assert recognizer.transcribe([], words=False) == []


def test_what_cannot_be_read_is_told_in_its_turn(recognizer: Recognizer, tmp_path: Path) -> None:
    heard = list(recognizer.transcribe_each([sound(0.5), tmp_path / "none.wav", sound(0.6)], words=False))
    ended = [(index, type(one)) for index, one in heard if not isinstance(one, Segment)]
    assert ended == [(0, Transcription), (1, EchoError), (2, Transcription)]


def test_a_local_model_asks_nothing_of_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert load(folder, "cpu").transcribe(sound(0.5), words=False).duration == 0.5


def test_words_are_reported_with_times_inside_their_recording(recognizer: Recognizer) -> None:
    clip, pause = sound(0.7333, 2), np.zeros(24_001, np.float32)
    found = recognizer.transcribe(np.concatenate((pause, clip, pause, clip)))
    assert len(found.segments) == 2
    for segment in found.segments:
        assert 0.0 <= segment.start < segment.end <= found.duration
        assert " ".join(w.word for w in segment.words) == segment.text
        assert "".join(t.text for t in segment.tokens) == segment.text
        ends = [segment.start, *(edge for w in segment.words for edge in (w.start, w.end)), segment.end]
        assert ends == sorted(ends)
        assert all(0.0 <= w.probability <= 1.0 for w in segment.words)
    alone = recognizer.transcribe(clip)
    (segment,) = alone.segments
    assert segment.end == alone.duration, "not the end of its last frame"


def test_the_best_few_texts_are_handed_out_where_asked_for(bundle: Bundle) -> None:
    several = Recognizer(bundle, DecodeConfig(beam=4, nbest=3))
    (segment,) = several.transcribe(sound(0.6)).segments
    texts, scores = zip(*segment.alternatives, strict=True)
    assert len(set(texts)) == 3 and texts[0] == segment.text and list(scores) == sorted(scores, reverse=True)


def test_a_text_that_is_cut_off_is_reported(bundle: Bundle) -> None:
    short = Recognizer(bundle, DecodeConfig(max_tokens=3))
    with torch.no_grad():
        before = bundle.model.decoder.end_bias.clone()
        bundle.model.decoder.end_bias.fill_(-50.0)
    try:
        with pytest.warns(UserWarning, match=r"as decode.max_tokens allows \(3 tokens\).*raise it"):
            assert len(short.transcribe(sound(0.7)).text) == 3
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(Recognizer(bundle).transcribe(sound(0.7)).text) == 35, "one a frame, which CTC holds no more of"
    finally:
        with torch.no_grad():
            bundle.model.decoder.end_bias.copy_(before)


def test_words_have_calibrated_probabilities_and_symbols_have_not(bundle: Bundle) -> None:
    raw = Recognizer(bundle).transcribe(sound(0.7))
    found = Recognizer(replace(bundle, calibration=Calibration(0.5, 0.5, -1.0, 99))).transcribe(sound(0.7))
    assert found.text == raw.text and found.segments[0].tokens == raw.segments[0].tokens
    for ours, theirs in zip(found.segments[0].words, raw.segments[0].words, strict=True):
        assert (ours.word, ours.start, ours.end) == (theirs.word, theirs.start, theirs.end)
        score = theirs.probability
        expected = 1.0 / (1.0 + np.exp(1.0 - 0.5 * np.log(score / (1.0 - score))))
        assert ours.probability == pytest.approx(expected)
