"""Tests that may notice a mistake, run in forks of a process that has loaded the libraries, on a copy of the tree."""

from __future__ import annotations

import atexit
import compileall
import ctypes
import importlib
import inspect
import os
import re
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
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.mutants.mistakes import Mutant, around

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
# whose pipelines use a room; all commands use the others
_COMMANDS = {
    "sources": "data", "corruptions": "corrupt", "training": "train", "losses": "train", "models": "train|eval",
    "fitting": "fit", "evaluation": "eval", "curvature": "hvp|spectrum", "jacobians": "jacobian",
    "formulas": "jacobian", "theory": "check", "reporting": "report", "scores": "score", "recipes": "recipe",
}  # fmt: skip
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>


@dataclass(frozen=True)
class Stage:
    """Test files and folders; of their tests those whose text holds `pattern`."""

    tests: Sequence[str]
    pattern: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: its line before and after, the test that noticed it, the seconds that took."""

    mutant: Mutant
    before: str
    after: str
    killer: str | None
    seconds: float
    exhausted: bool


def stages(path: str, tests: Path) -> list[Stage]:
    """Which tests may notice a mistake in a file, the nearest first."""
    _, *folders, name = Path(path).with_suffix("").parts
    own = Path(*folders, f"test_{name}.py")
    room = folders[0] if folders else ""
    imported = ".".join(["gencli", *folders, name]).removesuffix(".__init__")
    above, _, last = imported.rpartition(".")
    pattern = re.compile(rf"\b{imported}\b(?!\.\w)|from {above} import (?:\([^)]*|[^\n]*)\b{last}\b")
    every = sorted(each.relative_to(tests) for each in tests.rglob("test_*.py"))
    asking = [each for each in every if pattern.search((tests / each).read_text()) and each != own]
    beside = [each for each in every if room and each.parts[0] == room and each not in (*asking, own)]
    command = _COMMANDS.get(room, folders[1] if folders[1:] else name) if room in {*_COMMANDS, "commands"} else r"\w+"
    words = rf"gencli[ -]({command})\b|[\"']({command})[\"' ]|/test_({command})\b" if command != r"\w+" else ""
    shared = [each for each in every if each.parts[0] in ("pipelines", "cli") or each.name in ("test_docs.py",)]
    found = [
        Stage([str(own)] if own in every else []),
        Stage([str(each) for each in [*asking, *beside]]),
        Stage([str(each) for each in shared if each not in (*asking, *beside)], words),
    ]
    return [Stage([f"tests/{each}" for each in stage.tests], stage.pattern) for stage in found if stage.tests]


@dataclass(eq=False)
class _Watch:
    """A plugin of pytest: writes down the test that runs; the likeliest and quickest first, some left out."""

    current: Path
    pattern: str
    words: set[str]
    left_out: set[str]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.current.write_text(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        def text(item: pytest.Item) -> str:
            given = getattr(item, "callspec", None)
            return f"{item.nodeid} {inspect.getsource(item.function)} {given and given.params}"  # type: ignore[attr-defined]

        texts = {item.nodeid: text(item) for item in items if item.nodeid not in self.left_out}
        kept = [item for item in items if re.search(self.pattern, texts.get(item.nodeid, "")) and item.nodeid in texts]

        def far(item: pytest.Item) -> tuple[bool, int]:
            named = sum(word in texts[item.nodeid] for word in self.words)
            return item.get_closest_marker("slow") is not None, -named

        kept.sort(key=far)
        items[:] = kept


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

    def attempt(self, mutant: Mutant) -> Verdict:
        """Runs tests until one fails that passes without the mistake."""
        start = time.monotonic()
        file = self.folder / "tree" / mutant.path
        source = file.read_bytes()
        file.write_bytes(mutant.apply(source))
        try:
            killer = self._killer(mutant, start + self.limit)
        finally:
            file.write_bytes(source)
        exhausted = killer == ""
        return Verdict(mutant, *mutant.change(source), killer or None, time.monotonic() - start, exhausted)

    def _killer(self, mutant: Mutant, end: float) -> str | None:
        for stage in stages(mutant.path, self.folder / "clean" / "tests"):
            while (failed := self._run("tree", stage, mutant, end)) is not None:
                again = Stage([*stage.tests, "--collect-only"] if failed == _UNREAD else [failed])
                if failed == "" or self._run("clean", again, mutant) is None:
                    return failed
                if failed == _UNREAD:
                    raise RuntimeError((self.folder / "log").read_text())
                self.failing.add(failed)
        return None

    def _run(self, tree: str, stage: Stage, mutant: Mutant, end: float = float("inf")) -> str | None:
        """The first test that fails, or that the tests cannot be read; empty: none until `end`."""
        current = self.folder / "current"
        current.unlink(missing_ok=True)
        left_out = self.failing if tree == "tree" else set()
        words = around((self.folder / "clean" / mutant.path).read_bytes(), mutant.line) | {Path(mutant.path).stem}
        child = os.fork()
        if child == 0:
            status = _BROKEN
            try:
                watch = _Watch(current, stage.pattern, words, left_out)
                status = _tests(self.folder, self.folder / tree, stage.tests, watch)
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


def _tests(folder: Path, tree: Path, tests: Sequence[str], watch: _Watch) -> int:
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
    options = ["-x", "-p", "no:cacheprovider", f"--basetemp={folder / 'scratch'}", "--hypothesis-seed=0", *patience]
    options += ["-W", "ignore:Module already imported"]  # hypothesis, whose plugin needs no rewriting
    status = pytest.main([*options, *tests], plugins=[watch])
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
