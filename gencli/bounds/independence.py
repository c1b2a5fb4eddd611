"""That rows are independent draws, as far as can be seen: each once, by id and by image, and no table in another."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.tables import ImageTable
from gencli.models.inputs import Rows

FEW = 0.01  # of the rows: data sets have a few equal images by themselves; MNIST and CIFAR-10 none
_ONCE = "give a table with each row once"


def require_rows(table: ImageTable) -> NDArray[np.int64]:
    """A table's ids, each once: the bound counts independent rows.

    Raises:
        GencliError: fewer than two classes, a row twice, or rows that were repeated under new ids or chosen by scores
            or another table.
    """
    if len(table.description.classes) < 2:
        raise GencliError(f"{table.title}: one class: every classifier is right", "give a table of two classes or more")
    ids = table.column("id")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise GencliError(
            f"{table.title}: row id {unique[counts > 1][0]} comes {counts.max()} times, "
            "and a bound counts independent rows",
            _ONCE,
        )
    chain = [each for each, depth in provenance.walk(table.made) if depth == 0]
    if any(each.command == "corrupt prune" and each.arguments.get("p") != 0 for each in chain):
        raise GencliError(
            f"{table.title}: gencli corrupt prune chose its rows by scores, and a bound counts independent rows",
            "give the table as it was before",
        )
    if any(each.command == "data where" and each.given("join") for each in chain):
        raise GencliError(
            f"{table.title}: gencli data where --join chose its rows by another table, such as of scores, "
            "and a bound counts independent rows",
            "give the table as it was before, or choose rows by their own columns",
        )
    if any(each.command == "data repeat" and each.arguments.get("times") != 1 for each in chain):
        raise GencliError(
            f"{table.title}: gencli data repeat copied its rows, and a bound counts independent rows", _ONCE
        )
    return ids


def require_disjoint(one: ImageTable, other: ImageTable, roles: str) -> None:
    """Refuses two tables with a row in common, which ids tell.

    Raises:
        GencliError: they have.
    """
    common = np.intersect1d(one.column("id"), other.column("id"))
    if len(common):
        raise GencliError(
            f"{one.title}, {other.title}: {len(common):,} rows are in both, such as id {common[0]}: {roles}",
            "give tables without common rows; rows from elsewhere get ids by --name and --split of gencli data parquet",
        )


def copies(rows: Rows, others: Rows | None = None) -> int:
    """How many rows have the image of a row before them, or with `others` of one of these, whatever their ids."""
    own = _prints(rows)
    return len(own) - len({*own}) if others is None else sum(map({*_prints(others)}.__contains__, own))


def require_few(found: int, rows: Rows, what: str) -> str | None:
    """A remark on copies that were found; None without.

    Raises:
        GencliError: so many that rows are no independent draws.
    """
    said = f"{what}: {found:,} of {len(rows):,} images, under other ids"
    if found > FEW * len(rows):
        raise GencliError(said, "leave the copies out: a bound counts independent rows")
    return f"{said}; the bound counts them as independent draws" if found else None


def _prints(rows: Rows) -> list[bytes]:
    return [hashlib.blake2b(each.tobytes(), digest_size=16).digest() for each in rows.images.cpu().numpy()]
