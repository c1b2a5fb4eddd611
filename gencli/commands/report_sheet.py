"""What `gencli report` does instead of a table: contact sheets of image tables."""

from __future__ import annotations

from itertools import takewhile

from gencli.files.stream import Input


def draw(inputs: list[Input], place: str) -> None:
    """Draws the first images of tables, one row per table, to a PNG file."""
    from gencli.files import provenance, stream, tables
    from gencli.reporting import documents, groups, sheet
    from gencli.sources import read_table

    read = [read_table([each]) for each in inputs]
    entries = [provenance.Source("file", "", each.made, labels_differ=tables.differing(each)) for each in read]
    steps = [documents.corruptions(each) for each in entries]
    shared = sum(1 for _ in takewhile(lambda each: all(step == each[0] for step in each), zip(*steps)))
    names = groups.chains([each[shared:] for each in steps])
    used = [tables.source("file", each) for each in inputs]
    made = provenance.step("report", {}, used, ["numpy", "pyarrow", "PIL"]).to("contact_sheet")
    with stream.Output(place, inputs, binary=True) as file:
        file.write(sheet.comparison(read, names, 10, provenance.encode(made).decode()))
