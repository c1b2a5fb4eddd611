"""Training is the stochastic gradient descent that its settings say, and repeats itself bit by bit."""

from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from gencli.errors import GencliError
from gencli.evaluation.predictions import predict
from gencli.losses import LOSSES
from gencli.models import Model
from gencli.models.inputs import Preprocessing, Rows, load
from gencli.ranks import Group
from gencli.training.batches import Batches
from gencli.training.loop import Epoch, Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from tests.helpers import image_table

SHAPE = (3, 2, 1)
SETTINGS = Settings(arch="mlp-1x8", epochs=3, batch_size=8, lr=0.05, device="cpu")
TABLE = image_table(37, SHAPE)


def rows(corrupted: bool = False) -> Rows:
    loaded = load(TABLE)
    if corrupted:
        loaded.labels_true = loaded.labels.roll(1)
    return loaded


def model(settings: Settings = SETTINGS, data: Rows | None = None) -> Model:
    return prepare(settings, TABLE.description, TABLE.schema.names, "toy").model(data or rows(), Group())


def train(fitted: Model, data: Rows, settings: Settings, **more: Any) -> Training:
    chosen = prepare(settings, TABLE.description, TABLE.schema.names, "toy")
    run = Training(fitted, data, chosen.settings, chosen.loss, **more)
    run.run()
    return run


def trained(settings: Settings, data: Rows | None = None, **more: Any) -> tuple[Model, list[Epoch]]:
    data = data or rows()
    fitted = model(settings, data)
    return fitted, train(fitted, data, settings, **more).history


def weights(fitted: Model) -> NDArray[np.float32]:
    return torch.cat([tensor.detach().flatten() for tensor in fitted.network.parameters()]).numpy()


def accuracy(fitted: Model, data: Rows) -> float:
    return predict(fitted, data).score


