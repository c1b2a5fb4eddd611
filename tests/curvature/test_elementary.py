"""The formulas that stand in for torch's functions have their values, with all that they are given by default."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gencli.curvature.elementary import Corrected, Elementary

X = 3e-3 * torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # so that eps counts
LARGE = 3e3 * X
W, B = torch.rand(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
MEAN, VARIANCE = 1e-3 * torch.rand(3, dtype=torch.float64), 1e-5 * torch.rand(3, dtype=torch.float64)
CALLS: dict[str, Callable[[], Tensor]] = {
    "layer norm": lambda: functional.layer_norm(X, (5,)),
    "layer norm over two": lambda: functional.layer_norm(X, (3, 5)),
    "layer norm with weights": lambda: functional.layer_norm(X, (5,), W, B, 1e-3),
    "torch's layer norm": lambda: torch.layer_norm(X, [5], W),
    "instance norm": lambda: functional.instance_norm(X),
    "instance norm of images": lambda: functional.instance_norm(X.view(4, 3, 5, 1).repeat(1, 1, 1, 2)),
    "instance norm with weights": lambda: functional.instance_norm(X, weight=W[:3], bias=B[:3], eps=1e-4),
    "instance norm by running moments": lambda: functional.instance_norm(X, MEAN, VARIANCE, W[:3], None, False),
    "glu": lambda: functional.glu(LARGE.transpose(1, 2).repeat(1, 1, 2)),
    "glu of a dimension": lambda: functional.glu(LARGE, 0),
    "huber": lambda: functional.huber_loss(LARGE, LARGE.flip(0)),
    "huber of parts": lambda: functional.huber_loss(LARGE, LARGE.flip(0), "none", 0.7),
    "huber, added": lambda: functional.huber_loss(LARGE, LARGE.flip(0), "sum", 3.0),
    "hard sigmoid": lambda: functional.hardsigmoid(LARGE),
    "hard sigmoid in place": lambda: functional.hardsigmoid(LARGE.clone(), inplace=True),
    "weight norm": lambda: torch._weight_norm(  # pyright: ignore[reportPrivateImportUsage]
        LARGE, W.view(1, 1, 5), 2
    ),
    "weight norm by rows": lambda: torch._weight_norm(  # pyright: ignore[reportPrivateImportUsage]
        LARGE, B[:4].view(4, 1, 1)
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_formula_has_torchs_values(name: str) -> None:
    expected = CALLS[name]()
    with Corrected(), Elementary():
        found = CALLS[name]()
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-12)


def test_in_place_is_in_place() -> None:
    values = LARGE.clone()
    with Corrected():
        assert functional.hardsigmoid(values, inplace=True) is values
    assert not torch.equal(values, LARGE)
