"""Restricts a data set of the hub, or a copy of one, to its own files.

A user's own list of recordings (``metadata.csv``, ``wav.scp``, manifests, ``.eaf``) may name files anywhere, which are
read in place and never copied; an address is never requested.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from echo_asr.config import parse_yaml
from echo_asr.data.readers.records import Problems, Record, file_of
from echo_asr.errors import EchoError

LARGEST_CLIP = 1 << 30  # bytes, an hour and a half of a studio's stereo
UNPACKED = 256 << 20  # bytes that any table may unpack to
RATIO = 100  # times its own size that a table may unpack to beyond that
TOO_MUCH = f"unpacks to over {RATIO} times its size, as no table of clips does; take it out"
CARDS = ("README.md", ".huggingface.yaml")  # files of a repository whose YAML names its tables
CARD_SIZE = 1 << 18  # bytes of the YAML, at most
PACKED = ("zip", "tar", "gzip", "bz2", "xz", "zstd")  # protocols of fsspec that read inside a file of the data set
REFUSED = "outside of the data set; it is neither copied nor fetched: take it out"


MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}  # of this machine, not of a row
NETWORK = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
NETWORK_LIBRARIES = (
    "aiohttp", "asyncio", "fsspec", "http", "httpcore", "httpx", "huggingface_hub", "requests", "socket", "ssl",
    "urllib3",
)  # fmt: skip
OF_THE_FILE = (400, 404, 410, 414)  # HTTP statuses that concern one address alone


class FileError(Exception):
    """A file that a row names cannot be used; the message follows a name in a sentence."""


class OutsideError(FileError):
    """A path that leads out of a data set."""


class HubFiles:
    """The files of a data set of the hub, or of a copy of one in a folder, to which its rows are restricted.

    Args:
        repo: its name on the hub.
        folder: the copy; None for one of the hub.
    """

    def __init__(self, repo: str, folder: Path | None = None) -> None:
        self.repo, self.folder = repo, folder
        self.size = 0  # bytes of the tables, if they are on this machine
        self._roots: list[Path] = []
        if folder is not None:
            root = folder.resolve()
            self._roots = [root]
            if root.parent.name == "snapshots":  # the hub's own cache, where files are links into the folder beside it
                self._roots.append(root.parent.parent / "blobs")

    def holds(self, path: Path) -> bool:
        """Whether a file lies in the folder, links followed."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):  # circular links, a NUL character
            return False
        return any(real.is_relative_to(root) for root in self._roots)

    def locate(self, name: str) -> str:
        """The path or the address, for fsspec, of a file that a row names.

        Raises:
            OutsideError: the file is not of the data set.
        """
        *packed, last = name.split("::")
        if any(re.match(r"([a-z0-9]+)://", part) is None or part.split(":")[0] not in PACKED for part in packed):
            raise OutsideError(f"names {name[:200]}, {REFUSED}")
        if self.folder is not None:
            if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", last) or not self.holds(self.folder / last):
                raise OutsideError(f"names {name[:200]}, {REFUSED}")
            return "::".join([*packed, str(self.folder / last)])
        return "::".join([*packed, self._address(name, last)])

    def _address(self, name: str, last: str) -> str:
        home = f"hf://datasets/{self.repo}"
        if "://" not in last and not posixpath.isabs(last) and "\\" not in last and not re.match("[A-Za-z]:", last):
            last = f"{home}/{last}"  # beside the tables
        web = rf"https://huggingface\.co/datasets/{re.escape(self.repo)}/resolve/[^/]+"
        at = re.fullmatch(rf"(?:{re.escape(home)}(?:@[^/]+)?|{web})/(.+)", last)
        if not at or ".." in at[1].split("/"):
            raise OutsideError(f"names {name[:200]}, {REFUSED}")
        return last

    def read(self, name: str) -> bytes:
        """The bytes of a file that a row names.

        Raises:
            OutsideError: the file is not of the data set.
            FileError: it does not exist, cannot be read or unpacked, or is too large for a clip.
            Exception: the network fails, or this machine lacks memory, disk space or file handles.
        """
        import fsspec  # comes with datasets

        where = self.locate(name)
        try:
            with fsspec.open(where, "rb") as file:
                data: bytes = file.read(LARGEST_CLIP + 1)
        except Exception as error:  # of file systems and archive formats
            if _is_of_machine_or_network(error, self.folder is None):
                raise
            if isinstance(error, FileNotFoundError):
                raise FileError(f"names {name[:200]}, which is not there") from None
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise FileError(f"names {name[:200]}, which cannot be read ({reason})") from None
        if len(data) > LARGEST_CLIP:
            raise FileError(f"names {name[:200]}, which is larger than {LARGEST_CLIP >> 30} GB; cut it")
        return data

    def records(self, records: Iterable[Record], problems: Problems) -> Iterator[Record]:
        """The records whose recordings are files of the data set; the others are problems."""
        for record in records:
            path = file_of(record.audio)
            if (path.is_symlink() or path.exists()) and not self.holds(path):
                problems.add(record.where, f"names {path}, {REFUSED}")
            else:
                yield record

    def take_out(self, tables: list[Any]) -> list[str]:
        """Remove from the tables of a split those that are damaged or would exhaust memory, by their footers, and
        return what is wrong with each. Where all are damaged they stay, so that the library reports it.

        Raises:
            EchoError: a table is not of the data set, or all would exhaust memory.
        """
        try:
            for table in tables:
                self.locate(str(table))
        except OutsideError as error:
            raise EchoError(f"the data set hf:{self.repo} {error}") from None
        if self.folder is None:
            return []
        self.size += sum(os.path.getsize(table) for table in tables if os.path.isfile(table))
        faults = {table: fault for table in tables if (fault := _table_fault(Path(str(table))))}
        if len(faults) == len(tables):
            for fault in faults.values():
                if TOO_MUCH in fault:
                    raise EchoError(f"hf:{self.repo}: {fault}")
            return []
        tables[:] = [table for table in tables if table not in faults]
        return list(faults.values())

    def bound(self, written: int) -> None:
        """Refuse a copy whose clips are far larger than its tables, which may hold one clip a thousand times.

        Args:
            written: bytes of clips so far.

        Raises:
            EchoError: the clips have over 100 times the size of the tables.
        """
        if self.folder is not None and written > max(UNPACKED, RATIO * self.size):
            raise EchoError(f"hf:{self.repo} {TOO_MUCH}")

    def check_card(self) -> None:
        """Check that the tables named by the dataset card of a copy lie in it.

        Raises:
            EchoError: a path leads out of the data set, or the card is not valid YAML.
        """
        cards = [self.folder / name for name in CARDS] if self.folder is not None else []
        for path in filter(Path.is_file, cards):
            for pattern in _data_files(_front_matter(path)):
                outside = "://" in pattern or re.match(r"[A-Za-z]:|[/\\]", pattern)
                if outside or ".." in re.split(r"[/\\]", pattern):
                    raise EchoError(f"{path} names {pattern[:200]}, {REFUSED}")


