"""Each loss is its formula, row by row, in float64 by other means; finite, and so is its gradient, at any outputs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, softmax
from torch._subclasses.fake_tensor import FakeTensorMode

from gencli.losses import LOSSES, Loss
from gencli.losses.classes import (
    LDAM,
    BalancedSoftmax,
    ClassBalancedCrossEntropy,
    ClassBalancedFocal,
    ClassBalancedSigmoid,
    CrossEntropy,
    Focal,
    GeneralizedCrossEntropy,
    LogitAdjusted,
    Square,
    SymmetricCrossEntropy,
)
from gencli.losses.images import L1, L2, Huber

Floats = NDArray[np.float64]
Formula = Callable[[Floats, NDArray[np.int64], Floats], Floats]

COUNTS = torch.tensor([5000, 0, 387, 1])
PRESENT = torch.tensor([0, 2, 3])
GAMMAS = [0.0, 0.5, 1.0, 2.0]


def smoothed(share: float) -> Formula:
    def formula(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
        target = (1 - share) * np.eye(z.shape[1])[y] + share / z.shape[1]
        return -(target * log_softmax(z, axis=1)).sum(1)

    return formula


def sigmoid_focal(gamma: float) -> Formula:
    def formula(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
        lead = np.where(np.eye(z.shape[1])[y] == 1, z, -z)
        return (expit(-lead) ** gamma * -log_expit(lead)).sum(1)

    return formula


def softmax_focal(gamma: float) -> Formula:
    def formula(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
        others = (softmax(z, axis=1) * (1 - np.eye(z.shape[1])[y])).sum(1)
        return others**gamma * smoothed(0)(z, y, counts)

    return formula


def weights(counts: Floats, beta: float) -> Floats:
    present = counts > 0
    raw = np.where(present, (1 - beta) / np.where(present, 1 - beta**counts, 1), 0)
    return raw / raw.sum() * present.sum()


def weighted(formula: Formula, beta: float) -> Formula:
    return lambda z, y, counts: weights(counts, beta)[y] * formula(z, y, counts)


def adjusted(tau: float) -> Formula:
    def formula(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
        present = counts > 0
        shifted = z[:, present] + tau * np.log(counts[present] / counts.sum())
        losses = np.zeros((len(z), len(counts)))
        losses[:, present] = -log_softmax(shifted, axis=1)
        return losses[np.arange(len(z)), y]

    return formula


def ldam(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
    present = np.flatnonzero(counts)
    margins = np.zeros(len(counts))
    margins[present] = 0.5 * (counts[present].min() / counts[present]) ** 0.25
    return smoothed(0)(z - 30 * margins * np.eye(len(counts))[y], y, counts)


def square(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
    return 0.5 * np.linalg.norm(z - np.eye(z.shape[1])[y], axis=1) ** 2


def generalized(q: float) -> Formula:
    return lambda z, y, counts: (1 - softmax(z, axis=1)[np.arange(len(z)), y] ** q) / q


def symmetric(a: float, b: float) -> Formula:
    """The authors' code, github.com/YisenWang/symmetric_cross_entropy_for_noisy_labels, without its clipping of p."""

    def formula(z: Floats, y: NDArray[np.int64], counts: Floats) -> Floats:
        zeros = np.log(np.clip(np.eye(z.shape[1])[y], 1e-4, 1))
        return a * smoothed(0)(z, y, counts) - b * (softmax(z, axis=1) * zeros).sum(1)

    return formula


CLASSES: list[tuple[Loss, Formula]] = [
    (Square(), square),
    *((GeneralizedCrossEntropy(q), generalized(q)) for q in (0.7, 0.1, 1.0)),
    (SymmetricCrossEntropy(), symmetric(0.1, 1)),
    (SymmetricCrossEntropy(6, 0.1), symmetric(6, 0.1)),
    (CrossEntropy(), smoothed(0)),
    (CrossEntropy(0.1), smoothed(0.1)),
    *((Focal(gamma), sigmoid_focal(gamma)) for gamma in GAMMAS),
    *((Focal(gamma, "softmax"), softmax_focal(gamma)) for gamma in GAMMAS),
    (ClassBalancedCrossEntropy(0.99), weighted(smoothed(0), 0.99)),
    *((ClassBalancedFocal(0.999, gamma), weighted(sigmoid_focal(gamma), 0.999)) for gamma in GAMMAS),
    (ClassBalancedFocal(0, 0.5, "softmax"), weighted(softmax_focal(0.5), 0)),
    (ClassBalancedSigmoid(), weighted(sigmoid_focal(0), 0.9999)),
    (BalancedSoftmax(), adjusted(1)),
    (LogitAdjusted(), adjusted(1)),
    (LogitAdjusted(1.5), adjusted(1.5)),
    (LogitAdjusted(0), smoothed(0)),
    (LDAM(), ldam),
    (LDAM(deferred_reweighting=1), ldam),
    (LDAM(deferred_reweighting=0), weighted(ldam, 0.9999)),
]
every_loss = pytest.mark.parametrize(("loss", "formula"), [pytest.param(*pair, id=str(pair[0])) for pair in CLASSES])


