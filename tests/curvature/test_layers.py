"""FastTwice for derivatives of derivatives, against torch's own in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from gencli.curvature.layers import FastTwice


class Complex(nn.Module):
    """The real part of a convolution of complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4, 3, 3, 2, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return torch.conv2d(images + 0j, torch.view_as_complex(self.weight)).real


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (lambda: nn.Conv2d(4, 6, 3), (2, 4, 7, 8)),
    "no bias, strided, padded": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), bias=False), (2, 4, 7, 8)),
    "dilated groups": (lambda: nn.Conv2d(4, 6, 3, dilation=2, groups=2), (2, 4, 9, 8)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), (2, 4, 5, 5)),
    "padding same": (lambda: nn.Conv2d(4, 6, 3, padding="same"), (2, 4, 5, 5)),
    "mirrored": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (2, 4, 5, 5)),
    "one image": (lambda: nn.Conv2d(4, 6, 3), (4, 7, 8)),
    "complex": (Complex, (2, 4, 7, 8)),
    "lines": (lambda: nn.Conv1d(4, 6, 3, 2), (2, 4, 9)),
    "volumes": (lambda: nn.Conv3d(2, 3, 2, padding=1), (2, 2, 4, 3, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (2, 4, 4, 5)),
    "transposed lines": (lambda: nn.ConvTranspose1d(4, 6, 3, 2, dilation=2), (2, 4, 5)),
    "one transposed image": (lambda: nn.ConvTranspose2d(4, 6, 3), (4, 4, 5)),
    "batch norm": (lambda: fitted(nn.BatchNorm2d(4, eps=0.1)), (3, 4, 5, 5)),
    "batch norm of rows": (lambda: fitted(nn.BatchNorm1d(4)), (6, 4)),
    "batch norm, plain": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 1), fitted(nn.BatchNorm2d(4, affine=False))),
        (3, 4, 5, 5),
    ),
    "batch norm, training": (lambda: nn.BatchNorm2d(4), (3, 4, 5, 5)),
    "batch norm without moments": (lambda: nn.BatchNorm2d(4, track_running_stats=False).eval(), (3, 4, 5, 5)),
    "relu": (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1)), (3, 4, 5, 5)),
    "relu in place": (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)), (3, 4, 5, 5)),
    "max-pool": (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1)), (3, 4, 5, 6)),
    "overlapping max-pool": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(3, 2, (0, 1), ceil_mode=True)),
        (3, 4, 8, 7),
    ),
    "max-pool of one image": (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2)), (4, 6, 6)),
}


def fitted(norm: nn.Module) -> nn.Module:
    """In evaluation mode, with moments and parameters that are not 0 and 1."""
    with torch.no_grad():
        for each in (*norm.parameters(), *norm.buffers()):
            if each.is_floating_point():
                each.uniform_(0.5, 2)
    return norm.eval()


def second(layer: nn.Module, images: Tensor, wanted: list[Tensor]) -> list[Tensor | None]:
    """The gradient of ⟨a, the gradient of Σ sin(layer(images))⟩, a random."""
    first = torch.autograd.grad(layer(images).sin().sum(), wanted, create_graph=True)
    generator = torch.Generator().manual_seed(0)
    along = [torch.randn(each.shape, generator=generator, dtype=each.dtype) for each in first]
    return [*torch.autograd.grad(first, wanted, along, allow_unused=True)]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("of", ["parameters", "weight", "images", "all", "all, channels last"])
def test_second_derivatives_are_torchs(name: str, of: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, images = make().double(), torch.randn(shape, dtype=torch.float64)
    if of == "all, channels last" and len(shape) == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    images.requires_grad_(of == "images" or of.startswith("all"))
    for parameter, each in layer.named_parameters():
        each.requires_grad_(of == "parameters" or of.startswith("all") or parameter.endswith(of))
    wanted = [each for each in (images, *layer.parameters()) if each.requires_grad]
    if not wanted:
        pytest.skip("it has none")
    expected = second(layer, images, wanted)
    with FastTwice():
        found = second(layer, images, wanted)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-12, atol=1e-12)  # type: ignore[arg-type]


def test_torchs_own_check_of_second_derivatives_passes() -> None:
    torch.manual_seed(0)
    images, weight = torch.randn(1, 2, 4, 4).double(), torch.randn(2, 2, 3, 3).double()
    bias = torch.randn(2).double()

    def convolved(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with FastTwice():
            return torch.conv2d(images, weight, bias, padding=1)

    inputs = [each.requires_grad_() for each in (images, weight, bias)]
    assert torch.autograd.gradcheck(convolved, inputs)
    assert torch.autograd.gradgradcheck(convolved, inputs)


def test_a_kept_graph_has_no_kernel_as_large_as_the_image() -> None:
    """What makes torch's slow."""
    layer = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
    wanted = [*layer.parameters()]
    with FastTwice():
        first = torch.autograd.grad(layer(torch.randn(4, 2, 9, 9)).sin().sum(), wanted, create_graph=True)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        torch.autograd.grad(first, wanted, [torch.ones_like(each) for each in first])
    kernels = [event.input_shapes[1] for event in seen.events() or [] if event.name == "aten::convolution"]
    assert max(side for shape in kernels for side in shape[2:]) == 3
