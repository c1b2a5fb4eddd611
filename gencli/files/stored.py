"""Tensors as a safetensors file stores them: its header, checked, and their numbers in parts, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Input

_HEADER = 16 << 20  # bytes that any header may have, and beyond that as many as the tensors
_LONGEST_HEADER = 100_000_000  # the format's own limit
_HINT = "make the file again"
PART = 1 << 19  # values that are measured at a time
_SHORT = {"F": "float", "I": "int", "U": "uint"}
_NUMPY = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
    "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8",
}  # fmt: skip
_BITS = {"BF16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4}
_BITS |= {name: 8 * np.dtype(kind).itemsize for name, kind in _NUMPY.items()}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Attributes:
        kind: its type, as the format calls it.
        start: of its bytes in the file.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> str:
        """Its type, as numpy and torch call it; the format's own name where they have none."""
        if self.kind in ("BOOL", "BF16", "C64"):
            return {"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64"}[self.kind]
        known = self.kind in _NUMPY
        return f"{_SHORT[self.kind[0]]}{self.kind[1:]}" if known else self.kind.lower()

    @property
    def readable(self) -> bool:
        """Whether a value is a whole number of bytes, and so can be read here."""
        return _BITS[self.kind] % 8 == 0

    def values(self, source: Input, first: int = 0, count: int | None = None) -> NDArray[Any]:
        """At most `count` values from `first`, in row-major order, [n]; types that numpy lacks as float32, exactly.

        Raises:
            GencliError: the file ends before.
        """
        count = min(self.size - first, self.size if count is None else count)
        width = _BITS[self.kind] // 8
        content = source.peek(self.start + first * width, count * width)
        if len(content) != count * width:
            raise GencliError(f"{source.name}: changed while it was read", _HINT)
        if self.kind == "BF16":
            return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
        if self.kind in _NUMPY:
            return np.frombuffer(content, _NUMPY[self.kind])
        return _eight_bits(self.kind)[np.frombuffer(content, np.uint8)]


def _eight_bits(kind: str) -> NDArray[np.float32]:
    """[256] the values of floats of 8 bits (OCP 8-bit floating point specification 1.0; OCP microscaling 1.0, E8M0)."""
    codes = np.arange(256)
    if kind == "F8_E8M0":
        return np.where(codes == 255, np.nan, 2.0 ** (codes - 127.0)).astype(np.float32)
    digits, bias = (2, 15) if kind == "F8_E5M2" else (3, 7)
    exponent, fraction = codes >> digits & (1 << 7 - digits) - 1, codes & (1 << digits) - 1
    whole = np.where(exponent > 0, 1 + fraction / (1 << digits), fraction / (1 << digits))
    values = whole * 2.0 ** (np.maximum(exponent, 1) - bias)
    if kind == "F8_E5M2":
        values = np.where(exponent == 31, np.where(fraction == 0, np.inf, np.nan), values)
    else:
        values = np.where(codes & 127 == 127, np.nan, values)
    return np.where(codes >= 128, -values, values).astype(np.float32)


def header(source: Input, hint: str = _HINT) -> tuple[dict[str, Any], int]:
    """What stands before the tensors: their types, shapes and places, and the metadata; and its length in bytes.

    Raises:
        GencliError: not safetensors, or cut short.
    """
    if source.size == 0:
        source.expect("safetensors", b"{")
    for start, kind in ((b"PAR1", "a table"), (b"PARE", "encrypted Parquet")):
        if source.starts(start):
            raise GencliError(f"{source.name}: {kind}, not safetensors", hint)
    length = int.from_bytes(source.peek(0, 8), "little")
    try:
        if not 2 <= length <= min(source.size - 8, _LONGEST_HEADER):
            raise ValueError("no header of that length")
        if length > max(_HEADER, source.size - 8 - length):
            what = f"a header of {length:,} bytes before {source.size - 8 - length:,} of tensors"
            raise GencliError(f"{source.name}: {what}", hint)
        found = provenance.parse(source.peek(8, length))
        tensors = [entry for name, entry in found.items() if name != "__metadata__"]
        end = max((entry["data_offsets"][1] for entry in tensors), default=0)
        if any(math.prod(side or 1 for side in entry["shape"]) >= 1 << 63 for entry in tensors):
            raise ValueError("a shape that no tensor has")
        cut = 8 + length + end != source.size
    except (ValueError, KeyError, TypeError, IndexError):
        raise GencliError(f"{source.name}: not safetensors, or cut short", hint) from None
    if cut:
        raise GencliError(f"{source.name}: cut short: {source.size} bytes are too few for its tensors", hint)
    return found, length


