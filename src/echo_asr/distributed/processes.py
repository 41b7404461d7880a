"""The processes that train one model together: what each needs of the others. The one module that imports accelerate.

A process that is alone needs neither accelerate nor torch's process groups; everything below is then the identity.
"""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from echo_asr.distributed import sharding
from echo_asr.distributed.heartbeat import Watch, myself
from echo_asr.distributed.launch import ProcessRank, check_count
from echo_asr.errors import EchoError

T = TypeVar("T")
PATIENCE = timedelta(days=2)  # that processes wait for each other, as where one extracts features for longer
RESUME = "go on from the last checkpoint: the same command with --resume"


class Processes:
    """One process, which is all there are.

    Attributes:
        rank: of this process among them.
        sharded: each process holds a part of the model only (`echo_asr.distributed.sharding`).
    """

    def __init__(self, rank: ProcessRank | None = None, sharded: bool = False) -> None:
        self.rank, self.sharded = rank or ProcessRank(), sharded

    def wrap(self, loss: nn.Module, blocks: Sequence[nn.Module], late: bool) -> nn.Module:
        """The loss of a model, whose gradients become those of all processes' batches: their mean.

        Args:
            loss: a module whose forward pass computes it.
            blocks: parts of the model that may be sharded by themselves.
            late: some parameters may have no gradient for a while, as under a curriculum.
        """
        return loss

    def unsynchronised(self, wrapped: nn.Module, yes: bool) -> AbstractContextManager[Any]:
        """Backward passes in which gradients are only gathered here, where more of the same update follow."""
        return nullcontext()

    def clip(self, model: nn.Module, limit: float) -> Tensor:
        """Scale the gradients of a model to a norm of at most `limit`; returns the norm that they had."""
        return torch.nn.utils.clip_grad_norm_(model.parameters(), limit)

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over the processes, in float64."""
        return list(values)

    def gather(self, value: T) -> list[T]:
        """The values that all processes have, by rank."""
        return [value]

    def broadcast(self, make: Callable[[], T]) -> T:
        """What the main process makes; the others make nothing."""
        return make()

    def wait(self) -> None:
        """Until all processes are here."""


ALONE = Processes()


class SeveralProcesses(Processes):
    """Several processes under torchrun, through accelerate: gloo on CPUs, NCCL on GPUs.

    Args:
        rank: of this one.
        device: its own.
        sharded: as in `Processes`.

    Raises:
        EchoError: accelerate is not installed, or the processes did not find each other.
    """

    def __init__(self, rank: ProcessRank, device: torch.device, sharded: bool = False) -> None:
        super().__init__(rank, sharded)
        if importlib.util.find_spec("accelerate") is None:
            raise EchoError("training in several processes needs accelerate: pip install 'echo-asr[scale]'")
        import accelerate

        timeout = accelerate.InitProcessGroupKwargs(timeout=PATIENCE)
        self.late = accelerate.DistributedDataParallelKwargs()
        self.engine = accelerate.Accelerator(
            cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[timeout, self.late]
        )  # Echo's own autocast is the same with one process and with many
        check_count(self.engine.num_processes, rank)
        self.device = device

    def wrap(self, loss: nn.Module, blocks: Sequence[nn.Module], late: bool) -> nn.Module:
        if self.sharded:
            return sharding.shard_model(loss, blocks, self.rank.count, self.device)
        self.late.find_unused_parameters = late
        wrapped: nn.Module = self.engine.prepare_model(loss)
        return wrapped

    def unsynchronised(self, wrapped: nn.Module, yes: bool) -> AbstractContextManager[Any]:
        if self.sharded:
            sharding.set_synchronised(wrapped, not yes)
            return nullcontext()
        return self.engine.no_sync(wrapped) if yes else nullcontext()

    def clip(self, model: nn.Module, limit: float) -> Tensor:
        return sharding.clip(model.parameters(), limit) if self.sharded else super().clip(model, limit)

    def sum(self, values: Sequence[float]) -> list[float]:
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def gather(self, value: T) -> list[T]:
        found: list[Any] = [None] * self.rank.count
        torch.distributed.all_gather_object(found, value)
        return found

    def broadcast(self, make: Callable[[], T]) -> T:
        made: list[Any] = [make() if self.rank.main else None]
        torch.distributed.broadcast_object_list(made, src=0)
        found: T = made[0]
        return found

    def wait(self) -> None:
        self.engine.wait_for_everyone()


@contextmanager
def open_processes(rank: ProcessRank, device: torch.device, sharded: bool = False) -> Iterator[Processes]:
    """The processes of a run, watched while the context lasts. `sharded` as in `Processes`.

    Raises:
        EchoError: one of them died, in whatever form this reached the others; see also `SeveralProcesses`.
    """
    if rank.count == 1:
        yield Processes(rank)
        return
    processes = SeveralProcesses(rank, device, sharded)
    watch = Watch(rank, processes.gather(myself()), RESUME)

    def answer(number: int, frame: FrameType | None) -> None:
        """The launcher ends those that are left when one has died; it also passes on a signal that ends all of them."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if watch.find_dead(1.0):
            raise EchoError(watch.message)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, answer)  # training has an answer of its own
    try:
        yield processes
        processes.wait()
        processes.engine.end_training()
        signal.signal(signal.SIGTERM, before)
    except RuntimeError as error:  # a connection that was closed, if no defect
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if watch.find_dead():
            raise EchoError(watch.message) from error
        if watch.others_left():
            raise SystemExit(1) from error
        raise
    finally:
        watch.stop()


def reseed(seed: int, rank: ProcessRank, step: int = 0) -> None:
    """Give each process random numbers of its own, for dropout; those of the first stay as they are at step 0."""
    if rank.rank or step:
        own = np.random.SeedSequence([seed, rank.rank, step]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(own) >> 1)
