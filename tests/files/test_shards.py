"""What parts say of themselves decides whether they are of one result."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.shards import Part, require_whole


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
