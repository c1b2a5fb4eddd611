"""Bytes in and bytes out: standard input and output, spooling, hashing, files that appear complete or not at all.

The formats of the bytes are in `tables` and `tensors`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gencli.cli import console, stdout
from gencli.errors import GencliError, MissingInput
from gencli.files import partial, spooling
from gencli.files.seals import Digest

_CHUNK = 1 << 20
_CHECKED_AT_ONCE = 1 << 24  # bytes
_LFS = b"version https://git-lfs.github.com/spec/"


class Input:
    """One file or standard input, opened once, seekable, its SHA-256 computed in parallel with reading.

    Attributes:
        name: its name in messages: the path as it was given, or `standard input`.
        path: None for standard input.
        file: positioned at 0; a pipe was spooled into a temporary file first.
        size: bytes.
        folder: that was given in its place; None where the file itself was.
        whole: whether all files of that folder were asked for.
        sound: whether its seal was checked; see `seals`.
    """

    folder: str | None = None
    whole = False
    sound = False

    def __init__(self, argument: str | None) -> None:
        if argument == "":
            raise GencliError("a file name is empty", "name a file; - is standard input")
        stdout.fill_closed()
        self.path = None if argument in (None, "-") else Path(str(argument))
        self.name = "standard input" if self.path is None else str(argument)
        raw = spooling.standard_input() if self.path is None else spooling.open_path(self.path)
        if raw.isatty():
            raise MissingInput
        _refuse_device(raw, self.name)
        self._digest: Digest | None = None
        self._check: Callable[[], None] | None = None
        if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            self.file = raw
        else:
            self.file, self._digest = spooling.spool(raw, self.name)
        self._opened = self._state()
        self.size = self._opened[0]
        self._hashing = threading.Thread(target=self._hash, daemon=True) if self._digest is None else None
        if self._hashing is not None:
            self._hashing.start()
        if self.starts(_LFS):
            raise GencliError(f"{self.name}: is a Git LFS pointer, not the file", "git lfs pull downloads the file")

    def _hash(self) -> None:
        digest = Digest()
        with contextlib.suppress(OSError):
            while chunk := os.pread(self.file.fileno(), _CHUNK, digest.position):
                digest.update(chunk)
            self._digest = digest

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self.file.fileno())
        return status.st_size, status.st_mtime_ns

    def _hashed(self) -> Digest:
        if self._hashing is not None:
            self._hashing.join()
        if self._digest is None:
            raise GencliError(f"{self.name}: cannot be read to its end", "check the file and the disk")
        return self._digest

    @property
    def sha256(self) -> str:
        """The content's SHA-256 in hexadecimal; waits for the thread that computes it.

        Raises:
            GencliError: the file cannot be read, changed since it was opened, or `check_whole`'s check refuses it.
        """
        digest = self._hashed().hexdigest()
        if self._state() != self._opened:
            raise GencliError(f"{self.name}: changed while it was read", "wait until it is complete, then run again")
        check, self._check = self._check, None
        if check is not None:
            check()
        return digest

    def check_whole(self, check: Callable[[], None]) -> None:
        """Calls `check` once all bytes are hashed: at once where the file is small, otherwise with `sha256`."""
        self._check = check
        if self.size <= _CHECKED_AT_ONCE:
            _ = self.sha256

    def blanked(self, start: int, count: int) -> str:
        """The seal's checksum of the content, `count` bytes from `start` being the digit 0."""
        seen, digest = self._hashed().before(start)
        digest.update(self.peek(seen, start - seen) + b"0" * count)
        position = start + count
        while chunk := self.peek(position, _CHUNK):
            digest.update(chunk)
            position += len(chunk)
        return digest.hexdigest()

    def peek(self, start: int, count: int) -> bytes:
        """At most `count` bytes from `start`; the file's position is unchanged."""
        return os.pread(self.file.fileno(), count, max(0, start))

    def expect(self, kind: str, start: bytes, end: bytes = b"") -> None:
        """Refuses a file that does not start and end like one of this `kind`, with a message that suits pipelines."""
        head = os.pread(self.file.fileno(), len(start), 0)
        if self.size == 0 and self._is_standard_output():
            raise GencliError(
                f"{self.name}: empty: it is also the output, and `>` empties a file before the command runs",
                "write to another file, then rename it; -o detects this mistake",
            )
        if self.size == 0:
            raise GencliError(f"{self.name}: empty, not {kind}", _upstream(self, "wrote nothing"))
        if head != start:
            raise GencliError(f"{self.name}: not {kind} (it starts with {head!r})", f"give a file that is {kind}")
        if self.size < len(start) + len(end) or os.pread(self.file.fileno(), len(end), self.size - len(end)) != end:
            raise GencliError(f"{self.name}: cut short, no {kind} footer", _upstream(self, "did not finish"))

    def _is_standard_output(self) -> bool:
        place = stdout.descriptor()
        return place is not None and self.same_file(os.fstat(place))

    def starts(self, start: bytes, position: int = 0) -> bool:
        """Whether these bytes stand at `position`."""
        return os.pread(self.file.fileno(), len(start), position) == start

    def same_file(self, status: os.stat_result) -> bool:
        """Whether this input is the file of that `status`."""
        return os.path.samestat(os.fstat(self.file.fileno()), status)


