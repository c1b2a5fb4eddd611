"""The measures of Jiang et al. 2020 and Dziugaite et al. 2020: each is one entry of `NAMED`. No torch is needed here.

A layer's A is its matrix with a batch norm right behind it taken in, A₀ the one before training, F(A) the Frobenius
norm of the weight, s its spectral norm, d their number, n the rows, m the margin (see `measures`). As in the code of
Dziugaite et al. 2020, a measure μ is √(μ/n), or where the formula is of its logarithm ½ (ln μ − ln n). The W weights
are w, biases left out; all trained parameters are p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gencli.evaluation.quantities import Quantities

DROP, EPSILON = 0.1, 1e-3  # of accuracy; of magnitude-aware noise
_JIANG, _CONFIDENCE = "Jiang et al. 2020, arXiv:1912.02178", 0.05
_ROBUST = "Dziugaite et al. 2020, arXiv:2010.11924"
_PAC_BAYES = "Neyshabur et al. 2017, arXiv:1706.08947; Jiang et al. 2020"
_SHARP = "Keskar et al. 2017, arXiv:1609.04836; Jiang et al. 2020"


ABOUT = (
    "A: a layer's matrix, a batch norm behind it taken in; A0: before training; F, s: its Frobenius and spectral norm; "
    "d: layers, one that is used twice being two, but of one weight in eq. 40 to 42; n: rows; m: margin; z: logits; w: "
    "weights without biases, W of them; p: all trained parameters; l: the cross-entropy of a row; e: 0.001; sigma, "
    "sigma': Gaussian noise on p of deviation sigma, or sqrt(sigma'^2 p^2 + e^2), that costs 0.1 of the accuracy; "
    "alpha, alpha': the worst noise of at most alpha, or alpha' |p| + e, likewise"
)


class Undefined(Exception):  # noqa: N818
    """Why a quantity is not defined, in words."""


@dataclass(frozen=True)
class Figure:
    """A value of a layer or of the whole network; or None, and a note why it is not defined."""

    measure: str
    value: float | None
    layer: str | None = None
    note: str | None = None

    @classmethod
    def of(cls, measure: str, value: float | str | None, layer: str | None = None) -> Figure:
        """A value, or why there is none."""
        if isinstance(value, str):
            return cls(measure, None, layer, value)
        if value is not None and not math.isfinite(value):
            return cls(measure, None, layer, "not a number" if math.isnan(value) else "too large for float64")
        return cls(measure, value, layer)


class _Value(Protocol):
    def __call__(self, q: Quantities, /) -> float: ...


@dataclass(frozen=True)
class Named:
    """A measure.

    Attributes:
        formula, unit, source: as `gencli eval --list-measures` shows them.
        value: from the quantities that it is made of; raises `Undefined` where one of them is not. None of those that
            `measures` and `flatness` compute together.
    """

    name: str
    formula: str
    unit: str
    source: str
    value: _Value | None = None

    def figure(self, quantities: Quantities) -> Figure:
        """Its value, or why there is none."""
        try:
            return Figure.of(self.name, None if self.value is None else self.value(quantities))
        except Undefined as why:
            return Figure.of(self.name, str(why))
        except OverflowError:
            return Figure.of(self.name, math.inf)


def _root(value: float, n: int) -> float:
    if value < 0:
        raise Undefined("the sum below the root is negative")
    return math.sqrt(value / n)


def _log(value: float) -> float:
    if value <= 0:
        raise Undefined("a norm is 0, and has no logarithm")
    return math.log(value)


def _halved(value: float, n: int) -> float:
    return (value - math.log(n)) / 2


def _product(norms: Callable[[Quantities], list[float]], over_margin: bool, summed: bool) -> _Value:
    """½ (ln Π N² − ln n), with − 2 ln m, or as the sum d · (Π N²)^(1/d)."""

    def value(q: Quantities) -> float:
        q.require_chain()
        found = sum(2 * _log(norm) for norm in norms(q)) - (2 * math.log(q.margin) if over_margin else 0.0)
        return _halved(math.log(q.depth) + found / q.depth if summed else found, q.n)

    return value


def _spectral(q: Quantities) -> list[float]:
    return q.spectral


def _frobenius(q: Quantities) -> list[float]:
    return q.frobenius


def _ratios(q: Quantities, norms: list[float]) -> float:
    q.require_chain()
    if not all(q.spectral):
        raise Undefined("a norm is 0")
    return sum((norm / spectral) ** 2 for norm, spectral in zip(norms, q.spectral, strict=True))


def _weights(q: Quantities, norms: list[float]) -> float:
    """√(Σ N² / n) over the weights, however often they are used."""
    return _root(sum(norm**2 for norm in q.of_weights(norms)), q.n)


def _main(q: Quantities, norms: list[float]) -> float:
    product = sum(2 * _log(norm) for norm in q.spectral) - 2 * math.log(q.margin)
    return _halved(product + _log(_ratios(q, norms)), q.n)


def _bound(q: Quantities, norm: float, factor: float, scale: float) -> float:
    """√((‖·‖² · factor + ln(n / scale) + 10) / n)."""
    return _root(norm**2 * factor + math.log(q.n / scale) + 10, q.n)


def _aware(q: Quantities, norm: float, scale: float, more: float) -> float:
    """√((¼ Σ ln((ε² + (scale² + more) ‖·‖² / W) / (ε² + scale² (w − w₀)²)) + ln(n / scale) + 10) / n)."""
    numerator = math.log(EPSILON**2 + (scale**2 + more) * norm**2 / q.weights)
    return _root((q.weights * numerator - q.log_moves(scale)) / 4 + math.log(q.n / scale) + 10, q.n)


def _spread(q: Quantities) -> float:
    return 4 * math.log(2 * q.weights / _CONFIDENCE)


def _vc(q: Quantities) -> float:
    d, side = q.depth, q.side
    capacity = d * math.log2(6 * d * side) ** 3 * q.convolved
    return 4000 * math.sqrt(capacity / q.n) + math.sqrt(math.log(1 / _CONFIDENCE) / q.n)


def _box(q: Quantities) -> float:
    return math.log(2 * q.weights) / (4 * q.box**2)


NAMED: tuple[Named, ...] = (
    Named("inverse_margin", "1 / (m sqrt n)", "1/logit", f"{_JIANG}, eq. 22", lambda q: _root(q.margin**-2, q.n)),
    Named("log_spectral_product", "(ln prod s^2 - ln n) / 2", "nat", f"{_JIANG}, eq. 32",
          _product(_spectral, False, False)),
    Named("log_spectral_product_over_margin", "(ln(prod s^2 / m^2) - ln n) / 2", "nat", f"{_JIANG}, eq. 31",
          _product(_spectral, True, False)),
    Named("log_spectral_sum", "(ln(d (prod s^2)^(1/d)) - ln n) / 2", "nat", f"{_JIANG}, eq. 35",
          _product(_spectral, False, True)),
    Named("log_spectral_sum_over_margin", "(ln(d (prod s^2 / m^2)^(1/d)) - ln n) / 2", "nat", f"{_JIANG}, eq. 34",
          _product(_spectral, True, True)),
    Named("log_spectral_initialization", "(ln(prod s^2 / m^2 * sum F(A - A0)^2 / s^2) - ln n) / 2", "nat",
          "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498; Jiang et al. 2020, eq. 29",
          lambda q: _main(q, q.moved_frobenius)),
    Named("log_spectral_origin", "(ln(prod s^2 / m^2 * sum F(A)^2 / s^2) - ln n) / 2", "nat",
          "Neyshabur, Bhojanapalli, Srebro 2018, arXiv:1707.09564; Jiang et al. 2020, eq. 30",
          lambda q: _main(q, q.frobenius)),
    Named("frobenius_over_spectral", "sqrt(sum F(A)^2 / s^2 / n)", "1", f"{_JIANG}, eq. 33",
          lambda q: _root(_ratios(q, q.frobenius), q.n)),
    Named("log_frobenius_product", "(ln prod F(A)^2 - ln n) / 2", "nat", f"{_JIANG}, eq. 37",
          _product(_frobenius, False, False)),
    Named("log_frobenius_product_over_margin", "(ln(prod F(A)^2 / m^2) - ln n) / 2", "nat", f"{_JIANG}, eq. 36",
          _product(_frobenius, True, False)),
    Named("log_frobenius_sum", "(ln(d (prod F(A)^2)^(1/d)) - ln n) / 2", "nat", f"{_JIANG}, eq. 39",
          _product(_frobenius, False, True)),
    Named("log_frobenius_sum_over_margin", "(ln(d (prod F(A)^2 / m^2)^(1/d)) - ln n) / 2", "nat", f"{_JIANG}, eq. 38",
          _product(_frobenius, True, True)),
    Named("weight_norm", "sqrt(sum F(A)^2 / n)", "1", f"{_JIANG}, eq. 42",
          lambda q: _weights(q, q.frobenius)),
    Named("frobenius_distance", "sqrt(sum F(A - A0)^2 / n)", "1", f"{_JIANG}, eq. 40",
          lambda q: _weights(q, q.moved_frobenius)),
    Named("spectral_distance", "sqrt(sum s(A - A0)^2 / n)", "1", f"{_JIANG}, eq. 41",
          lambda q: _weights(q, q.moved_spectral)),
    Named("path_norm_over_margin", "path_norm / (m sqrt n)", "1/logit", f"{_JIANG}, eq. 43",
          lambda q: _root((q.path_norm / q.margin) ** 2, q.n)),
    Named("vc_bound_convolutions", "4000 sqrt(d log2(6 d side)^3 sum k^2 c c' / n) + sqrt(ln(20) / n)", "1",
          f"{_JIANG}, appendix; its VC bound at confidence 95 %", _vc),
    Named("cross_entropy", "mean of l", "nat", f"{_JIANG}, table 1", lambda q: q.cross_entropy),
    Named("negative_entropy", "mean of sum p ln p", "nat", _JIANG, lambda q: q.negative_entropy),
    Named("fisher_rao", "mean of (w . grad l)^2, over all p", "nat^2",
          "Liang et al. 2019, arXiv:1711.01530, definition 2; Jiang et al. 2020",
          lambda q: q.fisher_rao),
    Named("gradient_noise", "mean of |grad l - mean grad l|^2, at the end", "nat^2", _JIANG,
          lambda q: q.gradient_noise),
    Named("pac_bayes_initialization", "sqrt((|w - w0|^2 / (4 sigma^2) + ln(n / sigma) + 10) / n)", "1",
          f"{_PAC_BAYES}, eq. 48", lambda q: _bound(q, q.moved_norm, q.sigma**-2 / 4, q.sigma)),
    Named("pac_bayes_origin", "sqrt((|w|^2 / (4 sigma^2) + ln(n / sigma) + 10) / n)", "1",
          f"{_PAC_BAYES}, eq. 49", lambda q: _bound(q, q.norm, q.sigma**-2 / 4, q.sigma)),
    Named("pac_bayes_flatness", "1 / (sigma sqrt n)", "1", f"{_PAC_BAYES}, eq. 53", lambda q: _root(q.sigma**-2, q.n)),
    Named("pac_bayes_magnitude_initialization",
          "sqrt((sum ln((e^2 + (sigma'^2 + 1) |w - w0|^2 / W) / (e^2 + sigma'^2 (w - w0)^2)) / 4 + ln(n / sigma') + 10)"
          " / n)", "1", f"{_JIANG}, eq. 56",
          lambda q: _aware(q, q.moved_norm, q.aware_sigma, 1.0)),
    Named("pac_bayes_magnitude_origin", "the same with |w|^2 above the bar", "1", f"{_JIANG}, eq. 57",
          lambda q: _aware(q, q.norm, q.aware_sigma, 1.0)),
    Named("pac_bayes_magnitude_flatness", "1 / (sigma' sqrt n)", "1", f"{_JIANG}, eq. 61",
          lambda q: _root(q.aware_sigma**-2, q.n)),
    Named("sharpness_initialization", "sqrt((|w - w0|^2 ln(2 W) / (4 alpha^2) + ln(n / alpha) + 10) / n)", "1",
          _SHARP, lambda q: _bound(q, q.moved_norm, _box(q), q.box)),
    Named("sharpness_origin", "sqrt((|w|^2 ln(2 W) / (4 alpha^2) + ln(n / alpha) + 10) / n)", "1", _SHARP,
          lambda q: _bound(q, q.norm, _box(q), q.box)),
    Named("sharpness_flatness", "1 / (alpha sqrt n)", "1", _SHARP, lambda q: _root(q.box**-2, q.n)),
    Named("sharpness_magnitude_initialization",
          "as pac_bayes_magnitude_initialization, with alpha' for sigma' and 4 ln(40 W) for 1", "1", _SHARP,
          lambda q: _aware(q, q.moved_norm, q.aware_box, _spread(q))),
    Named("sharpness_magnitude_origin", "the same with |w|^2 above the bar", "1", _SHARP,
          lambda q: _aware(q, q.norm, q.aware_box, _spread(q))),
    Named("sharpness_magnitude_flatness", "1 / (alpha' sqrt n)", "1", _SHARP,
          lambda q: _root(q.aware_box**-2, q.n)),
    Named("steps_to_loss", "first epoch's last step with train_loss <= --reached", "step", _JIANG,
          lambda q: q.steps_to_loss),
)  # fmt: skip

_BARTLETT = "Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498"
MEASURES: tuple[Named, ...] = (
    Named("parameters", "W, all trained ones", "1", ""),
    Named("frobenius_norm", "F(A), a row a layer", "1", ""),
    Named("frobenius_norm_product", "prod F(A)", "1", "Neyshabur et al. 2015, arXiv:1503.00036"),
    Named("spectral_norm", "s, a row a layer", "1",
          "Sedghi, Gupta, Long 2019, arXiv:1805.10408, there with circular padding"),
    Named("spectral_norm_product", "prod s", "1", _BARTLETT),
    Named("lipschitz_bound", "prod r s, of branches the sum or root sum of squares", "1",
          "Szegedy et al. 2014, arXiv:1312.6199, section 4.3"),
    Named("spectral_complexity", "R = prod r s (sum (|A'|_2,1 / s)^(2/3))^(3/2)", "1", _BARTLETT),
    Named("path_norm", "sqrt of the sum over paths of prod w^2", "1", "Neyshabur et al. 2015, arXiv:1503.00036"),
    Named("distance_from_initialization", "|p - p0|", "1", "Nagarajan, Kolter 2019, arXiv:1901.01672"),
    Named("vc_dimension_bound", "W d log2 N for W trained of N parameters, without its constant", "1",
          "Bartlett, Harvey, Liaw, Mehrabian 2019, arXiv:1703.02930"),
    Named("vc_gap_bound", "sqrt(8 (ln growth(2n) + ln 80) / n)", "1", "Vapnik, Chervonenkis 1971"),
    Named("margin", "m, the floor(n/10)-th smallest of z_y - max z_k", "logit",
          f"{_JIANG}; rank as in the code of {_ROBUST}"),
    Named("margin_normalized_complexity", "R |X| / (m n)", "1", _BARTLETT),
    Named("sharpness", "mean of L(w + d) - L(w), |d| a tenth a filter", "nat",
          "directions: Li et al. 2018, arXiv:1712.09913"),
    Named("sharpness_standard_error", "of sharpness", "nat", ""),
    Named("worst_sharpness", "largest L(w + d) - L(w) found", "nat",
          "Keskar et al. 2017, arXiv:1609.04836, there in a box"),
    *NAMED,
)  # fmt: skip
