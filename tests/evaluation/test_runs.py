"""Several models on several tables: what is said of them, in what order, in how many steps of progress."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pytest
import torch
from torch import nn

from gencli.errors import GencliError
from gencli.evaluation import measures, runs
from gencli.evaluation.networks import evaluate
from gencli.evaluation.results import unpacked
from gencli.evaluation.runs import Plan, fitting
from gencli.evaluation.settings import ASCENTS, DIRECTIONS, Requests
from gencli.files.provenance import step
from gencli.files.tables import MemoryTable
from gencli.losses.classes import CrossEntropy, Square
from gencli.models import Model, build
from gencli.models.inputs import Rows, load
from gencli.ranks import ALONE, Shard
from tests.helpers import image_table

CPU, SHAPE = torch.device("cpu"), (4, 4, 1)
ONE, TWO = image_table(61, SHAPE), image_table(23, SHAPE)
CLASSES = ONE.description.classes


def models(*archs: str, run: bool = False) -> list[Model]:
    torch.manual_seed(0)
    made = [Model(arch, SHAPE, CLASSES, build(arch, SHAPE, 3).eval()) for arch in archs]
    return [replace(each, run=number) for number, each in enumerate(made)] if run else made


def planned(requests: Requests, own: list[Model], tables: list[MemoryTable]) -> Plan:
    names = [f"{place}.safetensors" for place in range(len(own))]
    return runs.plan(requests, own, list(tables), names, [f"{place}.parquet" for place in range(len(tables))])


def test_each_model_is_evaluated_on_each_table_in_order() -> None:
    own, heard = models("mlp-1x8", "linear", "linear"), list[int]()
    plan = planned(Requests(top=[2]), own, [ONE, TWO])
    assert plan.work == ("rows", 3 * (61 + 23))
    assert plan.lead == [
        {"model": f"{model}.safetensors", "data": f"{data}.parquet"} for model in range(3) for data in range(2)
    ]
    assert plan.names("model") == ["0.safetensors", "1.safetensors", "2.safetensors"]
    assert plan.names("data") == ["0.parquet", "1.parquet"]
    (table,) = plan.evaluate(CPU, heard.append)
    assert heard[-1] == plan.work[1]
    assert all(before <= after for before, after in pairwise(heard))
    assert heard[0] == 61
    totals = [row for row in table.to_pylist() if row["label"] is None]
    assert [(row["model"], row["data"], row["n"]) for row in totals] == [
        (lead["model"], lead["data"], rows) for lead, rows in zip(plan.lead, [61, 23] * 3, strict=True)
    ]
    for row, (model, data) in zip(totals, [(model, data) for model in own for data in (ONE, TWO)], strict=True):
        alone = evaluate([model], data, CPU, False, lambda done: None)[0]
        assert row["accuracy"] == (alone.predicted == alone.labels).mean()


def test_of_one_model_on_one_table_nothing_is_told_apart() -> None:
    plan = planned(Requests(), models("linear"), [ONE])
    assert (plan.lead, plan.names("model"), plan.names("data")) == ([{}], [""], [""])
    assert plan.evaluate(CPU, lambda done: None)[0].column_names[0] == "label"
    two = planned(Requests(), models("linear", "linear"), [ONE])
    assert (two.names("model"), two.names("data")) == (["0.safetensors", "1.safetensors"], [""])
    measured = planned(Requests(measures=True), models("linear"), [])
    assert (measured.names("model"), measured.names("data")) == ([""], [])


def test_runs_of_one_file_are_told_apart_by_their_number() -> None:
    own, heard = models("linear", "linear", "linear", run=True), list[int]()
    both = runs.plan(Requests(), own, [ONE, TWO], ["m.safetensors"] * 3, ["d.parquet", "e.parquet"])
    assert both.lead == [{"data": f"{data}.parquet", "run": run} for run in range(3) for data in "de"]
    (table,) = both.evaluate(CPU, heard.append)
    assert heard[-1] == 3 * (61 + 23)
    found = [(row["run"], row["n"], row["accuracy"]) for row in table.to_pylist() if row["label"] is None]
    for run, rows, accuracy in found:
        alone = evaluate([own[run]], ONE if rows == 61 else TWO, CPU, False, lambda done: None)[0]
        assert accuracy == (alone.predicted == alone.labels).mean()
    own = own[:2]
    plan = runs.plan(Requests(), own, [ONE], ["m.safetensors"] * 2, ["d.parquet"])
    assert plan.lead == [{"run": 0}, {"run": 1}]
    assert runs.plan(Requests(run=1), own[1:], [ONE], ["m.safetensors"], ["d.parquet"]).lead == [{}]


@pytest.mark.parametrize("top", [None, [1, 2]])
def test_parts_together_are_the_whole(top: list[int] | None) -> None:
    own = models("mlp-1x8", "linear")
    plan = planned(Requests(top=top, intervals=True, seed=3), own, [ONE, TWO])
    (whole,) = plan.evaluate(CPU, lambda done: None)
    heard: list[list[int]] = [[], []]
    parts = [plan.results([], CPU, heard[place].append, Shard(place, 2))[0] for place in range(2)]
    assert [each[-1] for each in heard] == pytest.approx([plan.work[1]] * 2, abs=8)
    results, _, title = unpacked([(str(place), part) for place, part in enumerate(parts)])
    assert runs.joined(results).to_pylist() == whole.to_pylist()
    assert title == plan.title
    other = planned(Requests(top=[3], intervals=True, seed=3), own, [ONE, TWO])
    with pytest.raises(GencliError, match="1: not of the same as 0"):
        unpacked([("0", parts[0]), ("1", other.results([], CPU, lambda done: None, Shard(1, 2))[0])])


def test_the_title_names_architectures_tables_and_losses_once() -> None:
    plan = planned(Requests(), models("linear", "linear", "mlp-1x8"), [ONE, TWO])
    assert plan.title == "linear, mlp-1x8 on toy train; loss: ce"
    several = replace(plan, losses=[None, (Square(), 1), (CrossEntropy(), 2)])
    assert several.title == "linear, mlp-1x8 on toy train; loss: square, ce"
    assert replace(plan, losses=[None] * 3).title == "linear, mlp-1x8 on toy train"
    assert planned(Requests(measures=True), models("linear"), []).title == "linear"


def test_what_was_asked_for_is_what_bears_on_the_result() -> None:
    none = dict.fromkeys(("by", "top", "seed", "run", "reached"))
    plain = none | {"intervals": False, "norm": False, "measures": False}
    plan = planned(Requests(seed=4, reached=0.5), models("linear"), [ONE])
    assert plan.arguments() == plain
    asked = Requests(seed=4, reached=0.5, top=[1, 3], intervals=True, norm=True, run=2, history="h.csv")
    whole = replace(plan, requests=asked, by=[["label", "id"], ["id"]]).arguments()
    said = {"by": "label,id", "top": [1, 3], "seed": 4, "run": 2, "reached": 0.5, "intervals": True, "norm": True}
    assert whole == plain | said
    measured = replace(plan, requests=Requests(measures=True, seed=4)).arguments()
    assert measured == plain | {"measures": True, "seed": 4}


def test_measures_are_taken_in_directions_of_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(
        model: Model, start: object, rows: Rows, seed: int, progress: Callable[[int], None], steps: float | str
    ) -> pa.Table:
        progress(7)
        progress(DIRECTIONS + ASCENTS)
        return pa.table({"measure": [f"{len(rows)} {seed} {steps}"]})

    own, heard = models("linear", "linear", "linear", run=True), list[int]()
    plan = planned(Requests(measures=True, seed=5), own, [ONE])
    assert replace(plan, tables=[ONE, TWO]).work == ("directions", 2 * 3 * 20)
    assert plan.work == ("directions", 3 * 20)
    monkeypatch.setattr(measures, "measure", fake)
    (table,) = plan.results([1.0, 2.0, "none"], CPU, heard.append, ALONE)
    assert heard == [7, 20, 27, 40, 47, 60]
    assert table.to_pylist() == [
        {"run": run, "measure": f"61 5 {steps}"} for run, steps in enumerate(("1.0", "2.0", "none"))
    ]
    for other in (
        planned(Requests(measures=True, run=1), own[1:2], [ONE]),
        planned(Requests(measures=True), models("linear"), [ONE]),
    ):
        assert other.measure([1.0], CPU, heard.append)[0].column_names == ["measure"]


def test_the_norm_is_of_trained_parameters_in_the_last_row() -> None:
    (model,) = models("mlp-1x8")
    parameters = [*model.network.parameters()]
    parameters[0].requires_grad_(False)
    (table,) = planned(Requests(norm=True), [model], [ONE]).evaluate(CPU, lambda done: None)
    *classes, last = table["norm"].to_pylist()
    assert last == pytest.approx(math.sqrt(sum(each.double().square().sum().item() for each in parameters[1:])))
    assert classes == [None] * 3


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_outputs_that_are_not_finite_are_remarked_on_from_the_first(rows: int) -> None:
    (model,) = models("linear")
    table = image_table(6, SHAPE)
    images = model.preprocessing(load(table).images)

    def spoil(network: nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> torch.Tensor:
        bright = (given[0].flatten(1)[:, None] == images[:rows].flatten(1)).all(2).any(1)
        return made.masked_fill(bright[:, None], torch.nan)

    model.network.register_forward_hook(spoil)
    plan = planned(Requests(confusion="c.csv", predictions="p.csv"), [model], [table])
    before = len(plan.notes)
    result, predictions, matrix = plan.evaluate(CPU, lambda done: None)
    said = f"{model.title} on toy: the outputs of {rows} of 6 rows are not finite"
    assert [note.partition(";")[0] for note in plan.notes[before:]] == [said] * (rows > 0)
    assert ("not_finite" in result.column_names) == (rows > 0)
    assert (predictions.num_rows, matrix.num_rows) == (6, 3)


@pytest.mark.parametrize(
    ("requests", "refused"),
    [
        (Requests(top=[1, 3]), ""),
        (Requests(top=[4, 1]), "--top: 4 of 3 classes"),
        (Requests(by="none"), "none"),
    ],
)
def test_what_models_and_tables_have_not_is_refused(requests: Requests, refused: str) -> None:
    if not refused:
        assert fitting(requests, ONE) is ONE
        planned(requests, models("linear"), [ONE])
        return
    with pytest.raises(GencliError, match=re.escape(refused)):
        fitting(requests, ONE)
    with pytest.raises(GencliError, match=re.escape(refused)):
        planned(requests, models("linear"), [ONE])


@pytest.mark.parametrize(
    ("arguments", "seed"), [({"seed": 3}, 3), ({"seed": 3, "seed_init": 0}, 0), ({"seed": "3"}, None), ({}, None)]
)
def test_the_seed_of_initialization_is_its_own_or_the_runs(arguments: dict[str, object], seed: int | None) -> None:
    (model,) = models("linear")
    model.made = step("train", arguments)
    assert runs.initial_seed(model) == seed
    if seed is None:
        with pytest.raises(GencliError, match="m: its seed is unknown here"):
            runs.initial(model, "m")
    model.made = step("fit", {"seed": 3})
    assert runs.initial(model, "m") is None
    model.made = None
    assert runs.initial(model, "m") is None
