"""The classes of tables from other tools: names from metadata or from the user, or numbers up to the largest label."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.cli.console import message, quoted
from gencli.errors import GencliError, first_line
from gencli.files import tables
from gencli.files.stores import is_address
from gencli.files.stream import Input

_SHOWN = 5
_MOST = 1_000_000  # without names: a stray label must not fill the memory with numbers
_LONGEST = 64 << 20  # bytes of a file of names
_FORM = "give the number of classes, their names in order as a,b,c, or a file with one name per line"


def parse_names(text: str | None) -> tuple[str, ...] | None:
    """`--class-names`: `10` is 0 to 9, `cat,dog` two names, and a file holds one name per line.

    Raises:
        GencliError: none of these, or two of one name.
    """
    if text is None:
        return None
    if text.isdecimal() and text.isascii():
        if len(text) > len(str(_MOST)) or not 1 <= int(text) <= _MOST:
            raise GencliError(f"--class-names: {text} classes", _FORM)
        return tuple(map(str, range(int(text))))
    if is_address(text) or os.path.exists(text):
        try:
            source = Input(text)
            if source.size > _LONGEST:
                raise GencliError(f"{text}: {source.size:,} bytes, too many for names")
            names = source.peek(0, source.size).decode("utf-8-sig").splitlines()
        except GencliError as error:
            raise GencliError(f"--class-names: {error.message}", _FORM) from None
        except (OSError, UnicodeDecodeError) as error:
            raise GencliError(f"--class-names: {text}: not a text file: {first_line(error)}", _FORM) from None
    else:
        names = listed(text, "--class-names")
    if not names or not all(names) or any("\0" in name for name in names):
        raise GencliError(f"--class-names: {text}: a class without a name", _FORM)
    require_distinct(names, f"--class-names: {text}", "give each class a distinct name")
    return tuple(names)


def listed(text: str, option: str) -> list[str]:
    """The words of an option that are separated by commas; those that hold commas stand in quotes.

    Raises:
        GencliError: lines, or a word that is too long.
    """
    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        raise GencliError(f"{option}: {quoted(text)}: {error}", "separate names by commas") from None


def written(names: tuple[str, ...]) -> str:
    """What `parse_names` reads as these names, whatever files there are."""
    if names == tuple(map(str, range(len(names)))):
        return str(len(names))
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def hub_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """The class names of a label column that the `huggingface` metadata holds."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not (isinstance(names, list) and names and all(isinstance(each, str) for each in names)):
        return None
    return tuple(each.encode(errors="replace").decode() for each in names)


def classes_of(
    known: Sequence[str] | None, given: Sequence[str] | None, labels: dict[str, NDArray[np.int64]], title: str
) -> tuple[str, ...]:
    """The classes' names: those that metadata holds or that the user gives, or numbers up to the largest label.

    Args:
        labels: the columns of labels by name, [rows] each.

    Raises:
        GencliError: both name them, two classes have one name, or a label is none of them.
    """
    if given is not None and known is not None and len({*known}) == len(known):
        raise GencliError(f"{title}: its metadata already names {len(known)} classes", "omit --class-names")
    largest = max(int(column.max(initial=0)) for column in labels.values())
    names = tuple(given or known or map(str, range(min(largest + 1, _MOST))))
    require_distinct(names, title, "rename them with --class-names of gencli data parquet")
    for name, column in labels.items():
        tables.check_labels(column, len(names), title, name)
    if given is None and known is None:
        _say_gaps(np.unique(np.concatenate([*labels.values()])), title)
    return names


def _say_gaps(found: NDArray[np.int64], title: str) -> None:
    """That labels start at 1, or are few of many numbers, where nothing but they themselves tells the classes."""
    if len(found) and (found[0] > 0 or 2 * len(found) < found[-1] + 1):
        shown = f"{found[0]} to {found[-1]}" if len(found) == found[-1] - found[0] + 1 else ", ".join(
            [*map(str, found[:_SHOWN]), *(["..."] if len(found) > _SHOWN else [])]
        )  # fmt: skip
        gaps = found[-1] + 1 - len(found)
        message(
            f"{title}: labels are {shown}, so {gaps:,} of {found[-1] + 1:,} classes have no rows; "
            "--renumber makes them 0 to " + str(len(found) - 1)
        )


def require_distinct(names: Sequence[str], title: str, hint: str) -> None:
    """Refuses two classes of one name, where names are to tell classes apart."""
    count = Counter(names)
    for name in names:
        if count[name] > 1:
            places = [str(place) for place, each in enumerate(names) if each == name]
            raise GencliError(f"{title}: classes {' and '.join(places)} are both called {name!r}", hint)
