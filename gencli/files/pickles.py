"""The arrays in what torch.save wrote, without unpickling: opcodes are read as data, and no name is ever looked up.

The stack machine knows the few names by which torch and NumPy spell tensors and arrays; any other is refused. What it
makes are Python's own containers and numpy arrays of checked sizes.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPCODES = 1 << 22  # that a file may have
_STORAGES = {
    "Byte": "u1", "Char": "i1", "Short": "i2", "Int": "i4", "Long": "i8", "Bool": "?", "Half": "f2", "Float": "f4",
    "Double": "f8",
}  # fmt: skip
_TENSOR, _PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
_ARRAYS = {f"{package}.multiarray._reconstruct" for package in ("numpy.core", "numpy._core")}
_DTYPE, _ENCODE, _ORDERED = "numpy.dtype", "_codecs.encode", "collections.OrderedDict"
_KNOWN = {_TENSOR, _PARAMETER, *_ARRAYS, _DTYPE, _ENCODE, _ORDERED, "numpy.ndarray"}
_FREE = ("NONE", "NEWTRUE", "NEWFALSE")
_VALUES = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8",
)  # fmt: skip


@dataclass(frozen=True)
class _Name:
    """A name in a pickle; never imported."""

    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: np.dtype[Any]
    key: str
    count: int


@dataclass
class _Made:
    """A dtype or array whose state comes later."""

    what: str
    value: Any = None


_MARK = object()


def read(member: Callable[[str], bytes], name: str) -> dict[str, NDArray[Any]]:
    """The tensors and arrays that a .pt holds: one, called "", those of a dictionary by name, or a tuple's as 0, 1, …

    Args:
        member: the content of a file in the archive.
        name: that of the pickle.

    Raises:
        ValueError: it holds something else, or names code that is not torch's or NumPy's way to spell arrays.
    """
    folder = name.removesuffix("data.pkl")
    try:
        big = member(f"{folder}byteorder") == b"big"
    except ValueError:  # which older ones do not say
        big = False
    found = _Machine(lambda key: member(f"{folder}data/{key}"), big).run(member(name))
    if isinstance(found, list | tuple) and any(isinstance(each, np.ndarray | _Made) for each in found):
        found = {str(place): each for place, each in enumerate(found)}
    named = found if isinstance(found, dict) else {"": found}
    arrays = {}
    for key, stated in named.items():
        value = stated.value if isinstance(stated, _Made) else stated
        if isinstance(value, list | tuple) and value and all(type(each) is int for each in value):
            value = np.array(value, np.int64)
        if isinstance(value, np.ndarray) and isinstance(key, str):
            arrays[key] = value
    return arrays


class _Machine:
    """Runs the opcodes of one pickle."""

    def __init__(self, storage: Callable[[str], bytes], big: bool) -> None:
        self._storage, self._big = storage, big
        self._read: dict[str, bytes] = {}
        self._encoded: dict[str, bytes] = {}  # each text once, however often it is named
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        """What the pickle describes."""
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
                if count > _OPCODES:
                    raise ValueError("too many values")
                if opcode.name == "STOP":
                    [found] = self._stack
                    return found
                self._step(opcode.name, argument)
        except (IndexError, TypeError, AttributeError, UnicodeError) as error:
            raise ValueError(f"a pickle of another form than torch writes: {error}") from None
        raise ValueError("a pickle without an end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _VALUES:
            stack.append(argument)
        elif name in _FREE:
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise ValueError("a pickle that names what it lacks")
            stack.append(self._memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self._popped(int(name[-1]))))
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name in ("APPEND", "APPENDS"):
            values = self._marked() if name == "APPENDS" else self._popped(1)
            self._top(list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = self._marked() if name == "SETITEMS" else self._popped(2)
            self._top(dict).update(zip(values[::2], values[1::2], strict=True))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            words = self._popped(2) if name == "STACK_GLOBAL" else argument.split(" ")
            stack.append(_known(".".join(words)))
        elif name == "BINPERSID":
            stack.append(_stored(stack.pop()))
        elif name == "REDUCE":
            function, values = self._popped(2)
            stack.append(self._called(function.name, values))
        elif name == "BUILD":
            made, state = self._popped(2)
            self._built(made, state)
            stack.append(made)
        else:
            raise ValueError(f"a pickle with {name}, which numbers do not need")

    def _popped(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError("a pickle that takes more than it holds")
        found = self._stack[-count:]
        del self._stack[-count:]
        return found

    def _marked(self) -> list[Any]:
        found: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            found.append(value)
        return found[::-1]

    def _top(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise ValueError(f"a pickle that fills what is no {kind.__name__}")
        return self._stack[-1]

    def _called(self, name: str, values: Any) -> Any:
        if name == _ORDERED and values == ():
            return {}
        if name == _ENCODE:
            text, code = values
            if code not in ("latin1", "latin-1"):
                raise ValueError(f"a pickle of bytes in {code!r:.40}")
            if text not in self._encoded:
                self._encoded[text] = text.encode("latin-1")
            return self._encoded[text]
        if name in _ARRAYS:
            return _Made("array")
        if name == _DTYPE:
            return _Made("dtype", _numbers(values[0]))
        if name == _PARAMETER:
            return values[0]
        if name == _TENSOR:
            return self._tensor(*values[:4])
        raise ValueError(f"a pickle that calls {name}")

    def _tensor(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
        """A view of a storage, which may not reach beyond it, nor be larger."""
        if storage.key not in self._read:
            self._read[storage.key] = self._storage(storage.key)
        flat = np.frombuffer(self._read[storage.key], storage.dtype.newbyteorder(">" if self._big else "<"))
        numbers = [offset, *shape, *strides]
        if any(type(each) is not int or each < 0 for each in numbers) or len(shape) != len(strides):
            raise ValueError("a tensor with a shape or strides that cannot be")
        size = math.prod(shape)
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides))
        if len(flat) != storage.count or size > len(flat) or (size and last >= len(flat)):
            raise ValueError(f"a tensor of {size:,} values in a storage of {len(flat):,}")
        if not size:
            return np.empty(shape, flat.dtype)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, [stride * flat.itemsize for stride in strides])

    def _built(self, made: Any, state: Any) -> None:
        if isinstance(made, dict):
            return  # an ordered dictionary's attributes, which torch gives versions in
        if not isinstance(made, _Made):
            raise ValueError("a pickle that sets what is no array")
        if made.what == "dtype":
            order = state[1]
            if order not in ("<", ">", "|", "=") or any(each is not None for each in state[2:5]):
                raise ValueError("a dtype of parts")
            made.value = made.value if order in "|=" else made.value.newbyteorder(order)
            return
        _, shape, dtype, fortran, content = state
        if not (isinstance(dtype, _Made) and dtype.what == "dtype" and isinstance(content, bytes)):
            raise ValueError("an array of Python objects, which are never unpickled")
        if any(type(side) is not int or side < 0 for side in shape):
            raise ValueError(f"an array of the shape {shape!r:.60}")
        if math.prod(shape) * dtype.value.itemsize != len(content):
            raise ValueError(f"an array of {math.prod(shape):,} values in {len(content):,} bytes")
        made.value = np.ndarray(tuple(shape), dtype.value, content, order="F" if fortran else "C")


def _known(name: str) -> _Name:
    if name in _KNOWN or _kind(name) is not None:
        return _Name(name)
    raise ValueError(f"its pickle names {name[:80]!r}, which is code and is never run")


def _kind(name: str) -> str | None:
    """The dtype of a storage's class."""
    package, _, word = name.rpartition(".")
    return _STORAGES.get(word.removesuffix("Storage")) if package == "torch" and word.endswith("Storage") else None


def _stored(value: Any) -> _Storage:
    word, kind, key, _, count = value
    if word != "storage" or not isinstance(kind, _Name) or not isinstance(key, str) or not key.isalnum():
        raise ValueError("a storage of another form than torch writes")
    dtype = _kind(kind.name)
    if dtype is None or type(count) is not int:
        raise ValueError("a storage of another form than torch writes")
    return _Storage(np.dtype(dtype), key, count)


def _numbers(word: Any) -> np.dtype[Any]:
    if not isinstance(word, str) or word not in ("b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)),
                                                 "f2", "f4", "f8"):  # fmt: skip
        raise ValueError(f"an array of {word!r:.40}, not of numbers")
    return np.dtype(word)
