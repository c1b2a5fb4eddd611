"""Where a trial's verdict changes, to a tenth of each limit."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gencli.curvature.trials import Trial, _Point, rounded
from gencli.curvature.verification import Findings, _judge
from gencli.errors import GencliError

DOUBLE = torch.float64
V = torch.tensor([2.0, 0, 0, 0], dtype=DOUBLE)  # of length 2


def point(slope: float = 0.0, slope_error: float = 0.0, slope_jump: float = 0.0, **more: Any) -> Any:
    """A point whose gradient has length 3 and no slope along v; g·v is then taken for |g| |v| / 2."""
    product = more.get("product", torch.zeros(4, dtype=DOUBLE))
    found = SimpleNamespace(
        slope=slope, slope_error=slope_error, slope_jump=slope_jump,
        product=product, error=more.get("error", 0.0), jump=more.get("jump", 0.0),
    )  # fmt: skip
    operator = SimpleNamespace(weights=torch.tensor([0, 0, 6.0, 0], dtype=DOUBLE), rows=7, dtype=DOUBLE)
    gradient = torch.tensor([0.0, 3, 0, 0], dtype=DOUBLE)
    return SimpleNamespace(
        _found=found, _gradient=gradient, v=V, _steepness=6.0, operator=operator, scales=torch.full((4,), 2.0).double(),
        _far=more.get("far", 0.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("slope", "slope_error", "slope_jump", "outcome"),
    [
        (2.7e-10, 0, 0, "right"), (3.3e-10, 0, 0, "gradient"), (0.9, 0.1, 0, "right"), (1.1, 0.1, 0, "gradient"),
        (1.1, 0.1, 0.2, "unclear"), (1.1, 0.1, 0.1, "gradient"), (1.0, 0, 0.1, "unclear"),
    ],
)  # fmt: skip
def test_a_gradient_is_right_within_the_doubt_of_differences_of_losses(
    slope: float, slope_error: float, slope_jump: float, outcome: str
) -> None:
    """Kinks excuse what is at most ten times their jump: here an excuse of 10 is given."""
    verdict = _Point._first(point(slope, slope_error, slope_jump), 10)
    assert verdict.outcome == outcome
    if outcome == "gradient":
        assert verdict.words == f"the gradient differs by {100 * slope / 3:.2g} % from differences of losses"


def first(value: float) -> Tensor:
    return torch.tensor([value, 0, 0, 0], dtype=DOUBLE)


@pytest.mark.parametrize(
    ("product", "other", "error", "jump", "outcome"),
    [
        (4 + 4 * 0.9 * 2.0**-26, 4, 0, 0, "right"), (4 + 4 * 1.1 * 2.0**-26, 4, 0, 0, "wrong"),
        (4.0003, 4, 4e-5, 0, "right"), (4.0005, 4, 4e-5, 0, "wrong"), (4.0005, 4, 4e-5, 6e-5, "unclear"),
        (5, 4, 0, 0.1, "unclear"), (4, 4, 3.9e-3, 0, "right"), (4, 4, 4.1e-3, 0, "unclear"),
        (0.9 * 2.0**-26 * 2e-6, 0, 0, 0, "right"), (1.1 * 2.0**-26 * 2e-6, 0, 0, 0, "wrong"),
    ],
)  # fmt: skip
def test_a_product_is_right_within_the_doubt_of_differences_of_gradients(
    product: float, other: float, error: float, jump: float, outcome: str
) -> None:
    """Of their size, or of 1e-6 of |g| |v| / |w|, here 2; differences that allow more than a hundredth say nothing."""
    verdict = _Point._second(point(product=first(other), error=error, jump=jump), first(product), 10)
    assert verdict.outcome == outcome
    apart = abs(product - other) / max(product, other, 2e-6)
    if outcome == "wrong":
        assert verdict.words == f"differs by {100 * apart:.2g} % from differences of gradients"
    else:
        assert verdict.words == f"within {apart:.1e} of differences of gradients on 7 rows"
    if outcome == "right":
        beside = _Point._second(point(product=first(other), error=error, jump=jump, far=0.25), first(product), 10)
        assert "on 7 rows, next to the weights" in beside.words
        assert verdict.apart == pytest.approx(apart, abs=1e-12)


@pytest.mark.parametrize(("factor", "refused"), [(1.009, False), (1.011, True)])
def test_a_product_may_be_rounded_by_a_hundredth(factor: float, refused: bool) -> None:
    operator: Any = SimpleNamespace(matvec=lambda v, route: factor * 5 * v, dtype=torch.float32)
    scales, v = torch.full((4,), 2.0).double(), first(3.0)
    verdict = rounded(operator, "double-backward", scales, v, first(60.0))
    assert (verdict is not None) == refused
    if verdict is not None:
        assert verdict.outcome == "wrong"
        assert "a rounding error of 1% in float32" in verdict.words
    none: Any = SimpleNamespace(matvec=lambda v, route: 0 * v, dtype=torch.float32)
    assert rounded(none, "double-backward", scales, v, first(0.0)) is None


def test_routes_are_apart_by_their_difference_relative_to_the_first() -> None:
    products = {"double-backward": first(4.0)[None], "reverse-over-forward": first(3.0)[None]}

    def product(route: str) -> Tensor:
        if route not in products:
            raise GencliError("no", "such")
        return products[route]

    one: Any = SimpleNamespace(product=product)
    assert _Point.apart(one, "double-backward", "reverse-over-forward") == 0.25
    assert _Point.apart(one, "double-backward", "forward-over-reverse") == math.inf
    products["double-backward"] = first(0.0)[None]
    assert _Point.apart(one, "double-backward", "reverse-over-forward") == 3


@pytest.mark.parametrize(
    ("flops", "rows", "batch_size", "count"),
    [
        (1e12, 1000, 1000, 32), (1e12, 100, 1000, 4), (1e12, 10, 1000, 2), (1e12, 1, 1000, 1), (1e12, 1000, 3, 3),
        (1e6, 40, 1000, 13), (1.0, 400, 400, 32),
    ],
)  # fmt: skip
def test_a_trial_takes_as_many_rows_as_cost_a_gradient_of_all(
    flops: float, rows: int, batch_size: int, count: int
) -> None:
    operator: Any = SimpleNamespace(flops=flops, size=100, rows=rows, batch_size=batch_size)
    taken = Trial(operator).rows
    assert len(taken) == count
    assert (taken[0], taken[-1]) == (0, rows - 1 if count > 1 else 0)


@pytest.mark.parametrize(
    ("apart", "allowed", "jump", "size", "verdict"),
    [
        (2.0, 1.0, 0.21, 10, "kinks"), (2.0, 1.0, 0.19, 10, "fails"), (1e-8, 0.11, 0, 10, "unclear"),
        (1e-8, 0.09, 0, 10, "holds"), (0.9e-9, 0.11, 0, 10, "holds"), (1.1e-9, 0.11, 0, 10, "unclear"),
        (0.12, 0.11, 0, 10, "fails"), (2.0, 1.0, 0.2, 10, "kinks"), (1.0, 1.0, 1.0, 10, "unclear"),
        (1e-8, 0.1, 0, 10, "holds"), (1e-10 * 10, 0.11, 0, 10, "holds"), (0.5, 1.0, 1.0, 10, "unclear"),
    ],
)  # fmt: skip
def test_what_differences_say_depends_on_their_size_and_doubt(
    apart: float, allowed: float, jump: float, size: float, verdict: str
) -> None:
    findings = Findings()
    _judge(findings, "v", "difference", apart, allowed, jump, size)
    (row,) = findings.table.to_pylist()
    assert row == {"vector": "v", "what": "difference", "value": apart, "allowed": allowed, "verdict": verdict}
