"""Libraries that end the process themselves where memory or threads are short: it ends as after any other error.

OpenBLAS and the OpenMP libraries leave by C's exit(1), which would say that a check failed; C++ aborts, or reads what
it did not get. Our own code does none of this, so that what comes this way is theirs; what they say of it is on
standard error by then.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gencli.cli import signals

_MORE = "allow more memory (ulimit -v)"
OUT_OF_MEMORY = f"use fewer rows, a smaller network or batch, or fewer --threads; or {_MORE}"
_GAVE_UP = f"gencli: out of memory or threads: a library gave up\n  {OUT_OF_MEMORY}\n"
_CRASHED = f"gencli: a library crashed, as some do without memory or threads\n  {OUT_OF_MEMORY}; or report it\n"
_kept: list[Any] = []  # C calls these
_read: list[str] = []  # files, the last one being read now


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Within this context, an abort is blamed on the file of this name: some corrupt footers make Arrow abort."""
    _read.append(name)
    try:
        yield
    finally:
        _read.pop()


def caught() -> None:
    """From now on an exit, abort or crash in C removes incomplete files and ends the process with status 2."""
    import ctypes

    ours, library = os.getpid(), ctypes.CDLL(None)

    def ended(number: int | None) -> None:
        if os.getpid() == ours:  # processes that it forked end as they like
            signals.undo()
            said = _CRASHED if number in (signal.SIGSEGV, signal.SIGBUS) else _GAVE_UP
            if _read:
                what = f"gencli: {_read[-1]}: corrupt, or out of memory: a library gave up"
                said = f"{what}\n  make the file again, or {_MORE}\n"
            os.write(2, said.encode(errors="replace"))
            os._exit(2)

    _kept.append(called := ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ended))
    with suppress(OSError, AttributeError):  # C++ of another make says what it threw before it aborts
        _kept.append(thrown := ctypes.CFUNCTYPE(None)(lambda: ended(None)))
        ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE(thrown)
    library.__cxa_atexit(called, None, None)
    if not faulthandler.is_enabled():
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS):
            library.signal(int(number), called)
