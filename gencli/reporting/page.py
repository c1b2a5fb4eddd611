"""One self-contained HTML page: tables, figures, and the pipeline behind each number; a script answers its reader."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gencli.files import provenance
from gencli.reporting import page_tables
from gencli.reporting.documents import Document
from gencli.reporting.groups import Table, grouped
from gencli.reporting.page_figures import group, text
from gencli.reporting.panels import Panel


@dataclass(frozen=True)
class Part:
    """What stands under a heading of the page, after others of the same heading.

    Attributes:
        content: a table, panels, or an SVG whose words are text.
        folded: why the heading is to be opened first, in words; empty where it is not.
    """

    heading: str
    content: Table | Sequence[Panel] | bytes
    folded: str = ""


def page(title: str, parts: Sequence[Part], documents: Sequence[Document]) -> str:
    """The page; it loads nothing, and names with markup are text in it.

    Args:
        documents: all files, whose pipelines are listed; rows of the tables refer to them.
    """
    files = list({document.source.sha256: document for document in documents}.values())
    numbers = {document.source.sha256: number for number, document in enumerate(files, 1)}
    style, script = (Path(__file__).with_name(name).read_text("utf-8") for name in ("page.css", "page.js"))
    foreign = any(isinstance(part.content, bytes) for part in parts)  # matplotlib's elements have styles of their own
    styles = "'unsafe-inline'" if foreign else _hash(style)
    policy = f"default-src 'none'; style-src {styles}; script-src {_hash(script)}; img-src data:; base-uri 'none'"
    sections = grouped(parts, lambda part: part.heading)
    contents = [
        f'<li><a href="#part-{place}">{text(heading)}</a></li>'
        for place, heading in enumerate([*sections, "How it was made"], 1)
    ]
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title><style>{style}</style></head><body>",
        f"<header><h1>{text(title)}</h1></header>",
        f'<nav aria-label="Contents"><ul>{"".join(contents)}</ul></nav><main>',
        *(_section(place, several, numbers) for place, several in enumerate(sections.values(), 1)),
        f'<section id="part-{len(contents)}"><h2>How it was made</h2>',
        *(_pipeline(number, document) for number, document in enumerate(files, 1)),
        f"</section></main><script>{script}</script></body></html>",
    ]
    return "\n".join(lines) + "\n"


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _section(place: int, parts: Sequence[Part], numbers: dict[str, int]) -> str:
    heading, body = f"<h2>{text(parts[0].heading)}</h2>", "\n".join(_content(part, numbers) for part in parts)
    if folded := parts[0].folded:
        heading = f"<summary>{heading}<span>{text(folded)}</span></summary>"
        return f'<section id="part-{place}"><details class="fold">{heading}{body}</details></section>'
    return f'<section id="part-{place}">{heading}{body}</section>'


def _content(part: Part, numbers: dict[str, int]) -> str:
    if isinstance(part.content, Table):
        return page_tables.table(part.content, part.heading, numbers)
    return _inline(part.content.decode(), part.heading) if isinstance(part.content, bytes) else group(part.content)


def _inline(svg: str, label: str) -> str:
    """An SVG as part of a page: without prologue and metadata, its size left to the page, its ids its own."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    head, rest = body.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head) + f' role="img" aria-label="{text(label)}">'
    rest = re.sub(r'\bid="', 'id="drawn-', rest)
    rest = re.sub(r'(href="|url\()#', r"\1#drawn-", rest)
    return f'<figure class="drawn">{head}{rest.strip()}</figure>'


def _pipeline(number: int, document: Document) -> str:
    name = document.source.name or document.title.partition(": ")[0]
    lines = "\n".join(provenance.lines(document.made)) or "no provenance: the file does not say how it was made"
    summary = f"<summary>{number}. {text(name)}</summary>"
    return f'<details id="file-{number}">{summary}<pre>{html.escape(lines)}</pre></details>'
