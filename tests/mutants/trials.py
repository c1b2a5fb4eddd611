"""Tests that may notice a mistake, run in forks of a process that has loaded the libraries, on a copy of the tree."""

from __future__ import annotations

import atexit
import compileall
import ctypes
import importlib
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.mutants.mistakes import Mutant

ROOT = Path(__file__).parents[2]
_LIBRARIES = (
    "torch", "torchvision", "pyarrow.parquet", "pyarrow.compute", "safetensors.torch", "scipy.linalg", "scipy.stats",
    "sklearn.datasets", "matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image", "hypothesis", "mpmath",
    "rich", "typer", "xxhash",
)  # fmt: skip
_FOLDERS = "gencli", "tests", "man", "completions"
_FILES = "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "LICENSE"
_BROKEN = 99  # a status that pytest has not
_UNREAD = "tests cannot be imported"
_PATIENCE = 100  # seconds for one test
_FIRST = 15  # seconds that the first tests take; the rest is collected where they pass
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: its line before and after, the test that noticed it, the seconds that took."""

    mutant: Mutant
    before: str
    after: str
    killer: str | None
    seconds: float
    exhausted: bool


@dataclass(eq=False)
class _Watch:
    """A plugin of pytest: writes down the test that runs; only those asked for, in their order."""

    current: Path
    asked: Sequence[str]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.current.write_text(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        places = {each: number for number, each in enumerate(self.asked)}
        order = [(places.get(each.nodeid, places.get(each.nodeid.partition("::")[0])), each) for each in items]
        kept = sorted(((place, each) for place, each in order if place is not None), key=lambda pair: pair[0])
        items[:] = [each for _, each in kept]


@dataclass
class Bench:
    """Two copies of the tree in a folder, one for mistakes; made by a process that has loaded the libraries."""

    folder: Path
    limit: float
    failing: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        tree = self.folder / "tree"
        for part in _FOLDERS:
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in _FILES:
            shutil.copy(ROOT / part, tree / part)
        # by content: two mistakes within a second may have the same length
        compileall.compile_dir(tree / "gencli", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        shutil.copytree(tree, self.folder / "clean")

    def attempt(self, mutant: Mutant, tests: Sequence[tuple[str, float]]) -> Verdict:
        """Runs tests, given with their seconds, until one fails that passes without the mistake."""
        start = time.monotonic()
        file = self.folder / "tree" / mutant.path
        source = file.read_bytes()
        file.write_bytes(mutant.apply(source))
        try:
            killer = self._killer(tests, start + self.limit)
        finally:
            file.write_bytes(source)
        exhausted = killer == ""
        return Verdict(mutant, *mutant.change(source), killer or None, time.monotonic() - start, exhausted)

    def _killer(self, tests: Sequence[tuple[str, float]], end: float) -> str | None:
        near = sum(spent <= _FIRST for spent in accumulate(seconds for _, seconds in tests))
        names = [each for each, _ in tests]
        for stage in filter(None, (names[:near], names[near:])):
            while failed := self._run("tree", stage, end=end):
                options = ["--collect-only"] if failed == _UNREAD else []
                if self._run("clean", stage if options else [failed], options) is None:
                    return failed
                if failed == _UNREAD:
                    raise RuntimeError((self.folder / "log").read_text())
                self.failing.add(failed)
            if failed == "":
                return failed
        return None

    def _run(
        self, tree: str, tests: Sequence[str], options: Sequence[str] = (), end: float = float("inf")
    ) -> str | None:
        """The first test that fails, or that the tests cannot be read; empty: none until `end`."""
        current = self.folder / "current"
        current.unlink(missing_ok=True)
        asked = [each for each in tests if tree == "clean" or each not in self.failing]
        if not asked:
            return None
        child = os.fork()
        if child == 0:
            status = _BROKEN
            try:
                status = _tests(self.folder, self.folder / tree, _Watch(current, asked), options)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        place = os.pidfd_open(child)
        waiting = select.poll()
        waiting.register(place, select.POLLIN)
        ended = waiting.poll(max(0.0, min(end - time.monotonic(), 1e6)) * 1000)
        os.close(place)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if ended else 1
        _sweep()
        if not ended:
            return ""
        if status == _BROKEN:
            raise RuntimeError((self.folder / "log").read_text())
        if status in (0, 5):
            return None
        return current.read_text() if current.exists() else _UNREAD


def load() -> None:
    """Loads the libraries, with one thread each, so that forks are safe."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_XDIST_WORKER_COUNT": str(len(os.sched_getaffinity(0)))}
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    for name in _LIBRARIES:
        importlib.import_module(name)


def _tests(folder: Path, tree: Path, watch: _Watch, options: Sequence[str]) -> int:
    atexit._clear()
    (folder / "temporary").mkdir(exist_ok=True)
    os.environ |= {"PYTHONPATH": str(tree), "TMPDIR": str(folder / "temporary")}
    tempfile.tempdir = None
    os.chdir(tree)
    sys.path[0] = str(tree)
    for name in list(sys.modules):
        if name.partition(".")[0] in ("gencli", "tests"):
            del sys.modules[name]
    for number, path, mode in (
        (0, os.devnull, os.O_RDONLY),
        (1, folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, mode), number)
    os.dup2(1, 2)
    patience = [f"--timeout={_PATIENCE}", "--timeout-method=thread"]
    fixed = ["-x", "-p", "no:cacheprovider", f"--basetemp={folder / 'scratch'}", "--hypothesis-seed=0", *patience]
    fixed += ["-W", "ignore:Module already imported"]  # hypothesis, whose plugin needs no rewriting
    files = dict.fromkeys(each.partition("::")[0] for each in watch.asked)
    status = pytest.main([*fixed, *options, *files], plugins=[watch])
    sys.stdout.flush()
    atexit._run_exitfuncs()
    return int(status)


def _sweep() -> None:
    """Ends what tests have left behind."""
    while children := Path("/proc/thread-self/children").read_text().split():
        for child in map(int, children):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
