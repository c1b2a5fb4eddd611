"""The steps after which a history first came to a loss."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from gencli.commands.steps_to_loss import _steps, read
from gencli.evaluation.settings import Requests


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        ([0.5, 0.2, 0.1, 0.05], 30.0),
        ([0.1, 0.2, 0.3, 0.01], 10.0),
        ([0.5, None, 0.11, 0.1], 40.0),
        ([0.5, 0.4, 0.3, 0.101], "train_loss never came to 0.1"),
        ([None, None, None, None], "train_loss never came to 0.1"),
        ([0.0, 0.4, 0.3, 0.2], 10.0),
    ],
)
def test_the_first_epoch_that_is_low_enough_counts(losses: list[float | None], found: float | str) -> None:
    history: Any = SimpleNamespace(rows=pa.table({"step": [10, 20, 30, 40], "train_loss": losses}))
    assert _steps(history, 0.1) == found


def test_without_steps_or_a_history_there_are_none() -> None:
    history: Any = SimpleNamespace(rows=pa.table({"train_loss": [0.1]}))
    assert _steps(history, 0.1) == "the history has no steps"
    models: Any = [None, None]
    assert read(Requests(), models) == (["no history is given"] * 2, [])
