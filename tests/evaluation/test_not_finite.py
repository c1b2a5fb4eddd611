"""Outputs that are not finite are counted, and never right; weights that are not finite are refused by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gencli import models
from gencli.curvature.operators import Operator
from gencli.errors import GencliError
from gencli.evaluation import runs
from gencli.evaluation.measures import measure
from gencli.evaluation.networks import evaluate
from gencli.evaluation.predictions import NONE, Evaluated
from gencli.evaluation.settings import Requests
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.rows import RowFunction
from gencli.jacobians.summary import collect
from gencli.losses.classes import CrossEntropy
from gencli.models import Model
from gencli.models.base import Options, not_finite
from gencli.models.inputs import Rows, load
from gencli.models.learners import LeastSquares
from tests.evaluation.tables import confusion, per_class
from tests.helpers import image_table

CPU = torch.device("cpu")
TABLE = image_table(40, (3, 2, 1))


class Spoilt(nn.Module):
    """Three logits of a row; those of rows whose first pixel is bright are `value` in one place."""

    def __init__(self, value: float, place: int) -> None:
        super().__init__()
        self.linear, self.value, self.place = nn.Linear(6, 3), value, place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.linear(images.flatten(1))
        bright = images[:, 0, 0, 0, None] > 0
        return torch.where(bright & (torch.arange(3) == self.place), self.value, logits)


def model(network: nn.Module, options: Options = models.PLAIN) -> Model:
    return Model("mlp-1x8", (3, 2, 1), TABLE.description.classes, network.eval(), options)


def found(network: nn.Module, probabilities: bool = False) -> Evaluated:
    torch.manual_seed(0)
    return evaluate([model(network)], TABLE, CPU, probabilities, lambda done: None)[0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_rows_whose_outputs_are_not_finite_are_wrong(value: float, place: int) -> None:
    result = found(Spoilt(value, place), probabilities=True)
    images = models.network_input(load(TABLE).images)
    bright = (images[:, 0, 0, 0] > 0).numpy()
    assert 0 < bright.sum() < 40
    np.testing.assert_array_equal(result.not_finite, bright)
    assert result.predicted is not None
    result.labels_true = np.roll(result.labels, 1)
    table = per_class(result, TABLE.description.classes, [1, 3])
    right = (result.predicted == result.labels) & ~bright
    last = table.to_pylist()[-1]
    assert (last["accuracy"], last["top_1"], last["top_3"]) == (right.mean(), right.mean(), (~bright).mean())
    assert last["not_finite"] == bright.sum()
    assert [last[name] for name in ("loss", "calibration_error", "margin")] == [None] * 3
    corrupted = result.labels != result.labels_true
    assert last["memorized"] == right[corrupted].mean()
    recovered = (result.predicted == result.labels_true) & ~bright
    assert last["recovered"] == recovered[corrupted].mean()
    for row in table.to_pylist()[:-1]:
        clean = not bright[result.labels == row["label"]].any()
        assert (row["loss"] is not None) == clean
    cells = confusion(result.labels, result.predicted, ("a", "b", "c"))
    assert cells.column_names == ["label", "name", "a", "b", "c", "not_finite"]
    for label, row in enumerate(cells.to_pylist()):
        mine = result.labels == label
        assert row["not_finite"] == (bright & mine).sum()
        assert [row[name] for name in "abc"] == [(mine & (result.predicted == each)).sum() for each in range(3)]
    for row, gone in zip(result.table().to_pylist(), bright, strict=True):
        assert all((row[name] is None) == gone for name in ("prediction", "loss", "probabilities"))


def test_precision_recall_and_f1_leave_such_rows_unpredicted() -> None:
    labels, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, NONE, 1, 0, NONE])
    row = per_class(Evaluated(np.arange(5), labels, predicted=predicted), ("a", "b")).to_pylist()
    assert [(each["precision"], each["recall"]) for each in row[:2]] == [(0.5, 0.5), (1, pytest.approx(1 / 3))]
    assert (row[0]["f1"], row[1]["f1"]) == (2 * 1 / (2 + 2), 2 * 1 / (3 + 1))
    assert [each["not_finite"] for each in row] == [1, 1, 2]


def test_finite_outputs_have_no_column_for_it() -> None:
    table = per_class(found(nn.Sequential(nn.Flatten(), nn.Linear(6, 3))), TABLE.description.classes)
    assert "not_finite" not in table.column_names


def test_scores_of_learners_are_compared_in_their_own_precision() -> None:
    """In float32 all of these are infinite, or equal."""
    for scores in ([0, 1e299, 1e300], [1, 1, 1 + 1e-12]):
        learner = LeastSquares((3, 2, 1), 3)
        with torch.no_grad():
            learner.weight.zero_()
            learner.bias.copy_(torch.tensor(scores, dtype=torch.float64))
        result = evaluate([model(learner)], TABLE, CPU, False, lambda done: None)[0]
        assert result.predicted is not None
        assert (result.predicted == 2).all()


def test_an_image_that_is_not_finite_has_no_psnr() -> None:
    class Copy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.where(images[:, :1, :1, :1] > 0.5, math.inf, images + 0.1)

    torch.manual_seed(0)
    rows = load(TABLE)
    spoilt = Model("unet-small", (3, 2, 1), (), Copy().eval(), preprocessing=models.Preprocessing("none"))
    from gencli.evaluation.predictions import predict

    result = predict(spoilt, Rows(rows.images, rows.labels, targets=rows.images))
    gone = rows.images[:, 0, 0, 0] > 127
    assert torch.equal(result.scores.isnan(), gone)
    assert result.scores[~gone].isfinite().all()


def plan(network: nn.Module, *tables: Any, **asked: Any) -> runs.Plan:
    return runs.plan(Requests(**asked), [model(network)], list(tables), ["m"], ["t"] * len(tables))


def test_a_confusion_matrix_beyond_memory_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    monkeypatch.setattr("gencli.machine.free_memory", lambda: 383)
    with pytest.raises(GencliError, match="--confusion: 3 classes: needs 384 bytes of memory"):
        plan(network, TABLE, confusion="c.csv")
    assert plan(network, TABLE)


def test_a_note_says_how_many_rows_and_which_tensor() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    network.state_dict()["1.bias"][1] = math.nan
    chosen = plan(network, TABLE)
    (result,) = chosen.evaluate(CPU, lambda done: None)
    assert result["not_finite"][-1].as_py() == 40
    (note,) = chosen.notes
    assert "the outputs of 40 of 40 rows are not finite; " in note
    assert "1 of 3 values of 1.bias are not finite, the first nan at [1]" in note
    with pytest.raises(GencliError, match=r"m: 1 of 3 values of 1.bias are not finite"):
        plan(network, measures=True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_margins_and_sharpness_are_of_finite_outputs_alone(value: float) -> None:
    """Of the rest they would be figures that no row vouches for: not a number counts as the largest margin."""
    torch.manual_seed(0)
    rows = load(TABLE)
    gone = int((models.network_input(rows.images)[:, 0, 0, 0] > 0).sum())
    table = measure(model(Spoilt(value, 0)), None, rows, 0).to_pylist()
    told = {row["measure"]: (row["value"], row["note"]) for row in table}
    for name in ("margin", "margin_normalized_complexity", "sharpness", "sharpness_standard_error", "worst_sharpness"):
        assert told[name] == (None, f"the outputs of {gone} of 40 rows are not finite")


def test_several_models_have_one_column() -> None:
    whole, broken = (nn.Sequential(nn.Flatten(), nn.Linear(6, 3)) for _ in range(2))
    broken.state_dict()["1.weight"][0, 0] = math.inf
    both = runs.plan(Requests(), [model(whole), model(broken)], [TABLE], ["a", "b"], ["t"])
    (result,) = both.evaluate(CPU, lambda done: None)
    assert result["not_finite"].to_pylist()[3::4] == [0, 40]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["1.weight", "1.running_var"])
def test_derivatives_refuse_the_tensor_by_its_name(name: str, value: float) -> None:
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()
    network.state_dict()[name][2] = value
    rows = load(TABLE)
    for build in (Operator, RowFunction):
        kind = {"kind": "hessian"} if build is Operator else {"wrt": "parameters"}
        more = {"loss": CrossEntropy()}
        with pytest.raises(GencliError, match=rf"1 of 6 values of {name} are not finite, the first {value} at \[2\]"):
            build(model(network), rows, **kind, **more)  # type: ignore[arg-type]


def test_masks_that_are_added_are_as_they_should_be() -> None:
    network = nn.Linear(2, 2)
    network.register_buffer("mask", torch.full((2, 2), -math.inf).triu(1))
    assert not_finite(network) == ""
    network.register_buffer("mean", torch.tensor([1.0, -math.inf]))
    assert not_finite(network) == "1 of 2 values of mean are not finite, the first -inf at [1]"


def test_weights_beyond_float32_are_refused_there_and_taken_in_float64() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 3)).double()
    network.state_dict()["1.weight"][0, 0] = 1e39
    rows = load(TABLE)
    with pytest.raises(GencliError, match=r"mlp-1x8 in float32: 1 of 18 values of 1.weight") as refused:
        Operator(model(network), rows, CrossEntropy())
    assert "float64" in refused.value.hint
    assert Operator(model(network), rows, CrossEntropy(), dtype=torch.float64).size == 21


def test_networks_that_overflow_are_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Linear(8, 3))
    for name in ("1.weight", "2.weight"):
        network.state_dict()[name].fill_(1e30)
    rows = load(TABLE)
    with pytest.raises(GencliError, match=r"the outputs of row [01] are not finite"):
        Operator(model(network), rows, CrossEntropy())
    with pytest.raises(GencliError, match=r"the outputs of row [01] are not finite"):
        RowFunction(model(network), rows, "input")
    late = Spoilt(math.nan, 0)  # from some row on
    bright = (models.network_input(rows.images)[:, 0, 0, 0] > 0).long().sort(stable=True).indices
    chosen = rows.select(bright)
    operator = Operator(model(late), chosen, CrossEntropy())
    with pytest.raises(GencliError, match="a product of the hessian is not finite"):
        operator.matvec(torch.ones(operator.size))
    function = RowFunction(model(late), chosen, "parameters", CrossEntropy())
    confirmation = Confirmation(function, function)
    with pytest.raises(GencliError, match=r"row [0-9]+: its outputs or their derivatives are not finite"):
        collect(function, chosen, None, False, confirmation, None, lambda note: None, lambda done: None)
