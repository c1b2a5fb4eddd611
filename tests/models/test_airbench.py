"""The network airbench and its first layer."""

import torch
from torch import nn

from gencli.models import build
from gencli.models.base import trained
from gencli.models.layers import Whitening


def test_has_the_parameters_of_the_paper():
    network = build("airbench", (32, 32, 3), 10)
    filters = 27 * 8 * 64 + 9 * (64 * 64 + 64 * 256 + 256 * 256 + 256 * 256 + 256 * 256)
    assert trained(network) == 24 + filters + 2 * (64 + 256 + 256) + 2560 == 1_971_352


def test_fitted_patches_are_white_and_come_with_their_negatives():
    images = torch.randn(150, 3, 9, 9, generator=torch.Generator().manual_seed(0)).cumsum(3)
    layer = Whitening(3)
    layer.fit(layer.moments(images[:70]) + layer.moments(images[70:]))
    found = layer(images).detach().double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(found[:12], -found[12:])
    moments = found[:12] @ found[:12].T / found.shape[1]
    torch.testing.assert_close(moments, torch.eye(12, dtype=torch.float64), atol=2e-3, rtol=0)  # of 5e-4 in the root


def test_convolutions_start_as_the_identity_on_their_first_channels():
    layers = [layer for layer in build("airbench", (32, 32, 3), 10).modules() if isinstance(layer, nn.Conv2d)][1:]
    images = torch.randn(2, 64, 7, 7)
    torch.testing.assert_close(layers[1](images), images)
    wide = layers[2](images)
    torch.testing.assert_close(wide[:, :64], images)
    assert wide[:, 64:].abs().mean() > 0.1


def test_a_fit_leaves_the_sign_of_no_axis_open():
    images = torch.randn(20, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    weights = []
    for scale in (1.0, 1.0 + 1e-6):
        layer = Whitening(1)
        layer.fit(layer.moments(images * scale))
        weights.append(layer.weight)
    torch.testing.assert_close(*weights, atol=1e-3, rtol=0)
