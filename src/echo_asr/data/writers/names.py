"""Names of utterances and recordings in other programs' tables."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from echo_asr.data.corpus import Utterance
from echo_asr.data.readers.records import file_of

SPLITS = {"train": "train", "validation": "dev", "test": "test"}  # as Kaldi and lhotse call them
LONGEST = 100  # characters of a name
LARGEST = 200  # bytes of it: names of files may have 255, of which endings and numbers are a part


def unique_names(texts: Iterable[str], key: Callable[[str], str] = str) -> Iterator[str]:
    """A `plain_name` for each text; those that would be equal get a number.

    Args:
        key: what must differ: `str.casefold` for names of files.
    """
    seen = Counter[str]()
    for text in texts:
        name = plain_name(text)
        while seen[key(name)]:
            seen[key(name)] += 1
            name = f"{plain_name(text)}_{seen[key(name)]}"
        seen[key(name)] += 1
        yield name


def recording_names(utterances: Sequence[Utterance]) -> tuple[list[str], dict[str, str]]:
    """The whole path of the recording of each utterance, and a name for each of these recordings."""
    paths = [os.path.abspath(file_of(u.audio)) for u in utterances]  # type: ignore[arg-type]
    files = dict.fromkeys(paths)
    return paths, dict(zip(files, unique_names(Path(path).stem for path in files), strict=True))


def plain_name(text: str) -> str:
    """A text as one word of letters, digits, dots, hyphens and underscores."""
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")[-LONGEST:]
    return name.encode("utf-8", "replace")[-LARGEST:].decode("utf-8", "ignore") or "x"
