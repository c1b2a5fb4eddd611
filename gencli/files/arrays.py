"""Arrays of other tools' files: .npy, .npz and .pt. Nothing is unpickled, and sizes are checked before reading."""

from __future__ import annotations

import math
import mmap
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gencli import machine
from gencli.counts import by
from gencli.errors import GencliError, first_line
from gencli.files import pickles
from gencli.files.stream import Input

FORMATS = "NumPy's .npy or .npz, or PyTorch's .pt"
_AGAIN = "save it again, as numbers without Python objects"
_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save began with
_KINDS = "biuf"  # truths, whole numbers and floats
_HEADER = 1 << 16  # bytes
_ANY, _A_BYTE = 64 << 20, 256  # bytes that any member of an archive may unpack to, and each packed byte of a larger one


def is_arrays(source: Input) -> bool:
    """Whether it starts as .npy, .npz or .pt do."""
    return source.starts(b"\x93NUMPY") or source.starts(b"PK\x03\x04") or source.starts(b"PK\x05\x06")


def read(source: Input) -> dict[str, NDArray[Any]]:
    """The arrays of truths and numbers in a file by their names, that of .npy and a .pt of one tensor being "".

    Those of .npy are mapped, all others are read into memory, checksums included. Arrays of other kinds in an archive
    are left out.

    Raises:
        GencliError: none of these formats, cut short, corrupt, of Python objects, or more than fits in memory.
    """
    if source.starts(b"\x93NUMPY"):
        with _sound(source.name):
            try:
                return {"": _mapped(source)}
            except _NotNumbersError as error:
                raise GencliError(f"{source.name}: {error}", "save numbers, labels as class numbers from 0") from None
    if not is_arrays(source):
        head = source.peek(0, 8)
        old = ", but one of torch before 1.6: torch.save it again" if source.starts(_OLD) else ""
        old = old or (", but a pickle: save its arrays with numpy.savez" if head[:1] == b"\x80" else "")
        raise GencliError(
            f"{source.name}: not {FORMATS} (it starts with {head!r}){old}", f"give a file that is {FORMATS}"
        )
    with _sound(source.name), zipfile.ZipFile(source.file) as archive:
        members = {each.filename: each for each in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ValueError("two members have one name")
        pickled = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
        if len(pickled) == 1:
            found = pickles.read(lambda name: _member(archive, members, name, source), pickled[0])
        else:
            found = {
                name.removesuffix(".npy"): _unpacked(_member(archive, members, name, source), f"member {name!r}")
                for name in members
                if name.endswith(".npy")
            }
    found = {name: array for name, array in found.items() if array.dtype.kind in _KINDS}
    if not found:
        raise GencliError(f"{source.name}: no arrays of numbers", _AGAIN)
    return found


class _NotNumbersError(ValueError):
    """An array that is whole, but of words, times or the like."""


@contextmanager
def _sound(name: str) -> Iterator[None]:
    """Reading within: says that this file is corrupt."""
    try:
        yield
    except (ValueError, OSError, EOFError, OverflowError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError,
            RuntimeError, SyntaxError, MemoryError, tokenize.TokenError) as error:  # fmt: skip
        raise GencliError(f"{name}: corrupt: {first_line(error)}", _AGAIN) from None


def _header(file: BinaryIO, size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and dtype of .npy; the file of that size then stands at the values."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"{where}: .npy of version {version[0]}.{version[1]}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=_HEADER)
    if dtype.hasobject:
        raise ValueError(f"{where}: it holds Python objects, which are never unpickled")
    if dtype.kind not in _KINDS:
        raise _NotNumbersError(f"it holds {dtype}, not numbers")
    if any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"{where}: its header has the shape {shape}")
    need, have = math.prod(shape) * dtype.itemsize, size - file.tell()
    if need != have:
        raise ValueError(f"{where}: {by(shape)} {dtype} takes {need:,} bytes, but {have:,} follow its header")
    return shape, fortran, dtype


def _mapped(source: Input) -> NDArray[Any]:
    source.file.seek(source.offset)
    end = source.offset + source.size
    shape, fortran, dtype = _header(source.file, end, "its header")
    if not math.prod(shape):
        return np.empty(shape, dtype)
    content = mmap.mmap(source.file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(content) < end:
        raise GencliError(f"{source.name}: changed while it was read", "wait until it is complete, then run again")
    return _array(np.frombuffer(content, np.uint8)[source.file.tell() : end], shape, fortran, dtype)


def _array(content: NDArray[np.uint8], shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ndarray(shape, dtype, content.data, order="F" if fortran else "C")


def _unpacked(content: bytes, where: str) -> NDArray[Any]:
    """The array of a whole .npy; one of words where it is of another kind, which is left out."""
    import io

    file = io.BytesIO(content)
    try:
        shape, fortran, dtype = _header(file, len(content), where)
    except _NotNumbersError:
        return np.empty(0, "U1")
    return _array(np.frombuffer(content, np.uint8)[file.tell() :], shape, fortran, dtype)


def _member(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, source: Input) -> bytes:
    """A member's content, whose checksum is right."""
    if name not in members:
        raise ValueError(f"no member {name!r}")
    return unpack(archive, members[name], source.name)


def unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, title: str) -> bytes:
    """The content of a member of a zip.

    Raises:
        GencliError: far more bytes than are packed, or than fit in memory.
        ValueError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError: encrypted or corrupt.
    """
    where = f"{title}: member {member.filename!r}"
    if member.flag_bits & 1:
        raise ValueError(f"member {member.filename!r} is encrypted")
    if member.file_size > most_unpacked(member.compress_size):
        raise GencliError(
            f"{where}: {member.file_size:,} bytes packed in {member.compress_size:,}",
            "save it without compression; or it was crafted to exhaust memory",
        )
    machine.require_memory(2 * member.file_size, where, "use smaller files")
    with archive.open(member) as file:
        content = file.read(member.file_size)
        if len(content) != member.file_size or file.read(1):
            raise ValueError(f"member {member.filename!r} is not of {member.file_size:,} bytes")
    return content


def most_unpacked(packed: int) -> int:
    """The bytes that so many packed ones may hold."""
    return max(_ANY, _A_BYTE * packed)
