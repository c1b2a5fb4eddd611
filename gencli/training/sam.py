"""Sharpness-aware minimization: where the gradient of a step is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from gencli.files.tensors import sent


@contextmanager
def ascended(
    network: nn.Module, parameters: Sequence[nn.Parameter], gradients: Sequence[torch.Tensor], radii: Sequence[float]
) -> Iterator[None]:
    """A network with parameters w + rho g / |g|, g their gradients; afterwards all tensors are as before, bit by bit.

    So batch norm's running statistics take in nothing of it. g is without weight decay, over all rows of the step,
    whichever process holds them: Foret, Kleiner, Mobahi, Neyshabur 2021, arXiv:2010.01412, algorithm 1, without their
    m-sharpness. Where g is 0, w stays.

    Args:
        parameters, gradients: of these the network's, in pairs; of several networks with a leading dimension.
        radii: rho of each network.
    """
    tensors = [*parameters, *network.buffers()]
    kept, count = [tensor.detach().clone() for tensor in tensors], len(radii)
    norms = torch.stack([each.reshape(count, -1).norm(dim=1) for each in gradients]).norm(dim=0)
    scales = sent(torch.tensor(radii), norms.device) / norms.clamp(min=torch.finfo(norms.dtype).tiny)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            scale = scales.view(-1, *[1] * (gradient.ndim - 1)) if count > 1 else scales[0]
            parameter.add_(gradient * scale)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in zip(tensors, kept, strict=True):
                tensor.copy_(before)
