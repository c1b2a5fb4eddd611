"""Tables of the page: how wide they are, which cells are long, which notes are at sight, and what made a row."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from gencli.reporting import page_tables
from gencli.reporting.groups import Table
from tests.reporting.made import history, training


@pytest.mark.parametrize(
    ("columns", "size"),
    [(14, ""), (15, " class=wide"), (28, " class=wide"), (29, " class=wider"), (42, " class=wider")],
)
def test_paper_has_room_for_fourteen_columns_and_sideways_for_twice_as_many(columns: int, size: str) -> None:
    made = page_tables.table(Table("runs", pa.table({f"c{n}": [n] for n in range(columns)})), "Runs", {})
    assert made.count("<th scope=col") == columns
    assert made.count(f"<table{size}>") == 1


def test_words_of_more_than_forty_characters_are_wrapped_and_numbers_are_not() -> None:
    rows = pa.table({"name": ["a", "b" * 40, "c" * 41], "note": ["d" * 41, "", "e" * 40], "value": [1.5, None, 3.0]})
    _, first, second, third, _ = page_tables.table(Table("runs", rows), "Runs", {}).split("\n")
    assert first == (
        '<tr><th scope=row data-value="0">a</th>'
        f'<td class=long data-value="0">{"d" * 41}</td><td class=number data-value="1.5">1.5000</td></tr>'
    )
    assert f'<th scope=row data-value="1">{"b" * 40}</th><td data-value=""></td>' in second
    assert f'<th scope=row class=long data-value="2">{"c" * 41}</th><td data-value="1">{"e" * 40}</td>' in third


def test_eight_notes_are_at_sight_and_nine_are_folded() -> None:
    rows, notes = pa.table({"a": [1]}), tuple(f"note {n}" for n in range(9))
    shown = "".join(f"<p class=note>note {n}</p>" for n in range(8))
    assert page_tables.table(Table("t", rows, notes=notes[:8]), "T", {}).endswith(f"</table></div>{shown}")
    folded = f"<details><summary>9 notes</summary>{shown}<p class=note>note 8</p></details>"
    assert page_tables.table(Table("t", rows, notes=notes), "T", {}).endswith(f"</table></div>{folded}")


def test_a_row_links_to_its_files_also_where_another_row_has_none(tmp_path: Path) -> None:
    document = history(tmp_path / "h.parquet", training())
    table = Table("t", pa.table({"a": [1, 2]}), documents=((document,), ()))
    made = page_tables.table(table, "T", {document.source.sha256: 3})
    assert "<th scope=col class=files>made by</th></tr>" in made
    assert '<td class=files><a href="#file-3">3</a></td></tr>\n' in made
    assert "<td class=files></td></tr>\n" in made
    assert "files" not in page_tables.table(Table("t", pa.table({"a": [1, 2]})), "T", {})
