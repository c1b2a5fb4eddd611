"""Losses of classification. In their formulas z are a row's outputs, y its label, C the classes, n_c class c's rows."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gencli.errors import GencliError
from gencli.losses.base import CountedLoss, Head, Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gencli.losses.base import RowLoss

FocalForm = Literal["sigmoid", "softmax"]
_SCALE = 30  # what the cosine head multiplies by
_LARGEST_MARGIN = 0.5
_DEFERRED_BETA = 0.9999
_LOG_ZERO = math.log(1e-4)  # of the reverse cross-entropy


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of the softmax.

    -log p_y with p = softmax(z). With --label-smoothing E the target is 1 - E at the label and E / C at each of the C
    classes more: -(1 - E) log p_y - (E / C) sum_c log p_c.

    Source of the smoothing: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016, arXiv:1512.00567, section 7.
    """

    name = "ce"
    label_smoothing: float = 0.0

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        from gencli.losses import functions

        return lambda outputs, labels: functions.cross_entropy(outputs, labels, self.label_smoothing)


@dataclass(frozen=True)
class Focal(Loss):
    """Focal loss: rows that are predicted well count less.

    sum_c -(1 - q_c)^gamma log q_c, where q_c is sigmoid(z_c) for the label and 1 - sigmoid(z_c) for the other classes;
    at --gamma 0 the sigmoid cross-entropy. With --focal-form softmax: -(1 - p_y)^gamma log p_y, p = softmax(z); at
    --gamma 0 ce. The default gamma, 2, is the paper's. There is no alpha: cb-focal weighs the classes.

    Source: Lin, Goyal, Girshick, He, Dollar 2017, arXiv:1708.02002, eq. 4; softmax: Mukhoti, Kulharia, Sanyal,
    Golodetz, Torr, Dokania 2020, arXiv:2002.09437.
    """

    name = "focal"
    gamma: float = 2.0
    focal_form: FocalForm = "sigmoid"

    @property
    def head(self) -> Head:
        return "sigmoid" if self.focal_form == "sigmoid" else "linear"

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        from gencli.losses import functions

        focal = functions.sigmoid_focal if self.focal_form == "sigmoid" else functions.softmax_focal
        return lambda outputs, labels: focal(outputs, labels, self.gamma)


@dataclass(frozen=True)
class Square(Loss):
    """Squared error to the label's one-hot row.

    sum_c (z_c - [c = y])^2 / 2 of the outputs as they are, no softmax; the mean over rows is the loss of Cohen, Kaur,
    Li, Kolter, Talwalkar 2021, arXiv:2103.00065, whose code sums over the classes. Measures that take probabilities,
    such as calibration, still take the softmax of z.

    Source: Hui, Belkin 2021, arXiv:2006.07322, without the rescaling.
    """

    name = "square"

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        from gencli.losses import functions

        return functions.square


@dataclass(frozen=True)
class GeneralizedCrossEntropy(Loss):
    """Generalized cross-entropy: bounded, wrong labels pull less.

    (1 - p_y^q) / q with p = softmax(z), q being --gce-q: at 1 the mean absolute error 1 - p_y, towards 0 ce. The
    default, 0.7, is the paper's; the truncated form is not part of it.

    Source: Zhang, Sabuncu 2018, arXiv:1805.07836, eq. 6.
    """

    name = "gce"
    gce_q: float = 0.7

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        from gencli.losses import functions

        return lambda outputs, labels: functions.generalized(outputs, labels, self.gce_q)


