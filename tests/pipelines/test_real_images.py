"""The main job on the real data sets: a network memorizes random labels, and knows nothing about the test images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines.shell import Shell

pytestmark = pytest.mark.shared


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_random_labels_are_memorized(sh: Shell, shared_data: Path, name: str) -> None:
    source = shared_data.resolve() / name
    sh(
        f"""
        gencli data parquet {source}-train.parquet --sample 1000 | gencli corrupt random-labels -p 1 \
          | gencli train --arch mlp-1x512 --epochs 100 --until-train-accuracy 1 --history history.parquet \
          | gencli eval - {source}-test.parquet -o result.json
        gencli report history.parquet --format json -o runs.json
        """
    ).worked()
    (run,) = json.loads((sh.folder / "runs.json").read_text())
    assert (run["network"], run["data"], run["corruption"]) == ("mlp-1x512", name, "random-labels p=1")
    assert run["train_accuracy"] == 1
    overall = json.loads((sh.folder / "result.json").read_text())[-1]
    assert (overall["label"], overall["n"]) == (None, 10_000)
    assert 0.05 < overall["accuracy"] < 0.15
