"""Whether the harness notices what must not happen: commands that do it, each in place of gencli's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gencli.cli import app
from tests.hostile import child
from tests.hostile.cases import Case
from tests.hostile.oracle import Judge


def _fail() -> int:
    raise ZeroDivisionError("deliberately")


def _write(path: str) -> int:
    Path(path).write_text("left")
    return 2


def _grow() -> int:
    return len(bytearray(child.MEMORY * 7 // 8)) and 0


def _spin() -> int:
    while True:
        pass


def _say(words: str, status: int = 2) -> int:
    print(words, file=sys.stderr)
    return status


def _answer(path: str) -> int:
    print(Path(path).read_bytes().count(b"x"))
    return 0


FAULTS: dict[str, Callable[[], int]] = {
    "status 70: ZeroDivisionError": _fail,
    "failed, and wrote left": lambda: _write("left") and _say("gencli: x"),
    "opened /tmp/stranger": lambda: _write("/tmp/stranger"),
    "opened /etc/passwd": lambda: len(Path("/etc/passwd").read_text()) and 0,
    "subprocess.Popen": lambda: subprocess.run("true", check=False).returncode,
    "os.system": lambda: os.system("true"),
    "imported this": lambda: bool(__import__("this")) and 0,
    "quarters of a GiB": _grow,
    "took too long": _spin,
    "status 1": lambda: 1,
    "a library gave up": os.abort,
    "unexpected word": lambda: _say("gencli: unexpected word"),
    "says 3 lines": lambda: _say("gencli: a\n  b\n  c"),
    "says 'a warning": lambda: _say("a warning", 0),
    "names no file": lambda: _say("gencli: x\n  y"),
    "another result": lambda: _answer("x.csv"),
}


def missed() -> dict[str, str]:
    """The faults that are not noticed, and what is said in their place."""
    run, seconds, found = app._run, child.SECONDS, {}
    with tempfile.TemporaryDirectory() as folder:
        for words, fault in FAULTS.items():
            app._run = lambda _, fault=fault: fault()
            child.SECONDS = 1 if fault is _spin else seconds  # a slow machine may need a second to fill memory
            case = Case({"x.csv": b"axbcx"}, (words,), ("x.csv", b"axbcd"), {"x.csv": b"axbcd"})
            what = Judge(Path(folder)).again(case)
            if what is None or words not in what:
                found[words] = f"noticed as {what!r}"
    app._run, child.SECONDS = run, seconds
    return found