class Watched(nn.Module):
    """A linear network that writes down which row each training image is, told by the row's one bright pixel."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, 3)
        self.batches: list[list[int]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.batches.append(images.flatten(1).argmax(1).tolist())
        return self.linear(images.flatten(1))


def visits(settings: Settings) -> list[list[int]]:
    """The batches of 37 rows that training goes through."""
    watched = Watched(37)
    data = Rows(torch.eye(37).mul(255).to(torch.uint8).view(37, 1, 37, 1), torch.arange(37) % 3)
    train(Model("mlp-1x8", (1, 37, 1), ("a", "b", "c"), watched), data, settings)
    return watched.batches


@pytest.mark.parametrize("clip", [None, 0.1, 100.0])
def test_training_is_gradient_descent_with_momentum_and_weight_decay(clip: float | None) -> None:
    # all rows in every step, by hand in float64; a step an epoch, so that the learning rate decays at every step
    settings = replace(SETTINGS, epochs=6, batch_size=37, lr=0.1, schedule="exp:0.7", momentum=0.8, weight_decay=0.05)
    settings = replace(settings, grad_clip=clip)
    fitted = model(settings)
    w1, b1, w2, b2 = values = [tensor.detach().double().numpy() for tensor in fitted.network.parameters()]
    values = [value.copy() for value in (w1, b1, w2, b2)]
    velocities = [np.zeros_like(value) for value in values]
    x = Preprocessing()(rows().images).flatten(1).double().numpy()
    target = np.eye(3)[rows().labels]
    losses = []
    for epoch in range(6):
        w1, b1, w2, b2 = values
        hidden = np.maximum(x @ w1.T + b1, 0)
        logits = hidden @ w2.T + b2
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        losses.append(-np.log(chances[target == 1]).mean())
        error = (chances - target) / len(x)
        below = error @ w2 * (hidden > 0)
        gradients = [below.T @ x, below.sum(0), error.T @ hidden, error.sum(0)]
        norm = sum((gradient**2).sum() for gradient in gradients) ** 0.5
        gradients = [gradient * min(1, (clip or norm) / norm) for gradient in gradients]
        for place, gradient in enumerate(gradients):
            velocities[place] = 0.8 * velocities[place] + gradient + 0.05 * values[place]
            values[place] = values[place] - 0.1 * 0.7**epoch * velocities[place]
    history = train(fitted, rows(), settings).history
    for tensor, value in zip(fitted.network.parameters(), values, strict=True):
        np.testing.assert_allclose(tensor.detach(), value, rtol=1e-5, atol=1e-6)
    assert [epoch.train_loss for epoch in history[:-1]] == pytest.approx(losses[:-1], rel=1e-5)


def test_the_learning_rate_decays_after_every_epoch() -> None:
    _, history = trained(replace(SETTINGS, lr=0.4, schedule="exp:0.5"))
    assert [epoch.learning_rate for epoch in history] == pytest.approx([0.4, 0.2, 0.1])


def test_every_row_is_visited_once_an_epoch_in_an_order_of_its_own() -> None:
    batches = visits(SETTINGS)
    assert [len(batch) for batch in batches] == [8, 8, 8, 8, 5] * 3
    epochs = [list(chain(*batches[start : start + 5])) for start in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(37)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs} | {tuple(range(37))}) == 4


def test_the_order_follows_the_seed_alone() -> None:
    order = visits(SETTINGS)
    torch.rand(7)
    assert visits(replace(SETTINGS, lr=0.1, weight_decay=0.1)) == order
    assert list(chain(*visits(replace(SETTINGS, batch_size=5)))) == list(chain(*order))
    assert visits(replace(SETTINGS, seed=1)) != order


def test_a_batch_larger_than_the_data_is_one_step_and_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert [len(batch) for batch in visits(replace(SETTINGS, batch_size=1000))] == [37] * 3
    assert "--batch-size 1,000: only 37 rows" in capfd.readouterr().err


def test_the_epoch_loss_counts_every_row_alike() -> None:
    # a network that stands still: the mean over steps, the last of 5 rows, is the mean over rows
    fitted, history = trained(replace(SETTINGS, lr=0))
    measured = predict(fitted, rows())
    assert [epoch.train_loss for epoch in history] == pytest.approx([measured.losses.mean().item()] * 3, rel=1e-6)
    assert [epoch.train_score for epoch in history] == pytest.approx([measured.score] * 3)


def test_a_seed_gives_the_same_weights_bit_by_bit() -> None:
    first, second = trained(SETTINGS)[0], trained(SETTINGS)[0]
    assert weights(first).tobytes() == weights(second).tobytes()
    assert not np.allclose(weights(trained(replace(SETTINGS, seed=1))[0]), weights(first))


def test_initialization_depends_on_the_seed_and_the_network_alone() -> None:
    first = weights(model())
    torch.rand(7)
    other = replace(SETTINGS, epochs=9, batch_size=3, lr=1, schedule="cosine", momentum=0, weight_decay=1)
    assert np.array_equal(weights(model(other)), first)
    assert not np.isin(weights(model(replace(SETTINGS, seed=1))), first).any()


def test_the_global_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    trained(replace(SETTINGS, dropout=0.5))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_history_counts_epochs_and_steps() -> None:
    _, history = trained(SETTINGS)
    assert [(epoch.epoch, epoch.step) for epoch in history] == [(1, 5), (2, 10), (3, 15)]
    assert all(epoch.seconds > 0 and epoch.images_per_second > 37 / epoch.seconds for epoch in history)


COLUMNS = [
    "epoch", "step", "seconds", "images_per_second", "train_loss", "train_cross_entropy", "train_accuracy",
    "test_loss", "test_cross_entropy", "test_accuracy", "learning_rate", "clean_accuracy", "memorized", "recovered",
]  # fmt: skip

NO_TEST = {"test_loss", "test_cross_entropy", "test_accuracy"}


@pytest.mark.parametrize("more", [{"loss": "gce"}, {"label_smoothing": 0.2}, {"loss": "ldam"}, {"mix": "mixup"}, {}])
def test_cross_entropy_stands_beside_every_loss(more: dict[str, Any]) -> None:
    data = rows()
    fitted, history = trained(replace(SETTINGS, lr=1e-12, **more), data, test=data)
    logits = fitted.network(fitted.preprocessing(data.images)).double().detach().numpy()
    expected = -np.log(softmax(logits, 1)[np.arange(len(data)), data.labels.numpy()]).mean()
    for epoch in history:
        assert epoch.test_cross_entropy == pytest.approx(expected, rel=1e-6)
        mixed = "mix" in more and epoch is not history[-1]
        assert mixed is (epoch.train_cross_entropy != pytest.approx(expected, rel=1e-6))
        assert (epoch.test_loss == epoch.test_cross_entropy) is (more in ({}, {"mix": "mixup"}))


def test_there_is_no_cross_entropy_of_sigmoids() -> None:
    names = train(model(replace(SETTINGS, loss="focal")), rows(), replace(SETTINGS, loss="focal")).history_table()
    assert not [name for name in names.column_names if "cross_entropy" in name]


def test_a_history_of_clean_data_has_no_columns_of_memorization() -> None:
    table = train(model(), rows(), SETTINGS).history_table()
    assert table.column_names == COLUMNS[:-3]
    assert [field.type for field in table.schema] == [pa.int64()] * 2 + [pa.float64()] * 9
    assert {name for name in table.column_names if table[name].null_count} == NO_TEST


def test_a_history_of_corrupted_data_says_what_was_memorized() -> None:
    data = rows(corrupted=True)
    fitted = model(SETTINGS, data)
    run = train(fitted, data, SETTINGS)
    table, history = run.history_table(), run.history
    assert table.column_names == COLUMNS
    assert {name for name in COLUMNS if table[name].null_count} == NO_TEST
    answers, labels, true = predict(fitted, data).predicted, data.labels.numpy(), data.labels_true
    assert true is not None
    assert answers is not None
    predicted = answers.numpy()
    wrong = labels != true.numpy()
    last = history[-1]
    assert last.clean_accuracy == pytest.approx(np.mean((predicted == labels)[~wrong]))
    assert last.memorized == pytest.approx(np.mean((predicted == labels)[wrong]))
    assert last.recovered == pytest.approx(np.mean((predicted == true.numpy())[wrong]))


def test_corrupted_data_whose_labels_are_all_true_has_no_memorized_fraction() -> None:
    data = rows()
    data.labels_true = data.labels.clone()
    last = trained(SETTINGS, data)[1][-1]
    assert (last.memorized, last.recovered) == (None, None)
    assert last.clean_accuracy == last.train_score


def test_test_rows_are_measured_after_every_epoch_and_change_nothing() -> None:
    test = load(image_table(20, SHAPE, split="test"))
    test.labels = test.labels.roll(1)
    fitted, history = trained(SETTINGS, test=test)
    alone, without = trained(SETTINGS)
    assert np.array_equal(weights(fitted), weights(alone))
    assert [epoch.train_loss for epoch in history] == [epoch.train_loss for epoch in without]
    assert None not in [epoch.test_loss for epoch in history]
    measured = predict(fitted, test)
    assert history[-1].test_loss == pytest.approx(measured.losses.mean().item(), rel=1e-6)
    assert history[-1].test_score == measured.score


class Distracted(nn.Module):
    """Says class 0 while it is trained, and what it thinks otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        distraction = torch.tensor([200.0, 0, 0]) if self.training else torch.zeros(3)
        return self.linear(images.flatten(1)) + distraction