def _upstream(source: Input, did: str) -> str:
    return f"the command before it in the pipe {did}" if source.path is None else f"what made it {did}; make it again"


NO_ROOM = "free some space"


def _refuse_device(raw: BinaryIO, name: str) -> None:
    """Of devices the empty one alone can be read to its end."""
    status = os.fstat(raw.fileno())
    device = stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)
    if device and status.st_rdev != os.stat(os.devnull).st_rdev:
        raise GencliError(f"{name}: a device, which may never end", "name a file or pipe one in")


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
    """Bytes on their way to standard output or a file, committed whole or not at all.

    A file is written beside its place, synced and renamed; anything that is no regular file (a pipe, /dev/null), and
    what the shell opened (/dev/fd/3), is written directly. After `mute` nothing more goes out: pyarrow closes a valid
    footer even when a writer fails, and the reader must not take that for the whole table.

    Args:
        destination: a path; `-` or None is standard output.
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
        self.path = None if stdout.is_it(destination) else Path(str(destination))
        self.name = "standard output" if self.path is None else str(destination)
        if binary and is_terminal(destination):
            raise GencliError(f"{self.name}: binary data would be written to the terminal", "name a file or use a pipe")
        if self.path is None:
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
        if stat.S_ISREG(status.st_mode) and any(source.same_file(status) for source in inputs):
            self.abort()
            raise GencliError(f"{self.name}: the output is the input", "write to another file, then rename it")
        if any(other._goes_to(self.path, status) for other in _writing if other is not self):
            self.abort()
            raise GencliError(f"{self.name}: two outputs would be written there", "give them different names")

    def _goes_to(self, path: Path | None, status: os.stat_result) -> bool:
        """Whether this goes to that path, or into the file or pipe of that status."""
        if self._temporary is not None:
            return self.path == path or (self.path is not None and _is_at(self.path, status))
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
        kept = "nothing was kept" if self._temporary is not None else "the output there is incomplete"
        return GencliError(f"{self.name}: {error.strerror}", f"{kept}; {NO_ROOM}")

    @property
    def direct(self) -> bool:
        """Whether bytes leave the process as they are written, and cannot be undone."""
        return self._temporary is None

    def hold(self) -> None:
        """Keeps output to pipes and devices in memory until `finish`."""
        if self.direct:
            self._held = []

    def finish(self) -> None:
        """Writes what was kept, or syncs the file, which gets its name with `commit`.

        Raises:
            GencliError: it cannot be written, or could not get its name.
        """
        held, self._held = self._held, None
        for data in held or ():
            self.write(data)
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
