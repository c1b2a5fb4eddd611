"""Augmentations of whole batches on their device: no loop over images, nothing that waits for the device.

Draws come from one generator, on the generator's device: one on the CPU gives the same draws whatever computes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch.nn import functional

from gencli.counts import number
from gencli.errors import GencliError, nearest
from gencli.files.tensors import sent
from gencli.models.inputs import Preprocessing, Shape


class Augmentation(ABC):
    """A random change of images.

    Attributes:
        name, form: as users write it.
    """

    name: ClassVar[str]
    form: ClassVar[str]

    @classmethod
    @abstractmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        """The augmentation with the number that was given, for images of a shape, of which a window is wanted.

        Raises:
            GencliError: it does not go with the number or the shape.
        """

    @abstractmethod
    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images in place of images [n, height, width, channels] uint8 or float32."""


@dataclass(frozen=True)
class Crop(Augmentation):
    """A window of the image, uniformly placed.

    With --crop S a window of S x S (Zhang et al. 2017, arXiv:1611.03530). Else, or with PAD, the image is first padded
    by PAD zeros on every side, 4 if not given (He et al. 2016, arXiv:1512.03385, section 4.2).
    """

    name, form = "crop", "crop[:PAD]"
    pad: int
    height: int
    width: int

    @classmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        default = 4 if shape == window else 0
        return cls(default if given is None else _whole(cls, given, shape, min(shape[:2])), *window[:2])

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        padded = functional.pad(images, (0, 0, *[self.pad] * 4)) if self.pad else images.contiguous()
        return _windows(padded, self.height, self.width, generator)


@dataclass(frozen=True)
class Translate(Augmentation):
    """A shift by up to N pixels each way, the image mirrored at its edges.

    Shifts are uniform on -N ... N, rows and columns independently. As in airbench94 (Jordan 2024,
    arXiv:2404.00498) with N = 2.
    """

    name, form = "translate", "translate:N"
    pixels: int

    @classmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        return cls(_whole(cls, given, shape, min(shape[:2]) - 1))

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        height, width = images.shape[1:3]
        padded = images
        for dimension, last in ((1, height - 1), (2, width - 1)):
            places = torch.arange(-self.pixels, last + self.pixels + 1, device=images.device)
            padded = padded.index_select(dimension, last - (last - places.abs()).abs())
        return _windows(padded, height, width, generator)


@dataclass(frozen=True)
class Flip(Augmentation):
    """The image mirrored left to right, with probability 1/2."""

    name = form = "flip"

    @classmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        if given is not None:
            raise GencliError(f"--augment: flip:{given}: flip takes no number", "write flip")
        return cls()

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        flipped = _integers(2, len(images), generator)
        place = torch.arange(len(images), device=generator.device) + flipped * len(images)
        both = torch.cat([images, images.flip(2)]).flatten(1)
        return both.index_select(0, sent(place, images.device)).view(images.shape)


