"""What a claim is: a frozen dataclass whose fields are its options and whose docstring is its help.

Also what a check consists of, rows that compare two numbers and panels of a picture, and what claims share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.files import endings
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.sources import open_table

Floats = NDArray[Any]  # of a claim's dtype
Number = float | np.floating[Any]
Relation = Literal["<", "<=", "=", ">=", ">"]
Instances = Annotated[
    int, typer.Option(min=1, max=100_000, metavar="N", help="Number of random instances of the claim.")
]
DType = Annotated[
    Literal["float64", "float32"], typer.Option(help="Precision of the checked side; the reference is always float64.")
]
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE", help=f"Draw the claim to a {endings.FIGURE.endings} file.", show_default=False),
    endings.FIGURE,
]
Data = Annotated[
    str | None,
    typer.Option(metavar="TABLE", help="Image table to use; default: the built-in digits.", show_default=False),
]
Dimension = Annotated[int, typer.Option(min=1, max=500, metavar="D", help="Number of coordinates of w.")]


@dataclass(frozen=True)
class Row:
    """Two numbers and how they should compare.

    Attributes:
        instance: of the claim, in words; `quantity`: what the numbers are.
        tolerance: of rounding, iterations and sampling, in the unit of the numbers; 0 with < and >.
    """

    instance: str
    quantity: str
    left: Number
    relation: Relation
    right: Number
    tolerance: Number = 0.0

    @property
    def slack(self) -> float:
        """By how much the numbers could be worse, the tolerance included; below 0 where the relation is false."""
        apart = float(self.right) - float(self.left)
        room = {"<": apart, "<=": apart, "=": -abs(apart), ">=": -apart, ">": -apart}[self.relation]
        return room + float(self.tolerance)

    @property
    def holds(self) -> bool:
        """Whether the relation is true; not of numbers that are NaN."""
        return self.slack > 0 if self.relation in ("<", ">") else self.slack >= 0


@dataclass(frozen=True)
class Part:
    """The share of a claim's work that is done, above 0 and up to 1."""

    done: float


@dataclass(frozen=True)
class Series:
    """Points [n] of a picture; `style` is matplotlib's, such as - or o."""

    label: str
    x: Floats
    y: Floats
    style: str = "-"


@dataclass(frozen=True)
class Panel:
    """One pair of axes; `scales` are matplotlib's, across and upwards."""

    title: str
    across: str
    up: str
    series: Sequence[Series]
    scales: tuple[str, str] = ("log", "log")


@dataclass(frozen=True)
class Claim(ABC):
    """A theorem, computed two ways.

    Attributes:
        name: on the command line.
        family: under which the help lists it.
        packages: those whose versions can change the numbers, besides numpy and pyarrow.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    instances: Instances = 3
    dtype: DType = "float64"

    @property
    def eps(self) -> float:
        """The relative rounding of `dtype`."""
        return float(np.finfo(self.dtype).eps)

    def numbered(self, draws: Draws) -> Iterator[tuple[int, np.random.Generator]]:
        """The numbers of the instances, each with its own generator, valid until the next one."""
        return enumerate(draws.rows(np.arange(self.instances)))

    def claims(self) -> Sequence[Claim]:
        """What is checked."""
        return [self]

    def table(self) -> ImageTable | None:
        """The image table that is checked on, opened; None where the claim needs none."""
        return None

    def files(self) -> Mapping[str, Input]:
        """The files read besides the table, opened, by option."""
        return {}

    @abstractmethod
    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel | Part]:
        """The rows, the panels of a picture, and of a claim that can take long between them how far it is.

        Args:
            broken: whether to break the claim on purpose, so that it must fail.
            table: what `table` opened.

        Raises:
            GencliError: an option does not fit the table.
        """


@dataclass(frozen=True)
class Drawn(Claim):
    """A claim with a picture."""

    plot: Plot = None


@dataclass(frozen=True)
class OnData(Claim):
    """A claim on images."""

    data: Data = None

    def table(self) -> ImageTable:
        return open_data(self.data)


def open_data(argument: str | None) -> ImageTable:
    """The image table of this name; the digits where none is named."""
    if argument is not None:
        return open_table(argument)
    from gencli.sources.digits import digits

    return digits("train")


def complex_step(f: Callable[[Floats], Any], w: Floats) -> NDArray[np.float64]:
    """The derivative of an analytic f at w [d] float64, exact to rounding: row k is Im f(w + ih e_k) / h, h = 1e-20.

    [d] where f is a number, [d, d] where it is [d]. Squire and Trapp 1998, SIAM Review 40(1).
    """
    return np.stack([np.imag(f(w + 1e-20j * unit)) / 1e-20 for unit in np.eye(len(w))])


def minimize(f: Callable[[Floats], float], start: Floats) -> NDArray[np.float64]:
    """A minimizer [d] float64 of a smooth f, found from its values only: BFGS on central differences."""
    from scipy.optimize import minimize

    return minimize(f, start, method="BFGS", jac="3-point", options={"gtol": 1e-9}).x


def slope(x: Floats, y: Floats) -> float:
    """Of the least-squares line through log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
