"""What a history tracks is what explicit matrices in float64 say, all along a run; a checkpoint has this run's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from gencli.curvature import extremes
from gencli.curvature.operators import Operator
from gencli.errors import GencliError
from gencli.files.held import Held
from gencli.models.inputs import load
from gencli.ranks import Group
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.states import Epoch
from tests.helpers import image_table

TABLE = image_table(37, (3, 2, 1))
EVERY = "sharpness,gradient-norm,distance,weight-norm"
NAMES = "sharpness", "gradient_norm", "distance", "weight_norm"
PLAIN = Settings(
    arch="mlp-1x8-tanh", loss="square", full_batch=True, epochs=40, batch_size=16, device="cpu", lr=0.3, momentum=0.0,
    track=EVERY, track_every=4,
)  # fmt: skip


def training(settings: Settings) -> Training:
    setup = prepare(settings, TABLE.description, TABLE.schema.names, "")
    return setup.training(TABLE, None, Group())


def explicit(run: Training, start: Tensor) -> dict[str, float]:
    """From torch's Hessian of the mean loss as a function of all parameters, in float64, evaluation mode."""
    rows, model = load(TABLE), run.model
    images, labels = model.preprocessing(rows.images).double(), rows.labels
    network = {name: each.detach().double() for name, each in model.network.state_dict().items()}
    shapes = {name: each.shape for name, each in model.network.named_parameters()}
    counts = None if model.class_rows is None else torch.tensor(model.class_rows)

    def loss(w: Tensor) -> Tensor:
        parts = w.split([shape.numel() for shape in shapes.values()])
        own = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        outputs = torch.func.functional_call(model.network, network | own, (images,))
        return run._loss.at(counts, 1)(outputs, labels).mean()

    w = torch.cat([network[name].flatten() for name in shapes]).requires_grad_()
    (slope,) = torch.autograd.grad(loss(w), w)
    matrix = torch.autograd.functional.hessian(loss, w)
    return {
        "sharpness": torch.linalg.eigvalsh(matrix)[-1].item(),  # pyright: ignore[reportArgumentType]
        "gradient_norm": slope.norm().item(),
        "distance": (w.detach() - start).norm().item(),
        "weight_norm": w.norm().item(),
    }


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        replace(PLAIN, loss="ce", lr=1.0),
        replace(
            PLAIN, arch="mlp-1x8", optimizer="adam", full_batch=False, epochs=8, lr=0.01, loss="cb-ce", momentum=None
        ),
        replace(PLAIN, batch_norm=True, full_batch=False, epochs=8, weight_decay=0.1, track_every=2),
    ],
    ids=["square", "ce", "relu, adam", "batch norm, decay"],
)
def test_figures_are_those_of_the_explicit_hessian(settings: Settings) -> None:
    """Sharpness to 1e-3 of it, which is what is stated; the others to float32."""
    run, every = training(settings), settings.track_every or 1
    start = torch.cat([each.detach().double().flatten() for each in run.model.network.parameters()])
    wanted: list[dict[str, float]] = []

    def progress(step: int, epoch: Epoch | None) -> None:
        if epoch is not None and epoch.epoch % every == 0:
            run.model.network.eval()
            wanted.append(explicit(run, start))

    run.run(progress)
    measured = [row for row in run.history if row.sharpness is not None]
    assert [row.epoch for row in measured] == [*range(every, settings.epochs + 1, every)]
    for row, known in zip(measured, wanted, strict=True):
        for name in NAMES:
            assert getattr(row, name) == pytest.approx(known[name], rel=1e-3 if name == "sharpness" else 1e-4), name


def test_a_history_has_the_columns_that_are_tracked_and_no_others() -> None:
    run = training(replace(PLAIN, epochs=4, track="weight-norm,sharpness", track_every=3))
    run.run()
    table = run.history_table()
    assert table.column_names[-2:] == ["sharpness", "weight_norm"]
    assert table.schema.field("sharpness").type == pa.float64()
    assert [value is None for value in table["sharpness"].to_pylist()] == [True, True, False, True]
    assert not {*NAMES} & {*training(replace(PLAIN, track=None, track_every=1)).history_table().column_names}


