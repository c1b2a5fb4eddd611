"""A model's own loss takes what it depends on from training: the classes' rows, the epoch, wherever it is evaluated."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from gencli import models
from gencli.corruptions.imbalance import LongTail
from gencli.curvature import building
from gencli.curvature.settings import OperatorSettings
from gencli.errors import GencliError
from gencli.evaluation.networks import evaluate
from gencli.files import provenance, tables
from gencli.files.stream import Input, Output
from gencli.files.tables import ImageTable
from gencli.jacobians.rows import RowFunction
from gencli.losses.settings import LossSettings
from gencli.models import Model
from gencli.models.inputs import Rows
from gencli.objectives import objective, of_training, saw_part
from gencli.ranks import Group
from gencli.sources.digits import digits
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from tests.helpers import save, save_corrupted

CPU = torch.device("cpu")
EPOCHS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objectives")


@pytest.fixture(scope="module")
def train_table(folder: Path) -> ImageTable:
    return save_corrupted(save(digits("train"), folder / "digits"), LongTail(50), folder / "train")


@pytest.fixture(scope="module")
def test_table(folder: Path) -> ImageTable:
    return save(digits("test"), folder / "test")


def trained(table: ImageTable, test: ImageTable | None = None, **settings: Any) -> Training:
    chosen = {"arch": "mlp-1x8", "device": "cpu", "epochs": EPOCHS, "lr": 0.1} | settings
    given = Settings(**chosen).resolved()
    setup = prepare(given, table.description, table.schema.names, table.title)
    run = setup.training(table, test, Group())
    run.run()
    made = setup.settings.__dict__ | {"threads": 1}
    run.model.made = provenance.step("train", made, tables.sources(table, "data"))
    return run


def written(model: Model, path: Path, **facts: Any) -> Model:
    """The model as it is read from a file; `facts` None are left out of it, as in those of earlier versions."""
    for name, value in facts.items():
        setattr(model, name, value)
    assert model.made is not None
    with Output(str(path)) as output:
        models.write(output, model, {}, model.made)
    return models.read(Input(str(path)))


def logits(model: Model, rows: Rows) -> torch.Tensor:
    """By hand, in float64, of parameters that autograd follows."""
    w1, b1, w2, *b2 = model.network.parameters()
    x = model.preprocessing(rows.images).double().flatten(1)
    hidden = (x @ w1.T + b1).relu()
    if model.options.head == "cosine":
        return 30 * functional.normalize(hidden) @ functional.normalize(w2).T
    return hidden @ w2.T + b2[0]


def weights(counts: np.ndarray[Any, Any], beta: float) -> torch.Tensor:
    raw = (1 - beta) / (1 - beta ** counts.astype(float))
    return torch.from_numpy(raw / raw.sum() * len(raw))


def own_losses(model: Model, rows: Rows, counts: np.ndarray[Any, Any], name: str) -> torch.Tensor:
    """[n] float64, whose mean is the loss, by other means."""
    z, y = logits(model, rows), rows.labels
    w = weights(counts, 0.9999)
    if name == "cb-ce":
        return w[y] * functional.cross_entropy(z, y, reduction="none")
    if name == "cb-sigmoid":
        target = functional.one_hot(y, 10).double()
        return w[y] * functional.binary_cross_entropy_with_logits(z, target, reduction="none").sum(1)
    if name == "balanced-softmax":
        return functional.cross_entropy(z + torch.from_numpy(counts.astype(float)).log(), y, reduction="none")
    margins = torch.from_numpy(0.5 * (counts.min() / counts) ** 0.25)
    shifted = z - 30 * margins[y, None] * functional.one_hot(y, 10)
    return w[y] * functional.cross_entropy(shifted, y, reduction="none") * len(y) / w[y].sum()


LOSSES = [("cb-ce", {}), ("cb-sigmoid", {}), ("balanced-softmax", {}), ("ldam", {"deferred_reweighting": 1})]


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_all_that_evaluates_a_model_s_loss_counts_the_training_rows(
    name: str, options: dict[str, Any], train_table: ImageTable, test_table: ImageTable, folder: Path
) -> None:
    run = trained(train_table, test_table, loss=name, **options)
    model, counts = written(run.model, folder / name), np.bincount(train_table.column("label"), minlength=10)
    assert model.class_rows == tuple(counts)
    assert model.epoch == EPOCHS
    last = run.history[-1]
    for table, limit, recorded in ((train_table, None, last.train_loss), (train_table, 60, None),
                                   (test_table, None, last.test_loss), (test_table, 50, None)):  # fmt: skip
        loss, epoch = objective(model, table, LossSettings())
        asked = OperatorSettings(dtype="float64", limit=limit, device="cpu")
        operator = building.operator(model, table, loss, epoch, asked, CPU)
        rows = building.load(table, asked, CPU)
        exact = replace(model, network=copy.deepcopy(model.network).double())
        expected = own_losses(exact, rows, counts, name)
        gradient = torch.autograd.grad(expected.mean(), list(exact.network.parameters()))
        assert float(operator.at(operator.weights)[0]) == pytest.approx(expected.mean().item(), rel=1e-12)
        found = operator.gradient()
        torch.testing.assert_close(found, torch.cat([each.flatten() for each in gradient]), rtol=1e-6, atol=1e-8)
        function = RowFunction(model, rows, "parameters", loss, dtype=torch.float64, epoch=epoch)
        values = torch.cat([chunk.values for chunk in function.jacobians()])[:, 0]
        torch.testing.assert_close(values, expected.detach(), rtol=1e-11, atol=1e-12)
        if recorded is not None:
            evaluated = evaluate([model], table, CPU, False, lambda done: None, (), [(loss, epoch)])[0]
            np.testing.assert_allclose(evaluated.losses, expected.detach(), rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]
            assert recorded == pytest.approx(expected.mean().item(), rel=1e-5)


def test_the_largest_eigenvalues_are_those_of_the_training_loss(
    train_table: ImageTable, test_table: ImageTable, folder: Path
) -> None:
    """2.2471 and 12.3748 where counts of the rows at hand gave 2.9354 and 8.2094."""
    model = trained(train_table, arch="mlp-1x16", loss="cb-ce", epochs=20, lr=0.05).model
    for table, limit, value in ((train_table, 60, 2.2471), (test_table, None, 12.3748)):
        asked = OperatorSettings(limit=limit, device="cpu", dtype="float64")
        operator = building.operator(model, table, *objective(model, table), asked, CPU)
        v = torch.ones_like(operator.weights)
        for _ in range(25):
            v = operator.matvec(v / v.norm())
        assert float(v.norm()) == pytest.approx(value, rel=2e-3)


def test_counts_are_of_the_rows_that_are_trained_on(train_table: ImageTable) -> None:
    run = trained(train_table, loss="cb-ce", epochs=1, validation_fraction=0.5, resample="balanced")
    whole = np.bincount(train_table.column("label"), minlength=10)
    assert run.model.class_rows == tuple(whole - np.rint(0.5 * whole).astype(int))
    streamed = trained(train_table, loss="cb-ce", epochs=1, stream=100, validation_fraction=0.5)
    assert streamed.model.class_rows == run.model.class_rows


def test_files_without_counts_take_those_of_the_training_table_alone(
    train_table: ImageTable, test_table: ImageTable, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(train_table, loss="cb-ce", epochs=1).model
    counts = model.class_rows
    old = written(model, folder / "old", class_rows=None, epoch=None)
    with pytest.raises(GencliError, match="does not give the class counts of the training data") as refused:
        objective(old, test_table)
    assert "--loss ce" in refused.value.hint
    assert objective(old, test_table, LossSettings("ce"))[0].name == "ce"
    assert objective(old, train_table)[0].name == "cb-ce"
    assert old.class_rows == counts
    assert "on which the model was trained" in capsys.readouterr().err
    again = models.read(Input(str(folder / "old")))
    assert objective(again, test_table, LossSettings("balanced-softmax"))[0].name == "balanced-softmax"
    assert again.class_rows == tuple(np.bincount(test_table.column("label"), minlength=10))
    held = trained(train_table, loss="cb-ce", epochs=1, validation_fraction=0.2).model
    with pytest.raises(GencliError, match="does not give"):
        objective(written(held, folder / "held", class_rows=None), train_table)


def test_the_epoch_is_the_one_that_was_kept(train_table: ImageTable, folder: Path) -> None:
    run = trained(train_table, loss="ldam", deferred_reweighting=8, epochs=9, until_train_accuracy=0.2)
    assert run.model.epoch == len(run.history) < 9
    assert objective(run.model, train_table)[1] == run.model.epoch
    old = written(run.model, folder / "early", epoch=None)
    with pytest.raises(GencliError, match=r"after which epoch it was kept, .* --until-train-accuracy"):
        objective(old, train_table)


@pytest.mark.parametrize(
    ("name", "value"),
    [("loss", False), ("loss", 3), ("gamma", "2"), ("gamma", True), ("focal_form", "x"), ("tau", [1])],
)
def test_a_loss_that_a_file_names_wrongly_is_refused(
    name: str, value: object, train_table: ImageTable, folder: Path
) -> None:
    model = trained(train_table, epochs=1).model
    assert model.made is not None
    model.made = replace(model.made, arguments=model.made.arguments | {name: value})
    with pytest.raises(GencliError, match=f"corrupt metadata: its loss's {name} is"):
        objective(written(model, folder / "strange.safetensors"), train_table)


def of(**arguments: object) -> Model:
    model = Model("linear", (8, 8, 1), tuple("0123456789"), models.build("linear", (8, 8, 1), 10))
    model.made = provenance.step("train", arguments)
    return model


def test_the_epoch_of_an_own_loss_is_the_models_or_the_last_one(train_table: ImageTable) -> None:
    for epochs, epoch in ((1, 1), (7, 7), (0, 1), (-3, 1), (True, 1), ("7", 1), (2.0, 1), (None, 1)):
        assert objective(of(loss="ce", epochs=epochs), train_table)[1] == epoch
    kept = of(loss="ce", epochs=7)
    kept.epoch = 3
    assert objective(kept, train_table)[1] == 3
    assert objective(kept, train_table, LossSettings("ce"))[1] == 1
    assert objective(of(epochs=7), train_table)[1] == 1  # which names no loss


def test_a_run_that_nothing_ended_early_was_kept_after_its_last_epoch(train_table: ImageTable) -> None:
    given: dict[str, object] = {"loss": "ldam", "deferred_reweighting": 2, "epochs": 7}
    for name in ("early_stop", "until_train_accuracy", "until_train_loss", "max_steps", "max_time"):
        model = of(**given | {name: 1})
        model.class_rows = tuple(range(1, 11))
        with pytest.raises(GencliError, match=f"; --{name.replace('_', '-')} may have ended it early"):
            objective(model, train_table)
        model.epoch = 4
        assert objective(model, train_table)[1] == 4
    whole = of(**given)
    whole.class_rows = tuple(range(1, 11))
    assert objective(whole, train_table)[1] == 7


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({}, False), ({"subset": None}, False), ({"subset": 1}, False), ({"subset": 1.0}, False),
        ({"subset": 2}, True), ({"subset": 0.5}, True), ({"validation_fraction": 0.0}, False),
        ({"validation_fraction": 0.1}, True), ({"subset": 1, "validation_fraction": 0.1}, True),
    ],
)  # fmt: skip
def test_a_subset_or_validation_rows_leave_a_part_to_train_on(arguments: dict[str, object], part: bool) -> None:
    assert saw_part(of(**arguments)) == part


def test_a_table_is_of_training_where_its_files_are_those(train_table: ImageTable, test_table: ImageTable) -> None:
    model = of()
    for command, table, same in (
        ("train", train_table, True), ("train", test_table, False), ("fit", train_table, False)
    ):  # fmt: skip
        model.made = provenance.step(command, {}, tables.sources(train_table, "data"))
        assert of_training(model, table) == same
    model.made = None
    assert not of_training(model, train_table)


@pytest.mark.parametrize(("plugins", "said"), [(None, "this version has no loss 'odd'"), (["p.py"], "of a plug-in")])
def test_a_loss_that_is_not_known_is_named(plugins: object, said: str, train_table: ImageTable) -> None:
    with pytest.raises(GencliError, match=said):
        objective(of(loss="odd", plugin=plugins), train_table)
    for gamma in (2, 2.5, None):
        assert objective(of(loss="focal", gamma=gamma), train_table)[0].name == "focal"
