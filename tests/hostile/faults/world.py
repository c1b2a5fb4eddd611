"""Runs of gencli with something wrong, each in a folder of its own, and the one judgement of what they leave.

A file that was there stays as it was or is the new one, whole; nothing else is left but by SIGKILL; an error is
explained; and the next run, with nothing wrong, ends as if there had been none before it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.hostile.faults.commands import LINES, MATRIX, inputs, outputs
from tests.pipelines.shell import environment, explained

HERE = Path(__file__).parent
OLD = b"old"
NOBODY = 65534
_CLOCKS = {"seconds", "images_per_second"}  # columns of a history
_SIGNALS = signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL


@dataclass
class Ended:
    """A run: its status as the shell has it, its messages, and how long it took."""

    status: int
    messages: str
    seconds: float = 0.0


def require(holds: bool, *words: object) -> None:
    """As `assert` with these words."""
    if not holds:
        raise AssertionError(*words)


class World:
    """The inputs, a server of runs, and how each line ends when nothing is wrong."""

    def __init__(self, lines: Sequence[str] = LINES) -> None:
        self.lines = lines
        self.top = Path(tempfile.mkdtemp(prefix="gencli-faults-"))
        self.top.chmod(0o755)  # runs as nobody too
        self.inputs, self.preload = self.top / "in", self.top / "preload.so"
        self.inputs.mkdir()
        compiler = shutil.which("cc") if sys.platform == "linux" else None
        if compiler:
            build = [compiler, "-shared", "-fPIC", "-O1", "-o", self.preload, HERE / "preload.c", "-ldl"]
            subprocess.run(build, check=True)
        self.variables = {"OMP_NUM_THREADS": "1"} | ({"LD_PRELOAD": str(self.preload)} if compiler else {})
        words = [] if lines is LINES else ["light"]
        self.server = subprocess.Popen(
            [sys.executable, "-P", HERE / "server.py", *words], env=environment(self.variables),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.known: dict[str, tuple[Ended, dict[str, Any]]] = {}
        self.cases = 0
        (self.inputs / "matrix.csv").write_text(MATRIX)
        with tarfile.open(self.inputs / "shard.tar", "w") as shard:
            for name, content in {"1.pgm": b"P5 1 1 255\n0", "1.cls": b"0"}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
        np.save(self.inputs / "images.npy", np.zeros((20, 8, 8, 1), np.uint8))
        np.save(self.inputs / "labels.npy", np.arange(20) % 4)
        for line in inputs(lines):
            require(self.run(line, self.inputs).status == 0, line)
        rows = pq.read_table(self.inputs / "large.parquet")
        pq.write_table(rows, self.inputs / "foreign.parquet", row_group_size=500, compression="none")

    def close(self) -> None:
        """Ends the server and removes everything."""
        assert self.server.stdin
        self.server.stdin.close()
        self.server.wait()
        shutil.rmtree(self.top)

    def ask(self, **asked: Any) -> dict[str, Any]:
        """One exchange with the server."""
        assert self.server.stdin
        assert self.server.stdout
        print(json.dumps(asked), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())

    def folder(self, line: str, old: bool = True) -> Path:
        """A new folder with the inputs in it as links, and an old file in each place that the line names."""
        self.cases += 1
        folder = self.top / f"case-{self.cases}"
        folder.mkdir()
        folder.chmod(0o777)
        for word in set(line.split()):
            if (self.inputs / word).exists():
                (folder / word).symlink_to(self.inputs / word)
        for name in outputs(line) if old and "--folder out" not in line else ():
            (folder / name).write_bytes(OLD)
            (folder / name).chmod(0o666)
        return folder

    def run(self, line: str, folder: Path, fault: str = "", under: Path | None = None, **asked: Any) -> Ended:
        """A run of the line; `fault` is what preload.c takes, of files `under` a path."""
        answer = self.start(line, folder, fault, under, **asked)
        require("status" in answer, "it was stopped")
        return self.ended(folder, answer)

    def start(self, line: str, folder: Path, fault: str = "", under: Path | None = None, **asked: Any) -> Any:
        """As `run`; gives the server's answer, as the run may be stopped."""
        quiet = ["-q"] if asked.pop("quiet", True) else []
        (self.top / "fired").unlink(missing_ok=True)
        self.messages(folder).write_text("")  # a run may be killed before it has anything to say
        given = {"FAULT": fault, "FAULT_UNDER": str(under or folder), "FAULT_FIRED": str(self.top / "fired")}
        asked["environment"] = given | asked.get("environment", {})
        asked["streams"] = {"2": str(self.messages(folder))}
        return self.ask(arguments=[*line.split(), *quiet, "--threads", "1"], folder=str(folder), **asked)

    def resume(self, folder: Path, answer: Any) -> Ended:
        """A stopped run goes on to its end."""
        return self.ended(folder, self.ask(process=answer["process"]))

    def ended(self, folder: Path, answer: Any) -> Ended:
        """How a run ended."""
        return Ended(answer["status"], self.messages(folder).read_text(errors="replace"), answer["seconds"])

    def messages(self, folder: Path) -> Path:
        """Where a run in this folder says what it has to say: outside of it."""
        return self.top / f"messages-{folder.name}"

    def fired(self) -> bool:
        """Whether the last run met its fault."""
        return (self.top / "fired").exists()

    def expected(self, line: str) -> tuple[Ended, dict[str, Any]]:
        """How the line ends with nothing wrong, and what it writes."""
        if line not in self.known:
            folder = self.folder(line)
            done = self.run(line, folder)
            require(done.status in (0, 1), line, done)
            self.known[line] = done, {name: content(folder / name) for name in outputs(line)}
            shutil.rmtree(folder)
        return self.known[line]

    def judge(self, line: str, folder: Path, done: Ended, again: bool = True, leaves: bool = False) -> None:
        """The rule at the top, of a run that ended in this folder.

        Raises:
            AssertionError: it does not hold.
        """
        right, whole = self.expected(line)
        killed = done.status - 128 in _SIGNALS
        require(killed or done.status in (right.status, 2), "status", done)
        require("Traceback" not in done.messages and "unexpected" not in done.messages, done.messages)
        if done.status == 2:
            explained(done.messages)
        else:
            require(not done.messages or "--resume" in done.messages, done.messages)
        for name, new in whole.items():
            there = content(folder / name)
            require(there in (OLD, None, new), f"{name}: neither old nor new")
            require(there == new or done.status != right.status, f"{name}: status {done.status}, and old")
        new = {name for name in whole if content(folder / name) == whole[name] != OLD}
        together = new in (set(), set(whole)) or (line.startswith("train") and new == {"out"})  # no model is lost
        require(together or done.status == 137 or "whole" in done.messages, "some outputs are new, others old:", new)
        left = others(line, folder)
        require(not left or done.status == 137 or leaves, "left:", left)
        if again:
            if (folder / "out").is_dir():
                shutil.rmtree(folder / "out")  # a folder is not written again
            done = self.run(line, folder, quiet=not left)
            require(done.status == right.status, "the next run:", done)
            require(all(content(folder / name) == new for name, new in whole.items()), "the next run is another")
            require(not others(line, folder), "the next run left:", others(line, folder))
            for each in left:
                require(f"{each}: removed" in done.messages, "the next run says nothing of", each)

    def remove(self, folder: Path) -> None:
        """A folder whose case is closed."""
        shutil.rmtree(folder)
        self.messages(folder).unlink(missing_ok=True)


def others(line: str, folder: Path) -> set[str]:
    """What lies in the folder, and the line does not name."""
    return set(os.listdir(folder)) - set(line.split())


def content(path: Path) -> Any:
    """A file's bytes, a folder's files, a history's rows but for its clocks; None where nothing is."""
    if path.is_dir():
        return {str(file.relative_to(path)): content(file) for file in path.rglob("*") if file.is_file()}
    if not path.exists():
        return None
    written = path.read_bytes()
    if "history" in path.name and written != OLD:
        try:
            rows = pq.read_table(path)
        except Exception:  # half of one
            return written
        return rows.drop_columns(list(_CLOCKS & set(rows.column_names))).to_pydict()
    return written
