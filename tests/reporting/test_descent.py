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
from gencli.reporting.panels import Curve, Lines
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


def made(
    errors: Sequence[float], size: str = "features", threshold: int | None = 20, **more: Sequence[float | None]
) -> descent.Descent:
    rows = [{"test_accuracy": 1 - error} | {name: values[place] for name, values in more.items()}
            for place, error in enumerate(errors)]  # fmt: skip
    return descent.Descent(
        {"network": "a"}, size, [1000 * 2**place for place in range(len(errors))], rows, threshold, ()
    )


@pytest.mark.parametrize(
    ("errors", "peak"),
    [
        ([0.5, 0.5, 0.5, 0.5], None), ([0.5, 0.75, 0.75, 0.5], 1), ([0.25, 0.5, 0.25, 0.75], 1),
        ([0.75, 0.25, 0.5, 0.25], 2), ([0.75, 0.5, 0.5, 0.25], None), ([0.25, 0.5, 0.5, 0.75], None),
        ([0.25, 0.75, 0.5, 0.625, 0.25], 1),
    ],
)  # fmt: skip
def test_the_peak_stands_above_the_least_errors_on_both_sides(errors: list[float], peak: int | None) -> None:
    assert made(errors).peak == peak


def test_all_that_is_said_of_a_descent() -> None:
    rises = "a: test error rises from 0.2500 at features = 1,000 to 0.7500 at 2,000"
    falls = " and falls to 0.5000 at 8,000, no less than before the peak"
    errors = [0.25, 0.75, 0.625, 0.5]
    norms: list[float | None] = [1.0, 3.0, 2.0, 1.0]
    some: list[float | None] = [1.0, 3.0, None, 1.0]
    largest = "; the norm is largest at 2,000"
    for found, said in (
        (made(errors), f"{rises} (100.00 of the threshold, 20){falls}"),
        (made(errors, threshold=None), rises + falls),
        (made(errors, threshold=4000, norm=norms), f"{rises} (0.50 of the threshold, 4,000){falls}{largest}"),
        (made(errors, threshold=None, norm=some), rises + falls),
        (made([*errors[:3], 0.25], threshold=None), f"{rises} and falls to 0.2500{falls[20:]}"),
        (
            made([*errors[:3], 0.125], threshold=None),
            f"{rises} and falls to 0.1250 at 8,000, less than before the peak",
        ),
    ):
        assert descent.descent_table([found]).notes == (said,)
    none = "a: no peak: test error falls or rises throughout width = 1,000 to 8,000; "
    falling = [0.75, 0.5, 0.25, 0.125]
    assert descent.descent_table([made(falling, "width", None)]).notes == (f"{none}none is known to fit",)
    assert descent.descent_table([made(falling, "width", 2000)]).notes == (f"{none}the least that fits is 2,000",)


@pytest.mark.parametrize(
    ("deviations", "unclear"),
    [
        ([0.0, 0.0, 0.0, 0.0], False),
        ([None, None, None, None], False),
        ([0.25, 0.25, 0.0, 0.0], True),
        ([0.125, 0.125, 0.0, 0.0], False),
        ([0.0, 0.125, 0.0, 0.125], True),
        ([0.0, 0.0, 0.5, 0.0], False),
    ],
)
def test_a_peak_is_unclear_where_its_spread_reaches_that_of_a_side(
    deviations: list[float | None], unclear: bool
) -> None:
    """Of 0.75 between 0.25 and 0.5."""
    (note,) = descent.descent_table([made([0.25, 0.75, 0.625, 0.5], test_accuracy_std=deviations)]).notes
    assert note.endswith("; the peak is within the spread of the runs, so none is shown") == unclear


def test_panels_have_the_axes_of_what_they_show() -> None:
    errors, norms = [0.25, 0.75, 0.625, 0.5], [1.0, 3.0, 2.0, None]
    of_features = made(errors, threshold=2000, norm=norms, test_accuracy_std=[0.125] * 4)
    mark, across = "least width that fits", [0.5, 1.0, 2.0, 4.0]
    gaps = [None] * 4
    assert descent.panels([of_features]) == [
        Lines("test error", "features / threshold", [
            Curve("a", across, errors, [0.125] * 4, []), Curve("threshold, the published peak", (1, 1), (0, 1)),
        ], (0, 1), dots=True, mark=mark, log_across=True),
        Lines("norm", "features / threshold", [
            Curve("a", across, norms, gaps, []), Curve("threshold, the published peak", (1, 1), (1.0, 3.0)),
        ], None, dots=True, log=True, mark=mark, log_across=True),
    ]  # fmt: skip
    of_width = made(errors, "width", 4000)
    assert descent.panels([of_width, made(errors, threshold=None)]) == [
        Lines("test error of networks", "width", [Curve("a", of_width.sizes, errors, gaps, [(4000, 0.625)])], (0, 1),
              dots=True, mark=mark, log_across=True),
    ]  # fmt: skip
