"""What a table may say that it is, which columns it has, and Arrow's spellings of the same numbers and images."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.errors import GencliError
from gencli.files import arrow, tables
from gencli.files.tables import Description, TableWriter
from gencli.sources import open_table
from tests.helpers import image_table, read, save

RIGHT = {"name": "a", "split": "b", "classes": ["x"], "shape": [1, 2, 3], "dtype": "uint8"}


def test_a_description_is_read_as_it_is_written() -> None:
    assert tables._description(RIGHT) == Description("a", "b", ("x",), (1, 2, 3), "uint8")
    assert tables._description(RIGHT | {"dtype": "float32", "more": 1}).dtype == "float32"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": 1}, "its description has the wrong form"), ({"split": None}, "its description has the wrong form"),
        ({"classes": "x"}, "its description has the wrong form"), ({"shape": 3}, "its description has the wrong form"),
        ({"classes": []}, "its classes have no names"), ({"classes": ["x", 1]}, "its classes have no names"),
        ({"dtype": "int8"}, r"no images are \[1, 2, 3\] of int8"),
        ({"shape": [1, 2]}, r"no images are \[1, 2\] of uint8"),
    ],
)  # fmt: skip
def test_a_description_of_another_form_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        tables._description(RIGHT | wrong)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ([1, 1, 1], True), ((1, 1, 1), True), ([0, 1, 1], False), ([1, 1, 0], False), ([-1, -1, 1], False),
        ([1, 1], False),
        ([1, 1, 1, 1], False), ([1, 1, True], False), ([1, 1, 1.0], False), ("111", False),
        ([1 << 14, 1 << 15, 1], False), ([(1 << 29) - 1, 1, 1], True),
    ],
)  # fmt: skip
def test_a_shape_is_of_three_numbers_of_an_image_that_fits(shape: Any, fits: bool) -> None:
    assert tables.is_shape(shape) == fits


@pytest.mark.parametrize(
    ("shape", "dtype", "size", "rows"),
    [
        ((2, 3, 4), "uint8", 24, 1000), ((2, 3, 4), "float32", 96, 1000), ((1, 3145, 1), "uint8", 3145, 1000),
        ((1, 3146, 1), "uint8", 3146, 999), ((1 << 20, 3, 1), "uint8", 3 << 20, 1),
        ((1 << 21, 3, 1), "uint8", 6 << 20, 1),
    ],
)  # fmt: skip
def test_row_groups_are_of_a_thousand_rows_or_of_three_mebibytes(
    shape: tuple[int, int, int], dtype: str, size: int, rows: int
) -> None:
    description = Description("a", "", ("x",), shape, dtype)
    assert (description.row_bytes, description.group_rows) == (size, rows)


def test_batches_of_any_size_are_written_in_row_groups_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_GROUP_ROWS", 10)
    table, groups = image_table(34), list[int]()

    class Written:
        def write(self, group: pa.Table, size: int) -> None:
            assert size == 10
            groups.append(group.num_rows)

        def close(self, made: object, rows: int) -> None:
            groups.append(-rows)

    monkeypatch.setattr("gencli.files.parquet.Writer", lambda *_, **__: Written())
    writer = TableWriter(None, table.schema, table.description)  # type: ignore[arg-type]
    [batch] = table.batches()
    waiting = []
    for start, stop in ((0, 9), (9, 10), (10, 31), (31, 34)):
        writer.write(batch.slice(start, stop - start))
        waiting.append((writer.rows, [*groups]))
    assert waiting == [(9, []), (10, [10]), (31, [10, 10, 10]), (34, [10, 10, 10])]
    writer.close(None)  # type: ignore[arg-type]
    assert groups == [10, 10, 10, 4, -34]


def test_labels_beyond_the_classes_are_named_by_row_and_column() -> None:
    tables.check_labels(np.array([0, 2]), 3, "x")
    for labels, said in (([0, 3], "row 6: label 3"), ([-1, 3], "row 5: label -1")):
        with pytest.raises(GencliError, match=rf"^x: {said} is not one of the 3 classes$") as refused:
            tables.check_labels(np.array(labels), 3, "x", start=5)
        assert refused.value.hint == "labels range from 0 to 2; remove such rows first"


def test_a_table_has_each_of_its_own_columns_once_and_of_its_kind(tmp_path: Path) -> None:
    table = read(image_table(4))
    path = tmp_path / "a.parquet"
    columns = "its columns are"
    for made, said in (
        (table.drop_columns(["id"]), f"no column `id`; {columns} image, label"),
        (table.append_column("label", table["label"]), f"2 columns `label`; {columns} id, image, label, label"),
        (table.append_column("label_true", table["image"]), "column `label_true` is fixed_size_binary[4]"),
        (table.append_column("target", table["label"]), "column `target` is int64"),
        (table.set_column(1, "image", pa.array(["abcd"] * 4)), "column `image` is string"),
    ):
        pq.write_table(made.replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(GencliError) as refused:
            open_table(str(path))
        assert refused.value.message == f"{path}: {said}"


def test_several_files_are_called_by_the_first(tmp_path: Path) -> None:
    table = image_table(30)
    places = np.arange(30)
    for part in range(3):
        save(table, tmp_path / f"{part}.parquet", places // 10 == part)
    assert open_table(str(tmp_path)).title == f"{tmp_path}/0.parquet and 2 more"
    assert open_table(str(tmp_path / "1.parquet")).title == f"{tmp_path}/1.parquet"


def labelled(label: list[int], true: list[int] | None) -> Any:
    table = image_table(len(label))
    schema = table.description.schema(("id", "image", "label", *(["label_true"] if true else [])))
    rows = read(table)
    columns = [rows["id"], rows["image"], pa.array(label), *([pa.array(true)] if true else [])]
    table._rows = pa.Table.from_arrays(columns, schema=schema).combine_chunks().to_batches()[0]
    table.schema = schema
    return table


def test_labels_that_differ_by_no_step_of_ours_are_a_share() -> None:
    assert tables.differing(labelled([0, 1, 2, 0], None)) is None
    assert tables.differing(labelled([0, 1, 2, 0], [0, 1, 2, 0])) is None
    assert tables.differing(labelled([0, 1, 2, 0], [0, 1, 2, 1])) == 0.25


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        (pa.array([0, 2**63], pa.uint64()), 1, 2**63), (pa.array([0.0, 0.5]), 1, 0.5),
        (pa.array([2.0**53]), 0, 2.0**53),
        (pa.array([0.0, -(2.0**53) - 2]), 1, -(2.0**53) - 2), (pa.array([1.0, np.nan]), 1, None),
        (pa.array([Decimal("1.50")]), 0, 1.5), (pa.array([Decimal(2**63)], pa.decimal128(25, 0)), 0, 2**63),
    ],
)  # fmt: skip
def test_what_is_no_number_of_64_bits_is_told(column: pa.Array, row: int, value: float | None) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its arguments are looked at
        arrow.to_integers(column)
    assert refused.value.args[0] == row
    assert value is None or refused.value.args[1] == value


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]), (pa.array([-1.0, 2.0**53 - 1]), [-1, 2**53 - 1]),
        (pa.array([-(2.0**53)]), [-(2**53)]), (pa.array([True, False]), [1, 0]), (pa.array([-3, 4], pa.int8()),
        [-3, 4]),
        (pa.array([Decimal("2.00"), Decimal("-1.00")]), [2, -1]), (pa.array([1.0, 2.0], pa.float16()), [1, 2]),
        (pa.array([-(2**63)], pa.int64()), [-(2**63)]), (pa.array([5, 5]).dictionary_encode(), [5, 5]),
        (pa.array([Decimal(2**63 - 1)], pa.decimal128(25, 0)), [2**63 - 1]),
    ],
)  # fmt: skip
def test_whole_numbers_of_any_type_are_those(column: pa.Array, numbers: list[int]) -> None:
    assert arrow.to_integers(column).tolist() == numbers


def test_types_that_can_hold_numbers_bytes_or_pixels() -> None:
    numbers = [pa.int8(), pa.float16(), pa.decimal128(3), pa.bool_(), pa.dictionary(pa.int8(), pa.int64())]
    others = [pa.binary(), pa.string(), pa.date32(), pa.list_(pa.int8())]
    assert [arrow.holds_integers(kind) for kind in (*numbers, *others)] == [True] * 5 + [False] * 4
    held = [pa.binary(), pa.binary(4), pa.large_binary(), pa.binary_view(), pa.string(), pa.int8()]
    assert [arrow.holds_bytes(kind) for kind in held] == [True] * 4 + [False] * 2
    nested: list[pa.DataType] = [pa.uint8()]
    for _ in range(4):
        nested.append(pa.list_(nested[-1]))
    assert [arrow.holds_pixels(kind) for kind in nested] == [False, True, True, True, False]
    lists = [pa.list_(pa.float32()), pa.large_list(pa.int64()), pa.list_(pa.int8(), 3), pa.list_(pa.string())]
    assert [arrow.holds_pixels(kind) for kind in (*lists, pa.binary(3))] == [True, True, True, False, True]
    assert arrow.holds_pixels(pa.fixed_shape_tensor(pa.uint8(), (2, 2)))


@pytest.mark.parametrize(
    ("value", "kind", "shape", "dtype"),
    [
        ([[1, 2, 3], [4, 5, 6]], pa.list_(pa.list_(pa.int64())), (2, 3, 1), "uint8"),
        ([[[1.0, 2], [3, 4]]], pa.list_(pa.list_(pa.list_(pa.float32()))), (1, 2, 2), "float32"),
        ([1, 2], pa.list_(pa.uint8()), None, "uint8"), (None, pa.list_(pa.list_(pa.uint8())), None, "uint8"),
    ],
)  # fmt: skip
def test_nested_lists_tell_a_shape(value: Any, kind: pa.DataType, shape: Any, dtype: str) -> None:
    assert arrow.shape_of(pa.array([value, value], kind)) == (shape, dtype)


@pytest.mark.parametrize(
    ("images", "kind", "dtype", "said"),
    [
        ([[0, 255], [256, 0]], pa.int64(), "uint8", (1, "an image with the value 256, not uint8")),
        ([[0, 255], [0, -1]], pa.int64(), "uint8", (1, "an image with the value -1, not uint8")),
        ([[0.0, 1.0]], pa.float32(), "uint8", (0, "an image with the value 0.0, not uint8")),
        ([[0, 1], [0, 1, 2]], pa.int64(), "uint8", (1, "an image with 3 values where 2 belong")),
        ([[0, 1], [0, None]], pa.int64(), "uint8", (1, "an image with a missing value")),
        ([[0.0, 3.5e38]], pa.float64(), "float32", (0, "an image with the value 3.5e+38, not float32")),
        ([[0.0, -3.5e38]], pa.float64(), "float32", (0, "an image with the value -3.5e+38, not float32")),
    ],
)  # fmt: skip
def test_lists_that_are_no_images_are_told(images: Any, kind: pa.DataType, dtype: str, said: tuple[int, str]) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its arguments are looked at
        arrow.to_images(pa.array(images, pa.list_(kind)), (1, 2, 1), dtype)
    assert refused.value.args == said


def test_rows_of_nested_lists_are_told_by_image() -> None:
    whole = [[[1], [2]], [[3], [4]], [[5], [6]]]
    kind = pa.list_(pa.list_(pa.list_(pa.uint8())))
    packed = arrow.to_images(pa.array([whole, whole], kind), (3, 2, 1), "uint8")
    assert packed.to_pylist() == [bytes([1, 2, 3, 4, 5, 6])] * 2
    short = [[[1], [2]], [[3], [4]], [[5]]]
    for wrong in (short, whole[:2], [[[1], [2]], [[3], [4]], [[5], []]], [[[1], [2]], None, [[3], [4]]]):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - its arguments are looked at
            arrow.to_images(pa.array([whole, wrong, whole], kind), (3, 2, 1), "uint8")
        assert refused.value.args[0] == 1
    flat = pa.array([[[1, 2], [3, 4], [5, 6]]], pa.list_(pa.list_(pa.uint8())))
    assert arrow.to_images(flat, (3, 2, 1), "uint8").to_pylist() == [bytes([1, 2, 3, 4, 5, 6])]
    with pytest.raises(ValueError):  # noqa: PT011 - channels have lists of their own
        arrow.to_images(flat, (3, 1, 2), "uint8")


def test_images_in_bytes_of_any_spelling_are_of_one_size() -> None:
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)):
        assert arrow.to_images(pa.array([b"ab", b"cd"], kind), (1, 2, 1), "uint8").to_pylist() == [b"ab", b"cd"]
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its arguments are looked at
        arrow.to_images(pa.array([b"ab", b"cde"]), (1, 2, 1), "uint8")
    assert refused.value.args == (1, "an image of 3 bytes")


def test_a_mask_selects_rows_of_slices_too() -> None:
    columns = [
        pa.array([1, 2, 3, 4]),
        pa.array([b"ab", b"cd", b"ef", b"gh"], pa.binary(2)),
        pa.array(["a", None, "c", "d"]),
    ]
    batch = pa.RecordBatch.from_arrays([*columns, pa.array([1, None, 3, 4])], ["i", "b", "s", "n"]).slice(1)
    found = arrow.select(batch, np.array([True, False, True]))
    assert found.to_pydict() == {"i": [2, 4], "b": [b"cd", b"gh"], "s": [None, "d"], "n": [None, 4]}
    assert arrow.values(batch.column("i")).tolist() == [2, 3, 4]
    assert arrow.values(pa.array([], pa.int64())).tolist() == []
