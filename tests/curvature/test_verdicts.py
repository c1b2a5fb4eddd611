"""What becomes of the verdicts of a trial at the weights and beside them, and of all rows, on what is given to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gencli.curvature import trials
from gencli.curvature.coverage import Coverage, _Share
from gencli.curvature.trials import Trial, Verdict, _Point, is_memory, percent
from gencli.errors import CheckFailed, GencliError
from tests.curvature.test_trials import DOUBLE, first, point

UNCLEAR, RIGHT, WITHIN = Verdict("unclear", ""), Verdict("right", ""), Verdict("right", "w", 0.5)


def judged(outcomes: dict[float, Verdict], apart: dict[str, float] | None = None, dtype: torch.dtype = DOUBLE) -> Any:
    """A trial with these verdicts at its distances from the weights, and routes so far from each other."""
    beside: dict[str, float] = {}
    at = lambda far: SimpleNamespace(  # noqa: E731
        judge=lambda route: outcomes.get(far, UNCLEAR),
        apart=lambda route, other: (apart or {}).get(other, 1.0),
        operator=SimpleNamespace(dtype=dtype),
    )
    trial: Any = SimpleNamespace(_point=at, _beside=beside, _rounded=lambda route, verdict: verdict)
    return Trial._judge(trial, "double-backward"), beside


@pytest.mark.parametrize("far", [0.0, 2.0**-10, 0.25])
@pytest.mark.parametrize("outcome", ["right", "wrong", "gradient", "missing"])
def test_the_first_point_at_which_differences_say_something_decides(far: float, outcome: Any) -> None:
    verdict = Verdict(outcome, "words")
    assert judged({far: verdict, 0.25: verdict}) == (verdict, {"double-backward": far})


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_where_differences_say_nothing_another_route_may_agree(dtype: torch.dtype, allowed: float) -> None:
    for other in ("forward-over-reverse", "reverse-over-forward"):
        for apart in (allowed, 0.5 * allowed):
            verdict, beside = judged({}, {other: apart}, dtype)
            assert verdict == Verdict(
                "right", f"agrees with {other} to {apart:.1e}; differences of gradients are unreliable here"
            )
            assert beside == {}
    words = "cannot be verified: differences of gradients are unreliable, no other route agrees"
    nobody = {"double-backward": 0.0, "forward-over-reverse": 1.01 * allowed}  # it agrees with itself alone
    assert judged({}, nobody, dtype)[0] == Verdict("unclear", words)


def test_a_record_has_two_digits() -> None:
    verdict = Verdict("right", "", 1.2345e-5, None)
    trial: Any = SimpleNamespace(verdict=lambda route: verdict, rows=torch.arange(7), _beside={"double-backward": 0.25})
    expected = {"route": "double-backward", "rows": 7, "difference": 1.2e-5, "asymmetry": None, "beside": 0.25}
    assert Trial.record(trial, "double-backward") == expected
    other = {"route": "jacobian", "rows": 7, "difference": 1.2e-5, "asymmetry": None, "beside": 0.0}
    assert Trial.record(trial, "jacobian") == other


@pytest.mark.parametrize(
    ("own", "exact", "route", "coarse"),
    [
        (torch.float32, DOUBLE, "double-backward", True), (torch.float32, DOUBLE, "finite-difference", False),
        (torch.float32, torch.float32, "double-backward", False), (DOUBLE, DOUBLE, "double-backward", False),
    ],
)  # fmt: skip
def test_the_runs_own_precision_is_tried_where_it_is_another(
    own: torch.dtype, exact: torch.dtype, route: Any, coarse: bool
) -> None:
    single = SimpleNamespace(matvec=lambda v, route: 0 * v, dtype=own)
    at = SimpleNamespace(
        operator=SimpleNamespace(dtype=exact), scales=torch.ones(4).double(), v=first(1.0),
        product=lambda route: torch.stack([first(1.0), first(2.0)]),
    )  # fmt: skip
    trial: Any = SimpleNamespace(
        _point=lambda far: at, _operator=SimpleNamespace(dtype=own, again=lambda rows, dtype: single), rows=None
    )
    verdict = Verdict("right", "within")
    found = Trial._rounded(trial, route, verdict)
    if coarse:
        assert found == Verdict("wrong", "has a rounding error of 100% in float32: use --dtype float64")
    else:
        assert found is verdict


def at(product: Any, one: Verdict = RIGHT, two: Verdict = WITHIN, far: float = 0.0) -> tuple[Verdict, list[float]]:
    """A point where the gradient's verdict is `one` and the product's `two`, and the excuses that these were given."""
    excuses: list[float] = []

    def made(route: str) -> Tensor:
        if isinstance(product, Exception):
            raise product
        return product

    own: Any = SimpleNamespace(
        product=made, _far=far, v=first(2.0), _probe=torch.tensor([0.0, 1, 0, 0]),
        _first=lambda excuse: (excuses.append(excuse), one)[1],
        _second=lambda of_v, excuse: (excuses.append(excuse), two)[1],
    )  # fmt: skip
    return _Point.judge(own, "double-backward"), excuses


@pytest.mark.parametrize(("far", "excuse"), [(0.0, 10), (2.0**-10, 10), (0.25, 0)])
def test_kinks_are_an_excuse_but_where_there_are_few(far: float, excuse: float) -> None:
    assert at(torch.zeros(2, 4).double(), far=far)[1] == pytest.approx([excuse] * 2)


def test_a_wrong_gradient_goes_before_a_wrong_product_and_both_before_doubt() -> None:
    none = torch.zeros(2, 4).double()
    right, wrong, gradient = Verdict("right", "w", 0.5), Verdict("wrong", "w"), Verdict("gradient", "g")
    assert at(none, gradient, wrong)[0] is at(none, gradient, right)[0] is at(none, gradient, UNCLEAR)[0] is gradient
    assert at(none, UNCLEAR, wrong)[0] is at(none, right, wrong)[0] is wrong
    doubt = Verdict("unclear", "d")
    assert at(none, doubt, right)[0] is doubt
    assert at(none, right, right)[0] == Verdict("right", "w", 0.5, 0.0)


@pytest.mark.parametrize(("off", "fine"), [(0.9e-4, True), (1.1e-4, False), (-1.1e-4, False)])
def test_products_are_symmetric_to_a_part_of_their_usual_size(off: float, fine: bool) -> None:
    """u'Hv = 3 + 2 off and v'Hu = 3; the larger of |u| |Hv| and |v| |Hu| is 4, of 4 numbers its usual size 2."""
    of_v = torch.tensor([0.0, 3 + 2 * off, 0, 7**0.5])  # of length 4
    of_probe = torch.tensor([1.5, 0, 0, 0])
    verdict, _ = at(torch.stack([of_v, of_probe]).double())
    if fine:
        assert verdict.outcome == "right"
        assert verdict.asymmetry == pytest.approx(abs(off), rel=1e-2)
    else:
        assert verdict.outcome == "wrong"
        assert verdict.words == "is not symmetric: u'Hv and v'Hu differ by 0.011 %"


def test_errors_of_products_are_verdicts() -> None:
    missing = Verdict("missing", "is not available for this network: no such derivative")
    assert at(NotImplementedError("no such derivative\nmore"))[0] == missing
    assert at(CheckFailed("unreliable"))[0] == UNCLEAR
    assert at(GencliError("not finite", ""))[0] == Verdict("wrong", "gives numbers that are not finite")
    assert at(GencliError("not finite", ""), far=0.25)[0].outcome == "unclear"
    with pytest.raises(RuntimeError):
        at(RuntimeError("cannot allocate 5 GiB"))
    assert not is_memory(RuntimeError("no such derivative"))
    assert is_memory(torch.OutOfMemoryError("full"))


def test_a_network_without_float64_is_tried_in_its_own_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_Point", lambda operator, far: (operator, far))

    def again(rows: Tensor, dtype: torch.dtype, device: str = "own") -> tuple[torch.dtype, str]:
        if refuses and dtype == torch.float64:
            raise NotImplementedError
        return dtype, device

    for refuses in (False, True):
        operator: Any = SimpleNamespace(again=again, dtype=torch.float32, exact_device="exact")
        trial = Trial(operator, torch.arange(3))
        expected = (torch.float32, "own") if refuses else (torch.float64, "exact")
        assert trial._point(0.25) == (expected, 0.25)
        assert trial._point(0.25) is trial._point(0.25)


def test_what_has_no_size_is_measured_by_1() -> None:
    flat = point(slope=0.5)
    flat._gradient, flat._steepness = torch.zeros(4, dtype=DOUBLE), 0.0
    assert _Point._first(flat, 10).words == "the gradient differs by 50 % from differences of losses"
    none = _Point._second(flat, first(0.0), 10)
    assert (none.outcome, none.apart) == ("right", 0.0)
    still = point()
    still.operator.weights = torch.zeros(4, dtype=DOUBLE)  # then |g| |v| itself is the natural size
    for share, outcome in ((0.9, "right"), (1.1, "wrong")):
        assert _Point._second(still, first(share * 2.0**-26 * 6e-6), 10).outcome == outcome


def test_percentages_have_two_digits() -> None:
    assert [percent(each) for each in (0.01234, 1.0, 0.5, 2e-9)] == ["1.2 %", "1e+02 %", "50 %", "2e-07 %"]


def coverage(measured: dict[tuple[int, int], float], rows: int) -> Any:
    """Of so many rows, parts of which are off so much."""
    made = Coverage.__new__(Coverage)
    made.unsure, made._slack, made._usual, made._usual_slope = 0, 1e-5, 1.0, 1.0
    made._route = "double-backward"
    made._all = SimpleNamespace(rows=rows)  # type: ignore[assignment]
    made._measure = lambda start, stop: (share(start, stop, measured.get((start, stop), 0.0)), None)  # type: ignore
    return made


def share(start: int, stop: int, apart: float) -> _Share:
    return _Share(start, stop, apart, 1.0, 0.0, 1.0)


def test_the_error_of_a_share_is_the_larger_relative_to_the_larger_size() -> None:
    made = coverage({}, 10)
    for given, expected in (
        ((0.5, 4.0, 0.1, 1.0), 0.125), ((0.5, 0.1, 0.1, 1.0), 0.5), ((0.5, 4.0, 0.9, 3.0), 0.3),
        ((0.0, 4.0, 0.9, 0.1), 0.9),
    ):  # fmt: skip
        assert made._off(_Share(0, 5, *given)) == pytest.approx(expected)
    made._usual = made._usual_slope = 0.0
    assert made._off(_Share(0, 5, 0.5, 0.0, 0.25, 0.0)) == 0.5
    assert made._off(_Share(0, 5, 0.25, 0.0, 0.5, 0.0)) == 0.5


def test_halves_are_followed_to_the_rows_that_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[list[int]] = []
    outcomes = {3: Verdict("unclear", ""), 7: Verdict("wrong", "differs")}

    def trial(operator: Any, rows: Tensor) -> Any:
        tried.append(rows.tolist())
        return SimpleNamespace(verdict=lambda route: outcomes[int(rows[0])])

    monkeypatch.setattr("gencli.curvature.coverage.Trial", trial)
    measured = {(0, 4): 0.4, (2, 4): 0.4, (3, 4): 0.4, (6, 8): 0.2, (7, 8): 0.2}
    made = coverage(measured, 1000)
    verdict = made._search([share(0, 4, 0.4), share(4, 8, 0.2)])
    assert verdict == Verdict("wrong", "differs, for row 7")
    assert tried == [[3], [7]]  # the largest error first
    assert made.unsure == 1
    outcomes[4] = Verdict("gradient", "differs")
    made = coverage({}, 1000)  # neither half is off alone
    assert made._search([share(4, 8, 0.2)]) == Verdict("gradient", "differs, for rows 4 to 7")
    outcomes[4] = Verdict("right", "")
    assert made._search([share(4, 8, 0.2)]) is None
    assert made.unsure == 0


@pytest.mark.parametrize(("rows", "trials"), [(8, 3), (7, 2), (6, 1)])
def test_a_search_that_costs_too_much_leaves_the_rest_undecided(
    rows: int, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six times all rows are for it: of a share its halves take its rows, and a trial 8 times them."""
    tried: list[list[int]] = []
    right = SimpleNamespace(verdict=lambda route: Verdict("right", ""))
    monkeypatch.setattr(
        "gencli.curvature.coverage.Trial", lambda operator, rows: (tried.append(rows.tolist()), right)[1]
    )
    made = coverage({}, rows)
    doubtful = [share(0, 4, 0.5)] + [share(place, place + 1, 0.1) for place in range(4, 8)]
    assert made._search(doubtful) is None
    assert tried == [[0, 1, 2, 3], [4], [5]][:trials]
    assert made.unsure == 5 - trials
