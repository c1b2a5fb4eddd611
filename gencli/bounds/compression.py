"""The compression certificate: a network in few bits, trained in a random subspace, quantized and coded."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from gencli.bounds import certificates
from gencli.bounds.certificates import Certificate
from gencli.bounds.coding import decode, encode
from gencli.bounds.settings import CompressionSettings
from gencli.errors import GencliError
from gencli.evaluation.runs import initial_seed
from gencli.models import Model
from gencli.models.base import functional_call
from gencli.models.inputs import Rows
from gencli.randomness import derive

_COUNT, _LEVELS, _VALUE = 32, 9, 16  # bits of the number of symbols, of how many kinds, and of a value's float16
_LLOYD = 50  # rounds that place the values


class Subspace:
    """Weights w₀ + P z: each weight is one coordinate of z with a random sign, P's columns of norm one.

    Chen et al. 2015, arXiv:1504.04788; of Li et al. 2018, arXiv:1804.08838, the subspace. It depends on the network's
    seed alone. Of dimension 0, z is the weights' own differences.
    """

    def __init__(self, before: nn.Module, dimension: int, seed: int) -> None:
        self.start = {name: each.detach() for name, each in before.named_parameters() if each.requires_grad}
        count = sum(each.numel() for each in self.start.values())
        self.size = min(dimension, count) or count
        device = next(iter(self.start.values())).device
        self._place = self._factor = None
        if self.size < count:
            random = torch.Generator().manual_seed(derive(seed, "subspace"))
            place = torch.randperm(count, generator=random) % self.size
            signs = torch.randint(0, 2, (count,), generator=random) * 2.0 - 1
            self._place = place.to(device)
            self._factor = (signs / torch.bincount(place, minlength=self.size)[place].sqrt()).to(device)

    def weights(self, z: torch.Tensor) -> dict[str, torch.Tensor]:
        """The parameters at z [size] float32."""
        moved = z if self._place is None or self._factor is None else z[self._place] * self._factor
        parts = moved.split([each.numel() for each in self.start.values()])
        return {name: each + part.view(each.shape) for (name, each), part in zip(self.start.items(), parts)}


def certify(
    model: Model,
    before: nn.Module,
    rows: Rows,
    test: Rows | None,
    asked: CompressionSettings,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Certificate, dict[str, torch.Tensor]]:
    """A certificate of the network that a code stands for, and the code [bytes] uint8.

    Args:
        before: the network before training, on the same device.
    """
    space = Subspace(before, asked.subspace, initial_seed(model) or 0)
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(asked.seed, "compression"))
        z = torch.zeros(space.size, device=rows.images.device)
        if not asked.subspace:
            own = dict(model.network.named_parameters())
            z = torch.cat([(own[name].detach() - each).flatten() for name, each in space.start.items()])
        symbols, values = _trained(space, model, rows, z, asked, progress)
    bits = written(symbols.tolist(), values)
    network = decoded(bits, space, before)
    errors, n = certificates.count_errors(model, network, rows), len(rows)
    length = certificates.code_length(len(bits))
    made = Certificate(
        "compression", certificates.finite_bound(errors, n, length, asked.delta), errors / n, n, asked.delta, errors, n,
        certificates.digest(rows), kl=length, parameters=model.parameters, bits=len(bits), coded=space.size,
        levels=asked.levels, subspace=asked.subspace,
    )  # fmt: skip
    tried = (certificates.count_errors(model, network, test), len(test)) if test else (0, 1)
    code = torch.tensor([int("".join(map(str, bits[at : at + 8])).ljust(8, "0"), 2) for at in range(0, len(bits), 8)])
    return certificates.with_test(made, test, *tried), {"code": code.to(torch.uint8)}


def _trained(
    space: Subspace,
    model: Model,
    rows: Rows,
    z: torch.Tensor,
    asked: CompressionSettings,
    progress: Callable[[int], None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Symbols [size] int64 and the values [levels] float16 that they stand for: z trained, then with rounding in it.

    In the last third of the epochs the loss is that of the nearest values, whose slopes z gets as if it were not
    rounded (Bengio, Léonard, Courville 2013, arXiv:1308.3432), and the values their own.
    """
    z = z.clone().requires_grad_(True)
    free, values = asked.epochs - asked.epochs // 3, None
    steps, done = asked.epochs * math.ceil(len(rows) / asked.batch_size), 0
    adam = torch.optim.Adam([z], lr=asked.lr)
    for epoch in range(asked.epochs):
        if epoch == free:
            values = _placed(z.detach(), asked.levels).requires_grad_(True)
            adam.add_param_group({"params": [values]})
        for part in torch.randperm(len(rows)).to(rows.labels.device).split(asked.batch_size):
            for group in adam.param_groups:
                group["lr"] = asked.lr * (1 + math.cos(math.pi * done / steps)) / 2
            used = z if values is None else values[_nearest(z.detach(), values.detach())] + z - z.detach()
            logits = functional_call(model.network, space.weights(used), (model.preprocessing(rows.images[part]),))
            adam.zero_grad()
            functional.cross_entropy(logits, rows.labels[part]).backward()
            adam.step()
            done += 1
            progress(done)
    found = z.detach()
    values = (_placed(found, asked.levels) if values is None else values.detach()).sort().values.half()
    if not (found.isfinite().all() and values.isfinite().all()):
        raise GencliError(f"{model.title}: the coded numbers overflow", "lower --lr")
    return _nearest(found, values.float()), values


