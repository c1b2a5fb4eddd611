"""Every layer of torch.nn between two linear ones: trained, multiplied by and differentiated right, or refused."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gencli.curvature.extremes import leading
from gencli.curvature.operators import Operator
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.rows import RowFunction
from gencli.losses.classes import CrossEntropy
from gencli.models import Model
from gencli.models.inputs import Rows
from gencli.randomness import derive
from gencli.training.loop import Training
from gencli.training.settings import Settings
from tests.jacobians.test_rows import BOTH, one_thread

__all__ = ["one_thread"]

Make = Callable[[], Callable[[Tensor], Any]]
LINE, PLANE, VOLUME = (2, 8), (4, 2, 2), (2, 2, 2, 2)  # what 16 hidden units are made into
RATE = 0.05


def lists(shape: tuple[int, ...], *names: str) -> dict[str, tuple[tuple[int, ...], Make]]:
    return {name: (shape, getattr(nn, name)) for name in names}


def of_pairs(make: Callable[[], nn.Module]) -> Make:
    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = make()

        def forward(self, hidden: Tensor) -> Tensor:
            return self.inner(*hidden.chunk(2, 1))

    return Pairs


def calling(make: Callable[[], nn.Module], call: Callable[[nn.Module, Tensor], Any]) -> Make:
    class Calling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = make()

        def forward(self, hidden: Tensor) -> Any:
            return call(self.inner, hidden)

    return Calling


def unpooled(n: int) -> Make:
    pool = getattr(functional, f"max_pool{n}d")
    unpool = lambda layer, h: layer(*pool(h, 2, return_indices=True))  # noqa: E731
    return calling(lambda: getattr(nn, f"MaxUnpool{n}d")(2), unpool)


def first(made: Any) -> Tensor:
    return made if isinstance(made, Tensor) else made[0]


def itself(layer: nn.Module, hidden: Tensor) -> Tensor:
    return layer(hidden, hidden)


def words(hidden: Tensor) -> Tensor:
    return hidden.detach().mul(4).round().clamp(-4, 4).long() + 4


LAYERS: dict[str, tuple[tuple[int, ...], Make]] = {
    **lists(
        (16,), "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity",
        "LeakyReLU", "LogSigmoid", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus",
        "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Dropout", "AlphaDropout", "FeatureAlphaDropout", "Flatten",
    ),
    **{name: ((16,), lambda name=name: getattr(nn, name)(dim=1)) for name in ("Softmax", "Softmin", "LogSoftmax")},
    "Threshold": ((16,), lambda: nn.Threshold(0.1, -1.0)),
    "Linear": ((16,), lambda: nn.Linear(16, 5)),
    "LayerNorm": ((16,), lambda: nn.LayerNorm(16)),
    "RMSNorm": ((16,), lambda: nn.RMSNorm(16)),
    "Unflatten": ((16,), lambda: nn.Unflatten(1, (4, 4))),
    "BatchNorm1d": ((16,), lambda: nn.BatchNorm1d(16)),
    "SyncBatchNorm": ((16,), lambda: nn.SyncBatchNorm(16)),
    "Bilinear": ((16,), of_pairs(lambda: nn.Bilinear(8, 8, 5))),
    "CosineSimilarity": (LINE, of_pairs(lambda: nn.CosineSimilarity(dim=2))),
    "PairwiseDistance": ((16,), of_pairs(nn.PairwiseDistance)),
    "Embedding": ((16,), calling(lambda: nn.Embedding(9, 3), lambda layer, h: layer(words(h)) + h[..., None])),
    "EmbeddingBag": ((16,), calling(lambda: nn.EmbeddingBag(9, 3), lambda layer, h: layer(words(h)) + h[:, :3])),
    "RNN": (LINE, lambda: nn.RNN(8, 4, batch_first=True)),
    "GRU": (LINE, lambda: nn.GRU(8, 4, batch_first=True)),
    "LSTM": (LINE, lambda: nn.LSTM(8, 4, batch_first=True)),
    "RNNCell": ((16,), lambda: nn.RNNCell(16, 4)),
    "GRUCell": ((16,), lambda: nn.GRUCell(16, 4)),
    "LSTMCell": ((16,), lambda: nn.LSTMCell(16, 4)),
    "MultiheadAttention": (LINE, calling(
        lambda: nn.MultiheadAttention(8, 2, batch_first=True), lambda layer, h: layer(h, h, h)
    )),
    "TransformerEncoderLayer": (LINE, lambda: nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True)),
    "TransformerEncoder": (LINE, lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True), 1
    )),
    "TransformerDecoderLayer": (LINE, calling(
        lambda: nn.TransformerDecoderLayer(8, 2, 8, 0.0, batch_first=True), itself
    )),
    "TransformerDecoder": (LINE, calling(
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 8, 0.0, batch_first=True), 1), itself
    )),
    "Transformer": (LINE, calling(lambda: nn.Transformer(8, 2, 1, 1, 8, 0.0, batch_first=True), itself)),
    "Softmax2d": (PLANE, nn.Softmax2d),
    "PixelShuffle": (PLANE, lambda: nn.PixelShuffle(2)),
    "PixelUnshuffle": (PLANE, lambda: nn.PixelUnshuffle(2)),
    "ChannelShuffle": (PLANE, lambda: nn.ChannelShuffle(2)),
    "Unfold": (PLANE, lambda: nn.Unfold(2)),
    "Fold": ((4, 4), lambda: nn.Fold((4, 4), 2, stride=2)),
    "Upsample": (PLANE, lambda: nn.Upsample(scale_factor=2, mode="bicubic")),
    "UpsamplingBilinear2d": (PLANE, lambda: nn.UpsamplingBilinear2d(scale_factor=2)),
    "UpsamplingNearest2d": (PLANE, lambda: nn.UpsamplingNearest2d(scale_factor=2)),
    "GroupNorm": (PLANE, lambda: nn.GroupNorm(2, 4)),
    "LocalResponseNorm": (PLANE, lambda: nn.LocalResponseNorm(3)),
    "CrossMapLRN2d": (PLANE, lambda: nn.CrossMapLRN2d(3)),
    "FractionalMaxPool2d": ((1, 4, 4), lambda: nn.FractionalMaxPool2d(2, output_size=2)),
    "FractionalMaxPool3d": ((1, 4, 2, 2), lambda: nn.FractionalMaxPool3d((2, 1, 1), output_size=(2, 1, 1))),
    "BatchNorm2d": (PLANE, lambda: nn.BatchNorm2d(4)),
    "BatchNorm3d": (VOLUME, lambda: nn.BatchNorm3d(2)),
    **{
        f"{name}{n}d": (shape, lambda make=make, name=name, n=n, shape=shape: make(getattr(nn, f"{name}{n}d"), shape))
        for n, shape in ((1, LINE), (2, PLANE), (3, VOLUME))
        for name, make in {
            "Conv": lambda layer, shape: layer(shape[0], 3, 2, padding=1),
            "ConvTranspose": lambda layer, shape: layer(shape[0], 2, 2, stride=2),
            "InstanceNorm": lambda layer, shape: layer(shape[0], affine=True),
            "AvgPool": lambda layer, shape: layer(2),
            "MaxPool": lambda layer, shape: layer(2),
            "LPPool": lambda layer, shape: layer(2, 2),
            "AdaptiveAvgPool": lambda layer, shape: layer(1),
            "AdaptiveMaxPool": lambda layer, shape: layer(1),
            "CircularPad": lambda layer, shape: layer(1),
            "ConstantPad": lambda layer, shape: layer(1, 0.5),
            "ReflectionPad": lambda layer, shape: layer(1),
            "ReplicationPad": lambda layer, shape: layer(1),
            "ZeroPad": lambda layer, shape: layer(1),
            "Dropout": lambda layer, shape: layer(),
        }.items()
    },
    **{f"MaxUnpool{n}d": (shape, unpooled(n)) for n, shape in ((1, LINE), (2, PLANE), (3, VOLUME))},
}  # fmt: skip

NONE = {  # what is no layer between two others
    "Module", "Container", "Sequential", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "DataParallel",
    "RNNBase", "RNNCellBase",
}  # fmt: skip
OF_CHANCE = {
    "RReLU",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
    "FeatureAlphaDropout",
}  # float64 draws other numbers
WITHOUT_HESSIAN = {"EmbeddingBag", "CrossMapLRN2d"}  # torch has no second derivative; the commands take another route


class Between(nn.Module):
    def __init__(self, shape: tuple[int, ...], make: Make) -> None:
        super().__init__()
        self.shape, self.into, self.middle = shape, nn.Linear(16, 16), make()
        with torch.no_grad():
            width = self.hidden(torch.zeros(2, 1, 4, 4)).shape[1]
        self.out = nn.Linear(width, 3)

    def hidden(self, images: Tensor) -> Tensor:
        made = first(self.middle(self.into(images.flatten(1)).view(-1, *self.shape)))
        return made.reshape(len(images), -1)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.hidden(images))


def built(name: str) -> tuple[Model, Rows]:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = Between(*LAYERS[name])
    images = torch.randint(0, 256, (4, 4, 4, 1), dtype=torch.uint8)
    return Model("mlp-1x5", (4, 4, 1), ("a", "b", "c"), network), Rows(images, torch.arange(4) % 3)


def mean_loss(network: nn.Module, weights: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(torch.func.functional_call(network, weights, (images,)), labels)


def exact(model: Model, rows: Rows, train: bool = False) -> tuple[nn.Module, dict[str, Tensor], Tensor]:
    network = copy.deepcopy(model.network).double().train(train)
    weights = {name: each.detach() for name, each in network.named_parameters()}
    return network, weights, model.preprocessing(rows.images).double()


def apart(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).norm() / (other.double().norm() or 1))


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([each.reshape(-1) for each in tensors.values()])


def gradient(network: nn.Module, weights: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
    at = {name: each.clone().requires_grad_() for name, each in weights.items()}
    mean_loss(network, at, images, labels).backward()
    return flat({name: torch.zeros_like(each) if each.grad is None else each.grad for name, each in at.items()})


def product(model: Model, rows: Rows, v: Tensor) -> Tensor:
    """H v by differences of gradients in float64."""
    network, weights, images = exact(model, rows)

    def at(length: float) -> Tensor:
        return gradient(network, moved(weights, v, length), images, rows.labels)

    h = 1e-5
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


def random(size: int) -> Tensor:
    v = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return v / v.norm()


def moved(weights: dict[str, Tensor], v: Tensor, length: float) -> dict[str, Tensor]:
    parts = v.split([each.numel() for each in weights.values()])
    return {name: each + length * part.view_as(each) for (name, each), part in zip(weights.items(), parts, strict=True)}


def train(name: str) -> float:
    """How far a step of SGD is from the derivative of the loss by differences, in a random direction."""
    model, rows = built(name)
    network, weights, images = exact(model, rows, train=True)
    before, v = flat(weights), random(flat(weights).numel())
    settings = Settings(arch="mlp-1x5", epochs=1, batch_size=4, lr=RATE, device="cpu", loss="ce", whiten="image")
    run = Training(model, rows, settings, CrossEntropy())
    run.run()
    step = (before - flat(dict(model.network.named_parameters())).detach().double()) / RATE
    assert step.isfinite().all()
    assert step.any()
    if name in OF_CHANCE:
        return 0.0

    def at(length: float) -> float:
        torch.manual_seed(derive(0, "dropout", 0, 0))
        with torch.no_grad():
            return float(mean_loss(copy.deepcopy(network), moved(weights, v, length), images, rows.labels))

    return abs((at(1e-6) - at(-1e-6)) / 2e-6 - float(step @ v)) / float(step.norm())


def hvp(name: str) -> float:
    model, rows = built(name)
    operator = Operator(model, rows, CrossEntropy(), dtype=torch.float64)
    v = random(operator.size)
    return apart(operator.matvec(v), product(model, rows, v))


def spectrum(name: str) -> float:
    model, rows = built(name)
    operator = Operator(model, rows, CrossEntropy(), dtype=torch.float64)
    pairs = leading(operator.matvec, operator.size, 1, dtype=torch.float64)
    return apart(product(model, rows, pairs.vectors[0]), pairs.values[0] * pairs.vectors[0])


def jacobian(name: str) -> float:
    model, rows = built(name)
    network, weights, images = exact(model, rows)
    worst = 0.0
    for wrt in BOTH:
        function, double = (RowFunction(model, rows, wrt, dtype=each) for each in (torch.float32, torch.float64))
        v, found = random(function.size), torch.empty(4, 3, function.size)
        for chunk in function.jacobians(confirm=Confirmation(function, double)):
            found[chunk.start : chunk.start + len(chunk.matrices)] = chunk.matrices
        for row in range(4):

            def at(length: float, row: int = row, wrt: str = wrt, v: Tensor = v) -> Tensor:
                image = images[row : row + 1]
                if wrt == "input":
                    return network(image + length * v.view_as(image))[0]
                return torch.func.functional_call(network, moved(weights, v, length), (image,))[0]

            with torch.no_grad():
                worst = max(worst, apart(found[row].double() @ v, (at(1e-6) - at(-1e-6)) / 2e-6))
    return worst


def test_every_layer_of_torch_is_listed() -> None:
    known = {name for name in dir(nn) if isinstance(each := getattr(nn, name), type) and issubclass(each, nn.Module)}
    layers = {name for name in known if not name.startswith("Lazy") and not name.removesuffix("2d").endswith("Loss")}
    assert layers == {*LAYERS, *NONE}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_right_or_refused(name: str) -> None:
    assert train(name) < 1e-4
    assert jacobian(name) < 1e-4
    for hessian in (hvp, spectrum):
        if name in WITHOUT_HESSIAN:
            with pytest.raises(RuntimeError, match=r"derivative|differentiation"):
                hessian(name)
        else:
            assert hessian(name) < 1e-6
