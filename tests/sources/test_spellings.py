"""Arrow's other spellings of the same images, labels and ids, and tables rewritten by other tools, read alike."""

import io
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gencli.cli import console
from gencli.corruptions.common import Common
from gencli.corruptions.labels import RandomLabels
from gencli.errors import GencliError
from gencli.files import arrow
from gencli.sources import Foreign, open_table
from gencli.sources.exported import Exported
from tests.helpers import image_table, images, read, save, save_corrupted

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
LABELS, TRUE, IDS = np.array([0, 1, 2, 0, 1, 2, 1]), np.array([2, 2, 2, 0, 1, 2, 0]), np.arange(7) * 3 + 5
KEEP = np.array([1, 0, 0, 1, 0, 1, 0], bool)


def png(image: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


FLAT = [image.tobytes() for image in PIXELS]
LISTS = [list(image) for image in FLAT]
FILES = [png(image) for image in PIXELS]
HUB = [{"bytes": file, "path": None} for file in FILES]
FIRST = np.stack([image.transpose(2, 0, 1).ravel() for image in PIXELS])  # channels first


def tensors(kind: pa.DataType, values: Any) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, pa.array(values.reshape(7, -1).tolist(), kind.storage_type))


RAW = {
    "binary": pa.array(FLAT),
    "large binary": pa.array(FLAT, pa.large_binary()),
    "binary view": pa.array(FLAT, pa.binary_view()),
    "dictionary": pa.array(FLAT).dictionary_encode(),
    "list": pa.array(LISTS, pa.list_(pa.uint8())),
    "list of int64": pa.array(LISTS),
    "large list": pa.array(LISTS, pa.large_list(pa.uint8())),
    "list view": pa.array(LISTS, pa.list_view(pa.uint8())),
    "fixed-size list": pa.array(LISTS, pa.list_(pa.uint8(), 60)),
}
NESTED = {
    "lists of lists": pa.array(PIXELS.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8())))),
    "fixed-size lists": pa.array(PIXELS.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8(), 3), 5), 4)),
    "large lists": pa.array(PIXELS.tolist(), pa.large_list(pa.large_list(pa.large_list(pa.int32())))),
    "tensors": tensors(pa.fixed_shape_tensor(pa.uint8(), [4, 5, 3]), PIXELS),
    "tensors with names": tensors(pa.fixed_shape_tensor(pa.uint8(), [3, 4, 5], dim_names=["C", "H", "W"]), FIRST),
    "permuted tensors": tensors(pa.fixed_shape_tensor(pa.uint8(), [3, 4, 5], permutation=[1, 2, 0]), FIRST),
}
ENCODED = {
    "hub": pa.array(HUB),
    "large hub": pa.array(HUB, pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])),
    "hub of views": pa.array(HUB, pa.struct([("path", pa.string_view()), ("bytes", pa.binary_view())])),
    "hub of dictionaries": pa.StructArray.from_arrays([pa.array(FILES).dictionary_encode()], ["bytes"]),
    "files": pa.array(FILES),
    "views of files": pa.array(FILES, pa.binary_view()),
}
ALL = RAW | NESTED | ENCODED


def written(folder: Path, **columns: Any) -> str:
    try:
        pq.write_table(pa.table(columns), folder / "toy-train.parquet")
    except pa.ArrowNotImplementedError:
        if int(pa.__version__.partition(".")[0]) >= 26:
            raise
        pytest.skip("this pyarrow writes no such type")
    return str(folder / "toy-train.parquet")


