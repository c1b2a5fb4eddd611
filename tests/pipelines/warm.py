"""`gencli` for the scripts of tests, without the seconds that every process takes to import torch.

A server has loaded it, and forks a child for each run. The client, first on the PATH of scripts, hands over its open
files; the server finds its arguments, folder, environment and the like in /proc; the child runs what the program runs.
Signals are passed on, the client ends as the child does, and a client that is killed takes its child with it. Where the
process would begin otherwise than the server did (limits, variables that libraries read when they are imported), the
client becomes the program itself. One thing differs: all children have the server's hash seed.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import functools
import io
import json
import os
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutants import reach

BIN = Path(sys.executable).parent
_CLIENT = """#!{python} -IS
import _signal, _socket, os, sys

ignored, files = [], []
for number in {passed}:
    if _signal.getsignal(number) == _signal.SIG_IGN:
        ignored.append(number)
for number in map(int, os.listdir("/proc/self/fd")):
    try:
        if os.get_inheritable(number):
            files.append(number)
    except OSError:  # the one that listed them
        pass
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
while server.fileno() < 3:  # streams that are closed
    server = _socket.socket(fileno=os.dup(server.fileno()))
server.connect({place!r})
told = b"".join(number.to_bytes(4, "little") for number in [len(ignored), *ignored, *files])
descriptors = b"".join(number.to_bytes(4, "little") for number in files)
server.sendmsg([told], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)] if files else [])
for number in {passed}:
    if number not in ignored:
        _signal.signal(number, lambda number, frame: server.send(bytes([number])))
answer = server.recv(1)
if answer != b"w":
    for number in {passed}:
        if number not in ignored:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    os.execv({program!r}, [{program!r}, *sys.argv[1:]])
for number in files:
    os.close(number)
ended = int.from_bytes(server.recv(4), "little", signed=True)
if ended < 0:
    if -ended != _signal.SIGKILL:
        _signal.signal(-ended, _signal.SIG_DFL)
    os.kill(os.getpid(), -ended)
