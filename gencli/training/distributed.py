"""Batch norm over the rows of all processes that train one network; what they share besides is in `ranks`.

A step is that of one process: each takes its own rows of the batch, and their gradients are added.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from gencli.errors import GencliError
from gencli.ranks import Group


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
