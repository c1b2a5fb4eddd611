"""What settings, corruptions and setups are called, and the columns that scores and settings make."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.files import provenance
from gencli.files.provenance import Step
from gencli.reporting import groups
from gencli.reporting.documents import DIFFER
from gencli.reporting.groups import Setup
from tests.reporting.made import data_step, history, result, training


@pytest.mark.parametrize(
    ("value", "told"),
    [(True, "yes"), (False, "no"), (0.1, "0.1"), (1e-7, "1e-07"), (2.0, "2"), (3, "3"), (None, ""), ("a", "a")],
)
def test_a_setting_as_text(value: object, told: str) -> None:
    assert groups.word(value) == told


def noise(p: float, seed: int = 0, **more: Any) -> Step:
    return provenance.step("corrupt random-labels", {"p": p, "seed": seed, **more})


def file_of_labels(differ: float | None, name: str) -> Step:
    entry = replace(provenance.source("from", "f", None, Path(name)), labels_differ=differ)
    return provenance.step("corrupt labels", {"seed": 1}, [entry])


FOG, SNOW = (provenance.step("corrupt common", {"kind": kind, "severity": 2}) for kind in ("fog", "snow"))


@pytest.mark.parametrize(
    ("chains", "told"),
    [
        ([[noise(0.5, 0)], [noise(0.5, 1)]], ["random-labels p=0.5 seed=0", "random-labels p=0.5 seed=1"]),
        ([[noise(0.5)], [noise(0.25)]], ["random-labels p=0.5", "random-labels p=0.25"]),
        ([[noise(0.5, among="a")], []], ["random-labels p=0.5", "none"]),
        ([[noise(0.5, among="a"), FOG], [noise(0.5, among="b")]],
         ["random-labels p=0.5 among=a + common fog", "random-labels p=0.5 among=b"]),
        ([[FOG], [SNOW]], ["common fog", "common snow"]),
        ([[FOG], [provenance.step("corrupt common", {"kind": "fog", "severity": 3})]],
         ["common fog severity=2", "common fog severity=3"]),
        ([[Step(DIFFER, {"share": 0.40249}, {})]], ["labels differ, 40.2 %"]),
        ([[file_of_labels(0.125, "l.csv")], [file_of_labels(None, "m.csv")]],
         ["labels from l.csv, 12.5 %", "labels from m.csv, 0 %"]),
    ],
)  # fmt: skip
def test_corruptions_in_words(chains: list[list[Step]], told: list[str]) -> None:
    assert groups.chains(chains) == told


def test_hidden_arguments_are_not_told() -> None:
    assert groups.chains([[noise(0.5, 0)], [noise(0.5, 1)]], {"seed"}) == ["random-labels p=0.5"] * 2


def test_scores_are_columns_with_their_deviations_and_epochs_are_whole_where_all_are() -> None:
    rows: list[dict[str, Any]] = [
        {"a": "x", "runs": 2, "epochs": (3.0, None), "best_epoch_on_test": (2.0, 1.0), "accuracy": (1.0, 0.1),
         "epochs_to_fit": (2.5, None), "none": (None, None)},
        {"a": None, "runs": 1, "epochs": None, "best_epoch_on_test": (4.0, None), "accuracy": (2.0, None),
         "epochs_to_fit": (2.0, None)},
    ]  # fmt: skip
    scores = ["epochs", "best_epoch_on_test", "accuracy", "epochs_to_fit", "none"]
    table = groups.assemble(rows, ["a"], scores, True)
    assert table.equals(pa.table({
        "a": ["x", None], "runs": [2, 1], "epochs": pa.array([3, None], pa.int64()), "best_epoch_on_test": [2, 4],
        "best_epoch_on_test_std": [1.0, None], "accuracy": [1.0, 2.0], "accuracy_std": [0.1, None],
        "epochs_to_fit": [2.5, 2.0], "none": pa.array([None, None], pa.float64()),
    }))  # fmt: skip
    assert groups.assemble(rows, ["a"], ["accuracy"], False).column_names == ["a", "accuracy", "accuracy_std"]


@pytest.mark.parametrize(
    ("values", "kind", "held"),
    [
        ([1, None, 2], pa.int64(), None), ([1, 0.5], pa.float64(), [1.0, 0.5]), ([0.5, None], pa.float64(), None),
        ([True, False, None], pa.bool_(), None), (["a", None], pa.string(), None),
        ([True, 1], pa.string(), ["True", "1"]), (["a", 1], pa.string(), ["a", "1"]),
        ([True, 0.5], pa.string(), ["True", "0.5"]), ([[1], None], pa.string(), ["[1]", None]),
        ([None, None], pa.string(), None), ([(1 << 63) - 1, 1 - (1 << 63)], pa.int64(), None),
        ([1 << 63], pa.string(), ["9223372036854775808"]), ([0.5, 1 << 63], pa.string(), ["0.5", str(1 << 63)]),
    ],
)  # fmt: skip
def test_settings_are_columns_of_their_type_or_text(values: list[Any], kind: pa.DataType, held: list[Any]) -> None:
    column = groups.assemble([{"a": value} for value in values], ["a"], [], False)["a"]
    assert (column.type, column.to_pylist()) == (kind, values if held is None else held)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.5, math.nan], (math.nan, None)), ([math.inf, 1.0], (math.nan, None)), ([None, None], (None, None)),
        ([None, 0.5], (0.5, None)), ([1e308, 1e308], (1e308, 0.0)), ([1.5e308, -1.5e308], (0.0, math.inf)),
        ([1.0, 2.0, 6.0], (3.0, 7**0.5)),
    ],
)  # fmt: skip
def test_the_spread_of_few_and_of_huge_values(
    values: list[float | None], found: tuple[float | None, float | None]
) -> None:
    assert groups.spread(values) == pytest.approx(found, nan_ok=True)


def test_setups_are_told_apart_by_what_differs_or_by_their_files(tmp_path: Path) -> None:
    made = [history(tmp_path / f"{name}.parquet", training()) for name in "abc"]
    numbered = [replace(each, title=f"{each.title}: run {place}") for place, each in enumerate(made)]
    one, two = Setup({"lr": 0.1, "loss": "ce"}, [[made[0]]]), Setup({"lr": 0.2, "loss": "ce"}, [[made[1]], [made[2]]])
    assert groups.apart([one, two]) == [{"lr": "0.1"}, {"lr": "0.2"}]
    assert groups.names([one, two]) == ["lr=0.1", "lr=0.2 (n=2)"]
    assert groups.apart([]) == []
    same = [Setup({"lr": 0.1}, [[each]]) for each in made[:2]]
    assert groups.apart(same) == [{"result": "a.parquet"}, {"result": "b.parquet"}]
    three = [*same, Setup({"lr": 0.2}, [[made[2]]])]
    assert groups.names(three) == ["a.parquet", "b.parquet", "c.parquet"]
    runs = [Setup({}, [[numbered[0]], [numbered[1]]]), Setup({}, [[numbered[2]]])]
    assert groups.apart(runs) == [{"result": "a.parquet"}, {"result": "c.parquet: run 2"}]
    alike = [
        Setup({}, [[each], [made[1]]]) for each in (numbered[0], replace(made[0], title=f"{made[0].title}: run 7"))
    ]
    assert groups.apart(alike) == [{"result": "a.parquet: run 0"}, {"result": "a.parquet: run 7"}]


def test_the_documents_of_a_setup_are_of_all_its_runs_and_the_last_of_each(tmp_path: Path) -> None:
    a, b, c = (history(tmp_path / name, training()) for name in "abc")
    setup = Setup({}, [[a, b], [c]])
    assert setup.documents == (a, b, c)
    assert setup.last == [b, c]


def test_what_is_no_number_keeps_its_place_among_levels(tmp_path: Path) -> None:
    def order(*values: Any) -> list[int]:
        made = []
        for place, value in enumerate(values):
            step = provenance.step("corrupt x", {"seed": -place, "level": value})
            entry = provenance.source("data", str(place), step, None)
            made.append(history(tmp_path / str(place), provenance.step("train", {"arch": "a"}, [entry])))
        return groups.levels(made)

    assert order(2, 0.5, -1) == [2, 1, 0]
    assert order(True, False) == [0, 1]
    assert order("b", "a", "b") == [0, 2, 1]
    assert order(-math.inf, -2, -1.5) == [1, 2, 0]
    assert order(1, 1, 1) == [0, 1, 2]


def test_labels_of_files_are_in_the_order_of_their_share(tmp_path: Path) -> None:
    made = []
    for place, differ in enumerate((0.5, None, 0.25)):
        entry = provenance.source("data", str(place), file_of_labels(differ, "l.csv"), None)
        made.append(history(tmp_path / str(place), provenance.step("train", {"arch": "a"}, [entry])))
    assert groups.levels(made) == [1, 2, 0]


@pytest.mark.parametrize(
    ("settings", "sha256", "noted"),
    [({"subset": 0.5}, "train None", True), ({"subset": 0.5}, "test", False), ({}, "train None", False)],
)
def test_a_result_on_more_rows_than_a_network_saw_is_noted(
    settings: dict[str, float], sha256: str, noted: bool, tmp_path: Path
) -> None:
    given = [history(tmp_path / "h", training(**settings)), result(tmp_path / "r", training(**settings), [0.5], sha256)]
    assert len(groups.on_part(given)) == noted
    assert groups.on_part(given[:1]) == []


def test_inputs_in_words() -> None:
    entry = provenance.source("data", "a", data_step("test", 0.5, 3), None)
    assert groups.tested_on(entry) == "digits test random-labels p=0.5"
    assert groups.tested_on(provenance.source("data", "a", data_step("test", None), None)) == "digits test"
    assert groups.tested_on(provenance.source("data", "a", None, Path("x/y.parquet"))) == "y.parquet"
    assert groups.tested_on(None) == ""
    assert groups.content(None) == ""
    assert groups.content(entry) == "a"
    assert groups.content(provenance.part("data", "rows 3", None)) == "rows 3"
