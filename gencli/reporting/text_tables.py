"""Tables as text: on a terminal, columns fit its width and long tables are folded; elsewhere all rows, fast."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import takewhile, zip_longest
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa

from gencli.cli import console
from gencli.reporting.cells import LONGEST, cell, cells, limit, narrowed, numeric
from gencli.reporting.cells import width as column_width

if TYPE_CHECKING:
    from rich.table import Table

_BAR_WIDTH = 32
_LEAST = 14  # characters that a column of words is wrapped to
_MOST, _ENDS = 200, 10  # rows that a terminal shows; of more the first and the last so many
_NARROW = 0.005  # an interval below which two decimals would not show it
_FOLDED = "…"


def table(
    rows: pa.Table, title: str = "", width: int | None = None, bars: str | None = None, whole: bool = False
) -> str:
    """A table as text, under a title of one or more lines.

    Args:
        width: characters that a line has room for; None where any line fits, also of no terminal.
        bars: the column whose numbers are shown as bars too, in the room that is left; a row is then one line, and
            names are shortened.
        whole: whether it is for no terminal, which shows the ends of a long table alone.
    """
    whole |= width is None
    lines = [console.printable(line) for line in title.split("\n") if line]
    more = max(0, rows.num_rows - 2 * _ENDS) if not whole and rows.num_rows > _MOST else 0
    if more:
        rows = pa.concat_tables([rows.slice(0, _ENDS), rows.slice(rows.num_rows - _ENDS)])
    if width is not None and sum(2 + column_width(rows, place) for place in range(rows.num_columns)) > width:
        rows, common = _joined(rows)
        lines += [console.printable(common)] if common else []
    for part in [rows] if bars or width is None else _parts(rows, width):
        lines += (line.rstrip() for line in _columns(part, width, bars, more > 0, whole).splitlines())
    if more:
        lines.append(f"{_FOLDED} {more:,} more; a file holds every row, also as text")
    return "\n".join(lines) + "\n"


def _joined(rows: pa.Table) -> tuple[pa.Table, str]:
    """A table in fewer columns, and a line that says what is left out: a count that is the same in all rows.

    A number that has an interval, in the columns of its name with _low and _high, is one column with it, such as
    0.97 (0.95…0.98).
    """
    names = rows.column_names
    if len(set(names)) < len(names):
        return rows, ""
    of_interval = {name for name in names if {f"{name}_low", f"{name}_high"} <= {*names}}
    bounds = {f"{name}{end}" for name in of_interval for end in ("_low", "_high")}
    counts = [
        each.name for each in rows.schema if pa.types.is_integer(each.type) and each.name not in bounds | of_interval
    ]
    alike = [name for name in counts if of_interval and rows.num_rows > 1 and len(rows[name].unique()) == 1]
    found: dict[pa.Field, pa.Array | pa.ChunkedArray] = {}
    for name in names:
        field, values = rows.schema.field(name), rows[name]
        if name in of_interval:
            triples = list(zip(*(rows[each].to_pylist() for each in (name, f"{name}_low", f"{name}_high"))))
            widths = [high - low for _, low, high in triples if low is not None and high is not None]
            decimals = 2 if widths and median(widths) >= _NARROW else 4
            field = pa.field(name, pa.string(), metadata={"number": "1"})
            values = pa.array([_interval(decimals, *each) for each in triples], pa.string())
        if name not in bounds and name not in alike:
            found[field] = values
    common = ", ".join(f"{name} {cell(rows[name][0].as_py())}" for name in alike)
    return pa.table([*found.values()], schema=pa.schema([*found])), f"in all rows: {common}" if common else ""


def _interval(decimals: int, value: float | None, low: float | None, high: float | None) -> str | None:
    shown = [None if each is None else f"{each:.{decimals}f}" for each in (value, low, high)]
    return shown[0] if None in shown else "{} ({}…{})".format(*shown)


def _parts(rows: pa.Table, width: int) -> Iterator[pa.Table]:
    """The table in parts of columns that fit a line each, if they can; what its rows are of is in all of them.

    That is in the columns up to `name`, or else the first ones that hold words; the widest of them are wrapped, and
    other words to half a line.
    """
    names, places = rows.column_names, range(rows.num_columns)  # two columns may have one name
    widths = [2 + column_width(rows, place) for place in places]
    if sum(widths) <= width:
        yield rows
        return
    last = names.index("name") + 1 if "name" in names else max(1, sum(1 for _ in takewhile(_is_words, rows.schema)))
    keys, others = places[:last], places[last:]
    taken = {place: min(widths[place], width // 2) for place in others if _is_words(rows.schema.field(place))}
    over = sum(widths[place] for place in keys) - width
    over += max([taken.get(place, widths[place]) for place in others], default=0)
    for place in sorted(keys, key=lambda place: -widths[place]):
        taken[place] = max(min(_LEAST, widths[place]), widths[place] - max(over, 0))
        over -= widths[place] - taken[place]
    for place in [place for place in taken if taken[place] < widths[place]]:
        widths[place] = taken[place]
        rows = rows.cast(rows.schema.set(place, narrowed(rows.schema.field(place), taken[place] - 2)))
    room = width - sum(widths[place] for place in keys)
    part: list[int] = []
    for place in others:
        if part and sum(widths[each] for each in [*part, place]) > room:
            yield rows.select([*keys, *part])
            part = []
        part.append(place)
    yield rows.select([*keys, *part])


def _is_words(field: pa.Field) -> bool:
    return not numeric(field)


def _columns(rows: pa.Table, width: int | None, bars: str | None, folded: bool, whole: bool) -> str:
    from rich import box
    from rich.bar import Bar
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for field in rows.schema:
        number = numeric(field)
        header = console.printable(field.name, LONGEST).replace("_", "\n" if number else " ")
        short = width // 4 if bars and width and not number else limit(field)
        overflow, justify = "ellipsis" if bars else "fold", "right" if number else "left"
        table.add_column(header, justify=justify, overflow=overflow, no_wrap=bool(bars), max_width=short)
    if bars:
        table.add_column(max_width=_BAR_WIDTH)
    lengths: list[int] = rows[bars].to_pylist() if bars else []
    if rows.num_rows > _MOST:
        return _many(table, [list(map(cell, column.to_pylist())) for column in rows.columns], lengths)
    longest = max(lengths, default=0)
    for number, (row, length) in enumerate(zip_longest(cells(rows), lengths)):
        if folded and number == _ENDS:
            table.add_row(*[_FOLDED] * rows.num_columns)
        table.add_row(*row, *([Bar(longest, 0, length)] if bars else []))
    return _printed(table, width, whole)


def _printed(table: Table, width: int | None, whole: bool) -> str:
    page = io.StringIO()
    console.rich_console(page, width or 10_000, terminal=not whole).print(table)
    return page.getvalue()


def _many(table: Table, columns: Sequence[Sequence[str]], lengths: Sequence[int]) -> str:
    """What rich prints of a table with these columns of text and bars, in a hundredth of the time."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    def long(text: str) -> int:
        return len(text) if text.isascii() else cell_len(text)

    padded: list[Sequence[Sequence[str]]] = []
    for column, texts in zip(table.columns, columns):
        whole = max(map(long, [*str(column.header).split("\n"), *texts]))
        column.min_width = column.max_width = room = min(whole, column.max_width or whole)
        align = str.rjust if column.justify == "right" else str.ljust
        padded.append(
            [
                [align(text, room)]
                if text.isascii() and len(text) <= room
                else [
                    " " * (room - cell_len(part)) + part if align is str.rjust else set_cell_size(part, room)
                    for part in map(str, Text(text).wrap(console.rich_console(io.StringIO()), room, overflow="fold"))
                ]
                for text in texts
            ]
        )
    if lengths:
        table.columns[-1].min_width, longest = _BAR_WIDTH, max(1, *lengths)
        padded.append([[_bar(length / longest)] for length in lengths])
    body: list[str] = []
    for row in zip(*padded):
        if all(len(parts) == 1 for parts in row):
            body.append(" " + "  ".join(part for (part,) in row))
        else:
            blank = [" " * cell_len(parts[0]) for parts in row]
            body += (" " + "  ".join(part or none for part, none in zip(line, blank)) for line in zip_longest(*row))
    heading = _printed(table, None, True).rstrip()
    return "\n".join([heading, *body, ""]) + "\n"


def _bar(share: float) -> str:
    from rich.bar import END_BLOCK_ELEMENTS, FULL_BLOCK

    whole, part = divmod(int(8 * _BAR_WIDTH * share), 8)
    return FULL_BLOCK * whole + END_BLOCK_ELEMENTS[part].strip()
