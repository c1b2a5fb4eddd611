"""What is wrong with a case's outcome, and the smallest change of a file that has it wrong still."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.hostile import child
from tests.hostile.cases import Case
from tests.hostile.child import Files, Outcome
from tests.hostile.seeds import seal

_WORDS = re.compile(
    r"unexpected (?!end of data)|Traceback|please report|(?<!corrupt, or )out of memory|Warning|warning:"
)
_PROGRESS = re.compile(r"[a-z ]+: [\d,]+ of [\d,]+.*")  # of what takes ten seconds, on a slow machine
_TRIES = 60


def result(outcome: Outcome) -> dict[str, Any]:
    """What a command wrote, without how it was made."""
    return {name: _content(content) for name, content in {**outcome.files, "": outcome.out}.items()}


def _content(content: bytes) -> Any:
    if content[:4] == b"PAR1":
        rows = pq.read_table(io.BytesIO(content), use_threads=False)
        names = sorted(rows.column_names)
        columns = {name: (str(rows.schema.field(name).type), rows[name].to_pylist()) for name in names}
        return str(columns), (rows.schema.metadata or {}).get(b"gencli")
    if content[8:9] == b"{":
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        facts = json.loads(header.pop("__metadata__", {}).get("gencli", "{}"))
        kept = {name: facts[name] for name in facts if name not in ("seal", "step")}
        return str(header), str(kept), content[8 + length :]
    return content


def manners(case: Case, outcome: Outcome) -> str | None:
    """What is wrong with how a command ended, whatever it read."""
    named = {f"opened {word.rpartition('=')[2]}" for word in case.command}
    if seen := [each for each in outcome.seen if each not in named]:
        return seen[0]
    if outcome.status not in (0, 2):
        return f"status {outcome.status}" + (f": {outcome.err.strip().splitlines()[-1][:100]}" if outcome.err else "")
    if found := _WORDS.search(outcome.err):
        return f"says {outcome.err[max(0, found.start() - 20) :][:120]!r}"
    lines = [line for line in outcome.err.splitlines() if not _PROGRESS.fullmatch(line)]
    if outcome.status == 0:
        odd = [line for line in lines if not line.startswith("gencli ")]
        return f"says {odd[0][:120]!r}" if odd else None
    if outcome.out or outcome.files:
        return f"failed, and wrote {', '.join([*outcome.files, 'its output'][:3])}"
    if not 1 <= len(lines) <= 2 or not lines[0].startswith("gencli") or max(map(len, lines)) > 1100:
        return f"says {len(lines)} lines: {outcome.err[:200]!r}"
    if not all(map(str.isprintable, lines)):
        return f"says what steers a terminal: {outcome.err[:200]!r}"
    name = case.changed[0]
    if name and name not in lines[0]:
        return f"names no file: {lines[0][:200]!r}"
    return None


def wrong(case: Case, outcome: Outcome, right: Callable[[], tuple[int, dict[str, Any]] | None]) -> str | None:
    """What is wrong with an outcome. `right` runs the case's command on the files that it is like."""
    if found := manners(case, outcome):
        return found
    if outcome.status:
        return None
    if case.judge is not None:
        return case.judge(outcome)
    if case.refused:
        return "accepted"
    if case.like is None:
        return None
    known = right()
    if known is None:
        return "accepted what no other reader reads, with another result"
    status, expected = known
    if status:
        return "accepted what is refused in another spelling"
    return None if result(outcome) == expected else "another result"


class Judge:
    """Runs cases in a place, and knows results."""

    def __init__(self, place: Path) -> None:
        self._place, self._known = place, dict[Any, tuple[int, dict[str, Any]]]()

    def all(self, cases: Sequence[Case]) -> list[str | None]:
        """What is wrong with cases."""
        outcomes = child.run_all(self._place, [(case.files, case.command) for case in cases])
        accepted = [place for place, each in enumerate(outcomes) if each.status == 0]
        self._learn([(cases[place], files) for place in accepted if (files := _before(cases[place]))])
        other = [
            place for place in accepted if callable(cases[place].like) and not self._same(cases[place], outcomes[place])
        ]
        like = {place: cases[place].like(cases[place].files) for place in other}  # type: ignore[operator, misc]
        self._learn([(cases[place], files) for place, files in like.items() if files])

        def right(place: int) -> tuple[int, dict[str, Any]] | None:
            files = like.get(place) if place in like else _before(cases[place])
            return self._known[_key(cases[place], files)] if files else None

        return [
            wrong(case, outcome, partial(right, place)) for place, (case, outcome) in enumerate(zip(cases, outcomes))
        ]

    def again(self, case: Case) -> str | None:
        """What is wrong with a case, run alone."""
        return self.all([case])[0]

    def _same(self, case: Case, outcome: Outcome) -> bool:
        return self._known[_key(case, _before(case) or {})] == (0, result(outcome))

    def _learn(self, wanted: Sequence[tuple[Case, Files]]) -> None:
        new = {_key(case, files): (files, case.command) for case, files in wanted}
        new = {key: line for key, line in new.items() if key not in self._known}
        for key, done in zip(new, child.run_all(self._place, [*new.values()])):
            self._known[key] = done.status, result(done) if done.status == 0 else {}


def _before(case: Case) -> Files | None:
    """The files that give the right result; where that is to be seen, those as they were."""
    name, before = case.changed
    return {**case.files, name: before} if callable(case.like) else case.like


def _key(case: Case, files: Files) -> tuple[object, ...]:
    return case.command, hash(tuple(sorted(files.items())))


def reduced(case: Case, what: str, judge: Judge) -> Case:
    """The case with less changed in its strange file, as long as the same is wrong with it, but for numbers."""
    name, before = case.changed
    if not name or name not in case.files:
        return case
    content, best = case.files[name], case
    start = next(
        (at for at, (one, other) in enumerate(zip(content, before)) if one != other), min(len(content), len(before))
    )
    tail = 0
    while tail < min(len(content), len(before)) - start and content[-1 - tail] == before[-1 - tail]:
        tail += 1
    step, tries = (len(content) - tail - start + 1) // 2, 0
    while step and tries < _TRIES:
        at = start
        while at < len(content) - tail and tries < _TRIES:
            tries += 1
            same = len(content) == len(before)
            less = content[:at] + (before[at : at + step] if same else b"") + content[at + step :]
            trial = Case(
                {**case.files, name: seal(less)}, case.command, case.changed, case.like, case.refused, case.judge
            )
            if less != content and kind(judge.again(trial) or "") == kind(what):
                content, best = less, trial
                at += step if same else 0
            else:
                at += step
        step //= 2
    return best


def kind(what: str) -> str:
    """What is wrong, without numbers and quotes."""
    return re.sub(r"[0-9]+|'[^']*'", "…", what)[:100]
