"""The edge of stability in a report: a run's limit by hand, where its sharpness settles, and what has no limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gencli.reporting.edge import limit, table
from tests.pipelines.shell import Shell
from tests.reporting.made import history, training

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
