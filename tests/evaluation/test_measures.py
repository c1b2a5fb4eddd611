"""Measures follow from networks worked by hand, from merged ones, and from draws written out."""

import copy
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gencli import models
from gencli.evaluation.flatness import flatness
from gencli.evaluation.intervals import bootstrap
from gencli.evaluation.measures import distance, measure, path_norm, vc_dimension, vc_gap
from gencli.evaluation.predictions import predict
from gencli.evaluation.trace import Trace
from gencli.models import Model, Options
from gencli.models.inputs import load
from gencli.models.layers import BasicBlock, Pixels
from tests.helpers import image_table

SHAPE = 6, 5, 3


def model_of(arch: str, shape: tuple[int, int, int] = SHAPE, options: Options = models.PLAIN) -> Model:
    torch.manual_seed(0)
    return Model(arch, shape, ("a", "b", "c"), models.build(arch, shape, 3, options).eval(), options)


def normalized(channels: int) -> nn.Module:
    layer = nn.BatchNorm2d(channels)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        tensor.data.uniform_(0.5, 2)  # type: ignore[union-attr]
    return layer


def own(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> Model:
    return Model("own", shape, ("a", "b", "c"), network.eval())


def path(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> float | str:
    image = torch.zeros(1, shape[2], *shape[:2], dtype=torch.float64)
    return path_norm(Trace(network.double().eval(), image))


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
    assert path(network, (1, 1, 2)) == pytest.approx(math.sqrt(sum(paths)))


def test_batch_norm_is_its_factors_on_a_path() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 4, 1), normalized(4)
    network = nn.Sequential(convolution, norm, nn.Flatten()).double().eval()
    folded = copy.deepcopy(convolution.double()), norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
    merged = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten()).double()
    merged[0].weight.data = folded[0].weight.data * scale.data.view(-1, 1, 1, 1)  # type: ignore[union-attr]
    merged[0].bias.data = (norm.bias + scale * (convolution.bias - norm.running_mean)).data  # type: ignore[union-attr, operator]
    values = [path(each) for each in (network, merged)]
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize("arch", ["convnet-gelu", "alexnet-small"])
def test_networks_without_homogeneous_paths_have_no_path_norm(arch: str) -> None:
    assert "not homogeneous" in str(path(model_of(arch, (16, 16, 1)).network, (16, 16, 1)))


def test_batch_norm_is_part_of_the_layer_before_it() -> None:
    model = model_of("mlp-3x8", options=Options(batch_norm=True))
    merged = model_of("mlp-3x8")
    given = [module for module in model.network.modules() if isinstance(module, nn.Linear | nn.BatchNorm1d)]
    layers = [module for module in merged.network.modules() if isinstance(module, nn.Linear)]
    for norm in given[1::2]:
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.data.uniform_(0.5, 2)  # type: ignore[union-attr]
    for layer, dense, norm in zip(layers, given[::2], [*given[1::2], None]):
        factors = torch.ones(1) if norm is None else norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore
        layer.weight.data = dense.weight.data * factors.data[:, None]  # type: ignore[operator]
        layer.bias.data = dense.bias.data if norm is None else (norm.bias - factors * norm.running_mean).data  # type: ignore
    one, other = figures(model), figures(merged)
    for name in ("frobenius_norm_product", "spectral_norm_product", "spectral_complexity", "path_norm"):
        assert one[name, None] == pytest.approx(other[name, None], rel=1e-6)
    assert [value for (name, _), value in one.items() if name == "spectral_norm"] == pytest.approx(
        [value for (name, _), value in other.items() if name == "spectral_norm"], rel=1e-6
    )


def test_what_stands_between_layers_counts_in_the_complexity() -> None:
    def complexity(between: nn.Module) -> float:
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, padding=1), between, nn.Conv2d(4, 2, 1), nn.Flatten()
        found = figures(own(nn.Sequential(*layers)))
        assert found["lipschitz_bound", None] is not None
        names = "spectral_complexity", "lipschitz_bound", "spectral_norm_product"
        complexity, bound, product = (found[name, None] or math.nan for name in names)
        return complexity / (bound / product)

    plain = complexity(nn.ReLU())
    assert complexity(nn.GELU()) == pytest.approx(plain)
    assert complexity(nn.MaxPool2d(3, 1, 1)) == pytest.approx(plain)


