"""A run that ended goes on to more epochs, and is then the run that had as many from the start."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from gencli.files.held import Held
from gencli.models.inputs import Rows
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.validation import split
from tests.training.test_loop import SETTINGS, TABLE, model, rows, weights

_CLOCK = {"seconds", "images_per_second"}


def begun(settings: Settings) -> Training:
    chosen = prepare(settings, TABLE.description, TABLE.schema.names, "toy")
    data: Rows = rows(corrupted=True)
    held = None
    if settings.validation_fraction:
        data, held = split(data, settings.validation_fraction, 0)
    made = Training(model(settings, data), data, chosen.settings, chosen.loss, held, test=rows(), watched=1)
    made.resumable = True
    return made


def rest(run: Training) -> list[dict[str, Any]]:
    return [{name: value for name, value in asdict(row).items() if name not in _CLOCK} for row in run.history]


@pytest.mark.parametrize(
    "more",
    [
        {"schedule": "exp:0.8", "warmup": 1.5},
        {"ema": 0.9, "batch_norm": True},
        {"validation_fraction": 0.2, "early_stop": 9},
        {"optimizer": "adamw", "lr": 0.01, "measure_train": True, "track": "sharpness,distance"},
        {"until_train_accuracy": 1.0, "freeze": "!head"},
    ],
)
def test_more_epochs_follow_as_if_they_had_from_the_start(more: dict[str, Any]) -> None:
    settings = replace(SETTINGS, epochs=5, **more)
    whole, first, then = begun(settings), begun(replace(settings, epochs=2)), begun(settings)
    whole.run()
    first.run()
    tensors, facts = first.state()
    held = Held("saved", tensors, json.loads(json.dumps(facts)), f"step {first.step:,}")
    held.before = 2
    then.load_state(held)
    assert then.step == first.step
    assert not then.finished
    then.run()
    assert rest(then) == rest(whole)
    assert (weights(then.model) == weights(whole.model)).all()
    assert then.dynamics is not None
    assert whole.dynamics is not None
    assert then.dynamics.table().equals(whole.dynamics.table())


def test_a_run_that_its_settings_ended_stays_where_it_is() -> None:
    settings = replace(SETTINGS, epochs=9, validation_fraction=0.2, early_stop=1, lr=0.0)
    first, then = begun(replace(settings, epochs=2)), begun(settings)
    first.run()
    tensors, facts = first.state()
    assert "onward" not in facts
    held = Held("saved", tensors, facts, f"step {first.step:,}")
    held.before = 2
    then.load_state(held)
    assert then.finished


def test_the_end_itself_is_resumed_as_before() -> None:
    first, then = begun(SETTINGS), begun(SETTINGS)
    first.run()
    tensors, facts = first.state()
    then.load_state(Held("saved", tensors, facts, f"step {first.step:,}"))
    assert then.finished
    assert (weights(then.model) == weights(first.model)).all()
