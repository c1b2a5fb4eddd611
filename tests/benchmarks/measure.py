"""How times and memory are taken: pairs of commands or calls in turns, so that both see the same machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

GENCLI = str(Path(sys.executable).with_name("gencli"))
THREADS = "2"
_SAMPLE_EVERY = 0.005


@dataclass(frozen=True)
class Row:
    """One line of the bench table: our figure, the peer's or what we may take, their ratio and what that may be.

    A floor has no peer and no bar.
    """

    item: str
    ours: float
    peer: float | None = None
    bar: float | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.ours / self.peer

    @property
    def met(self) -> str | None:
        return None if self.ratio is None or self.bar is None else "yes" if self.ratio <= self.bar else "no"


def seconds(command: Sequence[str]) -> float:
    """Wall time of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - start


def timed(call: Callable[[], object]) -> Callable[[], float]:
    """A call that gives the wall time of this one."""

    def run() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return run


def of_processor(call: Callable[[], object]) -> Callable[[], float]:
    """A call that gives the time that this process's threads computed in this one, whatever else the machine does."""

    def run() -> float:
        start = time.process_time()
        call()
        return time.process_time() - start

    return run


_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_megabytes(command: Sequence[str]) -> float:
    """Largest resident memory of a command, in 10⁶ bytes.

    A small process starts it: what started a process counts as the process until that loads its own program.
    """
    small = [sys.executable, "-c", _PEAK, *command]
    return int(subprocess.run(small, check=True, capture_output=True, env=environment()).stdout) * 1024 / 1e6


def peak_tree_megabytes(command: Sequence[str]) -> float:
    """Largest memory of a command and its children together, in 10⁶ bytes, by samples from Linux's /proc.

    What is private to each of them counts, and once the most that one of them shares, with whomever: code of
    libraries, and pages since a fork. Summed resident sizes would count that once a process.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    most = 0
    while process.poll() is None:
        sizes = [_memory(each) for each in _tree(process.pid)]
        most = max(most, sum(each["Private"] for each in sizes) + max(each["Shared"] for each in sizes))
        time.sleep(_SAMPLE_EVERY)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most * 1024 / 1e6


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):  # it ended
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _tree(int(child))


def _memory(pid: int) -> Counter[str]:
    """KiB, `Private` and `Shared`; none of a process that ended."""
    sizes = Counter[str]()
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        for kind, size in re.findall(r"^(Private|Shared)_(?:Clean|Dirty): +(\d+)", text, re.MULTILINE):
            sizes[kind] += int(size)
    return sizes


def in_turns(calls: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """The smallest time of each call over rounds in which they take turns."""
    return [min(times) for times in zip(*([call() for call in calls] for _ in range(rounds)), strict=True)]


def environment() -> dict[str, str]:
    """A child's environment: threads set, nothing of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GENCLI_", "PYTHON"))}
    return clean | {"OMP_NUM_THREADS": THREADS}
