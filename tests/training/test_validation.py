"""Rows held out: so many of each class, told by seed and id alone."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gencli.errors import GencliError
from gencli.models.inputs import Rows
from gencli.training.validation import split


def rows(labels: list[int], ids: list[int] | None = None) -> Rows:
    count = len(labels)
    numbers = torch.arange(count) if ids is None else torch.tensor(ids)
    return Rows(numbers.view(count, 1, 1, 1).to(torch.float32), torch.tensor(labels), ids=numbers)


@given(st.lists(st.integers(0, 3), min_size=8, max_size=60), st.floats(0.2, 0.8), st.integers(0, 9))
def test_each_class_gives_its_share(labels: list[int], fraction: float, seed: int) -> None:
    data = rows(labels)
    parts = [round(Fraction(repr(fraction)) * labels.count(label)) for label in range(4)]
    wanted = sum(parts)
    assume(0 < wanted < len(labels))  # otherwise it is refused
    kept, held = split(data, fraction, seed)
    assert sorted([*kept.ids.tolist(), *held.ids.tolist()]) == list(range(len(labels)))  # type: ignore[union-attr]
    for label in range(4):
        assert (held.labels == label).sum() == parts[label]


def test_the_fraction_is_the_decimal_that_was_typed() -> None:
    assert len(split(rows([0] * 150), 0.07, 0)[1]) == 10  # 10.5; as floating-point numbers a little more


def test_the_order_of_the_rows_does_not_matter() -> None:
    labels = [number % 3 for number in range(40)]
    order = np.random.default_rng(0).permutation(40).tolist()
    held = split(rows(labels), 0.3, 0)[1]
    moved = split(rows([labels[place] for place in order], order), 0.3, 0)[1]
    assert set(held.ids.tolist()) == set(moved.ids.tolist())  # type: ignore[union-attr]
    assert set(held.ids.tolist()) != set(split(rows(labels), 0.3, 1)[1].ids.tolist())  # type: ignore[union-attr]


def test_a_fraction_that_leaves_no_rows_is_refused() -> None:
    with pytest.raises(GencliError, match=r"--validation-fraction: 0\.01 of 4 rows leaves no validation rows"):
        split(rows([0, 0, 1, 1]), 0.01, 0)
