"""What `gencli spectrum` finds out about an operator: eigenpairs, condition number, trace, density.

The estimators are in `extremes`, `xtrace` and `density`; here they run one after the other, and their state is saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from gencli.cli import console, signals
from gencli.curvature.density import Quadrature
from gencli.curvature.extremes import TOLERANCES, Extremes, Pairs
from gencli.curvature.lanczos import Matvec
from gencli.curvature.operators import Operator
from gencli.curvature.settings import MethodSettings, OperatorSettings, QuantitySettings, SavingSettings
from gencli.curvature.xtrace import XTrace
from gencli.files import checkpoints
from gencli.files.held import Held
from gencli.files.provenance import Step
from gencli.files.stream import Input, require_writable
from gencli.losses import Loss
from gencli.randomness import derive
from gencli.ranks import ALONE, Group

_TOP = 10
_SCHEMA = pa.schema({
    "quantity": pa.string(), "index": pa.int64(), "value": pa.float64(), "residual": pa.float64(),
    "standard_error": pa.float64(), "products": pa.int64(), "route": pa.string(), "apart": pa.float64(),
})  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What to find out.

    Attributes:
        top, bottom: how many of the largest and smallest eigenvalues.
        condition: the condition number, which takes one of each.
        trace: products to spend on it, 0 for none.
        probes, steps: of the density; no probes for none.
        tolerance, most_products, basis: see `extremes.leading`, basis being its `vectors`.
    """

    top: int = 0
    bottom: int = 0
    condition: bool = False
    trace: int = 0
    probes: int = 0
    steps: int = 50
    tolerance: float | None = None
    most_products: int | None = None
    basis: int | None = None

    @classmethod
    def of(cls, quantities: QuantitySettings, method: MethodSettings, size: int) -> Request:
        """What the options ask for, of an operator of this size."""
        asked = quantities.bottom or quantities.condition or quantities.trace
        return cls(
            quantities.top or (0 if asked else min(_TOP, size)),
            quantities.bottom or 0,
            quantities.condition,
            method.trace_products if quantities.trace else 0,
            method.density_probes if quantities.density else 0,
            method.density_steps,
            method.tolerance,
            method.max_products,
            method.basis,
        )


class Spectrum:
    """The estimators that a request needs, each with its own stream of random numbers."""

    def __init__(self, size: int, dtype: torch.dtype, request: Request, seed: int = 0) -> None:
        self.request = request

        def stream(purpose: str) -> torch.Generator:
            return torch.Generator().manual_seed(derive(seed, "spectrum", purpose))

        ends = max(request.top, int(request.condition)), max(request.bottom, int(request.condition))
        self._parts: dict[str, Extremes | XTrace | Quadrature] = {}
        self.extremes = self.trace = self.quadrature = None
        if any(ends):
            limits = request.tolerance, request.most_products, request.basis
            self.extremes = self._parts["eigenvalues"] = Extremes(size, *ends, dtype, stream("eigenvalues"), *limits)
        if request.trace:
            self.trace = self._parts["trace"] = XTrace(size, request.trace, dtype, stream("trace"))
        if request.probes:
            shape = size, request.probes, request.steps
            self.quadrature = self._parts["density"] = Quadrature(*shape, dtype, stream("density"))

    @property
    def products(self) -> int:
        """Spent so far."""
        return sum(part.products for part in self._parts.values())

    def run(self, matvec: Matvec) -> Iterator[str]:
        """Computes what is left, product by product; gives what each was for."""
        for name, part in self._parts.items():
            while not part.done:
                part.step(matvec)
                yield name

    @property
    def expected(self) -> int:
        """Products for all of it; of eigenvalues a guess, until they are found."""
        parts = self._parts.values()
        return sum(part.products if part.done else max(part.expected, part.products + 1) for part in parts)

    @property
    def converged(self) -> bool:
        """Whether all eigenvalues were found before the search ended at its limit."""
        return self.extremes is None or self.extremes.converged

    def eigenvalues(self) -> list[float]:
        """All that were found."""
        return [value for value, _, _ in self.pairs().values()]

    def pairs(self) -> dict[int, tuple[float, float, Tensor]]:
        """Eigenvalue, residual and vector [size] by index: 1, 2, … the largest, -1, -2, … the smallest."""
        if self.extremes is None:
            return {}
        ends: list[tuple[int, Pairs]] = [(1, self.extremes.pairs("top")), (-1, self.extremes.pairs("bottom"))]
        return {
            sign * (place + 1): (value, residual, vector)
            for sign, found in ends
            for place, (value, residual, vector) in enumerate(
                zip(found.values.tolist(), found.residuals.tolist(), found.vectors, strict=True)
            )
        }

    def condition(self) -> tuple[str, float]:
        """The largest absolute eigenvalue by the smallest, if all have one sign; otherwise a number that it exceeds.

        The smallest then lies inside the spectrum, and the least ‖A x‖ of the vectors that were tried is above it.
        """
        if self.extremes is None:
            raise TypeError("no eigenvalues were requested")
        found = self.pairs()
        (top, top_residual, _), (bottom, bottom_residual, _) = found[1], found[-1]
        largest = max(abs(top), abs(bottom))
        if bottom > bottom_residual or top < -top_residual:
            return "condition", largest / min(abs(top), abs(bottom))
        process = self.extremes.process
        least = max(process.least_image(), process.rounding)
        return "condition at least", largest / least if least else math.inf

    def table(self, verified: dict[str, Any]) -> pa.Table:
        """The results, one row per number; the columns are in the help of `gencli spectrum`.

        Args:
            verified: the record of `routes.Choice`.
        """
        rows: list[dict[str, Any]] = []
        if self.extremes is not None:
            spent = {"products": self.extremes.products}
            rows += [
                {"quantity": "eigenvalue", "index": index, "value": value, "residual": residual} | spent
                for index, (value, residual, _) in self.pairs().items()
            ]
            if self.request.condition:
                name, value = self.condition()
                rows.append({"quantity": name, "value": value} | spent)
        if self.trace is not None:
            found = self.trace.result()
            rows.append({
                "quantity": "trace", "value": found.value, "standard_error": found.standard_error,
                "products": found.products,
            })  # fmt: skip
        known = {"route": verified["route"], "apart": verified["difference"]}
        return pa.Table.from_pylist([row | known for row in rows], _SCHEMA)

    def state(self) -> dict[str, Tensor]:
        """For `load`."""
        return {f"{part}/{name}": tensor for part, each in self._parts.items() for name, tensor in each.state().items()}

    def take(self, held: Held) -> None:
        """Takes the state of the same quantities of the same operator from a checkpoint.

        Raises:
            GencliError: it is none.
        """
        for part, each in self._parts.items():
            each.take(held, f"{part}/")
        held.close(self.at)

    @property
    def at(self) -> str:
        """How far it is, in words."""
        return f"product {self.products:,}"


