"""Seals: a file's checksum within the file, so that a corrupt file of ours is never read as another one.

A seal's 32 hexadecimal digits stand where the format keeps words of ours: in a Parquet footer, in a safetensors header.
It is XXH3-128 of the whole file, these digits counted as zeros; other readers of the formats see one word more.
XXH3 detects corruption, not forgery, and takes a tenth of the time of SHA-256 (https://github.com/Cyan4973/xxHash).
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from typing import TYPE_CHECKING

from xxhash import xxh3_128

from gencli.errors import GencliError

if TYPE_CHECKING:
    from gencli.files.stream import Input, Output

KEY = "gencli.seal"
BLANK = "0" * 32
_TABLE = re.compile(rb"gencli\.seal\x18\x20([0-9a-f]{32})")  # Thrift: a string of 32 bytes
_TENSORS = re.compile(rb'.{8}\{"__metadata__":\{"gencli":"\{\\"seal\\":\\"([0-9a-f]{32})\\"', re.DOTALL)
_STATES = 64


class Digest:
    """A SHA-256, and the last states of the seal's checksum, so that blanks near the end need no second pass."""

    def __init__(self) -> None:
        self._sha, self._checksum, self.position = hashlib.sha256(), xxh3_128(), 0
        self._states = deque([(0, self._checksum.copy())], _STATES)

    def update(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes."""
        self._sha.update(chunk)
        self._checksum.update(chunk)
        self.position += len(chunk)
        self._states.append((self.position, self._checksum.copy()))

    def hexdigest(self) -> str:
        """SHA-256 of all bytes so far."""
        return self._sha.hexdigest()

    def before(self, position: int) -> tuple[int, xxh3_128]:
        """A state of the checksum at or before a position, and how many bytes it has seen."""
        known = [(seen, state) for seen, state in self._states if seen <= position]
        seen, state = known[-1] if known else (0, xxh3_128())
        return seen, state.copy()


class Sealing:
    """Bytes on their way to an output; from `hold` on they wait, until `release` fills in the seal among them."""

    closed = False

    def __init__(self, output: Output) -> None:
        self._output, self._checksum = output, xxh3_128()
        self._held: bytearray | None = None

    def write(self, data: bytes) -> int:
        """Takes bytes, as a file does."""
        self._checksum.update(data)
        if self._held is None:
            return self._output.write(data)
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits here but for `release`."""

    def hold(self) -> None:
        """The blank seal comes now."""
        self._held = bytearray()

    def release(self) -> None:
        """Writes what waits, sealed."""
        assert self._held is not None
        _fill(self._output, self._held, _TABLE, self._checksum.hexdigest())


def write_tensors(output: Output, content: bytes) -> None:
    """Writes a safetensors file whose metadata of ours begins with a blank seal, sealed."""
    _fill(output, content, _TENSORS, xxh3_128(content).hexdigest())


def _fill(output: Output, content: bytes | bytearray, pattern: re.Pattern[bytes], seal: str) -> None:
    found = pattern.search(content)
    assert found is not None
    view = memoryview(content)
    for part in (view[: found.start(1)], seal.encode(), view[found.end(1) :]):
        output.write(part)


def place_in_footer(source: Input) -> int | None:
    """Where a Parquet file's seal begins; None where there is none."""
    length = int.from_bytes(source.peek(source.size - 8, 4), "little")
    start = max(0, source.size - 8 - length)
    found = _TABLE.search(source.peek(start, source.size - start))
    return start + found.start(1) if found else None


def place_in_header(source: Input) -> int | None:
    """Where a safetensors file's seal begins; None where there is none."""
    found = _TENSORS.match(source.peek(0, 256))
    return found.start(1) if found else None


def require(source: Input, kind: str, start: int | None, ours: bool) -> None:
    """Refuses a file whose seal, `start` bytes from its beginning, is another's, or missing where the file is `ours`.

    Raises:
        GencliError: it is.
    """
    hint = "make the file again"
    if source.sound:
        return
    if start is None and ours:
        raise GencliError(f"{source.name}: corrupt {kind}: it records its provenance, but has no seal", hint)
    if start is not None and source.peek(start, len(BLANK)).decode("latin1") != source.blanked(start, len(BLANK)):
        raise GencliError(f"{source.name}: not the {kind} that gencli sealed: corrupt, or changed afterwards", hint)
    source.sound = True
