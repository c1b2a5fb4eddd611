"""Evaluation of a table, with all that it measures, against a bare forward pass over whitened tensors in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gencli.evaluation.classes import per_class
from gencli.evaluation.networks import tally
from gencli.evaluation.predictions import batch_size
from gencli.evaluation.tallies import Tally
from gencli.files.tables import Description, MemoryTable
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, build
from gencli.models.inputs import load
from gencli.ranks import ALONE
from gencli.training import devices
from tests.benchmarks.measure import THREADS, Row, in_turns, timed

_SHAPE, _CLASSES = (32, 32, 3), tuple("0123456789")


@torch.no_grad()
def _bare(model: Model, images: torch.Tensor) -> None:
    for part in images.split(batch_size(model.network)):
        model.network(part).argmax(1)


def run(folder: Path) -> Iterator[Row]:
    torch.set_num_threads(int(THREADS))
    cpu = devices.choose("cpu")  # as the command does
    random = np.random.default_rng(0)
    description = Description("bench", "test", _CLASSES, _SHAPE)
    for arch, rows in (("mlp-1x512", 50_000), ("alexnet-small", 2500), ("resnet18", 250)):
        pixels = random.integers(0, 256, (rows, *_SHAPE), np.uint8)
        table = MemoryTable("bench", description, pixels, random.integers(0, 10, rows))
        network = build(arch, _SHAPE, len(_CLASSES)).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        model = Model(arch, _SHAPE, _CLASSES, network)
        images = torch.cat([model.preprocessing(part) for part in load(table).images.split(250)])

        def ours(model: Model = model, table: MemoryTable = table) -> None:
            (found,) = tally(
                [model], table, cpu, lambda done: None, (), [(CrossEntropy(), 1)], ALONE, lambda _: Tally(len(_CLASSES))
            )
            per_class(found, _CLASSES)

        times = in_turns([timed(ours), timed(partial(_bare, model, images))], 12)  # a few rounds leave .05 of noise
        yield Row(f"eval {arch}, {rows:,} images, {THREADS} threads / bare forward pass", *times, bar=1.15)
