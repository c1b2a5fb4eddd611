"""A data set as tensors, and how its images become a network's input."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.tables import ImageTable
from gencli.files.tensors import double, sent
from gencli.machine import require_memory

Shape = tuple[int, int, int]
Whiten = Literal["image", "dataset", "none"]
Scaling = tuple[torch.Tensor, torch.Tensor]

PEAK = 255  # the value of a pixel that becomes 1
_BY_ROW = ("labels", "labels_true", "ids", "place")
_ROW = 40  # bytes of its label, its true label and its id, one of which is there twice while it is read
_FEWER = "use fewer rows, such as a part by gencli corrupt subsample; train --stream holds a window of images"
_VALUES, _PIXELS = 1 << 22, 1 << 20  # as many are measured at a time


@dataclass
class Rows:
    """All rows of an image table.

    Attributes:
        images: [n, height, width, channels] uint8 or float32, as in the table.
        labels: [n] int64.
        labels_true: [n] int64, what the labels were before they were corrupted; None where they were not.
        targets: as images, of image-to-image work; None without.
        ids: [n] int64.
        place: [n] int64, the place of each row's image in `images` and `targets`, −1 for rows whose image another
            process holds; None where they are all here, in order.
    """

    images: torch.Tensor
    labels: torch.Tensor
    labels_true: torch.Tensor | None = None
    targets: torch.Tensor | None = None
    ids: torch.Tensor | None = None
    place: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        moved = {name: tensor.to(device) for name, tensor in vars(self).items() if tensor is not None}
        return replace(self, **moved)

    def select(self, index: torch.Tensor) -> Rows:
        """The rows `index` [m] int64."""
        chosen = {name: tensor[index] for name, tensor in vars(self).items() if name in _BY_ROW and tensor is not None}
        images, place = index, None
        if self.place is not None:
            here = chosen["place"] >= 0
            images = chosen["place"][here]
            place = torch.where(here, here.cumsum(0) - 1, -1)
        targets = None if self.targets is None else self.targets[images]
        return replace(self, **chosen | {"images": self.images[images], "targets": targets, "place": place})

    def view(self, index: torch.Tensor) -> Rows:
        """The rows `index` [m] int64, their images not copied but by place."""
        chosen = {name: tensor[index] for name, tensor in vars(self).items() if name in _BY_ROW and tensor is not None}
        return replace(self, **{"place": index} | chosen)

    def identities(self) -> dict[str, NDArray[np.int64]]:
        """The columns id, label, and label_true where it is known, [n]."""
        ids = torch.arange(len(self)) if self.ids is None else self.ids
        columns = {"id": ids, "label": self.labels, "label_true": self.labels_true}
        return {name: tensor.cpu().numpy() for name, tensor in columns.items() if tensor is not None}

    def parts(self) -> Iterator[Rows]:
        """All rows, in order, as many at a time as are in memory."""
        yield self

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """An order to visit the rows in, [n] int64: each once, at random."""
        return torch.randperm(len(self), generator=generator).to(self.labels.device)

    def held(self) -> tuple[Rows, torch.Tensor]:
        """The rows whose images are here, and their numbers [m] int64."""
        if self.place is None:
            return self, torch.arange(len(self), device=self.labels.device)
        numbers = (self.place >= 0).nonzero().squeeze(1)
        in_order = torch.equal(self.place[numbers], torch.arange(len(self.images), device=numbers.device))
        here = self.view(numbers) if in_order else self.select(numbers)  # a view copies no image
        return replace(here, place=None), numbers


def load(table: ImageTable, keep: NDArray[np.bool_] | None = None) -> Rows:
    """Reads a whole image table into memory, its images as compact as they are stored.

    Args:
        keep: the mask [rows] of the images that are read; None for all.

    Raises:
        GencliError: more than fit.
    """
    description, names = table.description, table.schema.names
    count = table.rows if keep is None else int(keep.sum())
    kinds = [name for name in ("image", "target") if name in names]
    need = len(kinds) * count * description.row_bytes + _ROW * table.rows
    require_memory(need, f"{table.title}: {count:,} images and the columns beside them", _FEWER)
    pictures = {name: np.empty((count, *description.shape), description.dtype) for name in kinds}
    start = 0
    for batch in table.batches(keep):
        stop = start + batch.num_rows
        for name, values in pictures.items():
            values[start:stop] = arrow.unpack(batch, description, name)
        start = stop
    columns = {name: table.column(name).copy() for name in ("label", "label_true", "id") if name in names}
    tensors = {name: torch.from_numpy(values) for name, values in (pictures | columns).items()}
    place = None if keep is None else torch.from_numpy(np.where(keep, keep.cumsum() - 1, -1))
    names = "image", "label", "label_true", "target", "id"
    return Rows(*(tensors.get(name) for name in names), place)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a network's images: the center is cropped, values become value/255, then are whitened.

    Attributes:
        whiten: `image`: (x − mean) / max(std, 1/√N) of the image's own N values, the standard deviation being the
            population's (TensorFlow's `per_image_standardization`; Zhang et al. 2017, arXiv:1611.03530, appendix A);
            `dataset`: (x − mean) / std by channel, of the training images; `none`: x.
        crop: the side of the square that is cut out of the centre; None for the whole image.
        mean, deviation: by channel, of pixels/255; for `dataset` alone.
    """

    whiten: Whiten = "image"
    crop: int | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        parts: Iterable[torch.Tensor],
        whiten: Whiten,
        crop: int | None,
        add: Callable[[torch.Tensor], None] = lambda sums: None,
    ) -> Preprocessing:
        """That of training images, parts [n, height, width, channels], whose moments it measures where it needs them.

        Args:
            add: adds to sums, in place, those over images that other processes hold.
        """
        if whiten != "dataset":
            return cls(whiten, crop)
        centered = (cls(crop=crop).center(part).flatten(0, 2) for part in parts)
        sums = torch.stack([_sums(pixels) for part in centered for pixels in part.split(_PIXELS)]).sum(0)
        add(sums)
        mean, square = sums[:2].cpu() / sums[2].cpu() / torch.tensor([[PEAK], [PEAK**2]])
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        return cls(whiten, crop, tuple(mean.tolist()), tuple(deviation.tolist()))

    def input_shape(self, shape: Shape) -> Shape:
        """Height, width, channels of what a network gets from images of this shape.

        Raises:
            GencliError: the images are smaller than the crop.
        """
        if self.crop is None:
            return shape
        if self.crop > min(shape[:2]):
            raise GencliError(
                f"--crop: {self.crop}×{self.crop} does not fit images of {shape[0]}×{shape[1]}",
                f"give at most {min(shape[:2])}",
            )
        return self.crop, self.crop, shape[2]

    def center(self, images: torch.Tensor) -> torch.Tensor:
        """The centre [n, crop, crop, channels] of images [n, height, width, channels]."""
        if self.crop is None:
            return images
        top, left = ((side - self.crop) // 2 for side in images.shape[1:3])
        return images[:, top : top + self.crop, left : left + self.crop].contiguous()

    def scaling(self, images: torch.Tensor) -> Scaling:
        """Slope and offset float32, computed in float64, with which images' values become slope · value + offset.

        Args:
            images: [n, height, width, channels], cropped.

        Returns:
            Both [n or 1, values or 1].
        """
        if self.whiten == "image":
            flat = images.flatten(1)
            exact = flat.dtype == torch.uint8
            moments = _exact_moments if exact else _moments
            # with an array of its own for every part the heap would grow by all of them, as glibc places them
            count = max(1, _VALUES // flat.shape[1])
            if torch.compiler.is_exporting():  # a graph of any number of images has no parts
                found = [moments(flat.float() if exact else double(flat))]
            else:
                room = torch.empty_like(flat[:count], dtype=torch.float32)
                room = room if exact else double(room)
                found = [moments(room[: len(part)].copy_(part)) for part in flat.split(count)]
            mean, variance = (torch.cat(each) / scale for each, scale in zip(zip(*found), (PEAK, PEAK**2)))
            slope = variance.sqrt().clamp(min=flat.shape[1] ** -0.5).reciprocal()
            return (slope / PEAK).float().to(images.device), (-mean * slope).float().to(images.device)
        mean, deviation = (
            torch.tensor(each, dtype=torch.float64) for each in (self.mean or 0.0, self.deviation or 1.0)
        )
        slope = deviation.clamp(min=1 / PEAK).reciprocal()  # a channel of one value stays finite
        pixels = images.shape[1:3].numel() if self.whiten == "dataset" else 1
        both = ((slope / PEAK).float(), (-mean * slope).float())
        slope, offset = (sent(each.view(1, -1).repeat(1, pixels), images.device) for each in both)
        return slope, offset

    def __call__(self, images: torch.Tensor, scaling: Scaling | None = None) -> torch.Tensor:
        """The network's input for images.

        Args:
            images: [n, height, width, channels] uint8 or float32, cropped already where `scaling`, theirs, is given.

        Returns:
            [n, channels, height, width] float32, channels last in memory.
        """
        if scaling is None:
            images = self.center(images)
            scaling = self.scaling(images)
        slope, offset = scaling
        flat = images.flatten(1).to(torch.float32, copy=True).mul_(slope).add_(offset)  # one array, not two
        return flat.view(images.shape).permute(0, 3, 1, 2)

    def to_json(self) -> dict[str, Any]:
        """Its JSON form in a model file."""
        return {"scale": PEAK} | asdict(self) | {"mean": [*self.mean], "deviation": [*self.deviation]}

    @classmethod
    def from_json(cls, facts: Any, channels: int) -> Preprocessing:
        """The inverse of `to_json`, for images of `channels` channels.

        Raises:
            GencliError: a form that this version does not know, or numbers that are not means and deviations.
        """
        try:
            moments = tuple(map(float, facts["mean"])), tuple(map(float, facts["deviation"]))
            known = cls(facts["whiten"], facts["crop"], *moments)
            whole = known.crop is None or (type(known.crop) is int and known.crop > 0)
            measured = channels if known.whiten == "dataset" else 0
            right = [len(each) for each in moments] == [measured] * 2 and all(map(math.isfinite, chain(*moments)))
            right &= min(known.deviation, default=0) >= 0
            if facts != known.to_json() or known.whiten not in get_args(Whiten) or not (whole and right):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise GencliError("its preprocessing is unknown to this version", "use the gencli that wrote it") from None
        return known


network_input = Preprocessing()


def require_target(columns: Collection[str], title: str) -> None:
    """Refuses a table without the images that an image-to-image network's output is compared with."""
    if "target" not in columns:
        raise GencliError(
            f"{title}: no column target, which image-to-image networks need",
            "add one: gencli corrupt gaussian-noise --sigma 25 --on both, or --clean-target",
        )


def target_input(targets: torch.Tensor) -> torch.Tensor:
    """Targets [n, height, width, channels] as outputs are compared with them: value/255, channels first, float32."""
    return targets.to(torch.float32).div(PEAK).permute(0, 3, 1, 2)


def _sums(pixels: torch.Tensor) -> torch.Tensor:
    """[3, channels] float64 of pixels [n, channels]: of their values, of the squares, and n; exact for uint8."""
    values = double(pixels)
    return torch.stack([values.sum(0), values.square().sum(0), torch.ones_like(values).sum(0)])


def _moments(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance [n, 1] float64 of each row of values [n, N] float64, which are overwritten in place."""
    mean = values.mean(1, keepdim=True)
    return mean, values.sub_(mean).square_().mean(1, keepdim=True)  # ten times as fast as var_mean


def _exact_moments(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for integers 0 … 255 as float32, also overwritten: sums of them and of their squares are exact."""
    size = values.shape[1]
    block = next(each for each in range(256, 0, -1) if size % each == 0)  # float32 adds 256 squares exactly
    blocks = values.view(-1, size // block, block)
    total = double(blocks.sum(2)).sum(1, keepdim=True)
    square = double(blocks.square_().sum(2)).sum(1, keepdim=True)  # in place, a third faster
    return total / size, (square * size - total * total) / size**2
