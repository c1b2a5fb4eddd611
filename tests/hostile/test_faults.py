"""Thirty of the faults that `make faults` runs, of commands without torch; and that it knows all that write."""

from __future__ import annotations

import random
import re

import pytest

from tests.hostile.faults.classes import CLASSES
from tests.hostile.faults.commands import ELSEWHERE, INPUTS, LINES, inputs, writing
from tests.hostile.faults.world import World

_PARTS = [
    {"kills": 4, "signals_at_calls": 3, "failing_calls": 6, "failing_reads": 2},
    {"short_writes": 1, "limits": 2, "streams": 2, "environments": 2, "folders": 2, "changing_inputs": 2, "writers": 2,
     "links": 2},
]  # fmt: skip
_MET = re.compile(r"(?!\w+ [2-9]|(unlink|mkdir) |ulimit)")  # what commands without torch meet, and soon


def test_every_command_that_writes_has_a_line() -> None:
    commands = writing()
    assert commands > ELSEWHERE
    assert {each for each in commands if any(line.startswith(f"{each} ") for line in LINES)} == commands - ELSEWHERE


def test_inputs_are_made_with_what_they_are_made_of() -> None:
    assert inputs(LINES) == INPUTS
    assert [line.split(" -o")[0] for line in inputs(["rank measures.parquet six.parquet -o out"])] == [
        "data digits --limit 300", "data digits --limit 20", "data synthetic noise --rows 6000",
        "train digits.parquet --arch mlp-1x4 --epochs 1 --runs 6 --eval-data few.parquet",
        "eval six digits.parquet --measures",
    ]  # fmt: skip


@pytest.mark.parametrize("part", _PARTS, ids=["calls", "others"])
def test_thirty_faults(part: dict[str, int]) -> None:
    assert {name for each in _PARTS for name in each} <= CLASSES.keys()
    assert sum(sum(each.values()) for each in _PARTS) == 30
    world, findings = World([line for line in LINES if line.startswith(("data ", "corrupt "))]), []
    try:
        for name, most in part.items():
            cases = [case for case in CLASSES[name](world, random.Random(name), 200) if _MET.match(case[0])]
            for words, case in random.Random(name).sample(cases, most):
                try:
                    case()
                except Exception as wrong:
                    findings.append(f"{name}: {words}: {wrong!r}")
    finally:
        world.close()
    assert not findings, "\n".join(findings)
