"""Products of curvature matrices with vectors are what their definitions say, by every route."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from gencli.curvature import operators
from gencli.curvature.operators import Kind, Operator
from gencli.curvature.products import METHODS, Elementary, product
from gencli.errors import GencliError
from gencli.losses import choose
from gencli.losses.settings import LossSettings
from gencli.models import Model, build
from gencli.models.inputs import Rows

SHAPE, ROWS = (6, 6, 1), 23
SMOOTH = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.Tanh(), nn.Linear(5, 3))
KINDS: tuple[Kind, ...] = ("hessian", "ggn", "fisher", "empirical-fisher")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of such small tensors two make none faster, and wait for each other
    yield
    torch.set_num_threads(threads)


def rows(shape: tuple[int, int, int] = SHAPE) -> Rows:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (ROWS, *shape), dtype=torch.uint8, generator=random)
    return Rows(images, torch.arange(ROWS) % 3, targets=images.flip(0))


def model(network: nn.Module | str = SMOOTH, shape: tuple[int, int, int] = SHAPE) -> Model:
    torch.manual_seed(0)
    arch = network if isinstance(network, str) else "mlp-1x5"
    built = build(network, shape, 3) if isinstance(network, str) else network
    return Model(arch, shape, ("a", "b", "c"), built.eval())


def operator(network: nn.Module | str = SMOOTH, kind: Kind = "hessian", loss: str = "ce", **more: Any) -> Operator:
    more = {"dtype": torch.float64, "batch_size": 7} | more
    return Operator(model(network), rows(), choose(LossSettings(loss=loss)), kind, **more)


def vector(size: int, seed: int = 1) -> Tensor:
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def apart(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).norm() / other.double().norm())


def by_definition(kind: Kind) -> Tensor:
    """The matrix of the smooth network, from its formula in float64."""
    whole, network = operator(), copy.deepcopy(model().network).double()
    inputs, labels = model().preprocessing(rows().images).double(), rows().labels

    def logits(w: Tensor) -> Tensor:
        return torch.func.functional_call(network, whole.unflatten(w), (inputs,))

    def losses(w: Tensor) -> Tensor:
        return functional.cross_entropy(logits(w), labels, reduction="none")

    if kind == "hessian":
        return torch.func.jacrev(torch.func.grad(lambda w: losses(w).mean()))(whole.weights)
    if kind == "empirical-fisher":
        gradients = torch.func.jacrev(losses)(whole.weights)
        return gradients.T @ gradients / ROWS
    chances = logits(whole.weights).softmax(1)
    scores = torch.func.jacrev(lambda w: logits(w).log_softmax(1))(whole.weights)
    return torch.einsum("nc,ncp,ncq->pq", chances, scores, scores) / ROWS  # the expectation over labels


@pytest.mark.parametrize("kind", KINDS)
def test_every_route_gives_the_matrix_of_the_definition(kind: Kind) -> None:
    matrix, made = by_definition(kind), operator(kind=kind)
    assert apart(made.dense(), matrix) < 1e-13
    v = vector(made.size)
    for method in METHODS:
        assert apart(made.matvec(v, method), matrix @ v) < 1e-13
        assert apart(operator(kind=kind, dtype=torch.float32).matvec(v, method), matrix @ v) < 5e-6
        both = made.matvec(torch.stack([v, -2 * v]), method)
        assert torch.allclose(both[1], -2 * both[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("network", "loss"),
    [("mlp-1x5", "cb-focal"), ("inception-small", "ce"), ("unet-small", "huber"), ("unet-small", "l2")],
)
def test_routes_agree_on_the_networks_and_losses_that_there_are(network: str, loss: str) -> None:
    made = operator(network, loss=loss, batch_size=12)
    v = vector(made.size)
    first, *others = (made.matvec(v, method) for method in METHODS)
    assert all(apart(other, first) < 1e-13 for other in others)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(6, 12), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        query, key, value = self.into(images[:, 0]).chunk(3, -1)
        return self.out(functional.scaled_dot_product_attention(query, key, value).mean(1))


NORMS = {
    "layer norm": nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)),
    "instance norm": nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.InstanceNorm2d(3, affine=True), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)
    ),
    "group norm": nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)),
    "glu": nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.GLU(), nn.Linear(4, 3)),
    "attention": Attention(),
}


@pytest.mark.parametrize("name", NORMS)
def test_routes_agree_where_torch_alone_is_wrong_or_has_none(name: str) -> None:
    made = operator(NORMS[name])
    v = vector(made.size)
    first, *others = (made.matvec(v, method) for method in METHODS)
    assert all(apart(other, first) < 1e-13 for other in others)


def test_torch_alone_is_wrong_for_layer_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    made = operator(NORMS["layer norm"])
    v = vector(made.size)
    monkeypatch.setattr(
        Elementary, "__torch_function__", lambda self, f, types, args=(), kwargs=None: f(*args, **kwargs or {})
    )
    assert apart(made.matvec(v, "reverse-over-forward"), made.matvec(v)) > 1e-2


@settings(deadline=None, max_examples=15)
@given(st.floats(-3, 3), st.integers(0, 99), st.sampled_from(KINDS))
def test_products_are_linear_and_symmetric(factor: float, seed: int, kind: Kind) -> None:
    made = operator(kind=kind)
    u, v = vector(made.size, seed), vector(made.size, seed + 100)
    expected = factor * made.matvec(u) + made.matvec(v)
    assert torch.allclose(made.matvec(factor * u + v), expected, rtol=1e-11, atol=1e-13)
    assert float(u @ made.matvec(v)) == pytest.approx(float(v @ made.matvec(u)), rel=1e-10, abs=1e-12)


def test_the_r_operator_obeys_the_product_rule() -> None:
    batch, w, v = next(operator().batches()), operator().weights, vector(operator().size)

    def of(function: Any) -> Tensor:
        return torch.func.jvp(function, (w,), (v,))[1]

    def f(w: Tensor) -> Tensor:
        return batch.loss(w)

    def h(w: Tensor) -> Tensor:
        return (w * v).sum().sin() + w.square().mean()

    torch.testing.assert_close(of(lambda w: f(w) * h(w)), of(f) * h(w) + f(w) * of(h), rtol=1e-13, atol=0)
    torch.testing.assert_close(of(torch.func.grad(f)), product(batch, w, "double-backward")(v), rtol=1e-11, atol=1e-14)


def test_batches_of_unequal_size_make_the_mean_of_all_rows() -> None:
    v = vector(operator().size)
    for kind in KINDS:
        whole = operator(kind=kind, batch_size=ROWS)
        assert apart(operator(kind=kind, batch_size=9).matvec(v), whole.matvec(v)) < 1e-13
        assert torch.equal(whole.matvec(v), whole.matvec(v))  # the second time from the graph that is kept
    assert apart(operator(batch_size=9).gradient(), operator(batch_size=ROWS).gradient()) < 1e-13


@pytest.mark.parametrize("kind", ["hessian", "ggn"])
def test_graphs_of_many_batches_are_kept_where_they_fit(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(operators, "product", lambda *of: calls.append(0) or product(*of))
    for memory, expected in ((1 << 31, 4 + 2), (0, 8 + 2)):  # two to measure, and of four batches once or twice
        monkeypatch.setattr(operators, "_MEMORY", memory)
        made = operator(kind=kind)
        v = vector(made.size)
        calls.clear()
        first = made.matvec(v)
        assert torch.equal(made.matvec(v), first)
        assert len(calls) == expected


def test_the_full_hessian_of_a_50_50_50_10_net_is_its_products() -> None:
    torch.manual_seed(0)
    layers = (nn.Linear(50, 50, bias=False), nn.Tanh(), nn.Linear(50, 50, bias=False), nn.Tanh())
    network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(50, 10, bias=False))
    images = torch.randint(0, 256, (20, 5, 10, 1), dtype=torch.uint8)
    net = Model("mlp-1x5", (5, 10, 1), tuple("abcdefghij"), network.eval())
    made = Operator(net, Rows(images, torch.arange(20) % 10), choose(LossSettings()), dtype=torch.float64)
    assert made.size == 5500
    matrix = made.dense()
    assert apart(matrix, matrix.T) < 1e-13
    for column in range(0, 5500, 611):
        unit = torch.zeros(5500, dtype=torch.float64)
        unit[column] = 1
        assert apart(matrix[:, column], made.matvec(unit, "forward-over-reverse")) < 1e-12
    v = vector(5500)
    assert apart(matrix @ v, made.matvec(v, "reverse-over-forward")) < 1e-12


def test_a_part_of_the_parameters_has_a_block_of_the_matrix() -> None:
    whole, part = operator(), operator(parameters="3.*")
    assert list(part.shapes) == ["3.weight", "3.bias"]
    assert apart(part.dense(), whole.dense()[-part.size :, -part.size :]) < 1e-13
    assert torch.equal(part.flatten(part.unflatten(part.weights)), part.weights)


def test_the_model_stays_as_it_is() -> None:
    fitted = model("inception-small")
    fitted.network.train()
    before = {name: tensor.clone() for name, tensor in fitted.network.state_dict().items()}
    made = Operator(fitted, rows(), choose(LossSettings()))
    made.matvec(torch.ones(made.size))
    assert fitted.network.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in fitted.network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in fitted.network.state_dict().items())


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        return functional.dropout(self.linear(images.flatten(1)), 0.5, training=True)


@pytest.mark.parametrize(
    ("network", "more", "words"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36, track_running_stats=False), nn.Linear(36, 3)),
            {},
            "beside it .1",
        ),
        (Noisy(), {}, "every call gives different outputs"),
        (SMOOTH, {"parameters": "1.wight"}, "none that match '1.wight'"),
        (SMOOTH, {"loss": "l2"}, "l2 is for images"),
        (SMOOTH, {"kind": "fisher", "loss": "focal"}, "fisher is that of the softmax"),
    ],
)
def test_what_has_no_such_matrix_is_refused(network: nn.Module, more: dict[str, Any], words: str) -> None:
    with pytest.raises(GencliError, match=words):
        operator(network, **more)
