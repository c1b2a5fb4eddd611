"""Runs benchmarks, prints one table and writes it: `python -m tests.benchmarks [-o FILE] [NAME...]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from gencli.cli.outputs import open_result, render
from gencli.files import provenance
from gencli.files.together import Together
from tests.benchmarks.measure import Row

ALL = (
    "floors",
    "startup",
    "completion",
    "corrupt",
    "common",
    "decode",
    "train",
    "several",
    "circulant",
    "evaluate",
    "hvp",
    "spectrum",
    "kernel",
    "ranks",
)
_NUMBERS = ("ours", "peer", "ratio", "bar")
_COLUMNS = ("item", "ours", "peer", "unit", "ratio", "bar", "met")
_SCHEMA = pa.schema([(name, pa.float64() if name in _NUMBERS else pa.string()) for name in _COLUMNS])
_MADE_WITH = ("numpy", "pyarrow", "torch", "PIL", "typer")


def main(names: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with Together() as places:
        write = open_result(places, str(path))
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                for row in import_module(f"tests.benchmarks.{name}").run(Path(folder)):
                    rows.append(row)
                    ratio = "" if row.ratio is None else f", ratio {row.ratio:.4g}"
                    print(f"{row.item}: {row.ours:.4g} {row.unit}{ratio}", file=sys.stderr, flush=True)
        table = pa.table({name: [getattr(row, name) for row in rows] for name in _COLUMNS}, _SCHEMA)
        write(table, lambda: provenance.step("bench", {"names": ",".join(names)}, (), _MADE_WITH))
    print(render(table, "table"))
    print(f"{path}: `gencli report {path}` shows it again, --figure bench.png draws it", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(ALL)}; default: all")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, default=Path("build/bench.parquet"))
    given = parser.parse_args()
    if unknown := set(given.names) - set(ALL):
        parser.error(f"no benchmark {', '.join(unknown)}; known: {', '.join(ALL)}")
    main(given.names or list(ALL), given.output)
