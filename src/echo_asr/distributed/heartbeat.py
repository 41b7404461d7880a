"""Seeing that a process of a run has died, which the others would otherwise wait for: up to minutes on a GPU."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from contextlib import suppress

from echo_asr.distributed.launch import ProcessRank, first_message, open_store

LOOK = 0.25  # seconds between looks at the processes of this machine
BEAT = 5.0  # seconds between signs of life to other machines
SILENCE = 60.0  # seconds without a sign of life after which a process of another machine counts as dead
GRACE = 5.0  # seconds that training has to notice by itself; then it is ended from here

Peer = tuple[str, int]  # name of its machine, process id


def myself() -> Peer:
    """This process, as others may look for it."""
    return socket.gethostname(), os.getpid()


def is_gone(process: int) -> bool:
    """Whether a process of this machine has ended, though nobody may have asked for its status yet."""
    import psutil  # comes with accelerate; to send signal 0, as on Unix, would be Ctrl-C on Windows

    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


class Watch:
    """Watches the other processes of a run from a thread.

    Processes of the same machine are looked for by their ids; those of others give a sign of life every few seconds,
    through torchrun's store. A process that ends in an orderly way notes that first (`stop`). Training that hangs in a
    GPU's collective does not come back to notice a death; it is then ended with one line.

    Args:
        rank: of this process.
        peers: of each process, by rank.
        remedy: what to do about a death, for the message.
    """

    def __init__(self, rank: ProcessRank, peers: list[Peer], remedy: str) -> None:
        self.rank, self.peers, self.remedy = rank, peers, remedy
        self.store = open_store()
        self.dead: list[int] = []
        self._over = threading.Event()
        self._seen: dict[int, tuple[int, float]] = {}  # the last sign of life of each process, and when it was new
        self._thread = threading.Thread(target=self._look, name="echo-asr watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Note in the store that this process ends of its own will, and watch no longer."""
        if self.store is not None:
            with suppress(RuntimeError):
                self.store.set(f"ended/{self.rank.rank}", "1")
        self._over.set()

    def find_dead(self, seconds: float = 3.0) -> list[int]:
        """The ranks of processes that died, once there are any, or after so many seconds none."""
        deadline = time.monotonic() + seconds
        while not self.dead and time.monotonic() < deadline:
            time.sleep(LOOK / 2)
        return self.dead

    def others_left(self) -> bool:
        """Whether another process has ended in an orderly way, and printed why."""
        return any(self._ended(rank) for rank in range(self.rank.count) if rank != self.rank.rank)

    @property
    def message(self) -> str:
        """One line about the first that died."""
        dead = self.dead[0]
        machine, process = self.peers[dead]
        return (
            f"process {dead} of {self.rank.count} (id {process} on {machine}) was ended from outside, perhaps for "
            f"want of memory; {self.remedy}"
        )

    def _look(self) -> None:
        beat = 0.0
        while not self._over.wait(LOOK):
            now = time.monotonic()
            if now - beat >= BEAT:
                beat = now
                with suppress(RuntimeError):
                    self._exchange_beats(now)
            here = [rank for rank, peer in enumerate(self.peers) if peer[0] == self.peers[self.rank.rank][0]]
            gone = [rank for rank in here if is_gone(self.peers[rank][1]) and not self._ended(rank)]
            silent = [rank for rank, (_, since) in self._seen.items() if now - since > SILENCE]
            self.dead = gone + silent
            if self.dead:
                break
        else:
            return
        if not self._over.wait(GRACE):
            if first_message(self.message, self.rank):
                print(f"echo-asr train: {self.message}", file=sys.stderr, flush=True)
            os._exit(1)

    def _exchange_beats(self, now: float) -> None:
        if self.store is None:
            return
        self.store.add(f"beat/{self.rank.rank}", 1)
        for rank, (machine, _) in enumerate(self.peers):
            if machine == self.peers[self.rank.rank][0] or self._ended(rank):
                self._seen.pop(rank, None)
                continue
            count = self.store.add(f"beat/{rank}", 0)
            if count != self._seen.get(rank, (-1, 0.0))[0]:
                self._seen[rank] = (count, now)

    def _ended(self, rank: int) -> bool:
        """Whether a process has noted that it ends."""
        with suppress(RuntimeError):
            return self.store is not None and bool(self.store.check([f"ended/{rank}"]))
        return False
