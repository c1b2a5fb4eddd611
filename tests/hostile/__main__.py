"""`python -m tests.hostile SECONDS SEED [GRAMMAR,...]`: cases for so long; findings go to build/fuzz, reduced.

`python -m tests.hostile again SEED GRAMMAR NUMBER` runs one case and says what is wrong with it: the same seed makes
the same cases, however many run. `... sample GRAMMAR,...` runs a few that are the same every time, `... itself` sees
whether what must not happen is noticed.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.hostile import child, images, itself, options, seeds, tables, tensors, texts
from tests.hostile.cases import Case
from tests.hostile.child import Files
from tests.hostile.oracle import Judge, kind, reduced

GRAMMARS = {
    "images": tables.images,
    "documents": tables.documents,
    "texts": texts.documents,
    "matrices": texts.matrices,
    "points": texts.points,
    "formulas": texts.formulas,
    "models": tensors.models,
    "vectors": tensors.vectors,
    "checkpoints": tensors.checkpoints,
    "encoded": images.encoded,
    "options": options.options,
}
BATCH = 32
FINDINGS = Path("build/fuzz")


def case(seed: str, grammar: str, number: int, files: Files) -> Case:
    """The case of this number."""
    return GRAMMARS[grammar](Random(f"{seed}/{grammar}/{number}"), files)


def batch(seed: str, grammar: str, first: int, count: int, files: Files, judge: Judge) -> dict[int, str]:
    """What is wrong with so many cases from this number on, those that are right left out."""
    made = [case(seed, grammar, number, files) for number in range(first, first + count)]
    suspects = [number for number, what in enumerate(judge.all(made)) if what]
    confirmed = {first + number: judge.again(made[number]) for number in suspects}
    return {number: what for number, what in confirmed.items() if what}


def _work(
    jobs: list[tuple[str, int]], seed: str, files: Files, end: float, results: multiprocessing.SimpleQueue
) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        judge = Judge(Path(folder))
        known = Counter[str]()
        for grammar, first in jobs:
            if time.monotonic() > end:
                break
            found = batch(seed, grammar, first, BATCH, files, judge)
            for number, what in found.items():
                known[f"{grammar}: {kind(what)}"] += 1
                if known[f"{grammar}: {kind(what)}"] == 1:
                    _keep(seed, grammar, number, what, files, judge)
            results.put((grammar, found))
    results.put(None)


def _keep(seed: str, grammar: str, number: int, what: str, files: Files, judge: Judge) -> None:
    """Writes a finding's files, reduced, and how to see it again."""
    least = reduced(case(seed, grammar, number, files), what, judge)
    folder = FINDINGS / f"{grammar}-{seed}-{number}"
    for name, content in least.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    name, before = least.changed
    differ = [at for at, (one, other) in enumerate(zip(before, least.files.get(name, b""))) if one != other]
    (folder / "FINDING").write_text(
        f"{what}\ncd {folder} && gencli {shlex.join(least.command)}\n"
        f"python -m tests.hostile again {seed} {grammar} {number}\n"
        f"{name}: {len(before)} bytes, here {len(least.files.get(name, b''))}; others at {differ[:20]}\n",
        errors="backslashreplace",
    )


def sample(grammars: list[str], files: Files) -> dict[str, str]:
    """What is wrong with a batch of cases of each grammar, which are the same every time."""
    wrong: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(Path(folder))
        for grammar in grammars:
            found = batch("sample", grammar, BATCH * [*GRAMMARS].index(grammar), BATCH, files, judge)
            wrong |= {f"{grammar} {place}": what for place, what in found.items()}
    return wrong


def fuzz(seconds: float, seed: str, grammars: list[str], files: Files) -> bool:
    """Runs cases on two cores for so long, and says what is wrong; whether anything is."""
    start = time.monotonic()
    results = multiprocessing.SimpleQueue()
    jobs = [(grammar, first) for first in range(0, 10**6, BATCH) for grammar in grammars]
    workers = max(1, min(2, len(os.sched_getaffinity(0))))
    context = multiprocessing.get_context("fork")
    for worker in range(workers):
        context.Process(target=_work, args=(jobs[worker::workers], seed, files, start + seconds, results)).start()
    ran, wrong = Counter[str](), Counter[tuple[str, str]]()
    while workers:
        got = results.get()
        if got is None:
            workers -= 1
            continue
        grammar, found = got
        ran[grammar] += BATCH
        for number, what in found.items():
            wrong[grammar, kind(what)] += 1
            if wrong[grammar, kind(what)] == 1:
                print(f"{grammar} {number}: {what}", flush=True)
    took = time.monotonic() - start
    print(f"{ran.total():,} cases in {took:.0f} s: " + ", ".join(f"{name} {count:,}" for name, count in ran.items()))
    for (grammar, what), count in wrong.most_common():
        print(f"{count:6,} {grammar}: {what}")
    return bool(wrong)


def _told(found: dict[str, str]) -> int:
    print(f"{len(found)} wrong", *(f"{place}: {what}" for place, what in found.items()), sep="\n")
    return bool(found)


def main() -> int:
    """Runs cases; the status is 1 if something is wrong with one."""
    child.load()
    arguments = sys.argv[1:]
    if arguments == ["itself"]:
        return _told(itself.missed())
    with tempfile.TemporaryDirectory() as folder:
        files = seeds.make(Path(folder))
    if arguments[0] == "again":
        one = case(arguments[1], arguments[2], int(arguments[3]), files)
        with tempfile.TemporaryDirectory() as folder:
            what = Judge(Path(folder)).again(one)
        print(shlex.join(["gencli", *one.command]), what or "nothing is wrong", sep="\n")
        return bool(what)
    if arguments[0] == "sample":
        return _told(sample(arguments[1].split(","), files))
    seconds, seed = float(arguments[0]), arguments[1] if len(arguments) > 1 else str(time.time_ns())
    grammars = arguments[2].split(",") if len(arguments) > 2 else [*GRAMMARS]
    print(f"seed {seed}, {seconds:g} s", flush=True)
    return fuzz(seconds, seed, grammars, files)


if __name__ == "__main__":
    sys.exit(main())
