"""Recordings that cannot be decoded. Reading a corpus does not find them if it states their durations.

Like broken records, they are refused, or left out and counted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from echo_asr.audio import load_audio
from echo_asr.data.corpus import Audio, Utterance
from echo_asr.errors import EchoError


class UnreadableRecordings(EchoError):
    """Some recordings cannot be read; all others were.

    Args:
        messages: the error of each.
    """

    def __init__(self, messages: Mapping[Audio, str]) -> None:
        self.messages = dict(messages)
        more = len(self.messages) - 1
        others = f" (and {more} more that cannot be read: echo-asr corpus check lists them" if more else " ("
        leave = f"{', ' if more else ''}--broken skip leaves {'them' if more else 'it'} out)"
        super().__init__(f"{next(iter(self.messages.values()))}{others}{leave}")

    def __reduce__(self) -> tuple[type[UnreadableRecordings], tuple[dict[Audio, str]]]:
        return UnreadableRecordings, (self.messages,)


def warn_left_out(name: str, total: int, messages: Mapping[Audio, str]) -> None:
    """Warn in one line how many of `total` recordings are left out, and why the first is."""
    first = next(iter(messages.values()))
    what = f"{len(messages)} of {total} recordings cannot be read and are left out"
    warnings.warn(f"{name}: {what}, first: {first}", stacklevel=3)


def leave_out_unreadable(name: str, utterances: Sequence[Utterance]) -> tuple[Utterance, ...]:
    """The utterances whose recordings can be decoded; the others are reported in one warning.

    Args:
        name: of the corpus.

    Raises:
        EchoError: none of them can.
    """
    messages = find_unreadable([u.audio for u in utterances])
    if not messages:
        return tuple(utterances)
    readable = tuple(u for u in utterances if u.audio not in messages)
    if not readable:
        first = next(iter(messages.values()))
        raise EchoError(f"{name}: none of its {len(utterances)} recordings can be read: {first}")
    warn_left_out(name, len(utterances), messages)
    return readable


def find_unreadable(recordings: Sequence[Audio], progress: Callable[[int], None] | None = None) -> dict[Audio, str]:
    """Why recordings cannot be decoded, of those that cannot.

    Args:
        progress: called with the number that are done.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # decoding releases Python's lock
        return collect_errors(recordings, pool.map(read_error, recordings), progress)


def collect_errors(
    recordings: Sequence[Audio], errors: Iterable[str], progress: Callable[[int], None] | None
) -> dict[Audio, str]:
    """The errors that are not empty, of one for each recording, as they come; arguments as in `find_unreadable`."""
    found: dict[Audio, str] = {}
    for done, (audio, error) in enumerate(zip(recordings, errors, strict=True), 1):
        if error:
            found.setdefault(audio, error)
        if progress:
            progress(done)
    return found


def read_error(audio: Audio) -> str:
    """Why a recording cannot be decoded; empty if it can."""
    try:
        load_audio(audio)
    except EchoError as error:
        return str(error)
    return ""