def arguments(request: Request, method: MethodSettings, matrix: OperatorSettings, loss: Loss) -> dict[str, Any]:
    """What bears on the results, by option name; of a density only where there is one."""
    used = {"top": request.top or None, "bottom": request.bottom or None, "condition": request.condition}
    used |= {"trace": request.trace > 0, "trace_products": request.trace or None}
    used |= asdict(matrix) | {"loss": loss.name} | asdict(loss)
    tolerance = method.tolerance or TOLERANCES[getattr(torch, matrix.dtype)]
    of_pairs = {"tolerance": tolerance, "max_products": method.max_products, "basis": method.basis}
    pairs = request.top or request.bottom or request.condition
    used |= (of_pairs if pairs else dict.fromkeys(of_pairs)) | {"seed": method.seed}
    return used


def named_vectors(operator: Operator, spectrum: Spectrum) -> dict[str, Tensor]:
    """The eigenvectors in the parameters' shapes, by index and parameter name: `1/fc.weight`."""
    return {
        f"{index}/{name}": tensor.contiguous()
        for index, (_, _, vector) in spectrum.pairs().items()
        for name, tensor in operator.unflatten(vector).items()
    }


def resume(
    spectrum: Spectrum, saving: SavingSettings, inputs: Sequence[Input], made: Step, group: Group = ALONE
) -> None:
    """Takes the state that a checkpoint holds, where the settings ask for one.

    Args:
        inputs: what is read, which no checkpoint may replace.
        made: the step that the results will name; a checkpoint of another one is refused.

    Raises:
        GencliError: a place that cannot be written, or no checkpoint of this run.
    """
    path = saving.checkpoint
    if path is None:
        return
    if group.rank == 0:
        require_writable(path, inputs=inputs)
    if saving.resume and (held := checkpoints.read(path, checkpoints.SPECTRUM, made)):
        spectrum.take(held)
        console.message(f"{path}: resumed after product {spectrum.products}")
    group.require_equal(spectrum.products, f"{path}: the checkpoint of")


def compute(
    spectrum: Spectrum, matvec: Matvec, advance: console.Advance, saving: SavingSettings, made: Step,
    group: Group = ALONE,
) -> None:  # fmt: skip
    """Runs a spectrum; with a checkpoint its state is saved at intervals, and when a signal ends the process.

    Of several processes the first one saves.

    Args:
        made: the step that the results will name.
    """
    path = saving.checkpoint

    def progress(name: str) -> None:
        advance(spectrum.products, name)

    if path is None:
        for name in spectrum.run(matvec):
            progress(name)
        return

    def save(path: str) -> None:
        if group.rank == 0:
            checkpoints.write(path, checkpoints.SPECTRUM, spectrum.state(), made, spectrum.at)

    with signals.deferred() as arrived:
        for name in spectrum.run(matvec):
            try:
                progress(name)
            except BrokenPipeError:  # nobody reads the result
                save(path)
                raise
            number = arrived()
            if number is not None or spectrum.products % saving.checkpoint_every == 0:
                save(path)
            if number is not None:
                console.message(f"{path}: stopped after product {spectrum.products}; --resume continues from there")
                signals.die(number)
    save(path)
