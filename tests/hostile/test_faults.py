"""Thirty of the faults that `make faults` runs, and that it knows every command that writes."""

from __future__ import annotations

import random
import re

from tests.hostile.faults.classes import CLASSES
from tests.hostile.faults.commands import ELSEWHERE, LINES, writing
from tests.hostile.faults.world import World

_THIRTY = {
    "kills": 4, "signals_at_calls": 3, "failing_calls": 6, "failing_reads": 2, "short_writes": 1, "limits": 2,
    "streams": 2, "environments": 2, "folders": 2, "changing_inputs": 2, "writers": 2, "links": 2,
}  # fmt: skip


def test_every_command_that_writes_has_a_line() -> None:
    commands = writing()
    assert commands > ELSEWHERE
    assert {each for each in commands if any(line.startswith(f"{each} ") for line in LINES)} == commands - ELSEWHERE


def test_thirty_faults() -> None:
    world, findings = World(), []
    assert sum(_THIRTY.values()) == 30
    try:
        for name, most in _THIRTY.items():
            cases = [case for case in CLASSES[name](world, random.Random(name), 200) if _quick(case[0])]
            for words, case in random.Random(name).sample(cases, most):
                try:
                    case()
                except Exception as wrong:
                    findings.append(f"{name}: {words}: {wrong!r}")
    finally:
        world.close()
    assert not findings, "\n".join(findings)


def _quick(words: str) -> bool:
    """Of commands that need no torch, or little."""
    return bool(re.search(r"\b(data|corrupt|fit|eval|report) ", words)) and not re.search("history|hvp|jacob", words)
