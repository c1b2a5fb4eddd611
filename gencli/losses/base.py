"""What a loss is: a frozen dataclass whose fields are its options and whose docstring has its formula and source."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal

from gencli.cli.options import dashed
from gencli.errors import GencliError
from gencli.losses.rows import class_counts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    RowLoss = Callable[[Tensor, Tensor], Tensor]

Task = Literal["classes", "images"]
Head = Literal["linear", "sigmoid", "cosine"]

_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "gamma": (lambda value: 0 <= value < math.inf, "0 or more"),
    "beta": (lambda value: 0 <= value < 1, "from 0 (equal weights) to below 1"),
    "label_smoothing": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "deferred_reweighting": (lambda value: value >= 0, "0 or more"),
    "tau": (lambda value: 0 <= value < math.inf, "0 or more"),
    "gce_q": (lambda value: 0 < value <= 1, "above 0 and up to 1"),
    "ce_weight": (lambda value: 0 <= value < math.inf, "0 or more"),
    "reverse_weight": (lambda value: 0 <= value < math.inf, "0 or more"),
    "delta": (lambda value: 0 < value < math.inf, "above 0"),
}


@dataclass(frozen=True)
class Loss(ABC):
    """A training loss, computed per row.

    Attributes:
        name: the loss's, the field's own.
        task: whether it compares outputs [n, classes] with labels [n] int64, or images with target images.

    Raises:
        GencliError: an option is out of range.
    """

    name: ClassVar[str]
    task: ClassVar[Task] = "classes"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            allowed, words = _RANGES.get(field.name, (lambda value: True, ""))
            if value is not None and not allowed(value):
                raise GencliError(f"{dashed(field.name)}: {value} is out of range", f"give a number {words}")

    @property
    def head(self) -> Head:
        """The last layer that the network needs.

        `sigmoid`: a bias that starts at -log(classes - 1); `cosine`: features and weights of length 1, times 30.
        """
        return "linear"

    def counts(self, labels: Tensor, classes: int) -> Tensor | None:
        """What `at` takes: [classes] int64 the rows of each class of all training labels [n] int64, on the CPU.

        None where images are compared.

        Raises:
            GencliError: a label is outside the classes, or there are too few classes to learn from.
        """
        if classes < 2:
            raise GencliError(
                f"--loss: {self.name} needs several classes, but the training table has one", "train on two or more"
            )
        return class_counts(labels, classes)

    @abstractmethod
    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        """The function of an epoch, from 1: (outputs, targets) -> [n] float32, each row's loss, in nats for classes.

        A step's loss is its mean over the batch, or what `over` makes of it. It is computed in float32 whatever
        precision the outputs have (float64 stays), and never waits for the device.

        Args:
            counts: what `counts` gave for the training rows, on the device of the outputs.
            dtype: of what the counts say, such as the classes' weights; float32 where None.
        """

    def row_weights(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> Tensor | None:
        """[classes] what a row of each class counts in the number of rows that a mean divides by; None for 1."""
        return None

    def over(self, counts: Tensor | None, epoch: int, labels: Tensor, dtype: torch.dtype | None = None) -> RowLoss:
        """`at`, scaled so that its mean over the rows of these labels [n] is the loss of all of them together.

        Args:
            labels: on the device of the counts; not read by losses without `row_weights`.
        """
        each, weights = self.at(counts, epoch, dtype), self.row_weights(counts, epoch, dtype)
        if weights is None:
            return each
        scale = len(labels) / weights[labels].sum()
        return lambda outputs, targets: scale * each(outputs, targets)


class CountedLoss(Loss):
    """A loss that depends on how many rows the classes have; a class may have none, not all but one."""

    def counts(self, labels: Tensor, classes: int) -> Tensor | None:
        counts = super().counts(labels, classes)
        if counts is not None and (counts > 0).sum() < 2:
            raise GencliError(
                f"--loss: {self.name} balances classes, but all training rows have the same class",
                "train on rows of two classes or more",
            )
        return counts

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        return self.balanced(self.known(counts), epoch, dtype)

    def known(self, counts: Tensor | None) -> Tensor:
        """The counts, which must be there."""
        if counts is None:
            raise TypeError(f"{self.name} depends on the rows of the classes")
        return counts

    @abstractmethod
    def balanced(self, counts: Tensor, epoch: int, dtype: torch.dtype | None) -> RowLoss:
        """`at`, with counts [classes] int64."""


def of_plugin(at: Callable[..., RowLoss]) -> Callable[..., RowLoss]:
    """The method `at` of a loss that is not ours, whose function is refused where it does not give each row's loss."""

    def checked(self: Loss, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        each = at(self, counts, epoch, dtype)

        def losses(outputs: Tensor, targets: Tensor) -> Tensor:
            import torch

            found = each(outputs, targets)
            wanted = torch.float64 if outputs.dtype == torch.float64 else torch.float32
            if not isinstance(found, torch.Tensor) or found.shape != outputs.shape[:1] or found.dtype != wanted:
                given = f"{found.dtype} {[*found.shape]}" if isinstance(found, torch.Tensor) else type(found).__name__
                raise GencliError(
                    f"--loss: {self.name} gives {given}, not each row's loss, {wanted} {[len(outputs)]}".replace(
                        "torch.", ""
                    ),
                    "take no mean, and compute with gencli.losses.functions.wide(outputs)",
                )
            return found

        return losses

    return checked
