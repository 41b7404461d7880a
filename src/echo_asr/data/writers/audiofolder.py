"""Writes an audiofolder (https://huggingface.co/docs/datasets/audio_dataset): for each split a folder with clips, and
their texts in ``metadata.jsonl``.

It is JSON rather than CSV since `datasets` would read texts such as "nan" and "null" as none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.libsndfile import encode_flac
from echo_asr.data.corpus import Utterance
from echo_asr.data.readers.metadata import METADATA_LINES
from echo_asr.data.writers.names import unique_names
from echo_asr.storage import replace_text

IN_A_FOLDER = 1000  # clips: the hub refuses folders of more than 10,000 files
COPIED = (".wav", ".flac", ".mp3", ".ogg", ".opus")  # other formats, and segments, are decoded


def write_audiofolder(folder: Path, split: str, utterances: Sequence[Utterance], done: Callable[[], None]) -> None:
    """Write the utterances of a split into `folder/split`, each with a clip of its own.

    A clip is a copy of the file, or, where the utterance is a segment of one or computed, mono FLAC at 16 kHz.

    Args:
        done: is called after each utterance.

    Raises:
        EchoError: a recording cannot be read.
    """
    lines = []
    names = unique_names((_stem(u) for u in utterances), key=str.casefold)
    for number, (u, name) in enumerate(zip(utterances, names, strict=True)):
        source = u.audio if isinstance(u.audio, Path) and u.audio.suffix.lower() in COPIED else None
        clip = f"{number // IN_A_FOLDER:04d}/{name}{source.suffix.lower() if source else '.flac'}"
        path = folder / split / clip
        path.parent.mkdir(parents=True, exist_ok=True)
        if source:
            shutil.copyfile(source, path)
        else:
            path.write_bytes(encode_flac(load_audio(u.audio), SAMPLE_RATE))
        row = {"file_name": clip, "transcription": u.text, "speaker": u.speaker, "duration": round(u.duration, 6)}
        lines.append(json.dumps({**row, "id": u.id}, ensure_ascii=False) + "\n")
        done()
    replace_text(folder / split / METADATA_LINES, "".join(lines))


def _stem(utterance: Utterance) -> str:
    """The id without the ending of its file."""
    return utterance.id.removesuffix(utterance.audio.suffix if isinstance(utterance.audio, Path) else "")
