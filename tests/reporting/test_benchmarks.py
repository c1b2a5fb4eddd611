"""Tables and figures of benchmarks, from small ones as files."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gencli.cli import app
from gencli.errors import GencliError
from gencli.files import parquet, provenance
from gencli.files.stream import Input, Output
from gencli.reporting import benchmarks, documents

TEXT, NUMBER = pa.string(), pa.float64()
KINDS = {"item": TEXT, "ours": NUMBER, "peer": NUMBER, "unit": TEXT, "ratio": NUMBER, "bar": NUMBER, "met": TEXT}
SCHEMA = pa.schema(list(KINDS.items()))
ROWS = [
    {"item": "memory copy", "ours": 12.5, "unit": "GB/s"},
    {"item": "start-up / import", "ours": 0.14, "peer": 0.1, "unit": "s", "ratio": 1.4, "bar": 1.5, "met": "yes"},
    {"item": "epoch / bare loop", "ours": 3.0, "peer": 2.0, "unit": "s", "ratio": 1.5, "bar": 1.15, "met": "no"},
    {"item": "TAB in bash", "ours": 0.5, "peer": 5.0, "unit": "ms", "ratio": 0.1, "bar": 1.0, "met": "yes"},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with Output(str(path)) as output:
        parquet.write_rows(output, pa.Table.from_pylist(rows, SCHEMA), provenance.step("bench", {}))
    return path


def read(path: Path, rows: list[dict[str, object]] = ROWS) -> documents.Document:
    return documents.read(Input(str(write(path, rows))))


def test_one_benchmark_is_shown_as_it_is(tmp_path: Path):
    one = read(tmp_path / "a.parquet")
    assert one.kind == "benchmark"
    assert benchmarks.table([one]).rows.to_pylist() == pa.Table.from_pylist(ROWS, SCHEMA).to_pylist()


def test_items_of_several_stand_together_in_their_order(tmp_path: Path):
    one, two = read(tmp_path / "a.parquet"), read(tmp_path / "b.parquet", [ROWS[2], ROWS[0]])
    table = benchmarks.table([one, two]).rows.to_pydict()
    assert list(zip(table["item"], [Path(file).stem for file in table["file"]], strict=True)) == [
        ("memory copy", "a"),
        ("memory copy", "b"),
        ("start-up / import", "a"),
        ("epoch / bare loop", "a"),
        ("epoch / bare loop", "b"),
        ("TAB in bash", "a"),
    ]


def test_the_figure_has_the_items_with_a_ratio_and_is_the_same_bytes_every_time(tmp_path: Path):
    both = [read(tmp_path / "a.parquet"), read(tmp_path / "b.parquet", ROWS[1:3])]
    drawn = benchmarks.image(both, "svg", "how it was made").decode()
    said = set(re.findall("<!-- (.*) -->", drawn))  # an SVG has its texts as comments beside their outlines
    assert said >= {"start-up / import", "epoch / bare loop", "TAB in bash"}
    assert "memory copy" not in said
    assert "how it was made" in drawn
    assert drawn == benchmarks.image(both, "svg", "how it was made").decode()


def test_a_figure_of_floors_alone_is_refused(tmp_path: Path):
    with pytest.raises(GencliError, match="no ratios"):
        benchmarks.image([read(tmp_path / "a.parquet", ROWS[:1])], "png", "")


def test_report_draws_a_benchmark_and_shows_its_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path, figure = write(tmp_path / "a.parquet", ROWS), tmp_path / "a.png"
    assert app.main(["report", str(path), "--format", "csv", "--figure", str(figure)]) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "memory copy,12.5,,GB/s,,,\n" in capfd.readouterr().out


@pytest.mark.parametrize("more", [["history.parquet"], ["--table", "runs"], ["--plot", "curves"], ["--metric", "ours"]])
def test_what_is_of_histories_and_results_is_refused(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    write(Path("bench.parquet"), ROWS)
    rows = pa.table({"epoch": [1], "train_loss": [1.0], "train_accuracy": [0.5]})
    with Output("history.parquet") as output:
        parquet.write_rows(output, rows, provenance.step("train", {}))
    assert app.main(["report", "bench.parquet", *more]) == 2
    wrong, advice = capfd.readouterr().err.splitlines()
    assert "bench.parquet: " in wrong
    assert advice.startswith("  ")


def test_bars_lie_beside_each_other_and_limits_are_as_wide_as_they(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    both = [read(tmp_path / "a.parquet"), read(tmp_path / "b.parquet", ROWS[1:3])]
    drawn: list[Figure] = []
    monkeypatch.setattr(benchmarks, "encode", lambda figure, *words: drawn.append(figure) or b"")
    for some in (both, both[:1]):
        benchmarks.image(some, "png", "")
        (axis,) = drawn.pop().axes
        bars = [each for each in axis.patches if isinstance(each, Rectangle)]
        ratios = [row["ratio"] for document in some for row in document.rows.to_pylist() if row["ratio"]]
        assert [each.get_x() + each.get_width() for each in bars] == pytest.approx(ratios)
        room = 0.8 / len(some)
        middles = [each.get_y() + each.get_height() / 2 for each in bars]
        assert sorted(middles)[0] == pytest.approx(room / 2 - 0.4)
        for bar, middle, limit in zip(bars, middles, axis.lines, strict=True):
            assert bar.get_height() == pytest.approx(0.9 * room)
            assert [*np.asarray(limit.get_ydata())] == pytest.approx([middle - room / 2, middle + room / 2])
            assert abs(middle - round(middle)) < 0.4
        assert min(abs(a - b) for a, b in combinations(middles, 2)) >= room * 0.99
        assert [each.get_text() for each in axis.texts] == [f"{ratio:.3g}" for ratio in ratios]
        assert [bool(each.get_hatch()) for each in bars][:2] == [False, True]
        assert axis.get_ylim() == (2.5, -0.5)
        low, high = axis.get_xlim()
        assert [tick for tick in axis.get_xticks() if low < tick < high] == pytest.approx([0.1, 0.2, 0.5, 1])
