"""Where to compute, and how precisely."""

from __future__ import annotations

import ctypes
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec

import torch
from torch import nn

from gencli.errors import GencliError, first_line, require_enough
from gencli.files.tensors import WITHOUT_FLOAT64
from gencli.training.settings import Precision, Settings

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_BF16 = "avx512_bf16", "amx_bf16", "bf16"  # a CPU's, x86 and ARM


def choose(name: str, float64: bool = False) -> torch.device:
    """The device of this name, `auto` the fastest there is; set up to give the same result every time.

    Args:
        float64: whether it is to compute in that.

    Raises:
        GencliError: this machine has no such device, or the device no such numbers.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in present.items() if there and not (float64 and kind in WITHOUT_FLOAT64))
    if float64 and name in WITHOUT_FLOAT64:
        raise GencliError(f"--device: {name} has no float64", "use --device cpu")
    if not present[name]:
        there = ", ".join(kind for kind, is_there in present.items() if is_there)
        raise GencliError(f"--device: {name} is not available", f"available: {there}")
    if name == "cpu":
        _keep_freed_memory()
    if name == "cuda":  # on a CPU torch's choices repeat themselves already, and the call loads the compiler: 2 s
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself with a fixed workspace
        torch.use_deterministic_algorithms(True)
        # a kernel more for each tensor that is allocated
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return torch.device(name)


def _keep_freed_memory() -> None:
    """Lets glibc keep freed memory, where it would return the pages of every large tensor and request them again.

    Taking them takes up to a fifth of a training step; the most that is held stays the same. Other C libraries and
    other allocators are left as they are.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def precision(name: Precision, device: torch.device) -> Precision:
    """The precision of this name, `auto` the fastest that costs no accuracy; sets tf32 up.

    `auto` is bf16 where the device has instructions for it, otherwise float32: a rule, not a race, so that a machine
    gives the same result every time. Whether a network works in it is `failure`'s to say.

    Raises:
        GencliError: tf32 on a device without it.
    """
    cuda = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    known = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}  # since torch 2.10
    bf16 = cuda or any(known.get(each) for each in _BF16)
    if name == "auto":
        name = "bf16" if bf16 else "float32"
    if name == "tf32" and not cuda:
        raise GencliError(
            f"--precision: tf32 is not available on this {device.type}", f"use {'bf16' if bf16 else 'float32'}"
        )
    if device.type == "cuda":  # where torch's convolutions and recurrent layers take tf32 by default
        wanted = "tf32" if name == "tf32" else "ieee"
        torch.backends.cuda.matmul.fp32_precision = wanted
        torch.backends.cudnn.conv.fp32_precision = wanted  # type: ignore[attr-defined]
        torch.backends.cudnn.rnn.fp32_precision = wanted  # type: ignore[attr-defined]
    return name


def failure(network: nn.Module, shape: tuple[int, int, int], bf16: bool) -> str | None:
    """What torch says where a step of the network, or a pass in evaluation mode, fails in this precision.

    Args:
        network: on its device; its gradients are spent, its batch norm's statistics change.
        shape: height, width and channels of its images.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, shape[2], *shape[:2], generator=generator).to(device, memory_format=torch.channels_last)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            with torch.autocast(device.type, torch.bfloat16, bf16):
                outputs = network.train()(images)
            outputs.float().sum().backward()
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, bf16):
                network.eval()(images)
    except (RuntimeError, TypeError, ValueError) as error:
        require_enough(error)
        return first_line(error)
    finally:
        network.zero_grad()
    return None


def placed(settings: Settings) -> Settings:
    """The settings with the device and the precision that they come to here.

    Raises:
        GencliError: see `choose` and `precision`.
    """
    device = choose(settings.device)
    return replace(settings, device=device.type, precision=precision(settings.precision, device))


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """The same network, its parameters included, that torch.compile translates when it is first called.

    Raises:
        GencliError: there is nothing to compile with.
    """
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise GencliError(
            f"--compile: the C++ compiler {compiler} is not available",
            "install it, name another in CXX, or omit --compile",
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise GencliError("--compile: triton is not available", "install it, or omit --compile")
    return torch.compile(network)  # type: ignore[return-value]
