"""A process that has loaded gencli and forks a child for every run that is asked for, a line of JSON each.

Asked: arguments, folder; if given environment, limits by name, mask, user, files for standard output and error, a
signal with its moment, and patience in seconds. Answered: the child's status as a shell has it, or that it was stopped;
a later line goes on.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import time
from typing import Any

from tests import forks

PATIENCE = 60  # seconds; longer is a hang, and the status 999


_HEAVY = (
    "torch._dynamo", "torch._functorch", "safetensors.torch", "pyarrow.compute", "sklearn.datasets", "rich.table",
    "matplotlib.figure", "matplotlib.backends.backend_svg", "importlib.readers", "encodings.utf_16_be",
)  # fmt: skip


def load(light: bool) -> None:
    """All of gencli, and what it loads when it needs it; or what data and corrupt need."""
    import gencli

    rooms = {module.name for module in pkgutil.walk_packages(gencli.__path__, "gencli.")}
    if light:
        rooms = {name for name in rooms if name.startswith(("gencli.commands.data", "gencli.cor", "gencli.sources"))}
        rooms |= {"gencli.commands.corrupt", "gencli.cli.outputs"}
    for name in sorted(rooms) + [
        name for name in _HEAVY if not light or not name.startswith(("torch", "safetensors", "matplotlib"))
    ]:
        importlib.import_module(name)
    if not light:  # torch's exporter loads its parts when it is called, and nobody may not read where Python lies
        import torch

        torch.export.save(torch.export.export(torch.nn.Linear(1, 1), (torch.zeros(1, 1),)), io.BytesIO())


def child(asked: dict[str, Any]) -> None:
    """Becomes the run; does not return."""
    from gencli.__main__ import run

    os.chdir(asked["folder"])
    os.umask(asked.get("mask", 0o022))
    os.environ.update(asked.get("environment", {}))
    tempfile.tempdir = None
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        place = asked.get("streams", {}).get(str(number), os.devnull)
        os.dup2(os.open(place, mode | (os.O_CREAT | os.O_TRUNC if number else 0), 0o666), number)
    for name, value in asked.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if "user" in asked:
        os.setgroups([])
        os.setgid(asked["user"])
        os.setuid(asked["user"])
    sys.argv = ["gencli", *asked["arguments"]]
    run()


def wait(process: int, asked: dict[str, Any]) -> dict[str, Any]:
    """Until it ends or is stopped, its signal sent on the way."""
    start, sent = time.monotonic(), "signal" not in asked
    while True:
        ended, status = os.waitpid(process, os.WNOHANG | os.WUNTRACED)
        seconds = time.monotonic() - start
        if ended and os.WIFSTOPPED(status):
            return {"process": process, "stopped": True}
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return {"process": process, "status": code if code >= 0 else 128 - code, "seconds": seconds}
        if not sent and seconds >= asked["after"]:
            os.kill(process, asked["signal"])
            sent = True
        if seconds > asked.get("patience", PATIENCE):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return {"process": process, "status": 999, "seconds": seconds}
        time.sleep(0.0005)


def serve() -> None:
    """Answers until its input ends."""
    load(sys.argv[1:] == ["light"])
    forks.prepare()
    for line in sys.stdin:
        asked = json.loads(line)
        process = asked.get("process")
        if process is None:
            process = os.fork()
            if process == 0:
                child(asked)
        else:
            os.kill(process, signal.SIGCONT)
        print(json.dumps(wait(process, asked)), flush=True)


if __name__ == "__main__":
    serve()
