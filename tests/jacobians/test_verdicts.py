"""Which rows are compared, what is made of what they say, and the words for it, on what is given to each part."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from gencli.errors import GencliError
from gencli.jacobians import building, summary
from gencli.jacobians import rows as rows_of
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.rows import Chunk, RowFunction, Unconfirmed, rank
from gencli.jacobians.settings import JacobianLossSettings, JacobianSettings

DOUBLE = torch.float64


def function(dtype: torch.dtype = torch.float32, rows: int = 100, wrt: str = "input", **more: Any) -> Any:
    known = {"dtype": dtype, "rows": rows, "wrt": wrt, "device": torch.device("cpu"), "title": "m", "outputs": 2}
    return SimpleNamespace(**known, **more)


def confirmation(dtype: torch.dtype = torch.float32, exact: torch.dtype = DOUBLE, **more: Any) -> Any:
    made = Confirmation(function(dtype), function(exact))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_first_the_last_and_one_between_are_compared_in_any_case() -> None:
    for part, first, last in ((None, 0, 99), (range(10, 20), 10, 19)):
        made = Confirmation(function(), function(), part)
        assert (made.rows[0], made.rows[-1]) == (first, last)
        assert len(made.rows) == 3
    assert Confirmation(function(rows=1), function(rows=1)).rows == [0]
    tolerances = [Confirmation(function(dtype), function())._tolerance for dtype in (torch.float32, DOUBLE)]
    assert tolerances == [1e-4, 1e-10]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("start", "count", "expected"), [(0, 51, {0, 50}), (50, 50, {50, 99}), (51, 48, set()), (99, 1, {99})]
)
def test_rows_of_a_chunk_that_are_steep_or_doubted_are_compared_too(
    start: int, count: int, expected: set[int], plain: bool
) -> None:
    examined: list[tuple[int, float, float]] = []
    made = confirmation(
        rows=[0, 50, 99], _steep=lambda chunk, duals: {start}, _doubted=lambda chunk, duals, part: part.stop - 1,
        _duals=lambda chunk: torch.arange(float(count)) + start,
        _examine=lambda row, matrix, dual: examined.append((row, float(matrix[0, 0]), float(dual))),
    )  # fmt: skip
    matrices = (torch.arange(float(count)) + start)[:, None, None].expand(-1, 2, 3)
    made(Chunk(start, torch.zeros(count, 2), matrices), plain)
    rows = sorted(expected | {start} | (set() if plain else {start + count - 1}))
    assert examined == [(row, row, row) for row in rows]


@pytest.mark.parametrize("place", ["matrices", "values"])
@pytest.mark.parametrize("finite", [True, False])
def test_numbers_that_are_not_finite_are_refused_by_their_row(place: str, finite: bool) -> None:
    pulled: list[int] = []
    made = confirmation()
    made.function.point = lambda row: {}
    made._pull = lambda function, row, point, dual: (pulled.append(row), dual if finite else math.inf * dual)[1]
    parts = {"values": torch.zeros(4, 2), "matrices": torch.zeros(4, 2, 3)}
    parts[place][2:] = torch.nan
    if finite:
        with pytest.raises(Unconfirmed, match=r"^row 7 is not finite$"):
            made(Chunk(5, **parts), False)
    else:
        with pytest.raises(GencliError, match=r"^m: row 7: its outputs or their derivatives are not finite in torch"):
            made(Chunk(5, **parts), False)
    assert pulled == [7]


def test_outputs_count_by_their_size_unless_they_are_much_smaller_than_others() -> None:
    made, matrices = confirmation(), torch.tensor([[[3.0, 4.0], [0.0, 1e-6], [0.0, 0.1]], [[0.0] * 2] * 3])
    duals = made._duals(Chunk(4, torch.zeros(2, 3), matrices))
    drawn = made._duals(Chunk(4, torch.zeros(2, 3), torch.zeros(2, 3, 2)))  # of no size they are as drawn
    torch.testing.assert_close(duals * torch.tensor([[5.0, 5e-3, 0.1], [1, 1, 1]]), drawn)
    assert not torch.equal(drawn, made._duals(Chunk(5, torch.zeros(2, 3), torch.zeros(2, 3, 2))))


def doubted(apart: list[float], usual: float, wrt: str) -> tuple[int | None, list[tuple[int, int]]]:
    """The row that is doubted of 4 from row 10 on, each so far from its own unit vector; the parts that were pulled."""
    made, pulled = confirmation(_usual=usual), list[tuple[int, int]]()

    def pull(images: Tensor, targets: None, duals: Tensor) -> Tensor:
        pulled.append((int(images[0]), len(images)))
        expected = torch.eye(4, dtype=DOUBLE)[images - 10]
        return expected if wrt == "input" else expected.sum(0, keepdim=True)

    made.function = function(DOUBLE, 4, wrt, pull=pull, inputs=lambda part: (torch.arange(part.start, part.stop), None))
    duals, wrong = torch.ones(4, 1, dtype=DOUBLE), torch.diag(1 + torch.tensor(apart, dtype=DOUBLE))[:, None]
    return made._doubted(Chunk(10, duals, wrong), duals, slice(0, 4)), pulled


@pytest.mark.parametrize(
    ("apart", "usual", "row"),
    [
        ([0, 0.1, 0.3, 0.2], 0.25, 2), ([0, 0.125, 0.25, 0.125], 0.25, None), ([0, 0, 0, 0.5], 0.25, 3),
        ([0.5, 0, 0, 0], 0.25, 0), ([0, 0, 0, 0], 0.0, None),
    ],
)  # fmt: skip
def test_the_row_that_is_farthest_from_reverse_mode_is_doubted(
    apart: list[float], usual: float, row: int | None
) -> None:
    assert doubted(apart, usual, "input") == (row, [(10, 4)])


@pytest.mark.parametrize(
    ("apart", "row", "pulled"),
    [
        ([0, 0, 0.5, 0], 2, [(10, 4), (10, 2), (12, 2), (12, 1)]), ([0, 0, 0.18, 0], None, [(10, 4)]),
        ([0, 0.5, 0.5, 0.5], 1, [(10, 4), (10, 2), (10, 1), (11, 1)]),
        ([0.25, 0, 0, 0], 0, [(10, 4), (10, 2), (10, 1)]),
    ],
)  # fmt: skip
def test_halves_of_the_rows_are_followed_where_parameters_are_shared(
    apart: list[float], row: int | None, pulled: list[tuple[int, int]]
) -> None:
    """The sum of four rows is of size 2, and of two of √2."""
    assert doubted(apart, 0.1, "parameters") == (row, pulled)


def test_what_torch_cannot_pull_is_not_doubted_and_that_is_said() -> None:
    def pull(*given: Any) -> Tensor:
        raise RuntimeError("no derivative")

    made = confirmation(examined={1, 2})
    made.function = function(pull=pull, inputs=lambda part: (None, None))
    assert made.said == "2 rows compared with differences in float64, all with reverse mode without vmap"
    assert made._doubted(Chunk(0, torch.zeros(1, 1), torch.zeros(1, 1, 1)), torch.zeros(1, 1), slice(0, 1)) is None
    assert made.said == "2 rows compared with differences in float64"
    assert confirmation(exact=torch.float32).said.startswith("0 rows compared with differences in float32")


@pytest.mark.parametrize("everywhere", [True, False])
def test_processes_tell_each_other_what_they_compared(everywhere: bool) -> None:
    made = confirmation(rounding=0.1, examined={1}, unclear={1})
    group: Any = SimpleNamespace(each=lambda own: [own(), (0.2, {2, 3}, {3}, everywhere), (0.0, set(), set(), True)])
    made.gather(group)
    assert (made.rounding, made.examined, made.unclear, made._all) == (0.2, {1, 2, 3}, {1, 3}, everywhere)


def test_notes_are_of_rounding_of_float32_and_of_differences_that_say_nothing() -> None:
    quiet: dict[str, Any] = {"examined": {1, 2}, "unclear": {1}}
    assert confirmation(rounding=0.01, **quiet).notes == []
    assert confirmation(rounding=0.024, **quiet).notes == [
        "rounding in float32 changes a row's derivatives by 0.02 of their size, compared with float64; "
        "--dtype float64 avoids this"
    ]
    assert confirmation(exact=torch.float32, **quiet).notes == [
        "the network fails in float64: differences are in float32 and detect only errors above 0.1 %"
    ]
    unclear = "differences are unreliable for all compared rows; two routes agree"
    assert confirmation(examined={1}, unclear={1}).notes == [unclear]


@pytest.mark.parametrize(
    ("here", "jumps", "beside", "taken", "unclear"),
    [
        ("holds", False, [], True, False), ("fails", False, [], False, False),
        ("fails", True, ["holds"] * 2, True, False),
        ("fails", True, ["holds", "fails"], False, False), ("fails", True, ["unclear"] * 2, True, True),
        ("unclear", False, ["unclear", "holds"], True, False), ("unclear", False, ["fails", "unclear"], False, False),
    ],
)  # fmt: skip
def test_reverse_mode_is_the_truth_where_differences_say_so_there_or_beside(
    here: str, jumps: bool, beside: list[str], taken: bool, unclear: bool
) -> None:
    said = iter([here, *beside])
    made, truth, point = confirmation(), torch.ones(2), {"input": torch.ones(2)}
    made.exact.point = lambda row: point
    made._pull = lambda function, row, at, dual: truth
    made._compare = lambda row, at, dual, pulled, slack: next(said)
    made._jumps = lambda row, at, dual: jumps
    assert made._truth(7, torch.ones(2)) is (truth if taken else None)
    assert made.unclear == ({7} if unclear else set())
    assert next(said, None) is None


def test_without_reverse_mode_there_is_no_truth() -> None:
    def pull(*given: Any) -> Tensor:
        raise RuntimeError("no derivative")

    made = confirmation(_pull=pull)
    made.exact.point = lambda row: {}
    assert made._truth(7, torch.ones(2)) is None


@pytest.mark.parametrize(("verdict", "fine"), [("holds", True), ("unclear", False), ("fails", False)])
def test_a_row_without_truth_must_be_what_differences_say(verdict: str, fine: bool) -> None:
    made = confirmation(_truth=lambda row, dual: None, _compare=lambda *given: verdict)
    made.exact.point = lambda row: {}
    if fine:
        made._examine(7, torch.ones(2, 3), torch.ones(2))
    else:
        with pytest.raises(Unconfirmed, match=r"^row 7 contradicts differences$"):
            made._examine(7, torch.ones(2, 3), torch.ones(2))
    assert made.examined == {7}


@pytest.mark.parametrize(
    ("off", "rounding", "told", "usual"),
    [
        (0.9e-4, 0.0, 0.0, 1e-4), (0.02, 0.009, 0.005, 0.005), (2.0, 1.0, 0.5, 0.1), (0.02, 0.0004, None, None),
        (0.02, 0.0021, 0.005, 0.005),
    ],
)  # fmt: skip
def test_a_row_may_be_off_by_ten_times_what_rounding_does(
    off: float, rounding: float, told: float | None, usual: float | None
) -> None:
    """Of a size of 4."""
    truth = torch.tensor([4.0, 0, 0], dtype=DOUBLE)
    made = confirmation(_truth=lambda row, dual: truth, _rounding=lambda row, dual, truth: rounding)
    matrix = torch.tensor([[2.0, off, 0], [2.0, 0, 0]])
    if told is None:
        with pytest.raises(Unconfirmed, match=r"^row 7 is off by 0\.005 of its size$"):
            made._examine(7, matrix, torch.ones(2))
    else:
        made._examine(7, matrix, torch.ones(2))
        assert made.rounding == pytest.approx(told)
        assert made._usual == pytest.approx(usual)


def test_a_row_of_no_size_is_off_by_any_number() -> None:
    none = torch.zeros(3, dtype=DOUBLE)
    made = confirmation(_truth=lambda row, dual: none, _rounding=lambda *given: 0.0)
    made._examine(7, torch.zeros(2, 3), torch.ones(2))
    with pytest.raises(Unconfirmed, match="off by inf of its size"):
        made._examine(7, torch.ones(2, 3), torch.ones(2))


@pytest.mark.parametrize(("ahead", "behind", "jumps"), [(3.0, -3.0, False), (3.0, -2.01, False), (3.0, -1.99, True)])
def test_derivatives_jump_by_more_than_ten_times_their_errors(ahead: float, behind: float, jumps: bool) -> None:
    way: list[Any] = []

    def along(row: int, point: Any, way_: Any, dual: Any, kind: str, step: float) -> tuple[float, float]:
        way.append((kind, step, float(way_["w"][0])))
        return (ahead if len(way) == 1 else behind), 0.05

    made = confirmation(_along=along)
    assert made._jumps(7, {"w": torch.ones(2)}, torch.ones(2)) == jumps
    assert [each[:2] for each in way] == [("forward", 2.0**-19)] * 2
    assert way[0][2] == -way[1][2]


def test_the_row_of_a_network_that_is_far_from_a_difference_of_all_is_steep() -> None:
    """f(x) = x² of 6 rows, whose derivatives are given too large for some, and of 5 of them by much."""
    point = torch.arange(1.0, 7.0, dtype=DOUBLE)[:, None]
    for factors, steep in (
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], set()), ([1.0, 1.02, 1.0, 1.0, 1.0, 1.0], {11}),
        ([1.0, 1.009, 1.0, 1.0, 1.0, 0.98], {15}), ([1.5, 1.02, 1.4, 1.3, 1.1, 1.0], {10, 12, 13}),
    ):  # fmt: skip
        made = confirmation()
        made.exact = function(DOUBLE, values=lambda x, targets: x**2, inputs=lambda part: (point, None))
        chunk = Chunk(10, point, (2 * point * torch.tensor(factors, dtype=DOUBLE)[:, None])[:, None])
        assert made._steep(chunk, torch.ones(6, 1, dtype=DOUBLE)) == steep


def test_ways_are_left_one_after_the_other_and_the_reason_is_told() -> None:
    model: Any = SimpleNamespace(arch="a", title="m")
    together, by_row = rows_of._together, rows_of._row_by_row
    ways = rows_of._Ways(
        model, [("reverse", together), ("reverse", by_row), ("forward", together), ("forward", by_row)]
    )
    assert (ways.news(), ways.why, ways.denied) == ("", "", False)
    ways.give_up(RuntimeError("no rule\nmore"))
    missing = "torch.func.vmap does not support m: no rule"
    assert ways.news() == f"in reverse mode row by row, which is slower: {missing}"
    assert ways.news() == ""
    assert not ways.denied
    ways.give_up(Unconfirmed("row 3"))
    wrong = "reverse mode is wrong for a: row 3"
    assert ways.news() == f"in forward mode with all directions together: {wrong}"
    ways.give_up(Unconfirmed("row 4"))
    assert ways.news() == f"in forward mode row by row, which is slower: {wrong}"
    assert ways.denied
    again = rows_of._Ways(model, [("forward", together), ("reverse", by_row)])
    again.give_up(Unconfirmed("row 5"))
    assert again.why == "torch.func.vmap in forward mode is wrong for a: row 5"


@pytest.mark.parametrize(("size", "outputs", "mode"), [(2, 3, "forward"), (3, 3, "reverse"), (4, 3, "reverse")])
def test_the_mode_of_fewer_passes_is_taken(size: int, outputs: int, mode: str) -> None:
    made: Any = SimpleNamespace(size=size, outputs=outputs)
    assert RowFunction.mode.fget(made) == mode  # type: ignore[attr-defined]


def test_rows_and_directions_take_the_memory_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A direction of a row takes 8 · (7 + 5 + 3) bytes."""
    made: Any = SimpleNamespace(size=5, outputs=3, dtype=DOUBLE, _kept=7)
    for memory, reverse, forward in (
        (1, (1, 1), (1, 1)), (239, (1, 1), (1, 1)), (240, (1, 2), (1, 2)), (120 * 15, (5, 3), (3, 5)),
        (120 * 15 - 1, (4, 3), (2, 5)),
    ):  # fmt: skip
        monkeypatch.setattr(rows_of, "_MEMORY", memory)
        assert RowFunction._widths(made, "reverse") == reverse
        assert RowFunction._widths(made, "forward") == forward


