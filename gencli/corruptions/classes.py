"""Classes as larger ones."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import Apply, Corruption
from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.tables import Description, ImageTable
from gencli.randomness import Draws

_FORM = "write groups of classes' numbers, such as 0-4,5-9 or 0+2+4,1+3+5"


@dataclass(frozen=True)
class MergeClasses(Corruption):
    """Merge classes into fewer, such as ten digits into two.

    Label k becomes the number of the group that it is in, the first being 0; the groups as written are the names of the
    new classes. The column label_true, where there is one, is merged too: labels are as right as before. Each class is
    in one group. Reads and writes an image table.

    Source: binary MNIST, 0-4 against 5-9: Dziugaite, Roy 2017, arXiv:1703.11008.

    \b
    Example:
      gencli data digits | gencli corrupt merge-classes --groups 0-4,5-9 -o two.parquet
    """

    name = "merge-classes"
    family = "labels"
    slow = False
    groups: Annotated[
        str, typer.Option(metavar="A-B+C,...", help="Groups of classes' numbers; + joins numbers and ranges.")
    ]

    def __post_init__(self) -> None:
        _ = self._members

    @property
    def _words(self) -> list[str]:
        return self.groups.split(",")

    @property
    def _members(self) -> list[list[int]]:
        """Each group's classes."""
        found: list[list[int]] = []
        for word in self._words:
            ranges = [re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part, re.ASCII) for part in word.split("+")]
            ends = [(int(each[1]), int(each[2] or each[1])) for each in ranges if each]
            if len(ends) < len(ranges) or any(low > high for low, high in ends):
                raise GencliError(f"--groups: {word!r} is no group of classes", _FORM)
            found.append([number for low, high in ends for number in range(low, high + 1)])
        return found

    def _merged(self, classes: int) -> NDArray[np.int64]:
        """[classes] the group of each class."""
        groups = np.full(classes, -1)
        for number, members in enumerate(self._members):
            for each in members:
                if each >= classes:
                    raise GencliError(f"--groups: no class {each}: the table has 0 to {classes - 1}", _FORM)
                if groups[each] >= 0:
                    raise GencliError(f"--groups: class {each} is in two groups, or twice in one", _FORM)
                groups[each] = number
        if (groups < 0).any():
            raise GencliError(
                f"--groups: class {int(np.flatnonzero(groups < 0)[0])} is in no group",
                "give each class a group; gencli corrupt subsample --classes drops rows, but not their class",
            )
        return groups

    def describe(self, description: Description) -> Description:
        self._merged(len(description.classes))
        return replace(description, classes=tuple(self._words))

    def schema(self, schema: pa.Schema, description: Description) -> pa.Schema:
        return schema.with_metadata(self.describe(description).schema().metadata)

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        groups = self._merged(len(table.description.classes))

        def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name in {"label", "label_true"} & columns.keys():
                columns[name] = arrow.integers(groups[arrow.values(columns[name])])
            return pa.RecordBatch.from_arrays([*columns.values()], schema=self.schema(batch.schema, table.description))

        return apply
