"""The table that scores are gathered in, by row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.scores.networks import Answer
from gencli.scores.reading import Part
from gencli.scores.table import Scores


@pytest.mark.parametrize(("classes", "known"), [(1, False), (9, False), (10, True), (11, True)])
def test_probabilities_have_a_class_for_every_label(classes: int, known: bool) -> None:
    table: Any = SimpleNamespace(labels=np.array([9, 0]))
    if known:
        assert Scores._given(table, None, "f", np.ones((2, classes))).classes == classes
    else:
        with pytest.raises(GencliError, match=f"f: probabilities of {classes} classes, where labels up to 9 are"):
            Scores._given(table, None, "f", np.ones((2, classes)))


def part(title: str, ids: list[int], labels: list[int], true: list[int] | None = None, **more: Any) -> Part:
    known = None if true is None else np.array(true, np.int64)
    return Part(title, 10 + np.arange(len(ids)), np.array(ids, np.int64), np.array(labels, np.int64), known, **more)


def dynamics(**values: list[float]) -> dict[str, Any]:
    return {"values": {name: np.array(each, float) for name, each in values.items()}}


def columns(scores: Scores) -> dict[str, list[Any]]:
    return scores.table().to_pydict()


def test_runs_of_other_rows_are_gathered_in_the_order_of_ids() -> None:
    one = part("one", [7, 3], [1, 0], [1, 1], **dynamics(correctness=[0.5, np.nan], learned=[2.0, np.nan]))
    two = part("two", [5, 7], [0, 1], [0, 1], **dynamics(correctness=[1.0, 0.75], learned=[1.0, np.inf]))
    assert columns(Scores([one, two])) == {
        "id": [3, 5, 7], "label": [0, 0, 1], "label_true": [1, 0, 1], "runs": [0, 1, 2],
        "correctness": [None, 1.0, 0.625],
        "correctness_se": [None, None, pytest.approx(0.125)],
        "learned": [None, 1.0, None], "learned_se": [None, None, None],
    }  # fmt: skip


def test_true_labels_are_left_out_where_one_is_not_known() -> None:
    one, two = part("one", [1, 2], [0, 0], [0, 1]), part("two", [2, 3], [0, 0])
    assert "label_true" not in columns(Scores([one, two]))
    assert columns(Scores([one, part("two", [2], [0])]))["label_true"] == [0, 1]


def test_a_score_without_any_value_is_left_out_and_one_that_is_endless_is_kept() -> None:
    nothing = part("one", [1, 2], [0, 0], **dynamics(correctness=[1, 1], aum=[np.nan] * 2, learned=[np.nan, np.inf]))
    assert list(columns(Scores([nothing]))) == [
        "id", "label", "runs", "correctness", "correctness_se", "learned", "learned_se",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "trained", "message"),
    [
        (
            [part("one", [4, 5, 4], [0, 0, 0])], None, "one: row 12: column `id`: 4 twice",
        ),
        ([part("one", [4, 5], [0, 1]), part("two", [5, 6], [2, 0])], None,
         "two: row 10: column `label`: 2, but 1 in another file"),
        ([part("one", [4], [0], [0]), part("two", [6, 4], [0, 0], [0, 1])], None,
         "two: row 11: column `label_true`: 1, but 0 in another file"),
        ([part("one", [4], [0]), part("two", [6, 8], [0, 0])], None, "two: row 10: column `id`: 6 is not in one"),
        ([part("two", [4, 6], [0, 0])], part("t", [4, 5], [0, 0]), "two: row 11: column `id`: 6 is not in t"),
    ],
)  # fmt: skip
def test_runs_that_are_not_of_the_same_rows_are_refused(parts: list[Part], trained: Part | None, message: str) -> None:
    with pytest.raises(GencliError) as refused:
        Scores(parts, trained)
    assert str(refused.value).startswith(message)


def test_some_rows_of_a_run_may_be_new_where_no_table_is_given() -> None:
    assert columns(Scores([part("one", [4], [0]), part("two", [6, 4], [1, 0])]))["label"] == [0, 1]


def answer(seen: list[int], right: list[int], test: list[int] | None = None, chances: Any = None) -> Answer:
    rights = None if test is None else np.array(test, bool)
    return Answer("net", np.array(seen, bool), np.array(right, bool), rights, chances)


def test_what_networks_say_is_of_the_rows_that_they_saw_or_not() -> None:
    scores = Scores([], part("t", [5, 3, 9], [0, 1, 1]))
    own, other = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([[0.5, 0.5], [0.8, 0.2], [0.0, 1.0]])
    scores.add([answer([1, 1, 0], [1, 1, 0], chances=own), answer([1, 0, 1], [1, 0, 1], chances=other)], 1.0)
    found = columns(scores)
    assert scores.notes == ["1 rows have no memorization: all networks saw them, or none did"]
    assert found["id"] == [3, 5, 9]
    assert found["runs"] == [1, 2, 1]
    assert found["self_confidence"] == pytest.approx([0.6, 0.7, 1.0])
    assert found["held_out_self_confidence"] == [0.2, None, 0.3]
    assert found["memorization"] == [1.0, None, 1.0]
    assert (found["networks_in"], found["networks_out"]) == ([1, 2, 1], [1, 0, 1])
    whole = Scores([], part("t", [5, 3, 9], [0, 1, 1]))
    whole.add([answer([1, 1, 1], [0, 0, 0], chances=own)], 1.0)
    assert "memorization" not in columns(whole)
    assert columns(whole)["self_confidence"] == pytest.approx([0.6, 0.9, 0.3])
    assert not any(name.startswith("held_out") for name in columns(whole))


@pytest.mark.parametrize(("fitted_at", "fine"), [(0.5, True), (0.51, False)])
def test_networks_that_left_rows_out_must_fit_those_that_they_saw(fitted_at: float, fine: bool) -> None:
    scores = Scores([], part("t", [1, 2, 3], [0, 0, 0]))
    if fine:
        scores.add([answer([1, 1, 0], [1, 0, 1])], fitted_at)
    else:
        with pytest.raises(GencliError, match=r"^net: accuracy 0\.5000 on the rows that it saw: memorization means"):
            scores.add([answer([1, 1, 0], [1, 0, 1])], fitted_at)


def test_probabilities_of_other_numbers_of_classes_are_refused() -> None:
    two, three = (part("f", [1], [0], probabilities=np.full((1, count), 1 / count)) for count in (2, 3))
    with pytest.raises(GencliError, match="f: probabilities of 3 classes, where 2 are"):
        Scores([two, three])


def test_pairs_are_of_the_strongest_influence() -> None:
    trained, test = part("t", [5, 3], [0, 1], [0, 0]), part("u", [20, 21], [1, 0])
    scores = Scores([], trained)
    with pytest.raises(GencliError, match="no row is seen by some networks and not by others"):
        scores.influence(trained, test, 3)
    scores.add([answer([1, 1], [1, 1], [1, 0]), answer([0, 1], [0, 1], [0, 0])], 0.0)
    pairs = scores.influence(trained, test, 1).to_pydict()
    error = pairs.pop("influence_se")
    assert pairs == {
        "id": [5], "label": [0], "label_true": [0], "test_id": [20], "test_label": [1], "influence": [1.0],
        "networks_in": [1], "networks_out": [1],
    }  # fmt: skip
    assert error == pytest.approx([(2 * (2 / 3) * (1 / 3) / 3) ** 0.5])
    assert "label_true" not in scores.influence(part("t", [5, 3], [0, 1]), test, 3).column_names
    assert len(scores.notes) == 3
