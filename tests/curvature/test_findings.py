"""Each row of what is found of a product, against the explicit matrix, and the notes beside them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gencli.curvature import verification
from gencli.curvature.operators import Operator
from gencli.curvature.settings import ProductSettings
from gencli.curvature.vectors import by_name
from gencli.curvature.verification import Findings, compare, compute_all, cost, describe, multiply, wanted, work
from gencli.errors import GencliError
from tests.curvature.test_products import one_thread, operator, vector
from tests.curvature.test_trials import DOUBLE, first

__all__ = ["one_thread"]
AROUND = "symmetry: |u'Hv - v'Hu| / its usual size"


def records(findings: Findings) -> list[list[Any]]:
    return [list(row.values()) for row in findings.table.to_pylist()]


def test_an_empty_table_has_the_columns_of_another() -> None:
    empty, some = Findings(), Findings()
    some.say("v", "what", 1.0, 2.0)
    assert empty.table.num_rows == 0
    assert empty.table.schema == some.table.schema
    assert empty.failed == []


def test_a_value_holds_up_to_what_is_allowed() -> None:
    found = Findings()
    for value in (0.9, 1.0, 1.1):
        found.say("v", "size", value, 1.0)
    found.say("v", "alone", 3.0)
    found.say("v", "missing", None, 1.0)
    found.say("w", "excused", 5.0, 1.0, "kinks")
    assert [row[4] for row in records(found)] == ["holds", "holds", "fails", "", "", "kinks"]
    assert found.failed == ["v: size: 1.1, allowed 1"]


def test_norms_and_the_quotient_of_rayleigh() -> None:
    found = Findings()
    describe(found, "v", torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0]))
    describe(found, "none", torch.zeros(2), torch.zeros(2))
    assert records(found) == [
        ["v", "|v|", 5.0, None, ""], ["v", "|Hv|", pytest.approx(5**0.5), None, ""],
        ["v", "v'Hv / v'v", pytest.approx(11 / 25), None, ""],
        ["none", "|v|", 0.0, None, ""], ["none", "|Hv|", 0.0, None, ""], ["none", "v'Hv / v'v", None, None, ""],
    ]  # fmt: skip


@pytest.mark.parametrize("refuted", [False, True])
def test_a_route_that_is_refuted_is_outvoted_where_it_disagrees(refuted: bool) -> None:
    found, one = Findings(), first(1.0)
    products: Any = {
        "double-backward": one, "forward-over-reverse": 1.5 * one, "reverse-over-forward": 1.25 * one,
        "finite-difference": 3 * one,
    }  # fmt: skip
    compare(found, "v", products, 0.25, lambda route: refuted)
    assert records(found) == [
        ["v", "forward-over-reverse: relative difference", 0.5, 0.25, "refuted" if refuted else "fails"],
        ["v", "reverse-over-forward: relative difference", 0.25, 0.25, "holds"],
        ["v", "finite-difference: relative difference", 2.0, None, ""],
    ]
    unjudged = Findings()
    compare(unjudged, "v", products, None, lambda route: True)
    assert {row[4] for row in records(unjudged)} == {""}
    by_default = Findings()
    compare(by_default, "v", products, 0.25)
    assert records(by_default)[0][4] == "fails"


@pytest.mark.parametrize(("off", "verdict"), [(0.9e-3, "holds"), (1.1e-3, "fails"), (-1.1e-3, "fails")])
def test_symmetry_is_relative_to_the_larger_of_two_usual_sizes(off: float, verdict: str) -> None:
    """u'Hv = 3 + 2 off, v'Hu = 3; |u| |Hv| = 4 and |v| |Hu| = 3, of 4 numbers."""
    products = torch.stack([torch.tensor([0.0, 3 + 2 * off, 0, 7**0.5]), first(1.5)]).double()
    for turned in (1, -1):
        found, (v, probe) = Findings(), [first(2.0), torch.tensor([0.0, 1, 0, 0], dtype=DOUBLE)][::turned]
        verification._symmetry(found, "v", products if turned == 1 else products.flip(0), v, probe, 1e-3)
        ((_, what, value, allowed, said),) = records(found)
        assert (what, allowed, said) == (AROUND, 1e-3, verdict)
        assert value == pytest.approx(abs(off), rel=1e-2)
    found = Findings()
    verification._symmetry(found, "v", 0 * products, first(2.0), first(1.0), 1e-3)
    assert records(found)[0][2] == 0.0


@pytest.mark.parametrize("kinks", [(), ("relu",)])
def test_differences_are_judged_by_their_size_their_doubt_and_jumps_at_kinks(
    kinks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """|Hv| = 10, of which 0.01 are allowed, and g'v = 3, or |g| |v| / 2 = 5 where that is more."""
    sweep = SimpleNamespace(
        central=[1.0], richardson=[2.0], best=lambda errors: (0.125, errors[0]),
        product=first(10.5), error=0.03, jump=0.06, slope=3.25, slope_error=0.02, slope_jump=0.026,
    )  # fmt: skip
    given: list[Any] = []
    monkeypatch.setattr(verification, "sweep", lambda *args: (given.append(args), sweep)[1])
    gradient = torch.tensor([1.5, 2.0, 0, 0], dtype=DOUBLE) * 2
    exact: Any = SimpleNamespace(dtype=DOUBLE, kinks=kinks, gradient=lambda: gradient)
    found = Findings()

    def done() -> None: ...

    verification._differences(found, "v", exact, torch.tensor([1.0, 0, 0, 1.0]), first(10.0), 1e-3, done)
    assert found.sweeps == {"v": sweep}
    assert torch.equal(given[0][1], torch.tensor([1.0, 0, 0, 1.0], dtype=DOUBLE))
    assert given[0][3] is done
    size = max(3.0, 5.0 * 2**0.5 / 2)
    verdict = "kinks" if kinks else "fails"
    assert records(found) == [
        ["v", "central difference at its best step, 1.2e-01", 1.0, None, ""],
        ["v", "Richardson difference at its best step, 1.2e-01", 2.0, None, ""],
        [
            "v", "difference of gradients: |difference - Hv|", pytest.approx(0.5),
            pytest.approx(1e-3 * 10 + 10 * 0.03), verdict,
        ],
        [
            "v", "difference of losses: |difference - g'v|", pytest.approx(0.25),
            pytest.approx(1e-10 * size + 10 * 0.02, rel=1e-12), verdict,
        ],
    ]  # fmt: skip


