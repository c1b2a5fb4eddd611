"""Training rows as batches: their order, what augmentation makes of them, and what the network gets."""

from __future__ import annotations

import re

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


def require_fitting(rows: int, settings: Settings, network: nn.Module) -> None:
    """Says where one batch holds all rows.

    Raises:
        GencliError: the last batch has one row, and a batch norm takes its statistics over the batch only.
    """
    if settings.batch_size > rows:
        console.message(f"--batch-size {settings.batch_size:,}: only {rows:,} rows; every step uses all of them")
    if rows % settings.batch_size == 1 and any(isinstance(each, nn.BatchNorm1d) for each in network.modules()):
        raise GencliError(
            f"--batch-size: the last batch of {rows:,} rows has only 1 row, too few for batch norm",
            "use another size",
        )


def _has_windows(settings: Settings) -> bool:
    return settings.augment is not None and "crop" in re.split("[:,]", settings.augment)


class Batches:
    """Batches of rows on their device.

    Whatever does not change from step to step is computed once: the crop and the whitening of images that no
    augmentation touches.
    """

    def __init__(self, rows: Rows, model: Model, settings: Settings) -> None:
        self._rows, self._preprocessing, self._seed = rows, model.preprocessing, settings.seed
        cut = (lambda images: images) if _has_windows(settings) else self._preprocessing.center
        self._augmentations = augmentations(settings, model.shape)
        self._weights = None
        if settings.resample is not None:
            self._weights = resample_weights(rows.labels.cpu(), len(model.classes), settings.resample)
        self._cut, self._images = cut, cut(rows.images)
        self._scaling = None
        if self._preprocessing.whiten != "image" or not (self._augmentations or isinstance(rows, Streamed)):
            self._scaling = self._preprocessing.scaling(self._preprocessing.center(rows.images))
        self._to_images = model.task == "images"
        if self._to_images:
            self._images = torch.cat([self._images, cut(rows.targets)], 3)  # type: ignore[list-item]
        self._generator = torch.Generator()  # on the CPU: all devices draw the same

    def order(self, epoch: int) -> torch.Tensor:
        """The rows of an epoch, [n] int64: each once, or as many drawn by their weights."""
        generator = torch.Generator().manual_seed(derive(self._seed, "order", epoch))
        if self._weights is None:
            return self._rows.order(generator)
        order = torch.multinomial(self._weights, len(self._rows), replacement=True, generator=generator)
        return order.to(self._rows.labels.device)

    def at(self, index: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """What the network gets and what is wanted of it, for rows `index` [m] at a step.

        Returns:
            [k, channels, height, width] float32; labels [k] int64, or targets like the images; and the mask [m] of the
            k rows whose images are here, None for all.
        """
        here = None
        if self._rows.place is None:
            images = self._gather(index)
        else:
            place = self._rows.place[index]
            here = place >= 0
            mine = self._gather(place[here])
            images = mine.new_zeros(len(index), *mine.shape[1:])  # all of them, so that augmentation draws the same
            images[here] = mine
        if self._augmentations:
            self._generator.manual_seed(derive(self._seed, "augmentation", step))
            images = augmentation.apply(self._augmentations, images, self._generator)
        if here is not None:
            images, index = images[here], index[here]
        wanted = self._rows.labels.index_select(0, index)
        if self._to_images:
            images, targets = images.chunk(2, 3)
            wanted = target_input(targets)
        scaling = self._scaling
        if scaling is None:
            scaling = self._preprocessing.scaling(images)
        elif len(scaling[0]) > 1:
            place = index if self._rows.place is None else self._rows.place[index]
            scaling = scaling[0].index_select(0, place), scaling[1].index_select(0, place)
        return self._preprocessing(images, scaling), wanted, here

    def _gather(self, place: torch.Tensor) -> torch.Tensor:
        if isinstance(self._rows, Streamed):
            return self._cut(self._rows.gather(place, self._to_images))
        # index_select gathers rows several times faster than images[place]
        return self._images.flatten(1).index_select(0, place).view(-1, *self._images.shape[1:])
