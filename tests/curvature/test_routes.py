"""A route is taken where its products are right; wrong derivatives are seen, and right ones are not called wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from gencli.curvature import operators, routes, trials, verification
from gencli.curvature.differences import relative, sweep
from gencli.curvature.extremes import leading
from gencli.curvature.operators import Kind, Operator
from gencli.curvature.vectors import random
from gencli.errors import CheckFailed, GencliError
from tests.curvature.test_products import KINDS, ROWS, vector
from tests.curvature.test_products import operator as batched
from tests.curvature.test_verification import FAULTS, AtAKink

linalg, weight_norm = torch.linalg, getattr(torch, "_weight_norm")  # noqa: B009


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of such small tensors two make none faster, and wait for each other
    yield
    torch.set_num_threads(threads)


def operator(network: nn.Module, kind: Kind = "hessian", batch_size: int = ROWS, **more: Any) -> Operator:
    return batched(network, kind, batch_size=batch_size, **more)


class Once(torch.autograd.Function):
    """tanh, to be differentiated once alone; asked for more, torch leaves parts out without a word."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return gradients[0] * (1 - x.tanh().square())


class Net(nn.Module):
    """A linear layer, ReLU where asked for, a function of its 5 units and of parameters [5, 5], a linear layer."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], relu: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.square, self.function = nn.Linear(36, 5), nn.Parameter(torch.randn(5, 5) / 3), function
        self.relu = nn.ReLU() if relu else nn.Identity()
        width = function(self.square, torch.zeros(2, 5)).shape[1]
        self.out = nn.Linear(width, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.function(self.square, self.relu(self.into(images.flatten(1)))))


def once(square: Tensor, x: Tensor) -> Tensor:
    made: Any = Once.apply(x @ square)
    return made


def plain(square: Tensor, x: Tensor) -> Tensor:
    return (x @ square).tanh()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_is_differentiable_once_has_the_matrix_of_the_plain_one(kind: Kind, relu: bool) -> None:
    expected = operator(Net(plain, relu), kind).dense()
    made = operator(Net(once, relu), kind)
    assert relative(made.matvec(vector(made.size)), expected @ vector(made.size)) > 1e-2, "torch has mended it"
    choice = routes.choose(made)
    assert made.route == ("finite-difference" if kind == "hessian" else "jacobian")
    assert "double-backward differs by " in choice.said
    allowed = 1e-8 if kind == "hessian" else 1e-12
    assert relative(made.matvec(vector(made.size)), expected @ vector(made.size)) < allowed
    if not relu:
        top = leading(made.matvec, made.size, 1, dtype=torch.float64).values
        assert top.item() == pytest.approx(linalg.eigvalsh(expected)[-1].item(), rel=1e-6)
    single = operator(Net(once, relu), kind, dtype=torch.float32)
    routes.choose(single)
    assert relative(single.matvec(vector(made.size)), expected @ vector(made.size)) < 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_a_kink_at_the_weights_excuses_no_wrong_derivative(seed: int) -> None:
    made = operator(AtAKink(seed))
    record = routes.choose(made).record
    assert made.route == "double-backward"
    assert record["beside"] > 0

    class Wrong(AtAKink):
        def forward(self, images: Tensor) -> Tensor:
            made: Any = Once.apply(self.into(images.flatten(1)).relu())
            return self.out(made)

    made = operator(Wrong(seed))
    with pytest.raises(CheckFailed, match="double-backward is"):
        routes.choose(made, "double-backward")


@pytest.mark.parametrize("fault", [name for name in FAULTS if "second" not in name])
def test_a_wrong_gradient_has_no_right_route(fault: str) -> None:
    function = FAULTS[fault]
    with pytest.raises(CheckFailed, match=r"the gradient differs by .* % from differences of losses"):
        routes.choose(operator(Net(lambda square, x: function(x @ square))))


def eye(x: Tensor) -> Tensor:
    return torch.eye(5, dtype=x.dtype)


def grid(square: Tensor, x: Tensor) -> Tensor:
    places = torch.stack([x, x.flip(1)], -1)[:, None].tanh()
    return functional.grid_sample(square[None, None].expand(len(x), 1, 5, 5), places, align_corners=False).flatten(1)


def hard(square: Tensor, x: Tensor) -> Tensor:
    made = x @ square
    return functional.hardsigmoid(2 * made, inplace=True) + functional.hardsigmoid(made)


LAYERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "solve": lambda a, x: linalg.solve(eye(x) + a, x.T).T,
    "inv": lambda a, x: x @ linalg.inv(eye(x) + a),
    "det": lambda a, x: x * linalg.det(eye(x) + a),
    "slogdet": lambda a, x: x * linalg.slogdet(eye(x) + a)[1],
    "cholesky": lambda a, x: x @ linalg.cholesky(eye(x) + a @ a.T),
    "qr": lambda a, x: x @ linalg.qr(eye(x) + a)[0],
    "eigh": lambda a, x: x * linalg.eigh(a + a.T)[0],
    "svd": lambda a, x: x * linalg.svdvals(a),
    "matrix_exp": lambda a, x: x @ linalg.matrix_exp(a - a.T),
    "lstsq": lambda a, x: linalg.lstsq(eye(x) + a, x.T).solution.T,
    "distances": lambda a, x: torch.cdist(x, a),
    "fft": lambda a, x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(a[0]), n=5),
    "cumprod": lambda a, x: (1 + x * a[0]).cumprod(1),
    "cummax": lambda a, x: (x @ a).cummax(1)[0],
    "scatter": lambda a, x: torch.ones_like(x).scatter_reduce(1, torch.arange(5).expand_as(x) % 2, 1 + x @ a, "prod"),
    "grid_sample": grid,
    "bicubic": lambda a, x: functional.interpolate((x @ a)[:, None, None], (1, 9), mode="bicubic").flatten(1),
    "embedding_bag": lambda a, x: x @ functional.embedding_bag(torch.arange(10).view(5, 2) % 5, a, mode="sum"),
    "weight_norm": lambda a, x: (x @ weight_norm(a, a[:, :1], 0)).tanh(),
    "hardsigmoid": hard,
    "checkpoint": lambda a, x: checkpoint(lambda x: (x @ a).tanh(), x, use_reentrant=False),
    "reentrant checkpoint": lambda a, x: checkpoint(lambda x: (x @ a).tanh(), x, use_reentrant=True),
}


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_chosen_is_right(name: str) -> None:
    made = operator(Net(LAYERS[name]))
    choice = routes.choose(made)
    assert made.route == ("finite-difference" if name == "embedding_bag" else "double-backward"), choice.said
    v = vector(made.size)
    found = sweep(made, v, v)  # of all rows
    assert float((made.matvec(v) - found.product).norm()) <= 1e-7 * float(found.product.norm()) + 10 * found.error
    assert abs(found.slope - float(made.gradient() @ v)) <= 1e-7 * abs(found.slope) + 10 * found.slope_error


NORMALIZED: dict[str, Callable[[], nn.Module]] = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(5, 5)),
    "weight norm of a convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 5)), parametrizations.weight_norm(nn.Conv1d(1, 2, 3)), nn.Flatten()
    ),
    "the old weight norm": lambda: torch.nn.utils.weight_norm(nn.Linear(5, 5)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(5, 5)),
    "matrix_exp": lambda: parametrizations.orthogonal(nn.Linear(5, 5), orthogonal_map="matrix_exp"),
    "cayley": lambda: parametrizations.orthogonal(nn.Linear(5, 5), orthogonal_map="cayley"),
    "householder": lambda: parametrizations.orthogonal(nn.Linear(5, 5), orthogonal_map="householder"),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("name", NORMALIZED)
def test_normalized_weights_have_a_right_hessian(name: str) -> None:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(36, 5), NORMALIZED[name](), nn.Tanh()]
    width = nn.Sequential(*layers[2:3])(torch.zeros(2, 5)).shape[1]
    made = operator(nn.Sequential(*layers, nn.Linear(width, 3)))
    routes.choose(made)
    assert made.route == "double-backward"
    v, u = vector(made.size), vector(made.size, 2)
    assert relative(made.matvec(v), made.matvec(v, "forward-over-reverse")) < 1e-12
    assert float(u @ made.matvec(v)) == pytest.approx(float(v @ made.matvec(u)), rel=1e-10)
    if name != "householder":  # whose entries of 1 and -1 are made whole numbers: the loss jumps there
        assert relative(made.matvec(v), sweep(made, v, v).product) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_moved_in_their_own_units(kind: Kind) -> None:
    unit = 2.0**50
    networks = [Net(lambda a, x, by=each: x.tanh() * (a[0] / by)) for each in (1.0, unit)]
    networks[1].square.data *= unit
    plain, made = (operator(each, kind) for each in networks)
    assert routes.choose(made).record["route"] == "double-backward"
    v = vector(made.size)
    v *= torch.cat([torch.full_like(each.flatten(), unit if name == "square" else 1)
                                 for name, each in made.unflatten(made.weights).items()])  # fmt: skip
    kept = made.unflatten(made.matvec(v))
    for name, each in plain.unflatten(plain.matvec(vector(made.size))).items():
        torch.testing.assert_close(kept[name] * (unit if name == "square" else 1), each, rtol=1e-8, atol=1e-12)
    _, findings = verification.compute(made, made, [("v", vector(made.size))], [made.route], 1e-10)
    assert not findings.failed


RIGHT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "torch's lgamma, right to 9 digits": lambda a, x: torch.lgamma((x @ a).exp()),
    "float32 by the network's own words": lambda a, x: (x @ a).float().tanh().to(x.dtype),
    "constants of float32": lambda a, x: (x @ a @ torch.ones(5, 5)).tanh(),
    "parameters near 1e-15 in large units": lambda a, x: x.tanh() * (a[0] * 2.0**50),
    "parameters near 1e-15": lambda a, x: (x + a[0]).tanh(),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_called_wrong(name: str, dtype: torch.dtype) -> None:
    network = Net(RIGHT[name])
    network.square.data *= 2.0**-50 if "1e-15" in name else 1
    made = operator(network, dtype=dtype)
    choice = routes.choose(made)
    assert choice.exact
    assert choice.record["route"] == "double-backward"
    assert choice.record["difference"] < 1e-9
    tolerance = verification.TOLERANCES[dtype]
    _, findings = verification.compute(made, made.exact, [("v", random(made, 0))], [made.route], tolerance)
    assert not findings.failed


@pytest.mark.parametrize("seed", range(4))
def test_products_by_differences_hold_against_other_differences(seed: int) -> None:
    made = operator(Net(once))
    routes.choose(made)
    assert made.route == "finite-difference"
    _, findings = verification.compute(made, made, [("v", random(made, seed))], [made.route], 1e-10)
    assert not findings.failed


def test_a_method_that_is_asked_for_and_wrong_is_refused() -> None:
    made = operator(Net(LAYERS["solve"]))
    assert relative(made.matvec(vector(made.size), "reverse-over-forward"), made.matvec(vector(made.size))) > 1e-2
    with pytest.raises(CheckFailed, match=r"--method: reverse-over-forward differs by .* % from differences") as caught:
        routes.choose(made, "reverse-over-forward")
    assert "double-backward" in caught.value.hint
    assert caught.value.status == 1


def single(a: Tensor) -> Tensor:
    return torch.tanh(a @ torch.ones(5, 5))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_network_of_float32_alone_is_held_against_another_route() -> None:
    scripted: Any = torch.jit.script(single)
    made = operator(Net(lambda a, x: x @ scripted(a)), dtype=torch.float32)
    choice = routes.choose(made)
    assert "agrees with" in choice.said
    assert choice.record["difference"] is None
    assert not choice.exact


def test_what_float32_has_no_digits_for_is_refused() -> None:
    """Where a network takes small differences of large numbers."""

    def rounded(a: Tensor, x: Tensor) -> Tensor:
        return ((x @ a).tanh() + 3e7) - 3e7

    routes.choose(operator(Net(rounded), dtype=torch.float64))
    with pytest.raises(CheckFailed, match=r"has a rounding error of .* in float32: use --dtype float64"):
        routes.choose(operator(Net(rounded), dtype=torch.float32), "double-backward")


def test_rounding_in_the_network_leaves_nothing_to_verify() -> None:
    with pytest.raises(CheckFailed):
        routes.choose(operator(Net(lambda a, x: x @ a + ((x @ a).round() - x @ a).detach())))


def test_a_trial_takes_few_rows_of_a_large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    made = operator(Net(plain), batch_size=3000)
    monkeypatch.setattr(made, "flops", int(1e12))
    for rows, expected in ((6, 2), (300, 12), (3000, 32)):
        monkeypatch.setattr(made, "rows", rows)
        assert len(trials.Trial(made).rows) == expected


def test_a_jacobian_is_kept_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = operator(Net(once), "ggn")
    expected = operator(Net(plain), "ggn").matvec(vector(made.size))
    monkeypatch.setattr(operators, "_MEMORY", 23 * 3 * made.size * 8 - 1)
    routes.choose(made)
    assert made.route == "finite-difference"
    assert relative(made.matvec(vector(made.size)), expected) < 1e-8


def test_differences_that_are_unsure_are_refused() -> None:
    def coarse(a: Tensor, x: Tensor) -> Tensor:
        made = (x @ a).tanh()
        return made + ((made * 1e6).round() / 1e6 - made).detach()

    made = operator(Net(coarse))
    with pytest.raises(CheckFailed, match="contradict each other"):
        made.matvec(vector(made.size), "finite-difference")


def test_a_hint_names_what_is_right() -> None:
    with pytest.raises(CheckFailed) as caught:
        routes.choose(operator(Net(once)), "double-backward")
    assert caught.value.hint == "use --method finite-difference, which is right here"
    with pytest.raises(CheckFailed) as caught:
        routes.choose(operator(Net(once), "ggn"), "double-backward")
    assert caught.value.hint.startswith("omit --method")
    assert "forward-over-reverse, reverse-over-forward" not in caught.value.message


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_scripted_network_is_refused() -> None:
    torch.manual_seed(0)
    scripted: Any = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)))
    with pytest.raises(GencliError, match="scripted network"):
        operator(scripted)
