"""Speech from espeak-ng, the formant synthesiser, through ctypes; the library comes with the extra `echo-asr[synth]`.

A voice here is the *timbre* of one of espeak-ng's voice variants (formants, source, consonants) under a pitch range
that the caller chooses. The variants' own pitch ranges, roughness, flutter and echo are left out: their ranges span few
semitones, roughness doubles the period now and then, and an echo runs on into the next word. What espeak-ng
does with a line of a voice file: https://github.com/espeak-ng/espeak-ng/blob/master/docs/voices.md

espeak-ng is one engine a process, and earlier utterances affect later ones (the state of its source and of its
random numbers, which it seeds by the clock unless given a seed). Only a fresh process that synthesises the same texts
in the same order, from the same seed, gives the same samples to the bit.
"""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np

from echo_asr.errors import EchoError

# Keys of the lines of a voice file that determine the timbre.
TIMBRE_KEYS = frozenset({"breath", "breathw", "consonants", "formant", "klatt", "tone", "voicing"})

VOICE_FILE = "echo-asr-voice"

# Of espeak-ng's speak_lib.h:
_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_TEXT_IS_UTF8 = 1
_RATE, _VOLUME, _RANGE = 1, 2, 4  # parameters
_NORMAL_RANGE = 50  # the pitch range that the voice file states
_VOLUME_PERCENT = 40  # of its normal volume, at which many voices clip

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The speech engine of this process, as a context manager.

    Args:
        seed: of its random numbers (breath and flutter).

    Attributes:
        SLOWEST, FASTEST: words a minute, the rates that espeak-ng can speak at.
        sample_rate: Hz, of what `speak` returns.

    Raises:
        EchoError: the extra is not installed, or espeak-ng does not start.
    """

    SLOWEST, FASTEST = 80, 450

    def __init__(self, seed: int = 0) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise EchoError("synthetic speech needs espeak-ng, an extra: pip install 'echo-asr[synth]'") from None
        data = Path(espeakng_loader.get_data_path())
        self._variants = data / "voices" / "!v"
        self._library: Any = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        rate = self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, str(data).encode(), _DO_NOT_EXIT)
        if rate <= 0:
            raise EchoError(f"espeak-ng does not start with its data in {data}; install echo-asr[synth] again")
        self.sample_rate: int = rate
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._samples: list[np.ndarray] = []
        # A reference is kept, since espeak-ng calls it as long as the engine lives.
        self._callback = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)
        self._folder = tempfile.TemporaryDirectory(prefix="echo-asr-voice-")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._library.espeak_Terminate()
        self._folder.cleanup()

    def variants(self) -> tuple[str, ...]:
        """The names of the voice variants, sorted."""
        return tuple(sorted(path.name for path in self._variants.iterdir()))

    def set_voice(self, language: str, variant: str, low: int, high: int) -> None:
        """Set the language, the timbre (of a voice variant), and a pitch range of `low` to `high` Hz.

        The range is espeak-ng's `pitch` line. Mandarin tones then lie between about 1.1 `low` and 0.8 `high`.

        Raises:
            EchoError: no such variant or language, or a range that is not 0 < low < high.
        """
        if not 0 < low < high:
            raise EchoError(f"pitch range is {low} to {high} Hz; expected 0 < low < high")
        if variant not in self.variants():
            raise EchoError(f"espeak-ng has no voice variant {variant!r}; it has: {', '.join(self.variants())}")
        text = (self._variants / variant).read_text(encoding="utf-8", errors="replace")
        timbre = [line.strip() for line in text.splitlines() if line.split()[:1] and line.split()[0] in TIMBRE_KEYS]
        voice = [f"name {variant}", f"language {language}", f"pitch {low} {high}", "roughness 0", "flutter 1"]
        # Loading a voice file does not fail on a language without rules, so the language is tried by itself first.
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise EchoError(f"espeak-ng cannot speak {language!r}; see the files below lang/ in its data folder")
        with contextlib.chdir(self._folder.name):  # espeak-ng finds no file by a path of over 50 characters or so
            Path(VOICE_FILE).write_text("\n".join([*voice, *timbre, ""]), encoding="utf-8", newline="\n")
            failed = self._library.espeak_ng_SetVoiceByFile(VOICE_FILE.encode())
        if failed:
            raise EchoError(f"espeak-ng refuses the voice variant {variant!r} ({failed:#x}); choose another")

    def speak(self, text: str, rate: int = 175, flat: bool = False) -> np.ndarray:
        """Samples `(S,)` int16 of a text, without a pause at its end.

        Args:
            text: in the spelling of the language (`cmn-latn-pinyin`: "ma1").
            rate: words a minute, nominally; 80 to 450.
            flat: hold F0 at the middle of the range; durations stay, to about one period of the voice.

        Raises:
            EchoError: the rate is out of range, or espeak-ng gives no audio for the text.
        """
        if not self.SLOWEST <= rate <= self.FASTEST:
            raise EchoError(f"rate is {rate} words a minute; expected {self.SLOWEST} to {self.FASTEST}")
        if not text.strip():
            raise EchoError("text is empty; give words for espeak-ng to speak")
        self._samples.clear()
        settings = {_RATE: rate, _RANGE: 0 if flat else _NORMAL_RANGE, _VOLUME: _VOLUME_PERCENT}
        for parameter, value in settings.items():
            self._library.espeak_SetParameter(parameter, value, 0)
        line = text.encode() + b"\0"
        failed = self._library.espeak_Synth(line, len(line), 0, 0, 0, _TEXT_IS_UTF8, None, None)
        if failed or not self._samples:
            raise EchoError(f"espeak-ng gives no audio for {text!r}; give words of the voice's language")
        return np.concatenate(self._samples)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # go on
