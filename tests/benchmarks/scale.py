"""Processor time and peak memory of every command that reads a table, at growing numbers of rows; how both grow.

`python -m tests.benchmarks.scale [--rows N,N,N] [-o FILE.md] --keep FOLDER [COMMAND...]`: one process a command and a
size, one after the other, on the digits repeated by `gencli data repeat` (bounds: on clusters), 64 bytes an image. What
the folder has the numbers of is not measured again; tables of one size can be deleted once it is done.

`fit kernel` and `spectrum --kernel`, which take the square of the rows, are measured where they are named.

An exponent is the slope of log y over log rows between the two largest sizes: 0 does not grow, 1 grows as the rows.
Memory that a command has at no rows hides a slope, so bytes a row are said as well: (peak at the most rows - peak at
the fewest) / (rows between). A command that refuses a size shows what it says.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import GENCLI, environment
from tests.benchmarks.scale_commands import BEFORE, COMMANDS, DIGITS, SQUARED

_SIZES = 50_000, 500_000, 5_000_000
_PEAK = """
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
said = status.stderr.strip()[-300:] if status.returncode else ""
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, said]))
"""

Found = dict[str, dict[str, Any]]  # by command, then rows: seconds, 10⁶ bytes, what one that failed said


def run(words: list[str], folder: Path) -> Any:
    """Seconds of the processor, peak resident memory in 10⁶ bytes, and what a command that failed said."""
    measured = [sys.executable, "-c", _PEAK, GENCLI, *words, "-q"]
    one = environment() | {"OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.run(measured, check=True, capture_output=True, text=True, env=one, cwd=folder).stdout)


def prepare(folder: Path, rows: int) -> int:
    """Makes the files that no command makes, of as many whole copies of the digits as have the rows: their number."""
    folder.mkdir(parents=True, exist_ok=True)
    times = -(-rows // DIGITS)
    if not (folder / "digits.parquet").exists():
        random, shape = np.random.default_rng(0), (times * DIGITS, 8, 8)
        images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
        for start in range(0, len(images), 1 << 20):
            images[start : start + (1 << 20)] = random.integers(0, 256, images[start : start + (1 << 20)].shape)
        np.save(folder / "labels.npy", np.arange(len(images)) % 10)
        np.savetxt(folder / "matrix.csv", 0.8 * np.eye(10) + 0.02, delimiter=",")
        assert not run(["data", "digits", "-o", "digits.parquet"], folder)[2]
    return times


def line(name: str, sizes: list[int], found: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    cells, known = [], []
    for rows in sizes:
        seconds, megabytes, said = found.get(str(rows), (0, 0, "–"))
        cells.append(
            said.splitlines()[0].partition(": ")[2] or said if said else f"{seconds:.1f} s, {megabytes:,.0f} MB"
        )
        known += [] if said else [(rows, seconds, megabytes)]
    if len(known) < 2:
        return f"| `{name}` | {' | '.join(cells)} | – | – | – |"
    (least, _, small), (few, *before), (many, *after) = known[0], known[-2], known[-1]
    time, memory = (round(math.log(b / a) / math.log(many / few), 2) + 0.0 for a, b in zip(before, after))  # not -0.00
    each = max(0.0, (after[1] - small) * 1e6 / (many - least))
    return f"| `{name}` | {' | '.join(cells)} | {time:.2f} | {memory:.2f} | {each:,.0f} |"


def main(sizes: list[int], names: list[str], path: Path | None, keep: Path) -> None:
    """Measures what the folder has no numbers of, and prints the table of all that it has."""
    numbers = keep / "found.json"
    found: Found = json.loads(numbers.read_text()) if numbers.exists() else {}
    for rows in sizes:
        for name in names:
            if str(rows) in found.get(name, {}):
                continue
            times, folder = prepare(keep / str(rows), rows), keep / str(rows)
            for before in BEFORE.get(name, []):
                seconds, _, said = run(before.format(rows=rows).split(), folder)
                print(f"{rows:,} {before}: {seconds:.1f} s {said}", file=sys.stderr, flush=True)
            seconds, peak, said = run(COMMANDS[name].format(times=times, rows=rows).split(), folder)
            print(f"{rows:,} {name}: {seconds:.1f} s, {peak:,.0f} MB {said}", file=sys.stderr, flush=True)
            found.setdefault(name, {})[str(rows)] = seconds, peak, said
            numbers.write_text(json.dumps(found, indent=1))
    head = " | ".join(f"{rows:,} rows" for rows in sizes)
    lines = [f"| command | {head} | time | memory | bytes a row |", "|---" * (len(sizes) + 4) + "|"]
    lines += [line(name, sizes, found[name]) for name in COMMANDS if name in found]
    print("\n".join(lines))
    if path is not None:
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale")
    parser.add_argument("names", metavar="COMMAND", nargs="*", help=f"{', '.join(COMMANDS)}; default: all but n²")
    parser.add_argument("--rows", metavar="N,N", default=",".join(map(str, _SIZES)))
    parser.add_argument("-o", "--output", metavar="FILE", type=Path)
    parser.add_argument("--keep", metavar="FOLDER", type=Path, required=True, help="8 GB at 5,000,000 rows")
    given = parser.parse_args()
    main(
        [int(each) for each in given.rows.split(",")],
        given.names or [each for each in COMMANDS if each not in SQUARED],
        given.output,
        given.keep,
    )
