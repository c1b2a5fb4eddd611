"""A peer of `--preset fast`: the recipe of airbench94 (Jordan 2024, arXiv:2404.00498), written from the paper.

Whitened patches, Dirac starts, alternating flips, shifts by 2 mirrored, SGD with Nesterov's momentum and a triangular
rate, biases of norms 64 times as fast, label smoothing, half precision throughout, averaging of weights every 5 steps
(lookahead) whose decay rises with the cube of the way, and six views at test. Its numbers are the paper's.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

_BATCH, _MOMENTUM, _RATE, _DECAY, _BIASES = 1024, 0.85, 11.5, 0.0153, 64.0
_BIAS_EPOCHS, _SMOOTHING, _SHIFT = 3, 0.2, 2
_MEAN, _DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_RISE, _START, _END = 0.23, 0.2, 0.07


class _Norm(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad_(False)


class _Conv(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        with torch.no_grad():
            nn.init.dirac_(self.weight[:inputs])


def _network(patches: Tensor) -> nn.Sequential:
    first = nn.Conv2d(3, 24, 2)
    first.weight.requires_grad_(False)
    covariance = patches.T @ patches / len(patches)
    values, axes = torch.linalg.eigh(covariance.double().cpu())
    kernels = (axes / (values + 5e-4).sqrt()).T.flip(0).reshape(12, 3, 2, 2)
    with torch.no_grad():
        first.weight.copy_(torch.cat([kernels, -kernels]))
        first.bias.zero_()  # type: ignore[union-attr]
    layers: list[nn.Module] = [first, nn.GELU()]
    inputs = 24
    for outputs in (64, 256, 256):
        layers += [_Conv(inputs, outputs), nn.MaxPool2d(2), _Norm(outputs), nn.GELU()]
        layers += [_Conv(outputs, outputs), _Norm(outputs), nn.GELU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False))


def _prepared(images: Tensor, kind: torch.dtype) -> Tensor:
    mean, deviation = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (_MEAN, _DEVIATION))
    scaled = (images.permute(0, 3, 1, 2).float() / 255 - mean) / deviation
    return scaled.to(kind, memory_format=torch.channels_last)


def _epochs(images: Tensor, labels: Tensor, size: int) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Each image is mirrored in every other epoch, which of them by chance."""
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    padded = functional.pad(images.float(), [_SHIFT] * 4, "reflect").to(images.dtype)
    while True:
        mirrored = ~mirrored
        yield _batches(padded, labels, mirrored, size)


def _batches(padded: Tensor, labels: Tensor, mirrored: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    count, device = len(padded), padded.device
    offsets = torch.arange(32, device=device)
    top, left = (torch.randint(2 * _SHIFT + 1, (count, 1), device=device) for _ in range(2))
    for index in torch.randperm(count, device=device).split(size):
        rows, columns = top[index] + offsets, left[index] + offsets
        cut = padded[index[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        flipped = torch.where(mirrored[index].view(-1, 1, 1, 1), cut.flip(3), cut)
        yield flipped.contiguous(memory_format=torch.channels_last), labels[index]


def train(images: Tensor, labels: Tensor, epochs: float, scale: int = _BATCH) -> nn.Module:
    """The network for images [n, 32, 32, 3] uint8 and labels [n], on their device, after that many epochs."""
    kind = torch.float16 if images.is_cuda else torch.float32
    inputs = _prepared(images, kind)
    patches = functional.unfold(inputs[:5000].float(), 2).transpose(1, 2).reshape(-1, 12)
    network = _network(patches).to(images.device, kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in network.modules():
        if isinstance(layer, _Norm):
            layer.float()
    batch = min(scale, len(images))
    steps_per_epoch = -(-len(images) // batch)
    total = max(1, round(epochs * steps_per_epoch))
    steps = _BATCH * (1 + 1 / (1 - _MOMENTUM))  # by which the paper's rates are divided
    rate, decay = _RATE / steps, _DECAY * _BATCH / steps
    trained = [each for each in network.parameters() if each.requires_grad]
    biases = [each for layer in network if isinstance(layer, _Norm) for each in [layer.bias]]
    others = [each for each in trained if not any(each is bias for bias in biases)]
    groups = [{"params": biases, "lr": rate * _BIASES, "weight_decay": decay / (rate * _BIASES)},
              {"params": others, "lr": rate, "weight_decay": decay / rate}]  # fmt: skip
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=_MOMENTUM, nesterov=True, fused=images.is_cuda)
    first = [group["lr"] for group in optimizer.param_groups]
    averages = [each.detach().clone() for each in network.state_dict().values() if each.is_floating_point()]
    step, network = 0, network.train()
    for epoch, batches in enumerate(_epochs(inputs, labels, batch)):
        network[0].bias.requires_grad_(epoch < _BIAS_EPOCHS)  # type: ignore[union-attr]
        for x, y in batches:
            for group, own in zip(optimizer.param_groups, first, strict=True):
                group["lr"] = own * _factor(step, total)
            outputs = network(x) / 9
            functional.cross_entropy(outputs.float(), y, label_smoothing=_SMOOTHING, reduction="sum").backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % 5 == 0 or step == total:
                _look_ahead(network, averages, 1.0 if step == total else 0.95**5 * (step / total) ** 3, step == total)
            if step == total:
                return network.eval()
    raise AssertionError("epochs have no end")


def _factor(step: int, total: int) -> float:
    way, peak = step / total, _RISE
    if way < peak:
        return _START + (1 - _START) * way / peak
    return 1 - (1 - _END) * (way - peak) / (1 - peak)


@torch.no_grad()
def _look_ahead(network: nn.Module, averages: list[Tensor], decay: float, last: bool) -> None:
    """Averages follow the weights, which then continue from them; at the end the weights become the averages."""
    current = [each for each in network.state_dict().values() if each.is_floating_point()]
    for own, average in zip(current, averages, strict=True):
        if not last:
            average.lerp_(own, 1 - decay)
        own.copy_(average)


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Of the mean over six views: the image, and with half its weight two shifts by a pixel, each mirrored too."""
    right = 0
    for part, wanted in zip(images.split(2000), labels.split(2000)):
        x = _prepared(part, next(network.parameters()).dtype)
        padded = functional.pad(x.float(), [1] * 4, "reflect").to(x.dtype)
        views = [(x, 0.5), (padded[:, :, 0:32, 0:32], 0.25), (padded[:, :, 2:34, 2:34], 0.25)]
        logits = sum(weight * (network(view) + network(view.flip(3))).float() for view, weight in views)
        right += int((torch.as_tensor(logits).argmax(1) == wanted).sum())
    return right / len(labels)