def _nearest(z: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """[size] int64, the place of the value nearest to each."""
    ordered, places = values.sort()
    return places[torch.bucketize(z, (ordered[1:] + ordered[:-1]) / 2)]


def _placed(z: torch.Tensor, levels: int) -> torch.Tensor:
    """[levels] values with a small mean square distance to z [size]: Lloyd 1982."""
    values = torch.linspace(-2, 2, levels, device=z.device) * z.std(correction=0)
    for _ in range(_LLOYD):
        place = _nearest(z, values)
        count = torch.bincount(place, minlength=levels)
        sums = torch.zeros_like(values).index_add_(0, place, z)
        values = torch.where(count > 0, sums / count.clamp(min=1), values)
    return values


def written(symbols: list[int], values: torch.Tensor) -> list[int]:
    """The bits of all that the network is made from: how many symbols, the values [levels] float16, the symbols."""
    head = _bits(len(symbols), _COUNT) + _bits(len(values), _LEVELS)
    shown = values.cpu().view(torch.int16).tolist()
    return head + [bit for each in shown for bit in _bits(each & 0xFFFF, _VALUE)] + encode(symbols, len(values))


def decoded(bits: list[int], space: Subspace, before: nn.Module) -> nn.Module:
    """The network of a code, made from the one before training.

    Raises:
        GencliError: it is the code of another one.
    """
    count, kinds = _number(bits[:_COUNT]), levels(bits)
    start = _COUNT + _LEVELS
    end = start + kinds * _VALUE
    if count != space.size or not 0 < kinds <= 256 or len(bits) < end:
        raise GencliError(f"a code of {count:,} numbers, not {space.size:,}", "make the certificate again")
    numbers = [_number(bits[at : at + _VALUE]) for at in range(start, end, _VALUE)]
    values = torch.tensor([each - (each >> 15 << 16) for each in numbers], dtype=torch.int16).view(torch.float16)
    symbols = torch.tensor(decode(bits[end:], count, kinds))
    device = next(iter(space.start.values())).device
    weights = space.weights(values.float()[symbols].to(device))
    with torch.no_grad():
        for name, each in before.named_parameters():
            if name in weights:
                each.copy_(weights[name].clone())
    return before


def levels(bits: list[int]) -> int:
    """How many values the numbers of a code can have."""
    return _number(bits[_COUNT : _COUNT + _LEVELS])


def work(asked: CompressionSettings, rows: int) -> int:
    """The number of steps."""
    return asked.epochs * math.ceil(rows / asked.batch_size)


def _bits(number: int, count: int) -> list[int]:
    return [number >> place & 1 for place in reversed(range(count))]


def _number(bits: list[int]) -> int:
    return int("".join(map(str, bits)) or "0", 2)
