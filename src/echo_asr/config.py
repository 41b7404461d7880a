"""Configuration files to frozen dataclasses: YAML, typed, overridable, with one-line errors.

A configuration is a mapping of sections (`model`, `train`, ...), each a frozen dataclass. jsonargparse does the
typing; this is the one module that imports it.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from echo_asr.errors import EchoError
from echo_asr.renamed import RETIRED, current_word, with_current_names

LARGEST = 1 << 18  # bytes of a configuration file
MOST_VALUES = 10_000  # in one
LONG_VALUE = 20  # characters; a text of so many more counts as another value
DEEPEST = 40  # levels


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping that a YAML file holds, in UTF-8, or in UTF-16 with a byte-order mark.

    Raises:
        EchoError: the file is missing, cannot be read, is not YAML, or holds no mapping.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise EchoError(f"{path}: larger than {LARGEST >> 10} kB, as no configuration is; give another file")
        data = parse_yaml(content.decode(text_encoding(content)))
    except FileNotFoundError:
        raise EchoError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EchoError(f"{path}: cannot be read as a configuration ({_one_line(error)})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2024-13-45 is no date
        raise EchoError(f"{path}: not valid YAML ({_one_line(error)})") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise EchoError(f"{path}: a configuration is a mapping of sections, got {type(data).__name__}")
    return data


def text_encoding(beginning: bytes) -> str:
    """The encoding of a text file, from its first bytes: UTF-16 by its byte-order mark, which some programs of Windows
    write (PowerShell, spreadsheets), else UTF-8, with or without one."""
    return "utf-16" if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def parse_yaml(text: str) -> Any:
    """What a YAML text holds, in bounded time and memory.

    Raises:
        yaml.YAMLError, ValueError or RecursionError: it is no YAML, or holds very much.
    """
    return yaml.load(text, _Loader)  # a SafeLoader


class _Loader(yaml.SafeLoader):
    """Refuses texts that hold very much, above all by aliases of aliases, each counted as what it stands for."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.held = self.depth = 0  # values so far, long ones as several; levels around the next one
        self.sizes: dict[int, int] = {}  # values that a node stands for

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias, before = self.check_event(yaml.AliasEvent), self.held
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if alias:
            self.held += self.sizes.get(id(node), MOST_VALUES)  # one that holds itself has no size yet
        else:
            self.held += 1 + len(node.value) // LONG_VALUE if isinstance(node, yaml.ScalarNode) else 1
            self.sizes[id(node)] = self.held - before
        if self.held > MOST_VALUES:
            raise yaml.YAMLError(f"over {MOST_VALUES} values, aliases counted as what they stand for")
        return node


def write_yaml(path: str | os.PathLike[str], sections: Mapping[str, Any]) -> None:
    """Write sections (dataclasses or plain mappings) as YAML that `build_sections` reads back to equal values.

    Raises:
        EchoError: they hold more than a configuration that is read may.
    """
    Path(path).write_text(yaml_text(sections, str(path)), encoding="utf-8", newline="\n")


def yaml_text(sections: Mapping[str, Any], where: str) -> str:
    """Sections (dataclasses or plain mappings) as YAML that `read_yaml` takes; `where` is named in errors.

    Raises:
        EchoError: they hold more than a configuration that is read may.
    """
    plain = {name: _plain(asdict(value) if is_dataclass(value) else value) for name, value in sections.items()}  # type: ignore[arg-type]
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    try:
        if len(text.encode()) > LARGEST:
            raise ValueError(f"over {LARGEST >> 10} kB")
        parse_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        sizes = {f"{s}.{k}": len(str(v)) for s, one in plain.items() if isinstance(one, dict) for k, v in one.items()}
        longest = max(sizes, key=sizes.__getitem__, default="")
        raise EchoError(
            f"{where}: could not be read back as a configuration ({_one_line(error)}); shorten {longest}, its longest "
            "value"
        ) from None
    return text