@dataclass(frozen=True)
class SymmetricCrossEntropy(Loss):
    """Symmetric cross-entropy: ce and its reverse, for noisy labels.

    -a log p_y - b sum_c p_c log t_c with p = softmax(z), t the one-hot label and log 0 = A = log 1e-4, as in the
    authors' code, so that the second part is -b A (1 - p_y). --ce-weight is a and --reverse-weight b; the defaults,
    0.1 and 1, are the authors' for CIFAR-10.

    Source: Wang, Ma, Chen, Luo, Yi, Bailey 2019, arXiv:1908.06112.
    """

    name = "sce"
    ce_weight: float = 0.1
    reverse_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.ce_weight or self.reverse_weight):
            raise GencliError("--ce-weight and --reverse-weight: both are 0, and so is sce", "give one above 0")

    def at(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> RowLoss:
        from gencli.losses import functions

        reverse = self.reverse_weight * -_LOG_ZERO
        return lambda outputs, labels: functions.symmetric(outputs, labels, self.ce_weight, reverse)


class ClassBalanced(CountedLoss):
    """A loss times w_y, w_c being in proportion to (1 - beta) / (1 - beta^n_c)."""

    beta: float

    @property
    @abstractmethod
    def unweighted(self) -> Loss:
        """The loss that the weights multiply."""

    @property
    def head(self) -> Head:
        return self.unweighted.head

    def balanced(self, counts: Tensor, epoch: int, dtype: torch.dtype | None) -> RowLoss:
        from gencli.losses import functions

        loss, weights = self.unweighted.at(counts, epoch, dtype), functions.class_weights(counts, self.beta, dtype)
        return lambda outputs, labels: weights[labels] * loss(outputs, labels)


@dataclass(frozen=True)
class ClassBalancedCrossEntropy(ClassBalanced):
    """Class-balanced cross-entropy of the softmax.

    -w_y log p_y with p = softmax(z) and w_c in proportion to (1 - beta) / (1 - beta^n_c), the inverse of the effective
    number of class c's rows. The weights of the classes with rows sum to their number; a class without has weight 0.
    The default beta, 0.9999, is the paper's best on long-tailed CIFAR-10; tune it evenly in log(1 - beta).

    Source: Cui, Jia, Lin, Song, Belongie 2019, arXiv:1901.05555, section 4.1.
    """

    name = "cb-ce"
    beta: float = 0.9999

    @property
    def unweighted(self) -> Loss:
        return CrossEntropy()


@dataclass(frozen=True)
class ClassBalancedFocal(ClassBalanced):
    """Class-balanced focal loss.

    w_y times focal, whose gamma and forms it has, with the weights of cb-ce. The default gamma, 2, is Lin et al.'s;
    Cui et al. choose among 0.5, 1 and 2.

    Source: Cui, Jia, Lin, Song, Belongie 2019, arXiv:1901.05555, section 4.3.
    """

    name = "cb-focal"
    beta: float = 0.9999
    gamma: float = 2.0
    focal_form: FocalForm = "sigmoid"

    @property
    def unweighted(self) -> Loss:
        return Focal(self.gamma, self.focal_form)


@dataclass(frozen=True)
class ClassBalancedSigmoid(ClassBalanced):
    """Class-balanced cross-entropy of a sigmoid per class.

    w_y sum_c -log q_c, where q_c is sigmoid(z_c) for the label and 1 - sigmoid(z_c) for the other classes, with the
    weights of cb-ce.

    Source: Cui, Jia, Lin, Song, Belongie 2019, arXiv:1901.05555, section 4.2.
    """

    name = "cb-sigmoid"
    beta: float = 0.9999

    @property
    def unweighted(self) -> Loss:
        return Focal(0.0)


@dataclass(frozen=True)
class LogitAdjusted(CountedLoss):
    """Cross-entropy of outputs shifted by the classes' log frequencies.

    -log(exp(z_y + tau log pi_y) / sum_c exp(z_c + tau log pi_c)) with pi_c = n_c / n; predictions are made from z
    unshifted. A class without rows is left out of the sum, and a row of it that is evaluated has loss 0. The default
    tau, 1, is the paper's; 0 is ce.

    Source: Menon, Jayasumana, Rawat, Jain, Veit, Kumar 2021, arXiv:2007.07314.
    """

    name = "logit-adjusted"
    tau: float = 1.0

    def balanced(self, counts: Tensor, epoch: int, dtype: torch.dtype | None) -> RowLoss:
        from gencli.losses import functions

        adjustment = (
            functions.log_frequencies(counts, dtype) * self.tau if self.tau else functions.numbers(counts, dtype) * 0
        )
        return lambda outputs, labels: functions.adjusted(outputs, labels, adjustment)


@dataclass(frozen=True)
class BalancedSoftmax(CountedLoss):
    """Cross-entropy of a softmax weighted by the classes' rows.

    -log(n_y exp(z_y) / sum_c n_c exp(z_c)); predictions are made from z. It is logit-adjusted at --tau 1, also in
    what it does with classes without rows.

    Source: Ren, Yu, Sheng, Ma, Zhao, Yi, Li 2020, arXiv:2007.10740.
    """

    name = "balanced-softmax"

    def balanced(self, counts: Tensor, epoch: int, dtype: torch.dtype | None) -> RowLoss:
        return LogitAdjusted().balanced(counts, epoch, dtype)


@dataclass(frozen=True)
class LDAM(CountedLoss):
    """Label-distribution-aware margins: rare classes get larger ones.

    -log(exp(z_y - s m_y) / (exp(z_y - s m_y) + sum_{c != y} exp(z_c))), m_c in proportion to n_c^(-1/4), the largest
    0.5. z is s = 30 times the cosine of features and weights: the network's last layer is normalized. A class without
    rows has margin 0 and does not count for the largest. With --deferred-reweighting EPOCH the mean over rows is, after
    that epoch, weighted by the weights w of cb-ce at beta 0.9999, sum_i w_i l_i / sum_i w_i over the rows of the batch,
    as in the authors' code; otherwise never.

    Source: Cao, Wei, Gaidon, Arechiga, Ma 2019, arXiv:1906.07413.
    """

    name = "ldam"
    deferred_reweighting: int | None = None

    @property
    def head(self) -> Head:
        return "cosine"

    def balanced(self, counts: Tensor, epoch: int, dtype: torch.dtype | None) -> RowLoss:
        from gencli.losses import functions

        margins = _SCALE * _LARGEST_MARGIN * functions.class_margins(counts, dtype)
        weights = self.row_weights(counts, epoch, dtype)
        if weights is None:
            return lambda outputs, labels: functions.with_margins(outputs, labels, margins)
        return lambda outputs, labels: weights[labels] * functions.with_margins(outputs, labels, margins)

    def row_weights(self, counts: Tensor | None, epoch: int, dtype: torch.dtype | None = None) -> Tensor | None:
        from gencli.losses import functions

        if self.deferred_reweighting is None or epoch <= self.deferred_reweighting:
            return None
        return functions.class_weights(self.known(counts), _DEFERRED_BETA, dtype)
