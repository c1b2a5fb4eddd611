"""The process as it was: what a test, or a command that it runs in this process, changes of it is put back."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gencli.cli import console, signals, stdout
from gencli.files import stream

_FLAGS = (
    *((console, name) for name in ("quiet", "verbose", "debug", "color")),
    (stdout, "_kept"),
    (warnings, "showwarning"),
)
_LISTS: tuple[list[Any], ...] = (console._looks, signals._undo, stream._writing)
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGPIPE, signal.SIGALRM)


@contextmanager
def restored() -> Iterator[None]:
    """Afterwards the process is as it was before, in what commands and tests may change of it.

    Options of the command line, who is called at its end, signal handlers, environment, current folder, umask, random
    numbers, and torch's numbers of threads, default dtype and device, deterministic mode and gradients.
    """
    flags = [(module, name, getattr(module, name)) for module, name in _FLAGS]
    lists = [(each, each.copy()) for each in _LISTS]
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    environment, folder, leave = os.environ.copy(), os.getcwd(), os._exit
    os.umask(mask := os.umask(0))
    drawn, theirs = random.getstate(), np.random.get_state()
    put_back = _torch()
    try:
        yield
    finally:
        for module, name, value in flags:
            setattr(module, name, value)
        for each, content in lists:
            each[:] = content
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        os.chdir(folder)
        os.umask(mask)
        os._exit = leave
        random.setstate(drawn)
        np.random.set_state(theirs)
        put_back()


def _torch() -> Callable[[], None]:
    """What puts torch's settings back; nothing to put back where it is not loaded: those are its own then."""
    if (torch := sys.modules.get("torch")) is None:
        return lambda: None
    threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    exact, gradients = torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
    drawn = torch.get_rng_state()

    def put_back() -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        torch.use_deterministic_algorithms(exact)
        torch.set_grad_enabled(gradients)
        torch.set_rng_state(drawn)

    return put_back
