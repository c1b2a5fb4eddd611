"""Data and runs that several parts use: random images of the size of CIFAR-10's, and the real ones where they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gencli.cli import console
from gencli.files.tables import Description, MemoryTable
from gencli.models.inputs import Rows, load
from gencli.ranks import Group
from gencli.training import devices
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import Setup, choose

SHAPE, CLASSES = (32, 32, 3), tuple("0123456789")


def table(rows: int, shape: tuple[int, int, int] = SHAPE) -> MemoryTable:
    """Random images that have something of their label in them."""
    random = np.random.default_rng(0)
    labels = np.arange(rows) % len(CLASSES)
    images = random.integers(0, 200, (rows, *shape), np.uint8) + (5 * labels[:, None, None, None]).astype(np.uint8)
    return MemoryTable("random", Description("random", "train", CLASSES, shape), images, labels)


def on_device(settings: Settings) -> Settings:
    """The settings with their device set up as the command does."""
    return devices.placed(settings)


def training(given: MemoryTable, settings: Settings, targets: bool = False) -> Training:
    """A run before its first step; images are their own targets, for image-to-image networks."""
    console.quiet = True
    settings, loss = choose(settings)
    setup = Setup(settings, loss, given.description, "psnr" if targets else "accuracy")
    rows = load(given)
    rows = replace(rows, targets=rows.images.clone()) if targets else rows
    return setup.on_rows(rows, None, Group())


def prepared(setting: Any, rows: int, **settings: Any) -> Any:
    """A run, or a list of several, on random images, on the device."""
    runs = settings.pop("runs", None)
    made = on_device(Settings(device=setting.device, epochs=1, **settings))
    images = settings["arch"].startswith("unet")
    given = table(rows)
    if runs is None:
        return training(given, made, images)
    return [training(given, replace(made, seed=number)) for number in range(runs)]


def real(folder: Path, split: str) -> Rows | None:
    """CIFAR-10's images of a split, where they were packed."""
    path = folder / f"cifar10-{split}.parquet"
    if not path.exists():
        return None
    from gencli.sources import open_table

    return load(open_table(str(path)))


def flat(tensors: Any) -> torch.Tensor:
    """One vector of tensors of any device, in float64, on the CPU."""
    return torch.cat([each.detach().cpu().double().flatten() for each in tensors])
