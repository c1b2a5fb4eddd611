"""Objects of stores and the web as files, of which what is read is fetched, once, into a sparse temporary file."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.stores import Object

_BLOCK = 1 << 14  # bytes
_NEAR = 4  # blocks that are fetched with those around them
_LONGEST = 256  # blocks that are read ahead
_PIECE = 8 << 20  # bytes of a request for the whole
_AT_ONCE = 4  # requests
_LARGE = 64 << 20  # bytes, of which a message tells


class RemoteFile(io.RawIOBase):
    """An object, for reading in parts; asked for a descriptor, it fetches the whole.

    Args:
        name: in messages.
    """

    def __init__(self, found: Object, name: str) -> None:
        self._object, self.name, self.size, self.version = found, name, found.size, found.version
        self._at, self._ahead, self._window = 0, -1, 1
        self._lock = threading.Lock()
        blocks = -(-self.size // _BLOCK)
        self._here, self._lacking = bytearray(blocks), blocks
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # type: ignore[assignment]  # noqa: SIM115
            os.ftruncate(self._file.fileno(), self.size)
        except OSError as error:
            raise self._no_room(error) from None

    @property
    def said(self) -> str:
        """What provenance has of an object that was not read to its end."""
        return f"{self.name}, {self.size} bytes" + (f", version {self.version}" if self.version else "")

    def require_unchanged(self) -> None:
        """Raises GencliError if the object is another than it was when it was opened."""
        self._object.require_unchanged()

    def pread(self, count: int, start: int) -> bytes:
        """At most `count` bytes from `start`; the position is unchanged."""
        stop = min(start + count, self.size)
        if start >= stop:
            return b""
        with self._lock:
            if self._lacking:
                self._require(start // _BLOCK, -(-stop // _BLOCK))
        return os.pread(self._file.fileno(), stop - start, start)

    def fileno(self) -> int:
        return self.whole().fileno()

    def whole(self) -> BinaryIO:
        """The whole object as a file of this machine, at its beginning; what lacks is fetched.

        Raises:
            GencliError: it cannot be, or the object changed.
        """
        with self._lock:
            if self._lacking:
                if self.size > _LARGE:
                    console.message(f"{self.name}: fetching {self.size:,} bytes")
                self._fetch_all(self._gaps(0, len(self._here)))
                self._object.require_unchanged()
        self._file.seek(0)
        return self._file

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetches what lacks of these ranges, each a first byte and one behind the last, several at once."""
        with self._lock:
            blocks = sorted((max(0, start) // _BLOCK, -(-min(stop, self.size) // _BLOCK)) for start, stop in ranges)
            gaps: list[tuple[int, int]] = []
            for start, stop in (gap for each in blocks for gap in self._gaps(*each)):
                if gaps and start <= gaps[-1][1]:
                    gaps[-1] = gaps[-1][0], max(stop, gaps[-1][1])
                else:
                    gaps.append((start, stop))
            self._fetch_all(gaps)

    def _fetch_all(self, gaps: Iterable[tuple[int, int]]) -> None:
        step = _PIECE // _BLOCK
        pieces = [(each, min(each + step, stop)) for start, stop in gaps for each in range(start, stop, step)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for piece, _ in zip(pieces, pool.map(lambda piece: self._fetch(*piece), pieces), strict=True):
                    self._mark(*piece)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _require(self, first: int, last: int) -> None:
        """Fetches these blocks, more where they follow those before."""
        for start, stop in [*self._gaps(first, last)]:
            following = 0 <= start - self._ahead <= _NEAR
            self._window = min(2 * self._window, _LONGEST) if following else 1
            self._ahead = min(max(stop, start + self._window), len(self._here))
            self._fetch(start, self._ahead)
            self._mark(start, self._ahead)

    def _mark(self, first: int, last: int) -> None:
        self._lacking -= self._here.count(0, first, last)
        self._here[first:last] = b"\1" * (last - first)

    def _gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Where blocks lack, from one to another; what lies between near ones is fetched again."""
        start = self._here.find(0, first, last)
        while start >= 0:
            stop = self._here.find(1, start, last)
            while stop >= 0 and (again := self._here.find(0, stop, min(stop + _NEAR, last))) >= 0:
                stop = self._here.find(1, again, last)
            stop = last if stop < 0 else stop
            yield start, stop
            start = self._here.find(0, stop, last)

    def _fetch(self, first: int, last: int) -> None:
        start, stop = first * _BLOCK, min(last * _BLOCK, self.size)
        found = memoryview(self._object.read(start, stop - start))
        try:
            while found:
                written = os.pwrite(self._file.fileno(), found, start)
                found, start = found[written:], start + written
        except OSError as error:
            raise self._no_room(error) from None

    def _no_room(self, error: OSError) -> GencliError:
        where = f"{self.name}: cannot be kept in a temporary file: {error.strerror}"
        return GencliError(where, "free some space, or set TMPDIR to a folder on a larger disk")

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer from where reading is, as a file does; returns how many bytes there were."""
        view = memoryview(buffer).cast("B")
        found = self.pread(len(view), self._at)
        view[: len(found)] = found
        self._at += len(found)
        return len(found)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence])
        return self._at
