"""Terminal output: a console on standard error, tables, and progress bars, which are plain lines in a log file."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 30.0  # between lines of progress where there is no terminal
LEAST_DONE = 0.02  # share of the work from which the time that is left is told: the first may be slow
EDGES, GAP = 4, 3  # terminal columns at both edges of a table together, and between two of its columns


@cache
def console(quiet: bool = False) -> Console:
    """The console on standard error, or one that prints nothing; standard output is for results."""
    return Console(stderr=True, soft_wrap=True, quiet=quiet)


def print_message(text: str) -> None:
    """Print a line on standard error, as it is: names of files may have brackets, which would be taken for markup."""
    console().print(text, highlight=False, markup=False)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], remark: str = "") -> None:
    """Print a table on standard output: with lines in a terminal, elsewhere plain, with tabs between cells. The first
    column and those without a name are aligned left, the others right; the remark is printed below."""
    if not sys.stdout.isatty():
        print(f"# {title}")
        print("\t".join(columns))
        for row in rows:
            print("\t".join(row))
        if remark:
            print(f"# {remark}")
        return
    screen = Console(soft_wrap=False)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    heads, cells = fitted(columns, [list(row) for row in rows], screen.width)
    for number, column in enumerate(heads):
        table.add_column(Text(column), justify="left" if number == 0 or column == "" else "right", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    screen.print(table)
    if remark:
        screen.print(Text(f"  {remark}\n", style="italic dim"))


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table with line breaks where that makes it fit in so many columns of a terminal: heads break
    after `_` and spaces, cells of the first column after dots and spaces, and numbers never."""
    heads, cells = list(columns), [list(row) for row in rows]

    def taken(number: int) -> int:
        lines = [line for text in (heads[number], *(row[number] for row in cells)) for line in text.split("\n")]
        return max(map(cell_len, lines))

    room = width - EDGES - GAP * (len(heads) - 1)
    if sum(map(taken, range(len(heads)))) > room:
        for number in range(1, len(heads)):
            own = max((cell_len(row[number]) for row in cells), default=0)
            heads[number] = _broken(heads[number], "_ ", own)
        left = room - sum(map(taken, range(1, len(heads))))
        for row in cells:
            row[0] = _broken(row[0], ". ", left)
    return heads, cells


def _broken(text: str, after: str, room: int) -> str:
    """A text in lines of at most `room` columns where possible, broken after the characters `after`."""
    lines = [""]
    for part in re.findall(f"[^{after}]+[{after}]*|[{after}]+", text):
        if lines[-1] and cell_len((lines[-1] + part).rstrip()) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


@contextmanager
def progress_bar(what: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """A bar over `total`; yields `advance(done, text)`. Without a terminal, a line every 30 s; for 0, nothing."""
    terminal = console()
    if not total:
        yield lambda now, text: None
        return
    if not terminal.is_terminal:
        began = last = time.monotonic()
        first = done

        def advance(now: int, text: str = "") -> None:
            nonlocal last
            clock = time.monotonic()
            if clock - last >= PLAIN_SECONDS and now > first:
                last = clock
                minutes = (clock - began) / 60 / (now - first) * (total - now)
                left = f", {minutes:.1f} min left" if now - first >= LEAST_DONE * (total - first) else ""
                terminal.print(f"{what} {now}/{total}{text and f' {text}'}{left}", highlight=False)

        yield advance
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=terminal) as bar:
        task = bar.add_task(what, total=total, completed=done, text="")
        yield lambda now, text: bar.update(task, completed=now, text=text)


def counted(number: int, noun: str) -> str:
    """`1 text`, `2 texts`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def hours(seconds: float) -> str:
    """A duration as text: `1.25 h`; under 6 minutes `57 s`, and under 10 seconds `2.5 s`."""
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds:.{0 if seconds >= 10 else 1}f} s"
