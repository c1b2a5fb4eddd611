"""Tables as text, Markdown, LaTeX, and as they are written by the command."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencli.cli import app, outputs
from gencli.reporting import classes, layout, runs
from gencli.reporting.groups import Table
from tests.reporting.made import history, measured, read, result, training

HOSTILE = 'a&b_<script>$x\\{}%#^~\x1b[2J\n|"'


def lines(table: Table, width: int = 80) -> list[str]:
    rows, common = layout.fitted(table, width)
    return outputs.render(rows, "table", common).splitlines()


def test_seeds_are_mean_and_deviation_in_one_cell(tmp_path: Path) -> None:
    seeds = [history(tmp_path / str(seed), training(seed=seed), test_accuracy=[0.25 + seed / 2]) for seed in (0, 1)]
    shown = layout.shown(runs.runs_table(seeds, 0.99))
    assert shown["test_accuracy"].to_pylist() == ["0.5000 ± 0.3536"]
    assert shown["epochs"].to_pylist() == ["1 ± 0.0"]
    assert "test_accuracy_std" not in shown.column_names


def test_a_wide_table_says_once_what_all_share_and_joins_the_settings(tmp_path: Path) -> None:
    varied = [{"lr": 0.1, "weight_decay": 0.001, "crop": 28}, {"lr": 0.2, "weight_decay": 0.002, "crop": 24}]
    read = [history(tmp_path / f"{each['lr']}", training(0.5, **each), test_accuracy=[0.5]) for each in varied]
    table = runs.runs_table(read, 0.99)
    assert " lr " in "\n".join(lines(table, 200))
    narrow = lines(table)
    assert narrow[0] == "mlp-1x8, digits, random-labels p=0.5"
    assert max(map(len, narrow)) <= 80
    drawn = lines(table, 60)
    assert drawn[0] == "mlp-1x8, digits, random-labels p=0.5"
    assert "lr=0.1," in "\n".join(drawn)
    assert "weight_decay=0.002," in "\n".join(drawn)
    assert layout.shown(table).column_names[3:6] == ["lr", "weight_decay", "crop"]


@given(st.lists(st.tuples(st.text("ab ", max_size=40), st.text("xyz", max_size=10)), min_size=1, max_size=5))
def test_words_are_kept_whatever_the_width(cells: list[tuple[str, str]]) -> None:
    rows = pa.table({"network": [a for a, _ in cells], "lr": [b for _, b in cells], "crop": [b for _, b in cells]})
    drawn = " ".join(lines(Table("runs", rows, settings=("lr", "crop")), 40))
    for first, second in cells:
        assert all(part in drawn for part in f"{first} {second}".split())


def test_latex_escapes_what_it_would_take_for_commands() -> None:
    table = Table("runs", pa.table({"net_work": [HOSTILE, "b"], "x": [0.5, None]}), notes=("source",))
    text = layout.latex(table, "50 %")
    assert (
        r"a\&b\_\textless{}script\textgreater{}\$x\textbackslash{}\{\}\%\#\textasciicircum{}\textasciitilde{}" in text
    )
    assert r"\caption{50 \%}" in text
    assert r"b &  \\" in text
    assert text.splitlines()[-1] == "% source"
    assert "\x1b" not in text
    assert text.count(r"\\" + "\n") == 3


def report(folder: Path, *arguments: str) -> int:
    return app.main(["report", str(folder / "h.parquet"), *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    history(tmp_path / "h.parquet", training(), test_accuracy=[0.25, 0.5])
    result(tmp_path / "r.parquet", training(), [0.5, 0.25])
    return tmp_path


@pytest.mark.parametrize("ending", ["txt", "md", "tex", "html", "csv", "json", "parquet"])
def test_every_format_by_its_ending_is_the_same_bytes_every_time(folder: Path, ending: str) -> None:
    out = folder / f"out.{ending}"
    written: list[bytes] = []
    for _ in range(2):
        assert report(folder, "-o", str(out)) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]
    value: dict[str, Any] = {
        "csv": lambda: next(csv.DictReader(out.read_text().splitlines()))["test_accuracy"],
        "json": lambda: json.loads(out.read_text())[0]["test_accuracy"],
        "parquet": lambda: pq.read_table(out).to_pylist()[0]["test_accuracy"],
    }
    if ending in value:
        assert float(value[ending]()) == 0.5
    else:
        assert "0.5000" in out.read_text()


def test_the_title_and_the_source_are_printed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "p.csv").write_text("# from a paper\nnetwork,test_accuracy\nmlp-1x8,0.75\n")
    for form, title in (("table", "Digits\n"), ("md", "## Digits\n"), ("latex", "\\caption{Digits}\n")):
        assert report(folder, "--format", form, "--title", "Digits", "--against", str(folder / "p.csv")) == 0
        shown = capfd.readouterr().out
        assert title in shown
        assert "published: from a paper\n" in shown
        assert "-0.2500" in shown


def test_a_plot_stands_below_the_table_or_in_the_figure(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert report(folder, "--plot", "curves", "--metric", "test_accuracy") == 0
    assert "test accuracy" in capfd.readouterr().out
    assert report(folder, "--plot", "curves", "--figure", str(folder / "f.svg")) == 0
    assert "┤" not in capfd.readouterr().out
    assert b"<svg" in (folder / "f.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--plot", "curves", "--format", "csv"], "--plot: a text plot needs --format table"),
        (["--plot", "curves", "--format", "html"], "--plot: the page has every figure"),
        (["--plot", "confusion"], "no confusion matrix, so no confusion"),
        (["--plot", "overfit-time"], "no setup that fitted"),
        (["--title", "x", "--format", "json"], "--title: json has no title"),
        (["--table", "classes"], "no result, so no classes"),
        (["--metric", "test_accuracy"], "--metric: nothing here shows a metric"),
        (["--figure", "x.jpg"], "not a .png, .svg or .pdf file"),
        (["--provenance"], "--provenance: removed"),
        (["--contact-sheet", "x.png", "--against", "y"], "--against and --contact-sheet"),
        (["--against", "none.csv"], "none.csv: no such file"),
        (["none-*.parquet"], "none-*.parquet: no file matches"),
    ],
)
def test_what_does_nothing_is_refused(
    folder: Path, arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert report(folder, *arguments) == 2
    said = capfd.readouterr()
    wrong, advice = said.err.splitlines()
    assert words in wrong
    assert advice.strip()
    assert not said.out


def test_files_without_a_table_are_drawn(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.csv").write_text("label,name,a,b\n0,a,3,1\n1,b,0,4\n")
    assert app.main(["report", str(tmp_path / "c.csv")]) == 0
    assert "75.0" in capfd.readouterr().out
    assert app.main(["report", str(tmp_path / "c.csv"), "--format", "csv"]) == 2
    assert "supports a figure, but no table" in capfd.readouterr().err


def test_corruptions_of_one_setup_are_turned_too(tmp_path: Path) -> None:
    kinds = [f"kind-{number}" for number in range(15)]
    rows = {
        "label": pa.array([*range(15), None]), "name": [*(f"{kind} 1" for kind in kinds), "all"], "n": [1] * 16,
        "accuracy": [0.5] * 16, "loss": [1.0] * 16, "corruption_error": [0.5] * 16,
    }  # fmt: skip
    document = read(tmp_path / "r", rows, measured(training(), "test"))
    table = classes.corruptions_table([document])
    assert "kind-7 0.5000" in " ".join(" ".join(lines(table)).split())
    assert layout.fitted(table, 1000)[0].equals(layout.shown(table))  # where there is room it stays as it is


def test_a_table_in_parts_says_in_each_what_its_rows_are_of() -> None:
    rows = pa.table(
        {"instance": ["0"] * 2, "claim": ["x" * 50, "y"], "left": [1.0, 2.0], "right": [3.0, 4.0], "note": ["a b"] * 2}
    )
    parts = re.sub(r"\x1b\[[\d;]*m", "", outputs.render(rows, "table", "", 60)).strip().split("\n\n")
    assert len(parts) > 1
    assert all(len(line) <= 60 for part in parts for line in part.splitlines())
    assert all("claim" in part and "xxx" in part for part in parts)