os._exit(ended)
"""
_PASSED = tuple(map(int, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)))
# variables that are read when a command runs, if at all
_LATE = ("D", "PWD", "OLDPWD", "SHLVL", "_", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PATH", "TMPDIR")
# the last one torch sets in a test
_LATE_PREFIXES = ("GENCLI_", "MAKE", "MFLAGS", "PYTEST_", "TORCHELASTIC_", "TORCHINDUCTOR_")
_LATE_OF_RECIPES = ("OUT", "DATA", "SCALE", "OPTIONS", "SAID")  # make gives commands what its command line sets
_LATE_OF_TORCHRUN = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCH_NCCL_ASYNC_ERROR_HANDLING",
)  # fmt: skip
MANY = "--many-of-tests"


@functools.cache
def folder() -> str:
    """The folder with the client, whose server runs until this process ends."""
    place = tempfile.TemporaryDirectory(prefix="gencli-warm-")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place.name}/socket")
    listener.listen(64)
    client = Path(place.name, "gencli")
    words = {"python": sys.executable, "place": f"{place.name}/socket", "program": str(BIN / "gencli")}
    client.write_text(_CLIENT.format(passed=_PASSED, **words))
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.pipelines.warm", str(listener.fileno())],
        cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},  # as scripts have it
    )  # fmt: skip
    listener.close()

    def end() -> None:
        server.communicate()
        place.cleanup()

    atexit.register(end)
    return place.name


def _late(name: str) -> bool:
    return name in _LATE + _LATE_OF_RECIPES + _LATE_OF_TORCHRUN or name.startswith(_LATE_PREFIXES)


def _environment(process: int | str) -> dict[str, str]:
    words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return {
        os.fsdecode(name): os.fsdecode(value) for name, _, value in (each.partition(b"=") for each in words) if name
    }


def _names(path: str, process: int) -> Iterator[str]:
    """What could be imported from the folders of PYTHONPATH."""
    for folder in filter(None, path.split(":")):
        with contextlib.suppress(OSError):
            found = os.listdir(Path(f"/proc/{process or 'self'}/cwd", folder))
            yield from (name.partition(".")[0] for name in found)


def _at_its_start(process: int) -> tuple[object, ...]:
    """What the start of a process depends on, and cannot be made up for in a child."""
    limits = [resource.prlimit(process, getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT")]
    early = {name: value for name, value in _environment(process or "self").items() if not _late(name)}
    if not {*_names(early.get("PYTHONPATH", ""), process)} & {*sys.modules, "sitecustomize", "usercustomize"}:
        early.pop("PYTHONPATH", None)  # nothing that the server has loaded, or would have
    return limits, os.sched_getaffinity(process), early, os.stat(f"/proc/{process or 'self'}").st_uid


def _become(process: int, ignored: list[int], files: dict[int, int]) -> None:
    """The run of a client, in a fork of the server; does not return."""
    os.setsid()
    for number in _PASSED:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    os.chdir(f"/proc/{process}/cwd")
    status = dict(line.split(":\t") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    os.umask(int(status["Umask"], 8))
    environment = _environment(process)
    _, _, _, *words = map(os.fsdecode, Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[:-1])
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [os.path.abspath(each) for each in environment.get("PYTHONPATH", "").split(":") if each]
    tempfile.tempdir = None
    high = {number: fcntl.fcntl(file, fcntl.F_DUPFD, 512) for number, file in files.items()}
    os.closerange(0, 512)
    for number, file in high.items():
        os.dup2(file, number, inheritable=True)
    os.closerange(512, 1024)
    sys.stdin = sys.__stdin__ = open(0, closefd=False) if 0 in files else None  # type: ignore[assignment, misc]  # noqa: SIM115
    for number, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        stream = None
        if number in files:
            lines = number == 2 or os.isatty(1)
            stream = open(number, "w", errors=errors, closefd=False, buffering=1 if lines else -1)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    reach.of(environment.get("PYTEST_CURRENT_TEST", ""))
    if words[:1] == [MANY]:
        _many(*words[1:])
    sys.argv = ["gencli", *words]
    if "--threads" in words:  # which torch, loaded before, has not read
        import torch

        torch.set_num_threads(int(words[words.index("--threads") + 1]))
    from gencli.__main__ import run

    run()


def _many(asked: str, answered: str) -> None:
    """Runs the command lines of a JSON file in turn; statuses and messages go to another. Does not return."""
    from gencli.cli.app import main

    results = []
    for arguments in json.loads(Path(asked).read_text()):
        messages = io.StringIO()
        with contextlib.redirect_stderr(messages):
            status = main(arguments)
        results.append([status, messages.getvalue()])
    Path(answered).write_text(json.dumps(results))
    os._exit(0)  # as the program itself, see `gencli.__main__`


def serve(listener: socket.socket) -> None:
    """Answers clients until standard input ends."""
    from tests import forks
    from tests.hostile.faults.server import load

    load(light=False)
    forks.prepare()
    ours = _at_its_start(0)
    known = selectors.DefaultSelector()
    known.register(0, selectors.EVENT_READ)
    known.register(listener, selectors.EVENT_READ)
    children: dict[socket.socket, tuple[int, int]] = {}  # the process and its pidfd, of a client's connection

    def accept() -> None:
        client = listener.accept()[0]
        told, ancillary, *_ = client.recvmsg(4 * 600, socket.CMSG_SPACE(4 * 250))
        numbers = list(array.array("i", told))
        ignored, named = numbers[1 : 1 + numbers[0]], numbers[1 + numbers[0] :]
        files = [file for *_, data in ancillary for file in array.array("i", data)]
        process = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        if _at_its_start(process) != ours:
            client.send(b"c")
            client.close()
        else:
            child = os.fork()
            if child == 0:
                try:
                    _become(process, ignored, dict(zip(named, files, strict=True)))
                finally:
                    os._exit(3)
            client.send(b"w")
            place = os.pidfd_open(child)
            children[client] = child, place
            known.register(client, selectors.EVENT_READ)
            known.register(place, selectors.EVENT_READ, client)
        for file in files:
            os.close(file)

    def pass_on(client: socket.socket) -> None:
        numbers = client.recv(64)
        for number in numbers or [signal.SIGKILL]:
            os.kill(children[client][0], number)
        if not numbers:
            known.unregister(client)

    def reap(client: socket.socket) -> None:
        child, place = children.pop(client)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        known.unregister(place)
        os.close(place)
        with contextlib.suppress(KeyError):
            known.unregister(client)
        with contextlib.suppress(BrokenPipeError):
            client.send(ended.to_bytes(4, "little", signed=True))
        client.close()

    while True:
        for key, _ in known.select():
            source: Any = key.fileobj
            if source == 0:
                return
            if source is listener:
                accept()
            elif key.data is not None:
                reap(key.data)
            elif source in children:
                pass_on(source)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
