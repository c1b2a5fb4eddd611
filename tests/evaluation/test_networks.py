"""Networks evaluated together say what each says by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gencli.evaluation.networks import Networks, evaluate, groups
from gencli.evaluation.predictions import predict
from gencli.models import PLAIN, Model, Options, build
from gencli.models.inputs import Preprocessing, load
from tests.helpers import image_table

CPU, SHAPE, CLASSES = torch.device("cpu"), (4, 4, 1), tuple("abc")
TABLE = image_table(61, SHAPE)


def several(arch: str, count: int = 5, chosen: Options = PLAIN) -> list[Model]:
    networks = [build(arch, SHAPE, len(CLASSES), chosen).eval() for _ in range(count)]
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d):
                assert layer.running_mean is not None
                layer.running_mean.uniform_(-1, 1)
    return [Model(arch, SHAPE, CLASSES, network, chosen, run=run) for run, network in enumerate(networks)]


@pytest.mark.parametrize(
    ("arch", "options"),
    [("mlp-1x8", PLAIN), ("mlp-2x6", Options(True, 0.5)), ("linear", PLAIN), ("convnet-vanilla", PLAIN)],
)
def test_together_they_say_what_each_says(arch: str, options: Options) -> None:
    models, rows = several(arch, 5, options), load(TABLE)
    alone = [predict(model, rows) for model in models]
    singly = [evaluate([model], TABLE, CPU, True, lambda done: None)[0] for model in models]
    networks = Networks(models, CPU)
    assert (networks._stack is None) == (arch == "convnet-vanilla")
    for one, other in zip(alone, networks.predict(rows), strict=True):
        assert one.logits is not None
        assert other.logits is not None
        torch.testing.assert_close(other.logits, one.logits, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(other.losses, one.losses, rtol=1e-6, atol=1e-6)
        assert torch.equal(one.scores, other.scores)
    heard: list[int] = []
    for one, other in zip(singly, evaluate(models, TABLE, CPU, True, heard.append), strict=True):
        assert np.array_equal(one.ids, other.ids)
        for name in ("losses", "confidences", "margins", "probabilities"):
            np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-6, atol=1e-6)
        assert np.array_equal(one.predicted, other.predicted)  # type: ignore[arg-type]
    assert heard[-1] == 5 * 61


def test_those_that_get_other_input_are_apart() -> None:
    models = several("mlp-1x8", 20)
    assert [len(each) for each in groups(models)] == [16, 4]
    models[1] = replace(models[1], preprocessing=Preprocessing("none"))
    models[19] = replace(models[19], run=None)
    assert [len(each) for each in groups(models)] == [1, 1, 16, 1, 1]


def test_one_that_is_not_finite_spoils_no_other() -> None:
    models, rows = several("mlp-1x8", 3), load(TABLE)
    expected = predict(models[2], rows)
    next(models[1].network.parameters()).data.fill_(torch.nan)
    found = [*Networks(models, CPU).predict(rows)]
    assert found[1].predicted is not None
    assert (found[1].predicted == -1).all()
    torch.testing.assert_close(found[2].losses, expected.losses, rtol=1e-6, atol=1e-6)
