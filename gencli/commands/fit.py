"""`gencli fit`: learners in closed form. A kind is a class of `gencli.fitting`, its fields the options."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gencli.cli.groups import KindGroup, group
from gencli.cli.options import Data, ModelOutput, Saving

if TYPE_CHECKING:
    from gencli.files.tables import Description
    from gencli.fitting.base import Fitted, Learner
    from gencli.models import Model


def fit(kind: Learner, data: Data = None, output: ModelOutput = None) -> None:
    """Fits a learner."""
    from gencli import machine
    from gencli.cli import outputs
    from gencli.files import checkpoints, stream

    destinations = kind.places(output)
    checkpoint = getattr(kind, "checkpoint", None)
    machine.require_files(data)
    if machine.first():
        outputs.refuse_terminal(destinations[0], "model")
        stream.require_writable(*destinations, checkpoint)
    if isinstance(kind, Saving):
        checkpoints.require(kind, checkpoints.FIT)

    import torch

    from gencli import models, ranks
    from gencli.cli import console
    from gencli.files import provenance, tables
    from gencli.files.together import Together
    from gencli.models import inputs
    from gencli.sources import open_table

    table = open_table(data)
    kind.require(table.rows, table.description)
    failed = None
    with ranks.dividing(torch.device("cpu"), data) as group, Together(machine.first()) as places:
        if checkpoint and machine.first():
            stream.require_writable(checkpoint, inputs=table.inputs)
        said = []
        files = [places.open(each, table.inputs, binary=True) for each in destinations]
        rows = inputs.load(table)
        for part, file in zip(kind.parts(), files, strict=True):
            asked = part.arguments() | {"threads": torch.get_num_threads()}  # they change the order of sums
            asked |= group.arguments()
            step = provenance.step(f"fit {kind.name}", asked, tables.sources(table, "data"), kind.packages)
            group.require_same(lambda step=step: step)
            with console.progress("percent", 100) as advance:
                fitted = part.fit(rows, len(table.description.classes), table.title, step, _progress(advance), group)
            model = _model(kind.name, table.description, fitted)
            models.write(file, model, asked | fitted.found, step)
            said.append(_words(kind.name, model, fitted.found))
            failed = failed or fitted.failed
    for line in said:
        console.message(line)
    if failed:
        raise failed


def _model(name: str, description: Description, fitted: Fitted) -> Model:
    from gencli.models import Model, learners

    shape, classes = description.shape, description.classes
    network = learners.build(name, shape, len(classes), fitted.facts)
    network.load_state_dict(fitted.tensors, assign=True)
    return Model(name, shape, classes, network, preprocessing=learners.PLAIN_PIXELS)


def _words(name: str, model: Model, found: Mapping[str, Any]) -> str:
    """What came of a fit, in a line."""
    return (
        f"{found.get('chosen', name)}: {found['rows']:,} rows, {model.parameters:,} parameters; train accuracy "
        f"{found['train_accuracy']:.4f}, relative residual {found['relative_residual']:.1e}"
    )


def _progress(advance: Callable[..., None]) -> Callable[..., None]:
    """Returns a function of the fraction done and a line to show, which estimates the remaining time."""
    start = time.monotonic()

    def progress(done: float, line: str = "", note: str = "done") -> None:
        left = (time.monotonic() - start) * (1 - done) / max(done, 1e-9)
        advance(round(100 * done), line or f"{note}, about {left / 60:.1f} min left", bool(line))

    return progress


class Kinds(KindGroup):
    """The learners as commands."""

    def kinds(self) -> Mapping[str, type]:
        from gencli.fitting import KINDS

        return KINDS

    def run(self) -> Callable[..., None]:
        return fit


app = group("Fit learners in closed form: kernels, least squares.", cls=Kinds)
