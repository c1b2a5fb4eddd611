"""Tables for people: formatted cells, seeds as mean ± deviation, columns that fit the width; and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from gencli.cli import console
from gencli.reporting.cells import LONGEST, cell, narrowed, numeric, spread, width
from gencli.reporting.groups import PLAIN, Table, word

_ROOM = 14  # characters: columns are wrapped to at least this width
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$",
}  # fmt: skip


def shown(table: Table) -> pa.Table:
    """The table as text, [rows, columns] strings: means with their deviations, settings as short as they can be.

    Columns of numbers have `number` in their field's metadata, as `numeric` and `outputs.render` know.
    """
    fields, arrays = [], []
    names = table.rows.column_names
    for place, field in enumerate(table.rows.schema):
        name = field.name
        if name.endswith("_std") and name.removesuffix("_std") in names:
            continue
        values = table.rows.column(place).to_pylist()
        words = (
            [console.printable(word(value), LONGEST) for value in values]
            if name in table.settings
            else [cell(value) for value in values]
        )
        if table.counted and name in table.scores:
            words[0] = cell(None if values[0] is None else int(values[0]))
        if f"{name}_std" in names:
            deviations = table.rows[f"{name}_std"].to_pylist()
            words = list(map(spread, words, deviations))
        fields.append(pa.field(name, pa.string(), metadata={"number": "1"} if numeric(field) else None))
        arrays.append(pa.array(words, pa.string()))
    return pa.table(arrays, schema=pa.schema(fields))


def fitted(table: Table, most: int | None) -> tuple[pa.Table, str]:
    """The table as text of at most `most` characters per line if possible; and a line on what all rows share.

    None is no limit: each row is one line, which grep finds.

    If it is too wide, columns in which all rows agree move to that line, then settings are joined into one
    column, then it is transposed, one row per score, if that is narrower; finally columns of words are wrapped.
    """
    rows, common = shown(table), ""
    if most is None:
        return rows, common
    if measured(rows) > most and rows.num_rows > 1:
        alike = [name for name in table.keys if name not in ("label", "name") and len(set(rows[name].to_pylist())) == 1]
        common = ", ".join(_named(name, rows[name][0].as_py()) for name in alike if rows[name][0].as_py())
        rows = rows.drop_columns(alike)
    settings = [name for name in table.settings if name in rows.column_names]
    if measured(rows) > most and len(settings) > 1:
        rows = _joined(rows, settings, table.counted)
    if measured(rows) > most and table.name in ("long-tail", "corruptions"):
        turned = _turned(rows, table.scores)
        rows = turned if measured(turned) < measured(rows) else rows
    return _wrapped(rows, most), console.printable(common)


def _named(name: str, value: str) -> str:
    return value if name in PLAIN else f"{name}={value}"


def measured(rows: pa.Table) -> int:
    """Characters that a line of the table takes."""
    return sum(width(rows, name) + 2 for name in rows.column_names)


def _joined(rows: pa.Table, settings: Sequence[str], counted: bool) -> pa.Table:
    values = zip(*(rows[name].to_pylist() for name in settings), strict=True)
    joined = [", ".join(f"{n}={v}" for n, v in zip(settings, each) if v) for each in values]
    if counted:
        joined[0] = rows[settings[0]][0].as_py()
    place = rows.column_names.index(settings[0])
    return rows.drop_columns(list(settings)).add_column(place, "settings", pa.array(joined, pa.string()))


def _turned(rows: pa.Table, scores: Sequence[str]) -> pa.Table:
    """One row per score; the columns' headings are wrapped to what the numbers take, or to `_ROOM`."""
    keys = [name for name in rows.column_names if name not in scores and name != "runs"]
    told = zip(*(rows[key].to_pylist() for key in keys), strict=True) if keys else [()] * rows.num_rows
    heads = [" ".join(filter(None, words)) or "value" for words in told]
    if "runs" in rows.column_names:
        heads = [f"{head} (n={n})" if n else head for head, n in zip(heads, rows["runs"].to_pylist())]
    heads = [head if heads.count(head) == 1 else f"{head} {place}" for place, head in enumerate(heads, 1)]
    kept = [name for name in rows.column_names if name in scores]
    columns = [[rows[name][place].as_py() for name in kept] for place in range(rows.num_rows)]
    fields = [pa.field("", pa.string())]
    for head, column in zip(heads, columns):
        room = max(_ROOM, *map(len, column), *map(len, head.split()))
        fields.append(narrowed(pa.field(head, pa.string(), metadata={"number": "1"}), room))
    return pa.table([pa.array(each, pa.string()) for each in [kept, *columns]], schema=pa.schema(fields))


def _wrapped(rows: pa.Table, most: int) -> pa.Table:
    """The table with its columns of words wrapped, the widest first, until a line takes at most this."""
    over = measured(rows) - most
    schema = rows.schema
    for name in sorted(rows.column_names, key=lambda name: -width(rows, name)):
        place, field = schema.get_field_index(name), rows.schema.field(name)
        least = max(_ROOM, *(len(part) for text in [name, *rows[name].to_pylist()] for part in text.split()))
        if over <= 0 or numeric(field) or (room := width(rows, name)) <= least:
            continue
        taken = max(least, room - over)
        over -= room - taken
        schema = schema.set(place, narrowed(field, taken))
    return rows.cast(schema)


def below(table: Table) -> str:
    """The table's notes as lines."""
    return "".join(f"{console.printable(note)}\n" for note in table.notes)


def latex(table: Table, title: str = "") -> str:
    """A LaTeX tabular in the manner of booktabs, in a table with the title as its caption where there is one."""
    rows = shown(table)
    columns = "".join("r" if numeric(field) else "l" for field in rows.schema)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(_escape(name.replace("_", " ")) for name in rows.column_names) + r" \\",
        r"\midrule",
        *(
            " & ".join(map(_escape, row)) + r" \\"
            for row in zip(*(column.to_pylist() for column in rows.columns), strict=True)
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if title:
        caption = rf"\caption{{{_escape(title)}}}"
        lines = [r"\begin{table}", r"\centering", caption, *lines, r"\end{table}"]
    notes = [f"% {line}" for line in below(table).splitlines()]
    return "\n".join([r"% needs \usepackage{booktabs}", *lines, *notes]) + "\n"


def _escape(text: str) -> str:
    return re.sub(r'[\\{}$&#%_^~<>|"±]', lambda found: _LATEX[found[0]], console.printable(text))
