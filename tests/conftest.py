"""Recordings made of random features, and small models with random weights, for the tests of several stages."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from echo_asr.config import build_sections
from echo_asr.data.batch import make_examples
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.perturbation import Perturbation
from echo_asr.data.precompute import fill_cache
from echo_asr.features import FeatureBatch, FeatureConfig, FeatureExtractor, Features, collate_features
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.config import ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.research.diagnose.monitor import look_inside
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.data import TrainingData
from echo_asr.train.loop import Trainer
from echo_asr.train.recipe import SECTIONS
from echo_asr.train.report import Reporter
from echo_asr.vrope import VRoPEModes
from tests.helpers.commands import Place
from tests.helpers.encoders import states_words, tiny_whisper
from tests.helpers.shared import made_once
from tests.helpers.tone_corpus import CONFIG, SHIFTS, write_config, write_corpus
from tests.helpers.tone_corpus import TEXTS as SPOKEN
from tests.helpers.training import train

settings.register_profile("echo", deadline=None)  # a busy machine makes no test fail
settings.load_profile("echo")
MELS = 8
STATES = 6  # values in a state of a pretrained encoder
VOCABULARY = 7  # ids 0 to 6
LENGTHS = (29, 40, 9, 22)  # frames of 10 ms; none a multiple of 4 but one
TEXTS = ((1, 2, 2, 3), (4, 5), (), (6, 1))  # an empty text, a repeated token, and every token
SMALL = dict(width=32, heads=2, feedforward=24, spectrogram_layers=2, pitch_layers=1, decoder_layers=1, dropout=0.0)

# What a test of the whole model runs with: fields of ModelConfig, those of its vrope under `vrope`.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain, of two features": {},
    "defaults": {
        "features": ("spectrogram",),
        "pitch_input": "auto",
        "vrope": {"theta": "axis", "rotate_values": True},
    },
    "defaults, louder": {
        "features": ("waveform", "spectrogram"),
        "pitch_input": True,
        "pitch_input_gain": 3.0,
        "vrope": {"theta": "axis", "rotate_values": True, "reference": "utterance"},
    },
    "static, inverse power": {"vrope": {"frequencies": "inverse_power", "clock": "encoder"}},
    "theta none": {"vrope": {"theta": "none"}},
    "theta mean": {"vrope": {"theta": "mean"}},
    "theta frame": {"vrope": {"theta": "frame", "clock": "encoder"}},
    "theta integrated": {"vrope": {"theta": "integrated", "radius": "acoustic", "nulls": "weight"}},
    "theta mapped": {"vrope": {"theta": "mapped"}},
    "theta axis": {"vrope": {"theta": "axis", "learn_frequencies": True}},
    "theta axis, utterance": {"vrope": {"theta": "axis", "reference": "utterance", "radius": "acoustic"}},
    "learnt frequencies": {"vrope": {"learn_frequencies": True, "radius": "learned"}, "subsampling": 2},
    "radius alone": {"vrope": {"theta": "none", "radius": "acoustic", "radius_range": 0.9}},
    "bias laplace": {"vrope": {"bias": "laplace"}},
    "bias quadratic": {"vrope": {"bias": "quadratic", "nulls": "hard"}},
    "bias harmonic": {"vrope": {"bias": "harmonic", "nulls": "score"}},
    "all of vrope": {
        "vrope": {"theta": "integrated", "radius": "acoustic", "bias": "quadratic", "nulls": "weight"},
        "text_nulls": "weight",
        "cross_nulls": "weight",
    },
    "all of vrope, reference": {
        "vrope": {"radius": "acoustic", "bias": "harmonic", "nulls": "weight", "backend": "reference"},
        "text_nulls": "hard",
        "cross_nulls": "hard",
    },
    "nulls hard": {"vrope": {"nulls": "hard"}, "text_nulls": "hard", "cross_nulls": "hard"},
    "nulls weight": {"vrope": {"nulls": "weight"}, "text_nulls": "weight", "cross_nulls": "weight"},
    "nulls score": {"vrope": {"nulls": "score"}, "text_nulls": "score", "cross_nulls": "score"},
    "sinusoidal": {"positions": "sinusoidal", "vrope": {"theta": "none"}, "cross_layers": 2},
    "both positions": {"positions": "both", "vrope": {"theta": "axis"}},
    "pitch first": {"features": ("pitch", "spectrogram"), "decoder_layers": 0, "cross_layers": 2},
    "pitch alone": {"features": ("pitch",), "ctc_feature": "pitch", "pitch_layers": 2},
    "spectrogram alone": {"features": ("spectrogram",), "decoder_layers": 2},
    "waveform alone": {"features": ("waveform",), "ctc_feature": "waveform", "waveform_layers": 2},
    "waveform, pitch, spectrogram": {"features": ("waveform", "pitch", "spectrogram"), "waveform_layers": 1},
    "states alone": {"features": ("states",), "ctc_feature": "states", "states_layers": 1},
    "states with pitch": {
        "features": ("states",),
        "ctc_feature": "states",
        "states_layers": 2,
        "pitch_input": True,
        "subsampling": 2,
        "vrope": {"theta": "axis", "rotate_values": True},
    },
    "pitch, states": {"features": ("pitch", "states"), "ctc_feature": "states", "states_layers": 1},
    "blend": {"features": ("pitch", "spectrogram", "waveform"), "combine": "blend", "waveform_layers": 1},
    "joint": {"combine": "joint", "cross_layers": 2, "cross_nulls": "hard"},
    "joint of one": {"features": ("spectrogram",), "combine": "joint"},
    "gate scalar": {"gate": "scalar", "cross_nulls": "none"},
    "gate token": {"gate": "token"},
    "of the speaker": {"vrope": {"theta": "axis", "reference": "speaker", "radius": "acoustic"}, "gate": "pitch"},
    "slower frequencies": {"vrope": {"fastest": 3.0, "theta": "integrated"}},
    "gate pitch": {"gate": "pitch", "vrope": {"reference": "utterance"}},
    "aligned pitch": {"text_pitch": "aligned", "vrope": {"radius": "acoustic"}},
    "aligned pitch, joint": {
        "text_pitch": "aligned",
        "combine": "joint",
        "cross_layers": 2,
        "gate": "pitch",
        "vrope": {"radius": "acoustic", "reference": "utterance"},
    },
    "stop silence": {"stop": "silence", "cross_nulls": "none"},
    "stop silence, no end in loss": {"stop": "silence", "end_in_loss": False, "vrope": {"nulls": "weight"}},
    "stop silence, joint, hard": {"stop": "silence", "end_in_loss": False, "combine": "joint", "cross_nulls": "hard"},
    "stop both": {"stop": "both", "cross_nulls": "score", "features": ("waveform", "spectrogram")},
    "ctc on pitch, subsampling 2": {
        "ctc_feature": "pitch",
        "subsampling": 2,
        "text_nulls": "weight",
        "cross_nulls": "weight",
    },
}


@pytest.fixture(scope="session", autouse=True)
def _alone() -> Iterator[None]:
    """One thread, and one process: those that features are extracted in take seconds to start. Processes that tests
    start get Ctrl-C, as they would not where the tests themselves run in the background."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        yield
    torch.set_num_threads(before)


