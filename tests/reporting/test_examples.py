"""Figures of single rows: points are means over runs, shares are of all rows, wrong labels are apart."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.cli import app
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Input
from gencli.files.tables import Description, MemoryTable
from gencli.reporting import examples, terminal
from gencli.reporting.documents import Document, read_all
from gencli.reporting.panels import Bars, Lines, Sheet
from gencli.sources import read_table
from tests import helpers
from tests.reporting.made import read, save, training

IDS, LABELS, TRUE = [3, 1, 2] * 2, [0, 1, 1] * 2, [0, 0, 1] * 2


def document(path: Path, **columns: Any) -> Document:
    rows = {"run": [0, 0, 0, 1, 1, 1], "id": IDS, "label": LABELS, "label_true": TRUE}
    learned = pa.array([1, None, 4, 2, 3, None], pa.int64())
    known = {"first_learned": learned, "learned": learned, "aum": [0.0] * 6}
    known |= {"confidence": [0.2, 0.4, 0.6, 0.4, 0.8, 0.6], "variability": [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]}
    return read(path / "rows.parquet", pa.table(rows | known | columns), training())


def test_cartography_is_a_point_a_row_with_wrong_labels_apart(tmp_path: Path) -> None:
    (panel,) = examples.cartography([document(tmp_path)])
    assert isinstance(panel, Lines)
    assert replace(panel, curves=[]) == Lines("confidence", "variability", [], (0, 1), dots=True, scatter=True)
    found = {curve.name: np.array([curve.x, curve.y], float).T for curve in panel.curves}
    np.testing.assert_allclose(found["label is the true one"], [(0.2, 0.6), (0.2, 0.3)])
    np.testing.assert_allclose(found["label is wrong"], [(0.2, 0.6)])


def test_a_row_that_no_run_tells_of_is_a_point_that_is_not_known(tmp_path: Path) -> None:
    (panel,) = examples.cartography([document(tmp_path, confidence=[None, 0.4, 0.6, None, 0.8, 0.6])])
    assert isinstance(panel, Lines)
    found = {curve.name: np.array(curve.y, float) for curve in panel.curves}  # the last id is the one not known
    np.testing.assert_allclose(found["label is the true one"], [0.6, np.nan])


def test_learning_order_is_the_share_of_all_rows_learned_by_an_epoch(tmp_path: Path) -> None:
    panel, by_label = examples.learning_order([document(tmp_path)])
    assert isinstance(panel, Lines)
    assert isinstance(by_label, Lines)
    assert replace(panel, curves=[]) == Lines("share of rows learned", "epoch", [], (0, 1))
    assert replace(by_label, curves=[]) == Lines("share of rows learned, by label", "epoch", [], (0, 1))
    assert [curve.name for curve in panel.curves] == ["label is the true one", "label is wrong"]
    assert [curve.name for curve in by_label.curves] == ["label 0", "label 1"]
    right, wrong = panel.curves
    assert list(right.x) == [0, 1, 2, 3, 4]
    assert list(right.y) == [0, 0.25, 0.5, 0.5, 0.75]
    assert list(wrong.y) == [0, 0, 0, 0.5, 0.5]
    assert list(by_label.curves[0].y) == [0, 0.5, 1, 1, 1]


@pytest.mark.parametrize(
    ("true", "names"),
    [
        (LABELS, ["all rows"]),
        ([0, 1, 0] * 2, ["label is the true one", "label is wrong"]),
        ([1, 0, 0] * 2, ["label is wrong"]),
    ],
)
def test_rows_are_apart_by_what_their_labels_are(true: list[int], names: list[str], tmp_path: Path) -> None:
    for panel in examples.learning_order([document(tmp_path, label_true=true)])[:1]:
        assert isinstance(panel, Lines)
        assert [curve.name for curve in panel.curves] == names


def test_rows_that_are_never_learned_are_not_learned_at_any_epoch(tmp_path: Path) -> None:
    never = pa.array([None] * 6, pa.int64())
    panel, _ = examples.learning_order([document(tmp_path, learned=never)])
    assert isinstance(panel, Lines)
    assert [(curve.x, curve.y) for curve in panel.curves] == [([0, 1], [0, 0])] * 2


def test_panels_of_several_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = [document(tmp_path), document(tmp_path / "a", confidence=[None] * 3 + [0.4, 0.8, 0.6])]
    first, second = examples.cartography(found)
    assert [first.title, second.title] == [f"confidence: {each.title}" for each in found]
    assert isinstance(second, Lines)
    assert [curve.y for curve in second.curves] == [[pytest.approx(0.6), pytest.approx(0.4)], [pytest.approx(0.8)]][::1]


def test_memorization_is_counted_in_bins(tmp_path: Path) -> None:
    scores = pa.table({
        "id": range(4), "label": [0, 1, 1, 0], "label_true": [0, 0, 1, 0], "runs": [1] * 4,
        "memorization": pa.array([0.05, 1.0, 0.05, None]),
    })  # fmt: skip
    (panel,) = examples.memorization([read(tmp_path / "s.parquet", scores, training())])
    assert isinstance(panel, Bars)
    assert (panel.title, panel.log) == ("share of rows by memorization", True)
    assert panel.names[0] == "0.00 to 0.10"
    (_, right, _), (_, wrong, _) = panel.series
    assert list(right) == [1] + [0] * 9
    assert list(wrong) == [0] * 9 + [1]
    below = scores.set_column(4, "memorization", pa.array([-0.15, 0.95, 0.96, 0.89]))
    (panel,) = examples.memorization([read(tmp_path / "b.parquet", below, training())])
    assert isinstance(panel, Bars)
    assert panel.names[:3] == ["-0.20 to -0.10", "-0.10 to 0.00", "0.00 to 0.10"]
    assert list(panel.series[0][1]) == pytest.approx([1 / 3, *[0] * 9, 1 / 3, 1 / 3])
    above = scores.set_column(4, "memorization", pa.array([0.35, 0.95, 0.96, 0.89]))
    (panel,) = examples.memorization([read(tmp_path / "a.parquet", above, training())])
    assert isinstance(panel, Bars)
    assert (len(panel.names), panel.names[0]) == (10, "0.00 to 0.10")


def step(command: str, **files: Path) -> provenance.Step:
    """Made of files by their roles."""
    given = [provenance.source(role, Input(str(file)).sha256, None, file) for role, file in files.items()]
    return provenance.step(command, {}, given)


@pytest.fixture
def scored(tmp_path: Path) -> dict[str, Path]:
    """Scores, pairs, and the tables of images that they are of, each image a gray level of its own."""
    paths = {name: tmp_path / f"{name}.parquet" for name in ("scores", "pairs", "train", "test")}
    for split, count in (("train", 30), ("test", 4)):
        description = Description("toy", split, ("0", "cat"), (8, 8, 1))
        images = np.repeat(np.arange(count, dtype=np.uint8), 64).reshape(count, 8, 8, 1)
        helpers.save(MemoryTable("toy", description, images, np.arange(count) % 2), paths[split])
    ids, test = (read_table([Input(str(paths[split]))]).column("id") for split in ("train", "test"))
    rows = {
        "id": ids, "label": np.arange(30) % 2, "label_true": [1, *([0, 1] * 15)[1:]], "runs": [9] * 30,
        "memorization": pa.array([0.9, 0.8, None, *([0.3] * 27)]), "memorization_se": [0.1] * 30,
        "held_out_confident_label": pa.array([1, 1, *([None] * 28)], pa.int64()),
    }  # fmt: skip
    save(paths["scores"], pa.table(rows), step("score", data=paths["train"]))
    pairs = {
        "id": ids[[5, 1, 1, 0]], "label": [1, 1, 1, 0], "test_id": test[[0, 1, 3, 2]], "test_label": [0, 1, 1, 0],
        "influence": [0.9, 0.6, 0.8, 0.3], "influence_se": [0.1] * 4,
    }  # fmt: skip
    save(paths["pairs"], pa.table(pairs), step("score", data=paths["train"], test=paths["test"]))
    return paths


def sheets(*paths: Path) -> list[Sheet]:
    found = examples.memorization(read_all(list(map(str, paths))))
    return [panel for panel in found if isinstance(panel, Sheet)]


def test_the_most_memorized_rows_are_shown_beside_the_test_rows_that_they_help(scored: dict[str, Path]) -> None:
    most, helped = sheets(*scored.values())
    first, second, *_ = (tile for row in most.rows for tile in row)
    assert [len(row) for row in most.rows] == [5, 5, 5, 5]
    assert first.words == ["label 0", "taken for cat", "0.90 ± 0.10"]
    assert second.words == ["cat", "0.80 ± 0.10"]
    assert (first.marked, second.marked) == (True, False)
    assert [int(tile.pixels.max()) for tile in most.rows[0]] == [0, 1, 3, 4, 5]  # the third is not known
    assert (most.title, most.apart) == ("most memorized rows", False)
    assert most.note == ("its label, what networks that did not see it take it for, memorization ± standard error; "
                         "red frame: the label is wrong")  # fmt: skip
    assert (helped.title, helped.apart) == ("memorized rows → test rows that they help most", True)
    assert [[int(tile.pixels.max()) for tile in row] for row in helped.rows] == [[1, 3, 1], [5, 0]]
    assert [tile.words for tile in helped.rows[0][1:]] == [["cat", "0.80 ± 0.10"], ["cat", "0.60 ± 0.10"]]
    said = "3 of the 4 pairs beyond chance: more than 3.3 standard errors, as there are 116 pairs"
    assert said in helped.note  # 29 rows, 4 test rows


def test_the_note_tells_of_wrong_labels_and_of_pairs_none_of_which_is_beyond_chance(
    scored: dict[str, Path], tmp_path: Path
) -> None:
    plain = "its label, what networks that did not see it take it for, memorization ± standard error"
    rows = pq.read_table(scored["scores"])
    right = rows.set_column(rows.column_names.index("label_true"), "label_true", rows["label"])
    save(tmp_path / "right.parquet", right, step("score", data=scored["train"]))
    (most,) = sheets(tmp_path / "right.parquet", scored["train"])
    assert most.note == plain
    pairs = pq.read_table(scored["pairs"])
    chance = pairs.set_column(pairs.column_names.index("influence"), "influence", pa.array([0.01] * 4))
    save(tmp_path / "chance.parquet", chance, step("score", data=scored["train"], test=scored["test"]))
    (most,) = sheets(scored["scores"], tmp_path / "chance.parquet", scored["train"], scored["test"])
    assert most.note == (
        f"{plain}; red frame: the label is wrong; "
        "none of the 4 pairs beyond chance: more than 3.3 standard errors, as there are 116 pairs of a memorized row "
        "and a test row"
    )


def test_beside_a_row_stand_the_four_test_rows_that_it_helps_most_in_their_order(
    scored: dict[str, Path], tmp_path: Path
) -> None:
    pairs = pq.read_table(scored["pairs"])
    test = read_table([Input(str(scored["test"]))]).column("id")
    four = {"id": pa.array([pairs["id"][1]] * 4), "test_id": test, "test_label": [0, 1, 0, 1], "label": [1] * 4,
            "influence": [0.6, 0.9, 0.7, 0.8], "influence_se": [0.1] * 4}  # fmt: skip
    made = step("score", data=scored["train"], test=scored["test"])
    save(tmp_path / "four.parquet", pa.table(four).select(pairs.column_names), made)
    _, helped = sheets(scored["scores"], tmp_path / "four.parquet", scored["train"], scored["test"])
    assert [[int(tile.pixels.max()) for tile in row] for row in helped.rows] == [[1, 1, 3, 2, 0]]
    assert helped.note.startswith("of test rows: label, influence ± standard error; 4 of the 4 pairs beyond chance")


def test_a_single_pair_beyond_chance_is_shown(scored: dict[str, Path], tmp_path: Path) -> None:
    pairs = pq.read_table(scored["pairs"]).slice(2, 1)
    save(tmp_path / "one.parquet", pairs, step("score", data=scored["train"], test=scored["test"]))
    _, helped = sheets(scored["scores"], tmp_path / "one.parquet", scored["train"], scored["test"])
    assert [[int(tile.pixels.max()) for tile in row] for row in helped.rows] == [[1, 3]]


def test_no_more_than_four_test_rows_stand_beside_a_row_and_six_rows_have_any(
    scored: dict[str, Path], tmp_path: Path
) -> None:
    description = Description("toy", "test", ("0", "cat"), (8, 8, 1))
    images = np.repeat(np.arange(7, dtype=np.uint8), 64).reshape(7, 8, 8, 1)
    helpers.save(MemoryTable("toy", description, images, np.arange(7) % 2), tmp_path / "seven.parquet")
    test = read_table([Input(str(tmp_path / "seven.parquet"))]).column("id")
    ids = read_table([Input(str(scored["train"]))]).column("id")[[0, 1, 3, 4, 5, 6, 7]]
    rows = [
        {
            "id": int(i),
            "label": 1,
            "test_id": int(j),
            "test_label": n % 2,
            "influence": 0.9 - n / 100,
            "influence_se": 0.1,
        }
        for i in ids
        for n, j in enumerate(test)
    ]
    made = step("score", data=scored["train"], test=tmp_path / "seven.parquet")
    save(tmp_path / "many.parquet", pa.Table.from_pylist(rows), made)
    _, helped = sheets(scored["scores"], tmp_path / "many.parquet", scored["train"], tmp_path / "seven.parquet")
    found = [[int(tile.pixels.max()) for tile in row] for row in helped.rows]
    assert found == [[place, 0, 1, 2, 3] for place in (0, 1, 3, 4, 5, 6)]


def test_rows_as_memorized_are_in_the_order_of_their_errors_where_these_are_known(scored: dict[str, Path]) -> None:
    rows = pq.read_table(scored["scores"]).drop_columns("memorization_se")
    made = step("score", data=scored["train"])
    save(scored["scores"], rows, made)
    (most,) = sheets(scored["scores"], scored["train"])
    assert [int(tile.pixels.max()) for tile in most.rows[0]] == [0, 1, 3, 4, 5]
    assert most.rows[0][1].words == ["cat", "0.80"]
    errors = [0.1] * 28 + [0.02, 0.01]
    save(scored["scores"], rows.append_column("memorization_se", pa.array(errors)), made)
    (most,) = sheets(scored["scores"], scored["train"])
    assert [int(tile.pixels.max()) for tile in most.rows[0]] == [0, 1, 29, 28, 3]


def test_rows_that_are_not_memorized_at_all_are_not_shown(scored: dict[str, Path]) -> None:
    rows = pq.read_table(scored["scores"])
    for values, shown in (([0.2, 0.0, -0.1, 0.1], [0, 3]), ([0.0, -0.1], None)):
        column = pa.array(values + [None] * (30 - len(values)), pa.float64())
        place = rows.column_names.index("memorization")
        changed = rows.set_column(place, "memorization", column)
        pq.write_table(changed, scored["scores"])
        found = sheets(scored["scores"], scored["train"])
        assert [int(tile.pixels.max()) for tile in found[0].rows[0]] == shown if shown else not found


def test_sheets_of_several_scores_are_told_apart_by_their_files(scored: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(scored["scores"], tmp_path / "again.parquet")
    assert [each.title for each in sheets(scored["scores"], scored["train"])] == ["most memorized rows"]
    found = sheets(scored["scores"], tmp_path / "again.parquet", scored["train"])
    assert [each.title for each in found] == [
        f"most memorized rows: {tmp_path / name}.parquet" for name in ("scores", "again")
    ]


def test_images_of_other_rows_are_refused_and_without_images_there_is_no_sheet(scored: dict[str, Path]) -> None:
    assert sheets(scored["scores"], scored["pairs"]) == []
    (most,) = sheets(scored["scores"], scored["train"])
    assert "beyond" not in most.note
    with pytest.raises(GencliError, match="none of its rows are among these images"):
        sheets(scored["scores"], scored["test"])
    with pytest.raises(GencliError, match=r"pairs\.parquet: none of its rows"):
        sheets(scored["scores"], scored["pairs"], scored["train"])


def test_scores_that_lost_their_provenance_find_images_by_ids_and_labels(
    scored: dict[str, Path], tmp_path: Path
) -> None:
    rows = pq.read_table(scored["scores"]).replace_schema_metadata()
    pq.write_table(rows, tmp_path / "plain.parquet")
    (most,) = sheets(tmp_path / "plain.parquet", scored["test"], scored["train"])
    assert [int(tile.pixels.max()) for tile in most.rows[0]] == [0, 1, 3, 4, 5]
    others = rows.set_column(rows.column_names.index("label"), "label", pa.array([0] * 30))
    pq.write_table(others, tmp_path / "others.parquet")
    with pytest.raises(GencliError, match="none of its rows"):
        sheets(tmp_path / "others.parquet", scored["train"])


def test_sheets_are_drawn_in_every_form(scored: dict[str, Path], tmp_path: Path) -> None:
    files = [str(path) for path in scored.values()]
    for name in ("a.png", "b.png", "c.svg"):
        assert app.main(["report", *files, "--plot", "memorization", "--figure", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "c.svg").read_text().count("<image") == 25
    assert app.main(["report", *files, "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 25
    assert "taken for cat" in page
    text = terminal.text([*sheets(*scored.values())], 80)
    assert "  cat, 0.80 ± 0.10\n    → cat, 0.80 ± 0.10\n    → cat, 0.60 ± 0.10\n" in text


@pytest.mark.parametrize("figure", [examples.cartography, examples.learning_order, examples.memorization])
def test_what_lacks_its_columns_is_not_drawn(figure: Any, tmp_path: Path) -> None:
    scores = pa.table({"id": [1], "label": [0], "runs": [1], "self_confidence": [0.5]})
    assert figure([read(tmp_path / "s.parquet", scores, training())]) == []
