import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.variants import AlteredAudio, Variant, split_variant
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips, the second of which has the sound of the first."""
    made = tmp_path / "corpus"
    made.mkdir()
    time = np.arange(8000) / SAMPLE_RATE
    for name in ("a.wav", "b.wav"):
        soundfile.write(made / name, 0.2 * np.sin(2 * np.pi * 200 * time), SAMPLE_RATE, subtype="FLOAT")
    (made / "metadata.csv").write_text("file_name,transcription,split\na.wav,one,train\nb.wav,two,validation\n")
    return made


@pytest.mark.parametrize("snr", [-5.0, 0.0, 10.0, 33.3])
@pytest.mark.parametrize("kind", [None, "pink", "clicks"])
def test_noise_lies_as_far_below_as_asked(snr: float, kind: str | None, folder: Path) -> None:
    speech = load_audio(folder / "a.wav")
    for utterance in ("a", "b", "c"):
        noisy = Variant("noise", snr, kind)(speech, utterance)  # type: ignore[arg-type]
        assert noisy.shape == speech.shape
        assert 10 * np.log10(power(speech) / power(noisy.astype(np.float64) - speech)) == pytest.approx(snr, abs=0.1)


def test_gain_is_exact(folder: Path) -> None:
    speech = load_audio(folder / "a.wav")
    for gain in (-20.0, 0.0, 6.0):
        louder = Variant("gain", gain)(speech, "a")
        assert 10 * np.log10(power(louder) / power(speech)) == pytest.approx(gain, abs=1e-4)


def test_pitch_goes_up_and_the_duration_stays(folder: Path) -> None:
    speech = load_audio(folder / "a.wav")
    higher = load_audio(AlteredAudio(folder / "a.wav", Variant("pitch", 3.0), "a"))
    assert len(higher) == len(speech)
    extractor = FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation"))
    f0 = extractor(higher).pitch[0]
    assert float(f0[f0 > 0].median()) == pytest.approx(200 * 2 ** (3 / 12), rel=0.01)


def test_a_suffix_makes_another_corpus_of_the_same_texts(folder: Path) -> None:
    plain, noisy = load_corpus(folder), load_corpus(f"{folder}@pitch:-1@noise:10,kind=pink")
    assert noisy.name == f"{folder}@pitch:-1@noise:10,kind=pink"
    for one, other in zip(plain.utterances, noisy.utterances, strict=True):
        assert (one.id, one.text, one.split, one.duration) == (other.id, other.text, other.split, other.duration)
        assert str(other.audio) == f"{one.audio}@pitch:-1@noise:10,kind=pink"
        expected = Variant("noise", 10.0, "pink")(Variant("pitch", -1.0)(load_audio(one.audio), one.id), one.id)
        assert np.array_equal(load_audio(other.audio), expected)


def test_noise_follows_the_utterance_and_the_seed_alone(folder: Path) -> None:
    first, second = load_corpus(f"{folder}@noise:10").utterances
    assert not np.array_equal(load_audio(first.audio), load_audio(second.audio)), "the same sound, but another id"
    again = pickle.loads(pickle.dumps(first.audio))
    assert np.array_equal(load_audio(again), load_audio(first.audio))
    other = load_corpus(f"{folder}@noise:10,seed=1").utterances[0]
    assert not np.array_equal(load_audio(other.audio), load_audio(first.audio))


def test_the_cache_tells_variants_apart(folder: Path, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", FeatureExtractor(FeatureConfig(mels=24, tracker="autocorrelation")))
    spec = ("", "@gain:-6", "@noise:10", "@noise:10,kind=white", "@noise:12", "@pitch:1", "@flat", "@flat@noise:10")
    utterances = [load_corpus(f"{folder}{suffix}").utterances[0] for suffix in spec]
    for count, utterance in enumerate(utterances):
        assert not cache.holds(utterance.audio)
        features = cache.features(utterance.audio)
        assert cache.holds(utterance.audio)
        assert features.frames == 50
        assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == count + 1
    second = load_corpus(f"{folder}@gain:-6").utterances[1]
    assert cache.holds(second.audio), "nothing is drawn, so the same sound has the same features"
    assert not cache.holds(load_corpus(f"{folder}@noise:10").utterances[1].audio)


def test_a_folder_that_is_called_like_a_variant_is_a_folder(folder: Path) -> None:
    renamed = folder.with_name("corpus@gain:3")
    os.rename(folder, renamed)
    assert split_variant(str(renamed)) is None
    assert load_corpus(renamed).utterances[0].audio == renamed / "a.wav"
    assert load_corpus(f"{renamed}@gain:3").name.endswith("@gain:3@gain:3")


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("@niose:10", "no variant is called 'niose'; there are: noise, gain, pitch, flat"),
        ("@noise", "@noise takes dB from -40 to 100, as in @noise:2, got ''"),
        ("@noise:loud", "got 'loud'"),
        ("@noise:nan", "got 'nan'"),
        ("@pitch:40", "@pitch takes semitones from -24 to 24, as in @pitch:2, got '40'"),
        ("@noise:10,kind=rain", "not an option: 'kind=rain'; noise takes kind=KIND"),
        ("@gain:3,seed=1", "not an option: 'seed=1'; @gain takes none"),
        ("@flat:3", "@flat takes no amount"),
        ("@noise:1@gain:x", "@gain takes dB"),
    ],
)
def test_what_is_no_variant_is_refused(suffix: str, message: str, folder: Path) -> None:
    with pytest.raises(EchoError, match="corpus .*: ") as refused:
        load_corpus(f"{folder}{suffix}")
    assert message in str(refused.value)
