"""Several processes that train one network, as torchrun starts them: each holds a part of the rows.

A step is that of one process: each takes its own rows of the batch, and their gradients are added.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from gencli.errors import GencliError, require_enough
from gencli.files.tables import ImageTable

PATIENCE = timedelta(minutes=5)  # for a process that does not answer


_ENDLESS = timedelta(days=365)  # torchrun ends all processes where one dies


class Group:
    """The processes of a run; a single process is a group too.

    Attributes:
        rank: this process's number, from 0; only process 0 writes.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def part(self, table: ImageTable) -> NDArray[np.bool_] | None:
        """The mask [rows] of the rows of a table that this process holds: whole row groups; None for all.

        Raises:
            GencliError: there are more processes than row groups.
        """
        if self.size == 1:
            return None
        size = table.description.group_rows
        groups = -(-table.rows // size)
        if groups < self.size:
            raise GencliError(
                f"{table.title}: {self.size} processes for {groups} row groups of {size:,} rows",
                f"start {groups} or fewer with torchrun --nproc-per-node",
            )
        return np.arange(table.rows) // size * self.size // groups == self.rank

    def gatherer(self) -> Callable[[Any], list[Any]]:
        """What gives every process what each has, by rank, however long they take; all call both."""
        if self.size == 1:
            return lambda mine: [mine]
        patient = dist.new_group(backend="gloo", timeout=_ENDLESS)
        assert isinstance(patient, dist.ProcessGroup)

        def gather(mine: Any) -> list[Any]:
            found: list[Any] = [None] * self.size
            dist.all_gather_object(found, mine, patient)
            return found

        return gather

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


class SyncedBatchNorm(_BatchNorm):
    """Batch norm over the rows of all processes, as one process with all of them would compute it.

    torch's own is for GPUs only. In evaluation mode it is the batch norm that it replaces.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        over = [dim for dim in range(input.ndim) if dim != 1]
        by_channel = [-1 if dim == 1 else 1 for dim in range(input.ndim)]
        values = input.float()
        count = values.new_full((1,), values.numel() // values.shape[1])  # made there: nothing waits
        sums = all_reduce(torch.cat([values.sum(over), count]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centered = values - mean.view(by_channel)
        variance = all_reduce(centered.square().sum(over)) / count
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            rate = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            with torch.no_grad():
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(variance * count / (count - 1), rate)
        normal = centered * (variance + self.eps).rsqrt().view(by_channel)
        if self.affine:
            normal = normal * self.weight.view(by_channel) + self.bias.view(by_channel)
        return normal.to(input.dtype)

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Any."""


def synchronize(network: nn.Module, group: Group) -> None:
    """Makes a network's batch norms those of all processes; their tensors stay where they are.

    Raises:
        GencliError: there is nothing to synchronize.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    if group.size == 1 or not layers:
        why = "there is only one process" if layers else "the network has no batch norm"
        raise GencliError(f"--sync-batch-norm: {why}", "omit it; torchrun starts several processes")
    for layer in layers:
        layer.__class__ = SyncedBatchNorm


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that torchrun's environment variables name, while it lasts; without them this process by itself.

    Raises:
        GencliError: the others cannot be reached, or one of them ended.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    rank = int(os.environ["RANK"])
    try:
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # messages between CPU tensors stay on the CPU
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        yield Group(rank, size)
    except (dist.DistError, RuntimeError, ValueError) as error:
        require_enough(error)
        if not _is_lost(error):
            raise
        line = str(error).splitlines()[0]
        raise GencliError(
            f"process {rank} of {size}: the others do not answer: {line}",
            "read their messages; torchrun --max-restarts with --checkpoint and --resume restarts by itself",
        ) from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _is_lost(error: Exception) -> bool:
    words = str(error)
    return isinstance(error, dist.DistError) or any(
        word in words for word in ("rendezvous", "gloo", "Connection", "connection", "NCCL", "Timed out", "timed out")
    )
