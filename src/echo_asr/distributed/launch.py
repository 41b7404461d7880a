"""Which of several processes this one is, from the environment that `torchrun` gives it, and what they exchange outside
of training. Nothing here knows of several machines; torchrun does."""

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
ARRIVED = "arrived"  # names in the store
PRINTED = "printed"


@dataclass(frozen=True)
class ProcessRank:
    """The rank of a process among those that work together.

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
    """The rank that the environment gives this process; a process that nobody launched is the only one.

    Raises:
        EchoError: `accelerate launch` was used in a way that starts one process whatever was asked of it, or the
            environment contradicts itself.
    """
    if "WORLD_SIZE" not in os.environ:
        if "ACCELERATE_MIXED_PRECISION" in os.environ:  # `accelerate launch --cpu --num_processes 2` starts one process
            raise EchoError(
                "accelerate launch has started a single process, whatever --num_processes is; for several processes "
                f"use {RECIPE}, and for one the command alone"
            )
        return ProcessRank()
    numbers = {}
    for name, default in (("WORLD_SIZE", None), ("RANK", None), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)):
        value = os.environ.get(name, default)
        try:
            numbers[name] = int(value)  # type: ignore[arg-type]  # None is an error, below
        except (TypeError, ValueError):
            raise EchoError(f"the environment has {name}={value!r}, expected a number; start with {RECIPE}") from None
    rank = ProcessRank(numbers["RANK"], numbers["WORLD_SIZE"], numbers["LOCAL_RANK"], numbers["LOCAL_WORLD_SIZE"])
    if not (0 <= rank.rank < rank.count and 0 <= rank.local_rank < rank.local_count <= rank.count):
        found = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise EchoError(f"the environment contradicts itself ({found}); start with {RECIPE}")
    return rank


def check_count(count: int, rank: ProcessRank) -> None:
    """Make sure that as many processes found each other as the environment has.

    Raises:
        EchoError: they did not.
    """
    if count != rank.count:
        raise EchoError(f"{count} processes found each other where the environment has {rank.count}; use {RECIPE}")


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


def first_message(message: str, rank: ProcessRank) -> bool:
    """Whether no other process has printed this message before, so that what all find is printed once."""
    if rank.count == 1:
        return True
    store = _store()
    if store is None:
        return rank.main
    with suppress(RuntimeError):
        return int(store.add(f"{PRINTED}/{hashlib.sha256(message.encode()).hexdigest()}", 1)) == 1
    return True


def barrier(rank: ProcessRank) -> None:
    """Wait until every process has come here; a launcher ends all others when one of them ends with an error."""
    store = None if rank.count == 1 else _store()
    if store is None:
        return
    with suppress(RuntimeError):  # a machine that is gone is not waited for
        store.add(ARRIVED, 1)
        while store.add(ARRIVED, 0) < rank.count:
            time.sleep(POLL)
