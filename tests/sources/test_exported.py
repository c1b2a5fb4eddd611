"""Tables in the hands of other tools: DuckDB, pandas, polars, Hugging Face datasets; and back again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gencli.corruptions.labels import RandomLabels
from gencli.errors import GencliError
from gencli.files.tables import Description, MemoryTable
from gencli.sources import open_table
from gencli.sources.exported import Exported, write_folder
from tests.helpers import image_table, images, read, save, save_corrupted, steps
from tests.pipelines.shell import Shell


@pytest.fixture(scope="module", params=[1, 3])
def corrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with label_true, and beside it as exported."""
    path = tmp_path_factory.mktemp("corrupted") / "raw.parquet"
    table = save_corrupted(image_table(2500, (5, 4, request.param)), RandomLabels(p=0.5), path)
    save(Exported(table), path.with_name("png.parquet"))
    return path


def test_what_is_exported_is_read_as_the_same_table(corrupted: Path) -> None:
    table, again = open_table(str(corrupted)), open_table(str(corrupted.with_name("png.parquet")))
    assert read(again).equals(read(table))
    assert again.schema.equals(table.schema, check_metadata=True)
    assert again.description == table.description


def test_what_is_exported_remembers_its_corruptions(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        """
        set -e
        gencli data digits --limit 200 | gencli corrupt random-labels -p 0.5 -o raw.parquet
        gencli data export --encode png raw.parquet -o png.parquet
        gencli corrupt random-labels -p 0.5 raw.parquet -o raw-twice.parquet
        gencli corrupt random-labels -p 0.5 png.parquet -o png-twice.parquet
        """
    ).worked()
    labels = [read(open_table(str(tmp_path / f"{name}-twice.parquet")))["label"].to_pylist() for name in ("raw", "png")]
    assert labels[0] == labels[1]
    assert [line.split(" --")[0] for line in steps(tmp_path / "png-twice.parquet")] == [
        "gencli data digits", "gencli corrupt random-labels -p 0.5", "gencli data export",
        "gencli corrupt random-labels -p 0.5",
    ]  # fmt: skip


def test_an_export_describes_itself_and_numbers_its_files_from_nought() -> None:
    description = Description("toy", "train", ("é", "b"), (2, 2, 1))
    table = MemoryTable("toy", description, np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1), np.array([0, 1, 0]))
    exported = Exported(table)
    assert exported.schema.metadata is not None
    said = exported.schema.metadata[b"huggingface"].decode()
    assert "é" in said
    assert json.loads(said) == {
        "info": {
            "features": {
                "id": {"dtype": "int64", "_type": "Value"},
                "image": {"_type": "Image"},
                "label": {"names": ["é", "b"], "_type": "ClassLabel"},
            }
        }
    }
    paths = [f"0000000{row}.png" for row in range(3)]
    assert [each["path"] for each in read(exported)["image"].to_pylist()] == paths


def test_duckdb_counts_and_selects(corrupted: Path) -> None:
    import duckdb

    table = open_table(str(corrupted))
    query = duckdb.connect().execute
    counts = query(f"select label, count(*) from '{corrupted}' group by label").fetchall()
    assert dict(counts) == dict(enumerate(np.bincount(table.column("label")).tolist()))
    wrong = query(f"select id, image from '{corrupted}' where label <> label_true").fetchall()
    places = np.flatnonzero(table.column("label") != table.column("label_true"))
    assert [row for row, _ in wrong] == table.column("id")[places].tolist()
    assert [bytes(image) for _, image in wrong] == [image.tobytes() for image in images(table)[places]]


def test_pandas_opens_both(corrupted: Path) -> None:
    import pandas as pd

    table, frame = open_table(str(corrupted)), pd.read_parquet(corrupted)
    stacked = np.stack([np.frombuffer(image, np.uint8).reshape(table.description.shape) for image in frame["image"]])
    assert np.array_equal(stacked, images(table))
    assert frame["label_true"].tolist() == table.column("label_true").tolist()
    assert set(pd.read_parquet(corrupted.with_name("png.parquet"))["image"][0]) == {"bytes", "path"}