def hard_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Every label with all outputs of -1e4, -88, 0 and 1e4, and with random ones."""
    corners = torch.tensor(list(product([-1e4, -88, 0, 1e4], repeat=4)))
    outputs = torch.cat([corners, 5 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))])
    return outputs.repeat(4, 1), torch.arange(4).repeat_interleave(len(outputs))


def gradient(function: Any, outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of the rows and the gradient of their sum."""
    leaf = outputs.detach().requires_grad_()
    losses = function(leaf, targets)
    losses.sum().backward()
    assert leaf.grad is not None
    return losses.detach(), leaf.grad


@every_loss
def test_a_loss_is_its_formula_at_any_outputs(loss: Loss, formula: Formula) -> None:
    outputs, labels = hard_rows()
    losses, slopes = gradient(loss.at(COUNTS, 1), outputs, labels)
    expected = formula(outputs.double().numpy(), labels.numpy(), COUNTS.double().numpy())
    assert losses.dtype == torch.float32
    rounding = 2e-7 * outputs.abs().amax(1).numpy() * max(1, weights(COUNTS.double().numpy(), 0.9999).max())
    assert (np.abs(losses.numpy() - expected) <= 1e-5 * np.abs(expected) + rounding).all()
    assert slopes.isfinite().all()


@every_loss
def test_derivatives_are_those_of_finite_differences_in_float64(loss: Loss, formula: Formula) -> None:
    outputs = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels, function = PRESENT, loss.at(COUNTS, 1)
    assert torch.autograd.gradcheck(lambda z: function(z, labels), outputs, rtol=1e-5, atol=1e-8)
    assert torch.autograd.gradgradcheck(lambda z: function(z, labels), outputs, rtol=1e-4, atol=1e-7)


@every_loss
def test_a_row_s_loss_does_not_depend_on_its_batch(loss: Loss, formula: Formula) -> None:
    outputs, labels = hard_rows()
    function = loss.at(COUNTS, 1)
    torch.testing.assert_close(function(outputs, labels)[::37], function(outputs[::37], labels[::37]))


@pytest.mark.parametrize("loss", LOSSES.values())
def test_bfloat16_outputs_are_computed_in_float32(loss: type[Loss]) -> None:
    outputs, labels = hard_rows()
    outputs = (outputs if loss.task == "classes" else outputs.view(-1, 1, 2, 2)).bfloat16()
    targets = labels if loss.task == "classes" else outputs.roll(1, 0)
    function = loss().at(COUNTS, 1)
    with torch.autocast("cpu", torch.bfloat16):
        losses = function(outputs, targets)
    assert losses.dtype == torch.float32
    assert losses.equal(function(outputs.float(), targets if loss.task == "classes" else targets.float()))


@pytest.mark.parametrize("device", ["cuda", "meta"])
@pytest.mark.parametrize("loss", LOSSES.values())
def test_a_step_stays_on_the_device_and_never_waits_for_it(loss: type[Loss], device: str) -> None:
    function_of = LDAM(deferred_reweighting=0) if loss is LDAM else loss()
    shape = (8, 4) if loss.task == "classes" else (8, 1, 2, 2)
    with FakeTensorMode():  # which refuses whatever mixes devices or needs a value
        outputs = torch.randn(shape, device=device).requires_grad_()
        targets = (
            torch.zeros(8, dtype=torch.int64, device=device) if loss.task == "classes" else torch.randn_like(outputs)
        )
        losses = function_of.at(torch.ones(4, dtype=torch.int64, device=device), 1)(outputs, targets)
        assert (losses.device.type, losses.dtype, losses.shape) == (device, torch.float32, (8,))
        if device == "meta":  # going back needs a device that is there
            losses.mean().backward()
            assert outputs.grad is not None


