"""One command line in a forked child of this process, which has loaded all that commands load: what became of it.

The child may take 10 seconds of a core and 2 GB, start no process, import nothing that a stranger names, open nothing
outside of its folder and the installation, and write only into its folder.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import forks

Files = Mapping[str, bytes]

SECONDS, WAIT, MEMORY = 10, 40, 2 << 30  # of a core; by the clock, on a machine that others use; bytes
_LATE = (
    "matplotlib.figure", "mpmath", "pyarrow.compute", "pyarrow.parquet", "rich.table", "safetensors.torch",
    "scipy.linalg",
    "sklearn.datasets", "torch._dynamo", "torch._decomp.decompositions_for_jvp", "torch.utils.flop_counter",
)  # fmt: skip
_LARGE = 3 << 19  # KiB: what no file of a few KiB is worth
_FORBIDDEN = {
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn", "os.kill",
    "socket.connect", "socket.bind", "pickle.find_class", "ctypes.dlopen", "urllib.Request", "webbrowser.open",
}  # fmt: skip
_STRANGERS = "strangers", "antigravity", "this"  # what strange files call for
_READABLE = ("/usr/", "/lib", "/proc/", "/sys/", "/dev/null", "/dev/urandom", "/etc/mime.types")


@dataclass
class Outcome:
    """What became of a command.

    Attributes:
        status: of the process; a negative one is a signal.
        files: that were not there before, or changed.
        seen: what it did, or took, and must not.
    """

    status: int
    out: bytes
    err: str
    files: dict[str, bytes]
    seen: list[str]


def load() -> None:
    """Loads what commands load later, so that children have it."""
    os.environ.update(OMP_NUM_THREADS="1", COLUMNS="120", TERM="dumb", NO_COLOR="1")
    for name in [name for name in os.environ if name.startswith("GENCLI_")]:
        del os.environ[name]
    import gencli

    rooms = [each.name for each in pkgutil.walk_packages(gencli.__path__, "gencli.") if ".recipes" not in each.name]
    for name in [*rooms, *_LATE]:
        importlib.import_module(name)
    from PIL import Image

    Image.init()
    forks.prepare()


def run(place: Path, files: Files, command: Sequence[str]) -> Outcome:
    """What becomes of one command line, in a child of its own."""
    return run_all(place, [(files, command)])[0]


def run_all(place: Path, lines: Sequence[tuple[Files, Sequence[str]]]) -> list[Outcome]:
    """What becomes of command lines, each in a folder in `place` that holds these files and nothing else.

    One child runs them one after the other, since a child costs more than a command; what ends it ends one command.
    """
    shutil.rmtree(place, ignore_errors=True)
    for number, (files, _) in enumerate(lines):
        for name, content in files.items():
            path = place / str(number) / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (place / str(number) / "in").mkdir(parents=True, exist_ok=True)
        (place / str(number) / "beside").mkdir()  # TMPDIR and HOME
    outcomes: list[Outcome] = []
    while len(outcomes) < len(lines):
        start = len(outcomes)
        ended = _forked(place, [command for _, command in lines], start)
        known = [_outcome(place / str(number), lines[number][0]) for number in range(start, len(lines))]
        done = next((number for number, each in enumerate(known) if each is None), len(known))
        outcomes += [each for each in known[:done] if each is not None]
        if done < len(known):
            (place / str(start + done) / "status").write_text(f"{ended} 0")
            last = _outcome(place / str(start + done), lines[start + done][0])
            assert last is not None
            outcomes.append(last)
    return outcomes


def _outcome(place: Path, files: Files) -> Outcome | None:
    if not (place / "status").exists():
        return None
    status, grown = map(int, (place / "status").read_text().split())
    out, err, log = ((place / name).read_bytes() for name in ("out", "err", "seen"))
    folder = place / "in"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}
    changed = {name: content for name, content in found.items() if files.get(name) != content}
    seen = sorted(set(log.decode(errors="replace").splitlines()))
    seen += [f"removed {name}" for name in files.keys() - found.keys()]
    seen += [f"left {path.name} in TMPDIR" for path in (place / "beside").iterdir()]
    if status in (-signal.SIGXCPU, -signal.SIGKILL) or b"limit of processor time is reached" in err:
        seen.append("took too long")
    if grown > _LARGE:
        seen.append(f"took {grown >> 18} quarters of a GiB")
    return Outcome(status, out, err.decode(errors="replace"), changed, seen)


def _forked(place: Path, commands: Sequence[Sequence[str]], start: int) -> int:
    """Runs command lines from `start` on in a child; how it ended."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            _work(place, commands, start)
        finally:
            os._exit(70)
    ready = os.pidfd_open(child)
    while not select.select([ready], [], [], WAIT)[0]:
        now = sum((place / str(number) / "status").exists() for number in range(len(commands)))
        if now == start:
            os.kill(child, signal.SIGKILL)
            break
        start = now
    os.close(ready)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(place: Path, commands: Sequence[Sequence[str]], start: int) -> None:
    from gencli.cli import aborts
    from gencli.cli.app import main

    aborts.caught()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    now = _Hook()
    sys.addaudithook(now)
    for number in range(start, len(commands)):
        now.watch("", -1)
        here = place / str(number)
        streams = [
            os.open(os.devnull, os.O_RDONLY),
            *(os.open(here / name, os.O_WRONLY | os.O_CREAT) for name in ("out", "err", "seen")),
        ]
        for descriptor, stream in enumerate(streams[:3]):
            os.dup2(stream, descriptor)
            os.close(stream)
        os.chdir(here / "in")
        os.environ.update(TMPDIR=f"{here}/beside", HOME=f"{here}/beside", MPLCONFIGDIR=f"{here}/beside")
        tempfile.tempdir = None
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used, before = int(usage.ru_utime + usage.ru_stime) + 1, usage.ru_maxrss
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, resource.RLIM_INFINITY))
        now.watch(str(here), streams[3])
        try:
            status = main(commands[number])
        except BaseException:
            traceback.print_exc()
            status = 70
        now.watch("", -1)
        sys.stdout.flush()
        sys.stderr.flush()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        (here / "status").write_text(f"{status} {grown}")
    os._exit(0)


class _Hook:
    """An audit hook: writes down what a command must not do."""

    def __init__(self) -> None:
        self._folder, self._log = "", -1
        places = {*sys.path, sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), *_READABLE}
        self._readable = tuple(places - {""})

    def watch(self, folder: str, log: int) -> None:
        """From now on a command works in this folder; nothing is written down where there is none."""
        self._folder, self._log = folder, log

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._folder:
            return
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            writes = (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
            if not path.startswith((self._folder, os.devnull)) and (writes or not path.startswith(self._readable)):
                self._say(f"opened {path[:200]}{' to write' if writes else ''}")
        elif event == "import":
            top = str(arguments[0]).partition(".")[0]
            if top in _STRANGERS:
                self._say(f"imported {arguments[0]}")
        elif event in _FORBIDDEN and not (
            event == "ctypes.dlopen" and str(arguments[0]).startswith(("None", "libnvidia-ml", *self._readable))
        ):
            self._say(f"{event} {str(arguments)[:200]}")

    def _say(self, text: str) -> None:
        os.write(self._log, f"{text}\n".encode(errors="replace"))
