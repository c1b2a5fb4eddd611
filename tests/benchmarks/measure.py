"""How times and memory are taken: pairs of commands or calls in turns, so that both see the same machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

GENCLI = str(Path(sys.executable).with_name("gencli"))
THREADS = "2"


@dataclass(frozen=True)
class Row:
    """One line of the bench table: seconds of ours and of the peer, their ratio, and what the ratio may be."""

    item: str
    ours: float
    peer: float
    bar: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def seconds(command: Sequence[str]) -> float:
    """Wall time of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - start


def peak_megabytes(command: Sequence[str]) -> float:
    """Largest resident memory of a command, in 10⁶ bytes."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss * 1024 / 1e6


def in_turns(calls: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """The smallest time of each call over rounds in which they take turns."""
    return [min(times) for times in zip(*([call() for call in calls] for _ in range(rounds)), strict=True)]


def environment() -> dict[str, str]:
    """A child's environment: threads set, nothing of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GENCLI_", "PYTHON"))}
    return clean | {"OMP_NUM_THREADS": THREADS}
