"""A step of circulant layers, by FFT, against one of dense layers of the same width."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from gencli.models import build
from tests.benchmarks.measure import THREADS, Row, in_turns, timed

_SHAPE, _ROWS, _DEPTH = (32, 32, 3), 128, 3


def _step(network: nn.Module, images: torch.Tensor) -> None:
    network(images).sum().backward()


def run(folder: Path) -> Iterator[Row]:
    torch.set_num_threads(int(THREADS))
    images = torch.randn(_ROWS, 3, 32, 32)
    for width, bar in ((512, None), (1024, 1.0), (2048, 1.0)):
        archs = f"circulant-mlp-{_DEPTH}x{width}", f"mlp-{_DEPTH}x{width}"
        ours, dense = in_turns([timed(partial(_step, build(each, _SHAPE, 10), images)) for each in archs], 5)
        yield Row(f"circulant-mlp-{_DEPTH}x{width}, forward and backward / mlp-{_DEPTH}x{width}", ours, dense, bar)
