"""Asking a training to stop: by Ctrl-C or SIGTERM, once the update under way is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and has saved a checkpoint; the message has the command to go on with."""


class StopRequest:
    """Whether this process was asked to stop (`asked`).

    Args:
        alone: no other process trains with this one.
        warn: prints a warning.
    """

    def __init__(self, alone: bool, warn: Callable[[str], None]) -> None:
        self.alone, self.warn = alone, warn
        self.asked = False

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks training to stop after the update; the second stops at once.

        Several processes stop after the same update. Their launcher passes on the signals that it gets, so that one may
        come twice, and may also mean that one of them has died: no message is printed yet, and no second one counts.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked and self.alone:
                raise KeyboardInterrupt
            self.asked = True
            if self.alone:
                with suppress(RuntimeError):  # the signal may have come in the middle of another line
                    self.warn("stopping after this update; once more to stop at once")

        try:
            before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
