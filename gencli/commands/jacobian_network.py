"""The part of `gencli jacobian` that is about networks."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from gencli.cli.options import TableFormat
from gencli.curvature.settings import TOLERANCES, NetworkSettings, OwnLossSettings
from gencli.jacobians.settings import JacobianSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from gencli.cli.outputs import WriteResult
    from gencli.files.provenance import Step
    from gencli.files.stream import Output
    from gencli.jacobians.confirmation import Confirmation
    from gencli.jacobians.entries import Check
    from gencli.jacobians.rows import RowFunction
    from gencli.losses import Loss
    from gencli.models.inputs import Rows
    from gencli.ranks import Group


class Place(NamedTuple):
    """What is written where: of which part of the rows, whether matrices or a table, its format, and the file."""

    shard: str | None
    as_tensors: bool
    format: TableFormat | None
    output: str | None


def run(
    model: str, data: str | None, asked: JacobianSettings, network: NetworkSettings, objective: OwnLossSettings,
    tolerance: float | None, dtype: str | None, to: Place,
) -> None:  # fmt: skip
    """Reads, computes, writes; see the help of `gencli jacobian`."""
    import torch

    from gencli import ranks
    from gencli.cli import outputs
    from gencli.commands import opening
    from gencli.curvature import building as operators
    from gencli.files import shards
    from gencli.files.together import Together
    from gencli.jacobians import building
    from gencli.jacobians.entries import Check
    from gencli.machine import first, require_memory
    from gencli.training import devices

    exact = dtype == "float64"
    where = devices.choose(network.device, exact)
    with ranks.dividing(where, model, data, shard=to.shard) as group, Together(first()) as places:
        opened = opening.open_all(model, data, network, objective, exact)
        precision = dtype or operators.precision(opened.model)
        if precision == "float64" and not exact:
            opened = opened._replace(device=devices.choose(network.device, True))
        target = building.target(opened.model, opened.table, asked, network.parameters, objective)
        rows = operators.load(opened.table, network, opened.device, True, group)
        function = target.function(rows, getattr(torch, precision))
        part, sharing, count = range(function.rows), group, function.rows
        if isinstance(group, ranks.Shard):
            own = group.span(count)
            part, sharing, count = own or range(1), ranks.ALONE, len(own)  # no rows are computed as one
        held = len(part) if to.as_tensors else 1
        require_memory(3 * held * function.outputs * function.size * function.dtype.itemsize, f"--limit: {held:,} rows")
        used = _arguments(network, asked, target.loss) | {"dtype": precision} | opening.computed(opened.device, group)
        made = opened.step("jacobian", used)
        group.require_same(lambda: made)
        place = places.open(to.output, opened.inputs, binary=True) if to.as_tensors else None
        write = None if to.as_tensors else outputs.open_result(places, to.output, to.format, opened.inputs)
        aside = outputs.open_result(places, asked.summary, None, opened.inputs) if asked.summary else None
        confirmation = target.confirmation(function, rows, part, sharing)
        check = Check.plan(function, part=part) if asked.verify else None
        allowed = TOLERANCES[precision] if tolerance is None else tolerance
        norms, found = _collect(function, rows, asked.mode, to.as_tensors, confirmation, check, allowed, part, sharing)
        norms, found = norms[:count], {name: each[:count] for name, each in found.items()}
        made = replace(made, checked=confirmation.said)
        what = f"{asked.of} by {asked.wrt}: {opened.model.arch}, {function.outputs:,} x {function.size:,}"
        facts = {"of": asked.of, "wrt": asked.wrt} | shards.told(to.shard, function.rows)
        if first():
            _write({"": write, "summary": aside}, norms, place, found, made, facts, shards.titled(what, to.shard))


def _write(
    tables: dict[str, WriteResult | None], norms: pa.Table, place: Output | None, found: dict[str, Tensor],
    made: Step, facts: dict[str, Any], title: str,
) -> None:  # fmt: skip
    """The table to where it is asked for, by output, and the Jacobians."""
    from gencli.cli import outputs
    from gencli.files import tensors
    from gencli.jacobians import summary

    for output, write in tables.items():
        if write:
            write(norms, lambda output=output: made.to(output) if output else made, title)
    if place:
        tensors.write(place, found, facts | {"step": made})
        outputs.say(summary.overview(norms) if norms.num_rows else None, title)


def _arguments(network: NetworkSettings, asked: JacobianSettings, loss: Loss | None) -> dict[str, Any]:
    """What provenance records of the options."""
    of_loss = {"loss": loss.name} | asdict(loss) if loss else {}
    return asdict(network) | asdict(asked) | of_loss | {"verify": None, "summary": None}


def _collect(
    function: RowFunction, rows: Rows, mode: Literal["auto", "forward", "reverse"], keep: bool,
    confirmation: Confirmation, check: Check | None, allowed: float, part: range, group: Group,
) -> tuple[pa.Table, dict[str, Tensor]]:  # fmt: skip
    """The norms, and with `keep` the Jacobians, which have passed confirmation and check or are refused there."""
    from gencli.cli import console
    from gencli.jacobians import summary

    way = None if mode == "auto" else mode
    with console.progress("rows", len(part)) as advance:
        norms, found = summary.collect(
            function, rows, way, keep, confirmation, check, console.message, advance, part, group
        )
    if check:
        with console.progress("numbers", len(check.entries)) as advance:
            check.judge(confirmation.exact, way, allowed, advance)
    _say(check, confirmation)
    return norms, found


def _say(check: Check | None, confirmation: Confirmation) -> None:
    from gencli.cli import console

    for note in [*([check.said] if check else []), *confirmation.notes]:
        console.message(note)
    if check and check.failed:
        for wrong in check.failed:
            console.message(console.printable(f"gencli jacobian: {wrong}"))
        raise typer.Exit(1)
