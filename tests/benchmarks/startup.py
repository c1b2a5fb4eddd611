"""Start-up against the import of typer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.measure import GENCLI, Row, in_turns, seconds


def run(folder: Path) -> Iterator[Row]:
    calls = [partial(seconds, [GENCLI, "--help"]), partial(seconds, [sys.executable, "-c", "import typer"])]
    ours, peer = in_turns(calls, 20)
    yield Row("gencli --help / import typer", ours, peer, 1.5)