def _is_of_machine_or_network(error: Exception, remote: bool) -> bool:
    """Whether an error is of this machine, or (`remote`) of the network, and not of the file that was read."""
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or number in MACHINE:
        return True
    if not remote or getattr(getattr(error, "response", None), "status_code", None) in OF_THE_FILE:
        return False
    if isinstance(error, (ConnectionError, TimeoutError)) or number in NETWORK:
        return True
    return any(kind.__module__.split(".")[0] in NETWORK_LIBRARIES for kind in type(error).__mro__)


def _table_fault(path: Path) -> str:
    """What is wrong with a table of parquet; empty for nothing."""
    if path.suffix != ".parquet":
        return ""
    from pyarrow import ArrowException, parquet  # comes with datasets

    try:
        footer = parquet.read_metadata(path)
        unpacked = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
        size = path.stat().st_size
    except (ArrowException, OSError, ValueError) as error:
        return f"the table {path} is damaged ({' '.join(str(error).split())[:200]}); copy it again"
    return f"the table {path} {TOO_MUCH}" if unpacked > max(UNPACKED, RATIO * size) else ""


def _front_matter(path: Path) -> Any:
    """The YAML at the beginning of a dataset card, or of a YAML file, parsed."""
    try:
        with path.open("rb") as file:
            text = file.read(CARD_SIZE).decode("utf-8", "replace")
    except OSError as error:
        raise EchoError(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    if path.suffix == ".md":
        found = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---", text, re.DOTALL)
        text = found[1] if found else ""
    try:
        return parse_yaml(text)
    except Exception as error:  # of yaml, and of numbers and dates that it cannot convert
        reason = " ".join(str(error).split())[:200]
        raise EchoError(f"{path}: not valid YAML ({reason}); mend it") from None


def _data_files(card: Any) -> Iterator[str]:
    """The paths and patterns of tables in a card."""
    configs = card.get("configs") if isinstance(card, dict) else None
    for config in configs if isinstance(configs, list) else ():
        if isinstance(config, dict):
            yield from _strings([config.get("data_files"), config.get("data_dir")])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name != "split":
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
