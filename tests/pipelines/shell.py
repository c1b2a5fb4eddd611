"""Real shells running the installed `gencli`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pipelines import warm
from tests.pipelines.warm import BIN

PATIENCE = 200  # seconds; longer is a hang


@dataclass
class Done:
    """A finished script: its exit status, as the shell saw it, and what it wrote."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def worked(self) -> Done:
        assert self.status == 0, self
        return self

    def refused(self, *words: str) -> Done:
        """Status 2, one line that holds these words, one line on what to do, nothing on standard output."""
        assert self.status == 2, self
        assert not self.out, self
        explained(self.err, *words)
        return self


def explained(messages: str, *words: str) -> None:
    """Two lines: what was wrong, with these words, and what to do; no traceback, no `unexpected`.

    Progress may come before them, where the machine is slow.
    """
    lines = [line for line in messages.splitlines() if not re.match(r"[a-z ]+: [\d,]+ of [\d,]+", line)]
    assert len(lines) == 2, messages
    assert lines[0].startswith("gencli"), messages
    assert lines[1].startswith("  "), messages
    assert lines[1].strip(), messages
    assert "unexpected" not in messages, messages
    for word in words:
        assert word in messages, messages


def environment(extra: Mapping[str, str] | None = None, cold: bool = True) -> dict[str, str]:
    """Ours without what steers gencli, make, Python's output, colour or the terminal's size; see `warm`."""
    unset = [
        "NO_COLOR",
        "FORCE_COLOR",
        "PYTHONUNBUFFERED",
        "COLUMNS",
        "LINES",
        "TMPDIR",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GENCLI_") and name not in unset}
    path = f"{BIN}:{os.environ['PATH']}" if cold else f"{warm.folder()}:{BIN}:{os.environ['PATH']}"
    return clean | {"PATH": path, "TERM": "xterm"} | dict(extra or {})


class Shell:
    """Runs scripts with bash in a folder, `$D` being the folder of the shared files.

    `gencli` is that of `warm`; `cold`: the program itself, started anew each time.
    """

    def __init__(self, folder: Path, data: Path | None = None, cold: bool = False) -> None:
        self.folder, self.cold = folder, cold
        self.extra = {} if data is None else {"D": str(data)}

    def start(self, script: str, **settings: object) -> subprocess.Popen[bytes]:
        """Starts a script in a process group of its own."""
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
        extra = given.pop("env", {})
        return subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self.folder, env=environment(self.extra | extra, self.cold), start_new_session=True, **given,  # type: ignore[arg-type, operator]
        )  # fmt: skip

    def __call__(self, script: str, **env: str) -> Done:
        return finish(self.start(script, env=env))

    def on_terminal(self, script: str, /, keyboard: bool = False, **env: str) -> Done:
        """Runs a script whose standard output, and with `keyboard` whose input, is a terminal; `out` is the screen."""
        screen, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (40, 100))
        given = {"stdout": terminal} | ({"stdin": terminal} if keyboard else {})
        process = self.start(script, env=env, **given)
        os.close(terminal)
        shown: list[bytes] = []

        def watch() -> None:
            try:
                while seen := os.read(screen, 1 << 16):
                    shown.append(seen)
            except OSError:  # the terminal's last writer is gone
                pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        done = finish(process)
        watcher.join(PATIENCE)
        os.close(screen)
        return Done(done.status, b"".join(shown).replace(b"\r\n", b"\n"), done.err)

    def files(self) -> set[str]:
        """All names in the folder, hidden ones too."""
        return set(os.listdir(self.folder))


def finish(process: subprocess.Popen[bytes]) -> Done:
    """Waits for a script; one that hangs is killed, and fails the test."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Done(status, out or b"", (err or b"").decode())


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes], size: int = 0) -> None:
    """Until a file of that pattern and at least that size is there, while the process runs."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            if any(path.stat().st_size >= size for path in folder.glob(pattern)):
                return
        time.sleep(0.0005)
    raise AssertionError(f"no {pattern} while it ran: {process.communicate()}")


def many(folder: Path, commands: Sequence[Sequence[str]]) -> list[Done]:
    """Runs command lines one after the other in one process of `warm`; none may use standard output."""
    asked, answered = folder / "commands.json", folder / "results.json"
    asked.write_text(json.dumps(commands))
    subprocess.run(
        [f"{warm.folder()}/gencli", warm.MANY, str(asked), str(answered)],
        cwd=folder, env=environment(cold=False), stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE,
    )  # fmt: skip
    return [Done(status, b"", messages) for status, messages in json.loads(answered.read_text())]
