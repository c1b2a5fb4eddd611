"""Parquet files that say more than they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli import machine
from gencli.errors import GencliError
from gencli.files import parquet
from gencli.files.stream import Input

MANY = (1 << 24) + 1


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"id": np.zeros(MANY // 8, np.int64)}, f"{MANY // 8:,} rows in"),
        (
            {"image": pa.ListArray.from_arrays(np.array([0, MANY], np.int32), pa.array(np.zeros(MANY, np.uint8)))},
            f"column `image.list.element`: {MANY:,} values in",
        ),
    ],
    ids=["rows", "lists"],
)
def test_far_more_rows_or_values_than_bytes_are_refused(table: dict[str, pa.Array], says: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 50_000
    with pytest.raises(GencliError, match=f"bomb.parquet: {says}"):
        parquet.open_file(Input(str(tmp_path / "bomb.parquet")))


def test_pages_larger_than_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = bytes(8 << 20) + np.random.default_rng(0).bytes(1 << 20)
    pq.write_table(
        pa.table({"image": [values] * 8}), tmp_path / "page.parquet", compression="gzip", use_dictionary=False
    )
    place = str(tmp_path / "page.parquet")
    assert parquet.open_file(Input(place)).metadata.num_rows == 8
    monkeypatch.setattr(machine, "free_memory", lambda: 32 << 20)
    with pytest.raises(GencliError, match=r"page\.parquet: column `image`: needs 72\.\d MiB of memory"):
        parquet.open_file(Input(place))


def test_devices_are_no_files() -> None:
    with pytest.raises(GencliError, match="/dev/zero: a device, which may never end"):
        Input("/dev/zero")
    assert Input("/dev/null").size == 0


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("mine.npz", b"PK\x03\x04", "give a file that is Parquet; gencli data arrays makes an image table of images"),
        ("model", b"\x08" + bytes(7) + b'{"a":{}}', "it is safetensors, such as a model; give a file that is Parquet"),
        ("text", b"label", "give a file that is Parquet"),
    ],
)
def test_what_reads_a_file_that_is_no_table_is_said(name: str, content: bytes, hint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GencliError, match=f"{name}: not Parquet") as refused:
        parquet.open_file(Input(str(tmp_path / name)))
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pa.ArrowMemoryError("malloc"), "out of memory: malloc"),
        (pa.ArrowNotImplementedError("lzo"), "Arrow cannot read it: lzo"),
        (pa.ArrowCapacityError("2 GB"), "Arrow cannot read it: 2 GB"), (pa.ArrowInvalid("bad"), "corrupt Parquet: bad"),
        (OSError("Cannot decrypt it"), "encrypted Parquet: Cannot decrypt it"),
        (OSError("short"), "corrupt Parquet: short"),
        (OSError(5, "Input/output error"), "cannot be read: Input/output error"),
        (
            UnicodeDecodeError("utf-8", b"x", 0, 1, "no"),
            "corrupt Parquet: 'utf-8' codec can't decode byte 0x78 in position 0: no",
        ),
    ],
)  # fmt: skip
def test_errors_of_the_reader_are_of_the_file(error: Exception, said: str) -> None:
    with pytest.raises(GencliError) as refused, parquet.undamaged("x"):
        raise error
    assert refused.value.message == f"x: {said}"


@pytest.mark.parametrize(("rows", "fits"), [(40, True), (41, False)])
def test_rows_are_as_many_as_bytes_or_as_any_file_may_hold(
    rows: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_ROWS", 40)
    pq.write_table(pa.table({"a": [1] * rows}), tmp_path / "a.parquet")
    source = Input(str(tmp_path / "a.parquet"))
    facts = pq.read_metadata(tmp_path / "a.parquet")
    source.size = 39
    if fits:
        parquet._refuse_bombs(source, facts)
    else:
        with pytest.raises(GencliError, match=r"a\.parquet: 41 rows in 39 bytes$"):
            parquet._refuse_bombs(source, facts)
        source.size = 41
        parquet._refuse_bombs(source, facts)


def test_numbers_of_a_table_are_read_as_floats(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2], "b": [0.5, 1.5]}), tmp_path / "a.parquet")
    names, numbers = parquet.read_numbers(Input(str(tmp_path / "a.parquet")), "hint")
    assert (names, numbers.tolist()) == (["a", "b"], [[1, 0.5], [2, 1.5]])
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "b.parquet")
    with pytest.raises(GencliError, match=r"b\.parquet: column `b` is string, not numbers$"):
        parquet.read_numbers(Input(str(tmp_path / "b.parquet")), "hint")
