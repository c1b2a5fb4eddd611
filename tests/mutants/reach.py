"""Which tests run a line of gencli: recorded once by coverage, in pytest's processes and in those that tests start.

This module is the plugin of pytest that tells coverage which test runs.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.mistakes import around

ROOT = Path(__file__).parents[2]
_PARTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
_FOLDER = ROOT / "build" / "reach"
_SETTINGS = """
[run]
data_file = {folder}/data
parallel = true
include = {root}/gencli/*
context = ${{PYTEST_CURRENT_TEST}}
patch =
    _exit
    fork
disable_warnings =
    no-data-collected
"""
_seconds: dict[str, float] = {}


def of(test: str) -> None:
    """What this process runs from now on is the test's, where coverage is recorded."""
    if "COVERAGE_PROCESS_START" in os.environ:
        from coverage import Coverage

        measure = Coverage.current()
        assert measure is not None
        measure.switch_context(test)


def pytest_runtest_logstart(nodeid: str) -> None:
    of(nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0) + report.duration


def pytest_sessionfinish() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        (_FOLDER / "seconds.json").write_text(json.dumps(_seconds))


def _record() -> None:
    """Runs all tests, and keeps which lines each ran and how long it took."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for each in _FOLDER.iterdir():
        each.unlink()
    settings = _FOLDER / "coveragerc"
    settings.write_text(_SETTINGS.format(folder=_FOLDER, root=ROOT))
    workers = str(min(4, len(os.sched_getaffinity(0))))
    options = ["-p", "tests.mutants.reach", "-n", workers, "--dist", "worksteal"]
    environment = os.environ | {"COVERAGE_PROCESS_START": str(settings)}
    subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, env=environment, check=False)


class Reach:
    """What a run of all tests under coverage left in a folder, `build/reach`, where it is made if it is not there."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        from coverage import Coverage

        spent = folder / "seconds.json"
        if not spent.exists():
            _record()
        measure = Coverage(str(folder / "data"), config_file=False)
        if parts := list(folder.glob("data.*")):
            measure.combine([str(folder)], strict=True)
            measure.save()
            for each in parts:
                each.unlink(missing_ok=True)  # what processes that were killed left half-written
        measure.load()
        self._data = measure.get_data()
        self._seconds: dict[str, float] = json.loads(spent.read_text())
        self._recorded = spent.stat().st_mtime
        self._lines: dict[str, dict[int, set[str]]] = {}

    def _of(self, path: str) -> dict[int, set[str]]:
        """The tests that run each line of a file."""
        if path not in self._lines:
            found = self._data.contexts_by_lineno(str(ROOT / path))
            self._lines[path] = {line: set(map(_test, tests)) - {""} for line, tests in found.items()}
        return self._lines[path]

    def tests(self, path: str, line: int) -> list[tuple[str, float]]:
        """The tests that run a statement, or use its names or its file's where importing runs it, and their seconds.

        The nearest and quickest come first, then others of the files of theirs, then those of other rooms; among them
        the files of tests that are newer than the record, whole.
        Where the file itself is newer, all tests that run any of it.
        """
        source, reached = (ROOT / path).read_text(), self._of(path)
        first, last, imported = _statement(source, line)
        if self._newer(ROOT / path):
            first, last = min(reached, default=1), max(reached, default=1)
        found = set[str]().union(*(reached.get(each, ()) for each in range(first, last + 1)))
        if imported:
            pattern = re.compile(rf"\b({'|'.join(around(source.encode(), line))})\b")
            for file in (ROOT / "gencli").rglob("*.py"):
                lines = [number for number, text in enumerate(file.read_text().splitlines(), 1) if pattern.search(text)]
                reached = self._of(str(file.relative_to(ROOT))) if lines else {}
                found |= set[str]().union(*(reached.get(each, ()) for each in lines))
            found |= set(self._naming(pattern))
        own = {each for each in self._seconds if imported and each.endswith(f"[{path}]")}
        found |= own
        room = str(Path("tests", *Path(path).parts[1:-1]))
        tests = (str(each.relative_to(ROOT)) for each in (ROOT / "tests").rglob("test_*.py") if self._newer(each))
        seconds = {each: sum(spent for test, spent in self._seconds.items() if _file(test) == each) for each in tests}
        seconds |= {each: self._seconds.get(each, 0) for each in found if _file(each) not in seconds}
        near = {each for each in seconds if each.startswith(f"{room}/")} | own
        # what a fixture or a cache of the file's made was made, and recorded, with the first test that asked for it
        files = {*map(_file, near)}
        beside = {each: spent for each, spent in self._seconds.items() if _file(each) in files - seconds.keys()}
        return sorted(
            (beside | seconds).items(), key=lambda pair: (pair[0] not in near, pair[0] in seconds, pair[1], pair[0])
        )

    def _naming(self, pattern: re.Pattern[str]) -> Iterator[str]:
        """The tests whose own text has such a name, such as those that compare a table with a copy of it."""
        for file in (ROOT / "tests").rglob("test_*.py"):
            if not pattern.search(text := file.read_text()):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef) and pattern.search(ast.get_source_segment(text, node) or ""):
                    name = re.compile(rf"{re.escape(str(file.relative_to(ROOT)))}::(\w+::)*{node.name}(\[|$)")
                    yield from filter(name.match, self._seconds)

    def _newer(self, file: Path) -> bool:
        return file.stat().st_mtime > self._recorded


def _file(test: str) -> str:
    return test.partition("::")[0]


def _test(context: str) -> str:
    """The test of a context: of the process, which may have been started by another, with its phase."""
    return re.sub(r" \((setup|call|teardown)\)$", "", re.split(r"\|(?=tests/)", context)[-1])


def _statement(source: str, line: int) -> tuple[int, int, bool]:
    """First and last line of the innermost statement around a line; whether importing runs it.

    Of a statement that holds others, its head; of a function whose head it is, all lines.
    """
    found: ast.AST = ast.parse(source)
    inside = False
    while inner := [
        each for each in ast.iter_child_nodes(found) if isinstance(each, _PARTS) and _first(each) <= line <= _last(each)
    ]:
        found = inner[0]
        if isinstance(found, ast.FunctionDef):
            inside = True
            if line < found.body[0].lineno:
                return found.lineno, _last(found), False
    body = getattr(found, "body", None)
    last = body[0].lineno - 1 if body and line < body[0].lineno else _last(found)
    return _first(found), max(_first(found), last), not inside


def _first(node: ast.AST) -> int:
    return node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno  # type: ignore[attr-defined]


def _last(node: ast.AST) -> int:
    return node.body[-1].end_lineno if isinstance(node, ast.match_case) else node.end_lineno  # type: ignore[attr-defined]
