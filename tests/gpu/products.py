"""ResNet-18's Hessian times a vector: ours against peers in the same process, on the same rows.

The peers are torch.func's forward over reverse under torch.compile, written here, and curvlinops' Hessian, where it is
installed, as it is and under torch.compile.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from gencli.curvature.operators import Operator
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, build
from gencli.models.inputs import Rows, load
from gencli.training import devices
from tests.gpu.machine import seconds
from tests.gpu.parts import Row, Setting
from tests.gpu.trained import CLASSES, SHAPE, table

_CLOSE = 1e-3  # float32


def products(setting: Setting) -> Iterator[Row]:
    device = devices.choose(setting.device)
    devices.precision("float32", device)
    arch, count = ("mlp-1x512", 16) if setting.tiny else ("resnet18", 512)
    torch.manual_seed(0)
    model = Model(arch, SHAPE, CLASSES, build(arch, SHAPE, len(CLASSES)).to(device).eval())
    rows = load(table(count)).to(device)
    operator = Operator(model, rows, CrossEntropy(), batch_size=count)
    v = torch.randn(operator.size, device=device)
    rounds = setting.size(5, 1)
    gradient = seconds(operator.gradient, setting.device, rounds)
    expected = operator.matvec(v)
    ours = seconds(lambda: operator.matvec(v), setting.device, rounds)
    yield Row(f"{arch}, {count} rows, gradient", gradient, "s")
    yield Row("product again, double backward, ours", ours, "s", note=f"{ours / gradient:.2f} gradients")
    operator.forget()
    try:
        forward = seconds(lambda: operator.matvec(v, "forward-over-reverse"), setting.device, rounds)
        yield Row("product, forward over reverse, ours", forward, "s", note=f"{forward / gradient:.2f} gradients")
    except RuntimeError as error:
        yield Row("product, forward over reverse, ours", "fails", note=str(error).splitlines()[0][:200])
    exact = operator.again().matvec(v.double())
    yield Row.below("ours against float64", _apart(expected, exact), _CLOSE)
    for name, call in _peers(model, rows, v).items():
        try:
            made = call()
            yield Row.below(f"{name}: the same product as float64's", _apart(made, exact), _CLOSE)
            theirs = seconds(call, setting.device, rounds, warm=1)
            yield Row(f"{name}", theirs, "s")
            yield Row(f"ours / {name}", ours / theirs, "", None if setting.tiny else 1.05,
                      None if setting.tiny else ours / theirs <= 1.05)  # fmt: skip
        except Exception as error:
            yield Row(name, "fails", note=str(error).splitlines()[0][:200])


def _apart(made: Tensor, exact: Tensor) -> float:
    return float((made.double() - exact).norm() / exact.norm())


def _peers(model: Model, rows: Rows, v: Tensor) -> dict[str, Callable[[], Any]]:
    network, images = model.network, model.preprocessing(rows.images)
    shapes = {name: each.shape for name, each in network.named_parameters()}
    at = {name: each.detach() for name, each in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def split(vector: Tensor) -> dict[str, Tensor]:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        outputs = functional_call(network, (parameters, buffers), (images,))
        return nn.functional.cross_entropy(outputs, rows.labels)

    def along(vector: dict[str, Tensor]) -> dict[str, Tensor]:
        return jvp(grad(loss), (at,), (vector,))[1]

    def flat(tensors: dict[str, Tensor]) -> Tensor:
        return torch.cat([tensors[name].reshape(-1) for name in shapes])

    compiled = torch.compile(along)
    found: dict[str, Callable[[], Any]] = {
        "torch.func, forward over reverse": lambda: flat(along(split(v))),
        "torch.func, forward over reverse, torch.compile": lambda: flat(compiled(split(v))),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import curvlinops
        except Exception:  # not installed, or of another torch
            return found
        linear = curvlinops.HessianLinearOperator(
            network, nn.CrossEntropyLoss(), [*network.parameters()], [(images, rows.labels)], progressbar=False
        )
    return found | {"curvlinops": lambda: linear @ v, "curvlinops, torch.compile": torch.compile(lambda: linear @ v)}
