"""Whether files are one data set: of one split, made by the same steps, of the same classes, every part and id once."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gencli.errors import GencliError, nearest
from gencli.files import parquet, tables
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.files.tables import Description, ImageTable
from gencli.sources.classes import hub_names
from gencli.sources.decoded import SPLITS

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_ONE = "the files of a data set share steps, names and columns, with every part once; name files that belong together"
_SPLITS = (*SPLITS, "training", "testing", "valid", "dev", "eval", "evaluation", "extra", "unsupervised")
_SPLIT = re.compile(rf"(?<![^\W_\d])({'|'.join(_SPLITS)})(?![^\W_\d])")  # as hubs find it: between no letters
_NUMBERED = re.compile(r"(.*?)[-_.]?(\d+)-of-(\d+)(?!\d)")
_VERSION = ("corruption", "severity")  # columns of a table that holds each row in several versions
_SHOWN = 3


@dataclass(frozen=True)
class Part:
    """A file, and what it says of itself."""

    source: Input
    file: pq.ParquetFile

    @property
    def name(self) -> str:
        """The file's name in messages."""
        return self.source.name

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.file.metadata.num_rows

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return self.file.schema_arrow

    @cached_property
    def description(self) -> Description | None:
        """What it says of its data set; None if nothing. Raises GencliError as `tables.read_description`."""
        return tables.read_description(self.file, self.name)

    @cached_property
    def steps(self) -> list[_Made]:
        """How it was made, from the last step to the first, or to the one that joined several files."""
        found: list[_Made] = []
        step = parquet.read_provenance(self.file)
        while step is not None:
            data = step.given("data")
            found.append(_Made(step, [entry.sha256 for entry in data]))
            step = data[0].step if len(data) == 1 else None
        return found

    @property
    def shards(self) -> list[tuple[int, int]]:
        """Which part of how many it is, by each step that made a part of a whole, the last first."""
        return [each.shard for each in self.steps if each.shard is not None]

    @property
    def split(self) -> str:
        """That it says, or its name tells, or that of its folder in the one that was given; nothing where none does."""
        if self.description is not None:
            return self.description.split
        if self.source.path is None:
            return ""
        words = set(_SPLIT.findall(self.source.path.stem.lower()))
        if not words and self.source.folder is not None:
            words = {*os.path.relpath(self.name, self.source.folder).split(os.sep)[:-1]} & {*_SPLITS}
        return words.pop() if len(words) == 1 else ""


@dataclass(frozen=True)
class _Made:
    step: Step
    data: list[str]  # hashes

    @property
    def shard(self) -> tuple[int, int] | None:
        """Part and number of parts, of a step with --shard."""
        known = re.fullmatch(r"(\d+)/(\d+)", str(self.step.arguments.get("shard")))
        return (int(known[1]), int(known[2])) if known else None

    @property
    def facts(self) -> dict[str, Any]:
        """The arguments and inputs that all parts of one whole share."""
        common = {name: value for name, value in self.step.arguments.items() if name != "shard"}
        files = [entry for entry in self.step.inputs if entry.role != "data"]
        common |= {f"{entry.role} {place}": entry.sha256[:12] for place, entry in enumerate(files)}
        return common | ({"parts": self.shard[1]} if self.shard else {})


def of_one_split(parts: list[Part], split: str | None) -> tuple[list[Part], str | None]:
    """The parts of this split, and what it is still to be called.

    A name that no file of a folder has is none for those that have another; files that were named get it all the same.

    Raises:
        GencliError: they are of several, and which is not said, or not among them.
    """
    found = _grouped((part.split, part) for part in parts)
    folder = parts[0].source.folder if parts[0].source.whole else None
    if split in found:
        return found[split], None if found[split][0].description else split
    if len(found) == 1 and (split is None or folder is None or "" in found):
        return parts, split
    several = "; ".join(f"{name or 'no split'}: {_some(part.name for part in of)}" for name, of in found.items())
    if split is None:
        where = f"{folder}: " if folder else ""
        hint = (
            f"gencli data parquet {folder} --split NAME takes one" if folder else "--split NAME takes one, or names all"
        )
        raise GencliError(f"{where}files of several splits; {several}", f"{hint}; --files GLOB takes those that match")
    if folder:
        raise GencliError(f"{folder}: no split {split!r}; {several}", nearest(split, filter(None, found)))
    return parts, split


