"""Several processes of one command, as torchrun starts them: each takes a part of the rows of the same table.

All run the same command on the same files. Where it sums over rows each sums over its own, and `Group.summed` puts the
sums over all in their place; what follows is computed from these, by all alike. The first process writes.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
import typer
from numpy.typing import NDArray
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from gencli import machine, once
from gencli.cli import console
from gencli.counts import parse_part, span
from gencli.errors import GencliError, require_enough
from gencli.files import checkpoints
from gencli.files.provenance import Step
from gencli.files.tables import ImageTable

Made = TypeVar("Made")

PATIENCE = timedelta(minutes=5)  # for a process that does not answer a step of training
_ENDLESS = timedelta(days=365)  # torchrun ends all processes where one dies
_AT_ONCE = 1 << 24  # numbers of a message


class _Lost(BaseException):
    """Another process ended or cannot be reached; what catches errors of torch's derivatives does not catch this."""


class Group:
    """The processes of a run; a single process is a group too.

    Attributes:
        rank: this process's number, from 0; only process 0 writes.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self._patient: Any = None

    def span(self, count: int) -> range:
        """The places of those of `count` rows that this process takes: consecutive, as many as others or one more."""
        return span(count, self.rank, self.size)

    def part(self, table: ImageTable) -> NDArray[np.bool_] | None:
        """The mask [rows] of the rows of a table that this process holds in training; None for all.

        They are whole row groups, where there are enough.

        Raises:
            GencliError: there are more processes than rows.
        """
        if self.size == 1:
            return None
        size, rows = table.description.group_rows, table.rows
        if -(-rows // size) < self.size:
            size = 1
        if rows < self.size:
            raise GencliError(
                f"{table.title}: {self.size} processes for {rows} rows",
                f"start {rows} or fewer with torchrun --nproc-per-node",
            )
        return np.arange(rows) // size * self.size // -(-rows // size) == self.rank

    def gatherer(self) -> Callable[[Any], list[Any]]:
        """What gives every process what each has, by rank, however long they take; all call both."""
        if self.size == 1:
            return lambda mine: [mine]
        self._patience()
        return self._gather

    def _gather(self, mine: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        with _answered():
            dist.all_gather_object(found, mine, self._patience())
        return found

    def _patience(self) -> Any:
        """The same processes, waiting for each other however long they take."""
        if self._patient is None:
            self._patient = dist.new_group(backend="gloo", timeout=_ENDLESS)
        return self._patient

    def each(self, make: Callable[[], Made]) -> list[Made]:
        """What the function gives in each process, by rank; where it fails in one, all fail alike."""
        if self.size == 1:
            return [make()]
        mine = failed = None
        try:
            mine = make()
        except Exception as error:
            failed = error
        self._require(failed)
        return self._gather(mine)

    @contextmanager
    def summed(self, *totals: torch.Tensor) -> Iterator[None]:
        """Within, each process adds its part to tensors, which are 0 before; afterwards they hold the sums over all.

        The parts are added in float64, of whole numbers in int64. Where one process fails within, all fail alike.
        """
        if self.size == 1:
            yield
            return
        failed = None
        try:
            yield
        except Exception as error:
            failed = error
        self._require(failed)
        for total in totals:
            kind = torch.float64 if total.is_floating_point() else torch.int64
            for part in total.view(-1).split(_AT_ONCE):
                wide = part.cpu().to(kind)  # messages go between processors' memories: devices may lack float64
                with _answered():
                    dist.all_reduce(wide, group=self._patience())
                part.copy_(wide)

    def whole(self, mine: torch.Tensor, count: int) -> torch.Tensor:
        """[count, ...] on the CPU: in the first process the rows of all, of those of each one's `span`; else `mine`."""
        spans = [span(count, rank, self.size) for rank in range(self.size)]
        if self.rank and len(mine):
            with _answered():
                dist.send(mine.contiguous(), 0, self._patience())
        if self.rank or self.size == 1:
            return mine
        every = mine.new_empty(count, *mine.shape[1:])
        every[: len(mine)] = mine
        for rank, own in enumerate(spans[1:], 1):
            if own:
                with _answered():
                    dist.recv(every[own.start : own.stop], rank, self._patience())
        return every

    def _require(self, failed: Exception | None) -> None:
        """Raises the error where this process or another one has one."""
        there = torch.tensor([failed is not None], dtype=torch.int64)
        with _answered():
            dist.all_reduce(there, group=self._patience())
        if not there:
            return
        every = self._gather(None if failed is None else _portable(failed))
        if failed is not None:
            failed.elsewhere = every[self.rank] in every[: self.rank]  # type: ignore[attr-defined]  # one of them says it
            raise failed
        error = pickle.loads(next(filter(None, every)))  # noqa: S301  # which another process of this run wrote
        error.elsewhere = True
        raise error

    def require_same(self, made: Callable[[], Step]) -> None:
        """Refuses processes whose step differs: files, options, libraries, or kinds of processors.

        Raises:
            GencliError: names the process, and what differs.
        """
        (first, words), *others = self.each(lambda: (made(), _options())) if self.size > 1 else [(None, [])]
        for rank, (other, own) in enumerate(others, 1):
            differences = checkpoints.differences(first, other) if first and other else []
            differences += [f"its options are {' '.join(own) or 'none'}"] if own != words else []
            if differences:
                error = GencliError(
                    f"process {rank} of {self.size} is not at the same work as process 0: {'; '.join(differences)}",
                    "give all of them the same files and options, on machines of one kind",
                )
                error.elsewhere = self.rank != rank  # type: ignore[attr-defined]
                raise error

    def require_equal(self, number: int, what: str) -> None:
        """Refuses processes that `what` leaves with another number than the first one.

        Raises:
            GencliError: one of them.
        """
        for rank, other in enumerate(every := self.each(lambda: number)):
            if other != every[0]:
                error = GencliError(
                    f"{what} process {rank} is at {other:,}, that of process 0 at {every[0]:,}",
                    "put it where all of them read the same file",
                )
                error.elsewhere = self.rank != rank  # type: ignore[attr-defined]
                raise error

    def arguments(self) -> dict[str, Any]:
        """What provenance records of them."""
        return {"processes": self.size} if self.size > 1 else {}

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Puts the sums over all processes in place of tensors of one dtype and device, by one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def share(self, tensors: Sequence[torch.Tensor]) -> None:
        """Puts the first process's tensors in place of the others'."""
        for tensor in tensors if self.size > 1 else ():
            dist.broadcast(tensor, 0)

    def most(self, *numbers: int) -> tuple[int, ...]:
        """The largest of each number over all processes."""
        if self.size == 1:
            return numbers
        every = torch.tensor(numbers)
        dist.all_reduce(every, dist.ReduceOp.MAX)
        return tuple(map(int, every))


