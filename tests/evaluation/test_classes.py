"""Fractions by class and overall, against counting row by row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gencli.evaluation.classes import fractions
from gencli.evaluation.predictions import Evaluated
from tests.evaluation.tables import confusion, per_class

CLASSES = ("a", "b", "c", "never")
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), st.floats(0, 100, width=32)), min_size=1
)
Row = tuple[int, int, int, float]


def share(flags: list[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def by_hand(rows: list[Row], label: int | None, name: str) -> dict[str, Any]:
    """All but precision, recall and F1, see `test_parity`."""
    wrong = [(mine, true, said) for mine, true, said, _ in rows if mine != true]
    return {
        "label": label,
        "name": name,
        "n": len(rows),
        "accuracy": share([said == mine for mine, _, said, _ in rows]),
        "loss": sum(loss for *_, loss in rows) / len(rows) if rows else None,
        "corrupted": len(wrong),
        "memorized": share([said == mine for mine, _, said in wrong]),
        "recovered": share([said == true for _, true, said in wrong]),
    }


def columns(rows: list[Row]) -> tuple[NDArray[Any], ...]:
    labels, true, said, losses = zip(*rows, strict=True)
    return np.array(said), np.array(losses, np.float64), np.array(labels), np.array(true)


def evaluated(
    predicted: NDArray[Any],
    losses: NDArray[Any],
    labels: NDArray[Any],
    true: NDArray[Any] | None,
    groups: list[str] | None = None,
) -> Evaluated:
    return Evaluated(
        np.arange(len(labels)), labels, losses, true, predicted,
        by=("corruption", "severity"), groups=[tuple(group.split()) for group in groups] if groups else None,
    )  # fmt: skip


@given(ROWS)
def test_the_table_is_what_counting_gives(rows: list[Row]) -> None:
    said, losses, labels, true = columns(rows)
    table = per_class(evaluated(said, losses, labels, true), CLASSES)
    expected = [by_hand([row for row in rows if row[0] == label], label, name) for label, name in enumerate(CLASSES)]
    expected.append(by_hand(rows, None, "all"))
    for mine, theirs in zip(table.drop(["precision", "recall", "f1"]).to_pylist(), expected, strict=True):
        assert list(mine) == list(theirs)
        assert {name: mine[name] is None for name in mine} == {name: value is None for name, value in theirs.items()}
        assert mine == pytest.approx(theirs)
    assert table.schema.field("n").type == table.schema.field("corrupted").type == pa.int64()


@given(ROWS)
def test_clean_data_has_no_columns_of_corruption(rows: list[Row]) -> None:
    said, losses, labels, true = columns(rows)
    whole = per_class(evaluated(said, losses, labels, true), CLASSES)
    clean = per_class(evaluated(said, losses, labels, None), CLASSES)
    assert clean.column_names == ["label", "name", "n", "accuracy", "precision", "recall", "f1", "loss"]
    assert clean.equals(whole.select(clean.column_names))


@given(ROWS)
def test_fractions_are_what_counting_gives(rows: list[Row]) -> None:
    said, _, labels, true = map(torch.from_numpy, columns(rows))
    expected = by_hand(rows, None, "all")
    clean = share([predicted == label for label, real, predicted, _ in rows if label == real])
    assert fractions(said, labels, true) == (expected["accuracy"], clean, expected["memorized"], expected["recovered"])
    assert fractions(said, labels, None) == (expected["accuracy"], None, None, None)


@given(groups=st.lists(st.sampled_from(["fog 3", "fog 4", "snow 3"]), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_rows_go_by_groups_where_they_are_given(groups: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted, labels = random.integers(0, 4, (2, len(groups)))
    losses = random.random(len(groups))
    result = per_class(evaluated(predicted, losses, labels, None, groups), ("a", "b", "c", "d")).to_pydict()
    names = list(dict.fromkeys(groups))
    assert result["name"] == [*names, "all"]
    assert result["label"] == [*range(len(names)), None]
    for name, n, accuracy, loss in zip(*(result[each] for each in ("name", "n", "accuracy", "loss")), strict=True):
        rows = [name in (group, "all") for group in groups]
        assert n == sum(rows)
        assert accuracy == pytest.approx((predicted == labels)[rows].mean())
        assert loss == pytest.approx(losses[rows].mean())


def test_images_are_measured_by_their_likeness() -> None:
    labels, psnr = np.array([0, 0, 2]), np.array([20.0, 30.0, 41.0])
    result = Evaluated(np.arange(3), labels, psnr / 1000, labels, psnr=psnr, ssim=psnr / 100)
    table = per_class(result, ("a", "b", "c")).to_pydict()
    assert list(table) == ["label", "name", "n", "psnr", "ssim", "loss"]
    assert table["psnr"] == [25, None, 41, pytest.approx(91 / 3)]
    assert table["ssim"][1] is None


def test_the_mean_corruption_error_weighs_kinds_alike_and_leaves_the_extra_ones_out() -> None:
    groups = ["fog 1"] * 4 + ["fog 2"] * 4 + ["snow 1"] * 4 + ["speckle_noise 1"] * 4
    predicted = np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0])  # errors 1/4, 1/2, 1, 0; labels are 0
    labels = np.zeros(16, np.int64)
    errors = per_class(evaluated(predicted, predicted * 1.0, labels, None, groups), CLASSES)["corruption_error"]
    assert errors.to_pylist() == [0.25, 0.5, 1, 0, (0.375 + 1) / 2]
    extra = per_class(evaluated(predicted[12:], predicted[12:] * 1.0, labels[12:], None, groups[12:]), CLASSES)
    assert extra["corruption_error"].to_pylist() == [0, 0]


def test_a_class_without_rows_is_absent() -> None:
    labels, predicted = np.array([0, 0, 2]), np.array([0, 1, 1])
    result = Evaluated(
        np.arange(3), labels, np.ones(3), None, predicted, np.ones(3), np.ones(3), np.array([0, 1, 2])
    )  # fmt: skip
    table = per_class(result, ("a", "b", "c"), [2], 0).to_pylist()
    assert {name for name, value in table[1].items() if value is not None} == {"label", "name", "n"}
    assert table[1]["n"] == 0
    assert None not in table[2].values()


def test_the_confusion_matrix_counts_pairs() -> None:
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 1, 2, 2])
    table = confusion(labels, predicted, ("a", "b", "c"))
    assert table.to_pydict() == {
        "label": [0, 1, 2], "name": ["a", "b", "c"], "a": [1, 0, 0], "b": [1, 0, 1], "c": [0, 0, 2]
    }  # fmt: skip
    for names in (("a", "a", "c"), ("label", "a", "c")):
        assert confusion(labels, predicted, names).column_names == ["label", "name", "0", "1", "2"]


def test_groups_are_in_the_order_of_their_values_and_called_by_them() -> None:
    predicted, labels, losses = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), np.zeros(4)
    for groups, order, numbers in (([7, 2, 7, 5], [2, 5, 7], [2, 5, 7]), ([7, None, 7, 5], [5, 7, None], [0, 1, 2])):
        whole = Evaluated(np.arange(4), labels, losses, predicted, groups=[(each,) for each in groups], by=("fold",))
        table = per_class(whole, ("a", "b")).to_pydict()
        assert table["name"] == [*("null" if each is None else str(each) for each in order), "all"]
        assert table["label"] == [*numbers, None]
