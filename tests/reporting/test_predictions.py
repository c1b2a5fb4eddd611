"""Confusion matrices are summed, confidences are binned, and what has gaps is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.reporting import predictions
from gencli.reporting.documents import Document
from tests.reporting.made import read, training

near: Any = pytest.approx


def confused(path: Path, **columns: list[int | None]) -> Document:
    rows = {"label": [*range(len(columns["a"]))], "name": [*"abcd"[: len(columns["a"])]]}
    return read(path, pa.table({**rows, **{name: pa.array(each, pa.int64()) for name, each in columns.items()}}),
                training())  # fmt: skip


def predicted(path: Path, probabilities: list[list[float] | None], right: list[bool]) -> Document:
    rows = {
        "id": [*range(len(right))], "label": [0] * len(right), "prediction": [0 if each else 1 for each in right],
        "probabilities": pa.array(probabilities, pa.list_(pa.float64())),
    }  # fmt: skip
    return read(path, pa.table(rows), training())


def test_confusion_matrices_of_runs_are_summed(tmp_path: Path) -> None:
    one = confused(tmp_path / "one.parquet", a=[5, 2], b=[0, 3])
    other = confused(tmp_path / "other.parquet", a=[1, 0], b=[4, 7])
    assert predictions.confusion([one, other]) == (["a", "b"], [[6, 4], [2, 10]])
    assert predictions.confusion([other]) == (["a", "b"], [[1, 4], [0, 7]])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [5, 2], "b": [0, 3], "not_finite": [1000, 234]}, "1,234 rows have no class, because their outputs"),
        ({"a": [5, 2], "b": [0, 3], "c": [1, 2]}, "a confusion matrix of 2 by 3, or with gaps"),
        ({"a": [5, 2], "b": [0, 3], "c": [1, 2], "not_finite": [1, 2]}, "a confusion matrix of 2 by 4, or with gaps"),
        ({"a": [5, 2], "not_finite": [0, 3]}, None),  # a class of that name
        ({"a": [5, 2]}, "a confusion matrix of 2 by 1, or with gaps"),
        ({"a": [5, 2, 1], "b": [0, 3, 1], "c": [0, 3, 1]}, "its classes differ from those of"),
    ],
)
def test_what_is_no_confusion_matrix_of_the_same_classes_is_refused(
    tmp_path: Path, columns: dict[str, Any], said: str | None
) -> None:
    whole, found = confused(tmp_path / "w.parquet", a=[5, 2], b=[0, 3]), confused(tmp_path / "f.parquet", **columns)
    if said is None:
        assert predictions.confusion([whole, found]) == (["a", "b"], [[10, 0], [4, 6]])
        return
    with pytest.raises(GencliError) as refused:
        predictions.confusion([whole, found])
    assert f"f.parquet: {said}" in str(refused.value)
    assert "differ from those of" not in said or str(refused.value).startswith(f"{found.title}: {said} {whole.title}")


def test_a_confidence_at_the_end_of_a_bin_is_in_it(tmp_path: Path) -> None:
    """Of fifteen bins: 0.2 is the end of the third, 0.25 in the fourth, 0 in the first and 1 in the last."""
    values = [0.2, 0.15, 0.25, 0.0, 1.0, 0.95, 1 + 1e-7]
    found = predictions.reliability([
        predicted(tmp_path / "one.parquet", [[each / 2, each] for each in values[:4]], [True, False, True, False]),
        predicted(tmp_path / "two.parquet", [[each] for each in values[4:]], [True, True, False]),
    ])  # fmt: skip
    assert found is not None
    last = (1.0 + 0.95 + 1 + 1e-7) / 3
    assert found.confidence == pytest.approx([0.0, 0.175, 0.25, last])
    assert found.accuracy == pytest.approx([0.0, 0.5, 1.0, 2 / 3])
    assert found.error == pytest.approx((2 * 0.325 + 0.75 + 3 * (last - 2 / 3)) / 7)


def test_the_largest_probability_is_of_each_row_of_a_part(tmp_path: Path) -> None:
    whole = predicted(tmp_path / "p.parquet", [[1.0], [0.5, 0.1], [0.3, 0.7, 0.0]], [True, False, True])
    found = predictions.reliability([replace(whole, place=slice(whole.place.start + 1, whole.place.stop))])
    assert found == predictions.Reliability([0.5, 0.7], [0.0, 1.0], near(0.4))


def test_rows_without_probabilities_are_refused_where_others_have_them(tmp_path: Path) -> None:
    none = predicted(tmp_path / "n.parquet", [None, None], [True, False])
    assert predictions.reliability([none]) is None
    full = predicted(tmp_path / "f.parquet", [[0.5], [0.5]], [True, False])
    assert predictions.reliability([none, full]) == predictions.Reliability([0.5], [0.5], 0.0)
    bare = read(tmp_path / "b.parquet", {"id": [0], "label": [0], "prediction": [0]}, training())
    assert predictions.reliability([bare]) is None
    some = predicted(tmp_path / "s.parquet", [None, [0.5], None], [True, False, True])
    with pytest.raises(GencliError, match=r"s\.parquet: 2 rows without probabilities, as the model's outputs are not"):
        predictions.reliability([full, some])


def test_a_density_of_almost_nothing_is_none(tmp_path: Path) -> None:
    def found(density: list[float | None]) -> tuple[list[float], list[float | None]]:
        rows = {"eigenvalue": [*map(float, range(len(density)))], "density": pa.array(density, pa.float64())}
        return predictions.density(read(tmp_path / "d.parquet", pa.table(rows), training()))

    assert found([2.0, 2e-7, 2.1e-7, None, 0.0]) == ([0.0, 1.0, 2.0, 3.0, 4.0], [2.0, None, 2.1e-7, None, None])
    assert found([None, None]) == ([0.0, 1.0], [None, None])
