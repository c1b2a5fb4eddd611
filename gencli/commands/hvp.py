"""`gencli hvp`: curvature matrices times vectors, verified."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from gencli.cli.options import Data, ModelFile, Shard, TensorsOutput, command, single
from gencli.curvature.settings import OperatorSettings, OwnLossSettings, ProductSettings
from gencli.errors import GencliError

if TYPE_CHECKING:
    from gencli.curvature.verification import Findings

app = single()


@command(app, "hvp", alone="")
def hvp(
    model: ModelFile,
    matrix: OperatorSettings,
    objective: OwnLossSettings,
    products: ProductSettings,
    data: Data = None,
    *,
    shard: Shard = None,
    output: TensorsOutput = None,
) -> None:
    """Multiply curvature matrices by vectors, with verification.

    Reads a model, an image table and vectors; writes the products (safetensors) under the parameters' names, several
    as 0/NAME, 1/NAME, ..., and with --dense the matrix, under the operator's name. The matrix is that of the mean loss
    over all rows, with the network in evaluation mode: its Hessian; the generalized Gauss-Newton matrix, the mean of
    J' (d^2 loss / dz^2) J with J the Jacobian of the outputs z (Schraudolph 2002); the Fisher information of the
    softmax, with the exact expectation over the classes, which for ce is the same matrix (Martens 2014,
    arXiv:1412.1193); or the empirical Fisher, the mean of g g' with g the gradient of one row (Kunstner et al. 2019,
    arXiv:1905.12558).

    Before any product, a product of a few rows is checked for symmetry and, in float64, against differences of
    gradients and losses; then one product per batch. These checks always run, because second derivatives can be wrong
    without an error, even for only a few rows. They cost about six gradients of all rows. The first route that passes
    is used; if none does, the exit status is 1 and nothing is written. Norms, Rayleigh quotients and the results of
    further verification go to standard error: each product is compared with another route of automatic
    differentiation, with float64, with symmetry, and with differences over a sweep of steps; differences that kinks
    invalidate are reported. If a check fails, the exit status is 1 and nothing is written. A vector file has one tensor
    per parameter, or several vectors named like the output.

    \b
    Example:
      gencli data digits --limit 200 -o digits.parquet
      gencli train digits.parquet --arch mlp-1x16 --epochs 3 -o model.safetensors
      gencli hvp model.safetensors digits.parquet --vector gradient \\
        --vector random:1 --dtype float64 --plot steps.svg -o products.safetensors
    """
    from dataclasses import asdict

    from gencli.cli.outputs import open_figure, refuse_terminal
    from gencli.files.stream import require_writable
    from gencli.machine import first

    words = products.words
    if first():
        refuse_terminal(output, "products")
        require_writable(output, products.plot)

    from gencli import ranks
    from gencli.cli import console
    from gencli.commands import opening
    from gencli.curvature import differences, routes, vectors, verification
    from gencli.files import shards, tensors
    from gencli.files.named import distinct_names
    from gencli.files.together import Together
    from gencli.machine import require_memory
    from gencli.reporting import curves
    from gencli.training import devices

    names = [word for word in words if not vectors.is_named(word)]
    if shard is not None:
        _require_of_some_rows(word for word in words if word not in names)
    device = devices.choose(matrix.device, matrix.dtype == "float64")
    with ranks.dividing(device, model, data, *names, shard=shard) as group, Together(first()) as places:
        opened, loss, operator = opening.open_operator(model, data, matrix, objective, group, names)
        if products.dense:
            require_memory(3 * operator.size**2 * operator.dtype.itemsize, f"--dense: {operator.size:,} parameters")
        shown = dict(zip(names, distinct_names(names)))
        used = asdict(matrix) | {"loss": loss.name} | asdict(loss) | products.arguments(opened.files)
        made = opened.step("hvp", used | opening.computed(opened.device, group))
        group.require_same(lambda: made)
        place = places.open(output, opened.inputs, binary=True)
        draw = open_figure(places, products.plot, opened.inputs)
        choice = routes.choose(operator, None if products.method in ("auto", "all") else products.method)
        asked = [(shown.get(word, word), opened.files.get(word)) for word in words]
        named = [pair for word, file in asked for pair in vectors.find(operator, word, file)]
        exact = operator.exact if verification.wanted(operator, len(named), products) and choice.exact else None
        console.message(choice.said)
        with console.progress("products", verification.work(operator, named)) as advance:
            found, findings = verification.compute_all(operator, exact, named, choice, products, advance)
        title = f"{matrix.operator} of {loss.name}: {opened.model.arch}, {operator.size:,} parameters"
        _say(findings, shards.titled(title, shard))
        facts = {"operator": matrix.operator, "verified": choice.record}
        tensors.write(place, found, facts | shards.told(shard, operator.rows) | {"step": made})
        if draw:
            told = {"vector": [*shown.values()]}
            draw(curves.drawn(lambda: differences.picture(findings.sweeps)), made.to("plot", names=told))


def _require_of_some_rows(words: Iterable[str]) -> None:
    """Refuses vectors that are made from all rows, where one part of them is read."""
    for word in words:
        if word.startswith(("gradient", "eigen:")):
            raise GencliError(f"--shard: {word} is of all rows", "give random:SEED, ones, or a file of vectors")


def _say(findings: Findings, title: str) -> None:
    from gencli.cli import console, outputs

    odd = {verdict for verdict in findings.table["verdict"].to_pylist() if verdict} - {"holds"}
    outputs.say(findings.table, title, always=bool(odd or findings.failed))
    for note in findings.notes:
        console.message(note)
    for wrong in findings.failed:
        console.message(console.printable(f"gencli hvp: {wrong}"))
    if findings.failed:
        raise typer.Exit(1)
