"""Corruption file to file against a bare pyarrow copy that hashes its input and syncs its output; peak memory.

Where a number a pixel is drawn, the peer is the copy and numpy drawing as many such numbers on two threads besides.
Off each goes its own start-up, which is what it takes for ten rows; the first rows are these.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gencli.files import provenance
from gencli.files.arrow import integers
from gencli.files.stream import Output
from gencli.files.tables import Description, MemoryTable, TableWriter, identities
from tests.benchmarks.measure import GENCLI, Row, in_turns, peak_megabytes, seconds

_COPY = """
import hashlib, os, sys
import pyarrow.parquet as pq
with open(sys.argv[1], "rb") as source:
    hashlib.file_digest(source, "sha256")
    table = pq.ParquetFile(source, pre_buffer=False)
    with open(sys.argv[2], "wb") as sink:
        with pq.ParquetWriter(sink, table.schema_arrow, compression="none", use_dictionary=["label"],
                              write_statistics=["label"]) as writer:
            for batch in table.iter_batches(1000):
                writer.write_batch(batch)
        sink.flush()
        os.fsync(sink.fileno())
"""


def make_table(path: Path, rows: int) -> None:
    """Writes a table of random 32×32×3 images in 10 classes."""
    random = np.random.default_rng(0)
    description = Description("bench", "train", tuple("0123456789"), (32, 32, 3))
    with Output(str(path)) as output, TableWriter(output, description.schema(), description) as writer:
        for start in range(0, rows, 1000):
            count = min(1000, rows - start)
            images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
            table = MemoryTable("bench", description, images, random.integers(0, 10, count))
            for batch in table.batches():
                ids = integers(identities(description.name, description.split, start, start + count))
                writer.write(batch.set_column(0, batch.schema.field(0), ids))
        writer.close(provenance.step("bench", {}))


_DRAW = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
def draw(seed):
    generator = np.random.default_rng(seed)
    values, order = np.empty((1000, 3072), np.float32), np.tile(np.arange(1024), (1000, 1))
    means = generator.integers(0, 256, (1000, 3072)) * (30 / 255)
    for _ in range(25):
        {}
with ThreadPoolExecutor(2) as pool:
    list(pool.map(draw, (0, 1)))
"""
_NORMALS = _DRAW.format("generator.standard_normal(out=values, dtype=np.float32)")
_PERMUTATIONS = _DRAW.format("generator.permuted(order, axis=1)")
_COUNTS = _DRAW.format("generator.poisson(means)")
_COLORS = _DRAW.format(
    "generator.integers(0, 1 << 32, (1000, 1024), np.uint32); generator.integers(0, 256, (1000, 3072), np.uint8)"
)
_STRINGS = _DRAW.format("generator.random((1000, 160))")  # 9.4 strings an image, of 17 numbers


@dataclass(frozen=True)
class _Kind:
    """A command; what its time may be of a copy's, and of that of what numpy does beside the copy, where it draws."""

    command: str
    bar: float | None = 1.5
    draws: str | None = None
    rounds: int = 7


_KINDS = [
    _Kind("random-labels -p 0.5"),
    _Kind("flip-labels -p 0.5 --exact"),
    _Kind("long-tail --ratio 100"),
    _Kind("subsample --fold 0/5 --invert"),
    _Kind("shuffled-pixels", 2.0),
    _Kind("random-pixels", 1.5, _PERMUTATIONS),
    _Kind("gaussian-pixels", 1.5, _NORMALS),
    _Kind("gaussian-noise --sigma 25", 1.5, _NORMALS),
    _Kind("impulse-noise -p 0.5", 1.5, _COLORS),
    _Kind("poisson-noise --peak 30", 1.5, _COUNTS, 3),
    _Kind("text-overlay -p 0.25", None, _STRINGS, 3),  # it does not draw a number a pixel
]
_STREAMING = ["random-labels -p 0.5", "gaussian-pixels", "long-tail --ratio 100"]
_PAIRS = ["gaussian-noise --sigma 25 --dtype float32", "gaussian-noise --sigma 25 --on both --dtype float32"]


def run(folder: Path) -> Iterator[Row]:
    few, small, large = (folder / f"{name}.parquet" for name in ("few", "small", "large"))
    make_table(few, 10)
    make_table(small, 50_000)
    python, output = [sys.executable, "-c"], ["-q", "-o", str(folder / "ours.parquet")]
    starts = [[*python, "import numpy, pyarrow.parquet, typer"], [GENCLI, "corrupt", "random-labels", "-p", "0.5"]]
    imports, ours = in_turns([partial(seconds, starts[0]), partial(seconds, [*starts[1], str(few), *output])], 15)
    yield Row("corrupt random-labels -p 0.5, 10 images / importing numpy, pyarrow and typer", ours, imports)
    for kind in _KINDS:
        calls = [
            partial(seconds, command)
            for table in (few, small)
            for command in (
                [GENCLI, "corrupt", *kind.command.split(), str(table), *output],
                [*python, _COPY, str(table), str(folder / "copy.parquet")],
            )
        ]
        if kind.draws:
            calls += [partial(seconds, [*python, each]) for each in (kind.draws, _DRAW.format("pass"))]
        our_start, copy_start, ours, copy, *draws = in_turns(calls, kind.rounds)
        drawing = draws[0] - draws[1] if draws else 0.0
        what = "numpy drawing, and copy" if draws else "copy"
        item = f"corrupt {kind.command} / {what}, 50,000 images, start-up taken off"
        yield Row(item, ours - our_start, copy - copy_start + drawing, kind.bar)
    make_table(large, 500_000)
    for path, rows, commands in ((small, 50_000, [*_STREAMING, *_PAIRS]), (large, 500_000, _STREAMING)):
        for each in commands:
            peak = peak_megabytes([GENCLI, "corrupt", *each.split(), str(path), *output])
            yield Row(f"corrupt {each}, peak memory, {rows:,} rows", peak, 200, 1.0, "MB")
    large.unlink()
