"""The part of `gencli jacobian` that is about networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gencli.cli.options import TableFormat
from gencli.curvature.settings import TOLERANCES, NetworkSettings, OwnLossSettings
from gencli.jacobians.settings import JacobianSettings

if TYPE_CHECKING:
    from gencli.jacobians.confirmation import Confirmation
    from gencli.jacobians.entries import Check


def run(
    model: str,
    data: str | None,
    asked: JacobianSettings,
    network: NetworkSettings,
    objective: OwnLossSettings,
    tolerance: float | None,
    dtype: str | None,
    as_tensors: bool,
    format: TableFormat | None,
    output: str | None,
) -> None:
    """Reads, computes, writes; see the help of `gencli jacobian`."""
    from dataclasses import asdict, replace

    import torch

    from gencli.cli import console, outputs
    from gencli.commands.opening import open_all
    from gencli.curvature import building as operators
    from gencli.files import provenance, tables, tensors
    from gencli.files.stream import Input
    from gencli.files.together import Together
    from gencli.jacobians import building, summary
    from gencli.jacobians.entries import Check
    from gencli.machine import require_memory
    from gencli.training import devices

    exact = dtype == "float64"
    source, loaded, table, _, where = open_all(model, data, network, objective, exact, [], Input)
    precision = dtype or operators.precision(loaded)
    if precision == "float64" and not exact:
        where = devices.choose(network.device, True)
    loss, epoch = building.row_loss(loaded, table, asked.of, objective)
    rows, kind = operators.load(table, network, where), getattr(torch, precision)
    function = building.row_function(loaded, rows, loss, epoch, asked, network.parameters, kind)
    held = function.rows if as_tensors else 1
    require_memory(3 * held * function.outputs * function.size * kind.itemsize, f"--limit: {held:,} rows")
    confirmation = building.confirmation(function, loaded, rows, loss, epoch, asked, network.parameters)
    check = Check.plan(function) if asked.verify else None
    used = asdict(network) | asdict(asked) | ({"loss": loss.name} | asdict(loss) if loss else {})
    used |= {"verify": None, "summary": None, "dtype": precision, "device": where.type}
    inputs = [provenance.source("model", source.sha256, loaded.made, source.path), *tables.sources(table, "data")]
    used |= {"threads": torch.get_num_threads()}
    made = provenance.step("jacobian", used, inputs, ["torch", "numpy", "pyarrow"])
    read, mode = [source, *table.inputs], None if asked.mode == "auto" else asked.mode
    with Together() as places:
        place = places.open(output, read, binary=True) if as_tensors else None
        write = None if as_tensors else outputs.open_result(places, output, format, read)
        aside = outputs.open_result(places, asked.summary, None, read) if asked.summary else None
        with console.progress("rows", function.rows) as advance:
            norms, found = summary.collect(
                function, rows, mode, as_tensors, confirmation, check, console.message, advance
            )
        if check:
            with console.progress("numbers", len(check.entries)) as advance:
                allowed = TOLERANCES[precision] if tolerance is None else tolerance
                check.judge(confirmation.exact, mode, allowed, advance)
        _say(check, confirmation)
        made = replace(made, checked=confirmation.said)
        title = f"{asked.of} by {asked.wrt}: {loaded.arch}, {function.outputs:,} x {function.size:,}"
        for each, said in ((write, made), (aside, made.to("summary"))):
            if each:
                each(norms, lambda said=said: said, title)
        if place:
            tensors.write(place, found, {"of": asked.of, "wrt": asked.wrt, "step": made})
            console.message(outputs.render(summary.overview(norms), "table", title, console.columns()).rstrip())


def _say(check: Check | None, confirmation: Confirmation) -> None:
    from gencli.cli import console

    for note in [*([check.said] if check else []), *confirmation.notes]:
        console.message(note)
    if check and check.failed:
        for wrong in check.failed:
            console.message(console.printable(f"gencli jacobian: {wrong}"))
        raise typer.Exit(1)
