"""Rows removed by a score and at random: which runs are compared, the intervals of scipy, the answer in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gencli.cli import app
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import figures, removal, tables
from gencli.reporting.documents import Document
from gencli.reporting.groups import Table
from gencli.reporting.panels import Lines
from tests.reporting.made import history

RUNS = {
    ("", 0.0): [0.90, 0.91, 0.92], ("memorization", 0.1): [0.80, 0.82, 0.81], ("memorization", 0.2): [0.88, 0.79, 0.84],
    ("random", 0.1): [0.90, 0.89, 0.91, 0.88], ("random", 0.2): [0.87, 0.85, 0.80],
}  # fmt: skip


def trained(way: str, share: float, seed: int, base: str = "base", **more: Any) -> provenance.Step:
    data = provenance.source("data", base, provenance.step("data digits", {"split": "train"}), None)
    if way not in ("", "random"):
        arguments = {"p": share, "by": way, "lowest": more.pop("lowest", False), "scores": None, "seed": 0}
        data = provenance.source(
            "data", f"{base}{way}{share}", provenance.step("corrupt prune", arguments, [data]), None
        )
    subset = {"random": round(1 - share, 9)}.get(way)
    return provenance.step("train", {"arch": "mlp-1x8", "lr": 0.1, "seed": seed, "subset": subset} | more, [data])


def documents(path: Path, runs: dict[Any, list[float]], **more: Any) -> list[Document]:
    return [
        history(
            path / f"{way}{share}-{seed}-{len(more)}.parquet", trained(way, share, seed, **more), test_accuracy=[value]
        )
        for (way, share), values in runs.items()
        for seed, value in enumerate(values)
    ]


def tabled(given: list[Document]) -> Table:
    table = removal.removal_table(given)
    assert table is not None
    return table


def rows(table: Any) -> dict[Any, dict[str, Any]]:
    return {(row["removed_by"], row["removed"]): row for row in table.rows.to_pylist()}


def test_differences_and_intervals_are_those_of_welchs_test(tmp_path: Path) -> None:
    table = tabled(documents(tmp_path, RUNS))
    found = rows(table)
    assert list(found) == [("", 0), ("highest memorization", 0.1), ("highest memorization", 0.2)]
    for share in (0.1, 0.2):
        ours, others = RUNS["memorization", share], RUNS["random", share]
        row = found["highest memorization", share]
        low, high = stats.ttest_ind(others, ours, equal_var=False).confidence_interval(0.975)  # two shares
        assert (row["runs"], row["random_runs"]) == (3, len(others))
        np.testing.assert_allclose(row["difference"], np.mean(others) - np.mean(ours))
        np.testing.assert_allclose([row["difference_low"], row["difference_high"]], [low, high], rtol=1e-9)
    assert [row["costs"] for row in found.values()] == [None, "more", "not shown"]
    assert "Yes, at 10 %; not shown at 20 %. At 10 %: 0.8100 against 0.8950 at random" in table.notes[0]


def test_the_curve_begins_with_all_rows_and_has_students_intervals(tmp_path: Path) -> None:
    (panel,) = removal.removal(documents(tmp_path, RUNS))
    assert isinstance(panel, Lines)
    by_score, at_random = panel.curves
    assert (by_score.name, at_random.name) == ("highest memorization", "at random")
    assert list(by_score.x) == [0, 0.1, 0.2]
    for place, values in enumerate((RUNS["", 0.0], RUNS["random", 0.1], RUNS["random", 0.2])):
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        np.testing.assert_allclose(at_random.spread[place], (high - low) / 2)  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert figures.test_error(documents(tmp_path, RUNS), figures.Options()) == []  # no level of a corruption


def test_only_runs_alike_in_all_else_are_compared(tmp_path: Path) -> None:
    pruned = {key: values for key, values in RUNS.items() if key[0] != "random"}
    others = {key: values for key, values in RUNS.items() if key[0] == "random"}
    for more in ({"base": "other"}, {"lr": 0.2}, {"epochs": 3}):
        table = tabled(documents(tmp_path, pruned) + documents(tmp_path, others, **more))
        assert all(row["difference"] is None for row in table.rows.to_pylist()), more
        assert "Not shown: no share is removed both ways; train --subset 1-p removes p at random." in table.notes[0]
    table = tabled(documents(tmp_path, RUNS) + documents(tmp_path, {("memorization", 0.1): [0.9, 0.91]}, lowest=True))
    assert {("lowest memorization", 0.1), ("highest memorization", 0.1)} < set(rows(table))
    assert len(table.notes) == 3


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ([(0.01, 0.03), (0.02, 0.04)], "Yes, at 10 % and 20 %."),
        ([(0.01, 0.03), (-0.02, 0.04)], "Yes, at 10 %; not shown at 20 %."),
        ([(-0.03, -0.01), (-0.02, 0.04)], "No, it costs less at 10 %; not shown at 20 %."),
        ([(-0.03, -0.01), (0.01, 0.04)], "Both: more at 20 %, less at 10 %."),
        ([(-0.03, 0.01), (0, 0.04)], "Not shown: at 10 % and 20 % the interval of the difference holds 0."),
        ([(None, None), (None, None)], "Not shown at 10 % and 20 %: runs without a spread have no interval."),
    ],
)
def test_the_answer_is_in_the_numbers(bounds: list[tuple[Any, Any]], said: str) -> None:
    compared = [
        {
            "removed": share, "test_accuracy": 0.8, "random_accuracy": 0.8, "difference": 0.0, "difference_low": low,
            "difference_high": high,
            "costs": "not shown" if low is None or low <= 0 <= high else "more" if low > 0 else "less",
        }
        for share, (low, high) in zip((0.1, 0.2), bounds, strict=True)
    ]  # fmt: skip
    assert f"than removing as many at random? {said} At" in removal.answer("highest aum", compared)


def test_one_run_or_runs_without_spread_show_nothing(tmp_path: Path) -> None:
    for values in ([0.9], [0.9, 0.9]):
        runs = {("memorization", 0.1): values, ("random", 0.1): [each - 0.1 for each in values]}
        (row,) = tabled(documents(tmp_path, runs)).rows.to_pylist()
        assert row["difference_low"] is None
        assert row["costs"] == "not shown"


def test_the_page_and_the_table_have_the_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = {document.file for document in documents(tmp_path, RUNS)}
    assert app.main(["report", *sorted(files), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Yes, at 10 %; not shown at 20 %." in page
    assert page.count("Rows removed by a score, and at random</h2>") == 1  # above the table and the figure
    assert "share of training rows removed" in page
    assert app.main(["report", *sorted(files), "--table", "removal", "--plot", "removal"]) == 0
    assert "Yes, at 10 %; not shown at 20 %." in capfd.readouterr().out


def test_without_rows_removed_by_a_score_there_is_no_table(tmp_path: Path) -> None:
    given = documents(tmp_path, {key: values for key, values in RUNS.items() if key[0] != "memorization"})
    with pytest.raises(GencliError, match="no test accuracy of a network trained on rows that corrupt prune left"):
        tables.make("removal", given, figures.Options())


def compared(
    removed: float, ours: float, others: float, bounds: tuple[float, float] | None, costs: str
) -> dict[str, Any]:
    low, high = bounds or (None, None)
    return {"removed": removed, "test_accuracy": ours, "random_accuracy": others, "difference": others - ours,
            "difference_low": low, "difference_high": high, "costs": costs}  # fmt: skip


def test_the_answer_tells_of_the_largest_difference_with_its_interval() -> None:
    lead = "Does removing the rows of highest aum cost more test accuracy than removing as many at random?"
    more, less = compared(0.1, 0.75, 0.875, (0.01, 0.24), "more"), compared(0.25, 0.5, 0.4375, None, "not shown")
    assert removal.answer("highest aum", [more, less]) == (
        f"{lead} Yes, at 10 %; not shown at 25 %. At 10 %: 0.7500 against 0.8750 at random, a difference of 12.50 "
        "points (1.00 to 24.00)."
    )
    smaller = compared(0.1, 0.75, 0.78125, (-0.01, 0.0725), "not shown")
    assert removal.answer("highest aum", [smaller, less]) == (
        f"{lead} Not shown: at 10 % and 25 % the interval of the difference holds 0. At 25 %: 0.5000 against 0.4375 at "
        "random, a difference of -6.25 points."
    )
    three = [compared(share, 0.5, 0.75, (0.125, 0.375), "more") for share in (0.1, 0.2, 0.305)]
    assert f"{lead} Yes, at 10 %, 20 % and 30.5 %. At 10 %: " in removal.answer("highest aum", three)


def test_a_row_has_all_that_is_compared_and_only_one_way_of_removal_counts(tmp_path: Path) -> None:
    runs = {("memorization", 0.25): [0.5, 0.75], ("random", 0.25): [0.75, 1.0, 0.875], ("random", 0.5): [0.5]}
    both = history(tmp_path / "both.parquet", trained("memorization", 0.25, 7, subset=0.5), test_accuracy=[0.125])
    table = tabled([*documents(tmp_path, runs), both])
    low, high = stats.ttest_ind([0.75, 1.0, 0.875], [0.5, 0.75], equal_var=False).confidence_interval(0.95)
    (row,) = table.rows.to_pylist()
    assert {name: value for name, value in row.items() if name not in ("network", "data")} == {
        "removed_by": "highest memorization", "removed": 0.25, "runs": 2, "test_accuracy": 0.625,
        "test_accuracy_std": pytest.approx(0.03125**0.5), "random_runs": 3, "random_accuracy": 0.875,
        "random_accuracy_std": 0.125, "difference": 0.25, "difference_low": pytest.approx(low),
        "difference_high": pytest.approx(high), "costs": "not shown",
    }  # fmt: skip
    assert table.settings == ("removed",)
    assert [len(each) for each in table.documents] == [5]
    assert table.notes[0].startswith("Does removing the rows of highest memorization cost more")
    (panel,) = removal.removal(documents(tmp_path, runs))
    assert isinstance(panel, Lines)
    assert (panel.title, panel.across, panel.dots) == (
        "test accuracy, 95 % intervals", "share of training rows removed", True,
    )  # fmt: skip
    assert [(curve.name, list(curve.x), list(curve.y)) for curve in panel.curves] == [
        ("highest memorization", [0.25], [0.625]), ("at random", [0.25, 0.5], [0.875, 0.5]),
    ]  # fmt: skip


def test_several_trainings_are_told_apart(tmp_path: Path) -> None:
    given = documents(tmp_path, RUNS) + documents(tmp_path, RUNS, lr=0.2)
    table = tabled(given)
    assert [note.partition(": ")[0] for note in table.notes] == [
        "mlp-1x8, digits, 0.1", "mlp-1x8, digits, 0.2", "difference",
    ]  # fmt: skip
    assert table.rows["lr"].to_pylist() == ["0.1"] * 3 + ["0.2"] * 3
    assert [panel.title for panel in removal.removal(given)] == [
        f"test accuracy, 95 % intervals: mlp-1x8, digits, {lr}" for lr in (0.1, 0.2)
    ]
    (panel,) = removal.removal(documents(tmp_path, {key: RUNS[key] for key in RUNS if key[0] != "random"}))
    assert isinstance(panel, Lines)
    assert [curve.name for curve in panel.curves] == ["highest memorization"]
