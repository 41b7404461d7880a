"""Whatever bytes the readers of files meet, they give a valid result or an EchoError of one line, and nothing else.

Files are random, or good ones in which bytes, cells or values were changed, taken out or put in.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import soundfile
import torch
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from echo_asr.audio import audio_duration, load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import SPLITS, load_corpus
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.model.checkpoint import load_weights
from echo_asr.model.echo import Echo
from echo_asr.storage import pack, read_notes, unpack
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.averages import AveragedWeights
from echo_asr.train.recipe import SECTIONS, read_config
from echo_asr.train.state import CHECKPOINT, Progress, load_checkpoint, save_checkpoint

T = TypeVar("T")
HEADER = 200  # bytes in which most changes are made: those that say what follows
QUICK = settings(max_examples=100, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
# Numbers as headers hold them, at the ends of their ranges.
EXTREMES = [
    struct.pack(form, value) for form in ("<I", ">I") for value in (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5) | st.sampled_from([10**30, "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def answer(read: Callable[[], T], *named: str) -> T | None:
    """What a reader gives; None for an EchoError, which must be of one line and name what it is about."""
    try:
        return read()
    except EchoError as error:
        message = str(error)
        assert message and message.isprintable() | ("\n" not in message), message
        assert all(name in message for name in named), message
        return None


@st.composite
def damaged(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Good bytes with some changes, most of them near the beginning."""
    content = draw(good)
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        at = draw(st.integers(0, min(size, HEADER)) | st.integers(0, size))
        kind = draw(st.sampled_from(("replace", "extreme", "insert", "remove", "cut")))
        if kind == "cut":
            content = content[:at]
        elif kind == "remove":
            content = content[:at] + content[at + draw(st.integers(1, 64)) :]
        else:
            new = draw(st.sampled_from(EXTREMES) if kind == "extreme" else st.binary(min_size=1, max_size=8))
            content = content[:at] + new + content[at + (0 if kind == "insert" else len(new)) :]
    return content


@st.composite
def changed(draw: st.DrawFn, tree: Any, values: st.SearchStrategy[Any] = JSON) -> Any:
    """A tree of dicts and lists in which something is another value, gone, or more."""
    tree = json.loads(json.dumps(tree))
    for _ in range(draw(st.integers(1, 3))):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or not (isinstance(node[key], (dict, list)) and node[key] and draw(st.integers(0, 3))):
                break
            node = node[key]
        kind = draw(st.sampled_from(("value", "remove", "add")))
        if key is not None and kind == "value":
            node[key] = draw(values)
        elif key is not None and kind == "remove":
            del node[key]
        elif isinstance(node, dict):
            node[draw(st.text(max_size=5) | st.sampled_from(sorted(map(str, tree))))] = draw(values)
        else:
            node.append(draw(values))
    return tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


# --- recordings ---


@pytest.fixture(scope="module")
def recordings(folder: Path) -> dict[str, bytes]:
    """Good recordings by their file names."""
    time = np.arange(1600) / SAMPLE_RATE  # seconds
    sound = 0.5 * np.sin(2 * np.pi * 220 * time)
    found = {}
    for name, options in {
        "16.wav": {"subtype": "PCM_16"}, "float.wav": {"subtype": "FLOAT"}, "adpcm.wav": {"subtype": "IMA_ADPCM"},
        "x.wav": {"format": "WAVEX", "subtype": "PCM_24"}, "a.flac": {}, "a.ogg": {}, "a.mp3": {}, "a.aiff": {},
        "a.opus": {"format": "OGG", "subtype": "OPUS"}, "a.au": {}, "a.caf": {}, "a.w64": {}, "a.rf64": {},
        "gsm.wav": {"subtype": "GSM610"}, "nms.wav": {"subtype": "NMS_ADPCM_16"}, "a.sph": {"format": "NIST"},
    }.items():  # fmt: skip
        soundfile.write(
            folder / name, np.stack([sound, sound], 1) if name == "x.wav" else sound, SAMPLE_RATE, **options
        )
        found[name] = (folder / name).read_bytes()
    return found


