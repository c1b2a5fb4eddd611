"""Which rows of a table to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError, nearest
from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.sources.classes import listed


def select(
    table: ImageTable, classes: str | None = None, sample: int | None = None, limit: int | None = None, seed: int = 0
) -> NDArray[np.bool_] | None:
    """The mask [rows] of rows to keep: of these classes, then a sample of them, then the first ones; None for all.

    Args:
        classes: names or numbers, separated by commas.
        sample: the number of rows to draw; a row's lot depends only on the seed and its identity, so smaller samples
            are subsets of larger ones.
        limit: the number of rows to keep from the start.
    """
    if classes is None and sample is None and limit is None:
        return None
    keep = np.ones(table.rows, bool)
    if classes is not None:
        keep &= np.isin(table.column("label"), class_numbers(classes, table))
    if sample is not None:
        require_one_version(table)
        places = np.flatnonzero(keep)
        lots = Draws(seed, "sample").uniforms(table.column("id")[places])
        keep[:] = False
        keep[places[np.argsort(lots, kind="stable")[:sample]]] = True
    if limit is not None:
        keep[np.flatnonzero(keep)[limit:]] = False
    if not keep.any():
        raise GencliError(f"{table.title}: no rows are left", f"--classes {classes} has no rows")
    return keep


def class_numbers(text: str, table: ImageTable) -> list[int]:
    """The labels of classes given by name or number, separated by commas; names with commas stand in quotes."""
    return numbers_of(text, table.description.classes, table.title)


def numbers_of(text: str, names: Sequence[str], title: str) -> list[int]:
    """The same of classes of these names; `title` is the table's."""
    numbers = []
    for word in listed(text, "--classes") or [""]:
        places = [place for place, name in enumerate(names) if name == word]
        if len(places) > 1:
            several = " and ".join(map(str, places))
            raise GencliError(f"{title}: classes {several} are both called {word!r}", "give the class's number")
        if places:
            numbers += places
        elif word.isascii() and word.isdecimal() and len(word) < 20 and int(word) < len(names):
            numbers.append(int(word))
        else:
            counted = names == tuple(map(str, range(len(names))))
            more = "; gencli data parquet --class-names gives their number" if counted else ""
            raise GencliError(f"{title}: no class {word!r}", nearest(word, names) + more)
    return numbers


def require_one_version(table: ImageTable) -> None:
    """Refuses to draw rows of a table with several versions of each row: all versions would be drawn together."""
    if len(np.unique(table.column("id"))) < table.rows:
        raise GencliError(
            f"{table.title}: holds each row in several versions, which cannot be drawn separately",
            "draw rows first, then gencli corrupt common --all",
        )
