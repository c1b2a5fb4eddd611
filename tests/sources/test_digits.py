"""The digits are scikit-learn's, in its order."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from gencli.files.tables import Description
from gencli.sources.digits import digits
from tests.helpers import images


@pytest.mark.parametrize(("split", "rows"), [("train", slice(0, 1437)), ("test", slice(1437, 1797))])
def test_a_split_is_these_rows_of_scikit_learn(split: str, rows: slice) -> None:
    bundle: Any = load_digits()
    table = digits(split)
    assert table.description == Description("digits", split, tuple("0123456789"), (8, 8, 1), "uint8")
    assert table.rows == rows.stop - rows.start
    assert np.array_equal(table.column("label"), bundle.target[rows])
    ink = bundle.images[rows]
    assert abs(images(table)[..., 0] - ink * 255 / 16).max() <= 0.5
    assert [len(np.unique(values)) for values in (images(table), ink)] == [17, 17]


def test_rows_count_from_zero_in_each_split_under_identities_of_their_own() -> None:
    train, test = digits("train").column("id"), digits("test").column("id")
    assert np.array_equal(train & 0xFFFFFFFF, np.arange(1437))
    assert np.array_equal(test & 0xFFFFFFFF, np.arange(360))
    assert not set(train) & set(test)
