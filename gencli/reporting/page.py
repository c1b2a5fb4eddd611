"""One self-contained HTML page: tables that sort, figures as inline SVG, and the pipeline behind each number."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any

from gencli.cli import console
from gencli.files import provenance
from gencli.reporting.cells import numeric
from gencli.reporting.documents import Document
from gencli.reporting.groups import Table
from gencli.reporting.layout import shown
from gencli.reporting.tables import TABLES

_STYLE = """
:root { color-scheme: light dark; --line: #ccc; --soft: #f4f4f4; --link: #0055aa }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --soft: #222; --link: #8bc4ff }
  body { background: #111; color: #eee }
  figure svg, figure svg [id*="tile-"] { filter: invert(1) hue-rotate(180deg) }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem }
a { color: var(--link) }
.scroll { overflow-x: auto } p, details { max-width: 72rem }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap }
th.number, td.number { text-align: right }
th button { all: unset; cursor: pointer; font-weight: bold; white-space: normal }
th button:focus-visible { outline: 2px solid var(--link) }
th[aria-sort=ascending] button::after { content: " \\2191" }
th[aria-sort=descending] button::after { content: " \\2193" }
.figures { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; flex: 0 1 26rem; max-width: 100% }
figure svg { width: 100%; height: auto }
details { border-bottom: 1px solid var(--line); padding: .3rem 0 } summary { cursor: pointer }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; font-size: .8rem }
"""
_SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentNode, body = head.closest("table").tBodies[0], column = head.cellIndex;
  const rising = head.getAttribute("aria-sort") !== "ascending", sign = rising ? 1 : -1;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const numbers = head.classList.contains("number"), key = row => row.cells[column].dataset.value;
  body.append(...[...body.rows].sort((a, b) => {
    const left = key(a), right = key(b);
    if (!left || !right) return !left - !right;
    return sign * (numbers ? left - right : left.localeCompare(right, "en"));
  }));
});
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
});
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(
    title: str, tables: Sequence[Table], figures: Sequence[tuple[str, Sequence[bytes]]], documents: Sequence[Document]
) -> str:
    """The page; it loads nothing, and names with markup are text in it.

    Args:
        figures: a heading, and SVGs whose words are text.
        documents: all files, whose pipelines are listed; rows of the tables refer to them.
    """
    files = list({document.source.sha256: document for document in documents}.values())
    numbers = {document.source.sha256: number for number, document in enumerate(files, 1)}
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{_text(title)}</h1>",
        *(part for table in tables for part in _table(table, numbers)),
        *(part for place, figure in enumerate(figures) for part in _figure(place, *figure)),
        "<section><h2>How it was made</h2>",
        *(_pipeline(number, document) for number, document in enumerate(files, 1)),
        f"</section></main><script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    return html.escape(console.printable(text))


def _table(table: Table, numbers: dict[str, int]) -> list[str]:
    rows = shown(table)
    classes = [' class="number"' if numeric(field) else "" for field in rows.schema]
    heads = [
        f'<th scope="col"{kind}><button type="button">{_text(name.replace("_", " "))}</button></th>'
        for name, kind in zip(rows.column_names, classes)
    ]
    linked = any(table.documents)
    heading = TABLES[table.name].heading
    lines = [
        f'<section><h2>{heading}</h2><div class="scroll" role="region" tabindex="0" aria-label="{heading}"><table>',
        f"<thead><tr>{''.join(heads)}{'<th scope=col>made by</th>' if linked else ''}</tr></thead><tbody>",
    ]
    exact = [table.rows[name].to_pylist() if kind else [] for name, kind in zip(rows.column_names, classes)]
    for row, words in enumerate(zip(*(column.to_pylist() for column in rows.columns), strict=True)):
        cells = [
            f'<td{kind} data-value="{_value(values[row]) if kind else _text(word)}">{_text(word)}</td>'
            for word, kind, values in zip(words, classes, exact)
        ]
        if linked:
            found = sorted({numbers[each.source.sha256] for each in table.documents[row]})
            links = " ".join(f'<a href="#file-{number}">{number}</a>' for number in found)
            cells.append(f"<td>{links}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    notes = [f"<p>{_text(note)}</p>" for note in table.notes]
    return [*lines, "</tbody></table></div>", *notes, "</section>"]


def _value(value: Any) -> str:
    return "" if value is None or not math.isfinite(value) else repr(value)


def _figure(place: int, title: str, images: Sequence[bytes]) -> list[str]:
    drawn = [_inline(image.decode(), f"{title}, panel {n}", f"s{place}-{n}-") for n, image in enumerate(images, 1)]
    return [f'<section><h2>{_text(title)}</h2><div class="figures">', *drawn, "</div></section>"]


def _inline(svg: str, label: str, prefix: str) -> str:
    """An SVG as part of a page: without prologue and metadata, its size left to the page, its ids its own."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    head, rest = body.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head) + f' role="img" aria-label="{_text(label)}">'
    rest = re.sub(r'\bid="', f'id="{prefix}', rest)
    rest = re.sub(r'(href="|url\()#', rf"\1#{prefix}", rest)
    return f"<figure>{head}{rest.strip()}</figure>"


def _pipeline(number: int, document: Document) -> str:
    name = document.source.name or document.title.partition(": ")[0]
    lines = "\n".join(provenance.lines(document.made)) or "no provenance: the file does not say how it was made"
    summary = f"<summary>{number}. {_text(name)}</summary>"
    return f'<details id="file-{number}">{summary}<pre>{html.escape(lines)}</pre></details>'
