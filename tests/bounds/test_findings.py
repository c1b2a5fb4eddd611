"""Every part of what is found of a certificate, the options, and rows that are no independent draws."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import beta

from gencli.bounds import certificates, compression, holdout, independence, pac_bayes, verification
from gencli.bounds.certificates import Certificate, pac_bayes_bound
from gencli.bounds.gaussian import GRID
from gencli.bounds.settings import CompressionSettings, HoldoutSettings, PacBayesSettings
from gencli.bounds.verification import Finding
from gencli.errors import GencliError
from gencli.files.provenance import Source, Step
from tests.bounds.test_validity import FACTS, before, coins, model, one_thread

__all__ = ["one_thread"]
KINDS = {"holdout": HoldoutSettings(), "compression": CompressionSettings(epochs=1, subspace=9, levels=5)}
HELD_OUT = Certificate("holdout", 0.5, 0.25, 80, 0.05, 20, 80, "digest")


def findings(made: Certificate, parts: Any, rows: Any, test: Any = None, step: Step | None = None) -> list[Finding]:
    facts = FACTS | {"step": step or Step("bound", {}, {})}
    return verification.verify(made, facts, parts, rows, test, torch.device("cpu"), 0, "c")


def certified(kind: str) -> tuple[Certificate, Any]:
    used, rows, test = model(), coins(1, 80), coins(2, 50)
    if kind == "holdout":
        return holdout.certify(used, rows, test, HoldoutSettings())
    return compression.certify(used, before(used), rows, test, CompressionSettings(epochs=1, subspace=9, levels=5))


@pytest.mark.parametrize("kind", KINDS)
def test_every_finding_of_a_network_of_its_own(kind: str) -> None:
    (made, parts), coded = certified(kind), kind == "compression"
    step = Step("bound", asdict(KINDS[kind]), {}, (Source("model", "", Step("train", {"seed": 3}, {})),))
    said = [(each.part, each.claimed, each.note) for each in findings(made, parts, coins(1, 80), coins(2, 50), step)]
    prove, counts = "of its provenance", [("subspace", 9.0), ("levels", 5.0)]
    expected = [
        ("delta", 0.05, ""), ("rows", 80, ""), ("rows", 0, "copies of other rows"), ("delta", 0.05, prove),
        ("prior_fraction", 0.0, prove), ("seed", 0, prove),
        *((name, value, prove) for name, value in counts if coded),
        ("choices", 1, ""), ("initialization", 3, prove), ("parameters", 16 * 8 + 8 + 8 * 2 + 2, ""),
        ("errors", made.errors / 80, "errors among the draws"),
        ("test_rows", 50, ""), ("test_rows", 0, "copies of other rows"),
        ("test_rows", 0, "copies of rows that are counted"),
        *([("coded", 9, ""), ("levels", 5, "")] if coded else []),
        ("draws", 80, ""), ("empirical_error", made.errors / 80, ""),
        *([("kl", made.kl, "")] if coded else []),
        ("bound", made.bound, ""), ("test_error", made.test_error, ""),
        ("test_error", made.test_error, "errors among test_n rows"), ("test_bound", made.test_bound, ""),
    ]  # fmt: skip
    assert said == expected
    assert all(each.holds for each in findings(made, parts, coins(1, 80), coins(2, 50), step))


@pytest.mark.parametrize("by_row", [True, False])
def test_every_finding_of_random_weights(by_row: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_DRAWS", 8)
    if not by_row:
        monkeypatch.setattr("gencli.bounds.gaussian._once", lambda network, inputs: {})
    used, rows, test = model(), coins(1, 80), coins(2, 50)
    asked = PacBayesSettings(epochs=1, draws=1000, prior_fraction=0.25, prior_epochs=1)
    made, parts = pac_bayes.certify(used, before(used), rows, test, asked)
    found = {(each.part, each.note): each for each in findings(made, parts, rows, test)}
    assert made.n == 80 - certificates.share(0.25, 80)
    grid = found["prior_grid", ""]
    assert (grid.claimed, grid.found) == (4, 4)
    assert found["choices", ""][1:3] == (GRID, GRID)
    draws = found["draws", ""]
    assert (draws.claimed, draws.found) == (made.draws, made.blocks)
    assert (made.blocks is None) == by_row
    assert ("empirical_error", "of 4,000 other draws") in found
    assert found["bound", "by brentq"].found == pytest.approx(made.bound, abs=1e-9)
    assert ("test_error", "") in found
    assert (("test_bound", "") in found) == by_row
    assert all(each.holds for each in found.values())


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"delta": 0.9e-300}, "no probability, or counts that cannot be"),
        ({"delta": 1.0}, "no probability, or counts that cannot be"),
        ({"prior_fraction": 1.0}, "no probability, or counts that cannot be"),
        ({"prior_fraction": -0.1}, "no probability, or counts that cannot be"),
        ({"n": 0}, "no probability, or counts that cannot be"),
        ({"draws": 0, "errors": 0}, "no probability, or counts that cannot be"),
        ({"errors": -1}, "no probability, or counts that cannot be"),
        ({"errors": 81}, "no probability, or counts that cannot be"),
    ],
)
def test_numbers_that_cannot_be_are_all_that_is_said(change: dict[str, Any], note: str) -> None:
    made, parts = certified("holdout")
    delta = change.get("delta", made.delta)
    assert findings(replace(made, **change), parts, coins(1, 80)) == [Finding("delta", delta, delta, False, note)]


def test_numbers_at_their_limits_may_be() -> None:
    made, parts = certified("holdout")
    for change in ({"delta": 1e-300}, {"errors": 0}, {"errors": 80}, {"n": 1}):
        assert findings(replace(made, **change), parts, coins(1, 80))[0].holds


def test_rows_are_told_from_others_and_from_those_of_the_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_DRAWS", 2)
    used, rows = model(), coins(1, 80)
    asked = PacBayesSettings(epochs=1, draws=100, prior_fraction=0.25, prior_epochs=1)
    made, parts = pac_bayes.certify(used, before(used), rows, None, asked)
    assert findings(made, parts, rows)[1] == Finding("rows", made.n, made.n, True)
    others = findings(made, parts, coins(2, 80))[1]
    assert (others.holds, others.note) == (False, "other rows, or others of them")
    broken, parts = pac_bayes.certify(used, before(used), rows, None, replace(asked, broken="prior-rows"))
    again = findings(broken, parts, rows)[1]
    assert (again.holds, again.note) == (False, "rows that the prior was trained on are counted")
    test = findings(*certified("holdout"), coins(1, 80), coins(3, 50))
    wrong = [each for each in test if each.part == "test_rows" and not each.holds]
    assert wrong == [Finding("test_rows", 50, 50, False, "other rows")]


def test_a_kind_that_is_none_is_refused() -> None:
    made, parts = certified("holdout")
    with pytest.raises(GencliError, match=r"^c: no bound is called 'other'"):
        findings(replace(made, kind="other"), parts, coins(1, 80))


def test_findings_are_rows_of_a_table() -> None:
    given = [Finding("a", 1.0, 2.0, False, "why"), Finding("b", None, None, True)]
    assert verification.table(given).to_pylist() == [
        {"part": "a", "claimed": 1.0, "found": 2.0, "holds": False, "note": "why"},
        {"part": "b", "claimed": None, "found": None, "holds": True, "note": None},
    ]


@pytest.mark.parametrize(
    ("claimed", "found", "holds"),
    [
        (None, 0.0, False), (0.0, 0.9e-9, True), (1.1e-9, 0.0, False), (100.0, 100 + 0.9e-7, True),
        (100.0, 100 + 1.1e-7, False),
    ],
)  # fmt: skip
def test_two_numbers_are_the_same_but_for_rounding(claimed: float | None, found: float, holds: bool) -> None:
    assert verification._same("x", claimed, found, "n") == Finding("x", claimed, found, holds, "n")


def test_a_test_error_is_near_what_is_found() -> None:
    made = replace(HELD_OUT, test_error=0.5)
    assert verification._test(made, 0.75, 0.25) == Finding("test_error", 0.5, 0.75, True)
    assert not verification._test(made, 0.75, 0.24).holds
    assert not verification._test(HELD_OUT, 0.0, 1.0).holds
    assert list(verification._tested(HELD_OUT)) == list(verification._tested(replace(made, test_n=0))) == []


def test_limits_by_other_means_are_roots() -> None:
    def kl(q: float, p: float) -> float:
        return (q * math.log(q / p) if q else 0.0) + (1 - q) * math.log((1 - q) / (1 - p))

    def root(q: float, c: float) -> float:
        return brentq(lambda p: kl(q, p) - c, q + 1e-12, 1 - 1e-14)  # type: ignore[return-value]

    for q, c in ((0.0, 0.1), (0.2, 0.05), (0.9, 2.0)):
        assert verification._inverse(q, c) == pytest.approx(root(q, c))
    near = 1 - verification._inverse(0.5, 16.0)  # kl(½ ‖ 1 − e) = ½ ln 1/(4e), but for e²
    assert near == pytest.approx(math.exp(-32) / 4, rel=0.1)
    assert verification._inverse(1.0, 0.1) == verification._inverse(0.5, 100.0) == 1.0
    assert verification._exact(3, 3, 0.1) == verification._exact(4, 3, 0.1) == 1.0
    assert verification._exact(2, 3, 0.1) == pytest.approx(beta.ppf(0.9, 3, 1))
    assert verification._exact(2, 4, 0.999) == 0.5  # no limit lies below the share itself


def test_the_bound_is_that_of_its_formula() -> None:
    def kl(q: float, p: float) -> float:
        return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))

    bound, limit = pac_bayes_bound(30, 100, 5.0, 1000, 0.05, 2.0)
    assert kl(0.3, limit) == pytest.approx(math.log(2 / (0.05 / 5)) / 100)
    assert kl(limit, bound) == pytest.approx((5 + 2 + math.log(2 * 1000**0.5 / (0.05 * 4 / 5))) / 1000)


def test_a_certificate_is_a_row() -> None:
    row = (
        replace(HELD_OUT, bits=30, parameters=12, kl=1.5, test_error=0.5, test_n=7, test_bound=0.75).table().to_pylist()
    )
    assert row == [{
        "kind": "holdout", "bound": 0.5, "empirical_error": 0.25, "kl": 1.5, "n": 80, "delta": 0.05, "test_error": 0.5,
        "test_n": 7, "test_bound": 0.75, "parameters": 12, "bits": 30, "bits_per_weight": 2.5,
    }]  # fmt: skip
    assert HELD_OUT.table()["bits_per_weight"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("independent", "tries", "limited"), [(True, 50, True), (True, 100, False), (False, 50, False)]
)
def test_test_rows_that_each_were_tried_once_have_a_limit(independent: bool, tries: int, limited: bool) -> None:
    rows = coins(2, 50)
    made = certificates.with_test(HELD_OUT, rows, 10, tries, independent)
    assert (made.test_error, made.test_n, made.test_rows) == (10 / tries, 50, certificates.digest(rows))
    assert made.test_bound == (pytest.approx(beta.ppf(0.95, 11, 40)) if limited else None)
    assert certificates.with_test(HELD_OUT, None, 0, 1) is HELD_OUT


@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        (PacBayesSettings(delta=0.9e-300), [], "--delta: 9e-301 is not a probability from 1e-300 to below 1"),
        (PacBayesSettings(delta=1.0), [], "--delta: 1 is not a probability"),
        (PacBayesSettings(loss="ce"), [], "--loss: 'ce' is not bounded here"),
        (PacBayesSettings(prior_fraction=1.0), [], "--prior-fraction: 1 leaves the bound no rows"),
        (PacBayesSettings(prior_fraction=-0.1), [], "--prior-fraction: -0.1 leaves the bound no rows"),
        (PacBayesSettings(), ["prior_epochs", "prior_lr"], "--prior-epochs: no prior is trained"),
        (PacBayesSettings(), ["prior_lr"], "--prior-lr: no prior is trained"),
        (PacBayesSettings(broken="prior-rows"), [], "--break prior-rows: no prior is trained"),
        (HoldoutSettings(), [], "--train: rows count as held out only if it is known which were not"),
    ],
)
def test_options_that_are_no_bound_are_refused(asked: Any, given: list[str], message: str) -> None:
    with pytest.raises(GencliError) as refused:
        asked.resolved(given)
    assert str(refused.value).startswith(message)


def test_options_of_bounds_are_taken() -> None:
    for asked, given in (
        (PacBayesSettings(delta=1e-300), []), (PacBayesSettings(prior_fraction=0.5), ["prior_epochs", "prior_lr"]),
        (PacBayesSettings(prior_fraction=0.5, broken="prior-rows"), []), (PacBayesSettings(broken="union-bound"), []),
        (HoldoutSettings(train="t"), []),
    ):  # fmt: skip
        assert asked.resolved(given) is asked


def table(ids: list[int], *steps: tuple[str, dict[str, Any]], classes: int = 2, **inputs: Any) -> Any:
    made: Step | None = None
    for command, arguments in steps:
        sources = (Source("data", "d", made), *(Source(role, "j") for role in inputs))
        made = Step(command, arguments, {}, sources)
    return SimpleNamespace(
        title="t",
        description=SimpleNamespace(classes=["c"] * classes),
        made=made,
        column=lambda name: torch.tensor(ids).numpy(),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (table([1], classes=1), "t: one class: every classifier is right"),
        (table([7, 5, 5, 3, 7, 7]), "t: row id 5 comes 3 times, and a bound counts independent rows"),
        (table([1], ("corrupt prune", {"p": 0.1})), "t: gencli corrupt prune chose its rows by scores"),
        (table([1], ("corrupt prune", {"p": 0.1}), ("corrupt flip", {})), "t: gencli corrupt prune chose its rows"),
        (table([1], ("data where", {}), join=True), "t: gencli data where --join chose its rows by another table"),
        (table([1], ("data repeat", {"times": 2})), "t: gencli data repeat copied its rows"),
    ],
)
def test_rows_that_are_no_independent_draws_are_refused(given: Any, message: str) -> None:
    with pytest.raises(GencliError) as refused:
        independence.require_rows(given)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "given",
    [
        table([7, 5]), table([1], ("corrupt prune", {"p": 0})), table([1], ("data where", {})),
        table([1], ("data repeat", {"times": 1})), table([1], ("corrupt flip", {}), join=True),
    ],
)  # fmt: skip
def test_rows_that_may_be_independent_are_taken(given: Any) -> None:
    assert independence.require_rows(given).tolist() == given.column("id").tolist()


def test_tables_with_rows_in_common_are_refused() -> None:
    independence.require_disjoint(table([1, 2]), table([3]), "roles")
    with pytest.raises(GencliError) as refused:
        independence.require_disjoint(table([1, 2, 3]), table([4, 3, 2]), "roles")
    assert str(refused.value).startswith("t, t: 2 rows are in both, such as id 2: roles")


@pytest.mark.parametrize(("found", "fine"), [(0, True), (1, True), (2, True), (3, False)])
def test_few_copies_are_remarked_and_more_refused(found: int, fine: bool) -> None:
    said = f"copies: {found} of 200 images, under other ids"
    if not fine:
        with pytest.raises(GencliError, match=f"^{said}$"):
            independence.require_few(found, coins(1, 200), "copies")
    else:
        remark = f"{said}; the bound counts them as independent draws" if found else None
        assert independence.require_few(found, coins(1, 200), "copies") == remark


def test_held_out_rows_are_of_the_table_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout, "require_random", lambda *words: None)
    held, train = table([1]), table([2])
    train.inputs = [SimpleNamespace(sha256="d")]
    for data, fine in (("d", True), ("e", False), (None, False)):
        made = Step("train", {}, {}, (Source("data", data),)) if data else None
        network: Any = SimpleNamespace(title="m", made=made)
        if fine:
            holdout.require_held_out(network, held, train)
        else:
            with pytest.raises(GencliError, match=r"^t: not the table that m was trained on"):
                holdout.require_held_out(network, held, train)


def test_the_steps_of_descent_are_those_of_both_fits() -> None:
    asked = PacBayesSettings(epochs=3, prior_epochs=5, batch_size=7)
    assert pac_bayes.work(asked, 21) == 9
    assert pac_bayes.work(asked, 22) == 12
    assert pac_bayes.work(replace(asked, prior_fraction=0.5), 20) == 9 + 5 * 2
    assert pac_bayes.work(replace(asked, prior_fraction=1e-9), 20) == 9


@pytest.mark.parametrize(
    ("fraction", "rows", "message"), [(0.0, 1, "1 rows"), (1e-9, 9, "--prior-fraction: 1e-09 of 9 rows")]
)
def test_too_few_rows_are_refused(fraction: float, rows: int, message: str) -> None:
    with pytest.raises(GencliError, match=f"^{message}$"):
        pac_bayes.certify(model(), before(model()), coins(1, rows), None, PacBayesSettings(prior_fraction=fraction))


@pytest.mark.parametrize(("copies", "few"), [(0, True), (2, True), (3, False)])
def test_a_hundredth_of_the_rows_may_be_copies(copies: int, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independence, "copies", lambda rows, others: copies)
    found = verification._once("rows", range(200))  # type: ignore[arg-type]
    assert (found.found, found.holds, found.note) == (copies, few, "copies of other rows")


def test_numbers_are_the_same_to_a_billionth_of_the_larger_one_or_of_1() -> None:
    for claimed, found, same in (
        (1e-9, 0.0, True), (1.1e-9, 0.0, False), (2e6, 2e6 + 0.0019, True), (2e6, 2e6 + 0.0021, False),
    ):  # fmt: skip
        assert verification._same("kl", claimed, found).holds == same
    assert not verification._same("kl", None, 0.0).holds


@pytest.mark.parametrize(("bits", "whole"), [(16, False), (17, True), (24, True), (25, False), (None, False)])
def test_a_code_has_the_bytes_of_its_bits(bits: int | None, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReachedError(Exception):
        pass

    def subspace(network: Any, size: int, seed: int) -> None:
        assert (network, size, seed) == ("network", 4, 6)
        raise ReachedError

    monkeypatch.setattr(compression, "Subspace", subspace)
    used: Any = SimpleNamespace(network="network", arguments={"seed": 6})
    given = {"code": torch.zeros(3, dtype=torch.uint8)}
    with pytest.raises(ReachedError if whole else GencliError):
        next(iter(verification._compression(replace(HELD_OUT, bits=bits, subspace=4), used, given, used, None, "c")))
    with pytest.raises(GencliError, match="c: a code of another length than it says"):
        next(iter(verification._compression(replace(HELD_OUT, bits=bits), used, {}, used, None, "c")))


def test_a_network_whose_seed_is_not_told_started_from_0() -> None:
    step = Step("bound", asdict(HoldoutSettings()), {}, (Source("model", "", Step("train", {}, {})),))
    made, parts = certified("holdout")
    found = {each.part: each.found for each in findings(made, parts, coins(1, 80), coins(2, 50), step)}
    assert found["initialization"] == 0
