"""Parquet: spellings of the same rows, changed rows, and footers, page headers and pages that say something else."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile import cases, thrift
from tests.hostile.cases import Case
from tests.hostile.child import Files
from tests.hostile.seeds import KINDS, seal

_IMAGES = (
    "data parquet {} -q -o out.parquet",
    "show {} --format json",
    "corrupt flip-labels -p 0.5 {} -q -o out.parquet",
    "eval m.safetensors {} -q --format json",
    "report {} --format json",
)
_CODECS = "none", "snappy", "gzip", "brotli", "zstd", "lz4"
_WHOLE = (
    pa.int32(), pa.int16(), pa.uint64(), pa.float64(), pa.decimal128(25, 2), pa.dictionary(pa.int32(), pa.int64())
)  # fmt: skip


def footers_facts(content: bytes) -> dict[bytes, bytes]:
    """The footer's keys and values, by this reader of our own."""
    pairs = thrift.find(thrift.footer(content), 5) or []
    return {thrift.find(each.value, 1): thrift.find(each.value, 2) or b"" for each in pairs}


def written(rows: pa.Table, facts: dict[bytes, bytes], **settings: Any) -> bytes:
    """Rows as another writer may write them, with keys and values of ours, sealed where they were."""
    sink = io.BytesIO()
    facts = {key: b"0" * 32 if key == b"gencli.seal" else text for key, text in facts.items() if key != b"ARROW:schema"}
    given: dict[str, Any] = {"compression": "none"} | settings
    pq.write_table(rows.replace_schema_metadata(facts or None), sink, **given)
    return seal(sink.getvalue())


def respelled(random: Random, rows: pa.Table, facts: dict[bytes, bytes]) -> bytes:
    """The same rows in another order of columns, types, encodings, codecs, pages and groups."""
    for name in ("id", "label", "label_true", "n", "epoch"):
        if name in rows.column_names and random.random() < 0.3:
            kind = random.choice(_WHOLE)
            try:
                changed = (
                    rows[name].cast(pa.int64()).cast(kind)
                    if not pa.types.is_dictionary(kind)
                    else rows[name].cast(pa.int64()).dictionary_encode()
                )
            except pa.ArrowException:  # no room for these values
                continue
            rows = rows.set_column(rows.column_names.index(name), name, changed)
    if (
        "image" in rows.column_names
        and pa.types.is_fixed_size_binary(rows.schema.field("image").type)
        and random.random() < 0.3
    ):
        kinds = (pa.binary(), pa.large_binary(), pa.list_(pa.uint8()), pa.large_list(pa.int32()))
        field = pa.field("image", random.choice(kinds), metadata=rows.schema.field("image").metadata)
        values = [each if "binary" in str(field.type) else list(each) for each in rows["image"].to_pylist()]
        rows = rows.set_column(rows.column_names.index("image"), field, pa.array(values, field.type))
    if random.random() < 0.3 and "image" in rows.column_names:
        rows = rows.select(random.sample(rows.column_names, rows.num_columns))
    settings: dict[str, Any] = {
        "compression": random.choice(_CODECS),
        "row_group_size": random.choice((1, 5, 1000)),
        "data_page_version": random.choice(("1.0", "2.0")),
        "data_page_size": random.choice((1, 100, 1 << 20)),
        "use_dictionary": random.random() < 0.5,
        "write_statistics": random.random() < 0.5,
        "write_page_index": random.random() < 0.3,
        "write_page_checksum": random.random() < 0.5,
        "version": random.choice(("1.0", "2.4", "2.6")),
    }
    return written(rows, facts, **settings)


def _changed_rows(random: Random, rows: pa.Table) -> pa.Table:
    name = random.choice([each for each in rows.column_names if each != "image"])
    values = rows[name].to_pylist()
    at = random.randrange(len(values))
    way = random.randrange(6)
    if way == 0:
        return pa.concat_tables([rows.slice(0, at), rows.slice(at + 1)])
    if way == 1:
        return pa.concat_tables([rows, rows.slice(at, 1)])
    if way == 2:
        return rows.take([*range(at, len(values)), *range(at)])
    old = values[at]
    values[at] = random.choice((None, values[at - 1], cases.value(random, old)))
    if isinstance(old, int):
        values[at] = random.choice((*range(10), -1, 10, 2**40, -(2**63), None))
    try:
        column = pa.array(values, rows.schema.field(name).type)
        column.validate(full=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return rows.slice(0, at) if at else rows
    return rows.set_column(rows.column_names.index(name), pa.field(name, column.type), column)


def _restated(random: Random, facts: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], bool]:
    """Keys and values, one of them JSON spelled otherwise, or JSON that says something else; and whether it does."""
    known = [key for key, text in facts.items() if text[:1] == b"{"]
    if not known:
        return facts, False
    key = random.choice(known)
    root = json.loads(facts[key])
    way = random.randrange(4)
    text = cases.spelled(random, root) if way == 0 else json.dumps(cases.edit(random, root))
    text = cases.twice(random, text) if way == 1 else text
    return facts | {key: text.encode(errors="surrogatepass")}, way > 0


