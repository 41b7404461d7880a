"""The files that a command reads, which none that it writes may replace."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.data.corpus import Utterance

LISTS = ("files", "words", "hotwords", "grammar", "text_file")  # arguments that name a file
OPTIONS = ("decode.grammar", "decode.lm")  # options that do
_VALUES = re.compile(r"^\s*\{[^{}]*\}\s*=\s*@(.+?)(?:\s#.*)?$", re.MULTILINE)  # a list of a grammar that is a file


def refuse_to_replace(targets: Sequence[Path], arguments: argparse.Namespace, more: Iterable[Path] = ()) -> None:
    """Refuse to write over what the command reads: files that its arguments name, those of its model, and some more.

    Raises:
        EchoError: a target is one of them.
    """
    from echo_asr.decode.outputs import refuse_inputs

    refuse_inputs(targets, [*_named(arguments), *more])


def _named(arguments: argparse.Namespace) -> Iterator[Path]:
    from echo_asr.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS

    names = [getattr(arguments, name, None) for name in LISTS]
    names += [arguments.changes.get(name) for name in OPTIONS] if hasattr(arguments, "changes") else []
    yield from (Path(name) for name in names if name)
    yield from getattr(arguments, "like", None) or ()
    for grammar in (getattr(arguments, "grammar", None), getattr(arguments, "changes", {}).get("decode.grammar")):
        if grammar:
            yield from grammar_files(Path(grammar))
    if model := getattr(arguments, "model", None):
        yield from (model / name for name in (CONFIG, WEIGHTS, TOKENIZER))


def grammar_files(grammar: Path) -> list[Path]:
    """The files of values that a grammar refers to; none where it cannot be read, which is said elsewhere."""
    from echo_asr.text.textfile import read_text_file

    try:
        text = read_text_file(grammar).data.decode("utf-8", "replace")
    except EchoError:
        return []
    return [grammar.parent / found.strip() for found in _VALUES.findall(text.replace("\r\n", "\n"))]


def refuse_in_corpus(targets: Iterable[Path], spec: str) -> None:
    """Refuse to write over a file of a corpus: the one that it is, or any that is in its folder or below.

    Raises:
        EchoError: a target is there, and one of these.
    """
    corpus = _corpus_path(spec)
    if corpus is None:
        return
    home = corpus.resolve()
    for target in targets:
        if target.exists() and target.resolve().is_relative_to(home):
            what = "is the corpus" if target.resolve() == home else "is in the folder of the corpus"
            raise EchoError(f"{target}: {what}, where nothing is replaced; choose another place for the output")


def _corpus_path(spec: str) -> Path | None:
    """The file or the folder that a corpus is, without what follows its path; None for one that is neither."""
    from echo_asr.data.readers.forms import HUB_PREFIX, SYNTH_PREFIX

    if spec.startswith((SYNTH_PREFIX, HUB_PREFIX)):
        return None
    ends = [len(spec), *(found.start() for found in re.finditer("[@:]", spec))]
    paths = (Path(spec[:end]).expanduser() for end in sorted(ends, reverse=True) if end)
    return next((path for path in paths if path.exists()), None)


def audio_files(utterances: Iterable[Utterance]) -> list[Path]:
    """The recordings of utterances, each once; computed ones are no files."""
    found = dict.fromkeys(getattr(utterance.audio, "path", utterance.audio) for utterance in utterances)
    return [path for path in found if isinstance(path, Path)]