def in_order(parts: list[Part]) -> list[Part]:
    """Parts of a whole in a folder as they follow each other in it, whatever their names."""
    if parts[0].source.whole and all(part.shards for part in parts):
        return sorted(parts, key=lambda part: part.shards[::-1])
    return parts


def require_one_set(parts: Sequence[Part], label: str = "label") -> None:
    """Refuses files that are not one data set. Those that were named one by one need not be all of it.

    Raises:
        GencliError: it lists what disagrees.
    """
    first, filled = parts[0].source, [part for part in parts if part.rows]
    wrong = [*_folders(parts), *_steps(parts), *_numbers(parts), *_twice(parts), *_columns(filled, label)]
    if wrong:
        title = f"{first.folder}: not a data set: " if first.whole else ""
        raise GencliError(f"{title}{'; '.join(wrong[:_SHOWN])}{'; …' if wrong[_SHOWN:] else ''}", _ONE)


def _folders(parts: Sequence[Part]) -> Iterator[str]:
    folders = dict.fromkeys(map(_folder, parts))
    if parts[0].source.whole and len(folders) > 1:
        yield f"files in {_some(folders)}"


def _steps(parts: Sequence[Part]) -> Iterator[str]:
    """Files that were not made as the first; parts that are not there, or twice."""
    first = parts[0]
    commands, alike = [[each.step.command for each in part.steps] for part in parts], []
    for part, made in zip(parts, commands):
        if made != commands[0]:
            yield f"{part.name} was made by {_chain(made)}, {first.name} by {_chain(commands[0])}"
            continue
        for own, other in zip(reversed(part.steps), reversed(first.steps)):
            differ = [name for name in {**other.facts, **own.facts} if own.facts.get(name) != other.facts.get(name)]
            if differ:
                said = (f"{name} {own.facts.get(name)} and {other.facts.get(name)}" for name in differ)
                yield f"{own.step.command}: {', '.join(said)} in {part.name} and {first.name}"
                break
        else:
            alike.append(part)
    if len(alike) == len(parts) and first.shards:
        yield from _whole(parts, [count for _, count in first.shards])


def _whole(parts: Sequence[Part], counts: list[int]) -> Iterator[str]:
    earliest = [next(each for each in reversed(part.steps) if each.shard) for part in parts]
    for part, made in zip(parts, earliest):
        if made.data != earliest[0].data:
            yield f"{part.name} is part of another table than {parts[0].name}"
    held = _grouped((tuple(number for number, _ in part.shards), part) for part in parts)
    for numbers, several in held.items():
        if len(several) > 1:
            yield f"part {_part(numbers, counts)} twice, {_some(part.name for part in several)}"
    lacking = math.prod(counts) - len(held) if parts[0].source.whole else 0
    if lacking > 0:
        missing = (_part(each, counts) for each in product(*map(range, counts)) if each not in held)
        yield f"no part {_some(missing, lacking)}"


def _part(numbers: Sequence[int], counts: Sequence[int]) -> str:
    return " of part ".join(f"{number} of {count}" for number, count in zip(numbers, counts))


def _numbers(parts: Sequence[Part]) -> Iterator[str]:
    """Names such as train-00000-of-00002.parquet: of one count, each number once."""
    whole = parts[0].source.whole
    known = [(part, _NUMBERED.match(part.source.path.stem)) for part in parts if part.source.path is not None]
    found = [(part, match) for part, match in known if match]
    sets = _grouped(((_folder(part), match[1], int(match[3])), (int(match[2]), part)) for part, match in found)
    for (_, _, count), numbered in sets.items():
        held = _grouped(numbered)
        for number, several in held.items():
            if len(several) > 1:
                yield f"part {number} of {count} twice, {_some(part.name for part in several)}"
        start = int(0 not in held and count in held)
        missing = (f"{number:05d}-of-{count:05d}" for number in range(start, count + start) if number not in held)
        if whole and count > len(held):
            yield f"no part {_some(missing, count - len(held))}"
    if whole and found and (len(sets) > 1 or len(found) < len(parts)):
        firsts = [numbered[0][1].name for numbered in sets.values()]
        others = [part.name for part, match in known if not match]
        yield f"not of one set: {_some([*firsts, *others])}"


