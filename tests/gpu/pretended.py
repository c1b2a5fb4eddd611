"""A device that is none: tensors that say they lie on a GPU, and are computed on the CPU.

Whatever mixes devices fails as it would on a GPU, and copies and reads that would wait for it are noted where they are
made. `python -m tests.gpu.pretended` runs the commands of standard input on it, in a process of its own since torch
forgets no device, and prints for each its exit status and where its steps wait, as JSON. What it cannot show: kernels
that a GPU lacks, torch.func's transforms (which know no such tensors), and what a GPU rounds otherwise.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from gencli.cli import app
from gencli.files import tensors
from gencli.training import devices

NAME = "gpu"
_WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2",
          "aten::repeat_interleave"}  # fmt: skip
_INDEXED = {"aten::index", "aten::_unsafe_index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}
_DATA: Any = torch._C.TensorBase.data
_WHERE: set[str] = set()  # of the steps' waits
_Generator = torch.Generator


class Pretended(torch.Tensor):
    """A tensor whose numbers are those of `numbers`, on the CPU."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=torch.device(NAME, 0),
        )  # fmt: skip
        made.numbers = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    def tolist(self) -> Any:
        _waits()
        return self.numbers.tolist()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.numbers.untyped_storage()

    @property
    def data(self) -> Any:  # type: ignore[override]
        return _DATA.__get__(self)

    @data.setter
    def data(self, value: Pretended) -> None:
        _DATA.__set__(self, value)
        self.numbers = value.numbers


class Factories(TorchDispatchMode):
    """Within, what is made on the device is pretended."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        there = _is_there(kwargs.get("device")) or any(
            isinstance(each, Pretended) for each in tree_leaves((args, kwargs))
        )
        return _computed(func, args, kwargs) if there else func(*args, **kwargs)


class _OnCPU(_Generator):
    """A generator of the device draws on the CPU."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return _Generator.__new__(_Generator, "cpu" if _is_there(device) else device)  # type: ignore[call-arg]


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _plain(each: Any) -> Any:
    if isinstance(each, Pretended):
        return each.numbers
    return torch.device("cpu") if isinstance(each, torch.device) and each.type == NAME else each


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    there = [each for each in given if isinstance(each, Pretended)]
    here = [each for each in given if not isinstance(each, Pretended)]
    name = func._schema.name
    plain, named = tree_map(_plain, args), tree_map(_plain, kwargs)
    if name in ("aten::_to_copy", "aten::copy_"):
        device = kwargs.get("device")
        to = isinstance(args[0], Pretended) if name == "aten::copy_" or device is None else _is_there(device)
        if to != isinstance(given[-1], Pretended) and not (kwargs.get("non_blocking") or args[2:3] == (True,)):
            _waits()
        made = func(*plain, **named)
        return args[0] if name == "aten::copy_" else Pretended(made) if to else made
    if there and (name in _WAITS or (here and name in _INDEXED)):
        _waits()
    mixed = [each for each in here if each.ndim and name not in _INDEXED]
    if there and mixed:
        raise RuntimeError(f"{name}: tensors of two devices, one on the CPU of {list(mixed[0].shape)}")
    made = func(*plain, **named)
    known = {id(each.numbers): each for each in there}  # what an operation in place gives back

    def wrapped(each: Any) -> Any:
        if not isinstance(each, torch.Tensor):
            return each
        return known[id(each)] if id(each) in known else Pretended(each)

    return made if name == "aten::_local_scalar_dense" else tree_map(wrapped, made)


def _waits() -> None:
    """Notes where gencli's code is, if a step is under way."""
    frames = [each for each in traceback.extract_stack() if "/gencli/" in each.filename]
    if any(each.name == "step" and each.filename.endswith("training/steps.py") for each in frames):
        _WHERE.add(f"{frames[-1].filename.rpartition('/gencli/')[2]}: {frames[-1].line}")


def on_the_device(function: Callable[[], Any]) -> Any:
    """What a function gives with the device in place of those that there are."""
    with Factories():
        return function()


def prepare() -> None:
    """Registers the device with torch and makes it the one that commands choose."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)  # type: ignore[attr-defined]
    module: Any = torch.get_device_module(NAME)
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    torch.Generator = _OnCPU  # type: ignore[misc]
    tensors.UNAWAITED.add(NAME)
    devices.choose = lambda name, float64=False: torch.device(NAME)  # type: ignore[assignment]
    devices.precision = lambda name, device: "float32"  # type: ignore[assignment]


def main(commands: list[str]) -> list[dict[str, Any]]:
    """Of each command line its exit status, and where its steps wait."""
    prepare()
    found = []
    for command in commands:
        _WHERE.clear()
        status = on_the_device(lambda command=command: app.main([*command.split(), "-q"]))
        found.append({"command": command, "status": status, "waits": sorted(_WHERE)})
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.stdin.read().splitlines())))
