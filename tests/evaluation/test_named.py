"""The measures of Jiang et al. 2020 against formulas written out: explicit matrices, each row's gradient by itself."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gencli import models
from gencli.evaluation import nearby
from gencli.evaluation.gradients import dense_gradients
from gencli.evaluation.measures import measure
from gencli.evaluation.named import MEASURES, NAMED, Undefined
from gencli.models import Model, Options
from gencli.models.inputs import Rows, load
from gencli.models.layers import BasicBlock
from tests.helpers import image_table

SHAPE = 4, 3, 1
N = 120


def fitted(network: nn.Module, rows: Rows, model: Model) -> None:
    """Fits the rows' labels as the network says them, so that all margins are above 0."""
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    images = model.preprocessing(rows.images)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(network(images), rows.labels).backward()
        optimizer.step()


def made(network: nn.Module | str = "mlp-2x8", options: Options = models.PLAIN) -> tuple[Model, nn.Module, Rows]:
    torch.manual_seed(0)
    table = image_table(N, SHAPE)
    arch, classes = network if isinstance(network, str) else "mlp-1x8", table.description.classes
    network = models.build(network, SHAPE, len(classes), options) if isinstance(network, str) else network
    model, initial, rows = Model(arch, SHAPE, classes, network, options), copy.deepcopy(network), load(table)
    rows.labels = (model.preprocessing(rows.images).flatten(1)[:, :3].argmax(1)) % len(classes)
    fitted(network.train(), rows, model)
    network.eval()
    return model, initial, rows


def values(model: Model, initial: nn.Module | None, rows: Rows) -> dict[str, float | None]:
    return {each["measure"]: each["value"] for each in table(model, initial, rows)}


def table(model: Model, initial: nn.Module | None, rows: Rows) -> list[dict[str, Any]]:
    return [each for each in measure(model, initial, rows, 0).to_pylist() if each["layer"] is None]


@pytest.fixture(scope="module")
def dense() -> tuple[Model, nn.Module, Rows, dict[str, float | None]]:
    model, initial, rows = made()
    return model, initial, rows, values(model, initial, rows)


def weights(network: nn.Module) -> list[np.ndarray[Any, Any]]:
    return [each.detach().double().numpy() for each in network.parameters() if each.ndim > 1]


