"""A fixed sample of strange files, and what they are made with. What longer runs found is in each part's tests."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile import cases, tables, tensors, thrift
from tests.hostile.__main__ import GRAMMARS
from tests.hostile.seeds import seal

ROOT = Path(__file__).parents[2]


_EVERY = [*GRAMMARS]
_PARTS = [["itself"], ["sample", ",".join(_EVERY[::2])], ["sample", ",".join(_EVERY[1::2])]]


@pytest.mark.parametrize("words", _PARTS, ids=["itself", "one-half", "other-half"])
def test_a_sample(words: list[str]) -> None:
    """A batch of each grammar, in processes of their own, whose memory is not yet torn by other tests."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.hostile", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def table() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "label": [3, 4]}), sink, write_page_checksum=True)
    return sink.getvalue()


def test_thrift_is_written_as_it_was_read() -> None:
    content = table()
    assert thrift.with_footer(content, thrift.footer(content)) == content
    found = thrift.pages(content)
    assert len(found) == 4  # a dictionary and its indices, twice
    for page in found:
        assert thrift.with_page(content, page) == content
        assert thrift.with_page(content, page, content[page.start : page.end]) == content


def test_the_same_seed_makes_the_same_changes() -> None:
    for make in (
        cases.value,
        lambda random: cases.damaged(random, table()),
        lambda random: cases.reworded(random, "a b"),
    ):
        assert repr(make(Random("1/x/7"))) == repr(make(Random("1/x/7")))


def test_what_bears_no_seal_gets_none() -> None:
    assert seal(table()) == table()


def test_tensors_are_read_as_they_are_written() -> None:
    content = tensors.whole('{"a":1}', {"w": ("F32", [1], b"\0\0\x80?")})
    assert tensors.parts(content) == ({"a": 1}, {"w": ("F32", [1], b"\0\0\x80?")})
    assert tables.footers_facts(table()).keys() <= {b"ARROW:schema"}
