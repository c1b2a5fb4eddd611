"""What a column of a document may hold, to the last value."""

from __future__ import annotations

import math
import sys
from typing import Any

import pyarrow as pa
import pytest

from gencli.reporting.forms import FORMS, Column, Kind

LARGEST = sys.float_info.max
WHOLE = (0, 1 << 53), (-1, (1 << 53) + 1)
LONG = (-(1 << 63), (1 << 63) - 1), ()
SHARE = (0.0, 0.5, 1.0, math.nan), (-1e-9, 1 + 1e-9, math.inf)
ANY = (-math.inf, 0.0, -LARGEST, math.nan, math.inf), ()
POSITIVE = (0.0, LARGEST), (-1e-300, math.inf, math.nan)
FINITE = (-LARGEST, 0.0, LARGEST), (math.inf, -math.inf, math.nan)
LISTS = ([0.0], [0.5, 1 + 1e-6]), ([-1e-9], [1 + 1.2e-6], [math.nan], [])
TEXT = ("", "a"), ()
FROM_ONE = (1, 1 << 53), (0, (1 << 53) + 1)
INDEX = (-(1 << 53), 0, 1 << 53), (-(1 << 53) - 1, (1 << 53) + 1)
ROUNDED = (0.0, 1 + 1e-6), (-1e-9, 1 + 1.2e-6, math.nan)
# kind, column, what it may and may not hold, and whether it may have gaps
HOLD: list[tuple[Kind, str, tuple[Any, Any], bool]] = [
    ("history", "epoch", WHOLE, False), ("history", "step", WHOLE, True), ("history", "train_accuracy", SHARE, True),
    ("history", "accuracy_top", SHARE, True), ("history", "memorized", SHARE, True),
    ("history", "train_loss", ANY, True),
    ("history", "model", ANY, True), ("history", "seconds", ANY, True), ("history", "loss_std", ANY, True),
    ("result", "label", LONG, True), ("result", "name", TEXT, False), ("result", "model", TEXT, False),
    ("result", "n", WHOLE, False), ("result", "corrupted", WHOLE, True), ("result", "not_finite", WHOLE, True),
    ("result", "runs", WHOLE, True), ("result", "accuracy", SHARE, True), ("result", "top_5", SHARE, True),
    ("result", "precision", SHARE, True), ("result", "recall", SHARE, True), ("result", "f1", SHARE, True),
    ("result", "calibration_error", SHARE, True), ("result", "corruption_error", SHARE, True),
    ("result", "accuracy_std", ANY, True), ("result", "loss", ANY, True),
    ("benchmark", "item", TEXT, False), ("benchmark", "met", TEXT, True), ("benchmark", "ours", POSITIVE, True),
    ("benchmark", "ratio", POSITIVE, True), ("benchmark", "bar", POSITIVE, True),
    ("predictions", "id", LONG, False), ("predictions", "label", WHOLE, False),
    ("predictions", "label_true", WHOLE, True), ("predictions", "prediction", WHOLE, True),
    ("predictions", "probabilities", LISTS, True), ("images", "label", WHOLE, False),
    ("density", "eigenvalue", FINITE, False), ("density", "density", POSITIVE, True),
    ("density", "standard_error", ANY, True),
    ("scores", "id", LONG, False), ("scores", "label", WHOLE, False), ("scores", "label_true", WHOLE, False),
    ("scores", "run", WHOLE, False), ("scores", "runs", WHOLE, False), ("scores", "networks_in", WHOLE, True),
    ("scores", "memorization", FINITE, True),
    ("dynamics", "first_learned", FROM_ONE, True), ("dynamics", "learned", FROM_ONE, True),
    ("dynamics", "forgotten", WHOLE, True), ("dynamics", "confidence", ROUNDED, True),
    ("dynamics", "correctness", ROUNDED, True), ("dynamics", "variability", POSITIVE, True),
    ("dynamics", "el2n", POSITIVE, True), ("dynamics", "loss_3", POSITIVE, True), ("dynamics", "aum", FINITE, True),
    ("influence", "test_id", LONG, False), ("influence", "test_label", WHOLE, False),
    ("influence", "networks_in", WHOLE, True), ("influence", "influence", FINITE, True),
    ("alignment", "quantity", TEXT, False), ("alignment", "class", TEXT, True), ("alignment", "index", INDEX, True),
    ("alignment", "value", ANY, True),
    ("measures", "measure", TEXT, False), ("measures", "layer", TEXT, True), ("measures", "source", TEXT, True),
    ("measures", "note", TEXT, True), ("measures", "value", FINITE, True),
    ("energy", "class", TEXT, True), ("energy", "index", WHOLE, False), ("energy", "eigenvalue", FINITE, True),
    ("energy", "energy", SHARE, True), ("energy", "cumulative", SHARE, True),
    ("descent", "class", TEXT, True), ("descent", "step", POSITIVE, True), ("descent", "time", POSITIVE, True),
    ("descent", "loss", FINITE, True), ("descent", "train_accuracy", SHARE, True),
    ("confusion", "label", WHOLE, False), ("confusion", "name", TEXT, False), ("confusion", "cat", WHOLE, False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "values", "gaps"), HOLD)
