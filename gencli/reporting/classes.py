"""The per-class table of one or several results."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from gencli.reporting.documents import Document
from gencli.reporting.runs import describe


def classes_table(documents: Sequence[Document]) -> pa.Table:
    """The rows of all results; of several, with leading columns for what tells them apart, or their file."""
    if len(documents) == 1:
        return documents[0].rows
    facts = describe(documents)
    varied = [name for name in facts[0] if len({str(each[name]) for each in facts}) > 1]
    apart = {tuple(str(each[name]) for name in varied) for each in facts}
    named = [
        {name: str(each[name]) for name in varied} if len(apart) == len(facts) else {"result": document.title}
        for each, document in zip(facts, documents, strict=True)
    ]
    parts = [
        _lead(document.rows.replace_schema_metadata(None), names)
        for document, names in zip(documents, named, strict=True)
    ]
    return pa.concat_tables(parts, promote_options="default")


def _lead(rows: pa.Table, names: dict[str, str]) -> pa.Table:
    for place, (name, value) in enumerate(names.items()):
        rows = rows.add_column(place, name, pa.array([value] * rows.num_rows))
    return rows
