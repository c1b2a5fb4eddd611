"""Rows removed by a score of theirs: what is memorized, never forgotten, easy or hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.corruptions.imbalance import Subset, mask
from gencli.counts import share, typed
from gencli.errors import GencliError, nearest
from gencli.files import arrow, parquet
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.sources.selection import require_one_version
from gencli.sources.where import Joined, places


@dataclass(frozen=True)
class Prune(Subset):
    """Remove the rows with the highest scores.

    Of n rows round((1-p) n) stay (halves to even), and those with the highest values in a column of scores are removed;
    with --lowest those with the lowest. Rows of equal values are drawn by lot, so that what a smaller p removes a
    larger one removes too. FILE is Parquet with a column id, one row for each row of the table, such as gencli score or
    gencli train --dynamics writes of one run; a row without a value is an error, and so are labels that are not the
    table's. The count is that of the whole table, also with --shard. To compare with as many rows removed at random,
    train with --subset 1-p, then gencli report --table removal. Reads and writes an image table.

    Source: Toneva et al. 2019, arXiv:1812.05159; Feldman, Zhang 2020, arXiv:2008.03703.

    \b
    Example:
      gencli data digits -o digits.parquet
      gencli train digits.parquet --arch mlp-1x64 --epochs 5 --dynamics dynamics.parquet -o model.safetensors
      gencli corrupt prune -p 0.1 --by loss_mean --scores dynamics.parquet digits.parquet -o pruned.parquet
    """

    name, file_option = "prune", "scores"
    p: Annotated[float, typer.Option("-p", min=0, max=1, help="Share of the rows to remove.")]
    by: Annotated[str, typer.Option(metavar="COLUMN", help="Column of scores to rank by.")]
    scores: Annotated[str, typer.Option(metavar="FILE", help="Table with the columns id and COLUMN.")]
    lowest: Annotated[bool, typer.Option("--lowest", help="Remove the rows with the lowest scores.")] = False

    @cached_property
    def files(self) -> Sequence[Input]:
        return [Input(self.scores)]

    @cached_property
    def _read(self) -> Joined:
        source = self.files[0]
        file = parquet.open_file(source)
        names = file.schema_arrow.names
        if self.by not in names or self.by == "id":
            raise GencliError(f"--by: {source.name} has no scores {self.by!r}", nearest(self.by, names))
        kind = file.schema_arrow.field(self.by).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise GencliError(f"{source.name}: column `{self.by}` is {kind}, not numbers", "rows are ranked by numbers")
        with parquet.undamaged(source.name):
            rows = parquet.read(file, [name for name in names if name in ("id", "label", self.by)])
            rows.validate(full=True)
        return Joined(source.name, source.name, rows, names)

    def kept(self, table: ImageTable, draws: Draws) -> NDArray[np.bool_]:
        require_one_version(table)
        ids, read = table.column("id"), self._read
        at = places(ids, read, table.title, f"gencli score {read.title} writes the means over its runs")
        self._require_labels(table, at)
        values = np.where(at < 0, np.nan, read.rows[self.by].to_numpy().astype(float)[at])
        if (gone := np.flatnonzero(np.isnan(values))).size:
            raise GencliError(
                f"{read.title}: column `{self.by}`: no value for {gone.size:,} of {len(ids):,} rows of {table.title}, "
                f"the first of id {ids[gone[0]]}", "score all rows, or keep those with a value: gencli data where",
            )  # fmt: skip
        order = np.lexsort((draws.uniforms(ids), values if self.lowest else -values))
        kept = share(float(1 - typed(self.p)), len(ids))  # as many as train --subset
        return mask(order[len(ids) - kept :], len(ids))

    def _require_labels(self, table: ImageTable, at: NDArray[np.int64]) -> None:
        """Refuses scores of rows with other labels: they say nothing of these."""
        read, labels = self._read, table.column("label")
        if "label" not in read.rows.column_names or not arrow.holds_integers(read.rows["label"].type):
            return
        theirs = np.where(at < 0, labels, read.rows["label"].to_numpy()[at])
        if (other := np.flatnonzero(theirs != labels)).size:
            raise GencliError(
                f"{read.title}: its labels are others than those of {table.title} in {other.size:,} of {len(at):,} "
                f"rows, the first of id {table.column('id')[other[0]]}: {theirs[other[0]]}, not {labels[other[0]]}",
                "give scores of this table, or prune the one that was scored",
            )