def test_singular_values_above_rounding_are_the_rank() -> None:
    eps = 32 * torch.finfo(torch.float32).eps
    singular = torch.tensor([[1.0, 1.1 * eps, 0.9 * eps], [0.0, 0, 0], [1.0, 1.0, 2.0]], dtype=DOUBLE)
    assert rank(singular, torch.float32).tolist() == [2, 0, 3]


def test_an_overview_is_of_each_number_of_the_rows() -> None:
    table = pa.table({"id": [1, 2, 3], "label": [0, 0, 1], "norm": [3.0, 1.0, 1.5], "rank": [2, 4, 3]})
    assert summary.overview(table).to_pylist() == [
        {"quantity": "norm", "least": 1.0, "median": 1.5, "most": 3.0},
        {"quantity": "rank", "least": 2.0, "median": 3.0, "most": 4.0},
    ]


def test_options_of_the_loss_apply_to_it_alone() -> None:
    model: Any = SimpleNamespace()
    table: Any = SimpleNamespace()
    none = JacobianLossSettings()
    outputs = JacobianSettings(wrt="parameters")
    found = building.target(model, table, outputs, "*.weight", none)
    assert (found.loss, found.epoch, found.wrt, found.parameters) == (None, 1, "parameters", "*.weight")
    with pytest.raises(GencliError, match=r"^--parameters: derivatives are with respect to the input"):
        building.target(model, table, JacobianSettings(wrt="input"), "*.weight", none)
    assert building.target(model, table, JacobianSettings(wrt="input"), "*", none).wrt == "input"
    with pytest.raises(GencliError, match=r"^--loss: applies only to the loss"):
        building.target(model, table, outputs, "*", replace(none, loss="ce"))