def check_recording(path: Path) -> None:
    samples = answer(lambda: load_audio(path), str(path))
    if samples is not None:
        assert samples.ndim == 1 and samples.dtype == np.float32 and samples.size >= 1
        assert np.isfinite(samples).all()
    seconds = answer(lambda: audio_duration(path), str(path))
    assert seconds is None or 0 < seconds < float("inf")


@given(data=st.data())
@QUICK
def test_damaged_recordings(data: st.DataObject, recordings: dict[str, bytes], folder: Path) -> None:
    name = data.draw(st.sampled_from(sorted(recordings)))
    path = folder / f"damaged-{name}"
    path.write_bytes(data.draw(damaged(st.just(recordings[name]))))
    check_recording(path)


@given(
    start=st.sampled_from((b"", b"RIFF", b"RIFF\0\1\0\0WAVEfmt ", b"fLaC\0", b"OggS\0", b"ID3", b"\xff\xfb", b"FORM")),
    rest=st.binary(max_size=300),
    name=st.sampled_from(("a.wav", "a.flac", "a.ogg", "a.mp3", "a.raw", "a", "a.m4a")),
)
@QUICK
def test_random_recordings(start: bytes, rest: bytes, name: str, folder: Path) -> None:
    path = folder / f"random-{name}"
    path.write_bytes(start + rest)
    check_recording(path)


# --- metadata ---

