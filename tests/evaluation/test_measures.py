"""Norms are those of the layers' matrices, written out; paths and bounds follow from networks worked by hand."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gencli import models
from gencli.evaluation.affine import Affine, affine_layers
from gencli.evaluation.intervals import bootstrap
from gencli.evaluation.measures import distance, measure, path_norm, sharpness, vc_gap
from gencli.evaluation.predictions import predict
from gencli.models import Model, Options
from gencli.models.circulant import Circulant
from gencli.models.inputs import load
from gencli.models.layers import Pixels, SameConv
from tests.helpers import image_table

SHAPE = 6, 5, 3


def model_of(arch: str, shape: tuple[int, int, int] = SHAPE, options: Options = models.PLAIN) -> Model:
    torch.manual_seed(0)
    return Model(arch, shape, ("a", "b", "c"), models.build(arch, shape, 3, options).eval(), options)


def matrix(layer: Affine) -> torch.Tensor:
    """By the images of all basis vectors, biases taken off."""
    size = math.prod(layer.shape)
    basis = torch.eye(size, dtype=torch.float64).view(size, *layer.shape)
    module = copy.deepcopy(layer.module)
    return (module(basis) - module(torch.zeros_like(basis))).detach().flatten(1).T


def normalized(channels: int) -> nn.Module:
    layer = nn.BatchNorm2d(channels)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        tensor.data.uniform_(0.5, 2)  # type: ignore[union-attr]
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: nn.Sequential(Pixels(), nn.Linear(90, 7)),
    "one output": lambda: nn.Sequential(Pixels(), nn.Linear(90, 1)),
    "padded": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "stride, dilation, groups": lambda: nn.Conv2d(3, 6, 2, stride=2, dilation=2, padding=1, groups=3),
    "SAME": lambda: SameConv(3, 4, 3),
    "circulant": lambda: nn.Sequential(Pixels(), Circulant(90)),
    "batch norm": lambda: normalized(3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_norms_are_those_of_the_matrix(name: str) -> None:
    torch.manual_seed(1)
    (layer,), others = affine_layers(LAYERS[name]().double().eval(), SHAPE)
    assert not others
    written = matrix(layer)
    assert layer.spectral_norm() == pytest.approx(torch.linalg.matrix_norm(written, 2).item(), rel=1e-7)
    assert torch.allclose(layer.row_norms(), written.norm(dim=1))


def figures(model: Model, **settings: Any) -> dict[tuple[str, str | None], float | None]:
    rows = measure(model, settings.get("initial"), settings.get("rows"), 0).to_pylist()
    return {(row["measure"], row["layer"]): row["value"] for row in rows}


def test_a_chain_by_hand() -> None:
    model = model_of("mlp-1x8")
    first, last = (layer.weight.detach().double() for layer in model.network.modules() if isinstance(layer, nn.Linear))
    spectral = [torch.linalg.matrix_norm(each, 2).item() for each in (first, last)]
    rows = [each.norm(dim=1).sum().item() for each in (first, last)]
    found = figures(model)
    assert found["parameters", None] == 91 * 8 + 9 * 3
    assert found["frobenius_norm_product", None] == pytest.approx((first.norm() * last.norm()).item())
    assert found["spectral_norm_product", None] == pytest.approx(math.prod(spectral))
    ratios = sum((b / s) ** (2 / 3) for b, s in zip(rows, spectral, strict=True))
    assert found["spectral_complexity", None] == pytest.approx(math.prod(spectral) * ratios**1.5)
    assert found["vc_dimension_bound", None] == pytest.approx(755 * 2 * math.log2(755))
    assert ("distance_from_initialization", None) not in found


def test_the_path_norm_sums_over_all_paths() -> None:
    network = nn.Sequential(Pixels(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    (v, a, w, b) = (parameter.detach().tolist() for parameter in network.parameters())
    paths = [w[o][h] ** 2 * v[h][i] ** 2 for o in (0, 1) for h in (0, 1) for i in (0, 1)]
    paths += [w[o][h] ** 2 * a[h] ** 2 for o in (0, 1) for h in (0, 1)] + [b[o] ** 2 for o in (0, 1)]
    layers, _ = affine_layers(network, (1, 1, 2))
    assert path_norm(network, layers, (1, 1, 2)) == pytest.approx(math.sqrt(sum(paths)))


def test_batch_norm_is_its_factors_on_a_path() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 4, 1, bias=False), normalized(4)
    network = nn.Sequential(convolution, norm, nn.Flatten()).double().eval()
    folded = copy.deepcopy(convolution.double()), norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
    merged = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten()).double()
    merged[0].weight.data = folded[0].weight.data * scale.data.view(-1, 1, 1, 1)  # type: ignore[union-attr]
    merged[0].bias.data = (norm.bias - scale * norm.running_mean).data  # type: ignore[union-attr, operator]
    values = [path_norm(each, affine_layers(each, SHAPE)[0], SHAPE) for each in (network, merged)]
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize("arch", ["convnet-gelu", "alexnet-small"])
def test_networks_without_homogeneous_paths_have_no_path_norm(arch: str) -> None:
    network = model_of(arch, (16, 16, 1)).network.double()
    assert path_norm(network, affine_layers(network, (16, 16, 1))[0], (16, 16, 1)) is None


def test_what_is_no_chain_of_affine_layers_has_no_products() -> None:
    found = figures(model_of("mlp-1x8", options=Options(head="cosine")))
    whole = (
        "frobenius_norm_product",
        "spectral_norm_product",
        "spectral_complexity",
        "path_norm",
        "vc_dimension_bound",
    )
    assert [found[name, None] for name in whole] == [None] * 5
    assert found["spectral_norm", "1"] is not None


def test_the_distance_is_over_all_parameters() -> None:
    model, other = model_of("mlp-1x8"), models.build("mlp-1x8", SHAPE, 3)
    flat = [torch.cat([p.detach().double().flatten() for p in each.parameters()]) for each in (model.network, other)]
    assert distance(model.network, other) == pytest.approx((flat[0] - flat[1]).norm().item())
    assert distance(model.network, model.network) == 0


def test_measures_on_data_leave_the_network_as_it_was() -> None:
    model, rows = model_of("mlp-1x8", (2, 2, 1)), load(image_table(40))
    before = copy.deepcopy(model.network.state_dict())
    found = figures(model, rows=rows)
    logits = predict(model, rows).logits
    assert logits is not None
    own = logits[range(40), rows.labels]
    margins = own - logits.masked_fill(nn.functional.one_hot(rows.labels, 3).bool(), -torch.inf).amax(1)
    assert found["margin", None] == pytest.approx(margins.sort().values[4].item())
    assert found["margin_normalized_complexity", None] is None  # a tenth is wrong
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    rows.labels = logits.argmax(1)
    right = figures(model, rows=rows)
    norm = model.preprocessing(rows.images).double().norm().item()
    expected = right["spectral_complexity", None] * norm / (right["margin", None] * 40)  # type: ignore[operator]
    assert right["margin_normalized_complexity", None] == pytest.approx(expected)


def test_sharpness_is_a_function_of_the_seed_and_not_of_the_layers_scale() -> None:
    model, rows = model_of("mlp-1x8", (2, 2, 1)), load(image_table(40))
    first = sharpness(model, rows, 0)
    assert sharpness(model, rows, 0) == first != sharpness(model, rows, 1)
    hidden, last = (layer for layer in model.network.modules() if isinstance(layer, nn.Linear))
    hidden.weight.data *= 4
    hidden.bias.data *= 4
    last.weight.data /= 4
    assert sharpness(model, rows, 0) == pytest.approx(first, abs=1e-6)


def test_the_gap_bound_falls_with_n_and_is_vacuous_for_large_dimensions() -> None:
    assert vc_gap(10, 10**6) == pytest.approx(math.sqrt(8e-6 * (10 * math.log(2e5 * math.e) + math.log(80))))
    assert vc_gap(1e9, 1000) > 3
    assert vc_gap(2000, 1000) == pytest.approx(vc_gap(1e9, 1000))


def test_intervals_are_those_of_resampled_rows() -> None:
    random = np.random.default_rng(0)
    rows, right = random.integers(0, 2, 200) * 2, random.random(200) < 0.7
    low, high = bootstrap(rows, right, 3, 0)
    drawn = random.integers(0, 200, (4000, 200))
    for group, member in ((0, rows == 0), (2, rows == 2), (3, rows >= 0)):
        shares = [right[one][member[one]].mean() for one in drawn]
        assert (low[group], high[group]) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=0.015)
    assert np.isnan([low[1], high[1]]).all()
    assert np.array_equal(bootstrap(rows, right, 3, 0)[0], low, equal_nan=True)
    assert not np.array_equal(bootstrap(rows, right, 3, 1)[0], low, equal_nan=True)
