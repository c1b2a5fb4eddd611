"""The gradients of single rows where all weights are of dense layers: their products and norms without the gradients.

A row's gradient by such a layer's weight is δ aᵀ, and by its bias δ, of the layer's input a and of the derivative δ of
the loss by its output z. So its product with the parameters is δᵀ z, and its squared norm |δ|² (|a|² + 1).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gencli.evaluation.predictions import batch_size, cross_entropy
from gencli.files.tensors import double
from gencli.models import Model
from gencli.models.inputs import Rows

_CLOSE = 1e-4  # of the sum of the gradients, in float32


def dense_gradients(model: Model, rows: Rows, trained: set[str]) -> tuple[float, float] | None:
    """The mean over rows of ⟨p, ∇ℓ⟩², and Σ of the variances of the coordinates of ∇ℓ, of the cross-entropy ℓ.

    None where some trained parameter is of another layer, or where the sum of the gradients says that a layer is used
    otherwise than once a row.

    Goodfellow 2015, "Efficient per-example gradient computations", arXiv:1510.01799.

    Args:
        trained: the names of the trained parameters p.
    """
    network = model.network
    layers = {name: each for name, each in network.named_modules() if type(each) is nn.Linear}
    own = {f"{name}.{part}": each for name, layer in layers.items() for part, each in layer.named_parameters()}
    if own.keys() != trained:
        return None
    seen: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda layer, given, made: seen.append((name, given[0], made))

    hooks = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
    totals = [torch.zeros_like(each, dtype=torch.float64, device="cpu") for each in own.values()]
    alongs, squares = list[torch.Tensor](), list[torch.Tensor]()
    try:
        for images, labels in zip(rows.images.split(size := batch_size(network)), rows.labels.split(size), strict=True):
            seen.clear()
            with torch.enable_grad():
                loss = cross_entropy(network(model.preprocessing(images)).float(), labels).sum()
            if sorted(name for name, *_ in seen) != sorted(layers):
                return None
            found = torch.autograd.grad(loss, [*own.values(), *(made for *_, made in seen)], materialize_grads=True)
            summed, slopes = dict(zip(own, found)), found[len(own) :]
            if not all(map(_alone, seen, slopes, (summed[f"{name}.weight"] for name, *_ in seen))):
                return None
            parts = [
                (double(slope), double(made.detach()), double(given.detach()), layers[name].bias is not None)
                for slope, (name, given, made) in zip(slopes, seen, strict=True)
            ]
            alongs.append(torch.stack([(d * z).sum(1) for d, z, *_ in parts]).sum(0).cpu())
            norms = [d.square().sum(1) * (a.square().sum(1) + bias) for d, _, a, bias in parts]
            squares.append(torch.stack(norms).sum(0).cpu())
            totals = [total + double(each).cpu() for total, each in zip(totals, found)]
    finally:
        for each in hooks:
            each.remove()
    noise = torch.cat(squares).mean() - sum((each / len(rows)).square().sum() for each in totals)
    return torch.cat(alongs).square().mean().item(), noise.clamp(min=0).item()


def _alone(seen: tuple[str, torch.Tensor, torch.Tensor], slope: torch.Tensor, total: torch.Tensor) -> bool:
    """Whether the rows' gradients by the layer's weight have this sum, so that nothing else uses it."""
    _, given, made = seen
    if given.ndim != 2 or made.ndim != 2:
        return False
    return torch.allclose(slope.mT @ given, total, _CLOSE, _CLOSE * total.abs().max().item())
