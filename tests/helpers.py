"""Small image tables, files of them, and a chi-square test."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from gencli.cli.outputs import write_images
from gencli.corruptions import Corrupted
from gencli.corruptions.base import Corruption
from gencli.files import arrow, provenance, seals, tables
from gencli.files.stream import Input, Output
from gencli.files.tables import Batches, Description, ImageTable, MemoryTable, TableWriter
from gencli.replay import reading
from gencli.sources import open_table


def image_table(
    rows: int = 12,
    shape: tuple[int, int, int] = (2, 2, 1),
    dtype: str = "uint8",
    classes: int = 3,
    name: str = "toy",
    split: str = "train",
) -> MemoryTable:
    """Random images and labels."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (rows, *shape)).astype(dtype)
    description = Description(name, split, tuple(f"class {label}" for label in range(classes)), shape, dtype)
    return MemoryTable("toy", description, images, random.integers(0, classes, rows))


def save(table: Batches, path: Path, keep: NDArray[np.bool_] | None = None) -> ImageTable:
    """The table, written to a file and opened again."""
    write_images(table, str(path), lambda: provenance.step("data toy", {}), keep)
    return open_table(str(path))


def save_corrupted(table: ImageTable, corruption: Corruption, path: Path, seed: int = 0) -> ImageTable:
    """The corrupted table, written with its provenance to a file and opened again."""
    result = Corrupted(table, corruption, seed)
    write_images(result, str(path), lambda: provenance.step(result.command, {}, tables.sources(table, "data")))
    return open_table(str(path))


def save_in_pieces(batch: pa.RecordBatch, ends: Sequence[int], description: Description, path: Path) -> bytes:
    """The bytes of a file to which a batch was written in pieces that end at these rows."""
    with Output(str(path)) as output, TableWriter(output, batch.schema, description) as writer:
        for start, stop in zip([0, *ends], [*ends, batch.num_rows], strict=True):
            writer.write(batch.slice(start, stop - start))
        writer.close(provenance.step("data toy", {}))
    return path.read_bytes()


def read(table: Batches, keep: NDArray[np.bool_] | None = None) -> pa.Table:
    """All rows."""
    return pa.Table.from_batches(table.batches(keep), table.schema)


def images(table: Batches, keep: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """All images."""
    return np.concatenate([arrow.unpack(batch, table.description) for batch in table.batches(keep)])


def steps(path: Path) -> list[str]:
    """How a file was made, one command line per step, as `gencli show` prints them."""
    return [line.partition("  #")[0] for line in provenance.lines(reading.read(Input(str(path))).step)]


def chi_square(counts: NDArray[Any]) -> float:
    """By how many standard deviations Pearson's statistic is off, if all cells are equally likely."""
    expected = counts.sum() / counts.size
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


def seal(path: Path) -> None:
    """Fills in a file's blank seal, as a stranger may who means to be believed."""
    content = path.read_bytes()
    assert content.count(seals.BLANK.encode()) == 1
    path.write_bytes(content.replace(seals.BLANK.encode(), xxhash.xxh3_128_hexdigest(content).encode()))


def allocated(run: Callable[[], object]) -> int:
    """The most bytes that Python and numpy hold at once during a call, beyond those before it."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