def build_sections(
    data: Mapping[str, Any],
    sections: Mapping[str, type],
    overrides: Sequence[str] = (),
    where: str = "configuration",
    ignore: Sequence[str] = (),
) -> dict[str, Any]:
    """Typed sections from a mapping and `--section.key value` overrides.

    Args:
        data: what the file says.
        sections: the dataclass of each section; a section that is not given takes its defaults.
        overrides: command-line words, `--a.b value` or `--a.b=value`.
        where: named in errors.
        ignore: sections that may stand in `data` and are not read.

    Raises:
        EchoError: an unknown section or key (the nearest known one is named), or a value of the wrong type or range.
    """
    data = {name: {} if value is None else value for name, value in data.items() if name not in ignore}
    data, renamed = with_current_names(data, where)
    if renamed:
        warnings.warn(f"{where}: {renamed}", stacklevel=2)
    overrides = [current_word(word) for word in _joined(overrides)]
    known = {name: _keys(kind) for name, kind in sections.items()}
    for name, value in data.items():
        if name not in sections:
            raise EchoError(f"{where}: unknown section {name!r}{nearest(str(name), sections)}")
        if not isinstance(value, Mapping):
            raise EchoError(f"{where}: section {name!r} must be a mapping of keys, got {value!r}")
        _check_keys(value, known[name], where, name)
    for word in overrides:
        if word.startswith("--"):
            path = word[2:].split("=", 1)[0]
            if path in RETIRED:
                raise EchoError(f"--{path} is no longer an option: {RETIRED[path]}")
            flat = [f"{name}.{key}" for name in known for key in _flat(known[name])]
            if path not in flat:
                raise EchoError(f"unknown option --{path}{nearest(path, flat, '--')}")
    parser = _parser(*sections.items())
    told = where
    try:
        parsed = parser.parse_object(data)
        if overrides:
            told = "options"  # on the command line, or from Python
            parsed = parser.parse_args(overrides, namespace=parsed)
        told = where
        built = parser.instantiate(parsed) if hasattr(parser, "instantiate") else parser.instantiate_classes(parsed)
    except EchoError:
        raise
    except Exception as error:  # jsonargparse raises several kinds; all are the user's values
        raise EchoError(f"{told}: {_readable(error, sections)}") from None
    return {name: getattr(built, name) for name in sections}


@cache
def _parser(*sections: tuple[str, type]) -> Any:
    """Making one takes longer than parsing by it."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, default_env=False, add_help=False)
    for name, kind in sections:
        parser.add_argument(f"--{name}", type=kind, default=kind())
    return parser


def _joined(words: Sequence[str]) -> list[str]:
    """`--a.b value` as `--a.b=value`: argparse would take the value -3e-4 for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].startswith("--") and "=" not in joined[-1] and not word.startswith("--"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _keys(kind: type) -> dict[str, Any]:
    """Field names of a dataclass; nested dataclasses map to theirs, others to None."""
    hints = get_type_hints(kind)
    return {f.name: _keys(hints[f.name]) if is_dataclass(hints[f.name]) else None for f in fields(kind)}


def _flat(keys: Mapping[str, Any], prefix: str = "") -> list[str]:
    flat = []
    for name, nested in keys.items():
        flat.append(prefix + name)
        if nested:
            flat += _flat(nested, f"{prefix}{name}.")
    return flat


def _check_keys(value: Mapping[str, Any], known: Mapping[str, Any], where: str, path: str) -> None:
    for key, inner in value.items():
        if f"{path}.{key}" in RETIRED:
            raise EchoError(f"{where}: {path}.{key} is no longer an option: {RETIRED[f'{path}.{key}']}")
        if key not in known:
            raise EchoError(f"{where}: unknown key {path}.{key}{nearest(str(key), known)}")
        if inner is None:
            raise EchoError(f"{where}: {path}.{key} has no value; give it one, or leave the key out")
        if known[key]:
            if not isinstance(inner, Mapping):
                raise EchoError(f"{where}: {path}.{key} must be a mapping of keys, got {inner!r}")
            _check_keys(inner, known[key], where, f"{path}.{key}")


def nearest(word: str, known: Any, prefix: str = "") -> str:
    """The end of a message about an unknown word: the known one that comes nearest, or all of them."""
    close = difflib.get_close_matches(word, [str(k) for k in known], n=1, cutoff=0.5)
    if close:
        return f"; did you mean {prefix}{close[0]}?"
    names = sorted(str(k) for k in known)
    return "; known: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _one_line(error: object) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "tuple": "a list in brackets, as [a, b]",
    "dict": "names and values in braces, as {pitch: 300}",
}


def _choices(path: str, sections: Mapping[str, type]) -> tuple[Any, ...]:
    """The values that the option at a dotted path chooses from; none where it takes others."""
    kind: Any = None
    for name in path.strip('"').split("."):
        kind = get_type_hints(kind).get(name) if kind else sections.get(name)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _readable(error: Exception, sections: Mapping[str, type]) -> str:
    text = _one_line(error).replace("Parser key ", "").replace("typing.", "")
    text = re.sub(r"<class '(\w+)'>", r"\1", text)
    kind = re.fullmatch(r"(.*?): Expected a (?:typing\.)?(\w+)(?:\[[^\]]*\])?\. Got value: ?(.*)", text)
    choices = _choices(kind[1], sections) if kind else ()
    if kind and choices:  # true and false as YAML writes them
        known = ", ".join(str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices)
        return f"{kind[1]}: expected one of {known}; got {kind[3] or 'nothing'}"
    if kind and kind[2] in KINDS:
        return f"{kind[1]}: expected {KINDS[kind[2]]}; got {kind[3] or 'nothing'}"
    group = re.match(r'"([\w.]+)": Unable to load config', text)
    if group:
        return f'"{group[1]}" is a group of options; give them one by one, as --{group[1]}.OPTION VALUE'
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