def test_a_column_holds_what_it_may(kind: Kind, name: str, values: tuple[Any, Any], gaps: bool) -> None:
    column = FORMS[kind].column(name, lead=False)
    assert column.holds(None) == gaps
    for value in values[0]:
        assert column.holds(value), value
        assert _fits(column, [value]), value
    for value in values[1]:
        assert not column.holds(value), value
        assert not _fits(column, [value]), value
        assert not _fits(column, [values[0][0], value]), value
    for other in (True, "1", [0.5], {}):
        assert column.holds(other) == ((column.type, type(other)) in _OF_TYPE), other


_OF_TYPE = ("text", str), ("list", list)


def _fits(column: Column, values: list[Any]) -> bool:
    """What a table of Arrow's says; numbers beyond its type are in no table."""
    return column.fits(pa.chunked_array([pa.array(values, column.arrow)]))


def test_columns_before_the_kinds_own_are_names() -> None:
    for kind in ("history", "density", "confusion"):
        assert FORMS[kind].column("model", lead=True).type == "text"
        assert FORMS[kind].column("other", lead=True).type != "text"
        assert FORMS[kind].column("run", lead=True) == Column("whole", "a whole number from 0 to 2^53", 0, 1 << 53)


def test_text_may_have_any_character_but_half_of_a_pair() -> None:
    text = Column("text", "text")
    for value, holds in (("\ud7ffü", True), ("ü\ud800", False), ("\udfff", False), ("\ue000", True)):
        assert text.holds(value) == holds


def test_whole_numbers_of_more_than_64_bits_are_not_held() -> None:
    for column in (FORMS["scores"].columns["id"], FORMS["result"].columns["label"]):
        assert not column.holds(1 << 63)
        assert not column.holds(-(1 << 63) - 1)


def test_an_empty_list_among_others_does_not_fit() -> None:
    column = FORMS["predictions"].columns["probabilities"]
    assert not column.fits(pa.chunked_array([pa.array([[0.5], [], [0.5]], column.arrow)]))
    assert not column.holds([0.5, math.inf])


def test_whole_numbers_are_whole_and_of_one_type() -> None:
    count = FORMS["history"].columns["epoch"]
    assert count.holds(3.0)
    assert not count.holds(3.5)
    assert not count.holds(math.inf)
    assert not count.fits(pa.chunked_array([pa.array([3.0])]))
    assert not FORMS["result"].columns["name"].holds("\ud800")
    assert FORMS["result"].columns["name"].holds("鱼")
    number = FORMS["history"].column("loss", lead=False)
    assert number.holds(10**300)
    assert not number.holds(10**400)


@pytest.mark.parametrize(("values", "kind", "fit"), [
    ([[0.5], [1.0]], pa.list_(pa.float32()), True), ([[0], [1]], pa.list_(pa.int64()), False),
    ([[0.5], None], pa.list_(pa.float64()), False), ([0.5], pa.float64(), False), ([], pa.list_(pa.float64()), True),
])  # fmt: skip
def test_lists_are_of_floating_point_numbers(values: list[Any], kind: pa.DataType, fit: bool) -> None:
    assert FORMS["predictions"].columns["probabilities"].fits(pa.chunked_array([pa.array(values, kind)])) == fit


def test_gaps_of_numbers_alone_fit_at_a_glance() -> None:
    for kind, name, fit in (("history", "loss", True), ("history", "step", False), ("benchmark", "ours", True)):
        column = FORMS[kind].column(name, lead=False)  # type: ignore[index]
        assert column.fits(pa.chunked_array([pa.array([1, None], column.arrow)])) == fit


def test_values_of_pythons_types_are_plain() -> None:
    text, number, lists = (Column(kind, "") for kind in ("text", "number", "list"))  # type: ignore[arg-type]
    assert [text.plain(each) for each in (["a", None], ["a", 1], [])] == [True, False, True]
    assert [number.plain(each) for each in ([1, 0.5, None], [True], ["1"])] == [True, False, False]
    assert [lists.plain(each) for each in ([[1, 0.5]], [[1], None], [["a"]], [[True]])] == [True, False, False, False]
