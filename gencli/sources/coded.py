"""Columns of other tools by their paths, and their labels as class numbers: names, and numbers with gaps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files import arrow, parquet
from gencli.files.stream import Input
from gencli.sources.classes import classes_of

_SHOWN = 5


def field_at(schema: pa.Schema, path: str) -> pa.Field | None:
    """The column of this name, or the field that a path of names, a.b.c, leads to in structs; None for none."""
    if schema.names.count(path) == 1:
        return schema.field(path)
    first, *rest = path.split(".")
    if schema.names.count(first) != 1:
        return None
    found = schema.field(first)
    for name in rest:
        place = found.type.get_field_index(name) if pa.types.is_struct(found.type) else -1
        if place < 0:
            return None
        found = found.type.field(place)
    return found


def dug(rows: pa.RecordBatch | pa.Table, path: str) -> pa.Array:
    """The same of rows, missing where a struct around it is."""
    if path in rows.schema.names:
        first, rest = path, []
    else:
        first, *rest = path.split(".")
    found = rows.column(first)
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    for name in rest:
        place = found.type.get_field_index(name)
        found = found.flatten()[place]  # which passes on what is missing around it
    return found


def read(inputs: Sequence[Input], files: Sequence[pq.ParquetFile], path: str) -> list[pa.Array]:
    """A column of all files of a data set, in its plain type, one part a file."""
    parts = []
    for source, file in zip(inputs, files, strict=True):
        with parquet.undamaged(source):
            parts.append(arrow.plain(dug(parquet.read(file, [path]), path)))
    return parts


@dataclass(frozen=True)
class Coding:
    """Class numbers for what a column of labels holds.

    Attributes:
        values: by class, ascending, or in the order of names that were given.
        names: of the classes.
    """

    values: tuple[str | int, ...]
    names: tuple[str, ...]

    def codes(self, column: pa.Array) -> NDArray[np.int64]:
        """[rows] the class of each value.

        Raises:
            ValueError: the first row whose value has none, and the value.
        """
        places = {value: place for place, value in enumerate(self.values)}
        column = arrow.plain(column)
        values = column.to_pylist() if pa.types.is_string(column.type) else arrow.to_integers(column).tolist()
        for row, value in enumerate(values):
            if value not in places:
                raise ValueError(row, value)
        return np.array([places[value] for value in values], np.int64)


def coding(
    inputs: Sequence[Input], files: Sequence[pq.ParquetFile], path: str, names: tuple[str, ...] | None, renumber: bool,
) -> Coding | None:  # fmt: skip
    """How labels become class numbers, if they are not: names by their order, numbers by theirs.

    Names that are whole numbers go in the order of these; which class is which is said.

    Raises:
        GencliError: a missing label, or one that none of the given names is.
    """
    title = inputs[0].name
    field = field_at(files[0].schema_arrow, path)
    words = field is not None and pa.types.is_string(arrow.plain_type(field.type))
    if not words and not renumber:
        if field is not None and pa.types.is_boolean(arrow.plain_type(field.type)):
            _say_order(["false", "true"], title, path)
        return None
    found: set[str | int] = set()
    for part in read(inputs, files, path):
        if part.null_count:
            raise GencliError(f"{title}: {part.null_count} rows without `{path}`", "remove such rows first")
        if words:
            found.update(part.unique().to_pylist())
            continue
        try:
            found.update(np.unique(arrow.to_integers(part)).tolist())
        except ValueError as error:
            raise GencliError(f"{title}: {path} {error.args[1]}", "labels are whole numbers, or names") from None
    if words and names is not None and not renumber:
        unknown = sorted(map(str, found - {*names}))
        if unknown:
            raise GencliError(f"{title}: {path} {unknown[0]!r:.60} is not in --class-names", "name all classes")
        return Coding(names, names)
    ordered = in_order(found) if words else sorted(found)
    if names is not None and len(names) != len(ordered):
        raise GencliError(
            f"{title}: {len(ordered)} different labels, but --class-names has {len(names)}", "name as many classes"
        )
    _say_order(ordered, title, path)
    return Coding(tuple(ordered), names or tuple(map(str, ordered)))


def of_words(
    words: Sequence[str], names: tuple[str, ...] | None, renumber: bool, title: str, what: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """[rows] class numbers of the cells of text files, and the classes' names: cells are numbers, or names.

    Raises:
        GencliError: a cell is no class, or empty.
    """
    if "" in words:
        raise GencliError(f"{title}: row {list(words).index('')}: no {what}", "give each image a label")
    if all(re.fullmatch("[0-9]{1,18}", word) for word in words):
        numbers = np.array(list(map(int, words)), np.int64)
        if not renumber:
            return numbers, classes_of(None, names, {"label": numbers}, title)
    elif names is not None and not renumber:
        places = {name: place for place, name in enumerate(names)}
        for row, word in enumerate(words):
            if word not in places:
                raise GencliError(
                    f"{title}: row {row}: {what} {word!r:.60} is not in --class-names", "name all classes"
                )
        return np.array([places[word] for word in words], np.int64), names
    ordered = in_order({*words})
    if names is not None and len(names) != len(ordered):
        raise GencliError(
            f"{title}: {len(ordered)} different labels, but --class-names has {len(names)}", "name as many classes"
        )
    _say_order(ordered, title, what)
    places = {name: place for place, name in enumerate(ordered)}
    return np.array([places[word] for word in words], np.int64), names or tuple(ordered)


def _say_order(ordered: Sequence[str | int], title: str, what: str) -> None:
    shown = [f"{value} is {place}" for place, value in enumerate(ordered[:_SHOWN])]
    shown += ["..."] if len(ordered) > _SHOWN else []
    said = f"{title}: {len(ordered)} classes in the order of `{what}`: {', '.join(shown)}"
    console.message(console.printable(said))


def in_order(names: set[str] | set[str | int] | Sequence[str]) -> list[str]:
    """Names of classes in their order: that of numbers where all are whole ones, otherwise of characters."""
    words = list(map(str, names))
    if all(each.isascii() and each.isdecimal() and len(each) < 19 for each in words):
        return sorted(words, key=lambda word: (int(word), word))
    return sorted(words)