def test_norms_are_the_published_formulas(dense: Any) -> None:
    model, initial, rows, found = dense
    w, start, n = weights(model.network), weights(initial), len(rows)
    moved, d = [a - b for a, b in zip(w, start, strict=True)], len(w)
    with torch.no_grad():
        logits = model.network(model.preprocessing(rows.images)).double().numpy()
    own = logits[np.arange(n), rows.labels]
    others = np.where(np.eye(logits.shape[1], dtype=bool)[rows.labels], -np.inf, logits).max(1)
    margin = np.sort(own - others)[n // 10 - 1]
    assert margin > 0
    fro, spec = ([np.linalg.norm(each, kind) ** 2 for each in w] for kind in ("fro", 2))
    fro_moved, spec_moved = ([np.linalg.norm(each, kind) ** 2 for each in moved] for kind in ("fro", 2))
    expected_logs = {"spectral": np.log(spec).sum(), "frobenius": np.log(fro).sum()}
    logs, roots = dict[str, float](), dict[str, float]()
    for name, log in expected_logs.items():
        logs[f"log_{name}_product"] = log
        logs[f"log_{name}_product_over_margin"] = log - 2 * np.log(margin)
        logs[f"log_{name}_sum"] = np.log(d) + log / d
        logs[f"log_{name}_sum_over_margin"] = np.log(d) + (log - 2 * np.log(margin)) / d
    main = logs["log_spectral_product_over_margin"]
    logs["log_spectral_initialization"] = main + math.log(
        sum(float(f / s) for f, s in zip(fro_moved, spec, strict=True))
    )
    logs["log_spectral_origin"] = main + math.log(sum(float(f / s) for f, s in zip(fro, spec, strict=True)))
    roots["inverse_margin"] = 1 / margin**2
    roots["frobenius_over_spectral"] = sum(float(f / s) for f, s in zip(fro, spec, strict=True))
    roots["weight_norm"], roots["frobenius_distance"], roots["spectral_distance"] = map(
        float, map(sum, (fro, fro_moved, spec_moved))
    )
    squared = copy.deepcopy(model.network).double()
    for each in squared.parameters():
        each.data.square_()
    roots["path_norm_over_margin"] = squared(torch.ones(1, 1, *SHAPE[:2]).double()).sum().item() / margin**2
    for name, value in logs.items():
        assert found[name] == pytest.approx((value - np.log(n)) / 2, rel=1e-5), name
    for name, value in roots.items():
        assert found[name] == pytest.approx(math.sqrt(value / n), rel=1e-5), name
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert found["negative_entropy"] == pytest.approx((p * np.log(p)).sum(1).mean(), rel=1e-5)
    assert found["cross_entropy"] == pytest.approx(-np.log(p[np.arange(n), rows.labels]).mean(), rel=1e-5)
    assert found["vc_bound_convolutions"] == pytest.approx(
        4000 * math.sqrt(d * math.log2(6 * d * 4) ** 3 * sum(each.size for each in w) / n) + math.sqrt(math.log(20) / n)
    )


def test_pac_bayes_and_sharpness_are_the_published_formulas(dense: Any) -> None:
    model, initial, rows, found = dense
    w, start = (np.concatenate([each.ravel() for each in weights(each)]) for each in (model.network, initial))
    moved, n, omega, eps = w - start, len(rows), len(w), 1e-3
    scale = {}
    for kind in ("pac_bayes", "pac_bayes_magnitude", "sharpness", "sharpness_magnitude"):
        scale[kind] = 1 / (found[f"{kind}_flatness"] * math.sqrt(n))
    for kind, more in (("pac_bayes", 1.0), ("sharpness", math.log(2 * omega))):
        for name, vector in (("initialization", moved), ("origin", w)):
            bound = (vector**2).sum() * more / (4 * scale[kind] ** 2) + math.log(n / scale[kind]) + 10
            assert found[f"{kind}_{name}"] == pytest.approx(math.sqrt(bound / n), rel=1e-5)
            own = scale[f"{kind}_magnitude"]
            extra = 1.0 if kind == "pac_bayes" else 4 * math.log(2 * omega / 0.05)
            numerator = eps**2 + (own**2 + extra) * (vector**2).sum() / omega
            bound = np.log(numerator / (eps**2 + own**2 * moved**2)).sum() / 4 + math.log(n / own) + 10
            assert found[f"{kind}_magnitude_{name}"] == pytest.approx(math.sqrt(bound / n), rel=1e-5)


def accuracy(model: Model, rows: Rows, moves: list[torch.Tensor]) -> float:
    network = copy.deepcopy(model.network)
    for each, move in zip(network.parameters(), moves, strict=True):
        each.data += move
    with torch.no_grad():
        return (network(model.preprocessing(rows.images)).argmax(1) == rows.labels).double().mean().item()


@pytest.mark.parametrize("aware", [False, True])
def test_sigma_costs_the_stated_accuracy(dense: Any, aware: bool) -> None:
    model, _, rows, found = dense
    flat = found["pac_bayes_magnitude_flatness" if aware else "pac_bayes_flatness"]
    sigma = 1 / (flat * math.sqrt(len(rows)))
    generator, kept = (
        torch.Generator().manual_seed(0),
        accuracy(model, rows, [0 * p for p in model.network.parameters()]),
    )
    after = []
    for _ in range(10):
        moves = [torch.randn(p.shape, generator=generator) for p in model.network.parameters()]
        spread = [(sigma**2 * p.detach() ** 2 + 1e-6).sqrt() if aware else sigma for p in model.network.parameters()]
        after.append(accuracy(model, rows, [s * m for s, m in zip(spread, moves, strict=True)]))
    assert kept - np.mean(after) == pytest.approx(0.1, abs=nearby.TOLERANCE + 1e-9)


def test_the_box_is_where_ascent_costs_the_stated_accuracy(dense: Any) -> None:
    model, _, rows, found = dense
    alpha = 1 / (found["sharpness_flatness"] * math.sqrt(len(rows)))

    def lost(side: float) -> float:
        moved, images = copy.deepcopy(model.network), model.preprocessing(rows.images)
        right = []
        for _ in range(nearby.ASCENTS):
            loss = functional.cross_entropy(moved(images), rows.labels, reduction="sum")
            slopes = torch.autograd.grad(loss, [*moved.parameters()])
            for each, own, slope in zip(moved.parameters(), model.network.parameters(), slopes, strict=True):
                each.data = own.data + side * slope.sign()
            right.append((moved(images).argmax(1) == rows.labels).double().mean().item())
        start = (model.network(images).argmax(1) == rows.labels).double().mean().item()
        return start - min(right)

    assert lost(0.98 * alpha) < 0.1 + 2 / N
    assert lost(1.02 * alpha) > 0.1 - 2 / N


def test_gradients_are_each_rows_own(dense: Any) -> None:
    model, _, rows, found = dense
    images, parameters = model.preprocessing(rows.images), [*model.network.parameters()]
    gradients = []
    for image, label in zip(images, rows.labels, strict=True):
        loss = functional.cross_entropy(model.network(image[None]), label[None])
        gradients.append(torch.cat([each.flatten() for each in torch.autograd.grad(loss, parameters)]).double())
    each = torch.stack(gradients)
    flat = torch.cat([p.detach().flatten() for p in parameters]).double()
    assert found["gradient_noise"] == pytest.approx(each.var(0, correction=0).sum().item(), rel=1e-5)
    assert found["fisher_rao"] == pytest.approx((each @ flat).square().mean().item(), rel=1e-5)


def test_fisher_rao_of_a_network_without_biases_knows_its_depth() -> None:
    """Liang et al. 2019, theorem 3.1: (number of layers)² times the mean of ⟨∂ℓ/∂f, f⟩²."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 8, False), nn.ReLU(), nn.Linear(8, 6, False), nn.ReLU(), nn.Linear(6, 10, False)
    )
    model, initial, rows = made(network)
    with torch.no_grad():
        logits = network(model.preprocessing(rows.images)).double()
    inner = ((logits.softmax(1) - functional.one_hot(rows.labels, 10)) * logits).sum(1)
    assert values(model, initial, rows)["fisher_rao"] == pytest.approx(9 * inner.square().mean().item(), rel=1e-5)


def test_a_convolution_counts_its_kernel_once_and_its_matrix_whole() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10))
    model, initial, rows = made(network)
    found = values(model, initial, rows)
    convolution, last = network[0], network[3]
    matrices, kernels = [], []
    for before, after in zip((convolution, last), (initial[0], initial[3]), strict=True):  # type: ignore[index]
        kernel = (before.weight - after.weight).detach()  # type: ignore[operator]
        kernels.append(kernel)
        matrices.append(
            torch.stack([functional.conv2d(e.view(1, 1, 4, 3), kernel, padding=1).flatten() for e in torch.eye(12)], 1)
            if kernel.ndim == 4 else kernel
        )  # fmt: skip
    squares = sum(torch.linalg.matrix_norm(each, 2).item() ** 2 for each in matrices)
    assert found["spectral_distance"] == pytest.approx(math.sqrt(squares / N), rel=1e-5)
    assert found["frobenius_distance"] == pytest.approx(
        math.sqrt(sum(each.square().sum().item() for each in kernels) / N), rel=1e-5
    )
    capacity = 2 * math.log2(6 * 2 * 4) ** 3 * (4 * 9 + 480) / N
    assert found["vc_bound_convolutions"] == pytest.approx(4000 * math.sqrt(capacity) + math.sqrt(math.log(20) / N))


def test_what_theory_does_not_reach_is_null_and_says_why() -> None:
    cases = {
        "batch norm": made("mlp-1x8", Options(batch_norm=True)),
        "branches meet": made(nn.Sequential(BasicBlock(1, 4, 1, nn.Conv2d(1, 4, 1)), nn.Flatten(), nn.Linear(48, 10))),
        "not known": (*made()[:1], None, made()[2]),
    }
    for why, (model, initial, rows) in cases.items():
        notes = {each["measure"]: each["note"] for each in table(model, initial, rows)}
        assert all((each["value"] is None) == (each["note"] is not None) for each in table(model, initial, rows))
        name = "log_spectral_product" if "branch" in why else "frobenius_distance"
        assert why in str(notes[name])
        assert notes["fisher_rao"] is None
        bounded = "pac_bayes_origin"
        assert (notes[bounded] is None) == (why == "not known")
        assert "no history" in str(notes["steps_to_loss"])


class Own(nn.Module):
    """Layers as its function uses them."""

    def __init__(self, function: Callable[[nn.ModuleDict, torch.Tensor], torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleDict(layers)
        self.factor = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("mean", torch.zeros(12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers["last"](self.factor * self.function(self.layers, x).flatten(1))


def twice(layers: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
    once = layers["a"](x.flatten(1)).relu()
    return functional.linear(layers["a"](once).relu(), layers["a"].weight.T)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        (twice, {"a": nn.Linear(12, 12)}),
        (lambda layers, x: layers["a"](x), {"a": nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")}),
    ],
)
def test_norms_of_weights_count_each_once(function: Any, layers: dict[str, nn.Module]) -> None:
    torch.manual_seed(0)
    network = Own(function, last=nn.Linear(12, 10), **layers)
    before, rows = copy.deepcopy(network), load(image_table(9, SHAPE))
    with torch.no_grad():
        network.layers["a"].weight.add_(0.1)  # type: ignore[operator]
    found = values(Model("mlp-1x8", SHAPE, tuple("0123456789"), network.eval()), before, rows)
    squares = sum(np.square(each).sum() for each in weights(network)) + 0.5**2
    assert found["weight_norm"] == pytest.approx(math.sqrt(squares / 9), rel=1e-5)
    moved = 0.1 * math.sqrt(network.layers["a"].weight.numel())  # type: ignore[operator]
    assert found["frobenius_distance"] == pytest.approx(moved / 3, rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_weight_behind_two_batch_norms_is_one_weight(scale: float) -> None:
    torch.manual_seed(0)
    conv, norms = nn.Conv2d(1, 1, 3, padding=1, bias=False), [nn.BatchNorm2d(1), nn.BatchNorm2d(1)]
    nn.init.constant_(norms[1].weight, scale)
    normed = nn.Sequential(conv, norms[0], nn.ReLU(), conv, norms[1], nn.Flatten(), nn.Linear(12, 10))
    plain = nn.Sequential(conv, nn.ReLU(), conv, nn.Flatten(), nn.Linear(12, 10))
    rows = load(image_table(9, SHAPE))
    found, without = (
        {
            each["measure"]: each
            for each in table(Model("mlp-1x8", SHAPE, tuple("0123456789"), network.eval()), None, rows)
        }
        for network in (normed, plain)
    )
    assert found["vc_bound_convolutions"]["value"] == without["vc_bound_convolutions"]["value"]
    if scale == 1:
        squares = [each.detach().square().sum().item() for each in (conv.weight, normed[-1].weight)]  # type: ignore[union-attr]
        assert found["weight_norm"]["value"] == pytest.approx(math.sqrt((squares[0] / (1 + 1e-5) + squares[1]) / 9))
    else:
        assert (
            found["weight_norm"]["note"]
            == "0 is used again behind another batch norm, which makes another matrix of it"
        )


def test_weights_that_are_not_read_as_a_layers_make_their_norm_null() -> None:
    attention = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, batch_first=True)
    network = Own(lambda layers, x: layers["a"](x[:, 0].mT), a=attention, last=nn.Linear(12, 10))
    model = Model("mlp-1x8", SHAPE, tuple("0123456789"), network.eval())
    notes = {each["measure"]: str(each["note"]) for each in table(model, None, load(image_table(9, SHAPE)))}
    assert "attention" in notes["weight_norm"]


def test_state_that_training_changed_is_told_from_a_norm_without() -> None:
    model, initial, rows = made(Own(lambda layers, x: layers["a"](x), a=nn.InstanceNorm2d(1), last=nn.Linear(12, 10)))
    assert values(model, initial, rows)["pac_bayes_initialization"] is not None
    model.network.mean += 1  # type: ignore[operator]
    assert {each["note"] for each in table(model, initial, rows) if each["measure"].startswith("pac_bayes")} == {
        "mean is no parameter, but training changed it"
    }


def test_bisection_finds_the_scale_to_a_thousandth_or_says_there_is_none() -> None:
    assert nearby.bisect(lambda scale: 0.1 * (scale / 0.003) ** 2) == pytest.approx(0.003, rel=0.03)
    assert nearby.bisect(lambda scale: 0.0 if scale < 7.3 else 1.0) == pytest.approx(7.3, rel=1e-3)
    for lost in (lambda scale: 0.0, lambda scale: 0.5):
        with pytest.raises(Undefined, match=r"no move of .* loses 0.1"):
            nearby.bisect(lost)


def test_every_measure_says_what_it_is() -> None:
    assert len({each.name for each in MEASURES}) == len(MEASURES)
    assert all(each.formula and each.unit for each in MEASURES)
    assert all(each.source and each.value for each in NAMED)


class Tied(nn.Module):
    """A dense layer whose weight something else uses too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1)) + 2 * x.flatten(1) @ self.layer.weight.T