def test_tracking_has_no_bearing_on_the_model() -> None:
    plain, tracked = training(replace(PLAIN, track=None, track_every=1)), training(PLAIN)
    for run in (plain, tracked):
        run.run()
    state = tracked.model.network.state_dict()
    assert all(torch.equal(each, state[name]) for name, each in plain.model.network.state_dict().items())


def test_a_start_along_the_second_eigenvector_does_not_hide_the_first() -> None:
    """As after two eigenvalues crossed: the sum with a random vector has every direction in it."""
    matrix = torch.diag(torch.cat([torch.tensor([10.0, 9.0]), torch.linspace(0, 5, 400)]))
    second, drawn = torch.eye(402)[1], torch.randn(402, generator=torch.Generator().manual_seed(0))
    alone = extremes.leading(lambda v: matrix @ v, 402, 1, start=second)
    both = extremes.leading(lambda v: matrix @ v, 402, 1, start=second + drawn / drawn.norm(), vectors=64)
    assert alone.values[0] == pytest.approx(9)
    assert both.values[0] == pytest.approx(10, rel=1e-3)
    assert both.converged


def test_what_is_not_finite_or_not_found_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    run = training(replace(PLAIN, epochs=4))
    assert run.geometry is not None
    run.geometry.prepare()
    monkeypatch.setattr(Operator, "matvec", lambda self, v, route=None: v * torch.nan)
    assert run.geometry.measure(4)["sharpness"] is None
    assert not run.geometry.vector.any()


def test_a_vector_of_another_run_is_refused() -> None:
    run = training(PLAIN)
    saved = []

    def progress(step: int, epoch: Epoch | None) -> None:
        if step == 6 and epoch is None:
            tensors, facts = run.state()
            saved.append(({name: each.clone() for name, each in tensors.items()}, facts))

    run.run(progress)
    tensors, facts = saved[0]
    assert tensors["tracked/vector"].norm().item() == pytest.approx(1)
    for wrong in (tensors["tracked/vector"] * 0, tensors["tracked/vector"] / 2, tensors["tracked/vector"][:-1]):
        with pytest.raises(GencliError, match="tracked/vector"):
            training(PLAIN).load_state(Held("saved", tensors | {"tracked/vector": wrong}, facts, "step 6"))
    training(PLAIN).load_state(Held("saved", tensors, facts, "step 6"))
    facts["history"][0]["sharpness"] = 1.0  # of an epoch that is not tracked
    with pytest.raises(GencliError, match="sharpness"):
        training(PLAIN).load_state(Held("saved", tensors, facts, "step 6"))


def test_distances_are_of_trained_parameters_in_float64() -> None:
    run = training(replace(PLAIN, track="distance,weight-norm", epochs=4, lr=1e-7))
    before = torch.cat([each.detach().double().flatten() for each in run.model.network.parameters()]).numpy()
    run.run()
    after = torch.cat([each.detach().double().flatten() for each in run.model.network.parameters()]).numpy()
    assert run.history[-1].distance == pytest.approx(np.linalg.norm(after - before), rel=1e-12)
    assert run.history[-1].weight_norm == pytest.approx(np.linalg.norm(after), rel=1e-12)


@pytest.mark.parametrize(("arch", "vectors"), [("mlp-1x8-tanh", 64), ("mlp-1x2-tanh", 23)])
def test_lanczos_keeps_64_vectors_or_as_many_as_there_are_parameters(
    arch: str, vectors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = training(replace(PLAIN, arch=arch, track="sharpness")), list[tuple[int, int, float]]()
    assert run.geometry is not None

    def leading(product: object, size: int, count: int, *, start: Tensor, vectors: int) -> extremes.Pairs:
        asked.append((count, vectors, start.norm().item()))
        raise GencliError("no", "")

    monkeypatch.setattr(extremes, "leading", leading)
    assert run.geometry.measure(4) == {"sharpness": None}
    assert run.geometry.measure(5) == {}
    assert asked == [(1, vectors, pytest.approx(1))]
