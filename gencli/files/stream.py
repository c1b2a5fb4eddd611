"""Bytes in and bytes out: `Input`, and standard output, files and objects that appear complete or not at all.

The formats of the bytes are in `tables` and `tensors`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from gencli.cli import console, stdout
from gencli.errors import GencliError
from gencli.files import partial, stores
from gencli.files.incoming import Input

__all__ = ["NO_ROOM", "Input", "Output", "is_terminal", "require_writable"]
NO_ROOM = "free some space"
_writing: list[Output] = []


@console.while_working
def _require_readers() -> None:
    """Ends work whose results have no reader.

    Raises:
        BrokenPipeError: the reader of a pipe that is open for writing closed it.
    """
    for output in _writing:
        if not output.aside:
            output.require_reader()


class Output(io.RawIOBase):
    """Bytes on their way to standard output, a file or an object of a store, committed whole or not at all.

    A file is written beside its place, synced and renamed; anything that is no regular file (a pipe, /dev/null), and
    what the shell opened (/dev/fd/3), is written directly. After `mute` nothing more goes out: pyarrow closes a valid
    footer even when a writer fails, and the reader must not take that for the whole table. An object is uploaded from a
    temporary file once it is complete.

    Args:
        destination: a path, or the address of an object; `-` or None is standard output.
        inputs: what is read; none of them may be the destination.
        binary: refuses a terminal.
        aside: the work continues without it if its reader closes the pipe.

    Raises:
        GencliError: the destination cannot be written, is one of `inputs`, or is already being written.
        BrokenPipeError: the reader closed the pipe.
    """

    def __init__(
        self, destination: str | None, inputs: Iterable[Input] = (), binary: bool = False, aside: bool = False
    ) -> None:
        self._muted, self.aside = False, aside
        self._temporary: Path | None = None
        stdout.fill_closed()
        self._held: list[bytes | memoryview] | None = None
        self._upload: Callable[[int], None] | None = None
        self.address = str(destination) if stores.is_address(destination) else ""
        self.path = None if stdout.is_it(destination) or self.address else Path(str(destination))
        self.name = "standard output" if stdout.is_it(destination) else stores.shown(str(destination))
        if binary and is_terminal(destination):
            raise GencliError(f"{self.name}: binary data would be written to the terminal", "name a file or use a pipe")
        if self.address:
            self._upload = stores.open_upload(self.address)
            self._fd = self._spool()
        elif self.path is None:
            if (place := stdout.descriptor()) is None:
                raise GencliError("standard output is closed", "name a file with -o")
            stdout.flush()
            self._fd = os.dup(place)
        else:
            self._fd = self._open(self.path)
        os.set_blocking(self._fd, True)  # a pipe that another process made non-blocking would seem full
        mode = os.fstat(self._fd).st_mode
        self._piped = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        _writing.append(self)
        self._refuse_collisions(inputs)

    def _refuse_collisions(self, inputs: Iterable[Input]) -> None:
        status = os.fstat(self._fd)
        if self._temporary is not None and self.path is not None and self.path.exists():
            status = self.path.stat()
        same = (
            any(self.address == source.address for source in inputs)
            if self.address
            else stat.S_ISREG(status.st_mode) and any(source.same_file(status) for source in inputs)
        )
        if same:
            self.abort()
            raise GencliError(f"{self.name}: the output is the input", "write to another file, then rename it")
        if any(other._goes_to(self, status) for other in _writing if other is not self):
            self.abort()
            raise GencliError(f"{self.name}: two outputs would be written there", "give them different names")

    def _goes_to(self, other: Output, status: os.stat_result) -> bool:
        """Whether this goes where the other goes, into the file or pipe of that status."""
        if self.address or other.address:
            return self.address == other.address
        if self._temporary is not None:
            return self.path == other.path or (self.path is not None and _is_at(self.path, status))
        return not stat.S_ISCHR(status.st_mode) and os.path.samestat(os.fstat(self._fd), status)

    def _open(self, path: Path) -> int:
        try:
            if (given := stdout.number(str(path))) is not None:
                if not os.get_inheritable(given):
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                return os.dup(given)
            with contextlib.suppress(FileNotFoundError):
                os.stat(path)  # refuses links in a circle
            if path.exists() and not path.is_file() and not path.is_dir():
                return os.open(path, os.O_WRONLY)
            if path.is_dir() or self.name.endswith("/"):
                raise GencliError(f"{self.name}: a folder, not a file", "name a file in it")
            self.path = path = Path(os.path.realpath(path))
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(13, "Permission denied")
            self._temporary, fd = partial.create(path)
            if path.exists():
                os.fchmod(fd, stat.S_IMODE(path.stat().st_mode))
            return fd
        except OSError as error:
            raise GencliError(f"{self.name}: cannot be written: {error.strerror}", "check the folder") from None

    def _spool(self) -> int:
        try:
            with tempfile.TemporaryFile(buffering=0) as file:
                return os.dup(file.fileno())
        except OSError as error:
            raise GencliError(
                f"{self.name}: no temporary file: {error.strerror}", "set TMPDIR to a folder on a larger disk"
            ) from None

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        """Takes bytes, as a file does; returns how many."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        if self._held is not None:
            self._held.append(view if view.readonly else bytes(view))
            return len(view)
        rest = view if not self._muted else view[:0]
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BrokenPipeError:
            self._muted = True
            raise
        except OSError as error:
            self._muted = True
            raise self._failed(error) from None
        return len(view)

    def _failed(self, error: OSError) -> GencliError:
        whole = self._temporary is not None or self._upload is not None
        kept = "nothing was kept" if whole else "the output there is incomplete"
        return GencliError(f"{self.name}: {error.strerror}", f"{kept}; {NO_ROOM}")

    @property
    def direct(self) -> bool:
        """Whether bytes leave the process as they are written, or an object with `finish`, and cannot be undone."""
        return self._temporary is None

    def hold(self) -> None:
        """Keeps output to pipes and devices in memory until `finish`."""
        if self.direct and self._upload is None:
            self._held = []

    def finish(self) -> None:
        """Writes what was kept, uploads an object, or syncs the file, which gets its name with `commit`.

        Raises:
            GencliError: it cannot be written, or could not get its name.
        """
        held, self._held = self._held, None
        for data in held or ():
            self.write(data)
        if self._upload is not None and not self._muted:
            self._upload(self._fd)
        if self._temporary is not None and self.path is not None:
            try:
                os.fsync(self._fd)
                os.stat(self._temporary)
                if not os.access(self.path.parent, os.W_OK) or self.path.is_dir():
                    raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            except OSError as error:
                raise self._failed(error) from None

    def require_reader(self) -> None:
        """Raises BrokenPipeError if this is a pipe that its reader closed."""
        if self._piped:
            watched = select.poll()
            watched.register(self._fd, 0)
            if watched.poll(0):
                self._muted = True
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE), self.name)

    def mute(self) -> None:
        """Discards all further output."""
        self._muted = True

    def commit(self) -> None:
        """Renames the finished file to its name."""
        if self._temporary is not None and self.path is not None:
            try:
                os.rename(self._temporary, self.path)
            except OSError as error:
                raise self._failed(error) from None
        self._close()

    def abort(self) -> None:
        """Removes the file, unless it is committed."""
        if self not in _writing:
            return
        self.mute()
        if self._temporary is not None:
            partial.remove(self._temporary)
        self._close()

    def _close(self) -> None:
        os.close(self._fd)
        _writing.remove(self)
        if self._temporary is not None:
            partial.keep(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
                self.commit()
        finally:
            self.abort()


def _is_at(path: Path, status: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), status)
    return False


def is_terminal(destination: str | None) -> bool:
    """Whether a command's output goes to a terminal, by standard output or by name."""
    if stdout.is_it(destination):
        place = stdout.descriptor()
        return place is not None and os.isatty(place)
    with contextlib.suppress(OSError):
        if stat.S_ISCHR(os.stat(str(destination)).st_mode):
            device = os.open(str(destination), os.O_WRONLY | os.O_NOCTTY)
            try:
                return os.isatty(device)
            finally:
                os.close(device)
    return False


def require_writable(output: str | None, *others: str | None, inputs: Iterable[Input] = ()) -> None:
    """Refuses destinations that cannot be written, or that are inputs or other outputs; before any work.

    Args:
        output: None is standard output.
        others: further output files; None for those not given.
    """
    with contextlib.ExitStack() as opened:
        for destination in [output, *filter(None, others)]:
            place = str(destination)
            special = os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place)
            if stdout.is_it(destination) or not special:  # whoever reads a named pipe would take this for the end
                opened.callback(Output(destination, inputs).abort)
