"""A stochastic step that raises the objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.polynomial import Polynomial

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Drawn, Instances, OnData, Panel, Row, Series

if TYPE_CHECKING:
    from gencli.losses import Loss
    from gencli.models import Model

_TERMS = Polynomial([2, -2, 0.5]), Polynomial([0.5, 1, 0.5])  # ½(w − 2)², ½(w + 1)²
_RATES = 1e-3, 1e3
_ARCH, _ROWS = "mlp-1x16", 1000


@dataclass(frozen=True)
class SgdNonmonotone(Drawn, OnData):
    """A step of SGD may raise the objective, however small its size.

    \b
    f(w) = 1/2 (w - 2)^2 + 1/2 (w + 1)^2,  w_0 = 0, second term drawn:
    w_1 = -eta,  f(w_1) - f(w_0) = eta + eta^2 > 0  for every eta > 0.

    An instance is a step size from 0.001 to 1000, drawn uniformly in its logarithm, at which f is evaluated. The claim
    holds for all step sizes because no coefficient of f(-eta) - f(0) is negative.

    To measure how often it happens, a network takes one epoch of plain SGD in evaluation mode, and the loss of all rows
    is computed after every step. The network is --model, with the loss and the preprocessing recorded in its file, or
    --arch at initialization, with cross-entropy on pixels whitened per image. --break steps along the gradient of both
    terms, and for the network along that of all rows at a hundredth of the rate. Reads an image table, by default the
    built-in digits, and a model; writes a table of claims.

    \b
    Example:
      gencli data digits | gencli train --arch mlp-1x32 --epochs 3 -o net.safetensors
      gencli check sgd-nonmonotone --model net.safetensors --plot rise.png --format table
    """

    name = "sgd-nonmonotone"
    family = "steps"
    packages = ("torch", "sklearn")
    instances: Instances = 10
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Network to start from (safetensors).", show_default=False)
    ] = None
    arch: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"Network to initialize and start from. Default: {_ARCH}.", show_default=False
        ),
    ] = None
    rate: Annotated[float, typer.Option(min=1e-12, max=1e6, metavar="ETA", help="Learning rate for the network.")] = 0.1
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Rows per step for the network.")] = 8

    def files(self) -> Mapping[str, Input]:
        return self._files

    @cached_property
    def _files(self) -> Mapping[str, Input]:
        return {} if self.model is None else {"model": Input(self.model)}

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        f = _TERMS[0] + _TERMS[1]
        slope = (f if broken else _TERMS[1]).deriv()(0.0)
        rise = f(Polynomial([0, -slope])) - f(0.0)
        linear, square = rise.coef[1:]
        yield Row("all eta", "coefficient of eta in f(w_1) - f(w_0)", linear, ">", 0.0)
        yield Row("all eta", "coefficient of eta^2", square, ">=", 0.0)
        rates = np.empty(self.instances)
        for number, random in self.numbered(draws):
            rates[number] = np.exp(random.uniform(*np.log(_RATES)))
            eta = rates[number].astype(self.dtype)
            first, second = _value(-eta * slope), _value(0 * eta)
            instance, rounding = f"{number}: eta={eta:.4g}", 10 * self.eps * float(first)
            yield Row(instance, "f(w_1), f(w_0)", first, ">", second)
            expected = float(eta) * (1 + float(eta))
            yield Row(instance, "f(w_1) - f(w_0), eta + eta^2", first - second, "=", expected, rounding)
        w, eta = np.linspace(-2, 3, 101), np.geomspace(*_RATES, 61)
        steps = np.array([0, -slope])
        path = [Series("f", w, f(w)), Series("step, eta = 1", steps, f(steps), "o-")]
        yield Panel("one step along the second term", "w", "f(w)", path, ("linear", "linear"))
        yield from self._network(draws, broken, table)
        rising = [Series("eta + eta²", eta, eta + eta**2), Series("instances", rates, np.abs(rise(rates)), "o")]
        yield Panel("rise of the objective", "eta", "f(w_1) − f(w_0)", rising)

    def _network(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        """How often the loss of all rows rises in a pass."""
        assert table is not None
        random = next(iter(draws.rows(np.arange(1), stream=1)))
        model, loss, epoch = self._opened(table, int(random.integers(1 << 62)))
        losses = np.array(list(self._pass(model, loss, epoch, table, random, broken)))
        if not np.isfinite(losses).all():
            raise GencliError(f"--rate {self.rate:g}: the loss is no longer finite", "use a smaller one")
        rises = int((np.diff(losses) > 10 * self.eps * losses[:-1]).sum())
        instance = f"{model.arch}, {loss.name}, eta={self.rate:g}"
        yield Row(instance, f"rises of the loss in {len(losses) - 1:,} steps", rises, ">", 0)
        path = [Series(model.arch, np.arange(len(losses)), losses)]
        yield Panel("a pass of a network", "steps", f"{loss.name} of all rows", path, ("linear", "linear"))

    def _opened(self, table: ImageTable, seed: int) -> tuple[Model, Loss, int]:
        """The network, its loss and the epoch that this is of."""
        import torch

        from gencli import models, objectives
        from gencli.models.base import require_finite

        if "model" in self._files:
            model = models.read(self._files["model"], self.arch)
            if not model.logits:
                raise GencliError(f"--model: {model.arch} has no loss and no gradient", "give one of gencli train")
            require_finite(model.network, f"--model: {model.arch}")
            model.require(table)
        else:
            description, arch = table.description, self.arch or _ARCH
            height, width, channels = description.shape
            images = torch.zeros(1, channels, height, width, dtype=getattr(torch, self.dtype))
            network = networks.build(arch, images, len(description.classes), seed)
            model = models.Model(arch, description.shape, description.classes, network)
        return model, *objectives.objective(model, table)

    def _pass(
        self, model: Model, loss: Loss, epoch: int, table: ImageTable, random: np.random.Generator, broken: bool
    ) -> Iterator[float]:
        """The mean loss over all rows before the first step and after each."""
        import torch

        from gencli import objectives
        from gencli.models import inputs

        values = int(np.prod(model.preprocessing.input_shape(model.shape)))
        require_memory(table.rows * (values * 8 + 2 * table.description.row_bytes), f"{table.title}: its rows")
        rows, network, dtype = inputs.load(table), model.network, getattr(torch, self.dtype)
        if not len(rows):
            raise GencliError(f"{table.title}: no rows", "a mean needs at least one row")
        network.to(dtype).eval()
        images = torch.cat([model.preprocessing(part).to(dtype) for part in rows.images.split(_ROWS)])
        wanted = rows.labels
        if model.task == "images" and rows.targets is not None:  # as `Model.require` saw to
            wanted = inputs.target_input(model.preprocessing.center(rows.targets)).to(dtype)
        each_row = objectives.each_row(model, loss, epoch, rows.labels, dtype)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        places = torch.arange(len(rows)).split(_ROWS)

        def total(some: torch.Tensor) -> torch.Tensor:
            return each_row(network(images[some]), wanted[some]).sum()

        def everything() -> float:
            with torch.no_grad():
                return sum(float(total(part)) for part in places) / len(rows)

        yield everything()
        for batch in torch.from_numpy(random.permutation(len(rows))).split(self.batch_size):
            network.zero_grad()
            used = places if broken else [batch]
            for part in used:
                (total(part) / sum(map(len, used))).backward()
            with torch.no_grad():
                for parameter in trained:
                    if parameter.grad is not None:
                        parameter.sub_(parameter.grad, alpha=self.rate / (100 if broken else 1))
            yield everything()


def _value(w: np.floating) -> np.floating:
    return (w - 2) ** 2 / 2 + (w + 1) ** 2 / 2
