"""Tables of the page: a region that scrolls below its headings, with what a script needs to sort and filter."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from gencli.reporting.cells import numeric
from gencli.reporting.documents import Document
from gencli.reporting.groups import Table
from gencli.reporting.layout import shown
from gencli.reporting.page_figures import text

_NUMBERS = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)", re.ASCII)
_NOTES = 8  # at sight
_MANY = 14  # columns that paper has room for
_LONG = 40  # characters of a cell, from which it is wrapped


def table(given: Table, heading: str, numbers: dict[str, int]) -> str:
    """A table and its notes.

    Args:
        numbers: of the files by hash, to which rows refer.
    """
    rows = shown(given)
    names, kinds = rows.column_names, [" class=number" if numeric(field) else "" for field in rows.schema]
    columns = [rows.column(place).to_pylist() for place in range(len(names))]
    values = [
        [*map(_value, given.rows[name].to_pylist())] if kind else _ranks(words)
        for name, kind, words in zip(names, kinds, columns)
    ]
    heads = [f"<th scope=col{kind}>{text(name.replace('_', ' '))}</th>" for name, kind in zip(names, kinds)]
    linked = any(given.documents)
    heads += ["<th scope=col class=files>made by</th>"] if linked else []
    lines = []
    for row in range(rows.num_rows):
        cells = [
            _cell(place, kind, words[row], theirs[row])
            for place, (kind, words, theirs) in enumerate(zip(kinds, columns, values))
        ]
        cells += [f"<td class=files>{_links(given.documents[row], numbers)}</td>"] if linked else []
        lines.append(f"<tr>{''.join(cells)}</tr>")
    notes = "".join(f"<p class=note>{text(note)}</p>" for note in given.notes)
    if len(given.notes) > _NOTES:
        notes = f"<details><summary>{len(given.notes):,} notes</summary>{notes}</details>"
    body = "\n".join(lines)
    size = "" if len(heads) <= _MANY else " class=wide" if len(heads) <= 2 * _MANY else " class=wider"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(heading)}"><table{size}>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>\n{body}\n</tbody></table></div>{notes}"
    )


def _cell(place: int, kind: str, words: str, value: str) -> str:
    tag = "td" if place else "th"
    kind = " class=long" if not kind and len(words) > _LONG else kind
    return f'<{tag}{"" if place else " scope=row"}{kind} data-value="{value}">{text(words)}</{tag}>'


def _links(documents: Sequence[Document], numbers: dict[str, int]) -> str:
    found = sorted({numbers[each.source.sha256] for each in documents})
    return " ".join(f'<a href="#file-{number}">{number}</a>' for number in found)


def _value(value: Any) -> str:
    return "" if value is None or not math.isfinite(value) else repr(value)


def _ranks(words: Sequence[str]) -> list[str]:
    """The place of each word among all, none first, numbers in them in their own order; nothing for an empty one."""
    order = {word: str(place) for place, word in enumerate(sorted({*words} - {""}, key=natural))}
    return [order.get(word, "") for word in words]


def natural(word: str) -> tuple[bool, list[str | float], str]:
    """A key that sorts words by their letters and by the numbers in them."""
    parts = _NUMBERS.split(word.casefold())
    return word != "none", [float(part) if place % 2 else part for place, part in enumerate(parts)], word
