"""Double descent: which results are a curve, where the error peaks, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import descent, plan, settings
from gencli.reporting.documents import Document
from gencli.reporting.panels import Lines
from tests.reporting.made import data_step, history, result, training

SIZES = [5, 10, 20, 40, 80]
ERRORS = [0.5, 0.3, 0.9, 0.2, 0.1]


def features(
    folder: Path, errors: list[float] = ERRORS, on_train: bool = True, sizes: list[int] = SIZES
) -> list[Document]:
    """Results on the test and on 20 training rows of two classes, of these numbers of features."""
    made = []
    for size, error in zip(sizes, errors):
        step = provenance.step(
            "fit random-features",
            {"features": size, "seed": 0},
            [provenance.source("data", "20", data_step("train", None), None)],
        )
        norm = pa.array([None, None, 100.0 - abs(size - 20)], pa.float64())
        made.append(result(folder / f"{size}-test.parquet", step, [1 - error] * 2, norm=norm))
        if on_train:
            made.append(result(folder / f"{size}-train.parquet", step, [min(1, size / 20)] * 2, "20"))
    return made


def networks(folder: Path, errors: Sequence[float] = (0.5, 0.4, 0.3, 0.2, 0.1)) -> list[Document]:
    """Histories of five widths and two seeds; the third fits."""
    return [
        history(
            folder / f"{width}-{seed}.parquet", training(arch=f"mlp-1x{width}", seed=seed),
            test_accuracy=[1 - error + seed / 100], train_accuracy=[min(1, 0.8 + place / 10)],
        )
        for place, (width, error) in enumerate(zip(SIZES, errors))
        for seed in (0, 1)
    ]  # fmt: skip


def test_the_error_peaks_where_it_stands_above_both_sides(tmp_path: Path):
    (found,) = descent.descents(features(tmp_path), 0.99)
    assert (found.name, found.size, found.sizes, found.threshold, found.peak) == (
        "random-features",
        "features",
        SIZES,
        20,
        2,
    )
    table = descent.descent_table([found])
    (row,) = table.rows.to_pylist()
    assert row == {
        "network": "random-features", "threshold": 20, "peak": 20, "peak_over_threshold": 1.0,
        "peak_error": pytest.approx(0.9), "least_before": pytest.approx(0.3), "least_beyond": pytest.approx(0.1),
        "largest_norm": 20,
    }  # fmt: skip
    assert table.notes == (
        "random-features: test error rises from 0.3000 at features = 10 to 0.9000 at 20 (1.00 of the threshold, 20) "
        "and falls to 0.1000 at 80, less than before the peak; the norm is largest at 20",
    )


def test_settings_are_named_and_the_test_rows_of_the_same_data_are_not():
    named = {"network": "random-features", "data": "mnist", "scale": 0.02, "tested_on": "mnist test"}
    assert descent.Descent(named, "features", [], [], None, ()).name == "random-features, mnist, scale=0.02"


def test_a_setting_that_a_learner_has_not_is_empty(tmp_path: Path):
    (tmp_path / "networks").mkdir()
    mixed = descent.descents([*features(tmp_path), *networks(tmp_path / "networks")], 0.99)
    named = [{"network": "random-features", "lr": None}, {"network": "mlp-1xW", "lr": 0.1}]
    table = descent.descent_table([replace(each, named=own) for each, own in zip(mixed, named, strict=True)])
    assert table.rows["lr"].to_pylist() == [None, "0.1"]


def test_a_small_learner_that_knows_nothing_is_no_peak(tmp_path: Path):
    (found,) = descent.descents(features(tmp_path, [0.99, 0.3, 0.4, 0.35, 0.2]), 0.99)
    assert found.peak == 2
    (found,) = descent.descents(features(tmp_path, [0.9, 0.7, 0.5, 0.3, 0.1]), 0.99)
    assert found.peak is None
    said = "random-features: no peak: test error falls or rises throughout features = 5 to 80"
    assert descent.descent_table([found]).notes == (said,)
    (found,) = descent.descents(features(tmp_path, [0.1, 0.7, 0.7, 0.7, 0.9]), 0.99)
    assert found.peak is None


def test_the_threshold_of_widths_is_the_least_that_fits(tmp_path: Path):
    (found,) = descent.descents(networks(tmp_path), 0.99)
    assert (found.name, found.size, found.threshold, found.peak) == ("mlp-1xW", "width", 20, None)
    assert found.rows[0]["test_accuracy_std"] == pytest.approx(0.01 / 2**0.5)


@pytest.mark.parametrize(("peak", "shown"), [(0.36, True), (0.305, False)])
def test_a_peak_within_the_spread_of_the_runs_is_not_called_one(peak: float, shown: bool, tmp_path: Path):
    found = descent.descents(networks(tmp_path, [0.5, 0.3, peak, 0.3, 0.1]), 0.99)
    (note,) = descent.descent_table(found).notes
    assert ("the peak is within the spread of the runs, so none is shown" in note) != shown
    (found,) = descent.descents(networks(tmp_path), 0.99)
    (note,) = descent.descent_table([found]).notes
    assert note.endswith("throughout width = 5 to 80; the least that fits is 20")


def test_panels_are_over_the_threshold_which_is_marked(tmp_path: Path):
    test, train, norm = descent.panels(descent.descents(features(tmp_path), 0.99))
    assert isinstance(test, Lines)
    assert isinstance(train, Lines)
    assert isinstance(norm, Lines)
    assert [panel.title for panel in (test, train, norm)] == ["test error", "train error", "norm"]
    curve, mark = test.curves
    assert list(curve.x) == [0.25, 0.5, 1, 2, 4]
    assert list(curve.y) == pytest.approx(ERRORS)
    assert (mark.x, mark.y) == ((1, 1), (0, 1))
    assert list(train.curves[0].y) == [0.75, 0.5, 0, 0, 0]
    assert list(norm.curves[0].y) == [85, 90, 100, 80, 40]


def test_networks_are_drawn_against_their_width_with_a_mark_where_they_fit(tmp_path: Path):
    both = descent.panels(descent.descents([*features(tmp_path), *networks(tmp_path)], 0.99))
    assert [panel.title for panel in both][3:] == ["test error of networks", "train error of networks"]
    test, train = both[3:]
    assert isinstance(test, Lines)
    assert isinstance(train, Lines)
    assert (test.curves[0].marks, train.curves[0].marks) == ([(20, test.curves[0].y[2])], [(20, 0)])
    assert list(test.curves[0].x) == SIZES


def test_fewer_sizes_and_no_threshold_are_said(tmp_path: Path):
    few, unknown = features(tmp_path, sizes=SIZES[:3]), features(tmp_path, on_train=False)
    chosen = settings.Settings(table="double-descent")
    with pytest.raises(GencliError, match="no learners tested at four sizes"):
        plan.Plan(few, chosen, False).tables(None)
    (found,) = plan.Plan(unknown, chosen, False).tables(None)
    assert found.rows["peak_over_threshold"].to_pylist() == [None]
    with pytest.raises(GencliError, match="with their threshold"):
        plan.Plan(unknown, settings.Settings(plot="double-descent"), False).panels()
