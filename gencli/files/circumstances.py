"""What bears on the bytes of a result beside the command: the processor's instructions that libraries chose, Python,
how torch was built, the GPU, the source of a network of the user's own, and gencli's where it is no released version.
Nothing of when or where.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import gencli
from gencli import strangers

# commands to which numpy gives the same bytes with fewer of the processor's instructions (measured): they have it
# compute with integers, or with floats that are rounded to them; `corrupt common` takes exponentials and powers
_WHOLE = re.compile(r"data |corrupt (?!common)|report$|train$|fit ")


_LIMITS = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # of instructions


def facts(command: str, packages: Sequence[str], device: str | None) -> dict[str, str]:
    """The facts that bear on a command's results with these packages, which are loaded, on this device."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    if source := _source():
        found["source"] = source
    if "numpy" in packages and not _WHOLE.match(command):
        found["numpy cpu"] = _of_numpy()
    if "torch" in packages:
        found |= _of_torch(device)
    for name, module in strangers.loaded().items():
        found |= {name: sha256} if (sha256 := _of_module(module)) else {}
    return found


@functools.cache
def _of_module(module: ModuleType) -> str:
    """The SHA-256 of a module's file, or of all that its package has: helpers change results too. Empty for none."""
    top = sys.modules[module.__name__.partition(".")[0]]
    if hasattr(top, "__path__"):
        return _of_folders(*top.__path__)
    file = getattr(top, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _of_folders(*tops: str) -> str:
    """The SHA-256 of the modules in folders, with their names."""
    digest = hashlib.sha256()
    for top in tops:
        for path in sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names):
            if path.endswith(".py"):  # as quick as it can be: 3 ms
                with open(path, "rb", buffering=0) as file:
                    digest.update(f"{os.path.relpath(path, top)}\0".encode() + file.readall())
    return digest.hexdigest()


def _of_torch(device: str | None) -> dict[str, str]:
    torch: Any = import_module("torch")
    found = {"torch cpu": torch.backends.cpu.get_cpu_capability(), "torch build": _build(torch.__config__.show())}
    found |= {name: os.environ[name] for name in _LIMITS if os.environ.get(name)}
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _of_numpy() -> str:
    """The largest set of instructions that it has code for, and the processor."""
    umath: Any = import_module("numpy._core._multiarray_umath")
    wanted = [*umath.__cpu_baseline__, *umath.__cpu_dispatch__]
    return next((name for name in reversed(wanted) if umath.__cpu_features__.get(name)), "")


def _build(words: str) -> str:
    """The commit, and the libraries that torch computes with."""
    parts = {
        "commit": r"COMMIT_SHA=(\w{12})",
        "blas": r"BLAS_INFO=(\w+)",
        "mkl": r"Math Kernel Library Version ([\w.]+)",
        "onednn": r"MKL-DNN v([\w.]+)",
    }
    known = {name: re.search(pattern, words) for name, pattern in parts.items()}
    return ", ".join(f"{name} {found[1]}" for name, found in known.items() if found)


@functools.cache
def _source() -> str:
    """The start of a SHA-256 of gencli's own modules; empty for a released version, which its number tells."""
    try:
        installed = metadata.distribution("gencli")
        if installed.read_text("direct_url.json") is None and installed.files is not None:  # from an index, see PEP 610
            return ""
    except metadata.PackageNotFoundError:
        pass
    return _of_folders(os.path.dirname(gencli.__file__))[:12]
