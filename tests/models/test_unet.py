"""The U-net: images of every size come out in that size, and it is the paper's but for its depth."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gencli import models


@settings(max_examples=10)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4))
def test_an_image_of_any_size_keeps_it(height: int, width: int, channels: int) -> None:
    network = models.build("unet-small", (height, width, channels), 0)
    images = torch.randn(2, channels, height, width)
    assert network(images).shape == images.shape


def test_images_are_those_of_the_description() -> None:
    network = models.build("unet-small", (16, 24, 3), 0)
    state = iter(network.parameters())

    def convolved(images: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(functional.conv2d(images, next(state), next(state), padding=1), 0.1)

    def up(images: torch.Tensor) -> torch.Tensor:
        return images.repeat_interleave(2, 2).repeat_interleave(2, 3)

    images = torch.randn(2, 3, 16, 24)
    pool1 = functional.max_pool2d(convolved(convolved(images)), 2)
    pool2 = functional.max_pool2d(convolved(pool1), 2)
    hidden = convolved(functional.max_pool2d(convolved(pool2), 2))
    for skipped in (pool2, pool1, images):
        hidden = convolved(convolved(torch.cat([up(hidden), skipped], 1)))
    expected = functional.conv2d(hidden, next(state), next(state), padding=1)
    assert torch.allclose(network(images), expected, atol=1e-5)


def test_other_sizes_are_continued_by_their_last_row_and_column() -> None:
    network = models.build("unet-small", (13, 10, 1), 0)
    images = torch.randn(2, 1, 13, 10)
    rows, columns = torch.arange(16).clamp(max=12), torch.arange(16).clamp(max=9)
    assert torch.equal(network(images), network(images[:, :, rows][..., columns])[:, :, :13, :10])


def test_it_starts_with_a_scale_that_is_neither_lost_nor_blown_up() -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 32, 32)
    assert 0.2 < models.build("unet-small", (32, 32, 3), 0)(images).std() < 5
