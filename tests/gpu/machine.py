"""What machine this is, and how fast its device is at what networks do most."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from statistics import median

import torch

from tests.gpu.parts import Row, Setting

_LIBRARIES = ("torch", "numpy", "pyarrow", "safetensors", "typer", "rich", "scikit-learn", "scipy", "matplotlib")
_LIBRARIES += ("plotext", "torchvision", "triton", "duckdb", "curvlinops-for-pytorch")


def wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str, rounds: int = 5, warm: int = 2) -> float:
    """The median time of a call, the device's work included."""
    times = []
    for number in range(warm + rounds):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        if number >= warm:
            times.append(time.perf_counter() - start)
    return median(times)


def peak(setting: Setting) -> float:
    """Operations a second of a large product in bf16."""
    side = setting.size(8192, 256)
    a, b = (torch.randn(side, side, device=setting.device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, setting.device, rounds=10, warm=3)


def machine(setting: Setting) -> Iterator[Row]:
    yield Row("python", platform.python_version())
    for name in _LIBRARIES:
        try:
            yield Row(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Row(name, "not installed")
    yield Row("C compiler, which triton needs", shutil.which(os.environ.get("CC", "")) or shutil.which("cc")
              or shutil.which("gcc") or "not installed")  # fmt: skip
    if setting.device == "cuda":
        found = torch.cuda.get_device_properties(0)
        yield Row("card", found.name)
        yield Row("memory of the card", found.total_memory / 1e9, "GB")
        yield Row("CUDA of torch", torch.version.cuda)
        yield Row("cuDNN", str(torch.backends.cudnn.version()))
    yield Row("threads of the CPU", torch.get_num_threads())
    yield Row(f"bf16 product, {setting.size(8192, 256)} a side", peak(setting) / 1e12, "TFLOP/s")
    values = torch.zeros(setting.size(1 << 28, 1 << 18), device=setting.device)
    took = seconds(lambda: values.add_(1), setting.device)
    yield Row("memory, read and written", 2 * values.nbytes / took / 1e9, "GB/s")
