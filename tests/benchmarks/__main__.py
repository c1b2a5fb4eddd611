"""Runs the benchmarks named, or all, and prints one table: `python -m tests.benchmarks [startup] [corrupt] [train]`."""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from gencli.outputs import render

ALL = ("startup", "corrupt", "train")


def main(names: list[str]) -> None:
    rows = []
    for name in names or ALL:
        with tempfile.TemporaryDirectory() as folder:
            for row in import_module(f"tests.benchmarks.{name}").run(Path(folder)):
                met = "yes" if row.ratio <= row.bar else "no"
                rows.append(vars(row) | {"ratio": row.ratio, "met": met})
                print(f"{row.item}: {row.ratio:.2f}", file=sys.stderr, flush=True)
    order = ("item", "ours", "peer", "unit", "ratio", "bar", "met")
    print(render(pa.table({name: [row[name] for row in rows] for name in order}), "table"))


if __name__ == "__main__":
    main(sys.argv[1:])
