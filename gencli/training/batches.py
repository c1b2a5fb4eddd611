"""Training rows as batches: their order, what augmentation makes of them, and what the network gets."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from gencli.cli import console
from gencli.errors import GencliError
from gencli.losses import resample_weights
from gencli.models import Model, Shape
from gencli.models.inputs import Preprocessing, Rows, target_input
from gencli.randomness import derive
from gencli.training import augmentation
from gencli.training.settings import Settings
from gencli.training.streaming import Streamed

_GEOMETRIC = ("crop", "flip", "translate", "rotate")


def augmentations(settings: Settings, shape: Shape) -> list[augmentation.Augmentation]:
    """Those of the settings, for images of this shape.

    Raises:
        GencliError: an unknown name, or a number that does not fit.
    """
    windows = _has_windows(settings)
    crop, shape = (settings.crop, shape) if windows else (None, Preprocessing(crop=settings.crop).input_shape(shape))
    return augmentation.parse(settings.augment, crop, shape)


def require_geometric(settings: Settings) -> None:
    """Refuses augmentations that would change an image and not the target that its output is compared with."""
    for name in settings.augment.split(",") if settings.augment else []:
        if name.partition(":")[0] not in _GEOMETRIC:
            raise GencliError(
                f"--augment: {name} would change the image but not its target",
                "image-to-image networks allow only " + ", ".join(_GEOMETRIC),
            )


def say_fitting(rows: int, settings: Settings) -> None:
    """Says where one batch holds all rows."""
    if settings.batch_size > rows and not settings.full_batch:
        console.message(f"--batch-size {settings.batch_size:,}: only {rows:,} rows; every step uses all of them")


def require_fitting(rows: int, settings: Settings, network: nn.Module) -> None:
    """Refuses a last batch of one row if a batch norm takes its statistics over the batch only.

    Raises:
        GencliError: it is so.
    """
    if rows % settings.batch_size == 1 and any(isinstance(each, nn.BatchNorm1d) for each in network.modules()):
        raise GencliError(
            f"--batch-size: the last batch of {rows:,} rows has only 1 row, too few for batch norm",
            "use another size",
        )


def require_exact(rows: int, settings: Settings, network: nn.Module, processes: int) -> None:
    """Refuses a full batch whose gradient would not be that of one function of the parameters: a sum over its rows.

    Batch norm is a function of all rows only where one batch, or --sync-batch-norm, holds them.

    Raises:
        GencliError: it would not.
    """
    if not settings.full_batch:
        return
    layers = [*network.modules()]
    if any(isinstance(each, nn.modules.dropout._DropoutNd) and each.p for each in layers):
        raise GencliError(f"--full-batch: {settings.arch} has dropout, which draws at random", "use --dropout 0")
    apart = processes > 1 and not settings.sync_batch_norm
    if (settings.batch_size < rows or apart) and any(
        isinstance(each, nn.modules.batchnorm._BatchNorm) for each in layers
    ):
        raise GencliError(
            f"--full-batch: {settings.arch} has batch norm, whose statistics would be those of parts of the rows",
            f"use --batch-size {rows}{' and --sync-batch-norm' if apart else ''}, or a network without it",
        )


def _has_windows(settings: Settings) -> bool:
    return settings.augment is not None and "crop" in re.split("[:,]", settings.augment)


class Batches:
    """Batches of rows on their device, for one network or for several at once.

    Whatever does not change from step to step is computed once: the crop and the whitening of images that no
    augmentation touches.

    Args:
        model: whose preprocessing it is, all networks' alike.
        others: further networks' rows, as many, and settings; their images are the very ones of `rows`.
        apart: whether other processes hold some of the images.
    """

    def __init__(
        self,
        rows: Rows,
        model: Model,
        settings: Settings,
        others: Sequence[tuple[Rows, Settings]] = (),
        apart: bool = False,
    ) -> None:
        self._rows, self._preprocessing = rows, model.preprocessing
        self._each = [(rows, settings), *others]
        cut = (lambda images: images) if _has_windows(settings) else self._preprocessing.center
        self._augmentations = augmentations(settings, model.shape)
        self._weights = None
        if settings.resample is not None:
            each = (own.labels.cpu() for own, _ in self._each)
            self._weights = [resample_weights(labels, len(model.classes), settings.resample) for labels in each]
        self._cut, self._images = cut, cut(rows.images)
        self._scaling = None
        if self._preprocessing.whiten != "image" or not (self._augmentations or isinstance(rows, Streamed)):
            self._scaling = self._preprocessing.scaling(self._preprocessing.center(rows.images))
        self._to_images = model.task == "images"
        if self._to_images:
            self._images = torch.cat([self._images, cut(rows.targets)], 3)  # type: ignore[list-item]
        self._place, self._labels = rows.place, rows.labels
        if others:
            self._labels = torch.cat([own.labels for own, _ in self._each])
            if rows.place is not None:
                self._place = torch.cat([own.place for own, _ in self._each])  # type: ignore[misc]
        self._apart = apart
        self._generator = torch.Generator()  # on the CPU: all devices draw the same

    def order(self, epoch: int, number: int = 0) -> torch.Tensor:
        """A network's rows in an epoch, [n] int64: each once, or as many drawn by their weights."""
        rows, settings = self._each[number]
        generator = torch.Generator().manual_seed(derive(settings.order_seed, "order", epoch))
        if self._weights is None:
            return rows.order(generator)
        order = torch.multinomial(self._weights[number], len(rows), replacement=True, generator=generator)
        return order.to(rows.labels.device)

    def labels(self, index: torch.Tensor) -> torch.Tensor:
        """Of each network's rows `index` [m] or [networks, m], in the same form."""
        return self._labels[self._flat(index)].view(index.shape)

    def at(self, index: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """What the networks get and what is wanted of them, for rows `index` [m], or [networks, m], at a step.

        Returns:
            [k, channels, height, width] float32; labels [k] int64, or targets like the images; network after network;
            and the mask [m] of the k rows whose images are here, None for all.
        """
        here, count, place = None, len(index) if index.ndim > 1 else 1, index.flatten()
        index = self._flat(index)
        if self._place is not None:
            place = self._place[index]
        if not self._apart:
            images = self._gather(place)
        else:
            here = place >= 0
            mine = self._gather(place[here])
            images = mine.new_zeros(len(index), *mine.shape[1:])  # all of them, so that augmentation draws the same
            images[here] = mine
        if self._augmentations:
            parts = [self._augmented(part, step, number) for number, part in enumerate(images.chunk(count))]
            images = torch.cat(parts) if count > 1 else parts[0]
        if here is not None:
            images, index, place = images[here], index[here], place[here]
        wanted = self._labels.index_select(0, index)
        if self._to_images:
            images, targets = images.chunk(2, 3)
            wanted = target_input(targets)
        scaling = self._scaling
        if scaling is None:
            scaling = self._preprocessing.scaling(images)
        elif len(scaling[0]) > 1:
            scaling = scaling[0].index_select(0, place), scaling[1].index_select(0, place)
        return self._preprocessing(images, scaling), wanted, here

    def _flat(self, index: torch.Tensor) -> torch.Tensor:
        """The rows among those of all networks."""
        if index.ndim == 1:
            return index
        starts = len(self._rows) * torch.arange(len(index), device=index.device)
        return (index + starts[:, None]).flatten()

    def _augmented(self, images: torch.Tensor, step: int, number: int) -> torch.Tensor:
        self._generator.manual_seed(derive(self._each[number][1].seed, "augmentation", step))
        return augmentation.apply(self._augmentations, images, self._generator)

    def _gather(self, place: torch.Tensor) -> torch.Tensor:
        if isinstance(self._rows, Streamed):
            return self._cut(self._rows.gather(place, self._to_images))
        # index_select gathers rows several times faster than images[place]
        return self._images.flatten(1).index_select(0, place).view(-1, *self._images.shape[1:])
