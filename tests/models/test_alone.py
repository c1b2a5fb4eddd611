"""Networks that look at other rows of their batch, or at chance, are told from those that look at each by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gencli.errors import GencliError
from gencli.models.alone import first_apart, spaced

APART: dict[str, Callable[[Tensor], Tensor]] = {
    "mean of the batch": lambda x: x - x.mean(0),
    "beyond 8 rows": lambda x: x - x.mean(0) if len(x) > 8 else x,
    "number of rows": lambda x: x * (1 + 0.1 * (len(x) > 1)),
    "order": lambda x: x.roll(1, 0),
    "beside large constants": lambda x: x - x.mean(0) + 1000,
    "one row in a hundred": lambda x: torch.cat([x[:-1], x[-1:] + x[:1]]) if len(x) > 1 else x,
    "small outputs": lambda x: (x - x.mean(0)) * 1e-6,
    "not finite in a batch": lambda x: x / (len(x) == 1),
    "chance": lambda x: functional.dropout(x, 0.5),
    "branch": lambda x: -x if float(x.sum()) > 0 and len(x) > 1 else x,
}


def written(x: Tensor) -> Tensor:
    return x.sub_(x.mean(1, keepdim=True))


BY_ITSELF: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x * 2,
    "writes to its input": written,
    "no number": lambda x: x / 0,
    "one output": lambda x: x.sum(1, keepdim=True),
    "all alike": torch.ones_like,
    "row by row": lambda x: torch.stack([row * (1 if float(row[0]) > 0 else -1) for row in x]),
}


def apart(network: Callable[[Tensor], Tensor]) -> int | None:
    images = torch.randn(100, 5, generator=torch.Generator().manual_seed(0)) + 0.1
    return first_apart("toy", network, images, network(images.clone()))


@pytest.mark.parametrize("name", APART)
def test_what_looks_at_its_batch_is_found(name: str) -> None:
    torch.manual_seed(0)
    assert apart(APART[name]) is not None


def test_what_takes_no_single_row_is_refused() -> None:
    with pytest.raises(GencliError, match="toy: it fails on a single image: ValueError: Expected more than 1 value"):
        apart(nn.BatchNorm1d(5, track_running_stats=False).eval())


@pytest.mark.parametrize("name", BY_ITSELF)
def test_what_looks_at_each_row_is_let_through(name: str) -> None:
    assert apart(BY_ITSELF[name]) is None


def test_rows_are_spaced_over_the_whole_table() -> None:
    assert spaced(1000, 5).tolist() == [0, 250, 500, 749, 999]
    assert spaced(3, 5).tolist() == [0, 1, 2]
