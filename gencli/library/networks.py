"""Image tables and models for torch."""

from __future__ import annotations

import os

import torch
from torch.utils.data import Dataset

from gencli import models, plugins
from gencli.library import Place, images, plain
from gencli.models.exported import Whole
from gencli.models.inputs import load


class Images(Dataset[tuple[torch.Tensor, "int | torch.Tensor"]]):
    """An image table, in memory: pairs of an image [channels, height, width] uint8, or float32, and its label.

    Where the table has a column `target`, for image-to-image networks, that image takes the label's place.

    Attributes:
        images: [n, channels, height, width], as in the table, of 0 to 255.
        labels: [n] int64; `labels_true`: what they were before they were corrupted, None where they were not.
        targets: as images; None without.
        ids: [n] int64, the rows' identities.
        classes: the classes' names, by label.

    Raises:
        GencliError: there is no such file, it is damaged, or no image table.
    """

    @plain
    def __init__(self, path: Place) -> None:
        table = images(path)
        rows = load(table)
        self.images = rows.images.permute(0, 3, 1, 2)
        self.targets = None if rows.targets is None else rows.targets.permute(0, 3, 1, 2)
        self.labels, self.labels_true, self.ids = rows.labels, rows.labels_true, rows.ids
        self.classes = table.description.classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int | torch.Tensor]:
        other = int(self.labels[index]) if self.targets is None else self.targets[index]
        return self.images[index], other


@plain
def load_model(path: Place, run: int | None = None, arch: str | None = None, plugin: str | None = None) -> Whole:
    """A model as a `torch.nn.Module`, on the CPU and in evaluation mode.

    It takes images as `Images` gives them, [n, channels, height, width] of 0 to 255, and preprocesses them as in
    training; `.network` is the plain network, which gets what `.preprocessing` makes of [n, height, width, channels].

    Args:
        run: of a model of several runs: its number, from 0.
        arch: of a model of your own network: its package.module:factory, which is imported.
        plugin: of a model of a plug-in's network: its module, which is imported.

    Raises:
        GencliError: there is no such file, it is damaged, or no model; or its code is not allowed by `arch`, `plugin`.
    """
    if plugin is not None:
        plugins.load(plugin, only="gencli.networks")
    if arch is not None:
        models.require(arch)
    return Whole(models.open_file(os.fspath(path), arch, run)[1])
