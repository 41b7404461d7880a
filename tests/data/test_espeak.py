import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pytest

import echo_asr.data.espeak
from echo_asr.data.espeak import Espeak
from echo_asr.errors import EchoError

LANGUAGE = "cmn-latn-pinyin"
needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="espeakng-loader (the extra echo-asr[synth]) is not installed",
)


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    with Espeak() as engine:
        yield engine


def in_fresh_process(code: str, temporary: Path) -> str:
    """What code prints in a process of its own, since an engine belongs to the whole of a process."""
    source = str(Path(echo_asr.data.espeak.__file__).parents[2])
    head = f"import sys; sys.path.insert(0, {source!r})\n"
    head += "from echo_asr.data.espeak import Espeak\nfrom echo_asr.errors import EchoError\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def f0(samples: np.ndarray, rate: int) -> np.ndarray:
    """F0 in Hz of a vowel's middle 80 %, by librosa's YIN."""
    samples = samples[samples.size // 10 : -samples.size // 10].astype(np.float32) / 32768
    return librosa.yin(samples, fmin=60, fmax=500, sr=rate, frame_length=1024, hop_length=128, center=False)


@needs_espeak
def test_tones_go_where_they_should_and_flat_ones_nowhere(espeak: Espeak) -> None:
    espeak.set_voice(LANGUAGE, "m6", 100, 220)
    tones = {tone: f0(espeak.speak(f"ma{tone}", 130), espeak.sample_rate) for tone in "1234"}
    thirds = {tone: [np.median(part) for part in np.array_split(track, 3)] for tone, track in tones.items()}
    high, rising, dipping, falling = (thirds[tone] for tone in "1234")
    assert rising[2] > 1.1 * rising[0]
    assert falling[2] < 0.9 * falling[1]
    first, second = np.array_split(tones["3"], 2)
    assert second.min() < 0.95 * first.max() and second.min() < 0.95 * second[-1]
    assert min(high) > max(rising[0], *dipping, falling[2])
    assert all(90 < track.min() and track.max() < 220 for track in tones.values())  # Hz, in the range set
    for tone in "1234":
        track = f0(espeak.speak(f"ma{tone}", 130, flat=True), espeak.sample_rate)
        assert np.ptp(np.percentile(track, [5, 95])) < 0.02 * np.median(track)


@needs_espeak
def test_the_pitch_range_is_the_one_set(espeak: Espeak) -> None:
    for low, high in ((80, 160), (160, 320)):
        espeak.set_voice(LANGUAGE, "f2", low, high)
        tracks = np.concatenate([f0(espeak.speak(f"ma{tone}"), espeak.sample_rate) for tone in "1234"])
        bottom, top = np.percentile(tracks, [5, 95])
        assert bottom == pytest.approx(1.15 * low, rel=0.06)
        assert top == pytest.approx(0.8 * high, rel=0.06)


@needs_espeak
def test_flat_speech_keeps_its_times(espeak: Espeak) -> None:
    for variant in ("f2", "klatt"):  # f2 itself has an echo, which rounds lengths up
        espeak.set_voice(LANGUAGE, variant, 120, 240)
        for text in ("ma1", "tao2", "shu3", "ge4"):
            toned, flat = espeak.speak(text), espeak.speak(text, flat=True)
            assert abs(toned.size - flat.size) / espeak.sample_rate < 2 / 120  # seconds: two periods


@needs_espeak
def test_faster_is_shorter_and_voices_differ(espeak: Espeak) -> None:
    espeak.set_voice(LANGUAGE, "m6", 100, 200)
    sizes = [espeak.speak("tao4", rate).size for rate in (espeak.SLOWEST, 120, 180, 260)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]
    here = espeak.speak("ma1")
    assert here.dtype == np.int16 and here.ndim == 1
    espeak.set_voice(LANGUAGE, "m4", 100, 200)
    there = espeak.speak("ma1")
    size = min(here.size, there.size)
    assert np.corrcoef(here[:size], there[:size])[0, 1] < 0.9


@needs_espeak
def test_no_voice_clips(espeak: Espeak) -> None:
    for variant in ("antonio", "iven2", "klatt4"):  # the loudest
        espeak.set_voice(LANGUAGE, variant, 100, 200)
        assert np.abs(espeak.speak("ma1 ge4").astype(int)).max() < 32_700


@needs_espeak
def test_engines_follow_one_another_and_leave_no_files(tmp_path: Path) -> None:
    in_fresh_process(
        """
for _ in range(3):
    with Espeak() as engine:
        engine.set_voice("cmn-latn-pinyin", "m3", 100, 200)
        assert engine.speak("ma1").size
""",
        tmp_path,
    )
    assert not list(tmp_path.iterdir())


@needs_espeak
def test_data_that_is_none_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    reported = in_fresh_process(
        f"""
import espeakng_loader
espeakng_loader.get_data_path = lambda: {str(tmp_path)!r}
try:
    Espeak()
except EchoError as error:
    print(error)
""",
        tmp_path,
    )
    assert f"espeak-ng does not start with its data in {tmp_path}; install echo-asr[synth] again" in reported


@needs_espeak
def test_what_cannot_be_spoken(espeak: Espeak) -> None:
    with pytest.raises(EchoError, match=r"no voice variant 'nobody'; it has: .*f1, f2"):
        espeak.set_voice(LANGUAGE, "nobody", 100, 200)
    with pytest.raises(EchoError, match=r"no voice variant '\.\./\.\./phontab'"):
        espeak.set_voice(LANGUAGE, "../../phontab", 100, 200)
    with pytest.raises(EchoError, match=r"cannot speak 'klingonese'; see the files below lang/"):
        espeak.set_voice("klingonese", "m3", 100, 200)
    with pytest.raises(EchoError, match=r"pitch range is 200 to 100 Hz; expected 0 < low < high"):
        espeak.set_voice(LANGUAGE, "m3", 200, 100)
    with pytest.raises(EchoError, match=r"rate is 1000 words a minute; expected 80 to 450"):
        espeak.speak("ma1", rate=1000)
    with pytest.raises(EchoError, match=r"text is empty; give words"):
        espeak.speak(" ")


def test_without_the_extra_its_name_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(EchoError, match=r"espeak-ng, .*pip install 'echo-asr\[synth\]'"):
        Espeak()