@pytest.mark.parametrize(
    ("settings", "measured"),
    [
        (SETTINGS, [False, False, True]),
        (replace(SETTINGS, until_train_accuracy=1.0), [True, True, True]),
        (replace(SETTINGS, measure_train=True), [True, True, True]),
    ],
    ids=["last", "until", "asked"],
)
def test_the_last_row_is_measured_and_all_where_asked_or_needed(settings: Settings, measured: list[bool]) -> None:
    distracted = Distracted()
    with torch.no_grad():
        distracted.linear.bias.copy_(torch.tensor([0.0, 100, 0]))  # it thinks class 1, whatever it sees
    data = rows()
    history = train(Model("mlp-1x8", SHAPE, ("a", "b", "c"), distracted), data, replace(settings, lr=1e-9)).history
    shares = np.bincount(data.labels.numpy(), minlength=3) / 37
    assert shares[0] != shares[1]
    assert [epoch.train_score for epoch in history] == pytest.approx([shares[int(after)] for after in measured])
    assert not distracted.training


def test_training_stops_at_the_first_epoch_that_reaches_the_accuracy() -> None:
    settings = replace(SETTINGS, arch="mlp-1x64", epochs=400, lr=0.1, until_train_accuracy=0.9)
    fitted, history = trained(settings)
    accuracies = [epoch.train_score for epoch in history]
    assert 1 < len(history) < 400
    assert accuracies[-1] >= 0.9 > max(accuracies[:-1])
    assert accuracies[-1] == accuracy(fitted, rows())
    longer = trained(replace(settings, until_train_accuracy=1.0))[1]
    assert [epoch.train_score for epoch in longer][: len(accuracies)] == accuracies


