"""Energies, complexity and gradient descent on a kernel are those of explicit float64 matrices and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from gencli.alignment import energies
from gencli.alignment.energies import Alignment, _grid, require_room, targets
from gencli.errors import GencliError
from gencli.machine import size

NAMES = ("a", "b", "c")
LABELS = np.array([0, 1, 2, 0, 1, 1, 0, 0, 2, 1])
KINDS = ("centered", "one-hot", "signs")
Floats = NDArray[np.float64]


def kernel(n: int, rank: int | None = None) -> Floats:
    x = np.random.default_rng(n).standard_normal((n, rank or 2 * n))
    return x @ x.T / n


def made(matrix: Floats, kind: str = "centered", labels: NDArray[np.int64] = LABELS) -> Alignment:
    return Alignment.of(matrix, labels, NAMES, kind, "toy", np.finfo(float).eps)


def numbers(kind: str) -> Floats:
    one_hot = np.eye(3)[LABELS]
    return {"centered": one_hot - one_hot.mean(0), "one-hot": one_hot, "signs": 2 * one_hot - 1}[kind]


def descended(matrix: Floats, y: Floats, step_size: float, steps: int) -> Floats:
    """The residual of gradient descent on 1/2 |K a - y|^2 in the kernel's space: f <- f + eta K (y - f)."""
    f = np.zeros_like(y)
    for _ in range(steps):
        f = f + step_size * matrix @ (y - f)
    return y - f


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [1.0, 1.7])
def test_the_curve_is_that_of_gradient_descent_step_by_step(kind: str, share: float):
    matrix, y = kernel(10), numbers(kind)
    found = made(matrix, kind)
    step_size = share / np.linalg.eigvalsh(matrix)[-1]
    for steps in (0, 1, 2, 7, 40):
        left = descended(matrix, y, step_size, steps)
        outputs = y - left + (np.eye(3)[LABELS].mean(0) if kind == "centered" else 0)
        losses = [(left**2).sum() / (y**2).sum(), *((left**2).sum(0) / (y**2).sum(0))]
        assert [found.loss(each, step_size, steps) for _, each in found.groups] == pytest.approx(losses, rel=1e-9)
        assert found.accuracy(step_size, steps) == (outputs.argmax(1) == LABELS).mean()


