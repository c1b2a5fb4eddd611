"""What the training rows' classes say: counts, weights, margins, and how often a row is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencli.errors import GencliError
from gencli.losses import LOSSES, Loss, resample_weights
from gencli.losses.base import CountedLoss
from gencli.losses.functions import class_margins, class_weights
from gencli.losses.rows import class_counts

LONG_TAIL = torch.tensor([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
some_counts = st.lists(st.integers(0, 10**7), min_size=2, max_size=12).filter(any).map(torch.tensor)
some_labels = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(torch.tensor)


@pytest.mark.parametrize(
    ("beta", "ratio"), [(0.0, 1.0), (0.9, 1.01), (0.99, 2.5), (0.999, 20.4), (0.9999, 78.9), (0.99999, 97.6)]
)
def test_weights_on_long_tailed_cifar_are_the_known_ones(beta: float, ratio: float) -> None:
    weights = class_weights(LONG_TAIL, beta)
    assert float(weights[-1] / weights[0]) == pytest.approx(ratio, rel=0.015)


@given(some_counts, st.floats(0, 1, exclude_max=True))
def test_weights_of_the_classes_with_rows_sum_to_their_number(counts: torch.Tensor, beta: float) -> None:
    weights = class_weights(counts, beta)
    present = counts > 0
    assert weights.isfinite().all()
    assert (weights[~present] == 0).all()
    assert float(weights.sum()) == pytest.approx(int(present.sum()), rel=1e-5)
    by_size = weights[present][counts[present].argsort(descending=True)]
    assert (by_size.diff() >= -1e-5 * by_size[:-1]).all()


def test_weights_near_beta_1_are_those_of_the_inverse_frequency() -> None:
    inverse = 1 / LONG_TAIL.double()
    weights = class_weights(LONG_TAIL, float(np.nextafter(1, 0))).double()
    torch.testing.assert_close(weights, 10 * inverse / inverse.sum(), rtol=1e-5, atol=0)


@given(some_counts)
def test_the_largest_margin_is_that_of_the_rarest_class_with_rows(counts: torch.Tensor) -> None:
    margins, present = class_margins(counts), counts > 0
    assert (margins[~present] == 0).all()
    rarest = counts[present].min()
    torch.testing.assert_close(margins[present], (rarest / counts[present]) ** 0.25)


@given(some_labels, st.sampled_from(["balanced", "sqrt"]))
def test_rows_are_drawn_by_the_size_of_their_class(labels: torch.Tensor, how: str) -> None:
    weights = resample_weights(labels, 7, how)  # type: ignore[arg-type]
    sizes = np.bincount(labels, minlength=7)
    asked = (sizes > 0) if how == "balanced" else np.sqrt(sizes)
    assert weights.dtype == torch.float64
    assert float(weights.sum()) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(np.bincount(labels, weights, 7), asked / asked.sum(), rtol=1e-12)
    assert all(len(weights[labels == label].unique()) == 1 for label in labels.unique())


def test_an_epoch_of_balanced_draws_has_all_classes_alike() -> None:
    labels = torch.arange(10).repeat_interleave(LONG_TAIL)
    generator = torch.Generator().manual_seed(0)
    drawn = labels[torch.multinomial(resample_weights(labels, 10, "balanced"), len(labels), True, generator=generator)]
    expected = len(labels) / 10
    assert (drawn.bincount() - expected).abs().max() < 5 * expected**0.5


@pytest.mark.parametrize("wrong", [-1, 3])
def test_labels_outside_the_classes_are_refused(wrong: int) -> None:
    labels = torch.tensor([0, 1, wrong, 2])
    for refused in (lambda: class_counts(labels, 3), lambda: resample_weights(labels, 3, "sqrt")):
        with pytest.raises(GencliError, match=f"row 2: label {wrong} is not one of the 3 classes"):
            refused()


@pytest.mark.parametrize("loss", [loss for loss in LOSSES.values() if loss.task == "classes"])
def test_counts_include_classes_without_rows(loss: type[Loss]) -> None:
    counts = loss().counts(torch.tensor([2, 0, 2]), 4)
    assert counts is not None
    assert counts.tolist() == [1, 0, 2, 0]
    with pytest.raises(GencliError, match="needs several classes, but the training table has one"):
        loss().counts(torch.tensor([0, 0]), 1)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_rows_of_one_class_are_refused_where_classes_are_balanced(loss: type[Loss]) -> None:
    if issubclass(loss, CountedLoss):
        with pytest.raises(GencliError, match="all training rows have the same class"):
            loss().counts(torch.tensor([1, 1]), 3)
    else:
        loss().counts(torch.tensor([1, 1]), 3)
    if loss.task == "images":
        assert loss().counts(torch.tensor([1, 1]), 3) is None
