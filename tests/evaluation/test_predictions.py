"""Predictions are the network's, the same streamed from a table as all at once."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from gencli import models
from gencli.corruptions.labels import RandomLabels
from gencli.errors import GencliError
from gencli.evaluation import predictions
from gencli.evaluation.networks import evaluate
from gencli.evaluation.predictions import predict
from gencli.files.tables import ImageTable
from gencli.losses.classes import ClassBalancedSigmoid
from gencli.models import Model
from gencli.models.inputs import load
from tests.evaluation.tables import per_class
from tests.helpers import image_table, save_corrupted

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """2,300 rows, so that there are three batches, with corrupted labels."""
    path = tmp_path_factory.mktemp("predictions") / "toy.parquet"
    return save_corrupted(image_table(2300, (3, 2, 1)), RandomLabels(0.5), path)


@pytest.fixture(scope="module")
def network() -> Model:
    torch.manual_seed(0)
    return Model("mlp-1x8", (3, 2, 1), ("a", "b", "c"), models.build("mlp-1x8", (3, 2, 1), 3).eval())


def test_predictions_follow_from_the_logits(table: ImageTable, network: Model) -> None:
    rows = load(table)
    result = predict(network, rows)
    assert result.logits is not None
    logits = network.network(network.preprocessing(rows.images)).detach().double()
    assert torch.allclose(result.logits.double(), logits, atol=1e-5)
    assert result.predicted is not None
    assert torch.equal(result.predicted, result.logits.argmax(1))
    losses = logits.exp().sum(1).log() - logits[torch.arange(2300), rows.labels]
    assert torch.allclose(result.losses.double(), losses, atol=1e-5)
    assert result.mean_loss == pytest.approx(losses.mean().item(), rel=1e-5)
    assert not result.logits.requires_grad


def test_streaming_a_table_predicts_the_same_as_all_rows_at_once(table: ImageTable, network: Model) -> None:
    heard: list[int] = []
    streamed = evaluate([network], table, CPU, True, heard.append)[0]
    whole = predict(network, load(table))
    assert heard == [1000, 2000, 2300]
    assert streamed.predicted is not None
    assert whole.logits is not None
    assert whole.predicted is not None
    assert np.array_equal(streamed.predicted, whole.predicted)
    assert streamed.losses is not None
    np.testing.assert_allclose(streamed.losses, whole.losses, rtol=1e-5, atol=1e-6)
    assert streamed.losses.dtype == np.float64
    assert streamed.probabilities is not None
    np.testing.assert_allclose(streamed.probabilities, whole.logits.softmax(1), rtol=1e-5, atol=1e-6)
    assert streamed.labels_true is not None
    for name, column in (("id", streamed.ids), ("label", streamed.labels), ("label_true", streamed.labels_true)):
        assert np.array_equal(column, table.column(name))


def test_the_predictions_table_has_a_row_an_image(table: ImageTable, network: Model) -> None:
    result = evaluate([network], table, CPU, True, lambda done: None)[0]
    written = result.table()
    assert written.column_names == ["id", "label", "label_true", "prediction", "loss", "probabilities"]
    assert written.schema.field("probabilities").type == pa.list_(pa.float32())
    assert np.array_equal(written["id"], table.column("id"))
    probabilities = np.array(written["probabilities"].to_pylist())
    assert np.array_equal(probabilities.argmax(1), written["prediction"])
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    chances = probabilities[np.arange(2300), written["label"]]
    np.testing.assert_allclose(-np.log(chances), written["loss"], rtol=1e-4, atol=1e-5)


def test_clean_labels_and_unasked_probabilities_have_no_column(network: Model) -> None:
    result = evaluate([network], image_table(20, (3, 2, 1)), CPU, False, lambda done: None)[0]
    assert result.table().column_names == ["id", "label", "prediction", "loss"]


def test_predicting_leaves_float_images_alone(network: Model) -> None:
    rows = load(image_table(20, (3, 2, 1), "float32"))
    first = predict(network, rows).logits
    assert first is not None
    assert torch.equal(predict(network, rows).logits, first)  # type: ignore[arg-type]


def test_networks_trained_by_sigmoids_are_judged_by_them(table: ImageTable) -> None:
    torch.manual_seed(0)
    options = models.Options(head="sigmoid")
    network = models.build("mlp-1x8", (3, 2, 1), 3, options).eval()
    model = Model("mlp-1x8", (3, 2, 1), table.description.classes, network, options)
    result = evaluate([model], table, CPU, True, lambda done: None, owns=[(ClassBalancedSigmoid(beta=0.0), 1)])[0]
    rows = load(table)
    logits = network(model.preprocessing(rows.images)).detach().double()
    target = torch.nn.functional.one_hot(rows.labels, 3).double()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
    np.testing.assert_allclose(result.losses, each, rtol=1e-5)  # type: ignore[arg-type]
    np.testing.assert_allclose(result.probabilities, logits.sigmoid(), rtol=1e-5)  # type: ignore[arg-type]
    np.testing.assert_allclose(result.confidences, logits.sigmoid().amax(1), rtol=1e-5)  # type: ignore[arg-type]
    without = evaluate([model], table, CPU, False, lambda done: None, owns=[None])[0]
    assert without.table()["loss"].null_count == 2300
    assert per_class(without, model.classes)["loss"].null_count == 4


@pytest.mark.parametrize("most", [(1 << 31) - 1, 100])
def test_probabilities_are_lists_without_an_object_a_row(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "_MOST_VALUES", most)
    values = np.random.default_rng(0).random((1000, 7))
    gone = np.random.default_rng(1).random(1000) < 0.1
    expected = pa.array([None if null else row for row, null in zip(values, gone)], pa.list_(pa.float32()))
    found = predictions._lists(values, gone)
    assert found.type == expected.type
    assert found.combine_chunks().equals(expected)
    assert len(predictions._lists(values[:0], gone[:0])) == 0


def test_a_network_that_looks_at_its_batch_only_where_that_is_large_is_refused(
    table: ImageTable, network: Model
) -> None:
    class Centered(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = network.network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images - images.mean(0) if len(images) > 100 else images)

    theirs = replace(network, arch="their:own")
    assert len(predict(theirs, load(table)).losses) == 2300
    for look in (lambda each: predict(each, load(table)), lambda each: evaluate([each], table, CPU, True, print)):
        with pytest.raises(GencliError, match="depends on other images of its batch, or on chance"):
            look(replace(theirs, network=Centered()))
