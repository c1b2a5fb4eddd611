"""What a ranking of measures is made of: runs that were measured and tested alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import correlation, ranking
from gencli.reporting.documents import Document
from gencli.reporting.panels import Curve, Lines
from gencli.reporting.ranking import Ranked
from tests.reporting.made import data_step, history, measured, read, result, training

RATES = 0.1, 0.2, 0.3, 0.4, 0.5, 0.6


def trained(path: Path, step: provenance.Step, test: str, accuracy: float, loss: float = 0.05) -> Document:
    """A history with a test after its last epoch, on the table of this hash."""
    given = provenance.source("eval-data", test, data_step("test", None), None)
    whole = provenance.step("train", dict(step.arguments), [*step.inputs, given])
    return history(path, whole, train_accuracy=[1.0], test_accuracy=[accuracy], train_loss=[loss])


def measures(path: Path, step: provenance.Step, values: dict[str, float], rows: str = "train None") -> Document:
    """Measures on the table of this hash."""
    kinds = pa.schema({name: pa.string() for name in ("measure", "layer")} | {"value": pa.float64()}
                      | {name: pa.string() for name in ("source", "note")})  # fmt: skip
    table = [{"measure": name, "value": value} for name, value in values.items()]
    return read(path, pa.Table.from_pylist(table, schema=kinds), measured(step, rows, "train"))


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., list[Document]]:
    def made(more: Callable[[float], dict[str, Any]] = lambda lr: {}, test: Sequence[str] = ("same",),
             rows: str = "train None") -> list[Document]:  # fmt: skip
        found = []
        for place, lr in enumerate(RATES):
            step = training(**{"lr": lr} | more(lr))
            found.append(trained(tmp_path / f"h{place}.parquet", step, test[place % len(test)], 0.9 - lr / 2))
            found.append(measures(tmp_path / f"m{place}.parquet", step, {"weight_norm": lr, "flat": 1.0}, rows))
        return found

    return made


def test_a_measure_that_is_the_gap_predicts_it_and_a_constant_says_nothing(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    found = {row["measure"]: row for row in ranking.table(runs()).rows.to_pylist()}
    assert found["weight_norm"]["tau"] == 1
    assert found["weight_norm"]["says"] == "predicts"
    assert (found["flat"]["tau"], found["flat"]["says"]) == (None, "the same for all runs")
    twice = ranking.table([*runs(), *runs()])  # the same files again
    assert {row["measure"]: row for row in twice.rows.to_pylist()} == found
    short = [*runs(), measures(tmp_path / "more.parquet", training(lr=0.1), {"rare": 1.0})]
    assert {row["measure"]: row["says"] for row in ranking.table(short).rows.to_pylist()}["rare"] == "too few runs: 1"


def test_what_is_said_is_of_the_runs_that_are_ranked(runs: Callable[..., list[Document]], tmp_path: Path) -> None:
    """Not of a run without measures; and a measure that some runs lack is said to be of fewer."""
    other = history(tmp_path / "other.parquet", training(lr=9.0), train_accuracy=[1.0], train_loss=[7.0])
    fewer = [measures(tmp_path / f"f{place}.parquet", training(lr=lr), {"rare": 1 / lr}) for place, lr in
             enumerate(RATES[:5])]  # fmt: skip
    notes = ranking.table([*runs(), other, *fewer]).notes
    assert "training losses of 0.05 to 0.05" in notes[0]
    assert "1 exist for some of the runs only (column runs), and their tau is of those: rare" in notes


def test_seeds_of_start_and_order_are_no_hyper_parameters(runs: Callable[..., list[Document]]) -> None:
    found = ranking.collect(runs(lambda lr: {"lr": 0.1, "seed_init": int(10 * lr), "seed_order": int(20 * lr)}))
    assert found.settings == [{}] * len(RATES)
    assert len(set(found.seeds)) == len(RATES)


def test_measures_are_of_the_training_rows_and_each_of_one_value(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    with pytest.raises(GencliError, match=r"m0.parquet: measured on digits train, not on the rows of its training"):
        ranking.collect(runs(rows="other"))
    with pytest.raises(GencliError, match=r"digits train of which it saw a part .--subset"):
        ranking.collect(runs(lambda lr: {"subset": 0.7}))
    again = measures(tmp_path / "again.parquet", training(lr=0.1), {"weight_norm": 0.11})
    with pytest.raises(GencliError, match=r"again.parquet: weight_norm was measured twice, as 0.1 and 0.11"):
        ranking.collect([*runs(), again])
    step = training(lr=0.1)
    model = provenance.source("model", "m", step, None)
    for command, fits in (("corrupt subsample", True), ("data where", True), ("corrupt flip-labels", False)):
        part = provenance.step(command, {}, [provenance.source("data", "train None", data_step("train", None), None)])
        made = provenance.step("eval", {}, [model, provenance.source("data", "part", part, None)])
        kinds = {
            "measure": pa.string(),
            "layer": pa.string(),
            "value": pa.float64(),
            "source": pa.string(),
            "note": pa.string(),
        }
        table = pa.Table.from_pylist([{"measure": "other", "value": 1.0}], schema=pa.schema(kinds))
        sampled = [*runs(), read(tmp_path / f"{fits}.parquet", table, made)]
        if fits:
            assert "other" in ranking.collect(sampled).measures
        else:
            with pytest.raises(GencliError, match=r"not on the rows of its training"):
                ranking.collect(sampled)


def test_all_runs_are_tested_on_one_table_whatever_it_is_called(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    with pytest.raises(GencliError, match=r"h4.parquet, .*h5.parquet: tested on different tables"):
        ranking.collect(runs(test=["here", "there"]))
    beside = result(tmp_path / "beside.parquet", training(lr=0.1), [0.1, 0.2], "larger")
    with pytest.raises(GencliError, match=r"h5.parquet, .*beside.parquet: tested on different tables"):
        ranking.collect([*runs(test=["smaller"]), beside])


def test_only_the_first_table_that_a_history_was_tested_on_counts(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    found = runs()
    given = [provenance.source("eval-data", name, data_step("test", None), None) for name in ("same", "other")]
    step = training(lr=0.7)
    whole = provenance.step("train", dict(step.arguments), [*step.inputs, *given])
    path = tmp_path / "h6.parquet"
    found.append(history(path, whole, train_accuracy=[1.0], test_accuracy=[0.5], train_loss=[0.05]))
    found.append(measures(tmp_path / "m6.parquet", step, {"weight_norm": 0.7, "flat": 1.0}))
    assert len(ranking.collect(found).gaps) == 7


def test_runs_that_did_not_come_down_are_left_out_by_history_or_result(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    stopping = {"until_train_loss": 0.04}
    with pytest.raises(GencliError, match=r"0 of 6 runs have .*, 6 did not come down to --until-train-loss"):
        ranking.collect(runs(lambda lr: stopping))
    assert len(ranking.collect(runs(lambda lr: stopping if lr == 0.6 else {})).gaps) == 5

    def results(loss: float) -> list[Document]:
        found = [each for each in runs(lambda lr: stopping) if each.kind == "measures"]
        for place, lr in enumerate(RATES):
            step = training(**stopping | {"lr": lr})
            found.append(result(tmp_path / f"t{place}.parquet", step, [0.9 - lr, 0.9 - lr]))
            train = result(tmp_path / f"r{place}.parquet", step, [1.0, 1.0], "train None", loss=[loss] * 3)
            found.append(train)
        return found

    assert len(ranking.collect(results(0.04000001)).gaps) == 6
    with pytest.raises(GencliError, match="6 did not come down"):
        ranking.collect(results(0.041))


def test_a_ranking_does_not_depend_on_the_order_of_files(runs: Callable[..., list[Document]]) -> None:
    given = runs()
    assert ranking.table(given[::-1]).rows.equals(ranking.table(given).rows)


def test_a_run_that_comes_down_to_just_the_loss_is_ranked(runs: Callable[..., list[Document]]) -> None:
    ranked = ranking.collect(runs(lambda lr: {"until_train_loss": 0.05}))
    assert ranked.losses == "of 0.05 to 0.05"
    assert sorted(ranked.gaps) == pytest.approx([0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
    assert sorted(ranked.errors) == pytest.approx([0.15, 0.2, 0.25, 0.3, 0.35, 0.4])


def test_the_losses_are_told_with_how_many_runs_are_left_out(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    found = runs(lambda lr: {"until_train_loss": 1.0})
    stopped = training(lr=7.0, until_train_loss=1.0)
    found += [trained(tmp_path / "s.parquet", stopped, "same", 0.3, 1.5)]
    found += [measures(tmp_path / "sm.parquet", stopped, {"weight_norm": 7.0})]
    other = training(lr=9.0, until_train_loss=1.0)
    found += [trained(tmp_path / "o.parquet", other, "same", 0.1, 0.75)]
    found += [measures(tmp_path / "om.parquet", other, {"weight_norm": 9.0})]
    ranked = ranking.collect(found)
    assert ranked.losses == "of 0.05 to 0.75; without 1 runs that did not come down to --until-train-loss"
    assert len(ranked.gaps) == 7


def test_runs_that_lack_measures_or_results_are_not_ranked(runs: Callable[..., list[Document]], tmp_path: Path) -> None:
    alone = measures(tmp_path / "alone.parquet", training(lr=7.0), {"weight_norm": 7.0})
    tested = trained(tmp_path / "tested.parquet", training(lr=8.0), "same", 0.1)
    assert len(ranking.collect([*runs(), alone, tested]).gaps) == 6
    assert ranking.rankable(runs()[:10])
    assert not ranking.rankable(runs()[:9])
    assert ranking.panels(runs()[:9]) == []
    with pytest.raises(GencliError) as refused:
        ranking.collect([tested, *runs()[:9]])
    assert (
        str(refused.value)
        .splitlines()[0]
        .endswith("tested.parquet: 4 of 6 runs have measures, train and test accuracy; fewer than 5 say nothing")
    )
    stopped = [trained(tmp_path / f"x{lr}.parquet", training(lr=lr, until_train_loss=0.01), "same", 0.1)
               for lr in (7.0, 8.0)]  # fmt: skip
    with pytest.raises(GencliError, match=r"h0\.parquet: 4 of 7 runs .* accuracy, 2 did not come down to --until"):
        ranking.collect([*runs()[:9], *stopped])


def test_two_gaps_are_enough_and_one_is_not(runs: Callable[..., list[Document]], tmp_path: Path) -> None:
    found = [each for each in runs() if each.kind == "measures"]
    equal = [trained(tmp_path / f"e{place}.parquet", training(lr=lr), "same", 0.8) for place, lr in enumerate(RATES)]
    with pytest.raises(GencliError, match=r"m0\.parquet: all 6 runs have the same gap"):
        ranking.collect([*found, *equal])
    equal[3] = trained(tmp_path / "apart.parquet", training(lr=RATES[3]), "same", 0.7)
    assert sorted(ranking.collect([*found, *equal]).gaps) == pytest.approx([0.2] * 5 + [0.3])


def test_measures_on_data_count_before_those_without_and_those_of_layers_do_not(
    runs: Callable[..., list[Document]], tmp_path: Path
) -> None:
    step = training(lr=RATES[0])
    table = [
        {"measure": "weight_norm", "layer": None, "value": 5.0}, {"measure": "weight_norm", "layer": "0", "value": 6.0},
        {"measure": "unknown", "layer": None, "value": None}, {"measure": "margin", "layer": None, "value": 2.0},
        {"measure": "more", "layer": None, "value": 3.0}, {"measure": "parts", "layer": "0", "value": 6.0},
    ]  # fmt: skip
    kinds = pa.schema({"measure": pa.string(), "layer": pa.string(), "value": pa.float64(), "source": pa.string(),
                       "note": pa.string()})  # fmt: skip
    made = provenance.step("eval", {}, [provenance.source("model", "m", step, None)])
    without = read(tmp_path / "without.parquet", pa.Table.from_pylist(table, schema=kinds), made)
    for documents in ([*runs(), without], [without, *runs()]):
        found = ranking.collect(documents).measures
        assert found.keys() == {"weight_norm", "flat", "more"}
        assert set(found["weight_norm"]) == set(RATES)
        assert np.nansum(found["more"]) == 3


@pytest.mark.parametrize(
    ("archs", "told"),
    [
        (("mlp-1x8", "mlp-2x8"), [{"depth": "1"}, {"depth": "2"}]),
        (("mlp-1x8", "mlp-1x16"), [{"width": "8"}, {"width": "16"}]),
        (("mlp-1x8", "mlp-2x16"), [{"depth": "1", "width": "8"}, {"depth": "2", "width": "16"}]),
        (("mlp-1x8", "linear"), [{"arch": "mlp-1x8"}, {"arch": "linear"}]),
        (("mlp-1x8", "net-1x8"), [{"arch": "mlp-1x8"}, {"arch": "net-1x8"}]),
        (("mlp-1x8", "mlp-1x8-tanh"), [{"arch": "mlp-1x8"}, {"arch": "mlp-1x8-tanh"}]),
        (("mlp-1x8", "mlp-1x8"), [{}, {}]),
    ],
)
def test_the_settings_in_which_two_trainings_differ(
    archs: tuple[str, str], told: list[dict[str, str]], tmp_path: Path
) -> None:
    documents = [history(tmp_path / f"{n}.parquet", training(arch=arch), train_loss=[1.0])
                 for n, arch in enumerate(archs)]  # fmt: skip
    assert ranking.hyper_parameters(documents) == told


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        ((0.1, 0.9), "predicts"), ((0.0, 0.9), "nothing"), ((-0.1, 0.9), "nothing"), ((-0.9, 0.0), "nothing"),
        ((-0.9, -0.1), "the wrong way"), (None, "nothing"),
    ],
)  # fmt: skip
def test_what_an_interval_says(
    runs: Callable[..., list[Document]], monkeypatch: pytest.MonkeyPatch, interval: tuple[float, float] | None,
    says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(correlation, "interval", lambda again: interval)
    found = {row["measure"]: row for row in ranking.rank(ranking.collect(runs()), 0)}["weight_norm"]
    assert (found["tau_low"], found["tau_high"], found["says"]) == (*(interval or (None, None)), says)


def ranked(settings: dict[str, Hashable]) -> Ranked:
    gaps = np.array([0.1, 0.25, 0.3])
    return Ranked([settings] * 3, [0, 0, 0], {}, gaps, gaps, "of 0.1 to 0.2")


def test_all_that_is_said_of_a_ranking() -> None:
    rows: list[dict[str, Any]] = [
        {"measure": "a", "runs": 3, "says": "predicts", "tau": 0.9, "psi": 0.1, "psi_low": -0.5, "psi_high": -0.1,
         "psi_lr": 0.0, "psi_width": 0.5, "sign_error_worst": 0.5, "cmi": 0.2},
        {"measure": "b", "runs": 3, "says": "predicts", "tau": 0.8, "psi": -0.1, "psi_low": -0.5, "psi_high": 0.1,
         "psi_lr": 0.2, "psi_width": -0.1, "sign_error_worst": 0.55, "cmi": 0.3},
        {"measure": "e", "runs": 2, "says": "nothing", "tau": 0.1, "psi": 0.1, "psi_lr": -0.2, "psi_width": -0.2,
         "sign_error_worst": 0.6, "cmi": None},
        {"measure": "random", "runs": 3, "says": "nothing", "tau": 0.05, "psi": 0.1, "sign_error": 0.45,
         "sign_error_worst": 0.9, "cmi": None},
        {"measure": "c", "runs": 3, "says": "the wrong way", "tau": -0.5, "psi_lr": -0.1, "psi_width": -0.5,
         "sign_error_worst": 1.0, "cmi": 0.1},
        {"measure": "d", "runs": 3, "says": "the wrong way", "tau": -0.7, "psi_lr": -0.1, "psi_width": -0.5,
         "sign_error_worst": 0.1, "cmi": 0.1},
        {"measure": "f", "runs": 1, "says": "too few runs: 1", "tau": None},
    ]  # fmt: skip
    assert ranking.words(rows, ranked({"lr": "1", "width": "8"})) == (
        "3 runs, which differ in lr, width; gaps of 0.100 to 0.300, training losses of 0.1 to 0.2",
        "2 of 5 measures predict the gap, the interval of tau being above 0: a 0.90, b 0.80",
        "2 of 5 measures point the wrong way, the interval being below 0: d -0.70, c -0.50",
        "1 of 5 measures say nothing, the interval holding 0: e 0.10",
        "1 exist for some of the runs only (column runs), and their tau is of those: e",
        "1 that predict point the wrong way along some hyper-parameter alone (psi below 0): b",
        "3 of 5 are wrong more often than right in some pair of environments; "
        "random numbers have a mean sign error of 0.45",
        "the largest cmi is 0.300, of b; of random numbers it is 0.000",
    )
    few: list[dict[str, Any]] = [
        {"measure": "random", "runs": 3, "says": "nothing", "tau": 0.5, "cmi": 0.125},
        {"measure": "a", "runs": 3, "says": "nothing", "tau": 0.25, "cmi": 0.0625},
    ]
    assert ranking.words(few, ranked({})) == (
        "3 runs, which differ in their seeds alone; gaps of 0.100 to 0.300, training losses of 0.1 to 0.2",
        "0 of 1 measures predict the gap, the interval of tau being above 0",
        "0 of 1 measures point the wrong way, the interval being below 0",
        "1 of 1 measures say nothing, the interval holding 0: a 0.25",
        "the largest cmi is 0.062, of a; of random numbers it is 0.125",
    )


def test_a_panel_a_measure_shows_the_runs_that_have_it(runs: Callable[..., list[Document]], tmp_path: Path) -> None:
    fewer = [measures(tmp_path / f"f{place}.parquet", training(lr=lr), {"rare": -lr}) for place, lr in
             enumerate(RATES[:5])]  # fmt: skip
    found = ranking.panels([*runs(), *fewer])
    gaps = ranking.collect(runs()).gaps.tolist()
    rates = ranking.collect(runs()).measures["weight_norm"].tolist()
    fewest = [(-lr, gap) for lr, gap in zip(rates, gaps) if lr != RATES[5]]
    rare = Curve("runs", *([*each] for each in zip(*fewest)))
    assert found == [
        Lines("gap", "weight_norm, tau 1.00", [Curve("runs", rates, gaps)], dots=True, scatter=True),
        Lines("gap", "rare, tau -1.00", [rare], dots=True, scatter=True),
    ]
    assert gaps == pytest.approx([0.1 + lr / 2 for lr in rates])


def test_the_columns_of_a_ranking_and_those_of_nothing_are_left_out(runs: Callable[..., list[Document]]) -> None:
    table = ranking.table(runs())
    scores = ("tau", "tau_low", "tau_high", "tau_test_error", "tau_test_error_low", "tau_test_error_high")
    assert table.rows.column_names[:9] == ["measure", "runs", "says", *scores]
    assert table.scores == tuple(table.rows.column_names[3:])
    assert all(table.rows[name].null_count < 3 for name in table.scores)
    assert table.rows.column("measure").to_pylist()[::2] == ["weight_norm", "flat"]
    kept = table.rows.slice(0, 1).to_pylist()[0]
    assert (kept["runs"], kept["tau"], kept["tau_test_error"]) == (6, 1.0, 1.0)


def test_psi_is_the_mean_of_those_of_each_setting_with_the_interval_of_the_mean() -> None:
    settings: list[dict[str, Hashable]] = [{"lr": lr, "width": width} for lr in "12" for width in "456"]
    gaps = np.array([0.1, 0.2, 0.3, 0.0, 0.4, 0.5])
    found = Ranked(settings, [0] * 6, {"a": np.array([1.0, 2.0, 0.5, 4.0, 5.0, 0.25])}, gaps, 1 - gaps, "")
    row = next(row for row in ranking.rank(found, 3) if row["measure"] == "a")
    # along lr: 1 < 4 where the gap falls, 2 < 5 where it rises, 0.5 > 0.25 where it rises
    assert row["psi_lr"] == pytest.approx(-1 / 3)
    assert row["psi_width"] == pytest.approx((-1 / 3 - 1 / 3) / 2)
    assert row["psi"] == -0.33333333333
    one, gap = correlation.signs(found.measures["a"]), correlation.signs(gaps)
    weights = correlation.resamples(6, 3)
    again = [correlation.granulated(one, gap, correlation.alone(settings, [0] * 6, name), weights)
             for name in ("lr", "width")]  # fmt: skip
    assert (row["psi_low"], row["psi_high"]) == correlation.interval((again[0] + again[1]) / 2)
    assert row["psi_low"] < row["psi"] < row["psi_high"]
    assert row["says"] == "nothing"


def test_random_numbers_are_those_of_the_seed_and_a_tau_of_0_stands_between_the_signs() -> None:
    gaps = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    level = np.array([1.0, 2.0, 3.0, 3.0, 2.0, 1.0])  # as many pairs rise as fall
    known = {"down": -gaps, "level": level, "up": gaps, "two": np.array([1.0, 1, 1, 2, 2, 2])}
    rows = ranking.rank(Ranked([{}] * 6, [*range(6)], known, gaps, 1 - gaps, ""), 3)
    taus = {row["measure"]: row["tau"] for row in rows}
    drawn = np.random.default_rng([3, 1]).standard_normal(6)
    agree = sum(np.sign(drawn[i] - drawn[j]) for i in range(6) for j in range(i)) / 15
    assert taus["random"] == pytest.approx(agree)
    assert (taus["up"], taus["down"], taus["level"]) == (1, -1, 0)
    assert taus["two"] is not None
    assert [*taus.values()] == sorted(taus.values(), reverse=True)
