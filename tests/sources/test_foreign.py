"""What is said of other tools' tables that are no image tables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.errors import GencliError
from gencli.files.tables import Description
from gencli.sources import Foreign, encoded, open_table
from gencli.sources.decoded import Decoding
from tests.helpers import images, read
from tests.sources.test_packed import png

IMAGES = pa.array([b"abcd", b"efgh"], pa.binary(4))
ENCODED = pa.array([{"bytes": png(place), "path": None} for place in (1, 2)])
SHAPE = Foreign(shape=(2, 2, 1))


def written(folder: Path, rows: dict[str, Any], **facts: str) -> str:
    table = pa.table(rows)
    if facts:
        table = pa.Table.from_arrays(table.columns, schema=pa.schema([f.with_metadata(facts) for f in table.schema]))
    pq.write_table(table, folder / "a.parquet")
    return str(folder / "a.parquet")


ITS = "its columns are"


@pytest.mark.parametrize(
    ("rows", "foreign", "said"),
    [
        ({"label": [0, 1]}, SHAPE, f"no column `image` or `img`; {ITS} label"),
        ({"image": IMAGES, "x": [0, 1]}, SHAPE, f"no column `label`; {ITS} image, x"),
        ({"image": IMAGES, "label": [0, 1]}, Foreign(image="x.y"), f"no column `x.y`; {ITS} image, label"),
        ({"image": IMAGES, "label": [0, 1]}, Foreign(label="y"), f"no column `y`; {ITS} image, label"),
        ({"image": IMAGES, "label": [b"a", b"b"]}, SHAPE, "column `label` is binary, not integer"),
        ({"image": IMAGES, "label": [0, 1]}, Foreign(), "column `image` (fixed_size_binary[4]) has no shape"),
        ({"image": IMAGES, "label": [0, 1]}, Foreign(shape=(1, 1, 5)), "column `image` holds images of 1×1×5"),
        ({"image": IMAGES, "label": [0, 1]}, Foreign(shape=(3, 1, 5)), "column `image` holds images of 3×1×5"),
        ({"image": [1, 2], "label": [0, 1]}, SHAPE, "column `image` is int64, neither encoded images nor pixels"),
        (
            {"image": IMAGES, "label": [0, 1]}, Foreign(shape=(2, 2, 1), decoding=Decoding(mode="gray")),
            "raw pixels, not encoded images",
        ),
        ({"s": [{"image": b"abcd"}] * 2, "label": [0, 1]}, Foreign(image="s.image", shape=(2, 2, 1)),
         "raw pixels, and a path into a struct"),
        ({"image": IMAGES, "label": [0, None]}, SHAPE, "1 rows without `label`"),
        ({"image": IMAGES, "label": [0, 0.5]}, SHAPE, "row 1: label 0.5"),
        ({"image": ENCODED, "label": [0, 1], "id": [7, 7]}, Foreign(), "rows 0 and 1 have the same id, 7"),
        ({"image": ENCODED, "label": ["a", None]}, Foreign(), "1 rows without `label`"),
    ],
)  # fmt: skip
def test_what_is_no_image_table_is_said_in_full(
    rows: dict[str, Any], foreign: Foreign, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, rows)
    with pytest.raises(GencliError) as refused:
        open_table(path, foreign)
    assert refused.value.message == f"{path}: {said}"


@pytest.mark.parametrize(
    ("facts", "foreign", "description"),
    [
        ({"shape": "2,2,1"}, Foreign(), (2, 2, 1)), ({"shape": "2,2,1"}, Foreign(shape=(1, 4, 1)), (1, 4, 1)),
        ({"shape": "1,1,4"}, Foreign(), (1, 1, 4)), ({"shape": "1,2,2", "dtype": "uint8"}, Foreign(), (1, 2, 2)),
    ],
)  # fmt: skip
def test_a_field_tells_its_shape_where_none_is_given(
    facts: dict[str, str], foreign: Foreign, description: tuple[int, int, int], tmp_path: Path
) -> None:
    table = open_table(written(tmp_path, {"image": IMAGES, "label": [0, 1]}, **facts), foreign)
    assert table.description == Description("a", "", ("0", "1"), description)
    assert images(table).tobytes() == b"abcdefgh"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"shape": "2,2,1", "dtype": "int8"}, "column `image` holds int8"),
        ({"shape": "2,2"}, "column `image`: '2x2' is not a shape"),
    ],
)  # fmt: skip
def test_what_a_field_tells_may_be_wrong(facts: dict[str, str], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"image": IMAGES, "label": [0, 1]}, **facts)
    with pytest.raises(GencliError) as refused:
        open_table(path)
    assert refused.value.message == f"{path}: {said}"


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (("y",), "--keep: {} has no column 'y'"),
        (("target",), "--keep: 'target' is what an image table calls a column of its own"),
        (("x", "b"), "{}: column `b` is binary"),
    ],
)  # fmt: skip
def test_columns_to_keep_are_there_and_are_numbers_or_words(keep: tuple[str, ...], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"image": ENCODED, "label": [0, 1], "x": ["a", None], "b": [b"a", b"b"], "target": [1, 2]})
    with pytest.raises(GencliError) as refused:
        open_table(path, Foreign(keep=keep))
    assert refused.value.message == said.format(path)


def test_what_is_dropped_is_said_and_what_is_kept_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = list[str]()
    monkeypatch.setattr("gencli.cli.console.message", messages.append)
    rows = {"x": ["a", None], "n": [5, 6], "image": ENCODED, "label": [0, 1], "id": ["u", "v"], "severity": [1, 2]}
    path = written(tmp_path, rows)
    table = open_table(path, Foreign(keep=("n",)))
    assert messages == [f"{path}: dropped columns: x (string), id (string)"]
    assert read(table).schema.names == ["id", "image", "label", "n", "severity"]
    assert read(table)["n"].to_pylist() == [5, 6]
    messages.clear()
    table = open_table(path, Foreign(keep=("x", "n")))
    assert read(table)["x"].to_pylist() == ["a", None]
    assert table.schema.field("x").nullable
    assert not messages or "x" not in messages[0].partition(": dropped columns: ")[2].split(" (")[0]


@pytest.mark.parametrize(
    ("stored", "rows", "few"),
    [(100, 50, 16), (0, 50, 1000), (16000, 50, 3), (16000, 4, 1), (10**6, 50, 1), (500, 1, 2), (3000, 50, 16)],
)
def test_large_values_are_read_a_few_at_a_time(
    stored: int, rows: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 16 where many may be one stored value, but as many as fit in 1000 bytes."""
    monkeypatch.setattr(encoded, "most_bytes", lambda: 1000)
    monkeypatch.setattr(encoded, "_FEW", 16)
    sizes = [("image.bytes", stored), ("label", 10**9)]
    columns = [SimpleNamespace(path_in_schema=name, total_uncompressed_size=size) for name, size in sizes]
    group = SimpleNamespace(num_rows=rows, num_columns=2, column=columns.__getitem__)
    file: Any = SimpleNamespace(metadata=SimpleNamespace(row_group=lambda number: group))
    assert encoded._few(file, 0, ["image.bytes"]) == few


def test_rows_of_one_id_are_the_first_two() -> None:
    encoded._require_unique(np.array([3, 1, 2]), "x")
    with pytest.raises(GencliError, match=r"^x: rows 1 and 3 have the same id, 5$"):
        encoded._require_unique(np.array([9, 5, 7, 5, 9]), "x")
