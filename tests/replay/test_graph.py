"""The tree of provenance as a graph: each run once, with all its outputs, and files put in their places."""

from __future__ import annotations

from dataclasses import replace

from gencli.files.provenance import Source, Step
from gencli.replay import lineage
from gencli.replay.graph import Graph

HASHES = [f"{number:064x}" for number in range(30)]


def step(command: str, *inputs: Source, output: str = "", **arguments: object) -> Step:
    return Step(command, dict(arguments), {"gencli": "0.1.0"}, inputs, {}, output)


TRAIN, TEST = (Source("data", HASHES[place], step("data digits", split=name)) for place, name in ((1, "a"), (2, "b")))
MODEL = Source("model", HASHES[3], step("train", TRAIN, epochs=3))
HISTORY = Source("file", HASHES[4], step("train", TRAIN, replace(TEST, role="eval-data"), output="history", epochs=3))
RESULT = Source("file", HASHES[5], step("eval", MODEL, TEST))


def test_a_model_and_its_history_are_of_one_run_whichever_comes_first() -> None:
    for inputs in ((HISTORY, RESULT), (RESULT, HISTORY)):
        graph = Graph(step("report", *inputs), HASHES[0])
        assert sorted(run.step.command for run in graph.runs) == [
            "data digits", "data digits", "eval", "report", "train",
        ]  # fmt: skip
        (train,) = [run for run in graph.runs if run.step.command == "train"]
        assert train.outputs == {"": HASHES[3], "history": HASHES[4]}
        assert [each.role for each in train.step.inputs] == ["data", "eval-data"]
        order = [run.step.command for run in graph.runs]
        assert order.index("train") > max(place for place, name in enumerate(order) if name == "data digits")
        assert order.index("train") < order.index("eval")


def test_runs_that_differ_in_anything_stay_apart() -> None:
    for other in (
        step("train", TRAIN, epochs=4),
        step("train", TEST, epochs=3),
        replace(MODEL.step or TRAIN.step, machine={"torch cpu": "AVX2"}),  # pyright: ignore[reportArgumentType]
    ):
        assert other is not None
        first = replace(MODEL.step, machine={"torch cpu": "DEFAULT"})  # pyright: ignore[reportArgumentType]
        files = [Source("model", HASHES[number], each) for number, each in ((6, first), (7, other))]
        graph = Graph(step("eval", *files, TEST), HASHES[0])
        assert sum(run.step.command == "train" for run in graph.runs) == 2
    measured = [replace(TEST, role="eval-data"), replace(TRAIN, role="eval-data")]
    histories = [
        Source("file", HASHES[8 + place], step("train", TRAIN, each, output="history", epochs=3))
        for place, each in enumerate(measured)
    ]
    graph = Graph(step("report", *histories), HASHES[0])
    assert sum(run.step.command == "train" for run in graph.runs) == 2


def test_what_comes_from_outside_is_there_once_and_what_a_command_finds_itself_is_not() -> None:
    foreign = Source("data", HASHES[9], name="x.parquet")
    found = Source("source", HASHES[10], name="batch_1")
    graph = Graph(
        step("eval", MODEL, foreign, foreign, Source("data", HASHES[11], step("data mnist", found))), HASHES[0]
    )
    assert [each.name for each in graph.outside] == ["x.parquet"]


def test_a_thousand_steps_that_share_their_beginnings_are_few_runs() -> None:
    made = step("data digits")
    for number in range(12, 24):
        entry = Source("data", HASHES[number], made)
        made = step("eval", replace(entry, role="model"), entry)
    graph = Graph(made, HASHES[0])
    assert len(graph.runs) == 13


def test_partings_name_the_first_step_and_the_file_from_outside() -> None:
    one, other = (step("data repeat", Source("data", HASHES[place], name="x")) for place in (1, 2))
    assert [*lineage.partings(one, other)] == [
        "data repeat:",
        f"  input: data x, SHA-256 {HASHES[1]} and data x, SHA-256 {HASHES[2]}",
    ]
    later = [step("data show", Source("data", HASHES[place + 2], each)) for place, each in enumerate((one, other))]
    assert [*lineage.partings(*later)] == [*lineage.partings(one, other)]
    assert [*lineage.partings(one, one)] == []
