"""Kernel matrices are those of formulas and of whole Jacobians."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gencli import kernels
from gencli.alignment import matrices
from gencli.errors import GencliError
from gencli.jacobians import rows as jacobians
from gencli.models.inputs import Rows
from tests.jacobians.test_rows import function, whole


def rows(images: torch.Tensor) -> Rows:
    return Rows(images, torch.zeros(len(images), dtype=torch.int64))


def images(count: int = 7) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 2, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("normalize", ["unit", "whitened", "none"])
@pytest.mark.parametrize("word", ["ntk:1", "linear", "gaussian:0.5"])
def test_a_kernel_of_images_is_its_formula(word: str, normalize: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matrices, "_AT_ONCE", 3)
    done: list[int] = []
    found = matrices.of_images(kernels.parse(word), rows(images()), normalize, "toy", done.append)
    assert found.dtype == np.float64
    assert done == [9, 36, 49]
    x = images().flatten(1).double().numpy() / 255
    x = x - x.mean(1, keepdims=True) if normalize == "whitened" else x
    x = x if normalize == "none" else x / np.linalg.norm(x, axis=1)[:, None]
    for i in range(7):
        for j in range(7):
            inner, lengths = x[i] @ x[j], np.linalg.norm(x[i]) * np.linalg.norm(x[j])
            angle = math.acos(max(-1, min(1, inner / lengths)))
            tangent = math.sin(angle) + 2 * (math.pi - angle) * math.cos(angle)
            expected = {
                "linear": inner, "gaussian:0.5": math.exp(-0.5 * ((x[i] - x[j]) ** 2).sum()),
                "ntk:1": 2 / 6 * lengths * tangent / math.pi,
            }[word]  # fmt: skip
            assert found[i, j] == pytest.approx(expected, abs=1e-7 if word == "ntk:1" else 1e-14)


def test_an_image_without_direction_or_with_a_pixel_that_is_not_finite_is_refused():
    black, gray = images(), images()
    black[2], gray[3] = 0, 7
    for given, normalize, words in (
        (black, "unit", "row 2: the image is black"),
        (gray, "whitened", "row 3: the image has one value in all pixels"),
        (torch.where(images() > 255, 0.0, torch.nan), "none", "row 0: a pixel is not finite"),
    ):
        with pytest.raises(GencliError, match=words):
            matrices.of_images(kernels.parse("linear"), rows(given), normalize, "toy", lambda done: None)
    matrices.of_images(kernels.parse("linear"), rows(gray), "unit", "toy", lambda done: None)


@pytest.mark.parametrize(
    ("memory", "held"),
    [
        (1, [1, 1, 1, 1, 1]),  # one row's gradients at least
        (2 * 2 * 24 * 203 - 1, [1, 1, 1, 1, 1]),  # half of what is free is for them: 3 outputs, 203 parameters, float64
        (2 * 2 * 24 * 203, [2, 2, 1]),
        (2 * 4 * 24 * 203, [4, 1]),
        (1 << 40, [5]),
    ],
)
def test_as_many_gradients_are_kept_as_fit(memory: int, held: list[int], monkeypatch: pytest.MonkeyPatch):
    """Each pass is of the rows kept by these and all after them."""
    monkeypatch.setattr(matrices, "free_memory", lambda: memory)
    made, done = function("mlp-1x5", "parameters"), list[int]()
    rest: Any = (lambda chunk, plain: None, print, done.append)
    matrices.of_network(made, False, *rest)
    starts = [sum(held[:place]) for place in range(len(held))]
    assert made.size == 203
    assert done == np.cumsum([kept * (5 - start) for kept, start in zip(held, starts)]).tolist()


@pytest.mark.parametrize("held", [1, 1 << 12, 1 << 30])
@pytest.mark.parametrize("mean", [False, True])
def test_a_networks_kernel_is_the_product_of_its_whole_jacobian(held: int, mean: bool, monkeypatch: pytest.MonkeyPatch):
    """However many rows' gradients are kept at a time."""
    monkeypatch.setattr(matrices, "_HELD", held)
    made, done = function("mlp-1x5", "parameters"), list[int]()
    rest: Any = (lambda chunk, plain: None, print, done.append)
    found = matrices.of_network(made, mean, *rest)
    jacobian = whole(made).numpy()
    expected = np.einsum("icp,jdp->icjd", jacobian, jacobian)
    if mean:
        np.testing.assert_allclose(found, np.einsum("icjc->ij", expected) / 3, rtol=1e-12)
    else:
        np.testing.assert_allclose(found, expected.reshape(15, 15), rtol=1e-10, atol=1e-12)
    assert done == sorted(done)


@pytest.mark.parametrize(
    ("chunk", "held", "pairs"),
    [
        (2, 3, [2 * 2, 4 * 3, 5 * 3, 15 + 2 * 2]),
        (1, 2, [1, 2 * 2, 3 * 2, 4 * 2, 5 * 2, 10 + 1, 10 + 4, 10 + 6, 16 + 1]),
    ],
)
def test_chunks_of_rows_pass_by_those_that_are_kept(
    chunk: int, held: int, pairs: list[int], monkeypatch: pytest.MonkeyPatch
):
    """So many rows a chunk and so many kept, of five: each kept row by all rows from the first kept one on."""
    made, done = function("mlp-1x5", "parameters"), list[int]()
    monkeypatch.setattr(matrices, "free_memory", lambda: 2 * held * 24 * 203)
    monkeypatch.setattr(jacobians, "_MEMORY", chunk * 8 * (made._kept + made.size + made.outputs) * made.outputs)
    rest: Any = (lambda chunk, plain: None, print, done.append)
    found = matrices.of_network(made, False, *rest)
    jacobian = whole(made).flatten(0, 1).numpy()
    np.testing.assert_allclose(found, jacobian @ jacobian.T, rtol=1e-10, atol=1e-12)
    assert done == pairs
