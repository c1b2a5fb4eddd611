"""Random features: the least-norm solution, through as many features as rows, and the kernels that many are."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from gencli import kernels
from gencli.errors import GencliError
from gencli.files.tables import Description
from gencli.fitting import least_squares
from gencli.fitting.features import RandomFeatures
from gencli.models import learners
from gencli.models.inputs import Rows
from tests.fitting.test_kinds import CLASSES, SHAPE, fitted, scores, some, twice


def features(kind: RandomFeatures, rows: Rows) -> torch.Tensor:
    size = kind.sizes[0]
    return learners.RandomFeatures(SHAPE, CLASSES, size, kind.kind, kind.scale, kind.seed).features(
        learners.pixels(rows.images)
    )


@pytest.mark.parametrize("kind", ["fourier", "relu"])
@pytest.mark.parametrize("size", [7, 39, 40, 41, 200])
def test_the_solution_is_the_pseudo_inverses_through_as_many_features_as_rows(kind: str, size: int):
    learner, rows = RandomFeatures(str(size), kind=kind), some()  # type: ignore[arg-type]
    found = fitted(learner, rows)
    phi, targets = features(learner, rows).numpy(), np.eye(CLASSES)[rows.labels.numpy()]
    expected = np.linalg.pinv(phi, rcond=1e-13) @ targets
    error = np.linalg.norm(found.tensors["weight"].T.numpy() - expected) / np.linalg.norm(expected)
    assert error < 1e-13 * np.linalg.cond(phi)
    assert found.found["norm"] == pytest.approx(np.linalg.norm(expected), rel=1e-6)
    full = np.linalg.matrix_rank(phi) == 40  # some relu features are linear, or 0, as the pixels have one sign
    assert full == (size >= (40 if kind == "fourier" else 200))
    assert (found.found["relative_residual"] < 1e-9) == full
    assert found.found["train_accuracy"] == (scores(learner, found, rows).argmax(1) == rows.labels.numpy()).mean()


def test_the_norm_peaks_where_rows_are_first_interpolated():
    norms = [fitted(RandomFeatures(str(size)), some()).found["norm"] for size in (10, 30, 40, 60, 400)]
    assert max(norms) == norms[2] > 5 * max(norms[0], norms[4])


def test_a_ridge_is_its_normal_equations():
    learner, rows = RandomFeatures("50", ridge=0.3, kind="relu"), some()
    phi, targets = features(learner, rows).numpy(), np.eye(CLASSES)[rows.labels.numpy()]
    expected = np.linalg.solve(phi.T @ phi + 0.3 * np.eye(50), phi.T @ targets)
    np.testing.assert_allclose(fitted(learner, rows).tensors["weight"].T.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize(("kind", "word"), [("fourier", "gaussian:0.3"), ("relu", "arccos:1")])
def test_many_features_are_a_kernel(kind: str, word: str):
    learner = RandomFeatures("40000", kind=kind, scale=0.3 if kind == "fourier" else None)  # type: ignore[arg-type]
    rows, kernel = some(6), kernels.parse(word)
    phi = features(learner, rows)
    points = kernel.points(learners.pixels(rows.images).double(), SHAPE)
    limit = kernel.matrix(points, points)
    assert (phi @ phi.T - limit).abs().max() < 0.02 * limit.abs().max()


def test_fewer_features_are_the_first_of_more():
    few, many = (features(RandomFeatures(str(size), seed=4), some()) for size in (3, 8))
    torch.testing.assert_close(few * (3 / 8) ** 0.5, many[:, :3])


def test_an_image_with_two_labels_is_named_where_rows_would_be_interpolated():
    rows = twice(some(), 3, (int(some().labels[3]) + 1) % CLASSES)
    with pytest.raises(GencliError, match=r"rows 3 and 40 \(ids 103 and 103\) are one image with two labels"):
        fitted(RandomFeatures("41"), rows)
    assert fitted(RandomFeatures("40"), rows).found["rows"] == 41
    assert fitted(RandomFeatures("41", ridge=0.1), rows).found["train_accuracy"] < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"features": "0"}, "'0' is not a number of features, 1 to 16,777,216"),
        ({"features": "-5"}, "'-5' is not a number of features"),
        ({"features": "1.5"}, "'1.5' is not a number of features"),
        ({"features": ""}, "'' is not a number of features"),
        ({"features": "10,"}, "'' is not a number of features"),
        ({"features": "10,20,10"}, "'10,20,10' names a size twice"),
        ({"features": "16777217"}, "'16777217' is not a number of features"),
        ({"features": "99999999999"}, "'99999999999' is not a number of features"),
        ({"features": "0000000500"}, "'0000000500' is not a number of features"),
        ({"features": "10", "scale": 0.0}, "--scale: cosines of 0 tell no images apart"),
        ({"features": "10", "kind": "relu", "scale": 0.1}, "--scale: relu features have none"),
    ],
)
def test_what_is_no_number_of_features_is_refused(words: dict[str, str], message: str):
    with pytest.raises(GencliError, match=re.escape(message)):
        RandomFeatures(**words)  # type: ignore[arg-type]


def test_features_beyond_float64_are_refused():
    with pytest.raises(GencliError, match=r"--scale: features of 1e\+308 are not finite"):
        fitted(RandomFeatures("5", scale=1e308), some())


def test_several_sizes_have_a_place_each():
    several = RandomFeatures("10,20")
    assert RandomFeatures("1,16777216").sizes == [1, 16777216]
    assert several.places("a-{features}.safetensors") == ["a-10.safetensors", "a-20.safetensors"]
    assert [part.arguments()["features"] for part in several.parts()] == [10, 20]
    assert RandomFeatures("10").places("a") == ["a"]
    for place in ("a.safetensors", None):
        with pytest.raises(GencliError, match="-o: 2 models, one for each of --features, but one place"):
            several.places(place)


@pytest.mark.parametrize(
    "facts",
    [
        {"features": 0, "map": "relu", "scale": None, "seed": 0},
        {"features": 5, "map": "relu", "scale": 0.1, "seed": 0},
        {"features": 5, "map": "fourier", "scale": float("inf"), "seed": 0},
        {"features": 5, "map": "other", "scale": None, "seed": 0},
        {"features": 5.0, "map": "relu", "scale": None, "seed": 0},
        {"features": 5, "map": "relu", "scale": None, "seed": "0"},
    ],
)
def test_facts_of_no_learner_are_refused(facts: dict[str, object]):
    with pytest.raises(GencliError, match="its learner's options are unknown"):
        learners.build("random-features", SHAPE, CLASSES, facts)


def test_the_memory_is_that_of_pixels_features_filters_and_the_solution(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr("gencli.fitting.features.require_memory", lambda need, *_: asked.append(need))
    monkeypatch.setattr(least_squares, "memory", lambda rows, columns, classes: 0)
    RandomFeatures("7,50").require(1000, Description("n", "train", ("a", "b", "c"), (3, 4, 2), "uint8"))
    # pixels of 8 bits, in float32 and in float64; features in float64, twice; the directions in float64
    assert asked == [1000 * (24 + 12 * 24 + 16 * 50) + 8 * 50 * 24]
