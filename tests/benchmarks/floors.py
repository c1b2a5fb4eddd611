"""What the machine can do at most: the floors under all other figures. No peer, no bar; warm, the best of several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from tests.benchmarks.measure import THREADS, Row, in_turns, timed

_BYTES = 256 << 20
_SIDE = 2048
_BATCH, _CHANNELS, _IMAGE, _KERNEL = 64, 64, 32, 3


def run(folder: Path) -> Iterator[Row]:
    torch.set_num_threads(int(THREADS))
    data = np.random.default_rng(0).integers(0, 256, _BYTES, np.uint8)
    room, path = np.empty_like(data), folder / "floor"

    def write() -> None:
        with open(path, "wb", buffering=0) as file:
            file.write(data.data)
            os.fsync(file.fileno())

    def read() -> None:
        with open(path, "rb", buffering=0) as file:
            file.readinto(room.data)

    def row(item: str, call: Callable[[], object], amount: float, unit: str) -> Row:
        call()
        return Row(item, amount / in_turns([timed(call)], 7)[0] / 1e9, unit=unit)

    yield row("memory copy of 256 MiB by numpy, bytes copied", lambda: np.copyto(room, data), _BYTES, "GB/s")
    yield row("file of 256 MiB written and synced", write, _BYTES, "GB/s")
    yield row("the same file read from the page cache", read, _BYTES, "GB/s")
    one, other = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    yield row(f"matrix product, {_SIDE}³, float32, {THREADS} threads", lambda: one @ other, 2 * _SIDE**3, "GFLOP/s")
    images = torch.rand(_BATCH, _CHANNELS, _IMAGE, _IMAGE)
    kernel = torch.rand(_CHANNELS, _CHANNELS, _KERNEL, _KERNEL)
    work = 2 * images.numel() * _CHANNELS * _KERNEL**2
    convolution = partial(functional.conv2d, images, kernel, padding=1)
    yield row(f"convolution 3×3, 64→64, 64 images 32×32, float32, {THREADS} threads", convolution, work, "GFLOP/s")
