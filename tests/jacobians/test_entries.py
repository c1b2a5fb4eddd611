"""What is said of one number of a Jacobian, by how far it is from a difference and by how sure that is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gencli.jacobians import entries
from gencli.jacobians.entries import Check, Entry, Verdict
from gencli.jacobians.rows import Chunk

SMALL, LARGE = 2.0**-16, 2.0**-8  # ten times the one is surely below 1e-3, of the other above; powers of 2 are exact


@pytest.mark.parametrize(
    ("value", "scale", "error", "verdict"),
    [
        (1.0, 1.0, 0.0, "holds"),
        (1 + 2.0**-10, 1.0, 0.0, "holds"),  # the tolerance itself
        (1 + 2.0**-9, 1.0, 0.0, "fails"),
        (1 - 2.0**-9, 1.0, 0.0, "fails"),
        (1 + 2.0**-8, 4.0, 0.0, "holds"),  # the tolerance is of the row's largest entry, or of the difference
        (1 + 2.0**-8 + 2.0**-20, 4.0, 0.0, "fails"),
        (1 - 2.0**-10, 2.0**-9, 0.0, "holds"),
        (1 + 2.0**-10 + 10 * SMALL, 1.0, SMALL, "holds"),  # and ten times the error of the difference
        (1 + 2.0**-10 + 11 * SMALL, 1.0, SMALL, "fails"),
        (1.0, 1.0, LARGE, "holds"),
        (1 + 2.0**-10, 1.0, LARGE, "holds"),
        (1 + 2.0**-8, 1.0, 1e-4, "fails"),
        (1.05, 4.0, 2e-4, "fails"),
        (1 + 2.0**-9, 1.0, LARGE, "unclear"),  # which says nothing where the difference is not sure
        (9.0, 9.0, 1.0, "unclear"),
        (1 + 2.0**-9, 1.0, 1.01e-4, "unclear"),
        (1 + 2.0**-8, 1.0, 0.99e-4, "fails"),
    ],
)
def test_a_number_holds_within_the_tolerance_and_ten_errors(
    value: float, scale: float, error: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    function: Any = SimpleNamespace(kinks=False)
    monkeypatch.setattr(entries, "_quotient", lambda *_: (1.0, error))
    monkeypatch.setattr(entries, "_at_kink", lambda *_: False)
    check = Check(function, [Entry(0, 0, "input", 0, False, value, scale)])
    told: list[int] = []
    check.judge(function, None, 2.0**-10, told.append)
    assert check.verdicts == [verdict]
    assert check.apart == [abs(value - 1) / max(scale, 1)]
    assert told == [1]
    assert len(check.failed) == (verdict == "fails")


@pytest.mark.parametrize(
    ("kinks", "again", "same", "verdict"),
    [
        (True, 1 + 2.0**-10, False, "kinks"),
        (True, 1 + 2.0**-9, False, "fails"),  # float64 has it as wrong
        (True, 1 + 2.0**-10, True, "fails"),  # it is float64
        (False, 1 + 2.0**-10, False, "fails"),
    ],
)
def test_what_float64_has_right_is_on_the_other_side_of_a_kink(
    kinks: bool, again: float, same: bool, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    function: Any = SimpleNamespace(kinks=kinks)
    exact: Any = function if same else SimpleNamespace(kinks=kinks)
    monkeypatch.setattr(entries, "_quotient", lambda *_: (1.0, 0.0))
    monkeypatch.setattr(entries, "_at_kink", lambda *_: False)
    monkeypatch.setattr(entries, "_again", lambda *_: again)
    check = Check(function, [Entry(0, 0, "input", 0, False, 1.5, 1.0)])
    check.judge(exact, None, 2.0**-10)
    assert check.verdicts == [verdict]


@pytest.mark.parametrize(
    ("value", "ahead", "behind", "error", "kink"),
    [
        (0.5, 1.0, 0.0, 0.0, True), (0.0, 1.0, 0.0, 0.0, True), (1.0, 0.0, 1.0, 0.0, True),
        (1.25, 1.0, 0.0, 0.0, False), (-0.25, 1.0, 0.0, 0.0, False), (0.5, 0.5, 0.5, 0.0, False),
        (1.25, 1.0, 0.0, 1 / 64, True), (-0.25, 1.0, 0.0, 1 / 64, True), (1.5, 1.0, 0.0, 1 / 64, False),
        (0.5, 1.0, 0.0, 1 / 16, False),  # the difference of the sides is not sure
    ],
)  # fmt: skip
def test_at_a_kink_a_derivative_lies_between_those_to_the_sides(
    value: float, ahead: float, behind: float, error: float, kink: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = {1.0: (ahead, error), -1.0: (-behind, error)}
    monkeypatch.setattr(entries, "_quotient", lambda function, entry, difference, way: sides[way])
    assert entries._at_kink(Any, Entry(0, 0, "input", 0, False, value, 1.0)) == kink  # pyright: ignore[reportArgumentType]


def test_every_tensor_is_looked_at_and_its_largest_entry_in_turns() -> None:
    """20 entries or the fewest above that are as many of each of three tensors, of the rows that are asked for."""
    shapes = {name: SimpleNamespace(numel=lambda size=size: size) for name, size in (("a", 4), ("b", 1), ("c", 9))}
    function: Any = SimpleNamespace(shapes=shapes, rows=50, outputs=3)
    plan = Check.plan(function, part=range(10, 14)).entries
    assert [entry.tensor for entry in plan] == [*"abc"] * 7
    assert [entry.largest for entry in plan[:9]] == [False, True, False, True, False, True, False, True, False]
    alone: Any = SimpleNamespace(shapes={"input": shapes["c"]}, rows=50, outputs=3)
    assert [entry.largest for entry in Check.plan(alone).entries] == [False, True] * 10
    assert {entry.row for entry in plan} == {10, 11, 12, 13}
    assert {entry.output for entry in plan} == {0, 1, 2}
    assert all(0 <= entry.place < shapes[entry.tensor].numel() for entry in plan)
    assert max(entry.row for entry in Check.plan(function).entries) > 40


def test_what_is_said_counts_verdicts_and_tells_the_largest_difference_of_those_that_hold() -> None:
    function: Any = SimpleNamespace()
    plan = [Entry(row, 2, "a", 5, False) for row in range(5)]
    check = Check(function, plan, ["holds", "fails", "holds", "unclear", "kinks"], [0.25, 0.5, 0.125, 0.75, 1.0])
    compared = "5 numbers compared with differences in float64: "
    words = "2 hold, 1 fail, 1 lie at kinks, 1 for which differences are unreliable; largest difference 0.25"
    assert check.said == compared + words
    assert check.failed == [
        "row 1, output 2 by a[5] differs from its difference quotient by 0.5 of the largest derivative"
    ]
    alone = Check(function, plan[:1], ["fails"], [0.5])
    assert alone.said == "1 numbers compared with differences in float64: 1 fail; largest difference 0"


def test_entries_take_their_values_from_the_chunk_of_their_row() -> None:
    function: Any = SimpleNamespace(split=lambda vector: {"a": vector[:4].view(2, 2), "b": vector[4:]})
    plan = [
        Entry(9, 0, "a", 0, False), Entry(10, 0, "a", 2, False), Entry(11, 1, "a", 0, True),
        Entry(11, 1, "b", 0, False), Entry(12, 0, "a", 0, False),
    ]  # fmt: skip
    matrices = torch.tensor([[[1.0, 2, 3, 4, 5], [0.0] * 5], [[0.0] * 5, [1.0, -7, 3, 2, -9]]])
    check = Check(function, plan)
    check.note(Chunk(10, torch.zeros(2, 2), matrices))
    assert [(each.place, each.value, each.scale) for each in check.entries] == [
        (0, 0.0, 0.0), (2, 3.0, 5.0), (1, -7.0, 9.0), (0, -9.0, 9.0), (0, 0.0, 0.0),
    ]  # fmt: skip


def test_processes_give_each_other_the_entries_of_their_rows() -> None:
    function: Any = SimpleNamespace()
    check = Check(function, [Entry(row, 0, "a", 0, False, float(row)) for row in range(4)])
    theirs = Entry(3, 0, "a", 7, False, 99.0)
    given: list[dict[int, Entry]] = []

    def each(own: Any) -> list[dict[int, Entry]]:
        given.append(own())
        return [given[0], {3: theirs}]

    group: Any = SimpleNamespace(each=each)
    check.gather(group, range(1, 3))
    assert list(given[0]) == [1, 2]
    assert [entry.value for entry in check.entries] == [0.0, 1.0, 2.0, 99.0]


def test_entries_are_judged_one_after_the_other_by_no_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_quotient", lambda *_: (0.0, 0.0))
    monkeypatch.setattr(entries, "_at_kink", lambda function, entry: entry.row == 1)
    function: Any = SimpleNamespace(kinks=False)
    check, told = Check(function, [Entry(0, 0, "a", 0, False), Entry(1, 0, "a", 0, False, 1.0, 2.0)]), list[int]()
    check.judge(function, None, 0.0, told.append)
    assert (check.verdicts, check.apart, told) == (["holds", "kinks"], [0.0, 0.5], [1, 2])
    assert check.said.endswith(": 1 hold, 1 lie at kinks; largest difference 0")