def _folder(part: Part) -> str:
    return os.path.dirname(part.name)


def _twice(parts: Sequence[Part]) -> Iterator[str]:
    """The same file again; hashes are waited for where all else is equal."""
    alike = _grouped(
        ((part.source.size, part.rows, frozenset((part.file.metadata.metadata or {}).items())), part)
        for part in parts
        if part.rows
    )
    for several in alike.values():
        same = _grouped((part.source.sha256, part.name) for part in several) if len(several) > 1 else {}
        for names in same.values():
            if len(names) > 1:
                yield f"the same file twice: {_some(names)}"


def _columns(parts: Sequence[Part], label: str) -> Iterator[str]:
    for part in parts[1:]:
        first = parts[0]
        schema, other = part.schema, first.schema
        if not schema.equals(other):
            yield f"{part.name}: other columns than {first.name}"
        elif part.description != first.description:
            yield f"{part.name}: another data set than {first.name}{_difference(part.description, first.description)}"
        elif schema.metadata != other.metadata and hub_names(schema, label) != hub_names(other, label):
            yield f"{part.name}: other class names than {first.name}"
        elif any(_facts(schema, name) != _facts(other, name) for name in schema.names):
            yield f"{part.name}: other shapes of images than {first.name}"


def _difference(own: Description | None, other: Description | None) -> str:
    if own is None or other is None:
        return ", one of them without a description"
    differ = [name for name, value in asdict(own).items() if value != asdict(other)[name]]
    return f", by its {', '.join(differ)}"


def _facts(schema: pa.Schema, name: str) -> dict[bytes, bytes]:
    metadata = schema.field(schema.get_field_index(name)).metadata or {}
    return {key: metadata[key] for key in (b"shape", b"dtype") if key in metadata}


def require_own_ids(table: ImageTable, files: Sequence[pq.ParquetFile]) -> None:
    """Refuses rows of one identity: they would draw the same numbers, and no file could tell them apart.

    Of a table of several corruptions a row and its corruption are one.
    """
    ids = table.column("id")
    keys = [ids] + [_codes(table, files, name) for name in _VERSION if name in table.schema.names]
    if len(keys) == 1 and ((ids[1:] > ids[:-1]).all() or (np.diff(np.sort(ids)) > 0).all()):
        return
    order = np.lexsort(keys)
    again = np.flatnonzero(np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys]))
    if len(again):
        one, other = sorted(order[again[0] : again[0] + 2].tolist())
        raise GencliError(
            f"{table.title}: rows {one} and {other} are both id {ids[one]}; {len(again):,} rows repeat an id",
            "rows are identified by their ids; gencli data repeat makes copies with new ids",
        )


def _codes(table: ImageTable, files: Sequence[pq.ParquetFile], name: str) -> NDArray[np.int64]:
    """Numbers [rows] that are equal where a column's values are."""
    with parquet.undamaged(table.title):
        column = pa.chunked_array(parquet.column(table.inputs, files, name))
        codes = column.dictionary_encode().combine_chunks().indices.to_numpy(zero_copy_only=False)
        return np.nan_to_num(codes, nan=-1).astype(np.int64)


def _chain(commands: Sequence[str]) -> str:
    return " | ".join(reversed(commands)) or "another tool"


def _grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)


def _some(names: Iterable[str], count: int = 0) -> str:
    """The first of these, or of `count`."""
    names = iter(names)
    shown = list(islice(names, _SHOWN))
    more = (count or len(shown) + sum(1 for _ in names)) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
