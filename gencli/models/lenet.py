"""LeNet-5, as it is taught today."""

from __future__ import annotations

from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels, dropping

_SIDE = 32


def lenet5(shape: Shape, classes: int, dropout: float = 0.0) -> nn.Module:
    """Conv 5×5 to 6 and to 16, each with ReLU and max-pool 2×2, then dense layers of 120, 84, classes.

    Smaller images are padded with zeros to 32×32, in whose middle the paper puts its digits. ReLU, max-pooling, a
    second convolution of all channels and a dense last layer stand for the paper's tanh, trained subsampling, table
    of connections and radial units. Dropout, of which it has none, comes before the dense layers. Initialization is
    torch's own.

    LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition, section II.B; 61,706
    parameters for one channel and 10 classes, 62,006 for three.
    """
    height, width, channels = shape
    down, across = max(0, _SIDE - height), max(0, _SIDE - width)
    sides = [((side + more - 4) // 2 - 4) // 2 for side, more in ((height, down), (width, across))]
    frame = nn.ZeroPad2d((across // 2, across - across // 2, down // 2, down - down // 2))
    return nn.Sequential(
        *([frame] if down or across else []),
        *(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), Pixels()),
        *(*dropping(dropout), nn.Linear(16 * sides[0] * sides[1], 120), nn.ReLU()),
        *(*dropping(dropout), nn.Linear(120, 84), nn.ReLU()),
        *(*dropping(dropout), nn.Linear(84, classes)),
    )


LENET5 = Family(
    example="lenet5",
    pattern="lenet5",
    purpose="two 5x5 convolutions with max-pool, three dense layers; small images in a frame of 32x32",
    source="LeCun et al. 1998",
    build=lenet5,
    options=frozenset({"dropout"}),
    samples=("lenet5",),
)
