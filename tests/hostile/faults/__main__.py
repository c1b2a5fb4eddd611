"""`make faults`: all classes of fault; the findings, a line each, and a table of what was run."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time

from tests.hostile.faults.classes import CLASSES
from tests.hostile.faults.world import World


def main() -> int:
    """Runs the classes that are named, or all."""
    seed, count = int(os.environ.get("SEED") or 0), int(os.environ.get("COUNT") or 200)
    end = time.monotonic() + float(os.environ.get("SECONDS") or "inf")
    world, table = World(), []
    print(
        f"SEED={seed} COUNT={count}" + ("" if shutil.which("cc") else ", and no C compiler: no call fails"), flush=True
    )
    for name in sys.argv[1:] or CLASSES:
        start, cases, findings = time.monotonic(), 0, 0
        for words, case in CLASSES[name](world, random.Random(f"{seed} {name}"), count):
            if time.monotonic() > end:
                break
            cases += 1
            try:
                case()
            except Exception as wrong:
                findings += 1
                print(f"{name}: {words}\n  {type(wrong).__name__}: {' '.join(map(str, wrong.args))[:1500]}", flush=True)
        table.append((name, cases, findings, time.monotonic() - start))
        print(f"{name:20}{cases:7,}{findings:7}{table[-1][3]:9.0f} s", flush=True)
    world.close()
    total = [sum(row[place] for row in table) for place in (1, 2, 3)]
    print(f"{'all':20}{total[0]:7,}{total[1]:7}{total[2]:9.0f} s")
    return int(total[1] > 0)


if __name__ == "__main__":
    sys.exit(main())
