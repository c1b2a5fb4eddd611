"""A full batch's step is by the exact gradient of the mean loss of all rows, however they are split, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.models.inputs import Preprocessing, load
from gencli.ranks import Group
from gencli.training.course import Course
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.several import begin
from tests.helpers import image_table

TABLE = image_table(37, (3, 2, 1))
PLAIN = Settings(arch="mlp-1x8-tanh", loss="square", full_batch=True, epochs=6, batch_size=8, device="cpu", lr=0.2)


def run(settings: Settings) -> Course:
    settings = settings.resolved({*vars(settings)})
    made = begin(prepare(settings, TABLE.description, TABLE.schema.names, ""), TABLE, None, Group())
    made.run()
    assert isinstance(made, Course)
    return made


def weights(course: Course) -> list[NDArray[np.float32]]:
    return [tensor.detach().numpy() for tensor in course.model.network.parameters()]


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_it_is_gradient_descent_by_hand_in_float64(momentum: float, nesterov: bool) -> None:
    settings = replace(PLAIN, momentum=momentum, nesterov=nesterov)
    chosen = prepare(settings, TABLE.description, TABLE.schema.names, "")
    rows = load(TABLE)
    values = [each.detach().double().numpy() for each in chosen.model(rows, Group()).network.parameters()]
    velocities = [np.zeros_like(each) for each in values]
    x, target = Preprocessing()(rows.images).permute(0, 2, 3, 1).flatten(1).double().numpy(), np.eye(3)[rows.labels]
    losses = []
    for _ in range(6):
        w1, b1, w2, b2 = values
        hidden = np.tanh(x @ w1.T + b1)
        error = (hidden @ w2.T + b2 - target) / len(x)
        losses.append(0.5 * len(x) * (error**2).sum())
        below = error @ w2 * (1 - hidden**2)
        slopes = [below.T @ x, below.sum(0), error.T @ hidden, error.sum(0)]
        velocities = [momentum * each + slope for each, slope in zip(velocities, slopes, strict=True)]
        moves = [s + momentum * v for s, v in zip(slopes, velocities, strict=True)] if nesterov else velocities
        values = [value - 0.2 * move for value, move in zip(values, moves, strict=True)]
    done = run(settings)
    for found, value in zip(weights(done), values, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)
    assert [row.step for row in done.history] == [*range(1, 7)]
    assert [row.train_loss for row in done.history[:-1]] == pytest.approx(losses[:-1], rel=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"loss": "ldam", "deferred_reweighting": 2, "lr": 0.01},
        {"optimizer": "sam", "grad_clip": 0.3},
        {"stream": 10, "whiten": "dataset"},
        {"optimizer": "muon", "arch": "mlp-2x6", "lr": 0.01},
    ],
)
def test_the_size_of_the_batches_changes_rounding_alone(more: dict[str, Any]) -> None:
    """A class-weighted mean divides by the weights of all rows of the step, not by those of a part of them."""
    few, all_rows = (run(replace(PLAIN, batch_size=size, **more)) for size in (5, 64))
    tolerance = 5e-3 if more.get("optimizer") == "muon" else 1e-5  # whose iteration is in bfloat16
    for one, other in zip(weights(few), weights(all_rows), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    assert [row.train_loss for row in few.history] == pytest.approx([row.train_loss for row in all_rows.history], 1e-2)


def test_batch_norm_is_that_of_all_rows_or_refused() -> None:
    settings = replace(PLAIN, batch_norm=True)
    with pytest.raises(GencliError, match="--full-batch: mlp-1x8-tanh has batch norm") as caught:
        run(settings)
    assert caught.value.hint.startswith("use --batch-size 37, or")
    one = run(replace(settings, batch_size=37, epochs=1, momentum=0.0))
    plain = run(replace(settings, full_batch=False, batch_size=37, epochs=1, momentum=0.0))
    for found, other in zip(weights(one), weights(plain), strict=True):
        np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"augment": "flip"}, "--full-batch and --augment"),
        ({"mix": "mixup"}, "--full-batch and --mix"),
        ({"resample": "balanced"}, "--full-batch and --resample"),
        ({"dropout": 0.1}, "--full-batch and --dropout"),
        ({"track": "curvature"}, "--track: nothing is called 'curvature'"),
        ({"track": "sharpness", "ema": 0.9}, "--track and --ema"),
        ({"track": "sharpness", "stream": 10}, "--track and --stream"),
        ({"track_every": 2}, "--track-every: nothing is tracked"),
    ],
)
def test_what_would_be_another_gradient_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(GencliError, match=words):
        run(replace(PLAIN, **more))


def test_a_network_with_dropout_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from gencli.models import mlp

    monkeypatch.setattr(mlp, "hidden", lambda layer, *_: (layer, torch.nn.Dropout(0.2)))
    with pytest.raises(GencliError, match="has dropout, which draws at random"):
        run(PLAIN)


@pytest.mark.parametrize("name", ["mix", "track"])
def test_torchrun_is_refused_where_rows_are_apart(name: str) -> None:
    settings = Settings(arch="linear", device="cpu", **{name: {"mix": "mixup", "track": "distance"}[name]})  # type: ignore[arg-type]
    setup = prepare(settings, TABLE.description, TABLE.schema.names, "")
    with pytest.raises(GencliError, match=f"--{name}: 2 processes of torchrun"):
        begin(setup, TABLE, None, Group(0, 2))
