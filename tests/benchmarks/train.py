"""An epoch of training against a bare loop over whitened float32 tensors in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from gencli.losses import LOSSES
from gencli.models import Model, build
from gencli.models.inputs import Preprocessing, Rows
from gencli.training.loop import Training
from gencli.training.settings import Settings
from tests.benchmarks.measure import THREADS, Row, in_turns

_SHAPE, _ROWS = (32, 32, 3), 50_000


def run(folder: Path) -> Iterator[Row]:
    torch.set_num_threads(int(THREADS))
    images = torch.randint(0, 256, (_ROWS, *_SHAPE), dtype=torch.uint8)
    labels = torch.randint(0, 10, (_ROWS,))
    rows = Rows(images, labels)
    floats = torch.cat([Preprocessing()(part).contiguous() for part in images.split(1000)])
    settings = Settings(arch="mlp-1x512", epochs=1)
    classes = tuple("0123456789")

    def ours() -> float:
        model = Model("mlp-1x512", _SHAPE, classes, build("mlp-1x512", _SHAPE, len(classes)))
        training = Training(model, rows, settings, LOSSES["ce"]())
        training.run()
        return _ROWS / training.history[0].images_per_second

    def bare() -> float:
        network = nn.Sequential(nn.Flatten(), nn.Linear(3072, 512), nn.ReLU(), nn.Linear(512, 10))
        optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9)
        start = time.perf_counter()
        for index in torch.randperm(_ROWS).split(128):
            loss = nn.functional.cross_entropy(network(floats[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.perf_counter() - start

    ours_seconds, bare_seconds = in_turns([ours, bare], 4)
    yield Row("train mlp-1x512, epoch of 50,000 images, float32 / bare loop", ours_seconds, bare_seconds, 1.15)
