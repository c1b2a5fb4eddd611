"""What is said of image tables: their facts, and their first rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gencli.files.tables import Description, MemoryTable
from gencli.showing import images

VALUES = np.array([0, 2, 4, 6, 8, 10], np.uint8).reshape(3, 2, 1, 1)
TABLE = MemoryTable("toy", Description("", "", ("a", "b"), (2, 1, 1)), VALUES, np.array([0, 1, 0]))
ABOUT = {"name": "", "split": "", "rows": 3, "shape": [2, 1, 1], "dtype": "uint8", "classes": ["a", "b"]}


@pytest.mark.parametrize(("head", "below"), [(1, "… 2 more rows"), (2, "… 1 more rows"), (3, ""), (4, ""), (0, None)])
def test_the_first_rows_and_how_many_are_left(head: int, below: str | None) -> None:
    if head == 0:
        rows, said, facts = images.describe(TABLE, None, None), "", images.describe(TABLE, None, None).unread
        assert (rows.headline.splitlines()[0], rows.below, rows.bars) == (
            "toy: 3 rows, uint8 2×1×1, 2 classes", said, "rows",
        )  # fmt: skip
        deviation = float(np.std([0, 2, 4, 6, 8, 10]))
        measured = {"least": 0.0, "greatest": 10.0, "mean": [5.0], "deviation": [pytest.approx(deviation)]}
        assert facts == ABOUT | measured
        assert [row["rows"] for row in rows.rows.to_pylist()] == [2, 1]
        return
    found = images.describe(TABLE, head, None)
    assert (found.headline, found.below) == ("toy: 3 rows, uint8 2×1×1, 2 classes", below)
    assert found.unread == ABOUT
    assert found.rows.column_names == ["id", "label", "name"]
    assert found.rows["label"].to_pylist() == [0, 1, 0][:head]
    assert found.rows["name"].to_pylist() == ["a", "b", "a"][:head]
    assert isinstance(found.rows, pa.Table)
    assert found.bars is found.picture is None


def test_a_sheet_may_stand_with_the_first_rows() -> None:
    found = images.describe(TABLE, 1, 2)
    assert found.rows.column_names == ["id", "label", "name"]
    assert found.rows.num_rows == 1
    assert found.unread["greatest"] == 10
    assert (found.bars, found.below, found.picture is None) == (None, "", False)