def features(frames: int, seed: int = 0, mels: int = MELS) -> Features:
    """A recording that begins with silence and then alternates voiced and unvoiced stretches, all of random values;
    from nine frames up it ends in silence, too."""
    draw = torch.Generator().manual_seed(1000 * seed + frames)
    index = torch.arange(frames)
    null = ((index < 2) | (index >= max(frames - frames // 4, 5))) & (frames > 2)
    voiced = ((index // 3) % 2 == 0) & ~null
    track = 220.0 * 2.0 ** (torch.rand(frames, generator=draw) * 2.0 - 1.0)  # Hz, 110 to 440
    energy, periodicity = torch.rand(2, frames, generator=draw).masked_fill(null, 0.0)
    spectrogram = torch.rand(mels, frames, generator=draw).masked_fill(null, 0.0)
    pitch = torch.stack((track * voiced, energy, periodicity))
    waveform = (torch.rand(frames, 160, generator=draw) - 0.5).masked_fill(null[:, None], 0.0).flatten()
    speaker_f0 = 150.0 + frames if frames % 2 else 0.0  # Hz, and sometimes not known
    states = torch.randn(STATES, frames, generator=draw).half()
    return Features(spectrogram, pitch, track, voiced.float(), null, waveform, states, speaker_f0)


def model_config(**options: Any) -> ModelConfig:
    """A narrow model of few layers that hears pitch by an encoder of its own and turns by time alone, unless the
    options say otherwise; `vrope` is a mapping of fields."""
    vrope = VRoPEModes(**{"theta": "static", "rotate_values": False, **options.pop("vrope", {})})
    return ModelConfig(
        **{**SMALL, "features": ("spectrogram", "pitch"), "pitch_input": False, **options, "vrope": vrope}
    )


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Move every parameter off its start, so that nothing is zero, one, or equal to its neighbour."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64).to(parameter.dtype)
            parameter += noise * (0.3 if parameter.dim() < 2 or parameter.shape[-1] == 3 else 0.1)


@pytest.fixture(scope="session")
def make_features() -> Callable[..., Features]:
    """`(frames, seed=0, mels=8)`: random features with silence, voiced and unvoiced frames."""
    return features


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., FeatureBatch]:
    """`(lengths, seed=0, mels=8)`: a batch of random features, each the same whatever the others are."""

    def make(lengths: Sequence[int] = LENGTHS, seed: int = 0, mels: int = MELS) -> FeatureBatch:
        return collate_features([features(frames, seed, mels) for frames in lengths])

    return make


@pytest.fixture(scope="session")
def make_config() -> Callable[..., ModelConfig]:
    """`(**options)`: the configuration of a narrow model of few layers."""
    return model_config


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Echo]:
    """`(seed=0, vocabulary=7, mels=8, **options)`: a narrow model with random weights, in evaluation mode."""

    def make(seed: int = 0, vocabulary: int = VOCABULARY, mels: int = MELS, **options: Any) -> Echo:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Echo(model_config(**options), vocabulary, mels, STATES)
        randomise(model, seed)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def cut() -> Callable[[FeatureBatch, int], FeatureBatch]:
    """`(batch, row)`: one recording of a batch by itself, without padding."""

    def alone(batch: FeatureBatch, row: int) -> FeatureBatch:
        length = int(batch.lengths[row])
        ends = {n: length * 160 if n == "waveform" else length for n in vars(batch)}
        whole = {n: getattr(batch, n)[row : row + 1] for n in ("lengths", "speaker_f0")}
        tensors = {n: t[row : row + 1, ..., : ends[n]] for n, t in vars(batch).items() if n not in whole}
        return replace(batch, **tensors, **whole)

    return alone


@pytest.fixture(scope="session")
def texts() -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids `(4, L)` and their lengths `(4,)`, for a batch of the default lengths: all tokens, one empty text."""
    lengths = torch.tensor([len(text) for text in TEXTS])
    tokens = torch.zeros(len(TEXTS), int(lengths.max()), dtype=torch.long)
    for row, text in enumerate(TEXTS):
        tokens[row, : len(text)] = torch.tensor(text, dtype=torch.long)
    return tokens, lengths


HEARD = ("features", "subsampling", "positions", "gate", "waveform_layers", "states_layers", "pitch_layers", "vrope")
# One of the options for each way to encode: the decoder's own make no difference there.
ENCODING = {str([options.get(name) for name in HEARD]): name for name, options in reversed(OPTIONS.items())}


@pytest.fixture(params=list(reversed(ENCODING.values())), scope="session")
def encoding(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each in turn of the options with which sound is encoded otherwise."""
    return dict(OPTIONS[request.param])


@pytest.fixture(params=list(OPTIONS), scope="session")
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each in turn of a spread of options of the model."""
    return dict(OPTIONS[request.param])


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of these tests, and of the processes that they start: never the one of the person who runs them."""
    before = os.environ.get("ECHO_ASR_CACHE")
    folder = tmp_path_factory.getbasetemp() / "echo-cache"
    os.environ["ECHO_ASR_CACHE"] = str(folder)
    yield folder
    os.environ.pop("ECHO_ASR_CACHE")
    if before is not None:
        os.environ["ECHO_ASR_CACHE"] = before


# What follows is made once for all tests, whichever folder or worker asks first.


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Path:
    """12 training, 4 validation and 6 test clips, each of one or two words, and their features in the cache."""
    rows = [(split, text, SHIFTS[split]) for split, texts in SPOKEN.items() for text in texts]
    folder = made_once(tmp_path_factory, "echo-tones", lambda folder: write_corpus(folder, rows))
    cache = FeatureCache(None, FeatureExtractor(FeatureConfig(**CONFIG["features"])))
    fill_cache(cache, [(u, Perturbation(s)) for u in load_corpus(folder).utterances for s in (0.9, 1.0, 1.1)])
    return folder


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that trains a narrow model for 6 updates."""
    return made_once(tmp_path_factory, "echo-config.yaml", write_config)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, config: Path, corpus: Path) -> Path:
    """A run of 6 updates that nothing disturbed. Read it only."""
    return made_once(tmp_path_factory, "echo-undisturbed", lambda folder: train(config, str(corpus), folder))


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A run that was long enough to learn the corpus. Read it only."""
    longer = {"max_steps": 120, "batch_seconds": 20, "speeds": [1.0], "validate_every": 60, "noise_share": 0.8}
    # Trained in noise, too; else what a codec leaves in the pauses makes a clip one of those without speech.
    longer |= {"noisy_copies": 1, "clean_start": 0.5}
    # So few clips would be learnt by heart without masks.
    longer |= {"augment": {"frequency_masks": 2, "frequency_width": 15, "time_masks": 2, "time_share": 0.1}}
    longer |= {"checkpoint_every": 60}  # each takes as long as an update

    def make(folder: Path) -> None:
        train(write_config(folder.with_suffix(".yaml"), train=longer), str(corpus), folder)

    return made_once(tmp_path_factory, "echo-learnt", make)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pretrained encoder: a tiny Whisper with random weights."""
    pytest.importorskip("transformers")
    return made_once(tmp_path_factory, "echo-encoder", tiny_whisper)


@pytest.fixture(scope="session")
def learnt_states(tmp_path_factory: pytest.TempPathFactory, corpus: Path, encoder: Path) -> Path:
    """A run of a model that reads the states of `encoder`, long enough to learn the corpus. Read it only."""
    words = [*states_words(encoder), "--train.max_steps", "120", "--train.batch_seconds", "20"]
    words += ["--train.validate_every", "60", "--train.checkpoint_every", "60"]

    def make(folder: Path) -> None:
        train(Path("pretrained"), str(corpus), folder, words)

    return made_once(tmp_path_factory, "echo-learnt-states", make)


@pytest.fixture
def make_trainer(corpus: Path, tmp_path: Path) -> Callable[..., Trainer]:
    """`(**options of TrainConfig)`: a trainer of a narrow model in a folder of its own."""

    def make(folder: str = "run", **options: Any) -> Trainer:
        sections = build_sections({**CONFIG, "train": {**CONFIG["train"], **options}}, SECTIONS)
        rows = load_corpus(corpus)
        tokenizer = Tokenizer.train([u.text for u in rows.utterances])
        cache = FeatureCache(None, FeatureExtractor(sections["features"]))
        data = TrainingData(rows, tokenizer, normalize_basic, sections["train"], 4, cache)
        validation = make_examples(rows.split("validation"), tokenizer, normalize_basic)
        torch.manual_seed(0)
        model = Echo(sections["model"], tokenizer.vocabulary_size, sections["features"].mels)
        bundle = Bundle(model, tokenizer, sections["features"], sections["text"])
        run = tmp_path / folder
        bundle.save(run)
        reporter = Reporter(run, tensorboard=False)
        return Trainer(bundle, data, validation, sections["train"], run, reporter, monitor=look_inside)

    return make


@pytest.fixture
def place(tmp_path: Path, corpus: Path, config: Path, learnt: Path) -> Place:
    """A folder of the test's own, and the names of corpus, configuration and model for command lines."""
    return Place(tmp_path, corpus=corpus, config=config, model=learnt)
