"""What is worth saying of a table of each kind, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from gencli.showing.kinds import KINDS, distinct, is_number, is_word

N = math.nan
HISTORY: dict[str, Any] = {"epoch": [1, 2, 3], "train_loss": [0.5, 0.25, 0.125]}
LAST = {"train_loss": 0.125}
CONFUSION: dict[str, Any] = {"label": [0, 1], "name": ["a", "b"], "a": [600, 1], "b": [2, 1000]}
RESULT: dict[str, Any] = {"label": [0, None], "name": ["a", "all"], "n": [3, 5], "loss": [1.0, 0.5]}


def told(columns: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The first kind that fits, and its facts."""
    rows = pa.table(columns)
    kind = next((each for each in KINDS if each.fits(rows.schema, rows.num_rows)), None)
    return kind and (kind.name, kind.facts(rows))


@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ({}, {"epochs": 3, "last": LAST}),
        ({"run": [0, 1, 1]}, {"runs": 2}),
        ({"test_accuracy": [0.25, 0.75, 0.5]},
         {"epochs": 3, "last": LAST | {"test_accuracy": 0.5}, "best test_accuracy": "0.7500 after epoch 2"}),
        ({"test_accuracy": [0.25, 0.75, 0.5], "validation_accuracy": [0.5, N, 0.25]},
         {"epochs": 3, "last": LAST | {"test_accuracy": 0.5, "validation_accuracy": 0.25},
          "best validation_accuracy": "0.5000 after epoch 1"}),
        ({"validation_accuracy": [N, N, N], "validation_loss": [0.5, 0.25, 0.75], "test_loss": [0.125, 1.0, 1.0]},
         {"epochs": 3, "last": LAST | {"validation_accuracy": N, "validation_loss": 0.75, "test_loss": 1.0},
          "best validation_loss": "0.2500 after epoch 2"}),
        ({"test_loss": [0.5, 0.25, None]},
         {"epochs": 3, "last": LAST, "best test_loss": "0.2500 after epoch 2"}),
        ({"seconds": [1.0, 2.0, 3.0], "memorized": [0.0, 0.5, 1.0], "test_accuracy": ["a", "b", "c"]},
         {"epochs": 3, "last": LAST | {"memorized": 1.0}}),
    ],
)  # fmt: skip
def test_a_history_has_its_last_and_best_scores(more: dict[str, Any], facts: dict[str, Any]) -> None:
    assert repr(told(HISTORY | more)) == repr(("history", facts))


def test_a_result_has_the_rows_of_all_classes_by_what_they_are_of() -> None:
    assert told(RESULT) == ("result by class", {"all classes": {"n": 5, "loss": 0.5}})
    more = {"accuracy": [0.5, 0.25], "memorized": [0.0, 0.125], "other": [1, 2]}
    both = {name: values * 2 for name, values in (RESULT | more).items()}
    lead = {"model": ["m", "m", "m", "m"], "data": ["x", "x", "y", "y"], "run": [3, 3, 3, 3]}
    expected = {"n": 5, "accuracy": 0.25, "loss": 0.5, "memorized": 0.125}
    assert told(both | lead) == ("result by class", {"m, x, 3": expected, "m, y, 3": expected})


def test_predictions_are_compared_with_the_labels_that_there_are() -> None:
    rows = {"id": [1, 2, 3, 4], "label": [0, 1, 1, 2], "prediction": [0, 1, 1, None]}
    assert told(rows) == ("predictions", {"predicted as label": "3 of 4 rows, 75.00%"})
    assert told(rows | {"label_true": [0, 0, 0, 1]}) == (
        "predictions", {"predicted as label": "3 of 4 rows, 75.00%", "predicted as label_true": "1 of 4 rows, 25.00%"}
    )  # fmt: skip
    one = {name: values[:1] for name, values in rows.items()}
    assert told(one) == ("predictions", {"predicted as label": "1 of 1 rows, 100.00%"})
    many = {"id": [*range(3000)], "label": [0] * 3000, "prediction": [0] * 1500 + [1] * 1500}
    assert told(many) == ("predictions", {"predicted as label": "1,500 of 3,000 rows, 50.00%"})


