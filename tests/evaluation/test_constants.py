"""Lipschitz constants of single operations at the edges of their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gencli.evaluation import lipschitz
from gencli.evaluation.lipschitz import constant, piecewise_linear, response_norm, why

X = torch.zeros(2, 3, 4, 5)


def of(name: str, *args: Any, shape: tuple[int, ...] = (), **options: Any) -> lipschitz.Constant:
    return constant(name, None, (X, *args), options, shape)


@pytest.mark.parametrize(
    ("name", "args", "known"),
    [
        ("elu", (), 1),
        ("elu", (0.5,), 1),
        ("elu", (2.0, 3.0), 6),
        ("elu", (-2.0, 3.0, 0.75), 4.5),
        ("elu", (1.0, -2.0), 2),
        ("gelu", (), 1.1289041451451548),
        ("gelu", ("tanh",), 1.1289930686587718),
        ("softplus", (), 1),
        ("softplus", (1.0, 15.0), 1),
        ("softplus", (1.0, 14.9), "softplus jumps at its threshold"),
        ("threshold", (2.0, 2.0), 1),
        ("threshold", (2.0, 1.0), "threshold jumps, or chooses by values"),
        ("leaky_relu", (), 1),
        ("leaky_relu", (-1.5,), 1.5),
        ("leaky_relu", (0.5,), 1),
        ("rrelu_with_noise", (None,), 1),
        ("rrelu_with_noise", (None, 2.0, 4.0), 3),
        ("rrelu_with_noise", (None, -2.0, -4.0), 3),
        ("rrelu_with_noise", (None, 0.1, 0.3, True), "rrelu draws its slopes"),
        ("_softmax", (1,), 0.5),
        ("_log_softmax", (1,), math.sqrt(3)),
        ("_log_softmax", (-1,), math.sqrt(5)),
        ("mean", (), 1 / math.sqrt(120)),
        ("mean", ([2, 3],), 1 / math.sqrt(20)),
        ("mean", (1,), 1 / math.sqrt(3)),
        ("sum", (), math.sqrt(120)),
        ("sum", ([0, 2],), math.sqrt(8)),
        ("sum", (-1,), math.sqrt(5)),
        ("native_layer_norm", ([5], None, None, 0.25), 2),
        ("native_layer_norm", ([5], torch.tensor([1.0, -3]), None, 0.25), 6),
        ("native_layer_norm", ([5], None, None, 0.0), "native_layer_norm divides by a deviation that may be 0"),
        ("native_group_norm", (None, None, 2, 3, 20, 3, 0.01), 10),
        (
            "native_group_norm",
            (None, None, 2, 3, 20, 3, -1.0),
            "native_group_norm divides by a deviation that may be 0",
        ),
        ("_prelu_kernel", (torch.tensor([0.5, -0.7]),), 1),
        ("_prelu_kernel", (torch.tensor([0.5, -1.75]),), 1.75),
        ("relu", (), 1),
        ("hardsigmoid", (), 1 / 6),
        ("erf", (), 2 / math.sqrt(math.pi)),
        ("celu", (9.0,), 1),
        ("exp", (), "exp has no Lipschitz constant that is known here"),
        ("bmm", (), "bmm multiplies activations"),
    ],
)
def test_constants_are_those_of_the_arguments(name: str, args: tuple[Any, ...], known: float | str) -> None:
    found = of(name, *args)
    assert found == (known if isinstance(known, str) else pytest.approx(known, rel=1e-12))


def test_one_value_by_itself_has_a_constant_softmax() -> None:
    for name in ("_softmax", "_log_softmax"):
        assert constant(name, None, (torch.zeros(2, 1), 1), {}, ()) == 0
        assert constant(name, None, (torch.zeros(2, 2), 1), {}, ()) == pytest.approx(
            0.5 if name == "_softmax" else 2**0.5
        )


@pytest.mark.parametrize(
    ("name", "function", "args"),
    [
        ("max_pool1d", torch.max_pool1d, (3,)),
        ("max_pool1d", torch.max_pool1d, (3, 2)),
        ("max_pool1d", torch.max_pool1d, (4, 3, 2)),
        ("max_pool1d", torch.max_pool1d, (3, 1, 1, 2)),
        ("max_pool2d", torch.max_pool2d, (2,)),
        ("max_pool2d", torch.max_pool2d, ((3, 2), (1, 2))),
        ("max_pool2d", torch.max_pool2d, (3, 2, 1)),
        ("max_pool2d", torch.max_pool2d, (2, 1, 0, (2, 3))),
        ("max_pool3d_with_indices", torch.max_pool3d, (2, 1)),
        ("adaptive_max_pool2d", torch.nn.functional.adaptive_max_pool2d, ([4, 3],)),
        ("adaptive_max_pool3d", torch.nn.functional.adaptive_max_pool3d, ([2, 2, 4],)),
    ],
)
def test_a_pool_stretches_by_the_root_of_the_windows_that_a_pixel_is_largest_in(
    name: str, function: Any, args: tuple[Any, ...]
) -> None:
    shape = {"max_pool1d": (1, 1, 11), "max_pool2d": (1, 1, 6, 7)}.get(
        name, (1, 1, 5, 7) if "2d" in name else (1, 1, 3, 4, 5)
    )
    x = torch.zeros(shape)
    often = []
    for place in range(x.numel()):
        one = x.clone()
        one.view(-1)[place] = 1
        often.append(int((function(one, *args) == 1).sum()))
    found = constant(name, function, (x, *args), {}, tuple(function(x, *args).shape))
    assert found == pytest.approx(math.sqrt(max(often)))


@pytest.mark.parametrize("given", [(5, 2.0, 0.75, 1.5), (3, 0.5, 2.0, 0.25), (1, 0.0, 0.5, 2.0), (4, 1.0, 0.0, 1.0)])
def test_the_bound_of_a_response_norm_is_its_formula(given: tuple[int, float, float, float]) -> None:
    size, alpha, beta, k = given
    factor = (beta / (beta + 1)) ** (beta + 1)
    assert response_norm(size, alpha, beta, k) == pytest.approx(k**-beta * (1 + 2 * math.sqrt(size) * factor))


@pytest.mark.parametrize("given", [(5, -1.0, 0.75, 1.0), (5, 1.0, -0.75, 1.0), (5, 1.0, 1.0, 0.0), (5, 1.0, 1.0, -1.0)])
def test_a_response_norm_that_may_divide_by_0_has_none(given: tuple[int, float, float, float]) -> None:
    assert response_norm(*given) == "a response norm divides by what may be 0"


def test_what_is_piecewise_linear() -> None:
    for name in ("relu", "view", "gather", "avg_pool2d", "leaky_relu", "max_pool2d", "sum"):
        assert piecewise_linear(name), name
    for name in ("tanh", "logsumexp", "gelu", "_softmax", "native_layer_norm", "exp", "mul"):
        assert not piecewise_linear(name), name


def test_attention_has_a_reason_of_its_own() -> None:
    for name in ("_scaled_dot_product_attention", "_transformer_encoder_layer_fwd"):
        assert why(name).startswith(f"{name} has no Lipschitz constant: attention (Kim, ")
    assert why("div") == "div divides by activations"
