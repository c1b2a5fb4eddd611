"""PSNR by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gencli.evaluation.similarity import psnr, squared_error


def test_the_squared_error_and_psnr_are_those_computed_by_hand() -> None:
    outputs = torch.tensor([0.5, 1.5, -0.25, 0.0]).view(2, 1, 1, 2)
    targets = torch.tensor([0.25, 1.0, 0.5, 0.0]).view(2, 1, 1, 2)
    assert squared_error(outputs, targets).tolist() == [(0.0625 + 0.25) / 2, 0.5625 / 2]
    # outputs beyond 0 and 1 are clipped
    expected = [10 * math.log10(1 / (0.0625 / 2)), 10 * math.log10(1 / (0.25 / 2))]
    assert psnr(outputs, targets).tolist() == pytest.approx(expected, rel=1e-6)
