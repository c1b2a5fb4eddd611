"""Corruptions that move or replace pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import PixelCorruption
from gencli.randomness import Draws


@dataclass(frozen=True)
class ShuffledPixels(PixelCorruption):
    """Permute the pixels of all images alike.

    The permutation depends on the seed and the image's size alone: train and test under one seed share it. The
    paper does not say whether channels move together; here they do unless told otherwise. Reads and writes an
    image table.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530.

    \b
    Example:
      gencli data digits | gencli corrupt shuffled-pixels -o shuffled.parquet
    """

    name = "shuffled-pixels"
    channels: Annotated[
        Literal["together", "apart"], typer.Option(help="Move a pixel's channels together, or each value by itself.")
    ] = "together"

    def images(self, images: NDArray[Any], ids: NDArray[np.int64], draws: Draws) -> NDArray[Any]:
        rows, height, width, channels = images.shape
        if self.channels == "together":
            pixels = draws.permutation(height * width)
            order = (pixels[:, None] * channels + np.arange(channels)).ravel()
        else:
            order = draws.permutation(height * width * channels)
        return np.take(images.reshape(rows, -1), order, axis=1).reshape(images.shape)