@dataclass(frozen=True)
class Cutout(Augmentation):
    """A square of SIDE x SIDE, 16 if not given, covered by the image's mean.

    Its centre is uniform over the pixels, and it is cut off at the edges. The mean over all of the image's values is 0
    in whitened images: DeVries, Taylor 2017, arXiv:1708.04552, mask normalized images with 0.
    """

    name, form = "cutout", "cutout[:SIDE]"
    side: int

    @classmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        return cls(_whole(cls, "16" if given is None else given, shape, min(shape[:2])))

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        count, height, width, channels = images.shape
        rows, columns = (self._covered(side, count, images, generator) for side in (height, width))
        hole = rows[:, :, None] * columns.repeat_interleave(channels, 1)[:, None]
        values = images.flatten(2)
        fill = _pixels(values.float().mean((1, 2), keepdim=True), images)
        return torch.addcmul(values, fill - values, hole).view(images.shape)  # uint8 wraps around and back

    def _covered(self, length: int, count: int, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """[count, length] of the images' type, 1 where one side of the square lies."""
        start = sent(_integers(length, count, generator) - self.side // 2, images.device)[:, None]
        places = torch.arange(length, device=images.device)
        return ((places >= start) & (places < start + self.side)).to(images.dtype)


@dataclass(frozen=True)
class Rotate(Augmentation):
    """A turn about the centre by an angle uniform on -DEGREES ... DEGREES.

    Bilinear, with zeros where the image ends.
    """

    name, form = "rotate", "rotate:DEGREES"
    degrees: float

    @classmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        return cls(_number(cls, given, 180))

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        height, width = images.shape[1:3]
        angle = _uniforms(len(images), math.radians(self.degrees), images, generator)[..., 0]
        y, x = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (height, width))
        sin, cos, y = angle.sin(), angle.cos(), y[:, None]
        grid = torch.stack([(x * cos - y * sin) * (2 / width), (x * sin + y * cos) * (2 / height)], 3)
        turned = functional.grid_sample(_planes(images), grid, align_corners=False)
        return _pixels(turned.permute(0, 2, 3, 1).contiguous(), images)


@dataclass(frozen=True)
class Color(Augmentation):
    """Jitter of brightness, contrast and saturation by up to S, 0.4 if not given.

    Each is multiplied by a factor uniform on 1 - S ... 1 + S: blends with black, with the mean of the luma, and with
    the luma, as in torchvision's ColorJitter; S = 0.4 as in fb.resnet.torch. Nothing is clipped in between, so that
    the three commute.
    """

    name, form = "color", "color[:S]"
    strength: float

    @classmethod
    def of(cls, given: str | None, shape: Shape, window: Shape) -> Self:
        if shape[2] != 3:
            raise GencliError(f"--augment: color needs 3 channels, and images have {shape[2]}", "omit it")
        return cls(_number(cls, "0.4" if given is None else given, 1))

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        values = _planes(images)
        red, green, blue = values.split(1, 1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
        mean = luma.mean((1, 2, 3), keepdim=True)
        bright, contrast, saturation = (
            1 + _uniforms(len(images), self.strength, images, generator)
            for _ in ("brightness", "contrast", "saturation")
        )
        gray = bright * (mean + contrast * (luma - mean))
        jittered = torch.addcmul(gray, values - luma, bright * contrast * saturation)
        return _pixels(jittered.permute(0, 2, 3, 1).contiguous(), images)


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    kind.name: kind for kind in (Crop, Flip, Cutout, Translate, Rotate, Color)
}


def parse(text: str | None, crop: int | None, shape: Shape) -> list[Augmentation]:
    """The augmentations that users write as `crop,flip,cutout:8`, in their order.

    Args:
        crop: the side of the window that the network sees, None for the whole image. Only `crop` cuts it out; without
            it images keep their size, and preprocessing takes the centre.
        shape: height, width, channels of the images.

    Raises:
        GencliError: unknown names, or numbers that do not fit the images.
    """
    window = Preprocessing(crop=crop).input_shape(shape)
    found: list[Augmentation] = []
    for word in [] if text is None else text.split(","):
        name, colon, given = word.partition(":")
        if name in ("mixup", "cutmix"):
            raise GencliError(f"--augment: {name} mixes labels too", f"use --mix {word}")
        if name not in AUGMENTATIONS:
            raise GencliError(f"--augment: no augmentation {name!r}", nearest(name, AUGMENTATIONS))
        found.append(AUGMENTATIONS[name].of(given if colon else None, shape, window))
        shape = window if name == Crop.name else shape
    return found


def apply(augmentations: Iterable[Augmentation], images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Augments images one after the other.

    Args:
        images: [n, height, width, channels] uint8 or float32, pixels from 0 to 255; left as they are.
        generator: on any device. In one state it draws the same for as many images of the same size, such as inputs and
            their targets.

    Returns:
        Of the same type, as large as `crop` says. uint8 is rounded and clipped to 0 … 255, float32 is neither.
    """
    for augmentation in augmentations:
        images = augmentation(images, generator)
    return images


def _number(kind: type[Augmentation], given: str | None, most: float) -> float:
    number = _float(given)
    if not 0 < number <= most:
        raise GencliError(
            f"--augment: {_word(kind, given)} is not {kind.form}", f"give a number above 0 and up to {most}"
        )
    return number


def _whole(kind: type[Augmentation], given: str | None, shape: Shape, most: int) -> int:
    number = _float(given)
    if not (0 < number <= most and number % 1 == 0):
        raise GencliError(
            f"--augment: {_word(kind, given)} does not fit images of {shape[0]}×{shape[1]}",
            f"write {kind.form}, with a whole number from 1 to {most}",
        )
    return int(number)


def _float(given: str | None) -> float:
    try:
        return number(given or "")
    except ValueError:
        return math.nan


def _word(kind: type[Augmentation], given: str | None) -> str:
    return kind.name if given is None else f"{kind.name}:{given}"


def _integers(count: int, rows: int, generator: torch.Generator) -> torch.Tensor:
    """[rows] int64 on the generator's device, uniform on 0 … count - 1."""
    return torch.randint(count, (rows,), generator=generator, device=generator.device)


def _uniforms(rows: int, most: float, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """[rows, 1, 1, 1] float32 on the images' device, uniform on -most … most."""
    drawn = torch.rand(rows, 1, 1, 1, generator=generator, device=generator.device)
    return sent((2 * drawn - 1) * most, images.device)


def _windows(images: torch.Tensor, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """A uniformly placed window [n, height, width, channels] of each of the contiguous images."""
    count, tall, wide, channels = images.shape
    top = _integers(tall - height + 1, count, generator)
    left = _integers(wide - width + 1, count, generator)
    start = (torch.arange(count, device=generator.device) * tall + top) * wide + left
    # all windows of all images lined up, as a view: a gather of whole rows, ten times as fast as one of pixels
    starts = (count * tall - height) * wide + wide - width + 1
    windows = images.as_strided((starts, height, width * channels), (channels, wide * channels, 1))
    return windows.index_select(0, sent(start, images.device)).view(count, height, width, channels)


def _planes(images: torch.Tensor) -> torch.Tensor:
    """[n, channels, height, width] float32, a channel at a time in memory."""
    return images.permute(0, 3, 1, 2).float().contiguous()


def _pixels(values: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Values in the images' type."""
    if images.is_floating_point():
        return values
    return values.round_().clamp_(0, 255).to(torch.int16).to(torch.uint8)  # three times as fast as directly to uint8
