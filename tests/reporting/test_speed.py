"""Orders that networks and kernels give kinds of data: their correlation, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import figures, speed
from gencli.reporting.against import Published
from gencli.reporting.documents import Document
from gencli.reporting.figures import Options
from gencli.reporting.forms import Kind
from gencli.reporting.panels import Lines
from gencli.reporting.plan import Plan
from gencli.reporting.settings import Settings
from gencli.reporting.speed import kendall, spearman, speed_table
from tests.reporting.made import data_step, history, read, training

LEVELS = (0.0, 0.5, 1.0)


def fitted(folder: Path, p: float, seed: int, epochs: int | None) -> Document:
    accuracies = [0.5] * 19 + [0.6] if epochs is None else [0.5] * (epochs - 1) + [1.0]
    return history(folder / f"{p}-{seed}.parquet", training(p, seed=seed), train_accuracy=accuracies)


def kernel(folder: Path, p: float, value: float, arch: str | None = None) -> Document:
    inputs = [provenance.source("data", f"train {p}", data_step("train", p), None)]
    if arch:
        inputs = [provenance.source("model", "m", training(0.0, arch=arch), None), *inputs]
    made = provenance.step("spectrum", {"kernel": "empirical" if arch else "ntk:2"}, inputs)
    rows = {
        "quantity": ["complexity", "complexity", "time to fit", "time to loss 0.01"], "class": [None, "a", None, None],
        "index": [None] * 4, "value": [value, 9.0, -value, math.inf],
    }  # fmt: skip
    return read(folder / f"kernel {p} {arch}.parquet", rows, made)


def documents(
    folder: Path, epochs: Sequence[Sequence[int | None]], values: Sequence[float]
) -> tuple[list[Document], ...]:
    runs = [fitted(folder, p, seed, n) for p, every in zip(LEVELS, epochs) for seed, n in enumerate(every)]
    return runs, [kernel(folder, p, value) for p, value in zip(LEVELS, values)]


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlations_are_scipys(seed: int):
    x, y = np.random.default_rng(seed).integers(0, 4, (2, 9)).astype(float)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y)[0])
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0])
    assert kendall(np.array([1, 1 + 1.1e-6]), np.array([1, 2.0])) == 1  # rounding is up to a millionth
    assert math.isnan(kendall(np.array([1, 1 + 0.9e-6]), np.array([1, 2.0])))
    x[0] = math.inf
    assert kendall(x, y) == pytest.approx(stats.kendalltau(np.where(np.isinf(x), 99, x), y)[0])
    assert math.isnan(kendall(np.ones(9), y))


def test_an_order_that_agrees_is_called_explained_and_others_are_told_apart(tmp_path: Path):
    table = speed_table(*documents(tmp_path, [[3, 4], [6, 7], [9, 15]], [1, 2, 3]), fitted_at=0.99)
    rows = table.rows.to_pylist()
    assert [row["epochs_to_fit"] for row in rows] == [3.5, 6.5, 12]
    assert [row["complexity"] for row in rows] == [1, 2, 3]
    assert [row["time_to_fit"] for row in rows] == [-1, -2, -3]
    measured, complexity, time, loss = table.notes
    assert measured.startswith("mlp-1x8, digits, ntk:2: measured random-labels p=0 (3.5 epochs) < random-labels p=0.5")
    assert "Kendall's tau 1.00 (95 % over runs: 1.00 to 1.00), Spearman's rho 1.00; of 6 orders 1 agree" in complexity
    assert complexity.endswith("it explains the measured order")
    assert "Kendall's tau -1.00" in time
    assert "0 of 3 pairs agree; it fails where the networks fit random-labels p=0 before random-labels p=0.5" in time
    assert "no order" in loss


def test_all_that_is_said_of_an_order_that_agrees_in_part(tmp_path: Path):
    table = speed_table(*documents(tmp_path, [[3, 4], [6, 7], [9, 15]], [1, 3, 2]), fitted_at=0.99)
    lead = "mlp-1x8, digits, ntk:2:"
    none, half, all_ = (f"random-labels p={p:g}" for p in LEVELS)
    assert table.notes == (
        f"{lead} measured {none} (3.5 epochs) < {half} (6.5 epochs) < {all_} (12 epochs)",
        f"{lead} by complexity {none} (1) < {all_} (2) < {half} (3): Kendall's tau 0.33 (95 % over runs: 0.33 to "
        "0.33), Spearman's rho 0.50; of 6 orders 3 agree as well or better; 2 of 3 pairs agree; "
        f"it fails where the networks fit {half} before {all_}",
        f"{lead} by time to fit {half} (-3) < {all_} (-2) < {none} (-1): Kendall's tau -0.33 (95 % over runs: -0.33 to "
        "-0.33), Spearman's rho -0.50; of 6 orders 5 agree as well or better; 1 of 3 pairs agree; "
        f"it fails where the networks fit {none} before {half}, {none} before {all_}",
        f"{lead} by time to loss 0.01 {none} (inf) = {half} (inf) = {all_} (inf): no order",
    )
    assert table.rows.to_pylist()[0] == {
        "network": "mlp-1x8", "data": "digits", "corruption": none, "kernel": "ntk:2", "runs": 2, "epochs_to_fit": 3.5,
        "epochs_to_fit_std": pytest.approx(0.5**0.5), "complexity": 1, "time_to_fit": -1, "time_to_loss": math.inf,
    }  # fmt: skip
    assert [len(each) for each in table.documents] == [3, 3, 3]
    assert table.scores == ("epochs_to_fit", "complexity", "time_to_fit", "time_to_loss")


def test_a_quantity_that_a_kernel_lacks_is_not_compared_and_true_labels_are_called_so(tmp_path: Path):
    runs, kernels = documents(tmp_path, [[3], [6], [9]], [1, 2, 3])
    lacking = [replace(kernel, place=slice(kernel.place.start + 1, kernel.place.stop)) for kernel in kernels]
    table = speed_table(runs, lacking, fitted_at=0.99)
    assert [note.split(": ")[1].partition(" random")[0] for note in table.notes] == [
        "measured", "by time to fit", "by time to loss 0.01",
    ]  # fmt: skip
    clean = history(tmp_path / "clean", training(None), train_accuracy=[1.0])
    inputs = [provenance.source("data", "train None", data_step("train", None), None)]
    rows = {"quantity": ["complexity"], "class": pa.array([None], pa.string()), "index": pa.array([None], pa.int64()),
            "value": [0.5]}  # fmt: skip
    of_clean = read(tmp_path / "k", rows, provenance.step("spectrum", {"kernel": "ntk:2"}, inputs))
    table = speed_table([clean, *runs], [of_clean, *kernels], fitted_at=0.99)
    assert table.notes[0].startswith("mlp-1x8, digits, ntk:2: measured true labels (1 epochs) < random-labels p=0 (3")
    assert "by complexity true labels (0.5) < random-labels p=0 (1)" in table.notes[1]
    assert len(table.notes) == 2


def test_runs_are_apart_where_none_is_as_slow_as_the_fastest_of_the_others():
    for one, other, apart in (([1, 2], [3, 4], True), ([1, 3], [3, 4], False), ([1, 4], [2, 3], False)):
        assert speed._apart(np.array(one), np.array(other)) == speed._apart(np.array(other), np.array(one)) == apart


def test_kinds_of_one_network_and_setting_are_compared_three_at_least(tmp_path: Path):
    made = speed_table(*documents(tmp_path, [[3, 4]], [1]), fitted_at=0.99)
    assert made.notes == ("mlp-1x8, digits, ntk:2: 1 kinds of data, too few for an order",)
    made = speed_table(*documents(tmp_path, [[3, 4], [5, 6]], [1, 2]), fitted_at=0.99)
    assert made.notes == ("mlp-1x8, digits, ntk:2: 2 kinds of data, too few for an order",)
    assert made.settings == ()
    runs = [history(tmp_path / f"{lr}", training(0.0, lr=lr), train_accuracy=[1.0]) for lr in (0.1, 0.2)]
    made = speed_table(runs, [kernel(tmp_path, 0.0, 1)], fitted_at=0.99)
    assert made.settings == ("lr",)
    assert made.rows["lr"].to_pylist() == [0.1, 0.2]
    assert len(made.notes) == 2


def test_what_the_runs_do_not_tell_apart_is_no_failure(tmp_path: Path):
    table = speed_table(*documents(tmp_path, [[3, 8], [6, 7], [9, 15]], [2, 1, 3]), fitted_at=0.99)
    assert table.notes[1].endswith("within the spread of the runs: random-labels p=0 and random-labels p=0.5")
    assert "2 of 3 pairs agree, and the runs do not tell the others apart clearly" in table.notes[2]


def test_an_interval_over_runs_is_that_of_all_that_can_be_drawn(tmp_path: Path):
    """Of the 64 equally likely means of two draws each 7 have tau -1, 19 have 1: the ends of 95 %, not of less."""
    table = speed_table(*documents(tmp_path, [[3, 30], [11, 21], [13, 40]], [1, 2, 3]), fitted_at=0.99)
    assert "Kendall's tau 0.33 (95 % over runs: -1.00 to 1.00)" in " ".join(table.notes)
    table = speed_table(*documents(tmp_path, [[3, 17, 2], [11, 14, 12], [16, 40, 50]], [1, 2, 3]), fitted_at=0.99)
    assert "Kendall's tau 1.00 (95 % over runs: 0.33 to 1.00)" in " ".join(table.notes)


def test_a_run_that_never_fits_is_slower_than_all_that_do(tmp_path: Path):
    table = speed_table(*documents(tmp_path, [[3], [None], [9]], [1, 2, 3]), fitted_at=0.99)
    assert [row["epochs_to_fit"] for row in table.rows.to_pylist()] == [3, None, 9]
    assert "(inf epochs)" in table.notes[0]
    assert "it fails where the networks fit random-labels p=1 before random-labels p=0.5" in table.notes[1]
    assert "one run each, so no interval" in table.notes[1]


def test_an_empirical_kernel_is_set_beside_its_own_network_alone(tmp_path: Path):
    runs, _ = documents(tmp_path, [[3], [6], [9]], [1, 2, 3])
    own, other = ([kernel(tmp_path, p, 1.0, arch) for p in LEVELS] for arch in ("mlp-1x8", "mlp-1x9"))
    assert speed_table(runs, own + other, 0.99).rows.num_rows == 3
    with pytest.raises(GencliError, match="no history was trained on this table"):
        speed_table(runs, other, 0.99)


def test_tables_of_other_data_and_missing_files_are_refused(tmp_path: Path):
    runs, kernels = documents(tmp_path, [[3], [6], [9]], [1, 2, 3])
    for given, words in ((runs, "no alignment, so no speed"), (kernels, "no history, so no speed")):
        with pytest.raises(GencliError, match=words):
            Plan(given, Settings(table="speed"), False)
    with pytest.raises(GencliError, match="nothing to draw"):
        Plan(kernels, Settings(), False)
    assert Plan(runs + kernels, Settings(), True).tables(None)[-1].name == "speed"


@pytest.mark.parametrize(("kind", "across", "ups"), [("energy", "index", 1), ("descent", "time", 2)])
def test_curves_are_of_all_classes_together_and_named_by_their_data(kind: Kind, across: str, ups: int, tmp_path: Path):
    rows = {"class": [None, None, None, "a"], "index": [1, 2, 10, 1], "eigenvalue": [3.0, 2, 1, 3]}
    rows |= {"energy": [0.5, 0.25, 0.25, 1], "cumulative": [0.5, 0.75, 1, 1]}
    if kind == "descent":
        rows = {"class": [None, None, None, "a"], "step": [0.0, 1, 10, 1], "time": [0.0, 1, 10, 1]}
        rows |= {"loss": [1, 0.5, 0.25, 1], "train_accuracy": [0.1, 0.75, 1, None]}
    found = [
        read(tmp_path / f"{p}.parquet", rows, provenance.step(
            "spectrum", {"kernel": "ntk:1"}, [provenance.source("data", f"{p}", data_step("train", p), None)]
        ))
        for p in (None, 1.0)
    ]  # fmt: skip
    assert {each.kind for each in found} == {kind}
    panels = figures.draw(kind, found, Options())
    assert len(panels) == ups
    for panel in panels:
        assert isinstance(panel, Lines)
        assert [curve.name for curve in panel.curves] == ["digits train, none", "digits train, random-labels p=1"]
    last = panels[-1]
    assert isinstance(last, Lines)
    assert list(last.curves[0].y) == ([0.5, 0.75, 1] if kind == "energy" else [0.75, 1])
    assert list(last.curves[0].x) == pytest.approx(np.log10([1, 2, 10] if kind == "energy" else [1, 10]))


def test_predictions_that_differ_by_rounding_are_a_tie(tmp_path: Path):
    table = speed_table(*documents(tmp_path, [[3, 4], [6, 7], [9, 15]], [1, 1 + 1e-12, 3]), fitted_at=0.99)
    assert "random-labels p=0 (1) = random-labels p=0.5 (1) < random-labels p=1 (3)" in table.notes[1]
    assert "2 of 3 pairs agree; it fails where the networks fit random-labels p=0 before" in table.notes[1]


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        ([[3, 4], [6, 7], [9, 15]], "it was measured here too; of its 3 pairs 3 as measured here"),
        (
            [[3, 8], [7, 4], [9, 15]],
            "the runs here do not tell whether theirs is another; of its 3 pairs 2 as measured",
        ),
        (
            [[3, 4], [3, 4], [9, 15]],
            "the runs here do not tell whether theirs is another; of its 3 pairs 2 as measured",
        ),
        (
            [[6, 7], [3, 4], [9, None]],
            "another was measured here (random-labels p=0.5 before random-labels p=0), so what explains the measured "
            "order need not explain this one; of its 3 pairs 2 as measured here, 2 as by complexity, 1 as by time",
        ),
    ],
)
def test_the_published_order_is_compared_with_the_measured_one(
    epochs: list[list[int | None]], said: str, tmp_path: Path
):
    given = [each for group in documents(tmp_path, epochs, [2, 1, 3]) for each in group]
    rows = ({"corruption": f"random-labels p={p:g}", "epochs_to_fit": str(5 + p)} for p in LEVELS)
    published = Published("p.csv", ("corruption", "epochs_to_fit"), tuple(rows), ("Zhang",))
    (table,) = Plan(given, Settings(table="speed"), False).tables(published)
    lead = "mlp-1x8, digits, ntk:2: published random-labels p=0 (5) < random-labels p=0.5 (5.5) < random-labels p=1 (6)"
    assert table.notes[-2].startswith(f"{lead}: {said}")