def tensors(source: Input) -> tuple[list[Stored], dict[str, str]]:
    """The tensors in the order of their bytes, which they fill without gap, and the file's own metadata.

    Raises:
        GencliError: not safetensors, cut short, or tensors that are not what their bytes can be.
    """
    found, length = header(source)
    metadata = found.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
        raise GencliError(f"{source.name}: not safetensors: metadata that is not text", _HINT)
    try:
        entries = sorted((_entry(name, entry) for name, entry in found.items()), key=lambda each: each[:2])
    except (ValueError, KeyError, TypeError) as error:
        raise GencliError(f"{source.name}: not safetensors: {console.printable(str(error), 200)}", _HINT) from None
    known, at = [], 0
    for start, end, kind, shape, name in entries:
        if start != at or (end - start) * 8 != math.prod(shape) * _BITS[kind]:
            what = console.printable(f"tensor {name!r} is not the bytes from {start} to {end}", 200)
            raise GencliError(f"{source.name}: not safetensors: {what}", _HINT)
        known.append(Stored(name, kind, shape, 8 + length + start))
        at = end
    return known, metadata


def _entry(name: str, entry: Any) -> tuple[int, int, str, tuple[int, ...], str]:
    kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = [*shape, start, end]
    if kind not in _BITS or not all(type(each) is int and each >= 0 for each in numbers) or len(shape) > 64:
        raise ValueError(f"tensor {name!r} has an unknown type or shape")
    return start, end, kind, tuple(shape), name


@dataclass
class Moments:
    """Of the values of a tensor: the 2-norm, the least and the greatest, and how many are not finite."""

    norm: float
    least: float
    greatest: float
    not_finite: int


def parts(tensors: list[Stored]) -> Iterator[tuple[int, int]]:
    """Of all readable tensors, by number, the first values of the parts that are measured at a time."""
    for number, each in enumerate(tensors):
        if each.readable:
            yield from ((number, first) for first in range(0, each.size, PART))


Part = tuple[float, float, float, float, int]  # a scale, Σ(x/scale)², least, greatest, not finite


def measured(source: Input, tensor: Stored, first: int) -> Part:
    """A part of a tensor, in float64."""
    values = tensor.values(source, first, PART)
    if values.dtype.kind == "c":
        values = values.view(np.float32)
    wide = values.astype(np.float64)
    bad = 0 if values.dtype.kind in "iub" else int(len(wide) - np.isfinite(wide).sum())
    least, greatest = float(wide.min()), float(wide.max())
    scale = max(-least, greatest)
    if math.isfinite(scale) and not 1e-140 < scale < 1e140:  # its square would leave float64
        wide /= scale or 1.0
    else:
        scale = 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        return scale, float(wide @ wide), least, greatest, bad


def moments(found: list[Part]) -> Moments:
    """Of a tensor's parts (LAPACK's way with scales: Blue 1978, ACM TOMS 4, 15)."""
    scales, squares, least, greatest, bad = np.array(found).T
    scale = float(scales.max()) or 1.0
    norm = scale * math.sqrt(float(np.sum(squares * (scales / scale) ** 2)))
    return Moments(norm, float(least.min()), float(greatest.max()), int(bad.sum()))
