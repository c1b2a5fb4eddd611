"""Parquet that is small on disk and large in memory: refused by its pages' headers, before Arrow decodes it."""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.errors import GencliError
from gencli.files import pages, parquet
from gencli.files.stream import Input
from tests.hostile import thrift

ROWS, WORD = 2000, "x" * 2000


def written(table: dict[str, object], **settings: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink, **settings)  # type: ignore[arg-type]
    return sink.getvalue()


def read(content: bytes, place: Path) -> pq.ParquetFile:
    path = place / "t.parquet"
    path.write_bytes(content)
    return parquet.open_file(Input(str(path)))


def one(kind: pa.DataType) -> pa.Array:
    return pa.array([WORD.encode()] * ROWS).cast(kind)


def lists() -> pa.Array:
    return pa.ListArray.from_arrays(np.arange(ROWS + 1, dtype=np.int32), one(pa.string()))


BOMBS: dict[str, Callable[[], bytes]] = {
    "names": lambda: written({"names": one(pa.string())}),
    "titles": lambda: written(  # by differences from the value before
        {"titles": one(pa.string())}, use_dictionary=False, column_encoding={"titles": "DELTA_BYTE_ARRAY"}
    ),
    "image.bytes": lambda: written({"image": pa.StructArray.from_arrays([one(pa.binary())], ["bytes"])}),
    "pixels": lambda: written({"pixels": one(pa.binary(len(WORD)))}),
    "words.list.element": lambda: written({"words": lists()}),
}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("name", BOMBS)
def test_texts_that_repeat_are_refused(
    name: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_COLUMN", 1 << 20)
    monkeypatch.setattr(pages, "_PAGE", 1 << 17)  # some rows at a time
    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda *given, **named: write(*given, data_page_version=version, **named))
    content = BOMBS[name]()
    assert len(content) < 10_000
    with pytest.raises(
        GencliError, match=rf"^{tmp_path}/t.parquet: column `{name}`: more than \d\.\d MiB in a file of"
    ):
        read(content, tmp_path)


