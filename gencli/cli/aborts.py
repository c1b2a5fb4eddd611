"""Libraries that end the process themselves where memory or threads are short: it ends as after any other error.

OpenBLAS and the OpenMP libraries leave by C's exit(1), which would say that a check failed; C++ aborts, or reads what
it did not get. Our own code does none of this, so that what comes this way is theirs; what they say of it is on
standard error by then.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import Any

from gencli.cli import signals

OUT_OF_MEMORY = "use fewer rows, a smaller network or batch, or fewer --threads; or allow more memory (ulimit -v)"
_GAVE_UP = f"gencli: out of memory or threads: a library gave up\n  {OUT_OF_MEMORY}\n"
_CRASHED = f"gencli: a library crashed, as some do without memory or threads\n  {OUT_OF_MEMORY}; or report it\n"
_kept: list[Any] = []  # C calls these


def caught() -> None:
    """From now on an exit, abort or crash in C removes incomplete files and ends the process with status 2."""
    import ctypes

    ours, library = os.getpid(), ctypes.CDLL(None)

    def ended(number: int | None) -> None:
        if os.getpid() == ours:  # processes that it forked end as they like
            signals.undo()
            os.write(2, (_CRASHED if number in (signal.SIGSEGV, signal.SIGBUS) else _GAVE_UP).encode())
            os._exit(2)

    _kept.append(called := ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ended))
    library.__cxa_atexit(called, None, None)
    if not faulthandler.is_enabled():
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS):
            library.signal(int(number), called)
