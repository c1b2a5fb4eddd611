"""Cells as text."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from gencli.reporting.cells import LONGEST, cell, cells, numeric


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "yes"), (False, "no"), (0.0, "0.0000"), (0.12345, "0.1235"), (0.001, "0.0010"),
        (0.000999, "9.99e-04"), (-0.0005, "-5.00e-04"), (999_999.0, "999999.0000"), (1e6, "1.00e+06"),
        (-2e6, "-2.00e+06"), (1234, "1,234"), ((1 << 40) - 1, "1,099,511,627,775"), (1 << 40, "1099511627776"),
        (-(1 << 40), "-1099511627776"), ("cat", "cat"),
    ],
)  # fmt: skip
def test_a_value_is_a_line_of_text(value: Any, text: str) -> None:
    assert cell(value) == text


def test_long_text_is_shortened() -> None:
    assert len(cell("x" * 1000)) == LONGEST
    assert cell("x" * LONGEST) == "x" * LONGEST


def test_rows_and_kinds_of_columns() -> None:
    rows = pa.table({"a": [1, None], "b": ["x", "y"], "c": [0.5, 0.25]})
    assert list(cells(rows)) == [["1", "x", "0.5000"], ["", "y", "0.2500"]]
    assert [numeric(field) for field in rows.schema] == [True, False, True]
    assert numeric(rows.schema.field("b").with_metadata({"number": ""}))
