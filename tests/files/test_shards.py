"""What parts say of themselves decides whether they are of one result."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.shards import Part, require_kept, require_whole, titled, told


def part(shard: int, **more: Any) -> Part:
    source: Any = SimpleNamespace(name=f"part{shard}")
    made = provenance.step("eval", {"shard": f"{shard}/2"})
    return Part(
        source, replace(made, **{name: vars(made)[name] | value for name, value in more.items()}), shard, 2, None
    )


def test_parts_may_be_of_several_machines() -> None:
    parts = [part(1, machine={"torch cpu": "AVX2"}), part(0, machine={"torch cpu": "AVX512"})]
    assert require_whole(parts) == parts[::-1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"versions": {"gencli": "9.9"}}, "gencli was [0-9.]+, is 9.9"),
        ({"machine": {"source": "another"}}, "the code of gencli was [0-9a-f]+, is another"),
    ],
)
def test_parts_of_another_gencli_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(GencliError, match=f"part1: not of the same as part0: {said}"):
        require_whole([part(0), part(1, **more)])


def of(shard: int, shards: int = 2, rows: int | None = None, command: str = "eval", name: str = "") -> Part:
    source: Any = SimpleNamespace(name=name or f"part{shard}")
    made = provenance.step(command, {"shard": f"{shard}/{shards}"})
    return Part(source, made, shard, shards, None if rows is None else {"rows": rows})


def refusal(*parts: Part) -> str:
    with pytest.raises(GencliError) as refused:
        require_whole(parts)
    return refused.value.message


def test_parts_are_of_one_kind_and_number_and_each_is_there_once() -> None:
    assert [each.shard for each in require_whole([of(2, 3), of(0, 3), of(1, 3)])] == [0, 1, 2]
    assert refusal(of(0), of(1, command="hvp")) == "part1: of gencli hvp, and part0 is of another kind"
    assert refusal(of(0), of(1, rows=9)) == "part1: of gencli eval, and part0 is of another kind"
    assert refusal(of(0), of(1, 3)) == "part1: one of 3 parts, but part0 is one of 2"
    assert refusal(of(0), of(1), of(1, name="x")) == "x: part 1 of 2, as part1 is"
    assert refusal(of(1, 3)) == "parts missing of 3: 0, 2"
    assert refusal(of(0, 11)) == f"parts missing of 11: {', '.join(map(str, range(1, 11)))}"
    assert refusal(of(0, 12)) == f"parts missing of 12: {', '.join(map(str, range(1, 11)))} \u2026"
    assert refusal(of(0, rows=9), of(1, rows=8)) == "the parts are of different numbers of rows"
    assert len(require_whole([of(0, rows=9), of(1, rows=9)])) == 2


@pytest.mark.parametrize(
    ("rows", "told"), [(9, range(4, 9)), (1, range(1)), (0, None), (True, None), (2.0, None), (None, None)]
)
def test_a_part_says_its_rows(rows: Any, told: range | None) -> None:
    part = replace(of(1), facts={"rows": rows})
    if told is None:
        with pytest.raises(GencliError, match=r"^part1: does not say which rows it is of$"):
            part.rows  # noqa: B018
    else:
        assert list(part.rows) == list(told)


def test_a_part_is_called_one_and_is_written_as_parquet() -> None:
    assert (told(None, 9), told("0/2", 9)) == ({}, {"rows": 9})
    assert (titled("x", None), titled("x", "0/2")) == ("x", "part 0/2 of x")
    for shard, form, output in (
        (None, "csv", "x.csv"),
        ("0/2", None, None),
        ("0/2", "parquet", "x"),
        ("0/2", None, "x.pq"),
    ):
        require_kept(shard, form, output)
    for form, output in (("csv", None), (None, "x.json"), ("table", "x.parquet")):
        with pytest.raises(GencliError, match=r"^--shard: a part of a result is written as Parquet$"):
            require_kept("0/2", form, output)