def test_the_curve_of_all_outputs_is_that_of_their_whole_kernel():
    matrix, y = kernel(30), numbers("centered")
    found = made(matrix)
    step_size = found.step_size(None)
    for steps in (0, 1, 9):
        left = descended(matrix, y.ravel(), step_size, steps)
        assert found.loss(found.energies, step_size, steps) == pytest.approx((left**2).sum() / (y**2).sum(), rel=1e-9)
        outputs = (y.ravel() - left).reshape(10, 3) + np.eye(3)[LABELS].mean(0)
        assert found.accuracy(step_size, steps) == (outputs.argmax(1) == LABELS).mean()
    of_b = np.where(np.arange(3) == 1, y, 0).ravel()
    _, alone = next(each for each in found.groups if each[0] == "b")
    left = descended(matrix, of_b, step_size, 5)
    assert found.loss(alone, step_size, 5) == pytest.approx((left**2).sum() / (of_b**2).sum(), rel=1e-9)
    assert found.complexity(found.energies) == pytest.approx(
        math.sqrt(2 * y.ravel() @ np.linalg.solve(matrix, y.ravel()) / 10)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_complexity_and_energies_are_those_of_explicit_matrices(kind: str):
    matrix, y = kernel(10), numbers(kind)
    found = made(matrix, kind)
    values, vectors = np.linalg.eigh(matrix)
    solved = (y * np.linalg.solve(matrix, y)).sum(0)
    expected = np.sqrt(2 * np.array([solved.sum(), *solved]) / 10)
    assert [found.complexity(each) for _, each in found.groups] == pytest.approx(expected, rel=1e-9)
    table = found.energy_table().to_pylist()
    assert [row["class"] for row in table[::10]] == [None, "a", "b", "c"]
    shares = ((vectors[:, ::-1].T @ y) ** 2).sum(1) / (y**2).sum()
    assert [row["energy"] for row in table[:10]] == pytest.approx(shares.tolist())
    assert [row["cumulative"] for row in table[:10]] == pytest.approx(shares.cumsum().tolist())
    assert [row["eigenvalue"] for row in table[10:20]] == pytest.approx(values[::-1].tolist())
    assert found.rank == 10
    assert found.outside == 0


def test_shares_add_up_to_no_more_than_1():
    rounded = []
    for rank in range(1, 21):
        table = made(kernel(10, rank)).energy_table()
        assert max(table["cumulative"].to_pylist()) <= 1
        rounded += [energies.cumsum()[-1] for energies in table["energy"].to_numpy().reshape(4, 10)]
    assert max(rounded) > 1


def test_the_first_step_is_the_one_that_a_loop_finds():
    matrix, y = kernel(10), numbers("centered")
    found = made(matrix)
    step_size = found.step_size(None)
    left = [descended(matrix, y, step_size, steps) for steps in range(2000)]
    losses = [(each**2).sum() / (y**2).sum() for each in left]
    right = [((y - each + np.eye(3)[LABELS].mean(0)).argmax(1) == LABELS).mean() for each in left]
    for goal in (0.5, 0.05, 0.01):
        assert found.first(step_size, "loss", goal) == next(k for k, loss in enumerate(losses) if loss <= goal)
    for goal in (0.5, 0.9, 1.0):
        assert found.first(step_size, "accuracy", goal) == next(k for k, share in enumerate(right) if share >= goal)
    rows = {(row["quantity"], row["class"]): row["value"] for row in found.table(0, 2, step_size, 1).to_pylist()}
    assert rows["steps to loss 0.01", None] == found.first(step_size, "loss", 0.01)
    assert rows["time to fit", None] == step_size * found.first(step_size, "accuracy", 1)
    assert rows["eigenvalue", None] == pytest.approx(np.linalg.eigvalsh(matrix)[0])


def test_repeated_images_make_the_complexity_infinite_unless_their_labels_agree():
    half = kernel(5)
    matrix = np.tile(half, (2, 2))
    found = made(matrix)
    assert found.rank == 5
    y = numbers("centered")
    outside = ((y[:5] - y[5:]) ** 2).sum() / 2 / (y**2).sum()
    assert found.outside == pytest.approx(outside)
    assert math.isinf(found.complexity(found.energies))
    assert math.isinf(found.first(found.step_size(None), "loss", 0.01))
    assert math.isinf(found.first(found.step_size(None), "accuracy", 1))
    labels = np.tile(LABELS[:5], 2)
    same = made(matrix, labels=labels)
    y = np.eye(3)[labels] - np.eye(3)[labels].mean(0)
    assert same.complexity(same.energies) == pytest.approx(
        math.sqrt(2 * np.trace(y.T @ np.linalg.pinv(matrix) @ y) / 10), rel=1e-6
    )
    assert same.outside < 1e-12


def test_a_class_without_rows_has_no_lines():
    found = made(kernel(10), labels=LABELS % 2)
    assert [name for name, _ in found.groups] == [None, "a", "b"]


def test_what_cannot_be_is_refused():
    with pytest.raises(GencliError, match="all 10 rows are of class 1"):
        targets(np.ones(10, np.int64), 3, "centered", "toy")
    with pytest.raises(GencliError, match="the kernel is 0"):
        made(np.zeros((10, 10)))
    with pytest.raises(GencliError, match="the kernel is not finite"):
        made(np.full((10, 10), np.inf))
    found = made(kernel(10))
    most = 2 / found.values[0]
    assert found.step_size(most * 0.999) == most * 0.999
    with pytest.raises(GencliError, match=f"diverges from {most:.6g} on"):
        found.step_size(most)


@pytest.mark.parametrize("outputs", [1, 10])
def test_too_many_rows_are_refused_with_the_number_that_fits(outputs: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(energies, "free_memory", lambda: 1 << 30)
    with pytest.raises(GencliError) as refused:
        require_room(100_000, outputs, 1000)
    assert refused.value.hint
    fits = int(refused.value.hint.split()[2].strip(","))
    require_room(fits, outputs, 1000)
    with pytest.raises(GencliError, match="need"):
        require_room(fits + 1, outputs, 1000)
    assert ("--outputs mean" in refused.value.hint) == (outputs > 1)


@pytest.mark.parametrize(("outputs", "words"), [(1, "40 rows"), (3, "40 rows of 3 outputs")])
def test_just_enough_memory_is_enough(outputs: int, words: str, monkeypatch: pytest.MonkeyPatch):
    need = 8 * 4 * outputs**2 * 40 * 40 + 40 * 7
    monkeypatch.setattr(energies, "free_memory", lambda: need)
    require_room(40, outputs, 7)
    monkeypatch.setattr(energies, "free_memory", lambda: need - 1)
    with pytest.raises(GencliError) as refused:
        require_room(40, outputs, 7)
    sizes = size(need), size(need - 1)
    said = "%s: the kernel's eigenvectors need %s of memory, but only %s are free"
    assert str(refused.value).startswith(said % (words, *sizes))
    assert refused.value.hint == "use --limit 39" + (", or --outputs mean" if outputs > 1 else "")
    monkeypatch.setattr(energies, "free_memory", lambda: 1)
    with pytest.raises(GencliError) as refused:
        require_room(40, outputs)
    assert refused.value.hint == "free memory"


def diagonal(*values: float) -> Alignment:
    """Rows a, b, a, b: eigenvectors are rows, and a step of 1/4 leaves 1 - value/4 of what is left of each."""
    return Alignment.of(np.diag(values), np.array([0, 1, 0, 1]), ("a", "b"), "one-hot", "toy", 1e-16)


def test_the_whole_table_of_a_diagonal_kernel():
    """Row 3 is never moved from (0, 0), of which the first is taken."""
    found = diagonal(4.0, 2.0, 1.0, 0.0)
    assert [list(row.values()) for row in found.table(2, 1, found.step_size(None), 0.75).to_pylist()] == [
        ["eigenvalue", None, 1, 4.0], ["eigenvalue", None, 2, 2.0], ["eigenvalue", None, -1, 0.0],
        ["rank", None, None, 3.0], ["energy outside the range", None, None, 0.25],
        ["complexity", None, None, math.inf], ["complexity", "a", None, pytest.approx(0.625**0.5)],
        ["complexity", "b", None, math.inf], ["step size", None, None, 0.25],
        ["steps to fit", None, None, 1.0], ["time to fit", None, None, 0.25],
        ["steps to loss 0.01", None, None, math.inf], ["time to loss 0.01", None, None, math.inf],
    ]  # fmt: skip
    every = found.table(9, 9, 0.25, 0.75).to_pylist()
    assert [row["index"] for row in every if row["quantity"] == "eigenvalue"] == [1, 2, 3, 4, -4, -3, -2, -1]
    assert found.step_size(0.1) == 0.1
    last = max(row["step"] for row in found.descent_table(0.25).to_pylist())
    assert last == 1e6  # of a loss that stays


def test_the_table_of_descent_ends_at_a_thousandth_of_the_loss():
    found = diagonal(4.0, 2.0, 1.0, 1.0)
    rows = found.descent_table(0.25).to_pylist()
    steps = [*range(11), 13]
    assert [(row["class"], row["step"]) for row in rows] == [
        (name, step) for name in (None, "a", "b") for step in steps
    ]
    assert [row["time"] for row in rows] == [row["step"] / 4 for row in rows]
    assert [row["train_accuracy"] for row in rows] == [0.5, *[1.0] * 11, *[None] * 24]
    left = {"a": (0.0, 0.75), "b": (0.5, 0.75), None: (0.0, 0.75, 0.5, 0.75)}
    for row in rows:
        shares = [each ** (2 * row["step"]) for each in left[row["class"]]]
        assert row["loss"] == pytest.approx(sum(shares) / len(shares))


def test_the_curves_steps_are_whole_and_later_ten_a_decade():
    assert list(_grid(100)) == [*range(11), 13, 16, 20, 25, 32, 40, 50, 63, 79, 100]
    assert list(_grid(20))[-2:] == [16, 20]
    assert list(_grid(20.5))[-2:] == [20, 25]
    assert list(_grid(0)) == [0]


@pytest.mark.parametrize(("share", "rank"), [(0.9, 1), (1.1, 2)])
def test_eigenvalues_within_rounding_count_as_0(share: float, rank: int):
    """Two rows: twice the rounding of the largest."""
    matrix = np.diag([8.0, share * 2 * 1e-3 * 8])
    assert Alignment.of(matrix, np.array([0, 1]), ("a", "b"), "signs", "toy", 1e-3).rank == rank


def test_no_rows_and_rows_of_one_class_are_refused_by_name():
    for labels, words in (([], "toy: no rows"), ([2] * 1200, "toy: all 1,200 rows are of class 2")):
        with pytest.raises(GencliError, match=f"^{words}$"):
            targets(np.array(labels, np.int64), 3, "signs", "toy")
    y, offset = targets(np.array([0, 2, 2]), 3, "centered", "toy")
    assert offset == pytest.approx([1 / 3, 0, 2 / 3])
    assert y[0] == pytest.approx([2 / 3, 0, -2 / 3])
    assert targets(np.array([0, 2]), 3, "signs", "toy")[0].tolist() == [[1, -1, -1], [-1, -1, 1]]
    assert targets(np.array([0, 2]), 3, "one-hot", "toy")[1].tolist() == [0, 0, 0]
