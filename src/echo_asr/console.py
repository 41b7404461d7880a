"""The terminal: one console on standard error, and progress bars that a log file survives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_SECONDS = 30.0  # between lines of progress where there is no terminal


@cache
def console() -> Console:
    """The console on standard error; results alone go to standard output."""
    return Console(stderr=True, soft_wrap=True)


@contextmanager
def progress_bar(what: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """A bar over `total`; yields `advance(done, text)`. Without a terminal, a line now and then instead."""
    terminal = console()
    if not terminal.is_terminal:
        began = last = time.monotonic()
        first = done

        def tell(now: int, text: str = "") -> None:
            nonlocal last
            clock = time.monotonic()
            if clock - last >= PLAIN_SECONDS and now > first:
                last = clock
                left = (clock - began) / (now - first) * (total - now)
                terminal.print(f"{what} {now}/{total} {text}, {left / 60:.1f} min left", highlight=False)

        yield tell
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=terminal) as bar:
        task = bar.add_task(what, total=total, completed=done, text="")

        def move(now: int, text: str = "") -> None:
            bar.update(task, completed=now, text=text)

        yield move
