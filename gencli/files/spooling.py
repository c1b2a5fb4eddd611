"""Where bytes come in: files and standard input, opened; pipes, spooled."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from gencli.errors import GencliError
from gencli.files.seals import Digest

_CHUNK = 1 << 20


def standard_input() -> BinaryIO:
    """Opened once more, so that it can be closed.

    Raises:
        GencliError: it is closed.
    """
    if sys.stdin is None:
        raise GencliError("standard input is closed", "name a file or pipe one in")
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)


def open_path(path: Path) -> BinaryIO:
    """A file, for reading.

    Raises:
        GencliError: it is not there, or cannot be read.
    """
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise GencliError(f"{path}: no such file", "check the name and the folder") from None
    except OSError as error:
        raise GencliError(f"{path}: cannot be read: {error.strerror}", "name a file that can be read") from None


def spool(pipe: BinaryIO, name: str) -> tuple[BinaryIO, Digest]:
    """A pipe's bytes in an unlinked temporary file, since Parquet's footer is last; and their SHA-256.

    Raises:
        GencliError: the pipe cannot be read, or there is no room.
    """
    digest, buffer = Digest(), memoryview(bytearray(_CHUNK))
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _CHUNK)  # fewer switches between writer and reader
    os.set_blocking(pipe.fileno(), True)  # a pipe that another process made non-blocking would seem to end
    try:
        spool: BinaryIO = tempfile.TemporaryFile(buffering=0)  # type: ignore[assignment]  # noqa: SIM115
        while count := _read(pipe, buffer, name):
            digest.update(buffer[:count])
            rest = buffer[:count]
            while rest:
                rest = rest[spool.write(rest) :]
    except OSError as error:
        where = f"{name}: cannot be spooled to a temporary file: {error.strerror}"
        raise GencliError(where, "free some space, or set TMPDIR to a folder on a larger disk") from None
    return spool, digest


def _read(pipe: BinaryIO, buffer: memoryview, name: str) -> int:
    try:
        return pipe.readinto(buffer)  # type: ignore[attr-defined]
    except OSError as error:
        raise GencliError(f"{name}: cannot be read: {error.strerror}", "name a file or pipe one in") from None
