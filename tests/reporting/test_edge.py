"""The edge of stability in a report: a run's limit by hand, where its sharpness settles, and what has no limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gencli.reporting.edge import limit
from tests.pipelines.shell import Shell

PLAIN = {"optimizer": "sgd", "full_batch": True, "schedule": "constant", "lr": 0.1, "momentum": 0.0}


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
