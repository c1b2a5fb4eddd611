"""Names that are no patterns: standard input, and addresses of objects."""

from __future__ import annotations

import pytest

from gencli.errors import GencliError
from gencli.reporting import patterns


def test_standard_input_and_addresses_are_kept_as_they_are() -> None:
    names = ["-", "./-", "s3://bucket/a*.parquet", "s3://bucket/a/../b.parquet", "s3://bucket/b.parquet"]
    assert patterns.expand([*names, "-", names[2]]) == names


def test_an_address_that_is_read_is_not_written() -> None:
    with pytest.raises(GencliError, match=r"^s3://bucket/a: the output is the input$"):
        patterns.refuse_overwriting(["s3://bucket/b", "s3://bucket/a"], [None, "s3://bucket/a"])
    patterns.refuse_overwriting(["s3://bucket/b", None], ["s3://bucket/a"])
