"""Processor time and peak memory of every command that reads a table, at growing numbers of rows; how both grow.

`python -m tests.benchmarks.scale [--rows N,N,N] [-o FILE.md] [COMMAND...]`: one process a command and a size, one after
the other, on the digits repeated by `gencli data repeat`, 64 bytes an image. An exponent is the slope of log y over log
rows between the two largest sizes: 0 does not grow, 1 grows as the rows. Memory that a command has at no rows hides a
slope, so bytes a row are said as well: (peak at the most rows - peak at the fewest) / (rows between).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import GENCLI, environment

_DIGITS = 1437  # rows of `gencli data digits`
_SIZES = 50_000, 500_000, 5_000_000
_AT_MOST = {"score --judge": 500_000}  # rows, of what takes most of an hour at more
_PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime, status.returncode)
print(status.stderr.strip()[-300:])
"""

# in the order in which they are run: what a command makes, later ones read
COMMANDS = {
    "data repeat": "data repeat digits.parquet --times {times} -o rows.parquet",
    "corrupt random-labels": "corrupt random-labels rows.parquet -p 0.2 -o corrupted.parquet",
    "corrupt gaussian-noise": "corrupt gaussian-noise rows.parquet --sigma 25 -o /dev/null",
    "data where": "data where label<5 rows.parquet -o some.parquet",
    "data export": "data export rows.parquet --encode png -o exported.parquet",
    "show": "show corrupted.parquet -o shown.txt",
    "train --stream": "train corrupted.parquet --arch mlp-1x64 --batch-size 1000 --epochs 1 --stream 10000 "
    "-o m.safetensors",
    "train --dynamics": "train corrupted.parquet --arch mlp-1x64 --batch-size 1000 --epochs 1 --stream 10000 "
    "--dynamics dynamics.parquet -o dynamics.safetensors",
    "eval": "eval m.safetensors corrupted.parquet -o result.parquet",
    "eval --predictions": "eval m.safetensors corrupted.parquet --predictions predictions.parquet -o result.parquet",
    "data where --join": "data where label<>prediction corrupted.parquet --join predictions.parquet -o wrong.parquet",
    "score": "score dynamics.parquet -o scores.parquet",
    "score --judge": "score --judge scores.parquet -o judged.parquet",
    "report": "report predictions.parquet --plot reliability -o report.txt",
    "hvp": "hvp m.safetensors corrupted.parquet --vector random:1 --batch-size 5000 --no-verify -o product.safetensors",
    "spectrum": "spectrum m.safetensors corrupted.parquet --trace --trace-products 4 --batch-size 5000 "
    "-o trace.parquet",
}  # fmt: skip


def measure(command: str, folder: Path, times: int) -> tuple[float, float, str]:
    """Seconds of the processor, peak resident memory in 10⁶ bytes, and what a command that failed said."""
    words = [GENCLI, *command.format(times=times).split(), "-q"]
    made = subprocess.run(
        [sys.executable, "-c", _PEAK, *words], check=True, capture_output=True, text=True, env=environment() | _ONE,
        cwd=folder,
    )  # fmt: skip
    first, _, said = made.stdout.partition("\n")
    peak, seconds, status = first.split()
    return float(seconds), int(peak) * 1024 / 1e6, said.strip() if int(status) else ""


_ONE = {"OMP_NUM_THREADS": "1"}


def line(name: str, rows: list[int], found: list[tuple[float, float]]) -> str:
    """A row of the Markdown table."""
    rows, gaps = rows[: len(found)], ["–"] * (len(rows) - len(found))
    cells = [*(f"{seconds:.1f} s, {megabytes:,.0f} MB" for seconds, megabytes in found), *gaps]
    few, many = found[-2:]
    slopes = [math.log(many[part] / few[part]) / math.log(rows[-1] / rows[-2]) for part in (0, 1)]
    each = max(0.0, (found[-1][1] - found[0][1]) * 1e6 / (rows[-1] - rows[0]))
    time, memory = (round(slope, 2) + 0.0 for slope in slopes)  # not -0.00
    return f"| `{name}` | {' | '.join(cells)} | {time:.2f} | {memory:.2f} | {each:,.0f} |"


def main(sizes: list[int], names: list[str], path: Path | None, scratch: Path | None) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for rows in sizes:
        times = -(-rows // _DIGITS)
        with tempfile.TemporaryDirectory(dir=scratch) as made:
            folder = Path(made)
            subprocess.run([GENCLI, "data", "digits", "-q", "-o", str(folder / "digits.parquet")], check=True)
            for name, command in COMMANDS.items():
                if rows > _AT_MOST.get(name, rows) or name not in (names or COMMANDS):
                    continue
                seconds, peak, said = measure(command, folder, times)
                print(f"{rows:,} {name}: {seconds:.1f} s, {peak:,.0f} MB {said}", file=sys.stderr, flush=True)
                found[name].append((seconds, peak) if not said else (math.nan, math.nan))
    head = " | ".join(f"{rows:,} rows" for rows in sizes)
    lines = [f"| command | {head} | time | memory | bytes a row |", "|---" * (len(sizes) + 4) + "|"]
    lines += [line(name, sizes, each) for name, each in found.items() if len(each) > 1]
    print("\n".join(lines))
    if path is not None:
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale")
    parser.add_argument("names", metavar="COMMAND", nargs="*", help=f"{', '.join(COMMANDS)}; default: all")
    parser.add_argument("--rows", metavar="N,N", default=",".join(map(str, _SIZES)))
    parser.add_argument("-o", "--output", metavar="FILE", type=Path)
    parser.add_argument("--scratch", metavar="FOLDER", type=Path, help="2 GB at 5,000,000 rows")
    given = parser.parse_args()
    main([int(each) for each in given.rows.split(",")], given.names, given.output, given.scratch)
