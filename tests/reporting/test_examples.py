"""Figures of single rows: points are means over runs, shares are of all rows, wrong labels are apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gencli.reporting import examples
from gencli.reporting.documents import Document
from gencli.reporting.panels import Bars, Lines
from tests.reporting.made import read, training

IDS, LABELS, TRUE = [3, 1, 2] * 2, [0, 1, 1] * 2, [0, 0, 1] * 2


def document(path: Path, **columns: Any) -> Document:
    rows = {"run": [0, 0, 0, 1, 1, 1], "id": IDS, "label": LABELS, "label_true": TRUE}
    learned = pa.array([1, None, 4, 2, 3, None], pa.int64())
    known = {"first_learned": learned, "learned": learned, "aum": [0.0] * 6}
    known |= {"confidence": [0.2, 0.4, 0.6, 0.4, 0.8, 0.6], "variability": [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]}
    return read(path / "rows.parquet", pa.table(rows | known | columns), training())


def test_cartography_is_a_point_a_row_with_wrong_labels_apart(tmp_path: Path) -> None:
    (panel,) = examples.cartography([document(tmp_path)])
    assert isinstance(panel, Lines)
    assert panel.scatter
    found = {curve.name: np.array([curve.x, curve.y], float).T for curve in panel.curves}
    np.testing.assert_allclose(found["label is the true one"], [(0.2, 0.6), (0.2, 0.3)])
    np.testing.assert_allclose(found["label is wrong"], [(0.2, 0.6)])


def test_learning_order_is_the_share_of_all_rows_learned_by_an_epoch(tmp_path: Path) -> None:
    panel, by_label = examples.learning_order([document(tmp_path)])
    assert isinstance(panel, Lines)
    assert isinstance(by_label, Lines)
    right, wrong = panel.curves
    assert list(right.x) == [0, 1, 2, 3, 4]
    assert list(right.y) == [0, 0.25, 0.5, 0.5, 0.75]
    assert list(wrong.y) == [0, 0, 0, 0.5, 0.5]
    assert list(by_label.curves[0].y) == [0, 0.5, 1, 1, 1]


def test_memorization_is_counted_in_bins(tmp_path: Path) -> None:
    scores = pa.table({
        "id": range(4), "label": [0, 1, 1, 0], "label_true": [0, 0, 1, 0], "runs": [1] * 4,
        "memorization": pa.array([0.05, 1.0, 0.05, None]),
    })  # fmt: skip
    (panel,) = examples.memorization([read(tmp_path / "s.parquet", scores, training())])
    assert isinstance(panel, Bars)
    assert panel.names[0] == "0.00 to 0.10"
    (_, right, _), (_, wrong, _) = panel.series
    assert list(right) == [1] + [0] * 9
    assert list(wrong) == [0] * 9 + [1]


@pytest.mark.parametrize("figure", [examples.cartography, examples.learning_order, examples.memorization])
def test_what_lacks_its_columns_is_not_drawn(figure: Any, tmp_path: Path) -> None:
    scores = pa.table({"id": [1], "label": [0], "runs": [1], "self_confidence": [0.5]})
    assert figure([read(tmp_path / "s.parquet", scores, training())]) == []