def test_training_stops_at_the_first_epoch_that_is_down_to_the_loss() -> None:
    settings = replace(SETTINGS, arch="mlp-1x64", epochs=400, lr=0.1, until_train_loss=0.5)
    history = trained(settings)[1]
    losses = [epoch.train_loss for epoch in history]
    assert 1 < len(history) < 400
    assert losses[-1] <= 0.5 < min(losses[:-1])


def test_a_diverging_loss_is_an_error_that_names_the_step() -> None:
    with pytest.raises(GencliError, match=r"became (nan|inf) at step [2-5], in epoch 1; that of the step before was 1"):
        trained(replace(SETTINGS, lr=1e30))
    with pytest.raises(GencliError, match=r"became (nan|inf) at step 16, in epoch 4"):
        trained(replace(SETTINGS, lr=20, momentum=0.99, epochs=30, weight_decay=1))


def test_a_loss_that_diverges_in_the_last_step_is_an_error() -> None:
    with pytest.raises(GencliError, match=r"became (nan|inf) after step 1, in epoch 1"):
        trained(replace(SETTINGS, epochs=1, batch_size=37, lr=1e36))


def test_progress_hears_of_every_step_and_every_epoch() -> None:
    heard: list[tuple[int, Epoch | None]] = []
    chosen = prepare(SETTINGS, TABLE.description, TABLE.schema.names, "toy")
    run = Training(model(), rows(), chosen.settings, chosen.loss)
    run.run(lambda step, epoch: heard.append((step, epoch)))
    assert [step for step, epoch in heard if epoch is None] == list(range(1, 16)) == list(range(1, run.total_steps + 1))
    assert [epoch for _, epoch in heard if epoch is not None] == run.history


def test_a_run_ends_after_so_many_steps_in_the_middle_of_an_epoch() -> None:
    fitted, history = trained(replace(SETTINGS, max_steps=7))
    assert [epoch.step for epoch in history] == [5, 7]
    assert history[-1].train_score == accuracy(fitted, rows())


def test_a_run_ends_after_so_long() -> None:
    _, history = trained(replace(SETTINGS, epochs=10_000_000, max_time=0.5 / 60))
    assert 0.4 <= sum(epoch.seconds for epoch in history) < 5


def test_early_stopping_keeps_the_epoch_with_the_best_validation() -> None:
    settings = replace(SETTINGS, epochs=200, lr=0.2, validation_fraction=0.2, early_stop=6)
    held = load(image_table(30, SHAPE, split="validation"))
    data = rows()
    fitted = model(settings, data)
    run = train(fitted, data, settings, validation=held)
    scores = [epoch.validation_score for epoch in run.history]
    best = int(np.argmax(np.array(scores)))
    assert len(scores) == best + 7 < 200
    assert run.best is run.history[best]
    assert accuracy(fitted, held) == scores[best] != scores[-1]


def test_the_average_of_the_weights_is_what_is_measured_and_kept() -> None:
    settings = replace(SETTINGS, lr=1.0, ema=0.9)
    fitted, history = trained(settings)
    plain, _ = trained(replace(settings, ema=None))
    assert not np.allclose(weights(fitted), weights(plain))
    assert history[-1].train_loss == pytest.approx(predict(fitted, rows()).mean_loss, rel=1e-6)


def test_dropout_follows_the_seed_and_the_step_alone() -> None:
    settings = replace(SETTINGS, dropout=0.5)
    first = weights(trained(settings)[0])
    torch.rand(9)
    assert weights(trained(settings)[0]).tobytes() == first.tobytes()
    assert not np.allclose(weights(trained(replace(settings, dropout=0.0))[0]), first)


def test_rows_that_are_resampled_are_measured_as_they_were_visited() -> None:
    data = rows(corrupted=True)
    fitted, history = trained(replace(SETTINGS, lr=0, resample="balanced"), data)
    whole = predict(fitted, data).score
    assert history[-1].train_score == whole
    assert len({epoch.train_score for epoch in history} | {whole}) > 1
    assert history[0].clean_accuracy is not None


def test_bfloat16_keeps_the_parameters_in_float32() -> None:
    fitted, history = trained(replace(SETTINGS, precision="bf16"))
    exact, reference = trained(SETTINGS)
    assert weights(fitted).dtype == np.float32
    assert not np.array_equal(weights(fitted), weights(exact))
    assert history[-1].train_loss == pytest.approx(reference[-1].train_loss, rel=0.05)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.task == "classes"])