class Shared(nn.Module):
    """A dense layer that each row passes twice, in one call or in two."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls, self.layer, self.last = calls, nn.Linear(6, 6), nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.flatten(1).unflatten(1, (2, 6))
        made = self.layer(parts) if self.calls == 1 else torch.stack([self.layer(each) for each in parts.unbind(1)], 1)
        return self.last(made.relu().flatten(1))


@pytest.mark.parametrize(
    ("network", "without"),
    [
        ("mlp-2x8", True),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False), nn.Tanh(), nn.Linear(5, 10)), True),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(inplace=True), nn.Linear(5, 10)), False),
        (nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(12, 10)), False),
        (Tied(), False),
        (Shared(1), False),
        (Shared(2), False),
    ],
)
def test_gradients_of_dense_layers_are_those_of_single_rows(network: nn.Module | str, without: bool) -> None:
    torch.manual_seed(0)
    table = image_table(9, SHAPE)
    classes, rows = table.description.classes, load(table)
    own = models.build(network, SHAPE, len(classes), models.PLAIN) if isinstance(network, str) else network
    model, names = Model("mlp-1x8", SHAPE, classes, own.eval()), {name for name, _ in own.named_parameters()}
    found = dense_gradients(model, rows, names)
    assert (found is not None) == without
    assert dense_gradients(model, rows, names - {next(iter(names))}) is None  # a frozen one
    each = []
    for image, label in zip(model.preprocessing(rows.images), rows.labels, strict=True):
        loss = functional.cross_entropy(own(image[None]), label[None])
        each.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*own.parameters()])]).double())
    slopes, flat = torch.stack(each), torch.cat([each.detach().double().flatten() for each in own.parameters()])
    expected = (slopes @ flat).square().mean().item(), slopes.var(0, correction=0).sum().item()
    assert found is None or found == pytest.approx(expected, rel=1e-5)
