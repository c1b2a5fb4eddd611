"""Encoded images to an image table, against one process that decodes them in a plain loop; memory with children."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks.measure import GENCLI, Row, in_turns, peak_tree_megabytes, seconds

_LOOP = """
import hashlib, io, os, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from PIL import Image
with open(sys.argv[1], "rb") as source:
    hashlib.file_digest(source, "sha256")
    table, start = pq.ParquetFile(source, pre_buffer=False), 0
    schema = pa.schema({"id": pa.int64(), "image": pa.binary(32 * 32 * 3), "label": pa.int64()})
    with open(sys.argv[2], "wb") as sink:
        with pq.ParquetWriter(sink, schema, compression="none", use_dictionary=["label"],
                              write_statistics=["label"]) as writer:
            for batch in table.iter_batches(1000):
                files = batch.column("img").field("bytes").to_pylist()
                images = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
                pixels = pa.FixedSizeBinaryArray.from_buffers(schema.field("image").type, len(files),
                                                              [None, pa.py_buffer(images)])
                ids = np.arange(start, start + len(files))
                writer.write_batch(pa.record_batch([ids, pixels, batch.column("label")], schema=schema))
                start += len(files)
        sink.flush()
        os.fsync(sink.fileno())
"""
_START = "import typer, numpy, pyarrow.parquet, PIL.Image"
_COPIES, _MEGABYTES = 4, 300


def run(folder: Path) -> Iterator[Row]:
    if "GENCLI_TEST_DATA" not in os.environ:
        print("decode: GENCLI_TEST_DATA names no folder with cifar10-train.parquet", file=sys.stderr)
        return
    file, large = Path(os.environ["GENCLI_TEST_DATA"]).resolve() / "cifar10-train.parquet", folder / "cifar10-train"
    large.mkdir()
    for name in "abcdefgh"[:_COPIES]:
        (large / f"{name}.parquet").symlink_to(file)
    rows = pq.ParquetFile(file).metadata.num_rows
    command = [GENCLI, "data", "parquet", "-q", "-o", str(folder / "ours.parquet")]
    python = [sys.executable, "-c"]
    calls = [
        partial(seconds, [*command, str(file)]),
        partial(seconds, [*python, _LOOP, str(file), str(folder / "loop.parquet")]),
        partial(seconds, [*python, _START]),
    ]
    ours, loop, start = in_turns(calls, 5)
    yield Row(
        f"data parquet / Pillow in a loop, {rows:,} images, start-up taken off", ours - start, loop - start, 0.625
    )
    for path, copies in ((file, 1), (large, _COPIES)):
        memory = peak_tree_megabytes([*command, str(path)])
        yield Row(f"data parquet, peak memory with children, {copies * rows:,} images", memory, _MEGABYTES, 1.0, "MB")
