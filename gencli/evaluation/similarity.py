"""The similarity of two images: PSNR, and the structural similarity SSIM."""

from __future__ import annotations

import torch
from torch.nn import functional

from gencli.files.tensors import double

WINDOW = 11
_SIGMA, _C1, _C2 = 1.5, 0.01**2, 0.03**2


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[n] mean squared difference of images [n, channels, height, width]."""
    return (outputs - targets).square().mean((1, 2, 3))


def psnr(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[n] peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error), of images whose peak is 1.

    Outputs are clipped to [0, 1] before, as what is shown would be.
    """
    return -10 * squared_error(outputs.clamp(0, 1), targets).log10()


def ssim(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[n] structural similarity of images whose peak is 1, at most 1; the mean over channels and windows.

    Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity",
    section III: windows of 11×11 that lie within the image, Gaussian weights of deviation 1.5, K1 = 0.01, K2 = 0.03.
    Outputs are clipped to [0, 1] before. Computed in float64 in which small variances do not cancel.

    Args:
        outputs, targets: [n, channels, height, width], height and width at least 11.
    """
    x, y = double(outputs.clamp(0, 1)), double(targets)
    offsets = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    weights = (-offsets.square() / (2 * _SIGMA**2)).exp()
    weights /= weights.sum()

    def windows(images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(0, 1)[:, None]
        columns = functional.conv2d(flat, weights.view(1, 1, -1, 1))
        return functional.conv2d(columns, weights.view(1, 1, 1, -1)).view(*images.shape[:2], -1)

    mean_x, mean_y = windows(x), windows(y)
    product = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    variances = windows(x.square() + y.square()) - squares
    covariance = windows(x * y) - product
    alike = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    return alike.mean((1, 2))
