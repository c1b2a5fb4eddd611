"""`make mutants`: how many one-token mistakes in gencli the tests notice.

Each of a seeded sample is made in a copy of the tree, and the tests that run its line are run on it until one fails,
the nearest and quickest first. What fails must pass on a copy without the mistake, or is left out: tests that fail
anyway, or now and then, kill nothing. Survivors are printed; those that
`equivalent` names change nothing that anyone can see.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.mutants import trials
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.mistakes import Mutant, mutants
from tests.mutants.reach import Reach
from tests.mutants.trials import ROOT

_LEFT_OUT = "gencli/__main__.py", "gencli/cli/reference.py"  # not of the product's numbers
_benches: list[trials.Bench] = []


def _every(places: list[str]) -> Iterator[Mutant]:
    """All mutants of folders, files, and lines given as `file:line`."""
    for place in places:
        path, _, line = place.partition(":")
        files = sorted((ROOT / path).rglob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]
        for file in files:
            name = str(file.relative_to(ROOT))
            every = () if name in _LEFT_OUT else mutants(file.read_bytes(), name)
            yield from (each for each in every if line in ("", str(each.line)))


def _reason(mutant: Mutant) -> str | None:
    """Why a mutant is equivalent, where it is known to be."""
    return EQUIVALENT.get((mutant.path, mutant.change((ROOT / mutant.path).read_bytes())[1]))


def _start(folder: str, limit: float) -> None:
    _benches.append(trials.Bench(Path(tempfile.mkdtemp(dir=folder)), limit))


def _attempt(given: tuple[Mutant, list[tuple[str, float]]]) -> trials.Verdict:
    return _benches[0].attempt(*given)


def main() -> None:
    """Prints every survivor, and the share that was killed; the exit status is 1 below `--least`."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--after", type=int, default=0, help="number of the sample's first that were tried before")
    parser.add_argument("--least", type=float, default=0.9)
    parser.add_argument("--limit", type=float, default=600, help="seconds per mutant, after which it has survived")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("only", nargs="*", default=["gencli"], help="folders, files, or lines as file:line")
    asked = parser.parse_args()
    every = list(_every(asked.only))
    sample = random.Random(asked.seed).sample(every, min(asked.count, len(every)))[asked.after :]
    tried = [each for each in sample if not _reason(each)]
    for mutant in sample:
        if reason := _reason(mutant):
            print(f"{mutant.path}:{mutant.line} equivalent: {reason}")
    killed = 0
    reach = Reach()
    given = [(each, reach.tests(each.path, each.line)) for each in tried]
    trials.load()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is left behind is removed
    processes = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder, processes.Pool(asked.jobs, _start, (folder, asked.limit)) as pool:
        for number, verdict in enumerate(pool.imap_unordered(_attempt, given), 1):
            mutant = verdict.mutant
            killed += verdict.killer is not None
            if verdict.killer is None:
                told = "out of time" if verdict.exhausted else "survived"
                print(f"{mutant.path}:{mutant.line} {told}\n    - {verdict.before}\n    + {verdict.after}", flush=True)
            place = f"{mutant.path}:{mutant.line}, {verdict.seconds:.0f} s: {verdict.killer}"
            print(f"{number}/{len(tried)}, {killed} killed; {place}", file=sys.stderr, flush=True)
    share = killed / max(1, len(tried))
    others = f"{len(sample) - len(tried)} equivalent; seed {asked.seed}, {len(every):,} mutants in all"
    print(f"{killed} of {len(tried)} killed, {share:.0%}; {others}")
    sys.exit(share < asked.least)


if __name__ == "__main__":
    main()