METADATA = "file_name,transcription,speaker,split,duration\n" + "".join(
    f'{name},"a, {name}",Ngữ,{split},{duration}\n'
    for name, split, duration in (("a.wav", "train", ""), ("b.wav", "validation", "0.1"), ("c.wav", "test", "2"))
)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus folder of three recordings."""
    folder = tmp_path_factory.mktemp("spoken")
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(folder / name, np.zeros(160), SAMPLE_RATE)
    return folder


def check_metadata(folder: Path, content: bytes) -> None:
    (folder / "metadata.csv").write_bytes(content)
    corpus = answer(lambda: load_corpus(folder), str(folder))
    if corpus is not None:
        assert corpus.utterances and set(corpus.splits) <= set(SPLITS)
        assert len({u.id for u in corpus.utterances}) == len(corpus.utterances)
        for utterance in corpus.utterances:
            assert utterance.audio.is_file() and 0 < utterance.duration < float("inf")
            utterance.text.encode("utf-8")


@given(content=st.binary(max_size=200) | damaged(st.sampled_from((METADATA.encode(), METADATA.encode("utf-16")))))
@QUICK
def test_damaged_metadata(content: bytes, spoken: Path) -> None:
    check_metadata(spoken, content)


CELLS = st.sampled_from(
    ["", "a.wav", "b.wav", ".", "..", "train", "1", "-1", "nan", "1e999", "0x10", '"', "'", "\0", "\r", "\n"]
)
COLUMNS = st.sampled_from(["file_name", "transcription", "speaker", "split", "duration", " file_name ", "", "text"])


@given(
    columns=st.lists(COLUMNS, max_size=6),
    more=st.booleans(),
    rows=st.lists(st.lists(CELLS | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=6)),
    comma=st.sampled_from([",", ",", ",", ";", "\t"]),
)
@QUICK
def test_random_metadata(columns: list[str], more: bool, rows: list[list[str]], comma: str, spoken: Path) -> None:
    if more:
        columns, rows = ["file_name", "transcription", *columns], [["a.wav", "x"], *rows]
    lines = [comma.join(cells) for cells in [columns, *rows]]
    check_metadata(spoken, "\n".join(lines).encode())


# --- tokenizers ---

TEXTS = ["ni3 hao3", "ma1 ma4", "été", "a a b"]


@pytest.fixture(scope="module")
def tokenizers(folder: Path) -> list[bytes]:
    """Good tokenizers of both kinds."""
    contents = []
    for kind in ("character", "bpe"):
        Tokenizer.train(TEXTS, kind, 30).save(folder / "good.json")
        contents.append((folder / "good.json").read_bytes())
    return contents


def check_tokenizer(path: Path) -> None:
    tokenizer = answer(lambda: Tokenizer.load(path), str(path))
    if tokenizer is not None:
        assert len(tokenizer.symbols) == tokenizer.vocabulary_size > 0
        for text in TEXTS:
            ids = answer(lambda text=text: tokenizer.encode(text))  # type: ignore[misc]
            if ids is not None:
                assert all(0 < number < tokenizer.vocabulary_size for number in ids)
                assert tokenizer.decode(ids) == text


@given(data=st.data())
@QUICK
def test_damaged_tokenizers(data: st.DataObject, tokenizers: list[bytes], folder: Path) -> None:
    good = data.draw(st.sampled_from(tokenizers))
    whole = data.draw(st.sampled_from(("bytes", "values", "nothing")))
    path = folder / "tokenizer.json"
    if whole == "bytes":
        path.write_bytes(data.draw(damaged(st.just(good))))
    else:
        path.write_text(json.dumps(data.draw(changed(json.loads(good)) if whole == "values" else JSON)))
    check_tokenizer(path)


# --- weights, checkpoints, features ---


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Echo]) -> Echo:
    return make_model(width=16, heads=1, feedforward=8, spectrogram_layers=1, decoder_layers=0)


@given(data=st.data())
@QUICK
def test_damaged_weights(data: st.DataObject, model: Echo, folder: Path) -> None:
    path, before = folder / "model.safetensors", {name: value.clone() for name, value in model.state_dict().items()}
    good = pack(before, features="pitch")
    size = int.from_bytes(good[:8], "little")  # bytes of the header, which is JSON
    if data.draw(st.booleans()):
        content = data.draw(damaged(st.just(good)) | st.binary(max_size=100))
    else:
        header = json.dumps(data.draw(changed(json.loads(good[8 : 8 + size])))).encode()
        content = len(header).to_bytes(8, "little") + header + good[8 + size :]
    path.write_bytes(content)
    try:
        assert all(isinstance(value, torch.Tensor) for value in unpack(content).values())
        assert all(isinstance(note, str) for note in read_notes(path).values())
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
    loaded = answer(lambda: load_weights(model, path) or True, str(path))
    now = model.state_dict()
    assert loaded or all(torch.equal(now[name], value) for name, value in before.items()), "nothing or all"
    model.load_state_dict(before)


@given(data=st.data())
@settings(QUICK, max_examples=30, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink takes minutes
def test_damaged_checkpoints(data: st.DataObject, model: Echo, folder: Path) -> None:
    optimizer, averaged = torch.optim.AdamW(model.parameters()), AveragedWeights(model, 0.9)
    save_checkpoint(folder, model, optimizer, averaged, Progress(step=3), "print")
    path, before = folder / CHECKPOINT, {name: value.clone() for name, value in model.state_dict().items()}
    good = path.read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(damaged(st.just(good)) | st.binary(max_size=100)))
    else:
        state = torch.load(path, weights_only=True)
        at = data.draw(st.sampled_from(sorted(state)))
        if data.draw(st.booleans()):
            del state[at]
        else:
            state[at] = data.draw(JSON)
        torch.save(state, path)
    random = torch.get_rng_state()
    found = answer(lambda: load_checkpoint(folder, model, optimizer, averaged, "print"), str(path))
    torch.set_rng_state(random)
    assert found is None or isinstance(found.step, int)
    model.load_state_dict(before)


@given(data=st.data())
@QUICK
def test_damaged_features(data: st.DataObject, folder: Path) -> None:
    """They are never used, whatever of them is left: what comes back is what was made, to the bit."""
    cache = FeatureCache(folder / "cache", FeatureExtractor(FeatureConfig(mels=8, tracker="autocorrelation")))
    sound = np.sin(np.arange(800, dtype=np.float32) / 9)
    made = cache.features(sound)
    (entry,) = (folder / "cache").rglob("*.safetensors")
    good = entry.read_bytes()
    entry.write_bytes(data.draw(damaged(st.just(good))))
    again = cache.features(sound)
    assert torch.equal(made.spectrogram, again.spectrogram) and torch.equal(made.pitch, again.pitch)
    assert entry.read_bytes() == good or torch.equal(made.track, again.track)
    entry.write_bytes(good)


# --- configurations ---


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """A configuration with many of its keys given."""
    return {
        "features": {"mels": 40, "null_relative_db": 40.0, "tracker": "autocorrelation"},
        "text": {"normalizer": "none", "tokenizer": "bpe", "vocabulary": 200},
        "model": {"width": 64, "heads": 2, "features": ["spectrogram", "pitch"], "vrope": {"theta": "axis"}},
        "train": {"max_steps": 50, "speeds": [0.9, 1.0], "augment": {"time_masks": 1}, "curriculum": {"pitch": 10}},
        "decode": {"beam": 4, "length_bonus": 0.5},
    }


def check_config(path: Path) -> None:
    sections = answer(lambda: read_config(path))
    if sections is not None:
        assert {name: type(value) for name, value in sections.items()} == SECTIONS


@given(data=st.data())
@settings(QUICK, max_examples=60)
def test_changed_configurations(data: st.DataObject, written: dict[str, Any], folder: Path) -> None:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(data.draw(changed(written)), allow_unicode=True), encoding="utf-8")
    check_config(path)


@given(data=st.data())
@settings(QUICK, max_examples=60)
def test_damaged_configurations(data: st.DataObject, written: dict[str, Any], folder: Path) -> None:
    path = folder / "damaged.yaml"
    good = yaml.safe_dump(written).encode()
    odd = st.text("{}[]:,&*!|>-?#%@`'\"\n\t ab1.é\x85\u2028", max_size=40).map(str.encode)
    path.write_bytes(data.draw(damaged(st.just(good)) | odd | st.binary(max_size=60)))
    check_config(path)


# --- what was found so ---


def test_a_name_of_several_lines_is_told_in_one(folder: Path) -> None:
    path = folder / "lines.yaml"
    path.write_text(yaml.safe_dump({"features": {"first\nsecond": 1}}))
    with pytest.raises(EchoError, match="unknown key features.first second"):
        read_config(path)


def test_a_tokenizer_that_no_longer_splits_texts_encodes_none(folder: Path) -> None:
    """Its ids would be 0, which is the end of every text."""
    Tokenizer.train(TEXTS).save(folder / "whole.json")
    content = json.loads((folder / "whole.json").read_text())
    (folder / "whole.json").write_text(json.dumps({**content, "pre_tokenizer": None}))
    with pytest.raises(EchoError, match="tokenizer"):
        Tokenizer.load(folder / "whole.json").encode("ma1 ma4")


@pytest.mark.parametrize("part", ["averaged", "averaged_updates", "progress", "random"])
@pytest.mark.parametrize("value", [None, {"x": 1}])
def test_a_checkpoint_of_which_a_part_is_something_else(
    part: str, value: dict[str, int] | None, model: Echo, folder: Path
) -> None:
    optimizer, averaged = torch.optim.AdamW(model.parameters()), AveragedWeights(model, 0.9)
    save_checkpoint(folder, model, optimizer, averaged, Progress(), "print")
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    if value is None:
        del state[part]
    else:
        state[part] = value
    torch.save(state, folder / CHECKPOINT)
    with pytest.raises(EchoError, match="damaged checkpoint"):
        load_checkpoint(folder, model, optimizer, averaged, "print")