@pytest.mark.parametrize("name", ALL)
def test_images_in_any_spelling_are_the_same(name: str, tmp_path: Path) -> None:
    foreign = Foreign(shape=(4, 5, 3)) if name in RAW else None
    true = pa.array(TRUE, pa.uint8())
    table = open_table(written(tmp_path, id=IDS, image=ALL[name], label=LABELS, label_true=true), foreign)
    assert np.array_equal(images(table), PIXELS)
    assert np.array_equal(images(table, KEEP), PIXELS[KEEP])
    for column, expected in (("id", IDS), ("label", LABELS), ("label_true", TRUE)):
        assert read(table)[column].to_pylist() == expected.tolist()
        assert table.column(column).tolist() == expected.tolist()
    numbered = open_table(written(tmp_path, fine=LABELS, label=list("abcdefg"), img=ALL[name]), Foreign(
        label="fine", shape=foreign and foreign.shape
    ))  # fmt: skip
    assert np.array_equal(images(numbered, KEEP), PIXELS[KEEP])
    assert read(numbered, KEEP)["label"].to_pylist() == LABELS[KEEP].tolist()
    assert np.array_equal(numbered.column("id"), open_table(written(tmp_path, image=HUB, label=LABELS)).column("id"))


INTEGERS = {
    "uint8": pa.array(LABELS, pa.uint8()),
    "uint64": pa.array(LABELS, pa.uint64()),
    "double": pa.array(LABELS, pa.float64()),
    "half float": pa.array(LABELS.astype(np.float16)),
    "decimal": pa.array([Decimal(int(label)) for label in LABELS], pa.decimal128(9, 2)),
    "dictionary": pa.array(LABELS).dictionary_encode(),
    "small dictionary": pa.DictionaryArray.from_arrays(pa.array(LABELS, pa.int8()), pa.array([0, 1, 2])),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_whole_numbers_in_any_spelling_are_labels(name: str, tmp_path: Path) -> None:
    for image in (pa.array(HUB), NESTED["lists of lists"]):
        table = open_table(written(tmp_path, image=image, label=INTEGERS[name]))
        assert read(table)["label"].to_pylist() == table.column("label").tolist() == LABELS.tolist()


def test_extensions_and_run_ends_are_unwrapped() -> None:
    ends = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([5, 6]))
    assert arrow.to_integers(ends).tolist() == [5, 5, 6]
    booleans = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8()))
    assert arrow.to_integers(booleans).tolist() == [1, 0]
    assert arrow.plain(pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"]))).equals(pa.array(["{}"]))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"label": LABELS + 0.5}, r"row 0: label 0\.5"),
        ({"label": pa.array([0.0, np.nan] * 3 + [1.0])}, "row 1: label nan"),
        ({"id": pa.array([2**64 - 1] * 7, pa.uint64())}, "row 0: id 18446744073709551615"),
        ({"image": NESTED["tensors"], "id": IDS * 1e16}, "row 0: id 5e[+]16"),  # floats have lost their last digits
        ({"id": [1, 2, 3, 4, 9, 9, 7]}, "rows 4 and 5 have the same id, 9"),
        ({"image": PIXELS.transpose(0, 3, 1, 2).tolist()}, "images of 3×4×5"),
        ({"image": [*PIXELS[:6].tolist(), PIXELS[6, :3].tolist()]}, "row 6: an image with 3 values where 4 belong"),
        ({"image": (PIXELS.astype(int) * 2).tolist()}, "row 0: an image with the value .*, not uint8"),
        ({"image": [*PIXELS[:6].tolist(), [[[None, 1, 2]] * 5] * 4]}, "row 6: an image with a missing value"),
        ({"image": [*PIXELS[:6].tolist(), None]}, "row 6: no image"),
        ({"image": ["a.png"] * 7}, "column `image` is string, neither encoded images nor pixels"),
        ({"image": [[each] for each in HUB]}, "neither encoded images nor pixels"),
        ({"image": RAW["list"]}, "has no shape"),
    ],
)
def test_what_is_none_of_them_is_refused(columns: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=says):
        read(open_table(written(tmp_path, **{"image": pa.array(HUB), "label": LABELS} | columns)))


def test_what_is_left_out_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, image=HUB, label=LABELS, id=[str(uuid.UUID(int=row)) for row in range(7)], caption=IDS)
    open_table(path)
    assert capsys.readouterr().err == f"{path}: dropped columns: id (string), caption (int64)\n"
    monkeypatch.setattr(console, "quiet", True)
    open_table(path)
    assert capsys.readouterr().err == ""


