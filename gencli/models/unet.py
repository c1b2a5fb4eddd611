"""A U-net from images to images."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from gencli.models.base import Family, Shape
from gencli.models.layers import he


class UNet(nn.Module):
    """Images [n, channels, height, width] to images of the same shape, of any height and width.

    The network of the paper with three max-pools in place of five, so that images of 32×32 end at 4×4: conv 48 twice,
    three times max-pool and conv 48, then three times up (nearest), beside it what went into that max-pool's stage, and
    two convolutions, to 96 and 96, at last 64 and 32, and one more to the image's channels. All are 3×3 with leaky ReLU
    of slope 0.1 but the last, which is linear; the widths are the paper's. Sides that 8 does not divide are continued
    by their last row and column, and cut off again. Initialization is He's, for the last layer that of a linear one, as
    in the authors' code.

    Lehtinen et al. 2018, arXiv:1803.04189, appendix, and the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList([
            nn.Sequential(*_convolutions(channels, 48, 48), pool),
            nn.Sequential(*_convolutions(48, 48), pool),
            nn.Sequential(*_convolutions(48, 48), pool),
        ])  # fmt: skip
        self.bottom = nn.Sequential(*_convolutions(48, 48))
        self.up = nn.ModuleList([
            nn.Sequential(*_convolutions(48 + 48, 96, 96)),
            nn.Sequential(*_convolutions(96 + 48, 96, 96)),
            nn.Sequential(*_convolutions(96 + channels, 64, 32)),
        ])  # fmt: skip
        self.last = nn.Conv2d(32, channels, 3, padding=1)
        he(self)
        nn.init.kaiming_normal_(self.last.weight, nonlinearity="linear")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[2:]
        if height % 8 or width % 8:
            images = functional.pad(images, (0, -width % 8, 0, -height % 8), "replicate")
        skipped = []
        for stage in self.down:
            skipped.append(images)
            images = stage(images)
        images = self.bottom(images)
        for stage in self.up:
            larger = functional.interpolate(images, scale_factor=2.0, mode="nearest")
            images = stage(torch.cat([larger, skipped.pop()], 1))
        return self.last(images)[:, :, :height, :width]


def _convolutions(*channels: int) -> list[nn.Module]:
    return [layer for pair in pairwise(channels) for layer in (nn.Conv2d(*pair, 3, padding=1), nn.LeakyReLU(0.1))]


def unet(shape: Shape, classes: int) -> nn.Module:
    """A `UNet` for images of this shape."""
    return UNet(shape[2])


UNET = Family(
    example="unet-small",
    pattern="unet-small",
    purpose="image to image: a U-net with three max-pools",
    source="Lehtinen et al. 2018, arXiv:1803.04189, with five",
    build=unet,
    samples=("unet-small",),
    task="images",
    rates=(0.005, 0.005),  # at 0.05 it diverges on noisy digits
)