def test_what_is_no_chain_has_no_products_and_says_why() -> None:
    cosine = model_of("mlp-1x8", options=Options(head="cosine"))
    block = BasicBlock(3, 4, 2, nn.Conv2d(3, 4, 1, 2))
    residual = own(nn.Sequential(block, nn.Flatten(), nn.Linear(36, 3)))
    chain = ("frobenius_norm_product", "spectral_norm_product", "spectral_complexity")
    for model, why in ((cosine, "linalg_vector_norm"), (residual, "branches meet")):
        notes = {row["measure"]: row["note"] for row in measure(model, None, None, 0).to_pylist() if not row["layer"]}
        found = figures(model)
        assert [found[name, None] for name in chain] == [None] * 3
        assert all(why in notes[name] for name in chain)
        assert all((found[name, None] is None) == (notes[name] is not None) for name in notes)
    assert figures(cosine)["spectral_norm", "1"] is not None
    assert figures(residual)["lipschitz_bound", None] > 1  # type: ignore[operator]
    assert figures(residual)["path_norm", None] > 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda network, x: network(x - x.mean(0, keepdim=True)), "depends on other images of its batch"),
        (lambda network, x: network(x + torch.rand_like(x)), "on chance|no Lipschitz constant"),
        (lambda network, x: network(x) if x.sum() > 0 else network(-x), "depends on values"),
        (lambda network, x: network(torch.from_numpy(x.numpy())), "does not depend"),
        (lambda network, x: network(x[:, :, :9]), "cannot be read"),
    ],
)
def test_what_cannot_be_said_of_a_users_network_is_null(function: Any, why: str) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Sequential(Pixels(), nn.Linear(90 if why != "cannot be read" else 7, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(self.network, x)

    rows = measure(own(Own()), None, None, 0).to_pylist()
    for row in rows:
        if row["measure"] != "parameters":
            assert row["value"] is None
            assert re.search(why, row["note"]), row


def test_a_network_of_single_precision_is_read() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(90, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(x.float().flatten(1))

    torch.manual_seed(0)
    network = Own()
    found = figures(own(network))
    assert found["spectral_norm", "dense"] == pytest.approx(torch.linalg.matrix_norm(network.dense.weight, 2).item())
    assert found["path_norm", None] == pytest.approx(
        math.hypot(network.dense.weight.norm().item(), network.dense.bias.norm().item()), rel=1e-5
    )


def test_paths_that_take_away_have_no_norm() -> None:
    class Less(nn.Sequential):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return -super().forward(input)

    assert "subtracts" in str(path(Less(Pixels(), nn.Linear(90, 3)), SHAPE))


def test_activations_with_parameters_have_no_complexity() -> None:
    for activation in (nn.PReLU(), nn.LayerNorm(4)):
        found = figures(own(nn.Sequential(Pixels(), nn.Linear(90, 4), activation, nn.Linear(4, 3))))
        assert found["spectral_complexity", None] is None
    assert found["lipschitz_bound", None] is not None


def test_the_depth_is_the_longest_paths() -> None:
    network = models.build("resnet18", (4, 4, 1), 3).double().eval()
    assert Trace(network, torch.zeros(1, 1, 4, 4, dtype=torch.float64)).depth() == 18  # of its 21 layers


@pytest.mark.parametrize(("n", "place"), [(5, 0), (19, 0), (40, 3), (1437, 142)])
def test_the_margin_is_the_tenth_of_the_rows_smallest(n: int, place: int) -> None:
    model, rows = model_of("mlp-1x8", (2, 2, 1)), load(image_table(n))
    logits = predict(model, rows).logits
    assert logits is not None
    own = logits[range(n), rows.labels]
    margins = own - logits.masked_fill(nn.functional.one_hot(rows.labels, 3).bool(), -torch.inf).amax(1)
    assert figures(model, rows=rows)["margin", None] == pytest.approx(margins.sort().values[place].item())


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
    assert found["margin", None] == pytest.approx(margins.sort().values[3].item())
    assert found["margin_normalized_complexity", None] is None  # a tenth is wrong
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    rows.labels = logits.argmax(1)
    right = figures(model, rows=rows)
    norm = model.preprocessing(rows.images).double().norm().item()
    expected = right["spectral_complexity", None] * norm / (right["margin", None] * 40)  # type: ignore[operator]
    assert right["margin_normalized_complexity", None] == pytest.approx(expected)


def flat(model: Model, rows: Any, seed: int = 0) -> dict[str, Any]:
    return {each.measure: each.value for each in flatness(model, rows, seed)}


def test_sharpness_is_a_function_of_the_seed_and_not_of_the_layers_scale() -> None:
    model, rows = model_of("mlp-1x8", (2, 2, 1)), load(image_table(40))
    first = flat(model, rows)
    assert flat(model, rows) == first
    assert flat(model, rows, 1)["sharpness"] != first["sharpness"]
    hidden, last = (layer for layer in model.network.modules() if isinstance(layer, nn.Linear))
    hidden.weight.data *= 4
    hidden.bias.data *= 4
    last.weight.data /= 4
    assert flat(model, rows) == pytest.approx(first, abs=1e-6)


def test_sharpness_has_its_mean_its_error_and_its_worst() -> None:
    model, rows = model_of("linear", (2, 2, 1)), load(image_table(40))
    weight = model.network[1].weight  # type: ignore[index]
    own, before = weight.detach().clone(), predict(model, rows).mean_loss
    lengths = 0.1 * own.norm(dim=1, keepdim=True)

    def rises(directions: torch.Tensor) -> list[float]:
        found = []
        for direction in directions:
            weight.data = own + direction / direction.norm(dim=1, keepdim=True) * lengths
            found.append(predict(model, rows).mean_loss - before)
        weight.data = own.clone()
        return found

    found = flat(model, rows)
    generator = torch.Generator().manual_seed(0)
    drawn = rises(torch.stack([torch.randn(own.shape, generator=generator) for _ in range(10)]))
    assert found["sharpness"] == pytest.approx(np.mean(drawn), abs=1e-6)
    assert found["sharpness_standard_error"] == pytest.approx(np.std(drawn, ddof=1) / math.sqrt(10), abs=1e-6)
    many = max(rises(torch.randn(2000, *own.shape)))  # the loss is convex here: the largest rise lies at the border
    assert many <= found["worst_sharpness"] < 1.2 * many
    assert torch.equal(weight, own)


def test_a_circulant_layer_is_one_filter_and_without_weights_nothing_is_sharp() -> None:
    rows = load(image_table(40))
    model = model_of("circulant-mlp-1x8", (2, 2, 1))
    for name, tensor in model.network.named_parameters():
        tensor.requires_grad_(tensor.ndim == 1 and name.endswith("weight"))
    assert flat(model, rows)["sharpness"] != 0
    for tensor in model.network.parameters():
        tensor.requires_grad_(False)
    assert set(flat(model, rows).values()) == {None}


def test_the_gap_bound_falls_with_n_and_is_vacuous_for_large_dimensions() -> None:
    assert vc_gap(10, 10**6) == pytest.approx(math.sqrt(8e-6 * (10 * math.log(2e5 * math.e) + math.log(80))))
    assert vc_gap(1e9, 1000) > 3
    assert vc_gap(2000, 1000) == pytest.approx(vc_gap(1e9, 1000))


def test_intervals_are_those_of_resampled_rows() -> None:
    random = np.random.default_rng(0)
    rows, right = random.integers(0, 2, 200) * 2, random.random(200) < 0.7
    counts = np.bincount(rows), np.bincount(rows[right])
    low, high = bootstrap(*counts, 0)
    drawn = random.integers(0, 200, (4000, 200))
    for group, member in ((0, rows == 0), (2, rows == 2), (3, rows >= 0)):
        shares = [right[one][member[one]].mean() for one in drawn]
        assert (low[group], high[group]) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=0.015)
    assert np.isnan([low[1], high[1]]).all()
    assert np.array_equal(bootstrap(*counts, 0)[0], low, equal_nan=True)
    assert not np.array_equal(bootstrap(*counts, 1)[0], low, equal_nan=True)


def test_a_network_without_weights_has_no_complexity() -> None:
    model = model_of("mlp-2x8")
    assert figures(model)["spectral_complexity", None] != 0
    for module in list(model.network.modules())[::-1]:
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            assert figures(model)["spectral_complexity", None] == 0


def test_strides_padding_dilation_and_a_folded_batch_norm_by_explicit_matrices() -> None:
    torch.manual_seed(0)
    norm = normalized(4)
    first, second = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(4, 3, 2, padding=1, dilation=2)
    network = nn.Sequential(first, norm, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), last := nn.Linear(36, 5)).eval()
    found = {row["measure"]: row["value"] for row in
             measure(Model("mlp-1x8", (7, 5, 2), tuple("abcde"), network), None, None, 0).to_pylist()}  # fmt: skip
    network.double()
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()  # type: ignore[operator]
    kernel = first.weight.detach() * scale.view(-1, 1, 1, 1)
    shift = norm.bias + scale * (first.bias - norm.running_mean)  # type: ignore[operator]
    layers = [
        lambda x, w, b: functional.conv2d(x, w, b, stride=2, padding=1),
        lambda x, w, b: functional.conv2d(x, w, b, padding=1, dilation=2),
        lambda x, w, b: functional.linear(x.flatten(1), w, b),
    ]
    weights = (kernel, shift), (second.weight, second.bias), (last.weight, last.bias)
    path, product = torch.ones(1, 2, 7, 5).double(), 1.0
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, weights, strict=True):
            units = torch.eye(path.numel()).double().view(-1, *path.shape[1:])
            product *= torch.linalg.matrix_norm(layer(units, weight, None).flatten(1), 2).item()
            path = layer(path, weight.square(), bias.square())  # type: ignore[union-attr]
    assert found["spectral_norm_product"] == pytest.approx(product, rel=1e-9)
    assert found["path_norm"] == pytest.approx(path.sum().sqrt().item(), rel=1e-9)


@pytest.mark.parametrize("n", [1, 50, 1000])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0, 1.001, 30.0])
def test_the_gap_bound_is_vapniks_with_sauers_lemma(n: int, share: float) -> None:
    dimension = share * 2 * n
    trivial, sauer = 2 * n * math.log(2), dimension * math.log(2 * math.e * n / dimension)
    growth = min(trivial, sauer) if dimension <= 2 * n else trivial
    assert vc_gap(dimension, n) == pytest.approx(math.sqrt(8 / n * (growth + math.log(4 / 0.05))))


def test_the_dimensions_logarithm_is_of_at_least_two_parameters() -> None:
    assert vc_dimension(5, 3, 8) == 5 * 3 * 3
    assert [vc_dimension(1, 1, count) for count in (1, 2, 3)] == pytest.approx([1, 1, math.log2(3)])