def labelled(given: Any) -> list[tuple[str, str, str]]:
    return [(vector, what.partition(",")[0], verdict) for vector, what, _, _, verdict in records(given)]


ROWS = [("|v|", ""), ("|Hv|", ""), ("v'Hv / v'v", "")]
DIFFERENCES = [
    ("central difference at its best step", ""), ("Richardson difference at its best step", ""),
    ("difference of gradients: |difference - Hv|", "holds"), ("difference of losses: |difference - g'v|", "holds"),
]  # fmt: skip


def choice(exact: bool = True) -> Any:
    return SimpleNamespace(exact=exact, wrong=lambda route: False)


def made_of(
    settings: ProductSettings, verified: bool = True, dtype: torch.dtype = DOUBLE, exact: bool = True
) -> tuple[dict[str, Tensor], Findings, list[int], Operator]:
    made, told = operator(dtype=dtype, parameters="3.*"), list[int]()
    against = made if dtype == DOUBLE else operator(parameters="3.*")
    named = [("one", vector(made.size).to(dtype)), ("none", torch.zeros(made.size).to(dtype))]
    vectors = [] if settings.dense else named
    found = compute_all(made, against if verified else None, vectors, choice(exact), settings, told.append)
    return *found, told, made


def test_every_row_of_verified_products() -> None:
    _, found, told, _ = made_of(ProductSettings())
    other = ("reverse-over-forward: relative difference", "holds")
    expected = [("one", *row) for row in [*ROWS, other, (AROUND, "holds"), *DIFFERENCES]]
    expected += [("none", *row) for row in [*ROWS, other, (AROUND, "holds")]]
    assert labelled(found) == expected
    assert found.notes == []
    assert told == list(range(1, 25))
    allowed = {what: each for _, what, _, each, _ in records(found)}
    assert allowed[AROUND] == allowed["reverse-over-forward: relative difference"] == 1e-10


def test_float32_is_compared_with_float64_too() -> None:
    _, found, *_ = made_of(ProductSettings(tolerance=0.5), dtype=torch.float32)
    row = next(row for row in records(found) if row[1].startswith("float64"))
    assert row[:2] == ["one", "float64: relative difference"]
    assert 1e-9 < row[2] < 1e-5
    assert row[3:] == [0.5, "holds"]


