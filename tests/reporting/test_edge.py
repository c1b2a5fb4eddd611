"""The edge of stability in a report: a run's limit by hand, where its sharpness settles, and what has no limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gencli.reporting.edge import followed, limit, panels, table
from gencli.reporting.panels import Curve, Lines
from tests.pipelines.shell import Shell
from tests.reporting.made import history, result, training

PLAIN = {"optimizer": "sgd", "full_batch": True, "schedule": "constant", "lr": 0.1, "momentum": 0.0}

SCORES = "limit", "first_sharpness", "settled_sharpness", "settled_over_limit", "epoch_of_limit", "last_train_loss"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 20.0),
        ({"momentum": 0.9}, 38.0),
        ({"momentum": 0.9, "nesterov": True}, 38 / 2.8),
        ({"optimizer": "sam"}, None),
        ({"full_batch": False}, None),
        ({"schedule": "cosine"}, None),
        ({"weight_decay": 0.1}, None),
        ({"warmup": 1.0}, None),
        ({"grad_clip": 1.0}, None),
        ({"lr": 0.0}, None),
        ({"lr": None}, None),
        ({"momentum": None}, None),
    ],
)
def test_the_limit_is_that_of_a_quadratic(more: dict[str, object], expected: float | None) -> None:
    assert limit(PLAIN | more) == (None if expected is None else pytest.approx(expected))


def test_a_setup_is_as_its_runs_on_average(tmp_path: Path) -> None:
    """Settled is the median of the last quarter; runs and deviations are there once a setup has two."""
    first = history(
        tmp_path / "a", training(None, **PLAIN), sharpness=[10, 21, 30, 50, 14, 22, 24, 99], train_loss=[9.0] * 7 + [8]
    )
    second = history(
        tmp_path / "b", training(None, **PLAIN, seed=1), sharpness=[20, 5, 5, 5, 5, 5, 6, 8], train_loss=[4.0] * 8
    )
    (row,) = table([first]).rows.to_pylist()
    assert not {"runs", "limit_std", "settled_sharpness_std"} & {*row}
    assert [row[name] for name in SCORES] == pytest.approx([20, 10, 61.5, 61.5 / 20, 2, 8])
    made = table([first, second])
    (row,) = made.rows.to_pylist()
    assert row["runs"] == 2
    assert [row[name] for name in SCORES] == pytest.approx([20, 15, 34.25, 34.25 / 20, 1.5, 6])
    assert row["settled_sharpness_std"] == pytest.approx(54.5 / 2**0.5)
    assert made.notes[0].startswith(
        "In 0 of 2 runs the sharpness settles within 10% of its limit of stability; in 1 of 2"
    )


def test_a_run_settles_at_its_limit_and_others_are_refused(tmp_path: Path) -> None:
    sh = Shell(tmp_path)
    train = "gencli train -q d --arch mlp-1x16-tanh --loss square --momentum 0 --lr 0.166 --history h.parquet -o m"
    sh("gencli data digits --sample 50 -q -o d").worked()
    sh(f"{train} --full-batch --epochs 160 --track sharpness --track-every 10").worked()
    (row,) = json.loads(sh("gencli report h.parquet --table edge-of-stability --format json").worked().text)
    assert row["limit"] == pytest.approx(2 / 0.166)
    assert row["first_sharpness"] < row["limit"]
    assert row["settled_over_limit"] == pytest.approx(1, abs=0.1)
    said = sh("gencli report h.parquet --table edge-of-stability --format table --plot edge-of-stability").worked().text
    assert "In 1 of 1 runs the sharpness settles within 10% of its limit of stability" in said
    sh("gencli report h.parquet --plot edge-of-stability --figure h.svg").worked()
    sh(f"{train} --epochs 1").worked()
    sh("gencli report h.parquet --table edge-of-stability").refused("no sharpness of a full-batch run")


near: Any = pytest.approx
MORE = " A run that has not arrived may need more epochs, or a larger rate; one beyond has not settled."


@pytest.mark.parametrize(
    ("sharpness", "settled", "risen", "reached"),
    [
        ([17.9, 19.0, 20.0], 1, 1, 3), ([18.0, 21.0, 19.0], 1, 0, 2), ([21.0, 19.0, 17.0], 0, 0, 1),
        ([1.0, 2.0, 23.0], 0, 1, 3), ([1.0, 2.0, 3.0], 0, 1, None), ([30.0, 1.0, 1.0, 1.0, 18.5], 1, 0, 1),
        ([1.0] * 6 + [21.0, 21.0], 1, 1, 7), ([1.0] * 6 + [1.0, 41.0], 1, 1, 8),
    ],
)  # fmt: skip
def test_a_run_settles_within_a_tenth_of_its_limit(
    sharpness: list[float], settled: int, risen: int, reached: int | None, tmp_path: Path
) -> None:
    made = table([history(tmp_path / "a", training(None, **PLAIN), sharpness=sharpness)])
    said = f"In {settled} of 1 runs the sharpness settles within 10% of its limit of stability; in {risen} of 1 it was "
    assert made.notes == (f"{said}first below that.{'' if settled else MORE}",)
    assert made.rows["epoch_of_limit"].to_pylist() == [reached]


def test_only_histories_of_runs_with_a_limit_and_a_sharpness_are_followed(tmp_path: Path) -> None:
    nothing: list[float] = [None, None]  # type: ignore[list-item]
    late: list[float] = [None, 3.0]  # type: ignore[list-item]
    known = history(tmp_path / "a", training(None, **PLAIN), sharpness=late)
    others = [
        history(tmp_path / "b", training(None, **PLAIN)), history(tmp_path / "c", training(), sharpness=late),
        history(tmp_path / "d", training(None, **PLAIN), sharpness=nothing),
        result(tmp_path / "e", training(None, **PLAIN), [0.5]),
    ]  # fmt: skip
    assert followed([*others, known]) == [known]
    assert panels(others) == []


def test_sharpness_and_loss_are_drawn_with_the_limit_of_each_setup(tmp_path: Path) -> None:
    gap: list[float] = [None, 5.0, None]  # type: ignore[list-item]
    runs = [
        history(tmp_path / "a", training(None, **PLAIN), sharpness=[10.0, 20.0, 25.0], train_loss=[3.0, 2.0, 1.0]),
        history(tmp_path / "b", training(None, **PLAIN, seed=1), sharpness=[20.0, 20.0, 35.0], train_loss=[1.0] * 3),
        history(tmp_path / "c", training(None, **PLAIN | {"lr": 0.2}), sharpness=gap, train_loss=[4.0] * 3),
    ]
    half = 0.5**0.5
    first, second = "lr=0.1 (n=2)", "lr=0.2"
    deviations = [10 * half, 0.0, 10 * half]
    assert panels(runs) == [
        Lines("sharpness and limits of stability", "step", [
            Curve(first, [1, 2, 3], [15.0, 20.0, 30.0], near(deviations)),
            Curve(second, [2], [5.0], [None]),
            Curve("limit 20", (0, 3), (20.0, 20.0)), Curve("limit 10", (0, 3), (10.0, 10.0)),
        ]),
        Lines("sharpness over its limit", "step", [
            Curve(first, [1, 2, 3], [0.75, 1.0, 1.5], near([each / 20 for each in deviations])),
            Curve(second, [2], [0.5], [None]), Curve("limit", (0, 3), (1, 1)),
        ]),
        Lines("train loss", "step", [
            Curve(first, [1, 2, 3], [2.0, 1.5, 1.0], near([2 * half, half, 0.0])),
            Curve(second, [1, 2, 3], [4.0] * 3, [None] * 3),
        ], log=True),
    ]  # fmt: skip
    made = table(runs)
    assert made.settings == ("lr",)
    assert made.rows["runs"].to_pylist() == [2, 1]
    assert [len(each) for each in made.documents] == [2, 1]
