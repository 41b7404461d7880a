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
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from echo_asr.errors import EchoError
from echo_asr.renamed import RENAMED, RETIRED, current_value, with_current_names

LARGEST = 1 << 18  # bytes of a configuration file
MOST_VALUES = 10_000  # in one
LONG_VALUE = 20  # characters; a text of so many more counts as another value
DEEPEST = 40  # levels

_NAME = re.compile(r"[^\W\d]\w*(\.\w+)*")  # of an option, dotted where it is nested
Changes = Mapping[str, Any]  # options, as `model.width`, and their values


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
        data = parse_yaml(content.decode(text_encoding(content)), unique=True)
    except FileNotFoundError:
        raise EchoError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EchoError(f"{path}: cannot be read as a configuration ({one_line(error)})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2024-13-45 is no date
        raise EchoError(f"{path}: not valid YAML ({one_line(error)})") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise EchoError(f"{path}: a configuration is a mapping of sections, got {type(data).__name__}")
    return data


def text_encoding(beginning: bytes) -> str:
    """The encoding of a text file, from its first bytes: UTF-16 by its byte-order mark, which some programs of Windows
    write (PowerShell, spreadsheets), else UTF-8, with or without one."""
    return "utf-16" if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def parse_yaml(text: str, unique: bool = False) -> Any:
    """What a YAML text holds, in bounded time and memory.

    Args:
        unique: refuse a mapping that has a name twice, of which YAML keeps the last without a word.

    Raises:
        yaml.YAMLError, ValueError or RecursionError: it is no YAML, or holds very much.
    """
    return yaml.load(text, _UniqueLoader if unique else _Loader)  # SafeLoaders


class PlacedText(str):
    """A text of a YAML file, with the line and the column that it begins in, from 1; behind a quotation mark."""

    line: int
    column: int


def parse_placed_yaml(text: str, most: int) -> Any:
    """What a YAML text of at most so many values holds; its texts are `PlacedText`.

    Raises:
        yaml.YAMLError, ValueError or RecursionError: it is no YAML, or holds more.
    """
    loader = _PlacedLoader(text)
    loader.most = most
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Refuses texts that hold very much, above all by aliases of aliases, each counted as what it stands for."""

    most = MOST_VALUES
    unique = False  # whether a mapping that has a name twice is refused

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
        if self.unique and isinstance(node, yaml.MappingNode):
            _check_names(node)
        if alias:
            self.held += self.sizes.get(id(node), self.most)  # one that holds itself has no size yet
        else:
            self.held += 1 + len(node.value) // LONG_VALUE if isinstance(node, yaml.ScalarNode) else 1
            self.sizes[id(node)] = self.held - before
        if self.held > self.most:
            raise yaml.YAMLError(f"over {self.most} values, aliases counted as what they stand for")
        return node


def _check_names(mapping: yaml.MappingNode) -> None:
    """Refuse a mapping that has a name twice."""
    known = set[str]()
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if key.value in known:
                at = key.start_mark
                raise yaml.YAMLError(f"line {at.line + 1}, column {at.column + 1}: {key.value} stands twice")
            known.add(key.value)


class _UniqueLoader(_Loader):
    """Refuses names that stand twice."""

    unique = True


class _PlacedLoader(_Loader):
    """Keeps where texts stand, and refuses names that stand twice."""

    unique = True


def _placed(loader: _PlacedLoader, node: yaml.ScalarNode) -> PlacedText:
    text = PlacedText(loader.construct_scalar(node))
    text.line, text.column = node.start_mark.line + 1, node.start_mark.column + 1 + (node.style in ("'", '"'))
    return text


_PlacedLoader.add_constructor("tag:yaml.org,2002:str", _placed)


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
    plain = {name: asdict(value) if is_dataclass(value) else value for name, value in sections.items()}  # type: ignore[arg-type]
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    try:
        if len(text.encode()) > LARGEST:
            raise ValueError(f"over {LARGEST >> 10} kB")
        parse_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        sizes = {f"{s}.{k}": len(str(v)) for s, one in plain.items() if isinstance(one, dict) for k, v in one.items()}
        longest = max(sizes, key=sizes.__getitem__, default="")
        what = f"could not be read back as a configuration ({one_line(error)})"
        raise EchoError(f"{where}: {what}; shorten {longest}, its longest value") from None
    return text


def build_sections(
    data: Mapping[str, Any],
    sections: Mapping[str, type],
    changes: Changes = MappingProxyType({}),
    where: str = "configuration",
    ignore: Sequence[str] = (),
) -> dict[str, Any]:
    """Typed sections from a mapping, with some of its options changed.

    Args:
        data: what a file holds.
        sections: the dataclass of each section; a section that is not in `data` takes its defaults.
        changes: as `{"model.width": 96}`; they prevail over `data`.
        where: named in errors about `data`.
        ignore: sections that may stand in `data` and are not read.

    Raises:
        EchoError: an unknown section or key (the nearest known one is named), or a value of the wrong type or range.
    """
    data = present_names({name: value for name, value in data.items() if name not in ignore}, where)
    known = {name: _keys(kind) for name, kind in sections.items()}
    for name, value in data.items():
        if name not in sections:
            raise EchoError(f"{where}: unknown section {name!r}{nearest(str(name), sections)}")
        if not isinstance(value, Mapping):
            raise EchoError(f"{where}: section {name!r} must be a mapping of keys, got {value!r}")
        _check_keys(value, known[name], where, name)
    changes = _checked(changes, known)
    parser = _parser(*sections.items())
    source = where
    try:
        parsed = parser.parse_object(data)
        if changes:
            source = "options"  # on the command line, or from Python
            parsed = parser.parse_object(with_changes({}, changes), parsed)
        source = where
        built = parser.instantiate(parsed) if hasattr(parser, "instantiate") else parser.instantiate_classes(parsed)
    except Exception as error:  # jsonargparse raises several kinds; all are the user's values
        raise EchoError(f"{source}: {_readable(error, sections)}") from None
    return {name: getattr(built, name) for name in sections}


@cache
def _parser(*sections: tuple[str, type]) -> Any:
    """Making one takes longer than parsing by it."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, default_env=False, add_help=False)
    for name, kind in sections:
        parser.add_argument(f"--{name}", type=kind, default=kind())
    return parser


def parse_words(words: Sequence[str]) -> dict[str, str | None]:
    """The changes that command-line words make: `--a.b value` or `--a.b=value`. One without a value is None, which
    `build_sections` refuses.

    Raises:
        EchoError: a word that belongs to no option.
    """
    changes: dict[str, str | None] = {}
    option = None  # that waits for its value
    for word in words:
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            changes[option] = value if equals else None
            option = None if equals else option
        elif option is not None:
            changes[option], option = word, None
        else:
            raise EchoError(f"options: unrecognized arguments: {word}")
    return changes


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested or dotted keys as dotted ones; a mapping is a value where it is empty, or has a key that is no name."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping) and value and all(map(_NAME.fullmatch, map(str, value)))
        flat |= flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def with_changes(base: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """A configuration with some options changed; the base itself stays as it is."""
    changed = {key: with_changes(value, {}) if isinstance(value, Mapping) else value for key, value in base.items()}
    for option, value in changes.items():
        group, (*path, last) = changed, option.split(".")
        for name in path:
            if not isinstance(group.get(name), dict):
                group[name] = {}
            group = group[name]
        group[last] = value
    return changed


def _checked(changes: Changes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Changes under the present names of their options.

    Raises:
        EchoError: an option that there is not, that is a group of others, or that has no value.
    """
    checked: dict[str, Any] = {}
    options = _options(known)
    for given, value in changes.items():
        if given in RETIRED:
            raise EchoError(f"--{given} is no longer an option: {RETIRED[given]}")
        option = RENAMED[given][0] if given in RENAMED else given
        if option not in options:
            raise EchoError(f"unknown option --{given}{nearest(given, options, '--')}")
        if option != given:
            warnings.warn(f"--{given} is now --{option}", stacklevel=3)
        if value is None:
            raise EchoError(f"options: argument --{given}: expected one argument")
        if options[option]:
            raise EchoError(f'options: "{option}" is a group of options; give each, as --{option}.OPTION VALUE')
        value = current_value(given, value) if option != given else value
        checked[option] = list(value) if isinstance(value, tuple) else value
    return checked


def present_names(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Sections under the present names of their options, an empty one as a mapping; warns of those renamed.

    Raises:
        EchoError: an option under both its names.
    """
    current, renamed = with_current_names({k: {} if v is None else v for k, v in data.items()}, where)
    if renamed:
        warnings.warn(f"{where}: {renamed}", stacklevel=3)
    return current


def _keys(kind: type) -> dict[str, Any]:
    """Field names of a dataclass; nested dataclasses map to theirs, others to None."""
    hints = get_type_hints(kind)
    return {f.name: _keys(hints[f.name]) if is_dataclass(hints[f.name]) else None for f in fields(kind)}


def _options(keys: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """All options by their dotted names; groups of options have those of the group."""
    found: dict[str, Any] = {}
    for name, nested in keys.items():
        found |= {f"{prefix}{name}": nested} if prefix else {}
        found |= _options(nested, f"{prefix}{name}.") if nested else {}
    return found


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


def one_line(error: object) -> str:
    """An error of a parser in one line, in which the text that it read has no name of its own."""
    return re.sub(r"\s+", " ", str(error).replace('in "<unicode string>", ', "")).strip()


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "tuple": "a list in brackets, as [a, b]",
    "dict": "names and values in braces, as {pitch: 300}, and names that have signs in quotes",
}


def _choices(path: str, sections: Mapping[str, type]) -> tuple[Any, ...]:
    """The values that the option at a dotted path chooses from; none where it takes others."""
    kind: Any = None
    for name in path.strip('"').split("."):
        kind = get_type_hints(kind).get(name) if kind else sections.get(name)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _readable(error: Exception, sections: Mapping[str, type]) -> str:
    text = one_line(error).replace("Parser key ", "").replace("typing.", "")
    text = re.sub(r"<class '(\w+)'>", r"\1", text)
    kind = re.fullmatch(r"(.*?): Expected a (?:typing\.)?(\w+)(?:\[[^\]]*\])?\. Got value: ?(.*)", text)
    choices = _choices(kind[1], sections) if kind else ()
    if kind and choices:  # true and false as YAML writes them
        known = ", ".join(str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices)
        return f"{kind[1]}: expected one of {known}; got {kind[3] or 'nothing'}"
    if literal := re.fullmatch(
        r"(.*?): Expected a Literal\[([^\]]*)\]\. Got value: ?(.*)", text
    ):  # of one value of several
        known = literal[2].replace("'", "")
        return f"{literal[1]}: expected one of {known} for each; got {literal[3] or 'nothing'}"
    if kind and kind[2] in KINDS:
        return f"{kind[1]}: expected {KINDS[kind[2]]}; got {kind[3] or 'nothing'}"
    return text
