"""Labels that look as if these draws had made them before, and matrices just within and beyond their tolerance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gencli.corruptions import labels as kinds
from gencli.corruptions.labels import FlipLabels, MatrixLabels, PermuteLabels
from gencli.errors import GencliError
from gencli.files.tables import Description, ImageTable, MemoryTable
from gencli.randomness import Draws
from tests.helpers import read

DRAWS = Draws(0, "flip-labels", 0)
IDS = np.arange(1000)


def labelled(labels: NDArray[np.int64], classes: int, true: NDArray[np.int64] | None = None) -> Any:
    description = Description("toy", "", tuple(f"class {label}" for label in range(classes)), (1, 1, 1))
    table = MemoryTable("toy", description, np.zeros((len(labels), 1, 1, 1), np.uint8), labels)
    if true is not None:
        schema = description.schema(("id", "image", "label", "label_true"))
        rows = pa.Table.from_arrays([*read(table).columns, pa.array(true)], schema=schema)
        table._rows, table.schema = rows.combine_chunks().to_batches()[0], schema
    return table


def rule(classes: int) -> Any:
    table: ImageTable = labelled(np.zeros(1, np.int64), classes)
    return FlipLabels(0.5).rule(table)[1]


@pytest.mark.parametrize(("rows", "used"), [(0, False), (12, False), (13, True), (500, True)])
def test_labels_that_agree_too_often_with_the_draws_are_used(rows: int, used: bool) -> None:
    """By chance one in nine agrees: 13 of 13 have a probability of 9⁻¹³ < 10⁻¹²."""
    replace = rule(10)
    ids, true = IDS[:rows], IDS[:rows] % 10
    labels = replace(true, kinds._spots(DRAWS, ids))
    if used:
        with pytest.raises(GencliError, match=r"^toy: this kind and seed already replaced labels"):
            kinds._require_unlike("toy", DRAWS, ids, labels, true, 10, replace)
    else:
        kinds._require_unlike("toy", DRAWS, ids, labels, true, 10, replace)
    kinds._require_unlike("toy", DRAWS, ids, (true + 1 + ids % 9) % 10, true, 10, replace)


@pytest.mark.parametrize(("classes", "used"), [(256, True), (257, False)])
def test_of_many_classes_agreement_is_not_looked_at(classes: int, used: bool) -> None:
    replace = rule(classes)
    true = IDS % classes
    labels = replace(true, kinds._spots(DRAWS, IDS))
    if used:
        with pytest.raises(GencliError, match="already replaced labels"):
            kinds._require_unlike("toy", DRAWS, IDS, labels, true, classes, replace)
    else:
        kinds._require_unlike("toy", DRAWS, IDS, labels, true, classes, replace)


def test_rows_that_are_all_among_the_first_drawn_are_used() -> None:
    lots = DRAWS.uniforms(IDS)
    few = IDS[np.argsort(lots)][:100]
    replace, results = rule(257), set[bool]()
    for count in range(1, 100):
        ids = few[:count]
        used = bool(lots[ids].max() ** count < 1e-12)
        results.add(used)
        true = np.zeros(count, np.int64)
        if used:
            with pytest.raises(GencliError, match="already replaced labels"):
                kinds._require_fresh("toy", DRAWS, ids, true, true, 257, replace)
        else:
            kinds._require_fresh("toy", DRAWS, ids, true, true, 257, replace)
    assert results == {True, False}


def test_rows_labelled_wrong_are_known_by_their_true_labels() -> None:
    labels, true = np.array([0, 1, 2, 0]), np.array([0, 2, 2, 1])
    assert kinds._wrong(labelled(labels, 3)) is None
    assert kinds._wrong(labelled(labels, 3, labels)) is None
    found = kinds._wrong(labelled(labels, 3, true))
    assert found is not None
    ids, wrong, right = found
    assert (wrong.tolist(), right.tolist()) == ([1, 0], [2, 1])
    assert (ids & 0xFFFFFFFF).tolist() == [1, 3]


@pytest.mark.parametrize(("classes", "present", "used"), [(10, 10, True), (9, 9, False), (10, 5, False), (20, 5, True)])
def test_one_order_of_many_classes_is_not_the_same_by_chance(classes: int, present: int, used: bool) -> None:
    """10! = 3,628,800 and 20·19·18·17·16 are above a million, 9! and 10·9·8·7·6 below."""
    draws, true = Draws(0, "permute-labels", 0), np.arange(40) % present
    labels = draws.permutation(classes)[true]
    if used:
        with pytest.raises(GencliError, match="already replaced labels"):
            PermuteLabels().labels(labelled(labels, classes, true), draws)
        labels[7] = (labels[7] + 1) % classes
    replace = PermuteLabels().labels(labelled(labels, classes, true), draws)
    assert replace(true, IDS[:40]).tolist() == draws.permutation(classes)[true].tolist()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1 + 9e-7, 0], [0, 1]], ""), ([[1 + 1.1e-6, 0], [0, 1]], "row 0, column 0: 1 is not a probability"),
        ([[1, 0], [0.5, 0.5 + 9e-7]], ""), ([[1, 0], [0.5, 0.5 + 1.1e-6]], "row 1: it sums to 1.0000011, not to 1"),
        ([[1, 0], [0.5, 0.5 - 9e-7]], ""), ([[1, 0], [0.5, 0.5 - 1.1e-6]], "row 1: it sums to 0.9999989, not to 1"),
        ([[1, 0], [-0.5, 1.5]], "row 1, column 0: -0.5 is not a probability"), ([[1, 0], [0, float("nan")]], None),
        ([[1, 0, 0], [0, 1, 0]], "2×3 numbers, but toy has 2 classes"), ([[1]], "1×1 numbers, but toy has 2 classes"),
    ],
)  # fmt: skip
def test_rows_of_a_matrix_sum_to_one(rows: list[list[float]], said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(",".join(map(repr, row)) + "\n" for row in rows))
    corruption, table = MatrixLabels(str(path)), labelled(np.array([0, 1]), 2)
    if said == "":
        rates, replace = corruption.rule(table)
        assert rates.tolist() == pytest.approx([0, rows[1][0]], abs=1e-6)
        assert not rows[1][0] or replace(np.array([1, 1]), np.array([0.0, 0.999])).tolist() == [0, 0]
        return
    with pytest.raises(GencliError) as refused:
        corruption.rule(table)
    assert said is None or refused.value.message == f"{path}: {said}"
