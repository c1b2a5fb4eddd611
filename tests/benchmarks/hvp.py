"""Hessian-vector products in gradients and against the packages of PyPI, in one process, on one thread and on two."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gencli.curvature.differences import relative, sweep
from gencli.curvature.operators import Operator
from gencli.curvature.products import METHODS
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, build
from gencli.models.inputs import Rows
from gencli.training import devices
from tests.benchmarks.measure import Row, in_turns, timed

_SHAPE, _CLASSES, _BATCHES = (32, 32, 3), tuple("0123456789"), 4
# rows, the bars in gradients of a product from scratch and of one after it, rounds
_CASES = {"mlp-3x512": (512, 2.4, 1.4, 5), "resnet18": (64, 3.8, 2.6, 3)}
_PEER = 1.05

Products = tuple[Callable[[], object], Callable[[], object]]  # from scratch, and again


def run(folder: Path) -> Iterator[Row]:
    devices.choose("cpu")  # as the command does
    threads = torch.get_num_threads()
    for arch in _CASES:
        for count in (1, 2):
            torch.set_num_threads(count)
            yield from _speed(arch, f"{arch}, {count} thread" + "s" * (count > 1))
    torch.set_num_threads(threads)
    yield from _accuracy()


def _speed(arch: str, title: str) -> Iterator[Row]:
    count, once_bar, again_bar, rounds = _CASES[arch]
    torch.manual_seed(0)
    model = Model(arch, _SHAPE, _CLASSES, build(arch, _SHAPE, len(_CLASSES)).eval())
    rows = Rows(torch.randint(0, 256, (count, *_SHAPE), dtype=torch.uint8), torch.arange(count) % len(_CLASSES))
    one = Operator(model, rows, CrossEntropy(), batch_size=count)
    many = Operator(model, rows, CrossEntropy(), batch_size=count // _BATCHES)
    v = torch.randn(one.size)
    ours: Products = (lambda: Operator.matvec(_fresh(one), v)), (lambda: one.matvec(v))
    peers = _peers(model, rows, v, one.matvec(v))
    many.matvec(v)
    calls = [one.gradient, *ours, lambda: many.matvec(v), many.gradient]
    calls += [call for pair in peers.values() for call in pair]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradient, once, again, over_many, gradients, *theirs = in_turns([timed(call) for call in calls], rounds)
    yield Row(f"hvp once / gradient, {title}", once, gradient, once_bar)
    yield Row(f"hvp again / gradient, {title}", again, gradient, again_bar)
    yield Row(f"hvp again over {_BATCHES} batches / their gradient, {title}", over_many, gradients, again_bar)
    for number, name in enumerate(peers):
        yield Row(f"hvp once / {name}, {title}", once, theirs[2 * number], _PEER)
        yield Row(f"hvp again / {name}, {title}", again, theirs[2 * number + 1], _PEER)


def _fresh(operator: Operator) -> Operator:
    operator.forget()
    return operator


def peer(name: str) -> Any:
    """A package of the extra `bench`; None, said, where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError:
        print(f"{name} is not installed, see the extra `bench`", file=sys.stderr)
        return None


def _peers(model: Model, rows: Rows, v: Tensor, expected: Tensor) -> dict[str, Products]:
    """What is installed of the extra `bench`; each gives the same product."""
    network, loss = model.network, nn.CrossEntropyLoss()
    batch = model.preprocessing(rows.images), rows.labels
    found: dict[str, Products] = {}
    parts = [part.view_as(each) for part, each in zip(v.split([p.numel() for p in network.parameters()]),
                                                      network.parameters(), strict=True)]  # fmt: skip
    if curvlinops := peer("curvlinops"):
        parameters = [*network.parameters()]
        linear = curvlinops.HessianLinearOperator(network, loss, parameters, [batch], progressbar=False)
        found["curvlinops"] = (lambda: linear @ v), (lambda: linear @ v)
    if pyhessian := peer("pyhessian"):

        def start() -> Any:
            network.zero_grad()  # to which it would add
            return pyhessian.hessian(network, loss, data=batch, cuda=False)

        def multiply(made: Any) -> object:
            return pyhessian.utils.hessian_vector_product(made.gradsH, made.params, parts)

        kept = start()
        found["PyHessian"] = (lambda: multiply(start())), (lambda: multiply(kept))
    if eigenthings := peer("hessian_eigenthings"):
        theirs = eigenthings.HessianOperator(network, [batch], lambda network, each: loss(network(each[0]), each[1]))
        found["hessian-eigenthings"] = (lambda: theirs.matvec(v)), (lambda: theirs.matvec(v))
    for name, (call, _) in found.items():
        made: Any = call()
        flat = made if isinstance(made, Tensor) else torch.cat([each.flatten() for each in made])
        if relative(flat.detach(), expected) > 1e-4:
            raise AssertionError(f"{name} gives another product")
    return found


def _accuracy() -> Iterator[Row]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.Tanh(), nn.Linear(32, 10))
    model = Model("mlp-1x32", (8, 8, 3), _CLASSES, network)
    rows = Rows(torch.randint(0, 256, (64, 8, 8, 3), dtype=torch.uint8), torch.arange(64) % len(_CLASSES))
    double, single = (Operator(model, rows, CrossEntropy(), dtype=dtype) for dtype in (torch.float64, torch.float32))
    v = torch.randn(double.size, dtype=torch.float64)
    exact = double.matvec(v)
    routes = (relative(double.matvec(v, method), exact) for method in METHODS[1:])
    yield Row("hvp routes apart, float64", max(routes), 1e-13, 1, "")
    singles = (relative(single.matvec(v, method), exact) for method in METHODS)
    yield Row("hvp routes in float32 against float64", max(singles), 5e-6, 1, "")
    found = sweep(double, v, exact)
    yield Row("hvp by central differences, float64", found.best(found.central)[1], 1e-9, 1, "")
    yield Row("hvp by Richardson's extrapolation, float64", found.best(found.richardson)[1], 1e-11, 1, "")
