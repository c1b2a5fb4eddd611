"""Labels that a file gives for the same rows, such as those that people gave for CIFAR-10N."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import LabelCorruption, Moved
from gencli.counts import by
from gencli.errors import GencliError, nearest
from gencli.files import arrays, arrow, parquet, tables, texts
from gencli.files.stream import Input
from gencli.files.tables import Description, ImageTable
from gencli.randomness import Draws
from gencli.sources.where import Joined, places

_TRUE = ("clean_label", "label_true")  # what files that hold several kinds of labels call the true ones

_OF_SOURCE = "by row of the source"
_WHOLE = re.compile(r"-?[0-9]{1,19}")

Integers = NDArray[np.int64]
Column = NDArray[Any] | pa.Array | list[str]


class _Read(NamedTuple):
    """The columns of a file by name, [rows] each; `ids` where it has them."""

    columns: dict[str, Column]
    ids: pa.Array | None


@dataclass(frozen=True)
class GivenLabels(LabelCorruption):
    """Replace labels by those that a file gives for the same rows.

    FILE is NumPy's .npy or .npz, PyTorch's .pt (read without unpickling anything), CSV or Parquet; it holds class
    numbers from 0 or class names, also where these are numbers, such as 7 and 42. With a column id, rows are joined by
    it, and each row of the table needs one. Otherwise FILE's rows are the table's in their order; where FILE has more
    rows, those of the data set's source, of which the table is a part. If FILE also holds clean_label or label_true,
    as CIFAR-10N does, they must be the table's own true labels: otherwise its rows are in another order, which is an
    error. The column label_true keeps the original. Rates per class are printed. Reads and writes an image table.

    Source: Wei, Zhu, Cheng, Liu, Niu, Liu 2022, arXiv:2110.12088 (CIFAR-10N).

    \b
    Example:
      gencli data digits -o digits.parquet
      python -c "import numpy; numpy.save('given.npy', numpy.arange(1437) % 10)"
      gencli corrupt labels --from given.npy digits.parquet -o given.parquet
    """

    name, file_option = "labels", "from"
    source: Annotated[str, typer.Option("--from", metavar="FILE", help="The labels.")]
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of several columns or arrays of FILE, the one with the labels.")
    ] = None

    @cached_property
    def files(self) -> Sequence[Input]:
        return [Input(self.source)]

    def arguments(self) -> dict[str, Any]:
        return {"from": None, "column": self.column}

    @cached_property
    def _read(self) -> _Read:
        source = self.files[0]
        if parquet.is_parquet(source):
            file = parquet.open_file(source)
            names = [name for name in file.schema_arrow.names if name not in ("image", "img", "target")]
            with parquet.undamaged(source.name):
                rows = parquet.read(file, names)
                rows.validate(full=True)
            found: dict[str, Column] = {
                name: pa.concat_arrays([arrow.plain(each) for each in rows[name].chunks]) for name in names
                if rows.num_rows
            }  # fmt: skip
        elif arrays.is_arrays(source):
            found = {}
            for name, array in arrays.read(source).items():
                flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
                if flat.ndim == 1:
                    found[name] = flat
                elif name == (self.column or ""):
                    raise GencliError(
                        f"{source.name}: {name or 'the array'} is {by(array.shape)}, not one label a row",
                        "give an array of one class number for each row",
                    )
        else:
            found = dict(texts.columns(source))
        ids = found.pop("id", None)
        if isinstance(ids, list):
            numbers = _whole(ids)
            ids = pa.nulls(len(ids)) if numbers is None else numbers
        return _Read(found, ids if ids is None or isinstance(ids, pa.Array) else pa.array(ids))

    def _chosen(self) -> str:
        names, title = [*self._read.columns], self.files[0].name
        if self.column is not None:
            if self.column not in names:
                raise GencliError(f"--column: {title} has no {self.column!r}", nearest(self.column, names))
            return self.column
        if len(names) == 1 or "label" in names:
            return names[0] if len(names) == 1 else "label"
        if not names:
            raise GencliError(f"{title}: no labels", "give a file with one class number for each row")
        raise GencliError(
            f"{title}: several columns: {', '.join(name or repr(name) for name in names)}", "choose one with --column"
        )

    def _places(self, table: ImageTable) -> tuple[Integers, str]:
        """[rows] the row of the file that each of the table's rows is, and how that was found."""
        name, ids = self.files[0].name, table.column("id")
        rows = len(self._read.columns[self._chosen()])
        if self._read.ids is not None:
            joined = Joined(name, name, pa.table({"id": self._read.ids}), ["id", *self._read.columns])
            at = places(ids, joined, table.title)
            if (gone := np.flatnonzero(at < 0)).size:
                raise GencliError(
                    f"{name}: no label for {gone.size:,} of {len(ids):,} rows of {table.title}, the first of id "
                    f"{ids[gone[0]]}", "give one for each row, or keep the others: gencli data where",
                )  # fmt: skip
            return at, "by id"
        of_source = ids - tables.identities(table.description.name, table.description.split, 0, 1)[0]
        if rows == len(ids):
            if of_source.min() >= 0 and of_source.max() < rows and (np.diff(of_source) < 0).any():
                raise GencliError(
                    f"{table.title}: its rows are in another order than in their source, and those of {name} in either",
                    "give a CSV or Parquet table with the columns id and label",
                )
            return np.arange(rows), "by row"
        if rows < len(ids) or ((of_source < 0) | (of_source >= rows)).any():
            raise GencliError(
                f"{name}: {rows:,} labels, but {table.title} has {len(ids):,} rows",
                "give one label for each row in order, or a CSV or Parquet table with the columns id and label",
            )
        return of_source, _OF_SOURCE

    def _numbers(self, name: str, description: Description) -> Integers:
        """[rows of the file] class numbers."""
        column, title, classes = self._read.columns[name], self.files[0].name, description.classes
        where = f"{title}: column `{name}`" if name else title
        if isinstance(column, list):
            numbers = _whole(column)
            column = column if numbers is None else numbers
        if isinstance(column, np.ndarray):
            if column.dtype.kind == "u" and column.size and column.max() > np.iinfo(np.int64).max:
                raise GencliError(f"{where}: {column.max()} is no class", "labels are class numbers from 0")
            if column.dtype.kind == "f" and (wrong := (column != np.rint(column)) | (abs(column) >= 2.0**53)).any():
                row = int(np.argmax(wrong))
                raise GencliError(f"{where}: row {row}: {column[row]}", "labels are class numbers from 0")
            numbers = column.astype(np.int64)
        elif isinstance(column, list) or pa.types.is_string(column.type):
            known = {each: place for place, each in enumerate(classes)}
            words = column if isinstance(column, list) else column.to_pylist()
            for row, word in enumerate(words):
                if word not in known:
                    raise GencliError(f"{where}: row {row}: no class {word!r:.60}", nearest(str(word), classes))
            numbers = np.array([known[word] for word in words], np.int64)
        elif arrow.holds_integers(column.type) and not column.null_count:
            try:
                numbers = arrow.to_integers(column)
            except ValueError as error:
                row, value = error.args
                raise GencliError(f"{where}: row {row}: {value}", "labels are class numbers from 0") from None
        else:
            raise GencliError(
                f"{where}: {column.null_count} rows without a label"
                if column.null_count
                else f"{where}: {column.type}",
                "labels are class numbers from 0, or class names",
            )
        if classes != tuple(map(str, range(len(classes)))) and all(map(_WHOLE.fullmatch, classes)):
            known = {int(each): place for place, each in enumerate(classes)}  # numbers that are names come first
            for row, number in enumerate(numbers.tolist()):
                if number not in known:
                    raise GencliError(f"{where}: row {row}: no class {number}", nearest(str(number), classes))
            return np.array([known[number] for number in numbers.tolist()], np.int64)
        tables.check_labels(numbers, len(classes), title, name or "label")
        return numbers

    def _found(self, table: ImageTable) -> tuple[Integers, str]:
        """[rows] the labels of the table's rows, and how they were joined."""
        name = self._chosen()
        at, how = self._places(table)
        labels = self._numbers(name, table.description)[at]
        for each in _TRUE:
            if each in self._read.columns and each != name:
                own = "label_true" if "label_true" in table.schema.names else "label"
                differ = self._numbers(each, table.description)[at] != table.column(own)
                if differ.any():
                    raise GencliError(
                        f"{self.files[0].name}: its {each} differs from {own} of {table.title} in {differ.sum():,} of "
                        f"{len(at):,} rows, the first {np.argmax(differ)}: its rows are others, or in another order",
                        "label the table in the order that the file was made for, or join by a column id",
                    )
        if how == _OF_SOURCE and (said := _by_chance(labels, table)):
            raise GencliError(
                f"{self.files[0].name}: {len(self._read.columns[name]):,} labels for the source of {table.title}, "
                f"{said}: is it of another split?", "give one label for each row in order, or join by a column id",
            )  # fmt: skip
        return labels, how

    def labels(self, table: ImageTable, draws: Draws) -> Callable[[Integers, Integers], Integers]:
        given, _ = self._found(table)
        ids = table.column("id")
        order = np.argsort(ids, kind="stable")
        known, labels = ids[order], given[order]
        if ((known[1:] == known[:-1]) & (labels[1:] != labels[:-1])).any():
            raise GencliError(
                f"{table.title}: holds each row in several versions, to which the file gives different labels",
                "label the rows first, then gencli corrupt common --all",
            )
        return lambda before, wanted: labels[np.searchsorted(known, wanted)]

    def asked(self, table: ImageTable, draws: Draws) -> NDArray[np.float64]:
        """[classes] the share of a class's labels that change."""
        before, classes = table.column("label"), len(table.description.classes)
        rows = np.bincount(before, minlength=classes)
        changed = np.bincount(before[self._found(table)[0] != before], minlength=classes)
        return changed / np.maximum(rows, 1)

    def differing(self, table: ImageTable) -> float:
        """The share of labels that the file changes, for the step's record."""
        return float(np.mean(self._found(table)[0] != table.column("label")))

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table | None]:
        words, rows = super().report(table, draws, moved)
        labels, how = self._found(table)
        words += f", joined {how}"
        if said := _by_chance(labels, table):
            words += f"; {said}: is the order the same?"
        return words, None if rows is None else rows.drop_columns(["asked"]).rename_columns(
            ["class", "rows", "changed"]
        )


def _by_chance(labels: Integers, table: ImageTable) -> str:
    """That labels agree with the table's as those of other rows would, by three standard deviations; nothing if not."""
    before, classes = table.column("label"), len(table.description.classes)
    same = float(np.mean(labels == before))
    counts = (np.bincount(each, minlength=classes) for each in (labels, before))
    chance = float(np.prod([*counts], axis=0).sum()) / len(labels) ** 2
    if same >= chance + 3 * np.sqrt(chance * (1 - chance) / len(labels)):
        return ""
    return f"of which {same:.1%} agree, no more than by chance ({chance:.1%})"


def _whole(cells: list[str]) -> NDArray[np.int64] | None:
    """[rows] cells that all spell numbers of 64 bits; None where some do not."""
    try:
        return np.array(list(map(int, cells)), np.int64) if all(map(_WHOLE.fullmatch, cells)) else None
    except OverflowError:
        return None
