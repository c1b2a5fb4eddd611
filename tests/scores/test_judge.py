"""What is judged is scikit-learn's: AUROC and average precision, with ties, weights and rows never learned."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from gencli.errors import GencliError
from gencli.scores import judge as module
from gencli.scores.judge import Ranking, judge, reversed_scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_the_measures_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    wrong = random.random(200) < 0.2
    suspicion = random.normal(0, 1, 200) + wrong
    suspicion = suspicion.round() if ties else suspicion
    weights = random.multinomial(200, np.full(200, 1 / 200))
    for given in (None, weights):
        auroc, precision, _ = Ranking(suspicion, wrong).measures(given)
        assert auroc == pytest.approx(roc_auc_score(wrong, suspicion, sample_weight=given), abs=1e-12)
        assert precision == pytest.approx(average_precision_score(wrong, suspicion, sample_weight=given), abs=1e-12)


def test_places_of_rows_may_need_another_byte_than_the_rows() -> None:
    for rows in (255, 256, 257):
        wrong = np.arange(rows) >= rows - 3
        auroc, precision, _ = Ranking(-np.arange(float(rows)), wrong).measures()
        assert auroc == 0
        assert precision == pytest.approx(np.mean([k / (rows - 3 + k) for k in (1, 2, 3)]))


def test_the_false_negative_rate_is_the_mean_over_orders_of_ties() -> None:
    random = np.random.default_rng(0)
    wrong, suspicion = random.random(60) < 0.3, random.integers(0, 4, 60).astype(float)
    missed = []
    for _ in range(4000):
        order = np.lexsort((random.random(60), -suspicion))
        missed.append(1 - wrong[order[: wrong.sum()]].sum() / wrong.sum())
    assert Ranking(suspicion, wrong).measures()[2] == pytest.approx(np.mean(missed), abs=0.005)


@pytest.mark.parametrize("seed", range(40))
def test_a_resample_counts_as_the_rows_that_it_repeats(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)
    random = np.random.default_rng(seed)
    rows, kinds = np.flatnonzero(random.random(80) < 0.5), int(random.integers(2, 60))
    wrong, suspicion = random.random(len(rows)) < 0.3, random.integers(0, kinds, len(rows)).astype(float)
    weights = random.multinomial(80, np.full(80, 1 / 80))
    found = Ranking(suspicion, wrong, rows).measures(weights.astype(np.uint8), np.full((2, 81), -1))
    suspicion, wrong = suspicion.repeat(weights[rows]), wrong.repeat(weights[rows])
    assert found[:2] == pytest.approx([f(wrong, suspicion) for f in (roc_auc_score, average_precision_score)])
    cut = np.sort(suspicion)[::-1][wrong.sum() - 1]
    tie = suspicion == cut
    hit = wrong[suspicion > cut].sum() + (wrong.sum() - (suspicion > cut).sum()) * wrong[tie].mean()
    assert found[2] == pytest.approx(1 - hit / wrong.sum())


def test_resamples_are_draws_of_as_many_rows() -> None:
    one, other = (np.random.Generator(np.random.Philox(1)) for _ in range(2))
    for _ in range(2):
        drawn = other.integers(0, 40_001, 40_001)
        assert (module._resample(one, 40_001) == np.bincount(drawn, minlength=40_001)).all()


def table(rows: int = 300) -> pa.Table:
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, rows)
    wrong = random.random(rows) < 0.2
    aum = random.normal(0, 1, rows) - 2 * wrong
    learned = np.where(wrong & (aum < -3), np.nan, random.integers(1, 9, rows) + 2.0 * wrong)
    memorized = np.where(np.arange(rows) < 50, np.nan, 0.5 + wrong)
    return pa.table({
        "id": range(rows), "label": labels, "label_true": (labels + wrong) % 5, "runs": [1] * rows,
        "aum": aum, "learned": pa.array(learned, mask=np.isnan(learned)),
        "memorization": pa.array(memorized, mask=np.isnan(memorized)),
    })  # fmt: skip


def test_each_score_points_its_way_and_what_was_never_learned_is_last() -> None:
    scores = table()
    found = {row["score"]: row for row in judge(scores, "", 0).to_pylist()}
    wrong = np.asarray(scores["label"]) != np.asarray(scores["label_true"])
    assert found["aum"]["auroc"] == pytest.approx(roc_auc_score(wrong, -np.asarray(scores["aum"])))
    learned = np.nan_to_num(scores["learned"].to_numpy(), nan=1e9)
    assert found["learned"]["auroc"] == pytest.approx(roc_auc_score(wrong, learned))
    assert found["learned"]["n"] == 300
    assert (found["memorization"]["n"], found["memorization"]["wrong"]) == (250, wrong[50:].sum())
    assert (found["memorization"]["auroc"], found["memorization"]["false_negative_rate"]) == (1, 0)
    assert next(iter(found)) == "memorization"


def test_intervals_hold_the_value_and_are_as_wide_as_theory_says() -> None:
    scores = table(1000)
    found = {row["score"]: row for row in judge(scores, "", 0).to_pylist()}["aum"]
    wrong, suspicion = np.asarray(scores["label"]) != np.asarray(scores["label_true"]), -np.asarray(scores["aum"])
    above = suspicion[wrong][:, None] > suspicion[~wrong]
    parts = [above.mean(axis).var(ddof=1) / above.shape[1 - axis] for axis in (0, 1)]
    expected = 2 * 1.96 * sum(parts) ** 0.5  # DeLong, DeLong, Clarke-Pearson 1988
    assert found["auroc_high"] - found["auroc_low"] == pytest.approx(expected, rel=0.15)
    for measure in ("auroc", "average_precision", "false_negative_rate"):
        assert found[f"{measure}_low"] < found[measure] < found[f"{measure}_high"]


@pytest.mark.parametrize("words", ["no column label_true", "every label is", "every label differs", "no scores"])
def test_what_cannot_be_judged_is_refused(words: str) -> None:
    scores = table().drop_columns(["label_true"])
    labels = scores["label"].to_numpy()
    if words != "no column label_true":
        true = {"every label is": labels, "every label differs": labels + 1, "no scores": np.zeros(len(labels), int)}
        scores = scores.append_column("label_true", pa.array(true[words]))
    if words == "no scores":
        scores = scores.drop_columns(["aum", "learned", "memorization"])
    with pytest.raises(GencliError, match=words):
        judge(scores, "t", 0)


def test_scores_that_point_the_other_way_are_named() -> None:
    rows = table()
    wrong = rows["label"].to_numpy() != rows["label_true"].to_numpy()
    given = rows.append_column("variability", pa.array(np.where(wrong, 0.1, 0.2)))
    said = reversed_scores(judge(given.select(["id", "label", "label_true", "variability"]), "t", 0))
    assert said == [
        "variability: AUROC 0.00, its interval below 0.5: here low values are of wrong rows, reversed to high"
    ]


HIGH = {
    "first_learned", "learned", "forgotten", "variability", "el2n", "loss_mean", "loss_last", "memorization",
    "confident_learning", "held_out_confident_learning",
}  # fmt: skip
LOW = {
    "aum", "confidence", "correctness", "self_confidence", "normalized_margin", "held_out_self_confidence",
    "held_out_normalized_margin",
}  # fmt: skip
ENDLESS = {"first_learned", "learned", "forgotten"}


def test_which_values_speak_of_wrong_rows_and_which_are_beyond_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the six rows the first two are wrong, and the first has no value."""
    monkeypatch.setattr(module, "RESAMPLES", 2)
    values = pa.array([None, 2.0, 1.0, 1.0, 1.5, 3.0])
    rows = pa.table({"label": [0] * 6, "label_true": [1, 1, 0, 0, 0, 0]} | dict.fromkeys([*HIGH, *LOW], values))
    found = {row["score"]: row for row in judge(rows, "t", 0).to_pylist()}
    assert {name for name, row in found.items() if row["wrong_is"] == "high"} == HIGH
    assert {name for name, row in found.items() if row["wrong_is"] == "low"} == LOW
    for name, row in found.items():
        assert (row["n"], row["wrong"]) == ((6, 2) if name in ENDLESS else (5, 1))
        assert row["auroc"] == pytest.approx(7 / 8 if name in ENDLESS else 0.75 if name in HIGH else 0.25)
        assert row["false_negative_rate"] == (0.5 if name in ENDLESS else 1)
    aurocs = [row["auroc"] for row in judge(rows, "t", 0).to_pylist()]
    assert aurocs == sorted(aurocs, reverse=True)


def test_rows_of_one_kind_have_no_measures() -> None:
    ranking = Ranking(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    for weights in ([1, 0, 2], [0, 4, 0]):
        assert np.isnan(ranking.measures(np.array(weights, np.uint8))).all()
    assert ranking.measures(np.array([1, 2, 1], np.uint8)) == pytest.approx((0.5, 0.75, 0.5))


def test_a_score_of_rows_of_one_kind_alone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 2)
    both = {"label": [0, 0, 0], "label_true": [1, 0, 0], "el2n": [1.0, 2.0, 3.0]}
    for aum in ([None, 1.0, 2.0], [1.0, None, None]):
        rows = judge(pa.table(both | {"aum": aum}), "t", 0)
        assert rows["score"].to_pylist() == ["el2n"]


@pytest.mark.parametrize(("high", "named"), [(0.49, True), (0.5, False)])
def test_a_score_is_reversed_where_its_whole_interval_is(high: float, named: bool) -> None:
    rows = [{"score": "aum", "wrong_is": "low", "auroc": 0.3, "auroc_high": high}]
    said = "aum: AUROC 0.30, its interval below 0.5: here high values are of wrong rows, reversed to low"
    assert reversed_scores(pa.Table.from_pylist(rows)) == ([said] if named else [])
