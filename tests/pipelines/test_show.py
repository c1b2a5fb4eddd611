"""`gencli show` of image tables in real shells: what it prints, writes, draws and refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.cells import cell_len

from gencli.cli.outputs import write_images
from gencli.files import provenance, seals
from gencli.files.tables import Description, MemoryTable
from gencli.sources import open_table
from tests.helpers import images, read, save, seal, steps
from tests.pipelines.shell import Shell

COLUMNS = ["label", "name", "rows", "share", "pixel_mean", "pixel_deviation"]


@pytest.fixture
def noisy(sh: Shell) -> str:
    """A file of which every fifth label is not the true one."""
    table = open_table(str(sh.extra["D"]) + "/digits.parquet")
    rows = read(table)
    labels = rows["label"].to_numpy()
    description = table.description
    changed = np.where(np.arange(len(labels)) % 5 == 0, (labels + 1) % 10, labels)
    fields = pa.schema(description.schema(("id", "image", "label", "label_true")))
    rows = pa.table([rows["id"], rows["image"], changed, labels], fields)
    facts = provenance.encode(provenance.step("corrupt by hand", {}), rows=len(labels))
    with pq.ParquetWriter(sh.folder / "noisy.parquet", fields) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({provenance.KEY: facts, seals.KEY: seals.BLANK})
    seal(sh.folder / "noisy.parquet")
    return "noisy.parquet"


def test_a_row_a_class_as_json(sh: Shell, noisy: str) -> None:
    [shown] = json.loads(sh(f"gencli show {noisy} --format json").worked().out)
    rows = shown["rows"]
    assert (shown["file"], shown["kind"]) == (noisy, "image table")
    assert shown["facts"]["corrupted"] == 60
    assert len(shown["provenance"]) == 1
    table = open_table(str(sh.folder / noisy))
    labels = table.column("label")
    assert [list(row) for row in rows] == [[*COLUMNS, "corrupted"]] * 10
    assert [row["rows"] for row in rows] == np.bincount(labels).tolist()
    assert sum(row["corrupted"] for row in rows) == 60
    assert rows[3]["pixel_mean"] == pytest.approx(images(table)[labels == 3].mean(), rel=1e-12)


@pytest.mark.parametrize("script", ["gencli show", "gencli show -", "cat | gencli show"])
def test_a_pipe_takes_parquet_and_gives_it_where_asked(sh: Shell, script: str) -> None:
    sh(f"{script} --format parquet < $D/digits.parquet > out").worked()
    rows = pq.read_table(sh.folder / "out")
    assert rows.column_names == COLUMNS
    assert rows["rows"].to_numpy().sum() == 300
    assert steps(sh.folder / "out") == ["gencli data digits --split train --seed 0 --limit 300", "gencli show"]
    assert sh(f"{script} < $D/digits.parquet | head -1").worked().text.startswith("digits train: 300 rows")


def test_text_says_it_all_and_ends_with_the_provenance(sh: Shell, noisy: str) -> None:
    shown = sh(f"gencli show {noisy} --format table").worked().text
    assert shown.startswith("digits train: 300 rows, uint8 8×8×1, 10 classes\npixels 0 to 255, mean ")
    assert "label differs from label_true in 60 rows, 20.00%\n" in shown
    assert [line.partition("  #")[0] for line in shown.rpartition("\n\n")[2].splitlines()] == steps(sh.folder / noisy)
    for form in ("csv", "md"):
        lines = sh(f"gencli show {noisy} --format {form}").worked().text.splitlines()
        assert all(column in lines[0] for column in [*COLUMNS, "corrupted"])
        assert "█" not in "".join(lines)
        assert len(lines) == (11 if form == "csv" else 12)


def save_named(folder: Path, names: list[str]) -> str:
    """A table of as many rows of each class as its number."""
    labels = np.repeat(np.arange(len(names)), np.arange(len(names)))
    description = Description("named", "train", tuple(names), (2, 2, 1))
    table = MemoryTable("named", description, np.zeros((len(labels), 2, 2, 1), np.uint8), labels)
    write_images(table, str(folder / "named.parquet"), lambda: provenance.step("data named", {}))
    return "named.parquet"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_class_is_one_line_that_fits_the_terminal(sh: Shell, width: int) -> None:
    names = ["aquarium_fish", "American Staffordshire terrier, pit bull terrier", "鱼" * 40, *map(str, range(100))]
    file = save_named(sh.folder, names)
    done = sh.on_terminal(f"gencli show {file} --color never", COLUMNS=str(width)).worked()
    assert max(map(cell_len, done.text.splitlines())) <= width
    rows = done.text.partition("──\n")[2].partition("\n\n")[0].splitlines()
    assert [int(row.split()[0]) for row in rows] == list(range(len(names)))
    bars = [row.count("█") for row in rows]
    assert bars == sorted(bars)
    assert bars[0] == 0
    assert bars[-1] >= 10
    assert " aquarium_fish " in rows[0]


def test_names_do_not_steer_the_terminal(sh: Shell) -> None:
    file = save_named(sh.folder, ["a\x1b[2J", "b\nc"])
    shown = sh.on_terminal(f"gencli show {file} --color never").worked()
    assert "\x1b" not in shown.text
    assert "a�[2J" in shown.text
    assert "b�c" in shown.text


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_tables_of_others_are_shown(sh: Shell, form: str) -> None:
    values = []
    for color in range(6):
        page = io.BytesIO()
        Image.new("RGB", (8, 8), (color * 40, 0, 0)).save(page, form)
        values.append({"bytes": page.getvalue(), "path": None})
    pq.write_table(pa.table({"img": values, "label": [0, 0, 0, 2, 2, 2]}), sh.folder / "others-test.parquet")
    [shown] = json.loads(sh("gencli show others-test.parquet --format json").worked().out)
    rows = shown["rows"]
    assert [row["rows"] for row in rows] == [3, 0, 3]
    assert rows[0]["pixel_mean"] == pytest.approx(40 / 3, abs=2)
    assert rows[1]["pixel_mean"] is rows[1]["pixel_deviation"] is None
    shown = sh("gencli show others-test.parquet --format table").worked().text
    assert shown.startswith("others test: 6 rows, uint8 8×8×3, 3 classes")


def test_shards_are_shown_as_one(sh: Shell) -> None:
    table = open_table(str(sh.extra["D"]) + "/digits.parquet")
    (sh.folder / "shards").mkdir()
    first = np.arange(table.rows) < 100
    save(table, sh.folder / "shards/0.parquet", first)
    save(table, sh.folder / "shards/1.parquet", ~first)
    whole, parts = (sh(f"gencli show {place} --format csv").worked().out for place in ("$D/digits.parquet", "shards"))
    assert whole == parts


def test_a_sheet_is_drawn_beside_the_table(sh: Shell, noisy: str) -> None:
    sh(f"gencli show {noisy} --sheet a.png --columns 3 | cat > a; gencli show {noisy} > b").worked()
    assert (sh.folder / "a").read_bytes() == (sh.folder / "b").read_bytes()
    sh(f"gencli show - --sheet b.PNG --columns 3 -o c.csv < {noisy}").worked()
    assert (sh.folder / "a.png").read_bytes() == (sh.folder / "b.PNG").read_bytes()
    page = Image.open(sh.folder / "a.png")
    made = provenance.decode(page.info["Description"])["step"]
    assert (made.command, made.arguments) == ("show", {"columns": 3})
    assert made.inputs[0].step.command == "corrupt by hand"
    assert page.size[0] < 450


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--sheet sheet.jpg", "--sheet: sheet.jpg: not a .png file"),
        ("--sheet -", "--sheet: -: not a .png file"),
        ("--sheet no/sheet.png", "no/sheet.png: cannot be written"),
        ("--columns 3", "--columns needs --sheet"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_read(sh: Shell, options: str, words: str) -> None:
    sh(f"gencli show missing.parquet {options}").refused(words)
    assert sh.files() == set()


def test_the_sheet_is_neither_the_input_nor_the_table(sh: Shell) -> None:
    sh("cp $D/test.parquet in.png; gencli show in.png --sheet in.png").refused("the output is the input")
    sh("ln -s a.png a; gencli show in.png --sheet a.png -o a").refused("a.png: two outputs would be written there")
    assert sh.files() == {"in.png", "a"}


def test_a_table_without_true_labels_has_no_red(sh: Shell) -> None:
    sh("gencli show $D/digits.parquet --sheet a.png -o a.json").worked()
    page = np.asarray(Image.open(sh.folder / "a.png")).astype(int)
    assert (page[..., 0] == page[..., 1]).all()


@pytest.mark.shared
def test_fifty_thousand_real_images(sh: Shell, shared_data: Path) -> None:
    source = shared_data.resolve() / "cifar10-train.parquet"
    [shown] = json.loads(sh(f"gencli show {source} --sheet a.png --format json").worked().out)
    rows = shown["rows"]
    assert [row["rows"] for row in rows] == [5000] * 10
    assert rows[0]["name"] == "airplane"
    assert 140 < rows[0]["pixel_mean"] < 144