def test_targets_and_corruptions_of_hub_tables_are_kept(tmp_path: Path) -> None:
    others = [{"bytes": png(255 - image), "path": None} for image in PIXELS]
    kind, severity = pa.array(["fog"] * 7, pa.string_view()), pa.array(range(7), pa.uint8())
    table = open_table(written(tmp_path, image=HUB, label=LABELS, target=others, corruption=kind, severity=severity))
    rows = read(table, KEEP)
    assert [bytes(each) for each in rows["target"].to_pylist()] == [(255 - image).tobytes() for image in PIXELS[KEEP]]
    assert rows["corruption"].to_pylist() == ["fog"] * 3
    assert rows["severity"].to_pylist() == np.flatnonzero(KEEP).tolist()
    assert np.array_equal(images(table), PIXELS)


def test_an_export_keeps_kinds_and_severities(tmp_path: Path) -> None:
    table = save_corrupted(image_table(3, (8, 8, 1)), Common(all=True), tmp_path / "all.parquet")
    again = save(Exported(table), tmp_path / "png.parquet")
    assert again.schema.equals(table.schema, check_metadata=True)
    assert read(again).equals(read(table))


def polars(before: Path, after: Path) -> None:
    import polars as pl

    pl.read_parquet(before).write_parquet(after)


def pandas(before: Path, after: Path) -> None:
    import pandas as pd

    pd.read_parquet(before).to_parquet(after)


def duckdb(before: Path, after: Path) -> None:
    import duckdb as db

    db.sql(f"copy (select * from '{before}') to '{after}'")


@pytest.mark.parametrize("rewrite", [polars, pandas, duckdb])
def test_tables_that_other_tools_rewrite_keep_their_rows(rewrite: Callable[[Path, Path], None], tmp_path: Path) -> None:
    table = save_corrupted(image_table(50, (5, 4, 3)), RandomLabels(p=0.5), tmp_path / "raw.parquet")
    save(Exported(table), tmp_path / "png.parquet")
    for name, shape in (("raw", (5, 4, 3)), ("png", None)):
        rewrite(tmp_path / f"{name}.parquet", tmp_path / f"{name}-again.parquet")
        again = open_table(str(tmp_path / f"{name}-again.parquet"), Foreign(shape=shape))
        assert np.array_equal(images(again), images(table))
        for column in ("id", "label", "label_true"):
            assert np.array_equal(again.column(column), table.column(column))


def test_described_tables_in_other_spellings_are_the_same(tmp_path: Path) -> None:
    table = save(image_table(7, (4, 5, 3)), tmp_path / "own.parquet")
    stored = read(table)
    for image in (pa.large_binary(), pa.binary_view()):
        respelled = pa.table(
            {
                "id": pa.array(map(Decimal, stored["id"].to_pylist()), pa.decimal128(30, 0)),
                "image": stored["image"].cast(pa.binary()).cast(image),
                "label": stored["label"].cast(pa.uint8()).dictionary_encode(),
            }
        ).replace_schema_metadata(stored.schema.metadata)  # fmt: skip
        pq.write_table(respelled, tmp_path / "other.parquet")
        again = open_table(str(tmp_path / "other.parquet"))
        assert read(again)["image"].equals(stored["image"])
        assert read(again)["label"].equals(stored["label"])
        assert read(again)["id"].equals(stored["id"])
        assert again.description == table.description


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "label"), ("image", "y"), ("img", "y")])
def test_columns_may_have_other_names(ids: bool, image: str, label: str, tmp_path: Path) -> None:
    columns = {image: RAW["binary"], label: pa.array(LABELS)} | ({"id": pa.array(IDS)} if ids else {})
    pq.write_table(pa.table(columns), tmp_path / "toy.parquet")
    table = open_table(str(tmp_path / "toy.parquet"), Foreign(label=label, shape=(4, 5, 3)))
    assert np.array_equal(images(table), PIXELS)
    assert table.column("label").tolist() == LABELS.tolist()
    assert (table.column("id").tolist() == IDS.tolist()) == ids
