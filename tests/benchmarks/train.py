"""Training against a bare loop over whitened tensors in memory, and against the usual script; its memory.

The usual script is what public reproductions are: a torchvision data set of PIL images, a transform an image, a
DataLoader of two workers. Times are those of the training steps alone; networks and precision are the same.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import VisionDataset

from gencli.losses import LOSSES
from gencli.models import Model, build
from gencli.models.inputs import Preprocessing, Rows
from gencli.training.loop import Training
from gencli.training.settings import Precision, Settings
from tests.benchmarks.corrupt import make_table
from tests.benchmarks.measure import GENCLI, THREADS, Row, in_turns, peak_megabytes

_SHAPE, _CLASSES, _BATCH = (32, 32, 3), tuple("0123456789"), 128
_BARE_LOOP = """
import sys
import numpy as np, pyarrow.parquet as pq, torch
from torch import nn
rows = pq.read_table(sys.argv[1])
images = torch.from_numpy(np.stack([np.frombuffer(each.as_py(), np.uint8) for each in rows["image"]]))
labels = torch.tensor(rows["label"].to_numpy())
del rows
network = nn.Sequential(nn.Linear(3072, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9)
for index in torch.randperm(len(images)).split(128):
    loss = nn.functional.cross_entropy(network(images[index] / 255), labels[index])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


class _Pictures(VisionDataset):
    """Images as torchvision's CIFAR10 gives them."""

    def __init__(self, rows: Rows, transform: Callable[..., torch.Tensor]) -> None:
        super().__init__("", transform=transform)
        self.data, self.targets = rows.images.numpy(), rows.labels.tolist()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        assert self.transform is not None
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def _network(arch: str) -> torch.nn.Module:
    return build(arch, _SHAPE, len(_CLASSES)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _ours(arch: str, rows: Rows, precision: Precision, augment: str | None) -> float:
    settings = Settings(arch=arch, epochs=1, precision=precision, augment=augment, momentum=0.9)
    model = Model(arch, _SHAPE, _CLASSES, _network(arch))
    training = Training(model, rows, settings, LOSSES["ce"]())
    training.run()
    return len(rows) / training.history[0].images_per_second


def _steps(arch: str, precision: str, batches: Callable[[], Iterator[tuple[torch.Tensor, torch.Tensor]]]) -> float:
    network = _network(arch)
    optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9)
    start = time.perf_counter()
    for images, labels in batches():
        with torch.autocast("cpu", torch.bfloat16, precision == "bf16"):
            logits = network(images)
        loss = functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def _bare(arch: str, floats: torch.Tensor, labels: torch.Tensor, precision: str) -> float:
    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for index in torch.randperm(len(floats)).split(_BATCH):
            yield floats[index], labels[index]

    return _steps(arch, precision, batches)


def _usual(arch: str, rows: Rows, precision: str) -> float:
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
        ]
    )
    loader = DataLoader(_Pictures(rows, transform), _BATCH, shuffle=True, num_workers=2)
    return _steps(arch, precision, lambda: iter(loader))


def run(folder: Path) -> Iterator[Row]:
    threads = torch.get_num_threads()
    for number in (THREADS, "1"):
        torch.set_num_threads(int(number))
        yield from _times(f"{number} thread{'s' if number != '1' else ''}")
    torch.set_num_threads(threads)
    yield from _memory(folder)


def _times(threads: str) -> Iterator[Row]:
    images = torch.randint(0, 256, (50_000, *_SHAPE), dtype=torch.uint8)
    every = Rows(images, torch.randint(0, 10, (len(images),)))
    nets: list[tuple[str, Precision, int]] = [
        ("mlp-1x512", "float32", 50_000),
        ("alexnet-small", "float32", 2560),
        ("inception-small", "bf16", 1280),
        ("resnet18", "bf16", 640),
    ]
    for arch, precision, count in nets:
        rows = every.select(torch.arange(count))
        floats = torch.cat([Preprocessing()(part).contiguous() for part in rows.images.split(1000)])
        floats = floats.contiguous(memory_format=torch.channels_last)
        calls = [partial(_ours, arch, rows, precision, None), partial(_bare, arch, floats, rows.labels, precision)]
        ours, bare = in_turns(calls, 3)
        yield Row(f"train {arch}, {count:,} images, {precision}, {threads} / bare loop", ours, bare, 1.10)
    scripts: list[tuple[str, Precision, int, float]] = [
        ("mlp-1x512", "float32", 20_000, 1 / 2),
        ("inception-small", "bf16", 1280, 1 / 1.1),
    ]
    for arch, precision, count, bar in scripts:
        rows = every.select(torch.arange(count))
        calls = [partial(_ours, arch, rows, precision, "crop,flip"), partial(_usual, arch, rows, precision)]
        ours, usual = in_turns(calls, 2)
        yield Row(f"train {arch}, crop and flip, {precision}, {threads} / usual script", ours, usual, bar)


def _memory(folder: Path) -> Iterator[Row]:
    train = "--arch", "mlp-1x512", "--epochs", "1", "-q", "-o", os.devnull

    def peak(rows: int, *options: str) -> float:
        table = folder / f"{rows}.parquet"
        if not table.exists():
            make_table(table, rows)
        return peak_megabytes([GENCLI, "train", str(table), *train, *options])

    ours = peak(50_000)
    bare = peak_megabytes([sys.executable, "-c", _BARE_LOOP, str(folder / "50000.parquet")])
    yield Row("train mlp-1x512, peak memory, 50,000 rows / the bare loop's and 150 MB", ours, bare + 150, 1, "MB")
    small, large = (peak(rows, "--stream", "10000") for rows in (50_000, 200_000))
    yield Row("train --stream 10000, peak memory, 200,000 rows / 50,000 rows", large, small, 1.1, "MB")
