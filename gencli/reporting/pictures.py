"""The images of single rows, taken from the image tables among a report's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import arrow
from gencli.reporting.documents import Document
from gencli.reporting.sheet import tile
from gencli.sources import read_table


@dataclass(frozen=True)
class Pictures:
    """Images by id, as [height, width, 3] uint8, and the classes' names by label."""

    images: dict[int, NDArray[np.uint8]]
    names: Sequence[str]

    def name(self, label: int) -> str:
        """A class in words."""
        name = self.names[label] if label < len(self.names) else str(label)
        return f"label {name}" if name.isdecimal() else name


def made_of(tables: Sequence[Document], of: Document, role: str) -> list[Document]:
    """The image tables that a document was made of; all where it does not say which."""
    known = set() if of.made is None else {each.sha256 for each in of.made.given(role)}
    return [each for each in tables if not known or each.source.sha256 in known]


def find(
    tables: Sequence[Document], of: Document, role: str, ids: NDArray[np.int64], labels: NDArray[np.int64]
) -> Pictures:
    """The images of rows, from the tables that a document was made of; by ids and labels where it does not say which.

    Args:
        role: of these tables among the inputs of the document's step: `data`, or `test`.

    Raises:
        GencliError: they are not all there.
    """
    known = of.made is not None and bool(of.made.given(role))
    wanted = dict(zip(ids.tolist(), labels.tolist()))
    found: dict[int, NDArray[np.uint8]] = {}
    names: tuple[str, ...] = ()
    for document in made_of(tables, of, role):
        assert document.opened is not None
        table = read_table([document.opened])
        theirs = table.column("id")
        keep = np.isin(theirs, ids)
        if not known and any(wanted[i] != j for i, j in zip(theirs[keep].tolist(), table.column("label")[keep])):
            continue
        names = table.description.classes
        for batch in table.batches(keep) if keep.any() else ():
            images: Any = arrow.unpack(batch, table.description)
            found |= {number: tile(image) for number, image in zip(arrow.values(batch.column("id")).tolist(), images)}
    if gone := wanted.keys() - found.keys():
        what = "the image table that was trained on" if role == "data" else "the image table of --test"
        raise GencliError(
            f"{of.title}: {'none' if not found else f'{len(gone):,}'} of its rows are among these images: "
            + ", ".join(document.title for document in tables[:3]),
            f"give {what}, as gencli score had it, or no image tables",
        )
    return Pictures(found, names)