def test_polars_opens_both(corrupted: Path) -> None:
    import polars as pl

    table, frame = open_table(str(corrupted)), pl.read_parquet(corrupted)
    assert b"".join(frame["image"].to_list()) == images(table).tobytes()
    assert frame.filter(pl.col("label") != pl.col("label_true")).height == (
        np.count_nonzero(table.column("label") != table.column("label_true"))
    )
    assert pl.read_parquet(corrupted.with_name("png.parquet")).schema["image"] == pl.Struct(
        {"bytes": pl.Binary, "path": pl.String}
    )


def load(path: Path, folder: Path) -> Any:
    """A file as Hugging Face datasets sees it."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(folder), split="train")


@pytest.mark.filterwarnings("ignore")
def test_datasets_opens_both_and_decodes_what_is_exported(corrupted: Path, tmp_path: Path) -> None:
    table = open_table(str(corrupted))
    raw, decoded = load(corrupted, tmp_path), load(corrupted.with_name("png.parquet"), tmp_path)
    assert raw[7]["image"] == images(table)[7].tobytes()
    assert [np.asarray(row["image"]).reshape(table.description.shape).tolist() for row in decoded.select(range(9))] == (
        images(table)[:9].tolist()
    )
    assert decoded.features["label"].names == list(table.description.classes)
    assert decoded["label_true"][:] == table.column("label_true").tolist()


@pytest.mark.filterwarnings("ignore")
def test_what_datasets_writes_is_read(corrupted: Path, tmp_path: Path) -> None:
    load(corrupted.with_name("png.parquet"), tmp_path).to_parquet(str(tmp_path / "toy-train.parquet"))
    again = open_table(str(tmp_path / "toy-train.parquet"))
    assert np.array_equal(images(again), images(open_table(str(corrupted))))
    assert again.description.classes == ("class 0", "class 1", "class 2")


def test_folders_hold_the_same_images(tmp_path: Path) -> None:
    table = image_table(30, (5, 4, 3))
    assert list(write_folder(table, str(tmp_path / "toy"))) == [30]
    again = open_folder_rows(tmp_path / "toy")
    assert again == {row: (int(label), image.tobytes()) for row, (label, image) in enumerate(pairs(table))}


def pairs(table: MemoryTable) -> Any:
    return zip(table.column("label"), images(table), strict=True)


def open_folder_rows(folder: Path) -> dict[int, tuple[int, bytes]]:
    from PIL import Image

    return {
        int(path.stem): (int(path.parent.name.removeprefix("class ")), np.asarray(Image.open(path)).tobytes())
        for path in folder.glob("*/*.png")
    }


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (image_table(3, (2, 2, 1), "float32"), "float32 images of 1 channels"),
        (image_table(3, (2, 2, 4)), "uint8 images of 4 channels"),
    ],
)
def test_what_png_cannot_hold_is_refused(table: MemoryTable, says: str, tmp_path: Path) -> None:
    for export in (Exported, lambda table: next(write_folder(table, str(tmp_path / "toy")))):
        with pytest.raises(GencliError, match=says):
            export(table)


@pytest.mark.parametrize("name", ["../a", "a/b", ".", "..", "", ".x"])
def test_a_class_that_cannot_name_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    description = Description("toy", "train", ("a", name), (2, 2, 1))
    table = MemoryTable("toy", description, np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 1]))
    with pytest.raises(GencliError, match="cannot name a folder"):
        next(write_folder(table, str(tmp_path / "toy")))
    assert not list(tmp_path.iterdir())


def test_what_export_writes_must_be_said_once(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell("gencli data digits --limit 3 -o digits.parquet; mkdir there").worked()
    for options in ("", "--encode png --folder x", "--folder x -o y"):
        shell(f"gencli data export digits.parquet {options}").refused("one of --encode and --folder")
    noisy = "gencli corrupt gaussian-noise --sigma 9 --clean-target digits.parquet -o noisy.parquet"
    assert not shell(f"{noisy} -q; gencli data export --encode png noisy.parquet 2> said; rm noisy.parquet").out
    assert "has targets" in (tmp_path / "said").read_text()
    (tmp_path / "said").unlink()
    shell("gencli data export --folder there digits.parquet").refused("there: already exists")
    shell("gencli data export --folder no/where digits.parquet").refused("no/where: No such file")
    assert shell.files() == {"digits.parquet", "there"}
    hub = shell("gencli data export --encode png digits.parquet | gencli data parquet --limit 1 | cat").worked()
    assert json.dumps("data export").encode() in hub.out
