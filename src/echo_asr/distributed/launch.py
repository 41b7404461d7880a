"""Which of several processes this one is, as `torchrun` tells each in its environment, and what they tell each other
outside of training. Several machines are told apart by torchrun alone; nothing here knows of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from torch.distributed import Store

T = TypeVar("T")
RECIPE = "torchrun --nproc-per-node N -m echo_asr COMMAND ..."
POLL = 0.2  # seconds between looks at the store
MET = "met"  # names in the store
SAID = "said"


@dataclass(frozen=True)
class ProcessRank:
    """The place of a process among those that work together.

    Attributes:
        rank: from 0; count: of all processes, on all machines.
        local_rank, local_count: the same on this machine alone.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that prints and writes for all."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Every `count`-th of some items, from the `rank`-th: what falls to this process."""
        return items[self.rank :: self.count]


def find_rank() -> ProcessRank:
    """The place that the environment gives this process; a process that nobody launched is the only one.

    Raises:
        EchoError: `accelerate launch` was used in a way that starts one process whatever was asked of it, or the
            environment contradicts itself.
    """
    if "WORLD_SIZE" not in os.environ:
        if "ACCELERATE_MIXED_PRECISION" in os.environ:  # `accelerate launch --cpu --num_processes 2` starts one process
            raise EchoError(
                "accelerate launch has started a single process, whatever --num_processes says; for several processes "
                f"use {RECIPE}, and for one the command alone"
            )
        return ProcessRank()
    numbers = {}
    for name, default in (("WORLD_SIZE", None), ("RANK", None), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)):
        value = os.environ.get(name, default)
        try:
            numbers[name] = int(value)  # type: ignore[arg-type]  # None is told below
        except (TypeError, ValueError):
            raise EchoError(f"the environment says {name}={value!r}, expected a number; start with {RECIPE}") from None
    place = ProcessRank(numbers["RANK"], numbers["WORLD_SIZE"], numbers["LOCAL_RANK"], numbers["LOCAL_WORLD_SIZE"])
    if not (0 <= place.rank < place.count and 0 <= place.local_rank < place.local_count <= place.count):
        told = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise EchoError(f"the environment contradicts itself ({told}); start with {RECIPE}")
    return place


def check_count(count: int, place: ProcessRank) -> None:
    """Make sure that as many processes found each other as the environment speaks of.

    Raises:
        EchoError: they did not.
    """
    if count != place.count:
        raise EchoError(f"{count} processes found each other where the environment has {place.count}; use {RECIPE}")


def open_store() -> Store | None:
    """A connection of its own to the key-value store that torchrun keeps for its processes; None where there is none,
    as with other launchers, or where it does not answer."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    from datetime import timedelta

    from torch.distributed import PrefixStore, TCPStore

    with suppress(RuntimeError, ValueError, KeyError):
        patience = timedelta(seconds=60)
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=patience, wait_for_workers=False)
        return PrefixStore(f"echo-asr/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    return None


@cache
def _store() -> Store | None:
    return open_store()


def first_message(message: str, place: ProcessRank) -> bool:
    """Whether no other process has said this before, so that what all find is said once."""
    if place.count == 1:
        return True
    store = _store()
    if store is None:
        return place.main
    with suppress(RuntimeError):
        return int(store.add(f"{SAID}/{hashlib.sha256(message.encode()).hexdigest()}", 1)) == 1
    return True


def barrier(place: ProcessRank) -> None:
    """Wait until every process has come here; a launcher ends all others when one of them ends with an error."""
    store = None if place.count == 1 else _store()
    if store is None:
        return
    with suppress(RuntimeError):  # a machine that is gone is not waited for
        store.add(MET, 1)
        while store.add(MET, 0) < place.count:
            time.sleep(POLL)
