"""Cells as text."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from gencli.reporting.cells import LONGEST, cell, cells, numeric, spread


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "yes"), (False, "no"), (0.0, "0.0000"), (0.12345, "0.1235"), (0.001, "0.0010"),
        (0.000999, "9.99e-04"), (-0.0005, "-5.00e-04"), (999_999.5, "999999.5000"), (1e6 + 0.5, "1.00e+06"),
        (1437.0, "1,437"), (-10.0, "-10"), (9.0, "9.0000"), (float(1 << 40), "1.10e+12"),
        (-2e6, "-2,000,000"), (1234, "1,234"), ((1 << 40) - 1, "1,099,511,627,775"), (1 << 40, "1099511627776"),
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
    assert numeric(pa.field("test_accuracy", pa.null()))  # whose heading is broken, too


@pytest.mark.parametrize(
    ("value", "deviation", "words"),
    [
        (0.999, 7.07e-4, "0.9990 ± 0.0007"),
        (0.3, 3e-5, "0.3000 ± 3.00e-05"),
        (0.5, 0.0, "0.5000 ± 0.0000"),
        (1e-5, 2e-6, "1.00e-05 ± 2.00e-06"),
        (0.5, None, "0.5000"),
    ],
)
def test_a_deviation_has_the_decimals_of_its_mean(value: float, deviation: float | None, words: str) -> None:
    assert spread(cell(value), deviation) == words
