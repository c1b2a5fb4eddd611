"""Which of torch's layers have no deterministic derivative on the device, and which no second one, by name.

Information, not a demand: gencli refuses a network with the former by name, and takes other routes with the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional

from gencli.training import devices
from tests.gpu.parts import Row, Setting

_IMAGES = (2, 4, 8, 8)


class _Function(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class _First(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1, 2))[0]


class _Embedded(_First):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        words = torch.arange(8, device=x.device).view(2, 4)
        return self.layer(words).sum() * x


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(1, 2)
        return self.layer(rows, rows, rows, need_weights=False)[0]


# those that our networks have come first
_OURS: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(256, 3)),
    "Conv2d": lambda: nn.Conv2d(4, 4, 3),
    "Conv2d, grouped": lambda: nn.Conv2d(4, 4, 3, groups=4),
    "BatchNorm2d": lambda: nn.BatchNorm2d(4),
    "BatchNorm1d": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256)),
    "LayerNorm": lambda: nn.LayerNorm(8),
    "GELU": nn.GELU,
    "Tanh": nn.Tanh,
    "MaxPool2d(2)": lambda: nn.MaxPool2d(2),
    "MaxPool2d(3, 2, 1), overlapping": lambda: nn.MaxPool2d(3, 2, 1),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(3),
    "AvgPool2d": lambda: nn.AvgPool2d(2),
    "Upsample, nearest": lambda: nn.Upsample(scale_factor=2.0),
    "pad, replicate": lambda: _Function(lambda x: functional.pad(x, (0, 1, 0, 1), "replicate")),
    "amax over the image": lambda: _Function(lambda x: x.amax((2, 3))),
    "fft": lambda: _Function(lambda x: torch.fft.irfft(torch.fft.rfft(x) * 2)),
    "cross-entropy": lambda: _Function(
        lambda x: functional.cross_entropy(x.flatten(1), torch.arange(2, device=x.device))),
    "gather": lambda: _Function(lambda x: x.flatten(1).gather(1, torch.ones(2, 1, dtype=torch.int64, device=x.device))),
}  # fmt: skip
_OTHERS: dict[str, Callable[[], nn.Module]] = {
    "AdaptiveAvgPool2d(1)": lambda: nn.AdaptiveAvgPool2d(1),
    "AdaptiveAvgPool2d(7), of torchvision's vgg, alexnet": lambda: nn.AdaptiveAvgPool2d(7),
    "AdaptiveMaxPool2d(3)": lambda: nn.AdaptiveMaxPool2d(3),
    "FractionalMaxPool2d": lambda: nn.FractionalMaxPool2d(2, output_size=4),
    "MaxPool3d": lambda: _Function(lambda x: functional.max_pool3d(x[:, None], 2)),
    "AvgPool3d": lambda: _Function(lambda x: functional.avg_pool3d(x[:, None], 2)),
    "Upsample, bilinear": lambda: nn.Upsample(scale_factor=2.0, mode="bilinear"),
    "Upsample, bicubic": lambda: nn.Upsample(scale_factor=2.0, mode="bicubic"),
    "pad, reflect": lambda: nn.ReflectionPad2d(1),
    "grid_sample": lambda: _Function(lambda x: functional.grid_sample(
        x, torch.zeros(2, 4, 4, 2, device=x.device), align_corners=False)),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4),
    "PReLU": nn.PReLU,
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 4, 3),
    "Embedding": lambda: _Embedded(nn.Embedding(10, 4)),
    "EmbeddingBag, max": lambda: _Embedded(nn.EmbeddingBag(10, 4, mode="max")),
    "attention": lambda: _Function(lambda x: functional.scaled_dot_product_attention(x, x, x)),
    "MultiheadAttention": _Attention,
    "GRU": lambda: _First(nn.GRU(8, 4, batch_first=True)),
    "cumsum": lambda: _Function(lambda x: x.cumsum(1)),
    "median": lambda: _Function(lambda x: x.median(1).values),
    "sort": lambda: _Function(lambda x: x.sort(1).values),
    "index_add": lambda: _Function(lambda x: torch.zeros_like(x).index_add(
        0, torch.zeros(2, dtype=torch.int64, device=x.device), x)),
}  # fmt: skip


def layers(setting: Setting) -> Iterator[Row]:
    devices.choose(setting.device)
    for ours, made in ((True, _OURS), (False, _OTHERS)):
        for name, build in made.items():
            why = [why for twice in (False, True) for why in [_failure(build, setting.device, twice)] if why]
            whose = "of our networks" if ours else "another"
            said = "first and second derivative" if not why else "; ".join(dict.fromkeys(why))
            # a first derivative of what we train with must be there
            met = None if not ours else _failure(build, setting.device, False) is None
            yield Row(f"{name}, {whose}", "both" if not why else "lacks", met=met, note=said[:300])


def _failure(build: Callable[[], nn.Module], device: str, twice: bool) -> str | None:
    """What torch says where the first, or the second, derivative fails."""
    torch.manual_seed(0)
    try:
        layer = build().to(device)
        x = torch.randn(_IMAGES, device=device).requires_grad_()
        at = [x, *layer.parameters()]
        y = layer(x).square().sum()
        first = torch.autograd.grad(y, at, create_graph=twice, allow_unused=True)
        if twice:
            total = torch.stack([each.square().sum() for each in first if each is not None]).sum()
            torch.autograd.grad(total, at, allow_unused=True)
        for each in first:
            if each is not None:
                float(each.sum())  # errors of kernels come late
    except (RuntimeError, NotImplementedError) as error:
        return f"{'second' if twice else 'first'}: {str(error).splitlines()[0][:140]}"
    return None