def _other(random: Random, field: thrift.Field) -> Any:
    if field.type in (thrift.TRUE, thrift.FALSE):
        return not field.value
    if field.type in (thrift.BYTE, thrift.DOUBLE):
        return random.randbytes(len(field.value))
    if field.type == thrift.BINARY:
        return cases.damaged(random, field.value) if field.value else b"x"
    if field.type in (thrift.LIST, thrift.SET, thrift.STRUCT):
        some = random.sample(field.value, random.randint(0, len(field.value)))
        return random.choice((some, [*field.value, *deepcopy(some)]))
    return random.choice(
        (
            field.value + 1,
            field.value - 1,
            field.value ^ 1 << random.randrange(40),
            -field.value,
            0,
            2**31 - 1,
            -1,
            2**62,
        )
    )


def _struct_edit(random: Random, fields: list[thrift.Field]) -> None:
    holder, field = random.choice(list(thrift.leaves(fields)))
    way = random.randrange(8)
    if way < 6:
        field.value = _other(random, field)
    elif way == 6:
        holder.remove(field)
    else:
        holder.insert(holder.index(field), deepcopy(field))


def _low(random: Random, content: bytes) -> bytes:
    """A file that was changed below its rows, and sealed again."""
    way = random.randrange(4)
    if way == 0:
        fields = thrift.footer(content)
        for _ in range(random.choice((1, 1, 1, 2))):
            _struct_edit(random, fields)
        return seal(thrift.with_footer(content, fields))
    page = random.choice(thrift.pages(content))
    if way == 1:
        _struct_edit(random, page.header)
        return seal(thrift.with_page(content, page))
    if way == 2 and page.end > page.start and any(each.number == 4 for each in page.header):
        data = bytearray(content[page.start : page.end])
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return seal(thrift.with_page(content, page, bytes(data)))
    return seal(cases.damaged(random, content))


def reread(content: bytes) -> bytes | None:
    """The rows as another library reads them, in plain Parquet of the same keys and values; None where it refuses."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        path = Path(tempfile.mkdtemp()) / "other.parquet"
        try:
            path.write_bytes(content)
            other = duckdb.connect(config={"threads": 1})
            found = other.sql(f"select * from read_parquet('{path}')").to_arrow_table()
            with os.fdopen(theirs, "wb") as sink:
                sink.write(written(found, footers_facts(content)))
        finally:
            shutil.rmtree(path.parent)
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as source:
        made = source.read()
    os.waitpid(child, 0)
    return made or None


def _case(random: Random, name: str, files: Files, command: tuple[str, ...]) -> Case:
    """A Parquet file that was spelled otherwise, changed with a meaning, changed below, or damaged."""
    content = files[name]
    rows, facts = pq.read_table(io.BytesIO(content), use_threads=False), footers_facts(content)
    way = random.randrange(10)
    like: Files | Callable[[Files], Files | None] | None = files
    refused = False
    if way < 2:
        content = respelled(random, rows, facts)
    elif way < 4:
        rows = _changed_rows(random, rows)
        facts = {key: text for key, text in facts.items() if key not in (b"gencli.provenance", b"gencli.seal")}
        content, like = respelled(random, rows, facts), {**files, name: written(rows, facts)}
    elif way == 4:
        facts, other = _restated(random, facts)
        content, like = written(rows, facts), None if other else files
    elif way == 5:
        content, refused = cases.damaged(random, content), True
        refused = content != files[name]
    else:
        content = _low(random, content)

        def reread_files(strange: Files) -> Files | None:
            found = reread(strange[name])
            return None if found is None else {**strange, name: found}

        like = reread_files

    if command[0] == "show":  # columns as they are stored
        like = None
    return Case({**files, name: content}, command, (name, files[name]), like, refused)


def images(random: Random, seeds: Files) -> Case:
    """An image table."""
    name = random.choice(("t.parquet", "t.parquet", "hub.parquet"))
    line = random.choice(_IMAGES).format(name)
    files = {each: seeds[each] for each in {name, *(["m.safetensors"] if "m.safe" in line else [])}}
    return _case(random, name, files, tuple(line.split()))


def documents(random: Random, seeds: Files) -> Case:
    """What `report` reads, as Parquet."""
    name = f"{random.choice(KINDS[:4])}.parquet"
    line = f"report {name} --format {random.choice(('json', 'csv', 'md', 'table', 'html'))}"
    if random.random() < 0.1:
        line = f"how {name}"
    elif random.random() < 0.2:
        line = f"show {name} --format {random.choice(('json', 'csv', 'md', 'table'))} --head 3"
    return _case(random, name, {name: seeds[name]}, tuple(line.split()))
