"""What is shown of which files, and which options are refused there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.reporting.against import Published
from gencli.reporting.documents import Document, read_all
from gencli.reporting.plan import Plan
from gencli.reporting.settings import Settings
from tests.helpers import image_table
from tests.helpers import save as save_images
from tests.reporting.made import history, measured, read, result, training

ROWS: dict[str, dict[str, Any]] = {
    "predictions": {"id": [0], "label": [0], "prediction": [0], "probabilities": [[1.0]]},
    "confusion": {"label": [0], "name": ["a"], "a": [1]},
    "density": {"eigenvalue": [0.0, 1.0], "density": [1.0, 0.5]},
    "dynamics": {"id": [0], "label": [0], "first_learned": [1], "aum": [0.5], "confidence": [0.5],
                 "variability": [0.5]},
    "scores": {"id": [0], "label": [0], "runs": [1], "memorization": [0.5]},
    "influence": {"id": [0], "label": [0], "test_id": [0], "test_label": [0], "influence": [0.5],
                  "influence_se": [0.5]},
    "energy": {"class": pa.nulls(1, pa.string()), "index": [1], "eigenvalue": [1.0], "energy": [1.0],
               "cumulative": [1.0]},
    "descent": {"class": pa.nulls(1, pa.string()), "step": [1.0], "time": [1.0], "loss": [0.5],
                "train_accuracy": [0.5]},
    "benchmark": {"item": ["a"], "ours": [1.0], "peer": [2.0], "unit": ["s"], "ratio": [0.5], "bar": [1.0],
                  "met": ["yes"]},
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Document]:
    found = {kind: read(tmp_path / kind, rows, measured(training(), "test")) for kind, rows in ROWS.items()}
    found["history"] = history(tmp_path / "history", training(), test_accuracy=[0.5])
    found["result"] = result(tmp_path / "result", training(), [0.5])
    assert {name: each.kind for name, each in found.items()} == {name: name for name in found}
    return found


def planned(made: dict[str, Document], kinds: str, every: bool = False, **settings: Any) -> Plan:
    return Plan([made[kind] for kind in kinds.split()], Settings(**settings), every)


@pytest.mark.parametrize(
    ("kinds", "settings", "table", "plot"),
    [
        ("history", {}, "runs", None), ("result", {}, "classes", None), ("result history", {}, "runs", None),
        ("history", {"figure": "f.png"}, "runs", "curves"), ("result", {"figure": "f.png"}, "classes", "classes"),
        ("result history", {"figure": "f.png"}, "runs", "curves"),
        ("benchmark", {"figure": "f.png"}, "benchmark", None),
        ("history", {"plot": "regularizers"}, "runs", "regularizers"),
        ("history result", {"table": "classes"}, "classes", None),
        ("predictions", {}, None, "reliability"), ("confusion", {}, None, "confusion"),
        ("density", {}, None, "density"),
        ("dynamics", {}, None, "cartography"), ("scores", {}, None, "cartography"),
        ("influence scores", {}, None, "cartography"), ("energy", {}, None, "energy"), ("descent", {}, None, "descent"),
        ("scores", {"plot": "memorization"}, None, "memorization"), ("benchmark", {}, "benchmark", None),
        ("density history", {}, "runs", None), ("density result", {}, "classes", None),
    ],
)  # fmt: skip
def test_the_table_and_the_figure_are_by_the_kinds_of_files(
    made: dict[str, Document], kinds: str, settings: dict[str, Any], table: str | None, plot: str | None
) -> None:
    found = planned(made, kinds, **settings)
    assert (found.table, found.plot) == (table, plot)
    assert found.of("history", "density") == [made[kind] for kind in kinds.split() if kind in ("history", "density")]
    assert planned(made, "density", every=True).plot is None


@pytest.mark.parametrize(
    ("kinds", "settings", "said"),
    [
        ("benchmark history", {}, "benchmark: a benchmark has neither runs nor classes"),
        ("benchmark", {"table": "runs"}, "benchmark: a benchmark has neither runs nor classes"),
        ("benchmark", {"plot": "curves"}, "benchmark: a benchmark has neither runs nor classes"),
        ("benchmark", {"metric": ["ours"]}, "benchmark: a benchmark has neither runs nor classes"),
        ("result", {"table": "speed"}, "result: no history, so no speed"),
        ("history", {"table": "speed"}, "history: no alignment, so no speed"),
        ("history", {"table": "classes"}, "history: no result, so no classes"),
        ("history", {"plot": "confusion"}, "history: no confusion matrix, so no confusion"),
        ("result", {"plot": "curves"}, "result: no history, so no curves"),
        ("result", {"metric": ["accuracy"]}, "--metric: nothing here shows a metric"),
        ("history", {"metric": ["train_loss"], "plot": "regularizers"}, "--metric: nothing here shows a metric"),
        ("density", {"against": "p.csv"}, "--against: no table to compare with"),
        ("benchmark", {"against": "p.csv"}, "--against: no table to compare with"),
        ("result", {"best_on_test": True}, "--best-on-test: no history, so no epochs"),
        ("history result", {"best_on_test": True, "table": "classes"}, "--best-on-test: no epochs are shown"),
    ],
)
def test_what_files_or_options_do_not_go_together(
    made: dict[str, Document], kinds: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(GencliError) as refused:
        planned(made, kinds, **settings)
    assert refused.value.message.endswith(said)


@pytest.mark.parametrize(
    ("kinds", "settings"),
    [
        ("history", {"metric": ["train_loss"], "plot": "curves"}),
        ("result", {"metric": ["n"], "plot": "classes"}),
        ("result", {"metric": ["accuracy"], "table": "long-tail"}),
        ("history", {"best_on_test": True}),
        ("history result", {"best_on_test": True, "plot": "regularizers", "table": "classes"}),
        ("history", {"against": "p.csv"}),
    ],
)
def test_what_options_go_together(made: dict[str, Document], kinds: str, settings: dict[str, Any]) -> None:
    assert planned(made, kinds, **settings).documents


def test_a_page_has_all_tables_and_figures_and_refuses_metrics_that_no_file_has(made: dict[str, Document]) -> None:
    whole = planned(made, "result history density", every=True, metric=["train_loss"], best_on_test=True)
    assert [each.name for each in whole.tables(None)] == ["runs", "classes"]
    assert [name for name, _ in whole.every_panel()] == ["curves", "classes", "density"]
    titles = {name: [panel.title for panel in panels] for name, panels in whole.every_panel()}
    assert titles == {"curves": ["train loss"], "classes": ["accuracy"], "density": ["spectral density"]}
    chosen = planned(made, "result history", every=True, table="classes")
    assert [each.name for each in chosen.tables(None)] == ["classes", "runs"]
    assert [name for name, _ in chosen.every_panel()] == ["classes", "curves"]
    assert [each.name for each in planned(made, "result history", table="classes").tables(None)] == ["classes"]
    assert planned(made, "density", every=True).tables(None) == []
    with pytest.raises(GencliError, match="--metric: no file has 'train_los'") as refused:
        planned(made, "history result", every=True, metric=["train_loss", "train_los"])
    assert refused.value.hint == "did you mean train_loss?"


def test_published_figures_are_beside_the_table_that_has_them(made: dict[str, Document]) -> None:
    published = Published("p.csv", ("test_accuracy",), ({"test_accuracy": "0.25"},), ())
    runs, classes = planned(made, "history result", every=True).tables(published)
    assert runs.rows["published_test_accuracy"].to_pylist() == [0.25]
    assert "published_accuracy" not in classes.rows.column_names
    of_classes = Published("p.csv", ("name", "accuracy"), ({"name": "a", "accuracy": "0.25"},), ())
    runs, classes = planned(made, "history result", every=True).tables(of_classes)
    assert "published_accuracy" in classes.rows.column_names
    assert not [name for name in runs.rows.column_names if "published" in name]
    (only,) = planned(made, "history result", table="classes").tables(of_classes)
    assert "published_accuracy" in only.rows.column_names
    unknown = Published("p.csv", ("other",), ({"other": "0.25"},), ())
    with pytest.raises(GencliError, match=r"p\.csv: no column is a score of the table"):
        planned(made, "history result", every=True).tables(unknown)


def test_a_figure_of_files_that_lack_what_it_shows_is_refused(made: dict[str, Document], tmp_path: Path) -> None:
    assert planned(made, "history").panels() == []
    assert [each.title for each in planned(made, "density").panels()] == ["spectral density"]
    with pytest.raises(GencliError, match=r"result: no setup tested at two corruption levels$"):
        planned(made, "density result", plot="test-error").panels()
    untested = Plan([history(tmp_path / "history", training())], Settings(plot="regularizers"), False)
    with pytest.raises(GencliError, match=r"history: no history with a test accuracy$"):
        untested.panels()


def test_image_tables_alone_and_files_without_a_figure_are_refused(tmp_path: Path) -> None:
    save_images(image_table(9), tmp_path / "images.parquet")
    with pytest.raises(GencliError, match=r"images\.parquet: an image table, without results"):
        Plan(read_all([str(tmp_path / "images.parquet")]), Settings(), False)
    rows = {"quantity": ["a"], "class": pa.nulls(1, pa.string()), "index": pa.nulls(1, pa.int64()), "value": [1.0]}
    with pytest.raises(GencliError, match=r"alignment: nothing to draw"):
        Plan([read(tmp_path / "alignment", rows, measured(training(), "test"))], Settings(), False)


def test_the_options_of_the_tables_are_kept(made: dict[str, Document]) -> None:
    metric = ["accuracy"]
    plain = {"fitted_at": 0.99, "metric": None, "best_on_test": False}
    assert planned(made, "benchmark").arguments() == plain | {"table": None}
    assert planned(made, "result", plot="classes", metric=metric).arguments() == plain | {"table": "classes"}
    assert planned(made, "result", table="long-tail", metric=metric, fitted_at=0.5).arguments() == {
        "table": "long-tail", "fitted_at": 0.5, "metric": metric, "best_on_test": False,
    }  # fmt: skip


def test_learners_of_four_sizes_are_folded_where_they_are_shown_by_size(tmp_path: Path) -> None:
    learners = [
        history(tmp_path / f"{width}", training(arch=f"mlp-1x{width}"), test_accuracy=[0.5], train_accuracy=[1.0])
        for width in (2, 4, 8, 16)
    ]  # fmt: skip
    words = "of each learner by itself; Double descent shows them by their size"
    names = "curves", "overfit-time", "test-error", "classes", "runs", "double-descent"
    assert [Plan(learners, Settings(), True).folded(name) for name in names] == [words] * 4 + ["", ""]
    assert Plan(learners[:3], Settings(), True).folded("curves") == ""
    tested = [result(tmp_path / "r", training(arch="mlp-1x2"), [0.5], "train None"), *learners]
    assert Plan(tested, Settings(table="classes"), True).folded("classes") == ""
    assert Plan(tested, Settings(table="runs"), True).folded("classes") == words