@pytest.mark.parametrize("loss", LOSSES.values())
def test_a_loss_compiles_as_one_graph(loss: type[Loss]) -> None:
    outputs, labels = hard_rows()
    outputs = outputs if loss.task == "classes" else outputs.view(-1, 1, 2, 2)
    targets = labels if loss.task == "classes" else outputs.roll(1, 0)
    function = loss().at(COUNTS, 1)
    compiled = torch.compile(function, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(outputs, targets), function(outputs, targets))


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (L1(), np.abs),
        (L2(), np.square),
        (Huber(), lambda e: np.where(abs(e) <= 0.1, e**2 / 2, 0.1 * (abs(e) - 0.05))),
        (Huber(2.0), lambda e: np.where(abs(e) <= 2, e**2 / 2, 2 * (abs(e) - 1))),
    ],
)
def test_a_loss_of_images_is_the_mean_over_an_image(loss: Loss, formula: Callable[[Floats], Floats]) -> None:
    random = torch.Generator().manual_seed(2)
    scales = torch.tensor([0.01, 0.1, 1.0, 1e4])[:, None, None, None]
    outputs, targets = scales * torch.randn(2, 4, 3, 5, 4, generator=random)
    targets[0, 0] = outputs[0, 0]  # where |e| has a kink
    losses, slopes = gradient(loss.at(None, 1), outputs, targets)
    expected = formula(outputs.double().numpy() - targets.double().numpy()).mean((1, 2, 3))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses.dtype == torch.float32
    assert slopes.isfinite().all()


def test_classes_without_rows_change_nothing_for_the_others() -> None:
    outputs, labels = hard_rows()
    rows = labels != 1
    without, renumbered = outputs[rows][:, PRESENT], (labels[rows] - 1).clamp(min=0)
    for loss in (ClassBalancedCrossEntropy(), BalancedSoftmax(), LogitAdjusted(), LDAM(0)):
        given = outputs.clone()
        given[:, 1] = -1e30  # so that ce leaves the class out too
        losses = loss.at(COUNTS, 1)(given[rows], labels[rows])
        torch.testing.assert_close(losses, loss.at(COUNTS[PRESENT], 1)(without, renumbered))


def test_ldam_weighs_the_classes_after_the_epoch_that_is_named() -> None:
    outputs, labels = torch.zeros(3, 4), PRESENT
    first, last, after = (LDAM(160).at(COUNTS, epoch)(outputs, labels) for epoch in (1, 160, 161))
    assert first.equal(last)
    torch.testing.assert_close(
        after / last, torch.from_numpy(weights(COUNTS.double().numpy(), 0.9999)[PRESENT]).float()
    )


@every_loss
def test_the_loss_of_several_rows_is_their_mean_or_as_ldam_s_authors_divide(loss: Loss, formula: Formula) -> None:
    outputs, labels = hard_rows()
    outputs, labels = outputs[-200::7].double(), labels[-200::7].roll(3)
    keep = labels != 1  # a class without rows has no weight
    outputs, labels = outputs[keep], labels[keep].where(torch.arange(int(keep.sum())) % 3 > 0, 0)
    found = loss.over(COUNTS, 1, labels, torch.float64)(outputs, labels).mean()
    counts = COUNTS.double().numpy()
    expected = formula(outputs.numpy(), labels.numpy(), counts)
    divisor = float(len(labels))
    if loss == LDAM(0):
        margins = np.zeros(4)
        margins[PRESENT] = 0.5 * (1 / counts[PRESENT]) ** 0.25
        shifted = outputs - 30 * torch.from_numpy(margins)[labels, None] * torch.nn.functional.one_hot(labels, 4)
        authors = torch.nn.functional.cross_entropy(shifted, labels, torch.from_numpy(weights(counts, 0.9999)))
        assert float(found) == pytest.approx(float(authors), rel=1e-12)
        divisor = float(weights(counts, 0.9999)[labels].sum())
    assert float(found) == pytest.approx(expected.sum() / divisor, rel=1e-12)


def test_float64_has_the_classes_weights_in_float64() -> None:
    outputs, labels = torch.randn(3, 4, dtype=torch.float64), PRESENT
    for loss in (ClassBalancedCrossEntropy(0.99), LogitAdjusted(), LDAM(deferred_reweighting=0)):
        expected = dict(CLASSES)[loss](outputs.numpy(), labels.numpy(), COUNTS.double().numpy())
        exact, rounded = (loss.at(COUNTS, 1, kind)(outputs, labels).numpy() for kind in (torch.float64, None))
        np.testing.assert_allclose(exact, expected, rtol=1e-11)
        assert np.abs(rounded / expected - 1).max() > 1e-10


def test_every_class_loss_is_checked_against_a_formula() -> None:
    checked = {loss.name for loss, _ in CLASSES}
    assert checked == {name for name, loss in LOSSES.items() if loss.task == "classes"}
