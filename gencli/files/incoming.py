"""Bytes in: files, objects of stores and standard input, opened once, hashed while they are read."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from gencli.cli import stdout
from gencli.errors import GencliError, MissingInput
from gencli.files import spooling, stores
from gencli.files.seals import Digest

if TYPE_CHECKING:
    from gencli.files.remote import RemoteFile

_CHUNK = 1 << 20
_CHECKED_AT_ONCE = 1 << 24  # bytes
_LFS = b"version https://git-lfs.github.com/spec/"
_READERS = {".npy": "arrays", ".npz": "arrays", ".pt": "arrays", ".csv": "csv", ".zip": "folder"}  # of gencli data


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
        offset: where the content starts in `file`, which holds more where it is an archive.
        address: of an object of a store or of the web, with its secrets; empty where there is none.
        part: the object where only parts of it are fetched; None where the whole is here.

    Args:
        argument: a path, an address, or `-` or None.
        part: whether an object is to be fetched in parts, as it is read.
    """

    folder: str | None = None
    whole = False
    sound = False
    offset = 0
    address = ""
    part: RemoteFile | None = None

    def __init__(self, argument: str | None, part: bool = False) -> None:
        if argument == "":
            raise GencliError("a file name is empty", "name a file; - is standard input")
        stdout.fill_closed()
        self._digest: Digest | None = None
        self._check: Callable[[], None] | None = None
        self._hashing: threading.Thread | None = None
        if stores.is_address(argument):
            self._open_remote(str(argument), part)
        else:
            self._open_local(argument)
        if self.starts(_LFS):
            raise GencliError(f"{self.name}: is a Git LFS pointer, not the file", "git lfs pull downloads the file")

    def _open_remote(self, address: str, part: bool) -> None:
        from gencli.files.remote import RemoteFile

        self.address, self.name = address, stores.shown(address)
        self.path = Path(self.name.removesuffix("?…").partition("://")[2])
        self.part = RemoteFile(stores.open_object(address), self.name)
        self.file, self.size = cast(BinaryIO, self.part), self.part.size
        if not part:
            self.fetch()

    def fetch(self) -> None:
        """Has the whole here, where it is an object of which only a part would be read."""
        if self.part is not None:
            self.file, self.part = self.part.whole(), None
            self._start()

    def _open_local(self, argument: str | None) -> None:
        self.path = None if argument in (None, "-") else Path(str(argument))
        self.name = "standard input" if self.path is None else str(argument)
        raw = spooling.standard_input() if self.path is None else spooling.open_path(self.path)
        if raw.isatty():
            raise MissingInput
        _refuse_device(raw, self.name)
        if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            self.file = raw
        else:
            self.file, self._digest = spooling.spool(raw, self.name)
        self._start()

    def _start(self) -> None:
        self._opened = self._state()
        self.size = self._opened[0]
        if self._digest is None:
            self._hashing = threading.Thread(target=self._hash, daemon=True)
            self._hashing.start()

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
        self.fetch()
        digest = self._hashed().hexdigest()
        if self._state() != self._opened:
            raise GencliError(f"{self.name}: changed while it was read", "wait until it is complete, then run again")
        check, self._check = self._check, None
        if check is not None:
            check()
        return digest

    def settle(self) -> None:
        """Refuses what was read, where the file is corrupt as a whole, or changed since it was opened.

        Raises:
            GencliError: it is.
        """
        if self.part is not None:
            self.part.require_unchanged()
        else:
            _ = self.sha256

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
        if self.part is not None:
            return self.part.pread(count, max(0, start))
        return os.pread(self.file.fileno(), count, max(0, start))

    def expect(self, kind: str, start: bytes, end: bytes = b"") -> None:
        """Refuses a file that does not start and end like one of this `kind`, with a message that suits pipelines."""
        head = self.peek(0, len(start))
        if self.size == 0 and self._is_standard_output():
            raise GencliError(
                f"{self.name}: empty: it is also the output, and `>` empties a file before the command runs",
                "write to another file, then rename it; -o detects this mistake",
            )
        if self.size == 0:
            raise GencliError(f"{self.name}: empty, not {kind}", _upstream(self, "wrote nothing"))
        if head != start:
            raise GencliError(f"{self.name}: not {kind} (it starts with {head!r})", self._hint(kind))
        if self.size < len(start) + len(end) or self.peek(self.size - len(end), len(end)) != end:
            raise GencliError(f"{self.name}: cut short, no {kind} footer", _upstream(self, "did not finish"))

    def _hint(self, kind: str) -> str:
        """What to do about a file that is not of the kind: which command makes an image table of it, if one does."""
        hint, reader = f"give a file that is {kind}", _READERS.get(os.path.splitext(self.name)[1].lower())
        if not kind.startswith("Parquet"):
            return hint
        if self.path is None and (form := os.environ.get("GENCLI_FORMAT", "parquet")) != "parquet":
            return f"GENCLI_FORMAT={form} writes no Parquet into pipes; give the command before it --format parquet"
        if self.peek(8, 2) == b'{"':  # after a length, JSON
            return f"it is safetensors, such as a model; {hint}"
        return f"{hint}; gencli data {reader} makes an image table of images" if reader else hint

    def _is_standard_output(self) -> bool:
        place = stdout.descriptor()
        return place is not None and self.same_file(os.fstat(place))

    def starts(self, start: bytes, position: int = 0) -> bool:
        """Whether these bytes stand at `position`."""
        return self.peek(position, len(start)) == start

    def same_file(self, status: os.stat_result) -> bool:
        """Whether this input is the file of that `status`."""
        return not self.address and os.path.samestat(os.fstat(self.file.fileno()), status)


def _upstream(source: Input, did: str) -> str:
    return f"the command before it in the pipe {did}" if source.path is None else f"what made it {did}; make it again"


def _refuse_device(raw: BinaryIO, name: str) -> None:
    """Of devices the empty one alone can be read to its end."""
    status = os.fstat(raw.fileno())
    device = stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)
    if device and status.st_rdev != os.stat(os.devnull).st_rdev:
        raise GencliError(f"{name}: a device, which may never end", "name a file or pipe one in")