def test_all_methods_are_compared_and_the_first_is_written() -> None:
    tensors, found, told, made = made_of(ProductSettings(method="all"), verified=False)
    others = ["forward-over-reverse", "reverse-over-forward"]
    compared = [(f"{each}: relative difference", "holds") for each in others]
    compared += [("finite-difference: relative difference", "")]
    assert labelled(found) == [(name, *row) for name in ("one", "none") for row in [*ROWS, *compared]]
    operations = 2 * cost(made, 1)
    words = f"products not verified one by one, which would take {operations:.0e} operations; --verify does it"
    assert found.notes == [words]
    assert told == []
    expected = by_name(made, [made.matvec(vector(made.size)), torch.zeros(made.size).double()])
    torch.testing.assert_close(tensors, expected)


def test_the_whole_matrix_is_symmetric_and_has_a_verified_product() -> None:
    tensors, found, told, made = made_of(ProductSettings(dense=True))
    product = [("random:0", *row) for row in ROWS]
    assert labelled(found)[:5] == [("matrix", "|H|", ""), ("matrix", "symmetry: |H - H'| / |H|", "holds"), *product]
    assert labelled(found)[-1] == ("matrix", "its product: relative difference", "holds")
    matrix = tensors["hessian"]
    by_what = {what: value for name, what, value, _, _ in records(found) if name == "matrix"}
    assert by_what["|H|"] == pytest.approx(float(matrix.norm()))
    assert by_what["symmetry: |H - H'| / |H|"] == pytest.approx(float((matrix - matrix.T).norm() / matrix.norm()))
    assert told[-1] == work(made, []) == made.size * made.shares
    assert work(made, ["a", "b"]) == 48
    _, plain, *_ = made_of(ProductSettings(dense=True, tolerance=0.0), verified=False)
    assert [row[1] for row in records(plain)] == ["|H|", "symmetry: |H - H'| / |H|"]
    assert plain.notes[0].startswith(f"products not verified one by one, which would take {cost(made, 1):.0e}")


@pytest.mark.parametrize(
    ("exact", "verified", "kinks", "note"),
    [
        (False, True, ("relu",), "not compared with float64, in which the network cannot be evaluated"),
        (True, True, ("relu", "abs"), "kinks, where derivatives jump: relu, abs"),
        (True, True, (), None),
    ],
)
def test_a_note_tells_what_was_not_compared_and_kinks(
    exact: bool, verified: bool, kinks: tuple[str, ...], note: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "compute", lambda *args: ([torch.zeros(1)], Findings()))
    monkeypatch.setattr(verification, "by_name", lambda operator, made: {})
    made: Any = SimpleNamespace(dtype=DOUBLE, route="double-backward", kinks=kinks)
    _, found = compute_all(
        made, made if verified else None, [("v", first(1.0))], choice(exact), ProductSettings(), print
    )
    assert found.notes == ([note] if note else [])


def asked(flops: float, device: str = "cpu") -> Any:
    return SimpleNamespace(flops=flops, rows=10, weights=SimpleNamespace(device=SimpleNamespace(type=device)))


def test_verification_is_done_where_it_is_asked_for_or_cheap() -> None:
    """60 gradients a product, each 3 times as much as a row's operations."""
    assert cost(asked(100.0), 2) == 3 * 100 * 10 * 60 * 2
    limit = 1e12 / (3 * 10 * 60)
    default, always, never = ProductSettings(), ProductSettings(verify=True), ProductSettings(verify=False)
    assert wanted(asked(0.99 * limit), 1, default)
    assert wanted(asked(0.99 * limit), 0, default)
    assert not wanted(asked(1.01 * limit), 0, default)
    assert not wanted(asked(0.99 * limit), 2, default)
    assert wanted(asked(10 * limit), 1, always)
    assert wanted(asked(10 * limit), 1, ProductSettings(plot="v.png"))
    assert not wanted(asked(1.0), 1, never)
    assert not wanted(asked(1.0, "mps"), 1, default)
    with pytest.raises(GencliError, match="--device: mps has no float64"):
        wanted(asked(1.0, "mps"), 1, always)


def test_a_method_that_torch_lacks_is_named_with_another() -> None:
    def matvec(v: Tensor, route: str) -> Tensor:
        raise NotImplementedError("no derivative")

    made: Any = SimpleNamespace(matvec=matvec)
    for route, other in (
        ("double-backward", "forward-over-reverse"), ("forward-over-reverse", "double-backward"),
    ):  # fmt: skip
        with pytest.raises(GencliError) as caught:
            multiply(made, first(1.0), route)  # type: ignore[arg-type]
        assert str(caught.value).startswith(f"--method: {route} is not available for this network: no derivative")
        assert caught.value.hint == f"use {other}"
