"""Theorems of the field as checks: a table of claims, each computed two ways, and the rows that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
import typer

from gencli.cli.console import Advance
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Claim, Data, DType, Panel, Part, Row, open_data
from gencli.theory.circulant import Circulant
from gencli.theory.edge_of_stability import EdgeOfStability
from gencli.theory.finite_sample import FiniteSampleClaim
from gencli.theory.hessian_size import HessianSize
from gencli.theory.hvp_limit import HvpLimit
from gencli.theory.label_alignment import LabelAlignment
from gencli.theory.median_mean import MedianMean
from gencli.theory.min_norm import MinNorm
from gencli.theory.newton_step import NewtonStep
from gencli.theory.noise_targets import NoiseTargets
from gencli.theory.prox_step import ProxStep
from gencli.theory.rademacher import Rademacher
from gencli.theory.sgd_nonmonotone import SgdNonmonotone
from gencli.theory.sgd_rate import SgdRate
from gencli.theory.sgd_regret import SgdRegret
from gencli.theory.uniform_stability import UniformStability
from gencli.theory.weight_decay_convexity import WeightDecayConvexity

CLAIMS: dict[str, type[Claim]] = {
    claim.name: claim
    for claim in (
        ProxStep, NewtonStep, SgdRegret, SgdRate, SgdNonmonotone, EdgeOfStability,
        HessianSize, HvpLimit, WeightDecayConvexity,
        Circulant,
        MedianMean, NoiseTargets,
        FiniteSampleClaim, MinNorm, LabelAlignment,
        Rademacher, UniformStability,
    )
}  # fmt: skip


_SOON, _LONG = 1.0, 30.0  # seconds: after which an estimate is sound, and a wait that is announced


@dataclass(frozen=True)
class All:
    """Check all claims, one after the other.

    Reads an image table, by default the built-in digits, for the claims that need one; writes a table of claims, one
    row per instance and quantity. As text it is a summary with one row per claim, followed by the first false row of
    each claim that fails.

    \b
    Example:
      gencli check all --format csv -o claims.csv
    """

    name = "all"
    family = "together"
    instances: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000, metavar="N", help="Random instances of each claim. Default: each claim's own number."
        ),
    ] = None
    dtype: DType = "float64"
    data: Data = None

    def claims(self) -> Sequence[Claim]:
        """All claims, with these options and otherwise their own."""
        given: dict[str, Any] = {"dtype": self.dtype} | ({"instances": self.instances} if self.instances else {})
        return [replace(claim(), **given) for claim in CLAIMS.values()]

    def table(self) -> ImageTable:
        """The image table that claims are checked on, opened."""
        return open_data(self.data)

    def files(self) -> Mapping[str, Input]:
        """None: what claims read by their own options they read only one by one."""
        return {}


def kinds() -> dict[str, type[Claim] | type[All]]:
    """The claims, and all together, by name."""
    return {**CLAIMS, All.name: All}


class Checked(NamedTuple):
    """The result of claims: one row per instance and quantity, and the panels of the figures."""

    rows: pa.Table
    panels: list[Panel]

    @property
    def false(self) -> pa.Table:
        """The rows that do not hold."""
        return self.rows.filter(pa.array([not held for held in self.rows["holds"].to_pylist()]))

    def verdict(self, broken: bool) -> str:
        """What came of it, in a line."""
        claims, false = (dict.fromkeys(rows["claim"].to_pylist()) for rows in (self.rows, self.false))
        count = f"{self.rows.num_rows:,} rows"
        words = f"{self.false.num_rows:,} of {count} do not hold: {', '.join(false)}" if false else f"{count}, all hold"
        held = ", ".join(claim for claim in claims if claim not in false)
        return (
            words + ("; broken on purpose" if broken else "") + (f", yet it holds: {held}" if broken and held else "")
        )


def check(
    kind: Claim | All, table: ImageTable | None, seed: int = 0, broken: bool = False, advance: Advance | None = None
) -> Checked:
    """Checks a claim, or all.

    Args:
        table: what `kind.table()` opened.
        broken: breaks each claim on purpose, so that all must fail.

    Returns:
        Rows with the columns claim, instance, quantity, left, relation, right, slack, holds.
    """
    found: list[tuple[str, Row]] = []
    panels: list[Panel] = []
    for number, claim in enumerate(kind.claims()):
        if advance:
            advance(number, claim.name)
        with networks.one_thread() if "torch" in claim.packages else nullcontext():
            told = partial(advance, number) if advance else lambda note, line=False: None
            for each in _timed(claim.name, claim.check(Draws(seed, "check", claim.name), broken, table), told):
                if isinstance(each, Panel):
                    panels.append(each)
                else:
                    found.append((claim.name, each))
    columns = {
        "claim": pa.array([name for name, _ in found], pa.string()),
        "instance": pa.array([row.instance for _, row in found], pa.string()),
        "quantity": pa.array([row.quantity for _, row in found], pa.string()),
        "left": pa.array([float(row.left) for _, row in found], pa.float64()),
        "relation": pa.array([row.relation for _, row in found], pa.string()),
        "right": pa.array([float(row.right) for _, row in found], pa.float64()),
        "slack": pa.array([row.slack for _, row in found], pa.float64()),
        "holds": pa.array([row.holds for _, row in found], pa.bool_()),
    }
    return Checked(pa.table(columns), panels)


def _timed(name: str, found: Iterable[Row | Panel | Part], tell: Callable[[str, bool], None]) -> Iterator[Row | Panel]:
    """The rows and panels; tells how far a claim is, and in a line of its own that it takes long."""
    start, announced = time.monotonic(), False
    for each in found:
        if isinstance(each, Part):
            passed = time.monotonic() - start
            left = passed * (1 - each.done) / each.done
            long = not announced and passed > _SOON and left > _LONG
            tell(f"{name}: {each.done:.0%} done, about {left / 60:.1f} min left", long)
            announced |= long
            continue
        if isinstance(each, Row):
            tell(f"{name}, after {each.instance}", False)
        yield each


def pages(kind: Claim | All, checked: Checked) -> list[tuple[pa.Table, str]]:
    """Tables for people, with titles: the rows of one claim; for all, one row per claim, and each first false row."""
    if isinstance(kind, Claim):
        return [(_short(worded(checked.rows).drop_columns("claim")), f"{kind.name}: {statement(type(kind))}")]
    every, false = (rows["claim"].to_pylist() for rows in (checked.rows, checked.false))
    names = list(dict.fromkeys(every))
    columns = {
        "claim": names,
        "rows": [every.count(name) for name in names],
        "false": [false.count(name) for name in names],
        "statement": [statement(CLAIMS[name]) for name in names],
    }
    if not false:
        return [(pa.table(columns), "")]
    first = checked.false.take([false.index(name) for name in dict.fromkeys(false)]).drop_columns(["slack", "holds"])
    return [(pa.table(columns), ""), (_short(first), "The first false row of each:")]


def worded(rows: pa.Table) -> pa.Table:
    """The rows with yes and no for whether they hold."""
    words = pa.array(["yes" if held else "no" for held in rows["holds"].to_pylist()], pa.string())
    return rows.drop_columns("holds").append_column("holds", words)


def _short(rows: pa.Table) -> pa.Table:
    return rows.rename_columns(["is" if name == "relation" else name for name in rows.column_names])


def statement(kind: type) -> str:
    """What a claim says, in one line."""
    return (kind.__doc__ or "").partition("\n")[0]


def arguments(kind: Claim | All) -> dict[str, Any]:
    """The options as provenance records them; files are inputs or outputs."""
    return {option: value for option, value in asdict(kind).items() if option not in ("data", "model", "plot")}


def packages(kind: Claim | All) -> list[str]:
    """Those whose versions bear on the numbers."""
    return ["numpy", "pyarrow", *dict.fromkeys(name for claim in kind.claims() for name in claim.packages)]
