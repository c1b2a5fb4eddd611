"""The number of rows per class, and the probability with which each row is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

_POWERS = {"balanced": 0.0, "sqrt": 0.5}


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """[classes] int64 the rows of each class, of labels [n] int64 on the CPU.

    Raises:
        GencliError: a label is outside 0 ... classes - 1.
    """
    from gencli.files.tables import check_labels

    check_labels(labels.numpy(), classes, "the training rows")
    return labels.bincount(minlength=classes)


def resample_weights(labels: Tensor, classes: int, how: Literal["balanced", "sqrt"]) -> Tensor:
    """[n] float64 the probability of each row, summing to 1, of labels [n] int64 on the CPU.

    A class of n_c rows is drawn with probability n_c^q / sum_k n_k^q over the classes that have rows, q being 0
    (`balanced`: all classes alike) or 1/2 (`sqrt`), and in it all rows alike. An epoch is n draws with replacement:
    `torch.multinomial(weights, n, replacement=True)`.

    Kang, Xie, Rohrbach, Yan, Gordo, Feng, Kalantidis 2020, arXiv:1910.09217, eq. 1.

    Raises:
        GencliError: a label is outside 0 ... classes - 1.
    """
    power, counts = _POWERS[how], class_counts(labels, classes).double()
    return counts.pow(power - 1)[labels] / counts[counts > 0].pow(power).sum()
