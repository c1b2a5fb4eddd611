"""Every claim holds, fails when it is broken, and computes what it says."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import circulant as circulant_matrix

from gencli.errors import GencliError
from gencli.files import arrow
from gencli.randomness import Draws
from gencli.sources.digits import digits
from gencli.theory import CLAIMS, All, check, networks, pages
from gencli.theory.base import Claim, Drawn, DType, Number, OnData, Panel, Row
from gencli.theory.circulant import _commutator, _norm, _projected
from gencli.theory.median_mean import _SIZES, MedianMean
from gencli.theory.sgd_rate import _LOSSES, _examples, _Problem, _upper, _worst_case
from gencli.theory.sgd_regret import _sides
from gencli.theory.uniform_stability import UniformStability
from gencli.theory.weight_decay_convexity import WeightDecayConvexity
from tests.helpers import image_table

# what makes a claim quick, and is still enough of it
SMALL: Mapping[str, Mapping[str, Any]] = {
    "hessian-size": {"layers": "6-5-4", "examples": 4},
    "edge-of-stability": {"levels": "10", "width": 30, "steps": 4000},
    "sgd-rate": {"steps": 256, "runs": 50},
    "median-mean": {"runs": 300},
    "finite-sample": {"points": 2000, "dimension": 40},
    "weight-decay-convexity": {"arch": "mlp-1x3", "examples": 50},
    "noise-targets": {"instances": 2},
    "label-alignment": {"width": 2048, "examples": 12},
    "sgd-nonmonotone": {"arch": "mlp-1x4", "rate": 1.0, "batch_size": 64},
    "rademacher": {"arch": "mlp-1x8", "examples": 40, "draws": 2, "steps": 60},
    "uniform-stability": {"arch": "mlp-1x4", "examples": 20, "removals": 3, "passes": 3},
}
KINDS = {name: claim(**SMALL.get(name, {})) for name, claim in CLAIMS.items()}
COLUMNS = ["claim", "instance", "quantity", "left", "relation", "right", "slack", "holds"]
on_claims = pytest.mark.parametrize("name", list(CLAIMS))


@functools.cache
def rows(claim: Claim, seed: int = 0, broken: bool = False) -> pa.Table:
    return check(claim, claim.table(), seed, broken).rows


@on_claims
@pytest.mark.parametrize("seed", [0, 1])
def test_a_claim_holds(name: str, seed: int):
    table = rows(KINDS[name], seed)
    assert table.column_names == COLUMNS
    assert table.num_rows > 0
    assert set(table["claim"].to_pylist()) == {name}
    assert all(table["holds"].to_pylist()), [row for row in table.to_pylist() if not row["holds"]]


@on_claims
def test_a_claim_holds_in_float32(name: str):
    assert all(row.holds for row in shown(name, "float32")[0])


@on_claims
@pytest.mark.parametrize("seed", [0, 1])
def test_a_broken_claim_is_false_in_every_instance(name: str, seed: int):
    table = rows(KINDS[name], seed, broken=True)
    of_instances = {row["instance"].split(":")[0] for row in table.to_pylist() if not row["holds"]}
    assert {str(number) for number in range(KINDS[name].instances)} <= of_instances


@on_claims
def test_a_claim_is_a_function_of_the_seed(name: str):
    claim = KINDS[name]
    assert rows(claim, 3).equals(check(claim, claim.table(), 3).rows)
    assert not rows(claim, 3).equals(rows(claim, 4))


@on_claims
def test_more_instances_begin_with_the_same_ones(name: str):
    def first(table: pa.Table) -> list[dict[str, Any]]:
        return [row for row in table.to_pylist() if row["instance"].startswith("0")]

    one, two = (rows(replace(KINDS[name], instances=count)) for count in (1, 2))
    assert first(one) == first(two)
    assert len(two) > len(one)


def test_statements_are_sentences_of_one_line():
    for name, claim in CLAIMS.items():
        first = (claim.__doc__ or "").split("\n")[0]
        assert first.endswith("."), name
        assert len(first) <= 67, name
        assert "--break" in (claim.__doc__ or ""), name


@functools.cache
def shown(name: str, dtype: DType = "float64") -> tuple[list[Row], list[Panel]]:
    """The rows and the pictures."""
    claim = replace(KINDS[name], dtype=dtype)
    with networks.one_thread():
        found = list(claim.check(Draws(0, "check", name), False, claim.table()))
    return [each for each in found if isinstance(each, Row)], [each for each in found if isinstance(each, Panel)]


def of(name: str, quantity: str, instance: str = "0") -> list[Row]:
    """The rows of this quantity and of an instance that starts so."""
    return [row for row in shown(name)[0] if row.quantity == quantity and row.instance.startswith(instance)]


# how far from exact a claim may be that is sampled, iterated or a limit; all others are exact but for rounding
LOOSE = {
    "hvp-limit": 0.2, "median-mean": 0.3, "rademacher": 7, "sgd-rate": 2e-3, "uniform-stability": 1e-4,
    "finite-sample": 1e-3, "edge-of-stability": 0.1, "label-alignment": 0.2,
}  # fmt: skip


@on_claims
def test_no_more_is_allowed_than_rounding_needs(name: str):
    most = LOOSE.get(name, 1e-6)
    for row in shown(name)[0]:
        assert 0 <= row.tolerance <= most * max(1, abs(float(row.left)), abs(float(row.right))), row
        if row.relation == "<=" and row.quantity.startswith(("|", "largest", "their", "the same", "smallest |")):
            relative = "," not in row.quantity.replace("the same,", "") and ";" not in row.quantity
            assert not relative or row.right <= most, row


# what the claims gave when they were written, which no change of their constants can change with them
SEED_0 = (Path(__file__).parent / "seed_0.txt").read_text().splitlines()
Written = tuple[list[str | Number], list[Number]]  # with tolerances, of which every digit counts


def of_first(row: Row) -> bool:
    return row.instance.startswith("0") or not row.instance[0].isdigit()


def written(name: str) -> Iterator[Written]:
    """Each row of the first instance, with its tolerance in both dtypes; each series; the rows of the broken claim."""
    for row, other in zip(shown(name)[0], shown(name, "float32")[0], strict=True):
        if of_first(row):
            yield [row.instance, row.quantity, row.left, row.relation, row.right], [row.tolerance, other.tolerance]
    for panel in shown(name)[1]:
        yield [panel.title, panel.across, panel.up, *panel.scales], []
        for line in panel.series:
            ends = [*line.x[[0, -1]], *line.y[[0, -1]]]
            yield [line.label, line.style, len(line.x), *ends, float(line.y.mean())], []
    for row in rows(KINDS[name], broken=True).to_pylist():
        found = Row(*(row[each] for each in COLUMNS[1:6]))
        if of_first(found):
            yield ["broken", found.instance, found.quantity, found.left, found.relation, found.right], []


# how far processors are apart: rounding itself, or thousands of steps at the limit of stability and of training
_PROCESSORS = {"edge-of-stability": 0.3, "hvp-limit": 0.1, "noise-targets": 0.06}


@on_claims
def test_the_numbers_of_a_seed_stay_what_they_were(name: str):
    """`python -m tests.theory.test_claims > new.txt` writes those of a new claim."""
    known = [each.split(" | ")[1:] for each in SEED_0 if each.startswith(f"{name} | ")]
    relative = _PROCESSORS.get(name, 1e-3)
    for words, (found, tolerances) in zip(known, written(name), strict=True):
        for place, (before, now) in enumerate(zip(words, [*found, *tolerances], strict=True)):
            if isinstance(now, str):
                assert now == before
            else:
                rounding = 1e-7 if place < len(found) else 0
                assert float(now) == pytest.approx(float(before), rel=relative, abs=rounding), words


def test_bounds_are_the_theorems():
    """From the words of the help."""
    rows = digits("train")
    images = np.concatenate([arrow.unpack(batch, rows.description) for batch in rows.batches()])[:40] / 255
    radius = np.linalg.norm(images.reshape(40, -1), axis=1).max()
    for n in (5, 10, 20):
        instance = f"0: logistic, n={n}"
        (moved,) = of("uniform-stability", "|w - w'|, one removed; bound", instance)
        assert moved.right == pytest.approx(radius / (UniformStability().decay * n))
        (removed,) = of("uniform-stability", "beta, one removed, at least; bound", instance)
        (replaced,) = of("uniform-stability", "beta, one replaced, at least; bound", instance)
        assert removed.right == pytest.approx(radius * float(moved.right))
        assert replaced.right == pytest.approx(2 * float(removed.right))
        (descended,) = of("uniform-stability", "beta, one replaced, at least; bound", f"0: logistic by SGD, n={n}")
        assert descended.right == pytest.approx(2 * radius**2 * 8 / (radius**2 * n) * 3)
    for row in of("noise-targets", "distance, 3 sigma sqrt(P/n)"):
        n = int(row.instance.partition("n=")[2].replace(",", ""))
        assert row.right == pytest.approx(3 * 0.5 * (13 / n) ** 0.5)
    for how in ("full", "SGD"):
        quantity = "gap of mean, bound" if how == "full" else "expected gap, bound"
        bounds = [of("sgd-rate", quantity, f"0: hinge, T={steps}, {how}")[0].right for steps in (4, 16, 64, 256)]
        assert bounds == pytest.approx([float(bounds[0]) / 2**place for place in range(4)])


@on_claims
def test_pictures_have_points(name: str):
    _, panels = shown(name)
    assert bool(panels) == isinstance(KINDS[name], Drawn)
    for panel in panels:
        for series in panel.series:
            assert series.x.shape == series.y.shape != (0,), panel.title
            assert np.isfinite(series.x).all(), panel.title
            assert np.isfinite(series.y).all(), panel.title


def lines(name: str, place: int = 0) -> dict[str, tuple[list[float], list[float]]]:
    """The points of a picture, by their label."""
    return {each.label: (each.x.tolist(), each.y.tolist()) for each in shown(name)[1][place].series}


def test_the_picture_of_sgd_rate_is_that_of_its_rows():
    (panel,) = shown("sgd-rate")[1]
    assert len(panel.series) == 2 * len(_LOSSES) + 2
    for series in panel.series[:-2]:
        quantity = "gap of mean, bound" if series.label.endswith("full") else "expected gap, bound"
        loss, _, how = series.label.rpartition(", ")
        for steps, gap in zip(series.x, series.y, strict=True):
            (row,) = of("sgd-rate", quantity, f"0: {loss}, T={steps:,}, {how}")
            assert gap == pytest.approx(float(row.left) / float(row.right) * steps**-0.5)
    for series in panel.series[-2:]:
        assert series.y == pytest.approx(series.x**-0.5, rel=1e-3)


def test_pictures_are_those_of_the_rows():
    variances = lines("median-mean", 1)
    for name in ("mean", "median"):
        rows = of("median-mean", f"variance of the {name}", "0")
        sizes = [int(row.instance.partition("n=")[2].replace(",", "")) for row in rows]
        assert variances[name] == (sizes, [row.left for row in rows])
        assert variances[f"{name}, exact"] == (sizes, [row.right for row in rows])
    (sizes, distances), (_, expected) = lines("noise-targets").values()
    rows = [of("noise-targets", "distance, 3 sigma sqrt(P/n)", str(instance)) for instance in (0, 1)]
    squares = np.mean([[float(row.left) ** 2 for row in each] for each in rows], 0)
    assert distances[1:] == pytest.approx(squares**0.5)
    assert expected == pytest.approx([0.5 * (13 / n) ** 0.5 for n in sizes])
    for label, (counts, changes) in lines("uniform-stability").items():
        learner, _, words = label.partition(", ")
        for n, change in zip(counts, changes, strict=True):
            found = [row for row in shown("uniform-stability")[0] if row.instance == f"0: {learner}, n={n:.0f}"]
            assert [row.left for row in found if row.quantity.startswith(f"beta, {words}")] == [change]
    limited = lines("rademacher")
    for label, (steps, correlations) in limited.items():
        if label.startswith("mlp-1x8, norms"):
            assert correlations[-1] == of("rademacher", "estimate, norm-based bound", "0: mlp")[0].left
            assert steps == list(range(61))
        elif label == "mlp-1x8":
            assert correlations[-1] == of("rademacher", "estimate, trivial bound")[0].left
    assert limited["bound of limited norms"] == ([0, 60], [0.5, 0.5])
    assert limited["trivial bound"] == ([0, 60], [1.0, 1.0])
    before, after = lines("weight-decay-convexity").values()
    decay = WeightDecayConvexity().decay
    assert after[1] == pytest.approx([each + decay for each in before[1]])
    assert before[0] == after[0] == list(range(len(before[0])))


def test_pictures_are_those_of_the_formulas():
    path, _, rise = (lines("sgd-nonmonotone", place) for place in range(3))
    for w, f in zip(*path["f"], strict=True):
        assert f == pytest.approx((w - 2) ** 2 / 2 + (w + 1) ** 2 / 2)
    assert path["step, eta = 1"] == ([0.0, -1.0], [2.5, 4.5])
    for label in ("eta + eta²", "instances"):
        assert rise[label][1] == pytest.approx([eta + eta**2 for eta in rise[label][0]])
    assert min(rise["eta + eta²"][0]) == pytest.approx(1e-3)
    assert max(rise["eta + eta²"][0]) == pytest.approx(1e3)
    errors = lines("hvp-limit")
    for label, order in (("r", 1), ("r^2", 2)):
        assert errors[label][1] == pytest.approx([r**order for r in errors[label][0]])
    losses = lines("median-mean")
    noise = stats.expon(-1)
    for z, loss in list(zip(*losses["L1: E|z − e|"], strict=True))[::20]:
        assert loss == pytest.approx(noise.expect(lambda e, z=z: abs(z - e)), abs=1e-6)
    for z, loss in zip(*losses["L2: E(z − e)²"], strict=True):
        assert loss == pytest.approx(z**2 + 1)
    for name in ("L1: E|z − e|", "L2: E(z − e)²"):
        ((z,), (least,)) = list(losses.values())[list(losses).index(name) + 1]
        assert least <= min(losses[name][1])
        assert least == pytest.approx(np.interp(z, *losses[name]), abs=1e-3)
    distances = lines("min-norm")
    assert all(values[0] == list(range(len(values[0]))) for values in distances.values())
    (row,) = of("min-norm", "|w - X+ y|, |Xw - y| / s")
    assert distances["|w − X⁺y|"][1][-1] == row.left


def test_before_it_arrives_sgd_is_as_far_from_the_solution_as_the_smallest_singular_value_allows():
    """The direction of that singular value is the last to be learned, so the bound is nearly reached."""
    (row,) = (
        row
        for row in rows(replace(CLAIMS["min-norm"](), instances=1, passes=50), 0).to_pylist()
        if row["quantity"] == "|w - X+ y|, |Xw - y| / s"
    )
    assert row["holds"]
    assert row["left"] > 1e-12
    assert 0.8 * row["right"] < row["left"] <= row["right"]


def test_all_takes_its_options_to_every_claim():
    claims = All(instances=2, dtype="float32").claims()
    assert [claim.name for claim in claims] == list(CLAIMS)
    assert {(claim.instances, claim.dtype) for claim in claims} == {(2, "float32")}
    assert All().claims() == [claim() for claim in CLAIMS.values()]
    assert {field.name for field in fields(OnData)} == {field.name for field in fields(All)}


def test_pages_say_what_is_false_and_what_each_claim_says():
    true, false = check(KINDS["prox-step"], None), check(KINDS["prox-step"], None, broken=True)
    ((page, title),) = pages(KINDS["prox-step"], false)
    assert title.startswith("prox-step: The proximal step")
    assert page["holds"].to_pylist() == ["no"] * 6
    ((page, _),) = pages(All(), true)
    assert page.to_pylist() == [
        {"claim": "prox-step", "rows": 6, "false": 0, "statement": title.removeprefix("prox-step: ")}
    ]
    (page, _), (first, _) = pages(All(), false)
    assert page["false"].to_pylist() == [6]
    assert first["instance"].to_pylist() == false.rows["instance"].to_pylist()[:1]
    assert true.verdict(False) == "6 rows, all hold"
    assert true.verdict(True) == "6 rows, all hold; broken on purpose, yet it holds: prox-step"
    assert false.verdict(True) == "6 of 6 rows do not hold: prox-step; broken on purpose"


VECTORS = st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=1, max_size=6)


@given(VECTORS, st.tuples(st.integers(-9, 9), st.integers(-9, 9)), st.fractions(Fraction(1, 100), 10))
def test_the_slack_of_the_regret_bound_is_what_the_theorem_says(
    v: list[list[int]], target: tuple[int, int], rate: Fraction
):
    """In exact arithmetic; and the bound of the check is that of the theorem."""
    w = [[Fraction(0)] * 2]
    for step in v:
        w.append([at - rate * move for at, move in zip(w[-1], step, strict=True)])
    regret = sum((a - b) * c for at, step in zip(w, v) for a, b, c in zip(at, target, step, strict=True))
    bound = sum(b * b for b in target) / (2 * rate) + rate / 2 * sum(c * c for step in v for c in step)
    assert bound - regret == sum((a - b) ** 2 for a, b in zip(w[-1], target, strict=True)) / (2 * rate)
    path, given, best = (np.array(each, np.float64) for each in (w[:-1], v, target))
    left, right = _sides(path, given, best, float(rate), broken=False)
    assert left == pytest.approx(float(regret), rel=1e-9, abs=1e-9)
    assert right == pytest.approx(float(bound), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_worst_case_meets_the_bound_exactly(count: int):
    assert _worst_case(count, "float64") == pytest.approx(count**-0.5, rel=1e-12)


@pytest.mark.parametrize("loss", list(_LOSSES))
def test_the_comparator_of_the_rate_is_a_minimizer(loss: str):
    """So that the gap is never negative: no other w, near or far, is better."""
    random = np.random.default_rng(0)
    x, b, best = _examples(loss, random, "float64")
    problem = _Problem(_LOSSES[loss], x, b, best)
    for scale in (1e-3, 0.1, 1, 10):
        others = best + scale * random.standard_normal((2000, len(best)))
        values = _LOSSES[loss].value(others @ x.T - b).mean(1)
        assert values.min() >= problem.least - 1e-9


@given(st.integers(3, 9), st.integers(0, 100))
def test_the_projection_is_the_nearest_circulant_matrix(n: int, seed: int):
    random = np.random.default_rng(seed)
    matrix, shift = random.standard_normal((n, n)), np.roll(np.eye(n), 1, 0)
    near = _projected(matrix)
    np.testing.assert_allclose(near, circulant_matrix(near[:, 0]), atol=1e-14)
    inner = [((matrix - near) * circulant_matrix(unit)).sum() for unit in np.eye(n)]
    np.testing.assert_allclose(inner, 0, atol=1e-12)  # what is left is orthogonal to all circulant matrices
    assert _commutator(matrix) == pytest.approx(_norm(matrix @ shift - shift @ matrix), rel=1e-12)


@pytest.mark.parametrize(("examples", "middle"), [(1, [0, 0]), (2, [0, 1]), (4, [1, 2]), (5, [2, 2])])
def test_between_two_middle_values_each_is_a_median(examples: int, middle: list[int]):
    claim = MedianMean(instances=1, runs=100, examples=examples)
    found = {row.quantity: row for row in claim.check(Draws(0, "check"), False, None) if isinstance(row, Row)}
    y = np.sort(np.exp(next(iter(Draws(0, "check").rows(np.arange(1)))).standard_normal(examples)))
    row, (low, high) = found["argmin of L1, median"], y[middle]
    assert row.right == pytest.approx((low + high) / 2)
    assert row.tolerance == pytest.approx((high - low) / 2 + 1e-6 * (y[-1] - y[0] or 1))
    assert row.holds


def test_the_exact_variances_are_those_of_order_statistics():
    table = {
        (row["instance"], row["quantity"]): row["right"] for row in rows(MedianMean(instances=1, runs=100)).to_pylist()
    }
    random = np.random.default_rng(1)
    samples = random.standard_exponential((400_000, _SIZES[0]))
    assert table["0: n=17", "variance of the median"] == pytest.approx(np.median(samples, 1).var(), rel=0.02)
    assert table["0: n=17", "variance of the mean"] == pytest.approx(samples.mean(1).var(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("min-norm", {"examples": 20, "dimension": 20}, "--examples 20: not fewer than the --dimension 20"),
        ("min-norm", {"examples": 10_000, "dimension": 1_000_000}, "--examples 10000"),
        ("circulant", {"size": 100_000}, "--size 100000"),
        ("hessian-size", {"layers": "1000-1000-1000"}, "--layers 1000-1000-1000"),
        ("hessian-size", {"layers": "3"}, "--layers: '3' are not layers"),
        ("hvp-limit", {"layers": "99999-99999-2"}, "--layers 99999-99999-2"),
        ("finite-sample", {"points": 10_000_000, "dimension": 10_000_000}, "--points 10000000, --dimension 10000000"),
        ("sgd-regret", {"steps": 10_000_000, "dimension": 500}, "--steps 10000000"),
        ("median-mean", {"runs": 1_000_000}, "--runs 1000000"),
        ("noise-targets", {"examples": 10_000_000, "hidden": 1000}, "--examples 10000000, --hidden 1000"),
    ],
)
def test_sizes_that_no_machine_holds_are_refused(
    name: str, options: Mapping[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.sysconf", lambda name: 1 << 15)  # a gibibyte
    with pytest.raises(GencliError) as refused:
        CLAIMS[name](**options)
    assert refused.value.message.startswith(words)
    assert refused.value.hint


def test_a_hessian_that_does_not_fit_is_refused_before_it_is_computed():
    table = image_table(4, (40, 40, 3))
    with pytest.raises(GencliError, match=r"--arch mlp-3x512: the Hessian of 2,\d{3},\d{3} parameters"):
        check(WeightDecayConvexity(arch="mlp-3x512"), table)
    with pytest.raises(GencliError, match="--arch"):
        check(WeightDecayConvexity(arch="mpl-3x512"), table)


@pytest.mark.parametrize(
    ("name", "word", "low", "high", "options"),
    [
        ("sgd-regret", "eta=", 1e-3, 10, {"steps": 2}), ("sgd-nonmonotone", "eta=", 1e-3, 1e3, {}),
        ("prox-step", "lambda=", 0.1, 10, {"dimension": 2}),
    ],
)  # fmt: skip
def test_sizes_of_steps_are_drawn_from_the_range_of_the_help(
    name: str, word: str, low: float, high: float, options: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """Evenly in their logarithm."""
    monkeypatch.setattr("gencli.theory.sgd_regret._search", lambda *_: 0.0)
    monkeypatch.setattr("gencli.theory.prox_step.minimize", lambda f, start: start)
    monkeypatch.setattr(CLAIMS["sgd-nonmonotone"], "_network", lambda *_: iter(()))
    claim: Any = CLAIMS[name](instances=200, **options)
    found = [row.instance for row in claim.check(Draws(0, name), False, None) if isinstance(row, Row)]
    drawn = {float(each.partition(word)[2]) for each in found if word in each}
    assert len(drawn) == pytest.approx(200, abs=5)
    assert low <= min(drawn) < 1.2 * low * (high / low) ** 0.01
    assert high >= max(drawn) > high / 1.2 / (high / low) ** 0.01


def test_hinge_vectors_are_subgradients_of_the_hinge_loss():
    make: Any = CLAIMS["sgd-regret"]
    claim = make(dimension=3)
    random = np.random.default_rng(0)
    hinge = claim._vectors(random)["hinge"]
    for _ in range(200):
        w = random.standard_normal(3)
        v = hinge(w)
        assert not v.any() or -v @ w < 1
    assert not any(hinge(1e6 * w).any() and -hinge(1e6 * w) @ w > 1e-6 for w in np.eye(3))
    assert any(hinge(w).any() for w in np.eye(3))


def test_the_upper_limit_is_that_of_a_t_interval():
    values = np.random.default_rng(0).standard_normal(30) + 5
    error = values.std(ddof=1) / 30**0.5
    assert _upper(values) == pytest.approx(stats.t.interval(0.999, 29, values.mean(), error)[1])


if __name__ == "__main__":
    for name in CLAIMS:
        for found, tolerances in written(name):
            print(name, *(e if isinstance(e, str) else f"{float(e):.5g}" for e in [*found, *tolerances]), sep=" | ")
