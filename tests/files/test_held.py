"""What a checkpoint holds is taken value by value, within its bounds; what nobody takes is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gencli.errors import GencliError
from gencli.files.held import LARGEST, Facts, Held


def facts(**held: Any) -> Facts:
    return Facts("c", "state", held)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(GencliError) as refused:
        act()
    assert refused.value.hint.endswith("--overwrite instead of --resume starts over")
    return refused.value.message


@pytest.mark.parametrize("value", [2, 3, 5])
def test_whole_numbers_lie_within_their_ends(value: int) -> None:
    assert facts(a=value).whole("a", 2, 5) == value


@pytest.mark.parametrize("value", [1, 6, 2.0, True, "2", None])
def test_other_values_are_no_whole_numbers(value: Any) -> None:
    said = refusal(lambda: facts(a=value).whole("a", 2, 5))
    assert said == f"c: state.a: {value!r}, expected whole number from 2 to 5"


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (-1.5, 2.5, "number from -1.5 to 2.5"), (3.0, 3.0, "3.0"), (0, LARGEST, "a finite number not below 0"),
        (-LARGEST, LARGEST, "a finite number"),
    ],
)  # fmt: skip
def test_numbers_are_floats_within_their_ends(low: float, high: float, wanted: str) -> None:
    for value in (low, high):
        assert facts(a=float(value)).number("a", low, high) == value
    for value in (float("nan"), float("inf"), -float("inf"), 1, "1.0"):
        assert refusal(lambda value=value: facts(a=value).number("a", low, high)) == (
            f"c: state.a: {value!r}, expected {wanted}"
        )
    assert facts(a=-1e300).number("a") == -1e300


def test_numbers_may_be_none_where_they_can_be_unknown() -> None:
    assert facts(a=None).optional("a", True) is None
    assert facts(a=None).optional("a", False) is None
    assert facts(a=1.5).optional("a", True, 1, 2) == 1.5
    assert refusal(lambda: facts(a=1.5).optional("a", False)) == "c: state.a: 1.5, expected null"
    assert refusal(lambda: facts(a=2.5).optional("a", True, 1, 2)) == "c: state.a: 2.5, expected number from 1 to 2"
    assert refusal(lambda: facts().optional("a", True)) == "c: state.a: missing, expected a value"


def test_truths_texts_and_lists_are_such() -> None:
    assert facts(a=False).truth("a") is False
    assert refusal(lambda: facts(a=0).truth("a")) == "c: state.a: 0, expected true or false"
    assert (facts(a="x").text("a"), facts(a=None).text("a"), facts().text("a")) == ("x", None, None)
    assert refusal(lambda: facts(a=1).text("a")) == "c: state.a: 1, expected text"
    [one, two] = facts(a=[{"x": 1}, {"x": 2}]).objects("a", 2)
    assert (one.whole("x", 1, 1), refusal(lambda: two.whole("x", 1, 1))) == (1, "c: state.a[1].x: 2, expected 1")
    assert (
        refusal(lambda: facts(a=[{}, {}, {}]).objects("a", 2))
        == "c: state.a: [{}, {}, {}], expected a list of at most 2"
    )
    assert refusal(lambda: facts(a={}).objects("a", 2)) == "c: state.a: {}, expected a list of at most 2"
    assert refusal(lambda: facts(a=[1]).objects("a", 2)) == "c: state.a[0]: 1, expected an object"
    assert refusal(lambda: Facts("c", "state", [])) == "c: state: [], expected an object"


def test_what_all_else_determines_is_the_same() -> None:
    facts(a=3).same("a", 3)
    for value in (4, 3.0, True):
        assert refusal(lambda value=value: facts(a=value).same("a", 3)) == f"c: state.a: {value!r}, expected 3"


def test_what_nobody_took_is_refused() -> None:
    taken = facts(a=1, b=2)
    taken.whole("a", 0, 9)
    assert refusal(taken.close) == "c: state.b: 2, expected nothing"
    assert taken.part("b") == 2
    assert taken.part("b") is None
    taken.close()


def held(state: Any = None, at: str | None = None, **tensors: torch.Tensor) -> Held:
    return Held("c", tensors, state or {}, at)


def test_tensors_are_of_their_shape_type_and_range() -> None:
    value = torch.tensor([-1.0, 2.0])
    whole = held(a=value)
    assert "a" in whole
    assert whole.tensor("a", (2,), torch.float32, -1, 2) is value
    assert "a" not in whole
    assert refusal(lambda: whole.tensor("a", (2,), torch.float32)) == "c: a: missing, expected float32 [2]"
    for shape, kind in (((1,), torch.float32), ((2, 1), torch.float32), ((2,), torch.float64)):
        said = f"c: a: float32 [2], expected {str(kind)[6:]} {[*shape]}"
        assert refusal(lambda shape=shape, kind=kind: held(a=value).tensor("a", shape, kind)) == said
    for low, high, wrong in ((-0.5, 2, -1.0), (-1, 1.5, 2.0)):
        said = f"c: a: {wrong}, expected number from {low} to {high}"
        assert refusal(lambda low=low, high=high: held(a=value).tensor("a", (2,), torch.float32, low, high)) == said
    whole = held(a=torch.tensor([1, 5]))
    assert refusal(lambda: whole.tensor("a", (2,), torch.int64, 1, 4)) == "c: a: 5, expected whole number from 1 to 4"
    for bad in (float("nan"), float("inf")):
        assert "expected a finite number" in refusal(
            lambda bad=bad: held(a=torch.tensor([1, bad])).tensor("a", (2,), torch.float32)
        )
        complex_one = torch.tensor([complex(1, bad)])
        assert "finite" in refusal(lambda value=complex_one: held(a=value).tensor("a", (1,), torch.complex64))
    assert held(a=torch.zeros(0)).tensor("a", (0,), torch.float32, 1, 2).numel() == 0
    assert held(a=torch.tensor([255], dtype=torch.uint8)).tensor("a", (1,), torch.uint8, 0, 1).item() == 255
    assert held(a=torch.tensor([3.0], dtype=torch.float16)).tensor("a", (1,), torch.float16, 0, 3).item() == 3


def test_lists_have_a_length() -> None:
    for count, most in ((1, 1), (3, 3), (3, 4)):
        assert held(a=torch.zeros(count)).length("a", most) == count
    for value, shown in ((torch.zeros(4), "[4]"), (torch.zeros(0), "[0]"), (torch.zeros(1, 1), "[1, 1]")):
        said = refusal(lambda value=value: held(a=value).length("a", 3))
        assert said == f"c: a: {shown}, expected from 1 to 3 numbers"
    assert refusal(lambda: held().length("a", 3)) == "c: a: missing, expected from 1 to 3 numbers"


def test_parts_have_tensors_and_facts_of_their_own() -> None:
    one = torch.ones(1)
    whole = held(
        {"p": {"x": 1}, "list": [{"y": 2}, {}]}, "here", **{"p/a": one, "pa": one, "0/a": one, "1/b": one, "10/a": one}
    )
    part = whole.apart("p")
    assert part is not None
    assert part.like("", {"a": one})["a"] is one
    assert part.facts.whole("x", 1, 1) == 1
    part.close("here")
    assert whole.apart("p") is None
    first, second = whole.parts("list", 2)
    assert ("a" in first, "b" in second, "a" in second, first.facts.whole("y", 2, 2)) == (True, True, False, 2)
    assert refusal(lambda: whole.close("here")) == "c: pa: float32 [1], expected nothing"
    rest = held({}, "here")
    assert refusal(lambda: rest.close("there")) == "c: at: here, expected 'there'"
    rest.close("here")
    held().close("anywhere")
    assert refusal(lambda: held({"x": 1}).close("here")) == "c: state.x: 1, expected nothing"
