"""Synthetic corpora: `synth:tones` and `synth:tones-flat`, which differ in F0 alone, and an earlier edition.

`tones` has a vocabulary whose words differ in pitch; `tones-flat` is the same speech with the F0 of every word
constant, and clips of equal file names. A model that recognises the one but not the other uses pitch. Texts and voices
are in `echo_asr.data.tones`. `tones-2026-11` is `tones` with the voices of an earlier edition.

`tones` and `tones-flat` are rendered together, once, by a fresh process (`python -m echo_asr.data.synth`), which makes
them repeatable to the byte, and into a temporary folder that is renamed when complete. Beside `metadata.csv`
each has `boundaries.jsonl`: the words of every clip with their true start and end in seconds.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.console import console
from echo_asr.data.espeak import Espeak
from echo_asr.data.tones import LANGUAGE, VOCABULARY, VOICES, Recipe, speak_clips
from echo_asr.errors import EchoError
from echo_asr.libraries import default_cache_root
from echo_asr.output import use_utf8_streams
from echo_asr.storage import create_folder

NAMES = ("tones", "tones-flat")
EDITIONS = {"tones-2026-11": Recipe(edition="2026-11", validation=100)}  # earlier ones of `tones`
COLUMNS = ("file_name", "transcription", "speaker", "split", "duration")
MODULE = "echo_asr.data.synth"
VERSION = 2  # raised with any change to this module or to `tones` that changes the samples


def synthetic_corpus(name: str, root: Path | None = None, recipe: Recipe | None = None) -> Path:
    """The folder of a synthetic corpus, which is rendered if it does not exist.

    Args:
        name: one of NAMES or EDITIONS.
        root: folder of the cache; None for the default, $ECHO_ASR_CACHE or ~/.cache/echo-asr.
        recipe: texts and voices; None for the default, which takes about 15 seconds and 150 MB.

    Raises:
        EchoError: no corpus has that name, the extra is missing, or the cache cannot be written.
    """
    if name not in (*NAMES, *EDITIONS):
        raise EchoError(f"no synthetic corpus is called {name!r}; there are: {', '.join((*NAMES, *EDITIONS))}")
    if name in EDITIONS:
        name, recipe = NAMES[0], recipe or EDITIONS[name]
    recipe = recipe or Recipe()
    content = repr((VERSION, LANGUAGE, VOCABULARY, VOICES[recipe.edition], recipe))
    key = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = (root or default_cache_root()) / "synth" / f"tones-{key}"
    if not folder.is_dir():
        console().print(f"rendering {' and '.join('synth:' + each for each in NAMES)}, once, into {folder}")
        create_folder(folder, lambda temporary: _render_apart(recipe, temporary), folder)
    return folder / name


def _render_apart(recipe: Recipe, folder: Path) -> None:
    """Render into a folder in a fresh process."""
    package_root = str(Path(__file__).parents[2])  # the package need not be installed
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", MODULE, str(folder), json.dumps(dataclasses.asdict(recipe))]
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"its process ended with {process.returncode}"]
        raise EchoError(f"synthetic speech failed: {lines[-1]}")


def render(recipe: Recipe, folder: Path) -> None:
    """Render a recipe into `folder/tones` and `folder/tones-flat`. Repeatable in a fresh process only."""
    rows: list[tuple[str, ...]] = []
    boundaries: list[str] = []
    with Espeak(recipe.seed) as espeak:
        for number, clip in enumerate(speak_clips(recipe, espeak)):
            file_name = f"{clip.split}/{number:05d}.wav"
            text = " ".join(word.word for word in clip.words)
            seconds = samples_to_seconds(clip.toned.size)
            rows.append((file_name, text, clip.voice, clip.split, f"{seconds:.6f}"))
            times = [dataclasses.asdict(word) for word in clip.words]
            boundaries.append(json.dumps({"file_name": file_name, "words": times}))
            for name, samples in zip(NAMES, (clip.toned, clip.flat), strict=True):
                _write_wav(folder / name / file_name, samples)
    for name in NAMES:
        with (folder / name / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        (folder / name / "boundaries.jsonl").write_text("\n".join([*boundaries, ""]), encoding="utf-8", newline="\n")


def _write_wav(path: Path, samples: np.ndarray) -> None:
    """Samples `(S,)`, full scale at +-1, as 16-bit mono at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)  # bytes
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes())


def main(arguments: Sequence[str]) -> int:
    """The fresh process: render the recipe given as JSON into the folder given before it."""
    use_utf8_streams()
    folder, recipe = arguments
    fields: dict[str, Any] = json.loads(recipe)
    pairs = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    try:
        render(Recipe(**{**fields, **pairs}), Path(folder))
    except EchoError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot write {folder}: {error.strerror}; make room there, or set ECHO_ASR_CACHE", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
