"""Kernels by name: functions of two images' inner product and squared norms, computed in place on tiles.

A kernel first maps rows of pixels/255 to points, most of them to themselves; k(x, x') is then elementwise in ⟨x, x'⟩,
‖x‖² and ‖x'‖² of points. One class a kernel, and an entry in `KERNELS`, give it to `gencli fit kernel` and model files.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gencli.errors import GencliError, nearest
from gencli.randomness import derive

if TYPE_CHECKING:
    import torch

Shape = tuple[int, int, int]  # height, width, channels
Values = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
_AT_ONCE = 1 << 18  # elements of a tile, which stay in the cache with what is computed from them
_SAME = 16  # roundings: nearer than that, two points count as one (measured on CIFAR-10 and MNIST: at most 9)


@dataclass(frozen=True)
class Kernel(ABC):
    """A kernel with its number.

    Attributes:
        name, form, example: as users write it.
        effect: k(x, x') in a few words.
        linear: it is the inner product of points, so that K's rank is theirs at most.
        zero: it is 0 wherever a point is 0.
    """

    name: ClassVar[str]
    form: ClassVar[str]
    example: ClassVar[str]
    effect: ClassVar[str]
    linear: ClassVar[bool] = False
    zero: ClassVar[bool] = True

    @classmethod
    def of(cls, number: str | None, seed: int) -> Self:
        """The kernel of the words behind its colon, None where there is no colon.

        Raises:
            ValueError: they are not its form's.
        """
        if number is not None:
            raise ValueError
        return cls()

    def facts(self) -> dict[str, Any]:
        """What a model file says of it: `read` takes this."""
        return {"kernel": self.name}

    @property
    def word(self) -> str:
        """As on the command line, such as gaussian:0.02."""
        return self.form

    def dimension(self, shape: Shape) -> int:
        """The number of coordinates of points of images of this shape."""
        return math.prod(shape)

    def points(self, pixels: torch.Tensor, shape: Shape) -> torch.Tensor:
        """Points [n, dimension] of images as rows [n, height·width·channels] of value/255, float32 or float64."""
        return pixels

    @abstractmethod
    def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """k of points by their inner products [m, n], which it may overwrite, and squared norms [m, 1] and [n]."""

    def matrix(self, x: torch.Tensor, y: torch.Tensor, derived: bool = False) -> torch.Tensor:
        """k(x_i, y_j) of points [m, d] and [n, d] of one dtype: [m, n], in their dtype.

        There is no other matrix that large, unless it is to be derived by x: in place nothing is.
        """
        products, left, right = x @ y.T, x.square().sum(1, keepdim=True), y.square().sum(1)
        if derived:
            return self.values(products, left, right)
        step = max(1, _AT_ONCE // max(1, len(y)))
        for part, norms in zip(products.split(step), left.split(step)):
            part.copy_(self.values(part, norms, right))
        return products


@dataclass(frozen=True)
class _Scaled(Kernel):
    """A kernel with a positive scale, as a function of the distance of points."""

    zero = False
    scale: float

    @classmethod
    def of(cls, number: str | None, seed: int) -> Self:
        plain = re.fullmatch(r"\d*\.?\d+(e[+-]?\d+)?|\d+\.", number or "", re.ASCII)
        if not plain or not 0 < float(plain[0]) < math.inf:
            raise ValueError
        return cls(float(plain[0]))

    def facts(self) -> dict[str, Any]:
        return {"kernel": self.name, "scale": self.scale}

    @property
    def word(self) -> str:
        short = f"{self.scale:g}"
        return f"{self.name}:{short if float(short) == self.scale else repr(self.scale)}"


class Gaussian(_Scaled):
    """exp(−scale ‖x − x'‖²)."""

    name, form, example = "gaussian", "gaussian:SCALE", "gaussian:0.02"
    effect = "exp(-SCALE |x - x'|^2)"

    def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return products.mul_(-2).add_(left).add_(right).clamp_(min=0).mul_(-self.scale).exp_()


class Laplace(_Scaled):
    """exp(−scale ‖x − x'‖).

    Its slope at distance 0 would show the rounding of ‖x − x'‖² there: what is below that counts as 0.
    """

    name, form, example = "laplace", "laplace:G", "laplace:0.1"
    effect = "exp(-G |x - x'|)"

    def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        lengths = left + right
        distances = products.mul_(-2).add_(lengths)
        same = distances < lengths.mul_(_SAME * _rounding(products))
        return distances.masked_fill_(same, 0).sqrt_().mul_(-self.scale).exp_()


@dataclass(frozen=True)
class Linear(Kernel):
    """⟨x, x'⟩."""

    name = form = example = "linear"
    effect = "<x, x'>"
    linear = True

    def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return products


@dataclass(frozen=True)
class _Infinite(Kernel):
    """Of a ReLU network of `depth` hidden layers without biases, as their width grows without bound.

    Its weights are √(2 / fan-in) times standard normal numbers w (He scaling, in every layer, the last included); the
    gradient is that by w. So points are x √(2/d), and with the angle θ of two of them and c = cos θ, layer by layer

        Σ ← κ₁(c),  κ₁(c) = (sin θ + (π − θ) cos θ) / π   and   Θ ← κ₁(c) + Θ κ₀(c),  κ₀(c) = (π − θ) / π,

    from Σ = Θ = c on, where c is the Σ of the layer before; k is (2/d) ‖x‖ ‖x'‖ times the last of them. Cho, Saul
    2009, "Kernel methods for deep learning"; Jacot, Gabriel, Hongler 2018, arXiv:1806.07572. κ₀ is as steep as
    a root at θ = 0, so that rounding would show there: c that rounding may have moved from 1 counts as 1.
    """

    depth: int

    @classmethod
    def of(cls, number: str | None, seed: int) -> Self:
        return cls(_count(number, 100))

    def facts(self) -> dict[str, Any]:
        return {"kernel": self.name, "depth": self.depth}

    @property
    def word(self) -> str:
        return f"{self.name}:{self.depth}"

    def points(self, pixels: torch.Tensor, shape: Shape) -> torch.Tensor:
        return pixels * math.sqrt(2 / math.prod(shape))

    def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        lengths = left.sqrt() * right.sqrt()
        cosines = products.div_(lengths).masked_fill_(lengths == 0, 0).clamp_(min=-1)
        cosines = cosines.masked_fill_(cosines > 1 - _SAME * _rounding(products), 1)
        return self._layers(cosines).mul_(lengths)

    @abstractmethod
    def _layers(self, cosines: torch.Tensor) -> torch.Tensor:
        """k over the product of lengths; may overwrite the cosines."""


class ArcCosine(_Infinite):
    """The covariance of the outputs of random networks."""

    name, form, example = "arccos", "arccos:DEPTH", "arccos:2"
    effect = "E f(x) f(x') of random ReLU networks f of DEPTH hidden layers, infinitely wide (NNGP)"

    def _layers(self, cosines: torch.Tensor) -> torch.Tensor:
        for _ in range(self.depth):
            cosines = _covariance(cosines, cosines.arccos())
        return cosines


class NeuralTangent(_Infinite):
    """The inner product of the gradients of such networks, of all layers."""

    name, form, example = "ntk", "ntk:DEPTH", "ntk:2"
    effect = "<grad f(x), grad f(x')> of such networks (the neural tangent kernel)"

    def _layers(self, cosines: torch.Tensor) -> torch.Tensor:
        tangent = cosines.clone()
        for _ in range(self.depth):
            angles = cosines.arccos()
            cosines = _covariance(cosines, angles)
            tangent = tangent.mul_(angles.div_(-math.pi).add_(1)).add_(cosines)
        return tangent


def _covariance(cosines: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """κ₁ in place, 1 at 1 exactly: c + (sin θ − θ c) / π."""
    rest = angles.sin().addcmul_(angles, cosines, value=-1)
    return cosines.add_(rest, alpha=1 / math.pi).clamp_(-1, 1)


@dataclass(frozen=True)
class RandomConvolution(Kernel):
    """Linear on random convolutional features: the mean of ±⟨w, p⟩ above 0 over the patches p of each of 2×2 regions.

    Patches of 6×6 have their mean subtracted and are divided by √(variance + 10/255²); each filter w is normal, of
    `filters`, drawn by `seed`, and gives two features a region, of w and −w. Coates, Lee, Ng 2011, "An analysis of
    single-layer networks in unsupervised feature learning"; Zhang et al. 2017, section 5, had 32,000 filters, whose
    size, pooling and patches they do not state. No whitening: the features depend on no other row.
    """

    name, form, example = "random-conv", "random-conv:FILTERS", "random-conv:512"
    effect = "<z, z'>, z the means over 2x2 regions of max(0, +-<w, patch>), w FILTERS random 6x6 filters"
    linear = True
    filters: int
    seed: int = 0

    @classmethod
    def of(cls, number: str | None, seed: int) -> Self:
        return cls(_count(number, 1 << 16), seed)

    def facts(self) -> dict[str, Any]:
        return {"kernel": self.name, "filters": self.filters, "seed": self.seed}

    @property
    def word(self) -> str:
        return f"{self.name}:{self.filters}"

    def dimension(self, shape: Shape) -> int:
        return 2 * self.filters * math.prod(min(2, side) for side in self._places(shape))

    def points(self, pixels: torch.Tensor, shape: Shape) -> torch.Tensor:
        import torch
        from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d

        places = self._places(shape)
        patch = tuple(min(6, side) for side in shape[:2])
        cells = min(2, places[0]), min(2, places[1])
        random = np.random.Generator(np.random.Philox(derive(self.seed, self.name)))
        drawn = torch.from_numpy(random.standard_normal((self.filters, shape[2], *patch), np.float32)).to(pixels)
        drawn = drawn - drawn.mean((1, 2, 3), keepdim=True)  # ⟨w, p − mean p⟩ = ⟨w − mean w, p⟩
        drawn /= math.sqrt(drawn[0].numel() * self.filters)
        made = pixels.new_empty(len(pixels), self.dimension(shape))
        step = max(1, (1 << 22) // (self.filters * math.prod(places)))
        for part, out in zip(pixels.split(step), made.split(step)):
            images = part.view(-1, *shape).permute(0, 3, 1, 2)
            means, squares = (avg_pool2d(each.mean(1, keepdim=True), patch, 1) for each in (images, images.square()))
            deviations = (squares - means.square()).clamp_(min=0).add_(10 / 255**2).sqrt_()
            found = conv2d(images, drawn).div_(deviations)
            halves = (adaptive_avg_pool2d(each.clamp(min=0), cells).flatten(1) for each in (found, found.neg()))
            torch.cat(list(halves), 1, out=out)
        return made

    def values(self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return products

    @staticmethod
    def _places(shape: Shape) -> tuple[int, int]:
        return max(1, shape[0] - 5), max(1, shape[1] - 5)


def _count(number: str | None, most: int) -> int:
    found = re.fullmatch(r"[1-9]\d{0,8}", number or "", re.ASCII)
    if not found or int(found[0]) > most:
        raise ValueError
    return int(found[0])


def _rounding(like: torch.Tensor) -> float:
    import torch

    return torch.finfo(like.dtype).eps


KERNELS: dict[str, type[Kernel]] = {
    kind.name: kind for kind in (Gaussian, Linear, Laplace, ArcCosine, NeuralTangent, RandomConvolution)
}


def parse(word: str, seed: int = 0) -> Kernel:
    """The kernel that a word names, such as gaussian:0.02.

    Args:
        seed: of its random numbers, where it has any.

    Raises:
        GencliError: there is none of the name, or its number is not one that it takes.
    """
    name, colon, number = word.partition(":")
    if name not in KERNELS:
        raise GencliError(f"--kernel: no kernel {name!r}", nearest(name, KERNELS))
    kind = KERNELS[name]
    try:
        return kind.of(number if colon else None, seed)
    except ValueError:
        right = f"give {kind.form}, such as {kind.example}" if kind.form != name else f"give {name}, without a number"
        raise GencliError(f"--kernel: {word!r} is not a kernel", right) from None


def read(facts: dict[str, Any]) -> Kernel:
    """The kernel that a model file's facts tell, see `Kernel.facts`.

    Raises:
        KeyError, TypeError, ValueError: they are no kernel's.
    """
    numbers = dict(facts)
    made = KERNELS[numbers.pop("kernel")](**numbers)
    if any(type(value) not in (int, float) for value in numbers.values()) or made.facts() != facts:
        raise ValueError
    return type(made).of(made.word.partition(":")[2] or None, numbers.get("seed", 0))
