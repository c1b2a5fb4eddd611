"""Corruption file to file against a bare pyarrow copy that hashes its input and syncs its output; peak memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from gencli import provenance
from gencli.stream import Output
from gencli.tables import Description, MemoryTable, TableWriter
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
_START = "import typer, numpy, pyarrow.parquet"


def make_table(path: Path, rows: int) -> None:
    """Writes a table of random 32×32×3 images in 10 classes."""
    random = np.random.default_rng(0)
    description = Description("bench", "train", tuple("0123456789"), (32, 32, 3))
    with Output(str(path)) as output, TableWriter(output, description.schema(), description) as writer:
        for _ in range(rows // 1000):
            images = random.integers(0, 256, (1000, 32, 32, 3), np.uint8)
            table = MemoryTable("bench", description, images, random.integers(0, 10, 1000))
            for batch in table.batches():
                writer.write(batch)
        writer.close(provenance.step("bench", {}))


def run(folder: Path) -> Iterator[Row]:
    small, large = folder / "small.parquet", folder / "large.parquet"
    make_table(small, 50_000)
    python = [sys.executable, "-c"]
    for kind, options, bar in (("random-labels", ["-p", "0.5"], 1.5), ("shuffled-pixels", [], 2.0)):
        command = [GENCLI, "corrupt", kind, "-q", *options]
        calls = [
            partial(seconds, [*command, str(small), "-o", str(folder / "ours.parquet")]),
            partial(seconds, [*python, _COPY, str(small), str(folder / "copy.parquet")]),
            partial(seconds, [*python, _START]),
        ]
        ours, copy, start = in_turns(calls, 7)
        yield Row(f"corrupt {kind} / copy, 50,000 images, start-up taken off", ours - start, copy - start, bar)
    make_table(large, 500_000)
    for path, rows in ((small, 50_000), (large, 500_000)):
        command = [GENCLI, "corrupt", "random-labels", "-q", "-p", "0.5", str(path), "-o", str(folder / "ours.parquet")]
        yield Row(f"corrupt random-labels, peak memory, {rows:,} rows", peak_megabytes(command), 150, 1.0, "MB")
    large.unlink()
