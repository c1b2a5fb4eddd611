"""Ancestry in lines, where two files part, what would come out differently, and what is made again for a check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gencli
from gencli.files import parquet
from gencli.files.provenance import Source, Step
from gencli.files.stream import Input, Output
from gencli.replay import checking, comparison, lineage, reading, stale
from gencli.replay.checking import Checked
from gencli.replay.graph import Graph
from tests.replay.test_words import planned

HASHES = [f"{number:064x}" for number in range(30)]


def step(command: str, *inputs: Source, output: str = "", **arguments: Any) -> Step:
    return Step(command, arguments, {"gencli": "0.1.0"}, inputs, {}, output)


def data(number: int, **arguments: Any) -> Source:
    return Source("data", HASHES[number], step("data digits", **arguments))


TRAIN = data(1, split="test")
MODEL = Source("model", HASHES[3], step("train", TRAIN, epochs=3))
OUTSIDE = Source("data", HASHES[9], name="x.parquet")


def test_a_tree_shows_each_run_once() -> None:
    part = Source("data", "", name="y", object="s3://b/y")
    made = replace(step("eval", MODEL, data(1, split="test"), OUTSIDE, part), machine={"cpu": "A"})
    assert [*lineage.tree(Graph(made, HASHES[0]), "out")] == [
        "out: [3] gencli eval",
        "├─ model: [2] gencli train --epochs 3",
        "│  └─ data: [1] gencli data digits --split test",
        "├─ data: [1], see there",
        f"├─ data: x.parquet, from outside, SHA-256 {HASHES[9]}",
        "└─ data: s3://b/y, from outside, of which a part was read",
        "made with gencli 0.1.0; cpu A",
    ]
    history = Source("file", HASHES[4], step("train", TRAIN, epochs=3, output="history"))
    newer = replace(step("report", history), versions={"gencli": "0.2.0"})
    assert [*lineage.tree(Graph(newer, HASHES[0]), "out")] == [
        "out: [3] gencli report",
        "└─ file: [2], history gencli train --epochs 3",
        "   └─ data: [1] gencli data digits --split test",
        "made with gencli 0.1.0 and 0.2.0",
    ]


@pytest.mark.parametrize(
    ("one", "other", "lines"),
    [
        (step("a"), step("a"), []),
        (step("a", x_y=1, z=2), step("a", z=3), ["a:", "  --x-y: 1 and none", "  --z: 2 and 3"]),
        (step("a", x=1), step("b", x=2), []),
        (step("a", output="history"), step("a"), ["a:", "  output: history and main"]),
        (step("a"), step("b", output="x"), ["a and b:", "  output: main and x"]),
        (step("a", OUTSIDE), step("a"), ["a:", "  1 inputs and 0"]),
        (
            step("a", OUTSIDE), step("a", replace(OUTSIDE, role="file")),
            ["a:", f"  input: data x.parquet, SHA-256 {HASHES[9]} and file x.parquet, SHA-256 {HASHES[9]}"],
        ),
        (
            step("a", OUTSIDE), step("a", replace(TRAIN, sha256=HASHES[9])),
            ["a:", f"  input: data x.parquet, SHA-256 {HASHES[9]} and data made by gencli, SHA-256 {HASHES[9]}"],
        ),
        (
            step("a", TRAIN), step("a", replace(TRAIN, sha256=HASHES[2])),
            ["a:", f"  data: made alike, yet {HASHES[1][:12]} and {HASHES[2][:12]}"],
        ),
        (step("a", data(1, seed=1)), step("a", data(2, seed=2)), ["data digits:", "  --seed: 1 and 2"]),
        (
            step("a", data(1, seed=1), x=1), step("a", data(2, seed=2)),
            ["data digits:", "  --seed: 1 and 2", "a:", "  --x: 1 and none"],
        ),
        (
            step("a", data(1, seed=1), OUTSIDE), step("a", data(2, seed=2)),
            ["data digits:", "  --seed: 1 and 2", "a:", "  2 inputs and 1"],
        ),
        (
            replace(step("a"), machine={"cpu": "A"}), replace(step("a"), versions={"gencli": "2"}),
            ["a:", "  gencli: 0.1.0 and 2", "  cpu: A and none"],
        ),
    ],
)  # fmt: skip
def test_files_part_at_their_first_steps(one: Step, other: Step, lines: list[str]) -> None:
    assert [*lineage.partings(one, other)] == lines


def test_what_would_come_out_differently_here_is_said_with_why() -> None:
    made = step("eval", MODEL, data(2, split="test"), OUTSIDE, Source("source", HASHES[8], name="found"))
    graph = Graph(made, HASHES[0])
    [outside] = graph.outside
    found = {id(each): HASHES[8] for run in graph.runs for each in run.inputs if each.run is None}
    assert [*stale.reasons(graph, found | {id(outside): HASHES[9]})] == []
    gone = f"data: x.parquet: no such file; it had SHA-256 {HASHES[9]}"
    assert [*stale.reasons(graph, found | {id(outside): ""})] == [(4, "eval", [gone])]
    other = f"data: x.parquet: SHA-256 {HASHES[9]}, now {HASHES[7]}"
    assert [*stale.reasons(graph, found | {id(outside): HASHES[7]})] == [(4, "eval", [other])]
    assert TRAIN.step is not None
    old = replace(TRAIN, step=replace(TRAIN.step, versions={"gencli": "0.0.1", "no_such_package": "1"}))
    graph = Graph(step("eval", Source("model", HASHES[3], step("train", old)), data(2)), HASHES[0])
    assert [*stale.reasons(graph, {})] == [
        (1, "data digits", [f"gencli: 0.0.1, now {gencli.__version__}", "no_such_package: 1, now none"]),
        (2, "train", ["data: its step [1] would differ"]), (4, "eval", ["model: its step [2] would differ"]),
    ]  # fmt: skip


def written(path: Path, made: Step, rows: pa.Table) -> Input:
    with Output(str(path)) as output:
        parquet.write_rows(output, rows, made)
    return Input(str(path))


@pytest.mark.parametrize(
    ("one", "other", "lines"),
    [
        ({"x": [1, 2]}, {"x": [1, 2, 3]}, ["2 rows, now 3"]),
        ({"x": [1, 2, 4]}, {"x": [1, 3]}, ["3 rows, now 2",
         "column `x`: 1 of 2 rows differ, by up to 1, the first is row 1"]),
        ({"x": [1]}, {"x": [1.0]}, ["column `x`: int64, now double"]),
        ({"x": [1, None]}, {"x": [1, 2]}, ["column `x`: 1 of 2 rows differ, by up to 0, the first is row 1"]),
        ({"x": [None, 1.0]}, {"x": [2.0, None]}, ["column `x`: 2 of 2 rows differ, the first is row 0"]),
        ({"x": [5, 1, 9]}, {"x": [2, 1, 7]}, ["column `x`: 2 of 3 rows differ, by up to 3, the first is row 0"]),
    ],
)  # fmt: skip
def test_tables_differ_by_rows_types_and_values(
    one: dict[str, Any], other: dict[str, Any], lines: list[str], tmp_path: Path
) -> None:
    files = [written(tmp_path / name, step("eval"), pa.table(each)) for name, each in (("a", one), ("b", other))]
    assert comparison.differences(*files) == lines


def test_times_alone_are_no_difference(tmp_path: Path) -> None:
    rows = pa.table({"epoch": [1], "seconds": [0.5], "images_per_second": [9.0]})
    later = pa.table({"epoch": [1], "seconds": [0.75], "images_per_second": [8.0]})
    history, result = step("train", output="history"), step("train", output="dynamics")
    assert [comparison.is_timed(each) for each in (history, result, step("eval", output="history"))] == [
        True,
        False,
        False,
    ]
    one, two = (written(tmp_path / name, history, each) for name, each in (("a", rows), ("b", later)))
    assert comparison.differences(one, two) == []
    one, two = (written(tmp_path / name, result, each) for name, each in (("c", rows), ("d", later)))
    assert len(comparison.differences(one, two)) == 2
    of_times = [step("report", Source("file", HASHES[place], history)) for place in (1, 2)]
    one, two = (written(tmp_path / name, made, rows) for name, made in zip("ef", of_times))
    assert comparison.differences(one, two) == []
    of_others = [step("report", Source("file", HASHES[place], result)) for place in (1, 2)]
    one, two = (written(tmp_path / name, made, rows) for name, made in zip("gh", of_others))
    assert comparison.differences(one, two) == [
        "report:", f"  file: made alike, yet {HASHES[1][:12]} and {HASHES[2][:12]}"
    ]  # fmt: skip


def test_what_a_check_found_is_said_in_lines() -> None:
    assert [*Checked(["[1] a: the same"]).text("x")] == ["[1] a: the same", "x: the same"]
    assert Checked().same
    nothing = "  it was made with what is here, as far as is recorded"
    found = Checked(["[1] a: differs"], "[1] a", [], ["column `x`"], ["the clock"])
    assert [*found.text("x")] == [
        "[1] a: differs", "first to differ: [1] a", nothing, "  the clock", "x: differs", "  column `x`"
    ]  # fmt: skip
    assert not found.same
    found = Checked([], "[1] a", ["gencli: 1, here 2"])
    assert [*found.text("x")] == ["first to differ: [1] a", "  gencli: 1, here 2", "x: the same"]
    assert not found.same
    assert not Checked(end=["column `x`"]).same


def test_what_is_there_is_not_made_again() -> None:
    model = Source("model", HASHES[3], step("train", TRAIN, arch="linear"))
    plan = planned(step("eval", model, data(2, split="test")))
    for known, needed in (
        ((), [1, 2, 3, 4]), ((3,), [3, 4]), ((2,), [1, 2, 4]), ((1,), [2, 3, 4]), ((0, 2, 3), [4]), ((1, 2), [2, 4]),
    ):  # fmt: skip
        jobs = checking._needed(plan, {HASHES[each]: "" for each in known})
        assert sorted(job.number for job in jobs) == needed


def test_what_reads_times_is_compared_at_the_end_alone() -> None:
    trained = step("train", TRAIN, arch="linear", output="history")
    plan = planned(step("report", Source("file", HASHES[4], trained)), "x.csv", "csv")
    assert [checking._reads_times(plan, job) for job in plan.jobs] == [False, False, True]
    model = Source("model", HASHES[3], step("train", TRAIN, arch="linear"))
    plan = planned(step("eval", model, data(2, split="test")))
    assert not any(checking._reads_times(plan, job) for job in plan.jobs)


def test_no_variable_of_ours_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLI_SEED", "1")
    monkeypatch.setenv("OTHER", "2")
    ours = checking._environment()
    assert ours["OTHER"] == "2"
    assert "GENCLI_SEED" not in ours


def message(content: bytes, tmp_path: Path) -> Input:
    (tmp_path / "m").write_bytes(content)
    return Input(str(tmp_path / "m"))


def test_fields_of_a_message_are_found_by_their_lengths(tmp_path: Path) -> None:
    content = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x1d1234" + b"\x2112345678" + b"\x72\x00" + b"\xf2\x07\x01x"
    source = message(content, tmp_path)
    found = [(number, content[start:end]) for number, start, end in reading._fields(source, 0, len(content))]
    assert found == [(2, b"abc"), (14, b""), (126, b"x")]
    assert reading._varint(message(b"\xac\x02", tmp_path), 0) == (300, 2)
    assert reading._varint(message(b"\xff\x7f", tmp_path), 0) == (16383, 2)
    assert reading._varint(message(b"?\x80\x80\x01", tmp_path), 1) == (16384, 4)
    for wrong, said in (
        (b"\x12\x04abc", "cut off"),
        (b"\x13", "no message"),
        (b"\x80", "cut off"),
        (b"\x80" * 11, "cut off"),
    ):
        with pytest.raises(ValueError, match=said):
            list(reading._fields(message(wrong, tmp_path), 0, len(wrong)))
