"""The program: `gencli`, `python -m gencli`, and what torchrun starts."""

import atexit
import os
import signal
import sys
from importlib.machinery import ModuleSpec

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # until `main` there is nothing to clean up: an interrupt among the imports ends the process, without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _NoPandas:
    """Libraries of ours load pandas where it is installed, and use none of it: 40 MB and a quarter of a second.

    pyarrow does to convert its first array; its compiled code has no frame, so we seem to ask. A user's network may.
    """

    @classmethod
    def find_spec(cls, name: str, *_: object) -> ModuleSpec | None:
        if name != "pandas":
            return None
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals["__name__"].startswith("importlib."):
            frame = frame.f_back
        asker = frame.f_globals["__name__"].partition(".")[0]
        return ModuleSpec(name, cls) if asker in ("gencli", "pyarrow", "sklearn", "torch") else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        raise ModuleNotFoundError(spec.name)

    exec_module = create_module


sys.meta_path.insert(0, _NoPandas)  # type: ignore[arg-type]

from contextlib import suppress  # noqa: E402

from gencli.cli import aborts, stdout  # noqa: E402
from gencli.cli.app import main  # noqa: E402


def run() -> None:
    """Runs the command line and ends the process, without Python's own end.

    That takes 0.1 s after pyarrow and 0.5 s after torch, and threads of theirs that still run can abort it.
    """
    aborts.caught()
    with stdout.kept():
        status = 2
        try:
            status = main()
            atexit._run_exitfuncs()  # pyright: ignore[reportAttributeAccessIssue]  # libraries' files, processes
        except BaseException as wrong:  # from among the explanations of another, as where memory is used up
            with suppress(Exception):
                print(f"gencli: unexpected {type(wrong).__name__}: {wrong}\n  please report it", file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):  # closed; `main` has seen to what is lost
                stream.flush()
        os._exit(status)


if __name__ == "__main__":
    run()
