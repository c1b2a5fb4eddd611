"""The loss of a small network as a function of one vector, all its parameters, so that it can be differentiated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer

from gencli.errors import GencliError
from gencli.files import arrow
from gencli.machine import require_memory

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gencli.files.tables import ImageTable

Layers = Annotated[str, typer.Option(metavar="N-N-...-N", help="Widths of the layers, starting with the inputs.")]
Examples = Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="Number of examples in the loss.")]

Arch = Annotated[str, typer.Option(metavar="NAME", help="Network, such as mlp-1x8.")]

_ROWS = 100


class Loss(NamedTuple):
    """f(w): the mean cross-entropy of a network at the parameters w [P], and the w that it was given with."""

    at: Callable[[Tensor], Tensor]
    w: Tensor


def parse_layers(text: str) -> list[int]:
    """`50-50-10` as numbers, at least two of them, the last at least 2."""
    if text.endswith("-1") or not re.fullmatch(r"[1-9]\d{0,8}(-[1-9]\d{0,8})+", text, re.ASCII):
        raise GencliError(
            f"--layers: {text!r} are not layers", "write two widths or more, the last at least 2, such as 50-50-50-10"
        )
    return [int(width) for width in text.split("-")]


def count(widths: list[int]) -> int:
    """Weights of a fully connected network without biases."""
    return sum(one * other for one, other in pairwise(widths))


def perceptron(widths: list[int], bias: bool) -> nn.Sequential:
    """Linear layers of these widths, tanh between them; on the CPU, its parameters not set."""
    from torch import nn

    layers: list[nn.Module] = []
    for pair in pairwise(widths):
        layers += [nn.utils.skip_init(nn.Linear, *pair, bias=bias), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def draw(network: nn.Module, random: np.random.Generator, dtype: str) -> nn.Module:
    """Gives it normal weights of variance 1/inputs, and normal biases of variance 0.01, of `dtype`."""
    import torch

    for parameter in network.parameters():
        scale = 0.1 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
        parameter.data = torch.from_numpy((scale * random.standard_normal(parameter.shape)).astype(dtype))
    return network


def read(table: ImageTable, examples: int, dtype: str) -> tuple[Tensor, Tensor]:
    """The table's first rows: images [n, channels, height, width] of the dtype, over 255, and labels [n] int64."""
    import torch

    values = math.prod(table.description.shape) * np.dtype(dtype).itemsize
    require_memory(4 * min(examples, table.rows) * values, f"--examples {examples}")
    keep = np.arange(table.rows) < examples
    batches = list(table.batches(None if keep.all() else keep))
    if not batches:
        raise GencliError(f"{table.title}: no rows", "the claim needs at least one row")
    images = np.concatenate([arrow.unpack(batch, table.description) for batch in batches])
    labels = np.concatenate([arrow.values(batch.column("label")) for batch in batches])
    if not 0 < np.abs(images).max() < np.inf:
        raise GencliError(f"{table.title}: black images, or a pixel that is not finite", "use other rows")
    pixels = torch.from_numpy(images.astype(dtype) / np.dtype(dtype).type(255))
    return pixels.permute(0, 3, 1, 2), torch.from_numpy(labels.copy())


def size(arch: str, images: Tensor, classes: int) -> int:
    """Bytes of the parameters of the network that `build` makes, without making it."""
    import torch

    from gencli import models

    channels, height, width = images.shape[1:]
    with torch.device("meta"):
        network = models.build(arch, (height, width, channels), classes)
    return sum(each.numel() for each in network.parameters()) * images.element_size()


def build(arch: str, images: Tensor, classes: int, seed: int) -> nn.Module:
    """The network of this name for images [n, channels, height, width], of their dtype, in evaluation mode.

    Raises:
        GencliError: there is none, or one that does not classify.
    """
    import torch

    from gencli import models

    channels, height, width = images.shape[1:]
    require_memory(3 * size(arch, images, classes), f"--arch {arch}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = models.build(arch, (height, width, channels), classes).to(images.dtype).eval()
    if network(images[:1]).shape != (1, classes):
        raise GencliError(f"--arch {arch}: is not a classifier", "name a network that classifies")
    return network


def loss(network: nn.Module, inputs: Tensor, labels: Tensor) -> Loss:
    """The loss on inputs [n, …] with labels [n] as a function of the parameters."""
    import torch
    from torch.nn.functional import cross_entropy

    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    shapes = [parameter.shape for parameter in parameters.values()]
    sizes = [parameter.numel() for parameter in parameters.values()]

    def at(w: Tensor) -> Tensor:
        parts = [part.view(shape) for part, shape in zip(w.split(sizes), shapes, strict=True)]
        named = dict(zip(parameters, parts, strict=True))
        return cross_entropy(torch.func.functional_call(network, named, (inputs,)), labels)

    return Loss(at, torch.cat([parameter.flatten() for parameter in parameters.values()]))


def random_loss(widths: list[int], examples: int, random: np.random.Generator, dtype: str, bias: bool) -> Loss:
    """The loss of a network of random weights, with tanh between its layers, on normal inputs with random labels."""
    import torch

    network = draw(perceptron(widths, bias), random, dtype)
    inputs = torch.from_numpy(random.standard_normal((examples, widths[0])).astype(dtype))
    return loss(network, inputs, torch.from_numpy(random.integers(widths[-1], size=examples)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, torch uses one thread: networks this small gain nothing by more, and sums keep their order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# torch.func would do all this, but loads the compiler, two seconds


def gradient(f: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """∇f [P], or the derivative where w is a number."""
    import torch

    at = w.detach().requires_grad_()
    return torch.autograd.grad(f(at), at)[0]


def hessian(f: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """[P, P]: the Jacobian of the gradient, some rows at a time."""
    import torch

    at, matrix = w.detach().requires_grad_(), torch.zeros(len(w), len(w), dtype=w.dtype)
    (slope,) = torch.autograd.grad(f(at), at, create_graph=True)
    matrix.fill_diagonal_(1)
    for rows in matrix.split(_ROWS):  # their units become the rows
        rows.copy_(torch.autograd.grad(slope, at, rows, retain_graph=True, is_grads_batched=True)[0])
    return matrix


def hvp(f: Callable[[Tensor], Tensor], w: Tensor, v: Tensor) -> Tensor:
    """H v [P]: the gradient of ⟨∇f, v⟩, reverse over reverse (Pearlmutter 1994, Neural Computation 6(1))."""
    import torch

    at = w.detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(at), at, create_graph=True)
    return torch.autograd.grad(slope @ v, at)[0]