@pytest.mark.parametrize(
    ("holds", "held"), [([True, False, True], "2 of 3"), (["yes", "no", "no"], "1 of 3"), ([None, "no", ""], "0 of 3")]
)
def test_claims_hold_where_it_says_so(holds: list[Any], held: str) -> None:
    words = {name: ["x"] * 3 for name in ("instance", "quantity", "relation")}
    numbers = {name: [1.0] * 3 for name in ("left", "right", "slack")}
    rows = {"claim": ["b", "a", "b"], **words, **numbers, "holds": holds}
    assert told(rows) == ("claims", {"claims": ["b", "a"], "hold": held})


def test_an_alignment_has_its_quantities_of_all_classes() -> None:
    rows = {"quantity": ["eigenvalue", "complexity", "complexity", "time"], "class": [None, "", "a", None],
            "index": [0, None, None, None], "value": [9.0, 2.0, 3.0, 4.0]}  # fmt: skip
    assert told(rows) == ("alignment of labels with a kernel", {"complexity": 2.0, "time": 4.0})


def test_a_density_has_its_integral_and_ends() -> None:
    rows = {"eigenvalue": [-1.0, 0.0, 2.0], "density": [0.0, 1.0, 0.5]}
    assert told(rows) == ("spectral density", {"integral": 2.0, "eigenvalues": "-1.0000 to 2.0000"})


def test_dynamics_have_how_many_rows_are_not_learned_or_below() -> None:
    rows = {"id": [1, 2, 3, 4, 5], "first_learned": [1] * 5, "learned": [1, None, 3, None, 2],
            "aum": [-1.0, 0.0, 1.0, 0.5, -0.25]}  # fmt: skip
    assert told(rows) == (
        "dynamics of training",
        {"not learned to the end": "2 of 5 rows, 40.00%", "aum below 0": "2 of 5 rows, 40.00%"},
    )


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, "1,600 of 1,603, 99.81%"),
        ({"not_finite": [5, 6]}, "1,600 of 1,603, 99.81%"),
        ({"a": [0, 0], "b": [0, 0]}, "0 of 0, 0.00%"), ({"a": [1, 0], "b": [0, 0]}, "1 of 1, 100.00%"),
        ({"a": [0.5, 1.0]}, None), ({"c": [1, 1]}, None), ({"name": [[1], [2]]}, None),
    ],
)  # fmt: skip
def test_a_confusion_matrix_has_the_share_that_is_right(change: dict[str, Any], right: str | None) -> None:
    found = told(CONFUSION | change)
    assert found == (None if right is None else ("confusion matrix", {"right": right}))


def test_matrices_of_several_runs_are_below_each_other() -> None:
    two = {name: values * 2 for name, values in CONFUSION.items()} | {"run": [0, 0, 1, 1], "model": ["m"] * 4}
    assert told(two) == ("confusion matrix", {"right": "3,200 of 3,206, 99.81%"})
    assert told({name: values[:3] for name, values in two.items()}) is None
    assert told({name: pa.array(values[:0], pa.array(values).type) for name, values in CONFUSION.items()}) is None
    assert told({"label": [0], "name": ["a"], "a": [3]}) is None


def test_every_column_of_a_kind_is_needed_and_of_its_type() -> None:
    for kind in KINDS:
        if kind.name == "confusion matrix":
            continue
        whole = {name: pa.float64() for name in kind.numbers} | {name: pa.string() for name in kind.words}
        assert kind.fits(pa.schema([*whole.items()]), 1), kind.name
        assert kind.fits(pa.schema([*whole.items()]), 0), kind.name
        for name, of in whole.items():
            other = pa.string() if of == pa.float64() else pa.list_(pa.string())
            assert not kind.fits(pa.schema([*(whole | {name: other}).items()]), 1), (kind.name, name)
            assert not kind.fits(pa.schema([each for each in whole.items() if each[0] != name]), 1), (kind.name, name)
            assert not kind.fits(pa.schema([*whole.items(), (name, of)]), 1), (kind.name, name)  # twice


def test_types_of_numbers_and_of_words() -> None:
    types = [pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.null(), pa.string(), pa.bool_(), pa.binary()]
    assert [is_number(each) for each in types] == [True] * 5 + [False] * 3
    assert [is_word(each) for each in types] == [True] * 7 + [False]
    assert distinct(pa.schema([("a", pa.int8()), ("b", pa.int8()), ("a", pa.int8())])) == ["b"]