ALONE = Group()


class Shard(Group):
    """One part of the rows, K of N, computed by itself: what is summed over rows is over its own alone."""

    def each(self, make: Callable[[], Made]) -> list[Made]:
        return [make()]

    @contextmanager
    def summed(self, *totals: torch.Tensor) -> Iterator[None]:
        yield

    def arguments(self) -> dict[str, Any]:
        return {"shard": f"{self.rank}/{self.size}"}


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that torchrun's environment variables name, while it lasts; without them this process by itself.

    Raises:
        GencliError: the others cannot be reached, or one of them ended.
    """
    rank, size = machine.process()
    if size == 1:
        yield Group()
        return
    machine.require_launched()
    try:
        # messages between CPU tensors stay on the CPU
        with _answered():
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=_meeting(rank), rank=rank, world_size=size, timeout=PATIENCE)
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        yield Group(rank, size)
    except (Exception, _Lost) as error:
        if getattr(error, "elsewhere", False):  # the process that it is of says it
            once.leave_room()
            raise typer.Exit(getattr(error, "status", 2)) from None
        require_enough(error)
        if not isinstance(error, _Lost) and not _is_lost(error):
            raise
        line = re.sub(r"^\[\S*\] ", "", str(error).splitlines()[0]).partition(". ")[0]
        raise GencliError(
            f"process {rank} of {size}: the others do not answer: {line}",
            "read their messages; torchrun --max-restarts starts all again, with --checkpoint and --resume from there",
        ) from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def dividing(device: torch.device, *places: str | None, shard: str | None = None) -> Iterator[Group]:
    """The group of `joined`, of a command that reads these places; only the first process speaks.

    Args:
        shard: K/N, the part that is computed by itself instead.
    """
    if shard is not None:
        machine.require_alone("--shard divides the rows already")
        yield Shard(*parse_part(shard, "--shard"))
        return
    machine.require_files(*places)
    with joined(device) as group:
        group.gatherer()  # all are here now, and wait for each other from here on however long one takes
        console.quiet |= group.rank > 0
        yield group


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        require_enough(error)
        raise _Lost(str(error) or type(error).__name__) from error


def _meeting(rank: int) -> Store:
    """Where the processes find each other, apart from those before a restart.

    A launcher of torchrun keeps its store through all restarts (torch 2.14, elastic/rendezvous/dynamic_rendezvous.py,
    `_shared_tcp_store_server`), and a new process may read there where a dead one listened. On several machines each
    launcher counts restarts of its own, which keep nothing apart.
    """
    store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    store.set_timeout(PATIENCE)
    names = "GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_RESTART_COUNT"
    machines, allowed, before = (os.environ.get(name, "0") for name in names)
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if shared and machines not in ("0", "1") and allowed != "0" and rank == 0:
        console.message(
            "--max-restarts: on several machines processes may wait for those before a restart; set "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun on all of them"
        )
    return PrefixStore(f"restart {before}" if machines == "1" else "", store)


def _options() -> list[str]:
    """The names of options, some of which no step records: all processes have to take the same way."""
    given = [word.partition("=")[0] for word in sys.argv[1:] if word.startswith("-")]
    return sorted(given) + sorted(name for name in os.environ if name.startswith("GENCLI_"))


def _is_lost(error: BaseException) -> bool:
    words = str(error) if isinstance(error, RuntimeError | ValueError) else ""
    return isinstance(error, dist.DistError) or any(
        word in words for word in ("rendezvous", "gloo", "Connection", "connection", "NCCL", "Timed out", "timed out")
    )


def _portable(error: Exception) -> bytes:
    try:
        return pickle.dumps(error)
    except Exception:
        return pickle.dumps(RuntimeError(str(error)))
