"""Tables that others made: encoded images as Pillow decodes them, and raw pixels whose description was lost."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gencli.errors import GencliError
from gencli.files import parquet
from gencli.files.tables import Description, identities
from gencli.sources import Foreign, open_table
from gencli.sources.decoded import Decoding, most_bytes, parse_shape
from gencli.sources.encoded import EncodedTable
from tests.helpers import image_table, images, read

RANDOM = np.random.default_rng(0)


def encode(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def picture(mode: str, height: int = 5, width: int = 4) -> Image.Image:
    colors = Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return colors.convert(mode)


def decode(value: bytes, mode: str) -> NDArray[np.uint8]:
    """What Pillow makes of it, with channels last."""
    return np.array(Image.open(io.BytesIO(value)).convert(mode)).reshape(5, 4, -1)


def hub_file(
    path: Path, values: list[bytes | None], column: str = "image", label: str = "label", names: list[str] | None = None,
    labels: list[int] | None = None,
) -> str:  # fmt: skip
    """A file as public hubs publish it; labels 0, 1, 2, 0, … unless given."""
    data = pa.table(
        {
            column: pa.array([{"bytes": value, "path": f"{row}.png"} for row, value in enumerate(values)]),
            label: pa.array(labels or [row % 3 for row in range(len(values))]),
        }
    )
    if names is not None:
        features = {column: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
        data = data.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(data, path)
    return str(path)


@pytest.mark.parametrize("column", ["image", "img"])
@pytest.mark.parametrize(
    ("mode", "form", "becomes"),
    [
        ("L", "PNG", "L"), ("RGB", "PNG", "RGB"), ("P", "PNG", "RGB"), ("1", "PNG", "L"),
        ("L", "JPEG", "L"), ("RGB", "JPEG", "RGB"), ("RGB", "WEBP", "RGB"),
    ],
)  # fmt: skip
def test_images_are_what_pillow_decodes(mode: str, form: str, becomes: str, column: str, tmp_path: Path) -> None:
    values: list[bytes | None] = [encode(picture(mode), form) for _ in range(4)]
    table = open_table(hub_file(tmp_path / "toy.parquet", values, column))
    assert images(table).dtype == np.uint8
    assert np.array_equal(images(table), [decode(value, becomes) for value in values if value])
    assert table.description.shape == (5, 4, 1 if becomes == "L" else 3)
    assert read(table)["label"].to_pylist() == [0, 1, 2, 0]
    assert read(table).schema.names == ["id", "image", "label"]


@pytest.mark.parametrize(("mode", "pillow"), [("gray", "L"), ("rgb", "RGB")])
def test_a_mode_converts_every_image(mode: Literal["gray", "rgb"], pillow: str, tmp_path: Path) -> None:
    values: list[bytes | None] = [encode(picture(each)) for each in ("RGB", "L", "P", "RGBA", "LA")]
    table = open_table(hub_file(tmp_path / "toy.parquet", values), Foreign(decoding=Decoding(mode)))
    assert np.array_equal(images(table), [decode(value, pillow) for value in values if value])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK"])
def test_images_that_would_lose_something_need_a_mode(mode: str, tmp_path: Path) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    with pytest.raises(GencliError, match=f"row 0: an image of mode {mode}"):
        open_table(hub_file(tmp_path / "toy.parquet", [encode(picture(mode), form)]))


def test_class_names_come_from_the_metadata_for_any_label_column(tmp_path: Path) -> None:
    values: list[bytes | None] = [encode(picture("L"))] * 3
    names = ["Katze", "dog", "never seen"]
    path = hub_file(tmp_path / "toy.parquet", values, label="fine_label", names=names, labels=[0, 1, 0])
    table = open_table(path, Foreign(label="fine_label"))
    assert table.description.classes == tuple(names)
    assert read(table)["label"].to_pylist() == [0, 1, 0]


def test_without_names_the_classes_are_numbers_to_the_largest(tmp_path: Path) -> None:
    values: list[bytes | None] = [encode(picture("L"))] * 2
    table = open_table(hub_file(tmp_path / "toy.parquet", values, labels=[1, 4]))
    assert table.description.classes == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize(
    ("file", "name", "split"),
    [
        ("cifar10-train", "cifar10", "train"), ("my_set_test", "my_set", "test"), ("a.b-val", "a.b", "val"),
        ("toy", "toy", ""), ("constrain", "constrain", ""),
    ],
)  # fmt: skip
def test_name_and_split_come_from_the_file_unless_given(file: str, name: str, split: str, tmp_path: Path) -> None:
    path = hub_file(tmp_path / f"{file}.parquet", [encode(picture("L"))])
    assert open_table(path).description == Description(name, split, ("0",), (5, 4, 1))
    given = open_table(path, Foreign("other", "")).description
    assert (given.name, given.split) == ("other", "")
    assert np.array_equal(open_table(path).column("id"), identities(name, split, 0, 1))


def many(folder: Path) -> tuple[EncodedTable, NDArray[np.uint8], NDArray[np.int64]]:
    """A data set of 1,300 different images in two files, what its images are, and its labels."""
    pixels = RANDOM.integers(0, 256, (1300, 5, 4, 3), dtype=np.uint8)
    labels = RANDOM.integers(0, 10, 1300)
    values: list[bytes | None] = [encode(Image.fromarray(image)) for image in pixels]
    for start, stop, name in ((0, 1250, "toy-a"), (1250, 1300, "toy-b")):
        hub_file(folder / f"{name}.parquet", values[start:stop], labels=labels[start:stop].tolist())
    table = open_table(str(folder), Foreign("toy", "train"))
    assert isinstance(table, EncodedTable)
    return table, pixels, labels


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[EncodedTable, NDArray[np.uint8], NDArray[np.int64]]:
    return many(tmp_path_factory.mktemp("large"))


def test_rows_keep_their_order_and_place_over_batches_and_files(large: Any) -> None:
    table, pixels, labels = large
    assert table.rows == 1300
    assert np.array_equal(images(table), pixels)
    for rows in (table, read(table)):
        ids, label = (np.asarray(rows.column(name)) for name in ("id", "label"))
        assert np.array_equal(ids, identities("toy", "train", 0, 1300))
        assert np.array_equal(label, labels)


@settings(max_examples=25)  # each starts processes
@given(places=st.sets(st.integers(0, 1299), min_size=1))
def test_a_mask_keeps_its_rows(large: Any, places: set[int]) -> None:
    table, pixels, labels = large
    keep = np.zeros(1300, bool)
    keep[list(places)] = True
    rows = read(table, keep)
    assert np.array_equal(images(table, keep), pixels[keep])
    assert np.array_equal(rows["label"], labels[keep])
    assert np.array_equal(rows["id"], identities("toy", "train", 0, 1300)[keep])


def heavy(path: Path, rows: int, dictionary: bool) -> None:
    """A file of one row group of images of 2.4 MB, three different ones."""
    values = [encode(picture("RGB", 900, 900), "BMP") for _ in range(3)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pages = [pa.array([{"bytes": values[row % 3], "path": None}], kind) for row in range(rows)]
    table = pa.table({"image": pa.chunked_array(pages), "label": [row % 3 for row in range(rows)]})
    pq.write_table(table, path, compression="none", use_dictionary=dictionary)
    assert pq.ParquetFile(path).num_row_groups == 1


MEASURED = """
import re
from gencli.cli.app import main
assert main() == 0
print(re.search("VmHWM:[^0-9]*([0-9]+) kB", open("/proc/self/status").read())[1])
"""  # the most memory that it took, in kB; what the parent took counts in ru_maxrss


def test_large_images_take_little_memory(tmp_path: Path) -> None:
    heavy(tmp_path / "heavy.parquet", 100, dictionary=False)
    command = [sys.executable, "-c", MEASURED, "data", "parquet", "heavy.parquet", "--size", "8", "--limit", "30"]
    done = subprocess.run([*command, "-o", "out.parquet"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 << 10  # where 100 rows take 243 MB
    assert open_table(str(tmp_path / "out.parquet")).column("label").tolist() == [0, 1, 2] * 10


def test_large_images_are_read_a_few_at_a_time_though_stored_once(tmp_path: Path) -> None:
    heavy(tmp_path / "heavy.parquet", 40, dictionary=True)
    table = open_table(str(tmp_path / "heavy.parquet"))
    assert isinstance(table, EncodedTable)
    sizes = [sum(len(value or b"") for value in values) for values, _ in table.values(1000)]
    assert sum(sizes) == 40 * 2_430_054
    assert max(sizes) <= most_bytes() + 16 * 2_430_054


def test_what_arrow_does_not_read_is_not_called_damaged(tmp_path: Path) -> None:
    for error, words in (
        (pa.ArrowNotImplementedError("Nested data conversions"), "toy: Arrow cannot read it: Nested data conversions"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), "toy: out of memory: malloc"),
        (OSError(5, "Input/output error"), "toy: cannot be read: Input/output error"),
        (OSError("Cannot decrypt ColumnMetadata."), "toy: encrypted Parquet"),
        (OSError("Corrupt snappy compressed data."), "toy: corrupt Parquet: Corrupt snappy"),
    ):
        with pytest.raises(GencliError, match=words), parquet.undamaged("toy"):
            raise error


GOOD = encode(picture("L"))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (encode(picture("L", 6)), "row 250: an image of 6×4×1, the first is 5×4×1"),
        (encode(picture("RGB")), "row 250: an image of 5×4×3, the first is 5×4×1"),
        (b"no image", "row 250: not an image"),
        (GOOD[:45], "row 250: not an image"),
        (None, "row 250: the image has no bytes"),
    ],
    ids=["height", "channels", "text", "cut short", "missing"],
)
def test_a_bad_image_is_refused_by_row(bad: bytes | None, says: str, tmp_path: Path) -> None:
    values = [GOOD] * 250 + [bad] + [GOOD] * 49
    table = open_table(hub_file(tmp_path / "toy.parquet", values))
    with pytest.raises(GencliError, match=says):
        read(table)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_without_a_class_are_refused_by_row(label: int, tmp_path: Path) -> None:
    path = hub_file(tmp_path / "toy.parquet", [GOOD] * 3, names=["a", "b"], labels=[0, 1, label])
    with pytest.raises(GencliError, match=f"row 2: label {label} is not one of the 2 classes"):
        open_table(path)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"picture": [b"1"], "label": [0]}, "no column `image"),
        ({"image": [b"1"], "fine_label": [0]}, "no column `label`; its columns are image, fine_label"),
        ({"image": [b"1"], "label": [b"cat"]}, "column `label` is binary, not integer"),
        ({"image": [b"1"], "label": [0], "id": [0]}, "has no shape"),
    ],
)
def test_other_columns_are_refused(columns: dict[str, list[Any]], says: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "toy.parquet")
    with pytest.raises(GencliError, match=says):
        open_table(str(tmp_path / "toy.parquet"))


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}), tmp_path / "none")
    with pytest.raises(GencliError, match="no rows"):
        open_table(str(tmp_path / "none"))


def test_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    hub_file(tmp_path / "a.parquet", [GOOD])
    hub_file(tmp_path / "b.parquet", [GOOD], "img")
    with pytest.raises(GencliError, match=r"b\.parquet: other columns than"):
        open_table(str(tmp_path))


def test_raw_pixels_keep_their_identities(tmp_path: Path) -> None:
    table = image_table(12, (2, 3, 1))
    bare = read(table).take(pa.array([7, 2, 5]))
    bare = pa.table({name: pa.array(bare[name].to_pylist()) for name in bare.schema.names})
    pq.write_table(bare, tmp_path / "bare.parquet")
    again = open_table(str(tmp_path / "bare.parquet"), Foreign("toy", "train", shape=(2, 3, 1)))
    assert again.description.shape == (2, 3, 1)
    assert np.array_equal(again.column("id"), table.column("id")[[7, 2, 5]])
    assert np.array_equal(images(again), images(table)[[7, 2, 5]])


def test_raw_pixels_without_identities_are_numbered_over_batches_row_groups_and_files(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (700, 6), dtype=np.uint8)
    values = pa.table({"image": [each.tobytes() for each in pixels], "label": [0] * 700})
    pq.write_table(values.slice(0, 400), tmp_path / "a.parquet", row_group_size=150)
    pq.write_table(values.slice(400), tmp_path / "b.parquet", row_group_size=150)
    table, expected = (
        open_table(str(tmp_path), Foreign("toy", "train", shape=(2, 3, 1))),
        identities("toy", "train", 0, 700),
    )
    assert np.array_equal(table.column("id"), expected)
    for keep in (np.ones(700, bool), np.arange(700) % 3 == 1, np.arange(700) >= 560):
        rows = read(table, keep)
        assert np.array_equal(rows["id"], expected[keep])
        assert np.array_equal(images(table, keep).reshape(-1, 6), pixels[keep])


def test_raw_pixels_take_their_shape_from_the_field(tmp_path: Path) -> None:
    table = image_table(12, (2, 3, 1), "float32")
    pq.write_table(read(table).replace_schema_metadata(None), tmp_path / "bare.parquet")
    again = open_table(str(tmp_path / "bare.parquet"))
    assert np.array_equal(images(again), images(table))
    assert again.description.dtype == "float32"


def test_columns_of_raw_pixels_that_have_our_names_are_dropped_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"pixels": [b"1234"], "image": [1], "y": [0], "label": ["b"], "split": ["test"], "id": [7]}
    pq.write_table(pa.table(columns), tmp_path / "toy.parquet")
    path = str(tmp_path / "toy.parquet")
    table = open_table(path, Foreign(image="pixels", label="y", shape=(2, 2, 1)))
    assert capsys.readouterr().err == f"{path}: dropped columns: image (int64), label (string)\n"
    assert read(table).to_pylist() == [{"image": b"1234", "label": 0, "split": "test", "id": 7}]


def test_raw_pixels_without_a_label_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [0, 1], "image": [b"1234"] * 2, "label": [0, None]}), tmp_path / "toy.parquet")
    with pytest.raises(GencliError, match="1 rows without `label`"):
        open_table(str(tmp_path / "toy.parquet"), Foreign(shape=(2, 2, 1)))


def test_raw_pixels_of_another_shape_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [0], "image": [b"1234"], "label": [0]}), tmp_path / "toy.parquet")
    with pytest.raises(GencliError, match="row 0: an image of 4 bytes, where 2×3×1 takes 6"):
        read(open_table(str(tmp_path / "toy.parquet"), Foreign(shape=(2, 3, 1))))


def test_shapes_are_read() -> None:
    assert parse_shape(None) is None
    assert parse_shape("32x30x3") == (32, 30, 3)


@pytest.mark.parametrize("text", ["32x32", "0x3x3", "32X32X3", "ax2x3", "-1x2x3", ""])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(GencliError, match="is not a shape"):
        parse_shape(text)
