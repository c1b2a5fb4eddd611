"""Losses of image-to-image work. In their formulas e is output - target, of each value of an image.

Outputs and targets are [n, channels, height, width], pixels/255; a row's loss is the mean over its values.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gencli.losses.base import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gencli.losses.base import RowLoss


class ImageLoss(Loss):
    """A mean over the values of an image."""

    task = "images"

    def counts(self, labels: Tensor, classes: int) -> Tensor | None:
        return None

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        from gencli.losses.functions import wide

        return lambda outputs, targets: self.values(wide(outputs), wide(targets)).mean((1, 2, 3))

    @abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each value, of outputs and targets of one shape."""


@dataclass(frozen=True)
class L1(ImageLoss):
    """Mean absolute difference.

    |e|, least at the median of a pixel's targets.

    Source: Lehtinen, Munkberg, Hasselgren, Laine, Karras, Aittala, Aila 2018, arXiv:1803.04189, section 2.
    """

    name = "l1"

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import l1_loss

        return l1_loss(outputs, targets, reduction="none")


@dataclass(frozen=True)
class L2(ImageLoss):
    """Mean squared difference.

    e^2, least at the mean of a pixel's targets, which noise of mean zero leaves where it was.

    Source: Lehtinen, Munkberg, Hasselgren, Laine, Karras, Aittala, Aila 2018, arXiv:1803.04189, section 2.
    """

    name = "l2"

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import mse_loss

        return mse_loss(outputs, targets, reduction="none")


@dataclass(frozen=True)
class Huber(ImageLoss):
    """Mean of squares up to a difference, absolute beyond.

    e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2). The default delta, 0.1, is no paper's: about the noise of
    25/255 that Noise2Noise is tested with; at 1 no difference of pixels/255 would be beyond it.

    Source: Huber 1964, Robust estimation of a location parameter, Annals of Mathematical Statistics 35.
    """

    name = "huber"
    delta: float = 0.1

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import huber_loss

        return huber_loss(outputs, targets, reduction="none", delta=self.delta)