def test_every_loss_of_classes_trains(name: str) -> None:
    fitted, history = trained(replace(SETTINGS, epochs=30, loss=name, lr=0.1))
    assert history[-1].train_loss < history[0].train_loss
    assert np.isfinite(weights(fitted)).all()


class Dropping(nn.Module):
    """Draws at random without a layer of dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(TABLE.description.row_bytes, len(TABLE.description.classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dense(nn.functional.dropout(images.flatten(1), 0.5, self.training))


def test_whatever_a_network_draws_is_a_function_of_the_seed() -> None:
    def fitted(seed: int) -> NDArray[np.float32]:
        torch.manual_seed(1)
        own = replace(model(), network=Dropping())
        torch.manual_seed(seed)  # of no concern
        train(own, rows(), SETTINGS)
        return weights(own)

    assert np.array_equal(fitted(2), fitted(3))


@pytest.mark.parametrize("limits", [{"max_time": 0.0}, {"until_train_accuracy": 0.0}])
def test_a_limit_of_zero_is_reached_at_once(limits: dict[str, float]) -> None:
    _, history = trained(replace(SETTINGS, epochs=10, **limits))  # type: ignore[arg-type]
    assert len(history) == 1


def test_a_single_row_is_too_few_for_batch_norm_of_dense_layers_alone() -> None:
    settings = replace(SETTINGS, batch_norm=True, batch_size=36)
    with pytest.raises(GencliError, match="too few for batch norm"):
        trained(settings)
    convolutional = replace(settings, arch="resnet32", batch_norm=None, epochs=1)
    table = image_table(37, (8, 8, 3))
    setup = prepare(convolutional, table.description, table.schema.names, "toy")
    setup.training(table, None, Group()).run()


def test_ldam_s_deferred_stage_takes_the_gradient_of_its_authors() -> None:
    """torch's weighted mean, which divides by the weights of the batch; of the mean over rows it is up to C times."""
    data = rows()
    data.labels = torch.tensor([0] * 30 + [1] * 5 + [2] * 2)
    settings = replace(SETTINGS, loss="ldam", deferred_reweighting=0, epochs=1, batch_size=16, momentum=0.0)
    fitted = model(settings, data)
    by_hand = [tensor.detach().double().requires_grad_() for tensor in fitted.network.parameters()]
    counts = torch.tensor([30, 5, 2]).double()
    weights = 1 / (1 - 0.9999**counts)
    weights, margins = weights / weights.sum() * 3, 15 * (2 / counts) ** 0.25
    x = Preprocessing()(data.images).flatten(1).double()
    losses = []
    for index in Batches(data, fitted, settings).order(1).split(16):
        w1, b1, w2 = by_hand
        z = 30 * nn.functional.normalize((x[index] @ w1.T + b1).relu()) @ nn.functional.normalize(w2).T
        labels = data.labels[index]
        loss = nn.functional.cross_entropy(z - margins * nn.functional.one_hot(labels, 3), labels, weights)
        losses.append(loss.item() * len(index))
        slopes = torch.autograd.grad(loss, by_hand)
        by_hand = [(each - 0.05 * slope).detach().requires_grad_() for each, slope in zip(by_hand, slopes)]
    run = train(fitted, data, replace(settings, max_steps=3))
    for tensor, value in zip(fitted.network.parameters(), by_hand, strict=True):
        torch.testing.assert_close(tensor.double(), value, rtol=1e-5, atol=1e-6)
    heard = train(model(settings, data), data, replace(settings, epochs=2)).history[0]
    assert heard.train_loss == pytest.approx(sum(losses) / 37, rel=1e-5)
    assert (run.model.class_rows, run.model.epoch) == ((30, 5, 2), 1)


def test_test_rows_whose_outputs_are_not_finite_are_wrong_and_have_no_loss() -> None:
    data = load(image_table(37, SHAPE, "float32"))
    test = replace(data, images=torch.full_like(data.images, torch.inf))
    settings = replace(SETTINGS, whiten="none", lr=1e-4)
    history = train(model(settings, data), data, settings, test=test).history
    assert [(epoch.test_loss, epoch.test_score) for epoch in history] == [(None, 0.0)] * 3
