"""Results of parts: what tells that they are of one whole, and what they keep of their rows' groups."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.evaluation.predictions import NONE, Evaluated
from gencli.evaluation.results import Facts, joined, packed, unpacked
from gencli.evaluation.tallies import Tally

GROUPS = [(b"\xff", math.nan), (b"a", None), (b"c", 0.5), (b"\xff", math.nan), (b"a", None)]
FACTS = Facts({"data": "d"}, ("a", "b"), 2.5, "m", "toy", 5, "w has no numbers", ("one", "other"))


def rows(start: int, stop: int, gone: int = 0) -> Evaluated:
    labels = np.array([0, 1, 1, 0, 1])[start:stop]
    predicted = np.array([0, 1, 0, 0, 1])[start:stop]
    predicted[:gone] = NONE
    losses = np.arange(5.0)[start:stop]
    return Evaluated(
        np.arange(5)[start:stop], labels, losses, None, predicted, by=("one", "other"), groups=GROUPS[start:stop]
    )


def parts(facts: Facts = FACTS, gone: int = 0) -> list[tuple[str, pa.Table]]:
    pieces = [packed([(facts, rows(*span, gone))], [1], None, "title") for span in ((0, 2), (2, 5))]
    return [(f"part {place}", piece) for place, piece in enumerate(pieces)]


def test_parts_are_the_whole_with_their_groups() -> None:
    results, notes, title = unpacked(parts())
    whole = FACTS.result(Tally.of(rows(0, 5), 2, [1]), None)
    assert results[0].equals(whole)
    assert (notes, title) == ([], "title")
    assert whole["name"].to_pylist() == ["a null", "c 0.5", "\\xff nan", "all"]
    assert whole["n"].to_pylist() == [2, 1, 2, 5]
    assert whole["norm"].to_pylist() == [None] * 3 + [2.5]
    assert whole.column_names[0] == "data"
    notes = unpacked(parts(gone=1))[1]
    assert notes == ["m on toy: the outputs of 2 of 5 rows are not finite; w has no numbers"]
    assert unpacked(parts(replace(FACTS, why=None), 1))[1] == ["m on toy: the outputs of 2 of 5 rows are not finite"]


def test_parts_of_other_rows_or_results_are_refused() -> None:
    first, second = parts()
    with pytest.raises(GencliError, match="part 1: 3 rows of toy, not 2"):
        unpacked([second, first])
    with pytest.raises(GencliError, match="part 0: 2 rows of toy, not 5"):
        unpacked([first])
    with pytest.raises(GencliError, match="part 1: not of the same as part 0"):
        unpacked([first, parts(replace(FACTS, norm=1.0))[1]])
    for metadata in (None, {}, {b"gencli.part": b"x"}, {b"gencli.part": b"[]"}, {b"gencli.part": b'{"facts": []}'}):
        with pytest.raises(GencliError, match="part 1: does not say what its rows are of"):
            unpacked([first, ("part 1", second[1].replace_schema_metadata(metadata))])
    told = json.loads((second[1].schema.metadata or {})[b"gencli.part"])
    assert set(told) == {"facts", "top", "resampled", "title", "groups"}


def test_rows_that_are_not_finite_are_counted_in_all_results_or_none() -> None:
    plain, counted = pa.table({"n": [1, 2]}), pa.table({"n": [3], "not_finite": [1]})
    assert joined([plain, plain]).column_names == ["n"]
    for order in ([plain, counted], [counted, plain]):
        together = joined(order).to_pylist()
        assert sorted((row["n"], row["not_finite"]) for row in together) == [(1, 0), (2, 0), (3, 1)]