def test_names_of_classes_may_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a few are long, and as many as there are rows could not be."""
    monkeypatch.setattr(pages, "_COLUMN", 1 << 20)
    names = ["cat", "dog"] * ROWS + ["x" * 100_000]
    for settings in ({}, {"use_dictionary": False, "column_encoding": {"name": "DELTA_BYTE_ARRAY"}}):
        content = written({"name": names}, **settings)
        assert read(content, tmp_path).read().column(0).to_pylist() == names


def test_a_page_that_says_it_is_large_is_refused(tmp_path: Path) -> None:
    content = written({"label": np.arange(9)}, use_dictionary=False, compression="zstd")
    [page] = thrift.pages(content)
    for number, size, says in (
        (2, (1 << 31) - 1, r"column `label`: a page of 2,147,483,647 bytes in \d+$"),
        (3, (1 << 31) - 1, "corrupt Parquet: a page of 2,147,483,647 bytes, where the file ends before"),
        (3, -1, "corrupt Parquet: a page's header is corrupt"),
    ):
        [page] = thrift.pages(content)
        next(each for each in page.header if each.number == number).value = size
        with pytest.raises(GencliError, match=rf"^{tmp_path}/t.parquet: {says}"):
            read(thrift.with_page(content, page), tmp_path)


def test_a_page_and_a_column_may_have_just_so_many_bytes(tmp_path: Path) -> None:
    """64 MiB or 256 per stored byte of a page, 256 MiB or 256 per byte of the file of a column: no more by one."""
    noise = np.random.default_rng(0).bytes(17_000 * 16)
    words = pa.array([noise[at : at + 16] for at in range(0, len(noise), 16)], pa.binary(16))
    column = written(
        {"words": words}, use_dictionary=False
    )  # a page of 272,000 bytes, 256 times which are above 64 MiB
    few = written({"label": np.arange(9)}, use_dictionary=False)
    for content, most in ((few, 64 << 20), (column, 256 * thrift.find(thrift.pages(column)[0].header, 3))):
        for size, refused in ((most, False), (most + 1, True)):
            page = thrift.pages(content)[0]
            next(each for each in page.header if each.number == 2).value = size
            path = tmp_path / "t.parquet"
            path.write_bytes(thrift.with_page(content, page))
            source = Input(str(path))
            with pytest.raises(GencliError, match=f"a page of {size:,} bytes") if refused else contextlib.nullcontext():
                pages.require(source, pq.ParquetFile(path))
    for size in (1, 2 << 20):
        (tmp_path / "large").write_bytes(b"")
        os.truncate(tmp_path / "large", size)
        most = max(256 << 20, 256 * size)
        pages.require(Input(str(tmp_path / "large")), column_of(most))
        with pytest.raises(GencliError, match=f"more than {most >> 20}.0 MiB"):
            pages.require(Input(str(tmp_path / "large")), column_of(most + 1))


def column_of(values: int) -> pq.ParquetFile:
    """A file of so many values of a byte each and no pages, as far as its metadata go."""
    kind = SimpleNamespace(path="x", physical_type="FIXED_LEN_BYTE_ARRAY", length=1, max_repetition_level=0)
    chunk = SimpleNamespace(path_in_schema="x", num_values=values, data_page_offset=4, total_compressed_size=0)
    chunk.has_dictionary_page = False
    group = SimpleNamespace(num_columns=1, column=lambda place: chunk)
    facts = SimpleNamespace(num_columns=1, num_row_groups=1, row_group=lambda number: group)
    facts.schema = SimpleNamespace(column=lambda place: kind)
    return cast(pq.ParquetFile, SimpleNamespace(metadata=facts))


def test_headers_are_read_as_thrift_is(tmp_path: Path) -> None:
    """By an independent reader of the protocol, pages of all kinds."""
    table = {"a": list("abab") * 99, "b": np.arange(396) / 7, "c": [None, True] * 198, "d": [[1, 2], [], None] * 132}
    for version in ("1.0", "2.0"):
        content = written(table, data_page_version=version, data_page_size=200, write_batch_size=10)
        file, source = read(content, tmp_path), Input(str(tmp_path / "t.parquet"))
        found = [page for place in range(4) for page in pages._pages(source, file.metadata.row_group(0).column(place))]
        expected = thrift.pages(content)
        assert len(found) > 20
        assert [(page.decoded, page.stored) for page in found] == [
            (thrift.find(each.header, 2), thrift.find(each.header, 3)) for each in expected
        ]
        assert [page.dictionary for page in found] == [thrift.find(each.header, 7) is not None for each in expected]
        for page, each in zip(found, expected):
            assert page.values == next(
                value for at in (5, 7, 8) if (value := thrift.find(each.header, at, 1)) is not None
            )


def test_no_header_ends_the_program(tmp_path: Path) -> None:
    content = written({"label": np.arange(9), "name": list("abcabcabc")}, compression="none")
    made = thrift.pages(content)
    drawn = random.Random(5)
    for _ in range(500):
        page = drawn.choice(made)
        at = drawn.randrange(page.at, page.start)
        bad = content[:at] + drawn.randbytes(drawn.choice((1, 1, 4))) + content[at:]
        with_damage = bad[: at + 1] + bad[at + 1 + len(bad) - len(content) :]
        (tmp_path / "t.parquet").write_bytes(with_damage)
        source = Input(str(tmp_path / "t.parquet"))
        file = pq.ParquetFile(source.file)
        with contextlib.suppress(GencliError, OSError, pa.ArrowException):
            pages.require(source, file)


def test_columns_stand_in_their_places(tmp_path: Path) -> None:
    """Arrow takes the columns of a row group by their order, whatever they are called."""
    content = written({"label": [1, 2], "label_true": [3, 4]})
    fields = thrift.footer(content)
    columns = thrift.find(fields, 4, 0, 1)
    for changed, says in (
        (columns[::-1], "column `label_true` in the place of `label`"),
        (columns[:1] + columns, "3 columns"),
    ):
        next(each for each in thrift.find(fields, 4, 0) if each.number == 1).value = changed
        with pytest.raises(GencliError, match=rf"^{tmp_path}/t.parquet: corrupt Parquet: {says}"):
            read(thrift.with_footer(content, fields), tmp_path)


def page_of(values: int, decoded: int, encoding: int) -> pages.Page:
    return pages.Page(decoded, 1, values, encoding, False)


def test_values_take_at_most_a_word_each_or_a_page_each() -> None:
    assert [page_of(7, 50, encoding).most(11) for encoding in (0, 2, 7, 8, 3)] == [50, 77, 350, 77, 50]


@pytest.mark.parametrize(
    ("place", "start"), [(None, 100), (0, 100), (1, 1), (99, 99), (100, 100), (101, 100), (-1, 100)]
)
def test_a_column_begins_with_its_dictionary(place: int | None, start: int) -> None:
    chunk = SimpleNamespace(data_page_offset=100, total_compressed_size=30)
    chunk.has_dictionary_page, chunk.dictionary_page_offset = True, place
    assert pages.extent(chunk) == (start, start + 30)
    chunk.has_dictionary_page = False
    assert pages.extent(chunk) == (100, 130)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([0x15, 0x08, 0], {1: 4}), ([0x15, 0x07, 0x15, 0x81, 0x01, 0], {1: -4, 2: -65}),
        ([0x35, 0x80, 0x80, 0x01, 0], {3: 8192}), ([0x05, 0x28, 0x02, 0], {20: 1}),
        ([0x11, 0x12, 0x13, 99, 0x25, 0x02, 0], {1: None, 2: None, 3: None, 5: 1}),
        ([0x17, *range(8), 0x15, 0x02, 0], {1: None, 2: 1}), ([0x18, 3, 1, 2, 3, 0x15, 2, 0], {1: None, 2: 1}),
        ([0x1C, 0x15, 0x02, 0, 0x15, 0x04, 0], {1: {1: 1}, 2: 2}), ([0x18, 0, 0], {1: None}),
        ([0x19, 0x25, 2, 4, 0x15, 2, 0], {1: None, 2: 1}), ([0x1A, 0x21, 1, 2, 0x15, 2, 0], {1: None, 2: 1}),
        ([0x19, 0x22, 1, 2, 0x15, 2, 0], {1: None, 2: 1}), ([0x19, 0x1C, 0x15, 2, 0, 0x15, 2, 0], {1: None, 2: 1}),
        ([0x19, 0xF3, 16, *range(16), 0x15, 2, 0], {1: None, 2: 1}), ([0x19, 0xE3, *range(14), 0], {1: None}),
    ],
)  # fmt: skip
def test_each_type_of_thrift_takes_its_bytes(data: list[int], found: dict[int, object]) -> None:
    reader = pages._Reader(bytes([*data, 77]))
    assert reader.struct() == found
    assert reader.at == len(data)
    for end in range(len(data)):
        with pytest.raises(IndexError):
            pages._Reader(bytes(data[:end])).struct()


def test_numbers_have_at_most_64_bits() -> None:
    assert pages._Reader(bytes([0x15, *[0x80] * 9, 1, 0])).struct() == {1: 1 << 62}
    with pytest.raises(OSError, match=r"^a page's header is corrupt$"):
        pages._Reader(bytes([0x15, *[0x80] * 10, 1, 0])).struct()


def test_a_header_may_be_longer_than_what_is_read_at_first(tmp_path: Path) -> None:
    long = bytes([0x18, 0x80, 0x08, *[1] * 1024, 0x15, 0x02, 0])
    (tmp_path / "x").write_bytes(b"??" + long)
    assert pages._header(Input(str(tmp_path / "x")), 2) == ({1: None, 2: 1}, len(long))
    (tmp_path / "y").write_bytes(long[:-1])
    with pytest.raises(OSError, match=r"^a page's header is cut short$"):
        pages._header(Input(str(tmp_path / "y")), 0)


def test_columns_are_measured_until_they_are_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = written({"a": pa.array([b"xxxx"] * 8, pa.binary())})
    file = read(content, tmp_path)
    monkeypatch.setattr(pages, "_PAGE", 8)
    whole = 8 * (4 + 4)  # values and their offsets
    for longest, most, taken in (
        (4, whole, whole), (4, 32, 48), (4, 31, 32), (9, 16, 24), (9, 15, 16), (1, 1, whole), (2, 1, 32),
    ):  # fmt: skip
        assert pages._measured(file, "a", longest, most) == taken


def test_columns_that_are_not_read_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(written({"a": np.arange(9), "b": np.arange(9)}))
    source, file, seen = Input(str(path)), pq.ParquetFile(path), list[str]()
    found = pages._pages
    monkeypatch.setattr(pages, "_pages", lambda *given: seen.append(given[1].path_in_schema) or found(*given))
    for chunks, names in (({(0, 1)}, ["b"]), ({(1, 0)}, []), (None, ["a", "b"]), ({(0, 0), (0, 1)}, ["a", "b"])):
        seen.clear()
        pages.require(source, file, chunks)
        assert seen == names
