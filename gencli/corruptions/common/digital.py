"""Corruptions of colors and positions, as by cameras, screens and files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gencli.corruptions.common.operators import Planes, Recipe, drawn, sampled, smooth
from gencli.randomness import Rows

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_IMAGENET_SIDE = 244 / 224  # the authors' side of an ImageNet picture, which is 224


def brightness(x: Planes, more: float, rows: Rows) -> Planes:
    """Adds to the value of hue, saturation and value."""
    value = x.max(2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.where(value > 0, x * (brighter / np.maximum(value, 1e-6)), brighter)


def saturate(x: Planes, constants: tuple[float, float], rows: Rows) -> Planes:
    """Multiplies the saturation of hue, saturation and value and adds to it; images of one channel have none.

    A gray pixel's hue is 0, red.
    """
    if x.shape[2] == 1:
        return x
    times, more = constants
    value = x.max(2, keepdims=True)
    spread = value - x.min(2, keepdims=True)
    saturation = np.clip(spread / np.maximum(value, 1e-6) * times + more, 0, 1)
    colorless = spread == 0
    missing = np.where(colorless, np.array([0, 1, 1], np.float32)[:, None], value - x)
    return value - missing * (saturation * value / np.where(colorless, 1, spread))


def contrast(x: Planes, share: float, rows: Rows) -> Planes:
    """Brings values nearer to the mean of the image's channel."""
    sums = np.rint(x * 255).sum((0, 1), np.float64)  # whole numbers: the same in any order
    means = (sums / (255 * x.shape[0] * x.shape[1])).astype(np.float32)
    x -= means
    x *= share
    x += means
    return x


def elastic_transform(x: Planes, constants: tuple[float, float, float], rows: Rows) -> Planes:
    """Moves three corners of the image at random and with them the rest, then every pixel a little.

    The constants, in sides of the image: how far pixels move, sigma of the blur of their moves, how far corners move.
    """
    height, width = x.shape[:2]
    side = min(height, width)
    strength, sigma, corner = (side * each for each in constants)
    corners, moves = drawn(
        rows,
        lambda generator: generator.uniform(-corner, corner, (3, 2)),
        lambda generator: 2 * generator.random((height, width, 2), np.float32) - 1,
    )
    x = sampled(x, *_affine(height, width, corners), "mirror")
    if not strength:
        return x
    down, right = np.moveaxis(strength * smooth(moves, sigma, "reflect", truncate=3), 2, 0)
    line, column = np.ogrid[:height, :width]
    return sampled(x, line[..., None] + down, column[..., None] + right, "reflect")


def _affine(height: int, width: int, moves: NDArray[np.float64]) -> tuple[Planes, Planes]:
    """Lines and columns [height, width, images] that pixels come from, if corners move by [3, (x, y), images]."""
    square = min(height, width) // 3
    signs = np.array([[1, 1], [1, -1], [-1, -1]])
    corners = (signs * square + np.array([width // 2, height // 2]))[..., None]
    first, *others = corners + moves
    (a, c), (b, d) = (other - first for other in others)  # columns of what takes unit vectors to moved sides
    area = a * d - b * c
    line, column = np.ogrid[:height, :width]
    right, down = column[..., None] - first[0], line[..., None] - first[1]
    one, two = (d * right - b * down) / area, (a * down - c * right) / area
    sides = [corner - corners[0] for corner in corners[1:]]
    back = (corners[0] + one[..., None, :] * sides[0] + two[..., None, :] * sides[1]).astype(np.float32)
    return back[:, :, 1], back[:, :, 0]


def pixelate(x: Planes, scale: float, rows: Rows) -> Planes:
    """Makes the image smaller and as large again, by Pillow's box filter."""
    from PIL import Image

    height, width = x.shape[:2]
    small = max(int(width * scale), 1), max(int(height * scale), 1)
    box = Image.Resampling.BOX
    return _by_pillow(x, lambda image: image.resize(small, box).resize((width, height), box))


def jpeg_compression(x: Planes, quality: int, rows: Rows) -> Planes:
    """Writes a JPEG file of a quality and reads it, by Pillow."""
    from PIL import Image

    def compressed(image: PillowImage) -> PillowImage:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file, formats=["JPEG"])

    return _by_pillow(x, compressed)


def _by_pillow(x: Planes, change: Callable[[PillowImage], PillowImage]) -> Planes:
    """Image by image: Pillow's codecs let other threads run meanwhile."""
    from PIL import Image

    before = np.ascontiguousarray(np.rint(x * 255).astype(np.uint8).transpose(3, 0, 1, 2))
    channels = () if x.shape[2] == 1 else (3,)
    images = (change(Image.fromarray(each.reshape(*x.shape[:2], *channels))) for each in before)
    after = np.stack([np.asarray(image).reshape(x.shape[:3]) for image in images])
    return after.transpose(1, 2, 3, 0) / np.float32(255)


RECIPES = {
    "brightness": Recipe(brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Recipe(contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic-transform": Recipe(
        elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        [
            tuple(_IMAGENET_SIDE * each for each in constants)
            for constants in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ],
    ),
    "pixelate": Recipe(pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25), "K"),
    "jpeg-compression": Recipe(jpeg_compression, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7), "K"),
    "saturate": Recipe(
        saturate,
        ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    ),
}
