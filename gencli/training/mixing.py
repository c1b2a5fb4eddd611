"""Pairs of a batch's images as one, whose losses are mixed in the same shares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gencli.counts import number
from gencli.errors import GencliError, nearest
from gencli.files.tensors import sent
from gencli.losses import Loss
from gencli.losses.base import CountedLoss
from gencli.randomness import Draws


@dataclass(frozen=True)
class Mixing(ABC):
    """Each image of a batch mixed with the one that a uniform permutation pairs it with, all in one share.

    A row's own image has the larger share. Where the papers' draw gives it the smaller one, the pair swaps roles; since
    the inverse of a uniform permutation is one too, the mixed images of a batch are distributed as theirs.
    """

    name: ClassVar[str]
    alpha: float

    @abstractmethod
    def pair(self, images: Tensor, partners: Tensor, random: np.random.Generator) -> tuple[Tensor, float]:
        """Images [n, channels, height, width] mixed with their partners [n] int64, and the share of their own."""


@dataclass(frozen=True)
class Mixup(Mixing):
    """s x + (1 - s) x', s from Beta(alpha, alpha), one of a batch.

    Zhang, Cisse, Dauphin, Lopez-Paz 2018, arXiv:1710.09412; alpha 1 on CIFAR-10.
    """

    name = "mixup"

    def pair(self, images: Tensor, partners: Tensor, random: np.random.Generator) -> tuple[Tensor, float]:
        share = random.beta(self.alpha, self.alpha)
        share = max(share, 1 - share)
        return images[partners].lerp_(images, share), share


@dataclass(frozen=True)
class Cutmix(Mixing):
    """x but for a rectangle of x', of sides sqrt(1 - s) of the image's, s from Beta(alpha, alpha), one of a batch.

    Its centre is uniform over the pixels and it is cut off at the edges; the shares are those of the pixels. Every
    batch is mixed. Yun, Han, Oh, Chun, Choe, Yoo 2019, arXiv:1905.04899, with alpha 1, mix half of the batches on
    CIFAR-10 and all on ImageNet.
    """

    name = "cutmix"

    def pair(self, images: Tensor, partners: Tensor, random: np.random.Generator) -> tuple[Tensor, float]:
        side = math.sqrt(1 - random.beta(self.alpha, self.alpha))
        (top, bottom), (left, right) = (_cut(length, side, random) for length in images.shape[2:])
        inside = (bottom - top) * (right - left) / images.shape[2:].numel()
        others = images[partners]
        mixed, patch = (others, images) if inside > 0.5 else (images.clone(), others)
        mixed[..., top:bottom, left:right] = patch[..., top:bottom, left:right]
        return mixed, max(inside, 1 - inside)


def _cut(length: int, side: float, random: np.random.Generator) -> tuple[int, int]:
    half, centre = int(length * side) // 2, int(random.integers(length))
    return max(centre - half, 0), min(centre + half, length)


MIXINGS: dict[str, type[Mixing]] = {kind.name: kind for kind in (Mixup, Cutmix)}


def parse(text: str | None, loss: Loss) -> Mixing | None:
    """What `mixup:0.2` names, alpha 1 where none is given.

    Raises:
        GencliError: an unknown name, an alpha out of range, or a loss that has no mixture of labels.
    """
    if text is None:
        return None
    name, colon, given = text.partition(":")
    if name not in MIXINGS:
        raise GencliError(f"--mix: no mixing {name!r}", nearest(name, MIXINGS))
    try:
        alpha = number(given) if colon else 1.0
    except ValueError:
        alpha = math.nan
    if not 1e-3 <= alpha <= 1e3:  # beyond it shares are 1 or 1/2 but for rounding
        raise GencliError(f"--mix: {text!r}: no such alpha", "give a number from 0.001 to 1000, such as mixup:0.2")
    if loss.task == "images":
        raise GencliError(f"--mix: {loss.name} compares images, which have no labels to mix", "omit it")
    if isinstance(loss, CountedLoss):
        raise GencliError(
            f"--mix: {loss.name} treats a row by the class of its one label, which a mixed row does not have",
            "omit it, or use another --loss, such as ce",
        )
    return MIXINGS[name](alpha)


def mixed(mixing: Mixing, images: Tensor, seeds: Sequence[int], step: int) -> tuple[Tensor, Tensor, Tensor]:
    """A step's images [networks · rows, channels, height, width], mixed for each network by its seed.

    Returns:
        The images; the place of each one's partner [n] int64; and the share [n] float32 of its own.
    """
    rows, parts = len(images) // len(seeds), list[Tensor]()
    partners, shares = list[Tensor](), list[float]()
    for run, (own, seed) in enumerate(zip(images.chunk(len(seeds)), seeds, strict=True)):
        (random,) = Draws(seed, "mix").rows(np.array([step]))
        places = sent(torch.from_numpy(random.permutation(rows)), images.device)
        part, share = mixing.pair(own, places, random)
        parts.append(part)
        partners.append(places + run * rows)
        shares.append(share)
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return whole, torch.cat(partners), sent(torch.tensor(shares).repeat_interleave(rows), images.device)
