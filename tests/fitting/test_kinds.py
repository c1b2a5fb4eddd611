"""The learners on small tables: what they predict, which rows they refuse, what they need."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from gencli import machine
from gencli.errors import GencliError
from gencli.files.provenance import step
from gencli.files.tables import Description
from gencli.fitting import gram, kernel
from gencli.fitting.base import Fitted, Learner
from gencli.fitting.kinds import FiniteSampleLearner, Kernel, LeastSquares
from gencli.fitting.rows import one_hot
from gencli.models import learners
from gencli.models.inputs import Rows
from gencli.models.learners import PLAIN_PIXELS
from gencli.ranks import ALONE

CLASSES = 3
SHAPE = (3, 4, 2)
KINDS: list[Learner] = [FiniteSampleLearner(), Kernel(["gaussian:0.1"]), LeastSquares()]


def some(n: int = 40, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    images = torch.from_numpy(random.integers(0, 256, (n, *SHAPE), np.uint8))
    labels = torch.from_numpy(np.append(np.arange(CLASSES), random.integers(0, CLASSES, n - CLASSES)))
    return Rows(images, labels, ids=torch.arange(100, 100 + n))


def twice(rows: Rows, row: int, label: int | None = None) -> Rows:
    """The rows, and this one again at the end."""
    more = rows.select(torch.cat([torch.arange(len(rows)), torch.tensor([row])]))
    if label is not None:
        more.labels[-1] = label
    return more


def fitted(kind: Learner, rows: Rows) -> Fitted:
    return kind.fit(rows, CLASSES, "toy", step("fit", {}), lambda done, line="", note="", /: None, ALONE)


@torch.no_grad()
def scores(kind: Learner, found: Fitted, rows: Rows) -> NDArray[np.float64]:
    learner = learners.build(kind.name, SHAPE, CLASSES, found.facts)
    learner.load_state_dict(found.tensors, assign=True)
    return learner(PLAIN_PIXELS(rows.images)).double().numpy()


@pytest.mark.parametrize("words", ["gaussian:0.1", "linear"])
@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_predicts_what_float64_does(words: str, ridge: float, dtype: str):
    kind = Kernel([words], ridge=ridge, dtype=dtype)  # type: ignore[arg-type]
    rows, others = some(20), some(30, seed=1)
    x, z = (each.images.flatten(1).double().numpy() / 255 for each in (rows, others))
    near, far = (x @ x.T, z @ x.T) if words == "linear" else (np.exp(-0.1 * cdist(a, x, "sqeuclidean")) for a in (x, z))
    expected = far @ np.linalg.solve(near + ridge * np.eye(20), np.eye(CLASSES)[rows.labels.numpy()])
    found = fitted(kind, rows)
    given = scores(kind, found, others)
    assert np.abs(given - expected).max() < (2e-3 if dtype == "float32" else 1e-5)
    assert found.found["relative_residual"] < (1e-4 if dtype == "float32" else 1e-6)


def test_signs_in_place_of_one_hot_labels_predict_the_same_classes():
    rows, others = some(20), some(200, seed=1)
    x, z = (each.images.flatten(1).double().numpy() / 255 for each in (rows, others))
    near, far = (np.exp(-0.1 * cdist(a, x, "sqeuclidean")) for a in (x, z))
    signs = far @ np.linalg.solve(near, 2 * np.eye(CLASSES)[rows.labels.numpy()] - 1)
    kind = Kernel(["gaussian:0.1"], dtype="float64")
    assert (scores(kind, fitted(kind, rows), others).argmax(1) == signs.argmax(1)).all()


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.name)
def test_interpolants_fit_their_rows_and_an_image_twice_changes_nothing(kind: Learner):
    rows = some()
    once, again = fitted(kind, rows), fitted(kind, twice(rows, 3))
    assert (scores(kind, once, rows).argmax(1) == rows.labels.numpy()).all()
    assert once.found["train_accuracy"] == 1
    assert once.found == again.found
    assert all(torch.equal(once.tensors[name], again.tensors[name]) for name in once.tensors)


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.name)
def test_an_image_with_two_labels_is_named(kind: Learner):
    rows = some()
    label = int(rows.labels[3])
    with pytest.raises(GencliError, match=rf"rows 3 and 40 \(ids 103 and 103\).*{label} and {(label + 1) % 3}"):
        fitted(kind, twice(rows, 3, (label + 1) % CLASSES))


def test_a_ridge_averages_an_image_with_two_labels():
    rows = twice(some(), 3, (int(some().labels[3]) + 1) % CLASSES)
    kind = Kernel(["gaussian:5"], ridge=1e-3)  # so narrow that rows hardly meet
    found = scores(kind, fitted(kind, rows), rows)[3]
    assert sorted(np.round(found, 2)) == [0, 0.5, 0.5]


def test_the_network_of_a_finite_sample_is_the_theorems():
    rows = some()
    kind = FiniteSampleLearner(seed=2)
    found = fitted(kind, rows)
    a, b, w = (found.tensors[name].numpy() for name in "abw")
    assert a.size + b.size + w.size == 2 * len(rows) + np.prod(SHAPE)
    x = rows.images.flatten(1).double().numpy() / 255
    value = np.maximum((x @ a)[:, None] - b, 0) @ w
    np.testing.assert_allclose(value, rows.labels.numpy(), atol=1e-3)
    given = scores(kind, found, rows)
    np.testing.assert_allclose(given, -np.abs(value[:, None] - np.arange(CLASSES)), atol=1e-3)


def test_least_squares_reports_its_own_misfit():
    rows, kind = some(200), LeastSquares(ridge=2.0)
    found = fitted(kind, rows)
    given, targets = scores(kind, found, rows), np.eye(CLASSES)[rows.labels.numpy()]
    assert found.found["relative_residual"] == pytest.approx(np.linalg.norm(given - targets) / np.linalg.norm(targets))
    assert found.found["train_accuracy"] == pytest.approx((given.argmax(1) == rows.labels.numpy()).mean())


def test_the_kernel_that_predicts_rows_held_out_best_is_fitted_to_all():
    """The label is on which side the first pixel lies: a kernel that is too narrow sees nothing of it."""
    rows = some(400)
    rows.images[:] = rows.images[:, :1, :1, :1]
    rows.images[:, 0, 0, 1] = torch.arange(400) % 256
    rows.labels[:] = rows.images[:, 1, 0, 0] > 127
    kind = Kernel(["gaussian:1e5,gaussian:1", "gaussian:2e5"], ridge=1e-3, validation_fraction=0.25)
    lines: list[str] = []
    seen: list[float] = []

    def progress(done: float, line: str = "", note: str = "", /) -> None:
        seen.append(done)
        lines.append(line)

    found = kind.fit(rows, CLASSES, "toy", step("fit", {}), progress, ALONE)
    assert found.found["chosen"] == "gaussian:1"
    assert list(found.found["validation_accuracy"]) == ["gaussian:100000", "gaussian:1", "gaussian:200000"]
    assert found.found["validation_accuracy"]["gaussian:1"] > 0.95
    assert len([line for line in lines if line]) == 3
    assert seen == sorted(seen)
    trial, whole = (n * n * 24 / 2 + n**3 / 6 for n in (300, 400))  # multiplications
    shares = [place * trial / (3 * trial + whole) for place in (1, 2, 3)]
    assert [done for done, line in zip(seen, lines) if line] == pytest.approx(shares, rel=0.02)
    assert seen[-1] == pytest.approx(1)
    alone = fitted(Kernel(["gaussian:1"], ridge=1e-3), rows)
    assert torch.equal(alone.tensors["alpha"], found.tensors["alpha"])


@pytest.mark.parametrize("room", [None, "1K"])
def test_kernels_that_share_products_are_those_that_do_not(monkeypatch: pytest.MonkeyPatch, room: str | None):
    """By iterations: the inner products are kept for all widths, where they fit, and serve rows held out and all."""
    monkeypatch.setattr(gram, "SIDE", 16)
    made: list[gram.Products] = []
    make = gram.Products._make
    monkeypatch.setattr(gram.Products, "_make", lambda self, i, j: (made.append(self), make(self, i, j))[1])
    if room:
        monkeypatch.setattr(machine, "free_memory", lambda: 1 << 10)
    rows, words = some(90), ["ntk:1", "gaussian:0.1,gaussian:2", "laplace:0.5"]
    several = Kernel(words, solver="cg", validation_fraction=0.25, ridge=1e-3)
    found = fitted(several, rows)
    tiles = 6 * 7 // 2
    assert len(made) > 10 * tiles if room else len(made) == 2 * tiles  # once of pixels, once of the ntk's points
    accuracies = found.found["validation_accuracy"]
    for word in accuracies:
        alone = fitted(Kernel([word], solver="cg", validation_fraction=0.25, ridge=1e-3), rows)
        assert alone.found["validation_accuracy"][word] == accuracies[word]
        if word == found.found["chosen"]:
            assert torch.equal(alone.tensors["alpha"], found.tensors["alpha"])


def test_tiles_computed_again_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gram, "SIDE", 16)
    rows = some(90)
    stored = fitted(Kernel(["gaussian:2"], solver="cg"), rows)
    monkeypatch.setattr(machine, "free_memory", lambda: 1 << 10)
    again = fitted(Kernel(["gaussian:2"], solver="cg"), rows)
    assert torch.equal(stored.tensors["alpha"], again.tensors["alpha"])
    assert stored.found == again.found


def test_a_kernel_without_full_rank_is_refused():
    with pytest.raises(GencliError, match="40 distinct images of 24 pixels: K has rank at most 24"):
        fitted(Kernel(["linear"]), some(40))
    with pytest.raises(GencliError, match="float32"):
        fitted(Kernel(["gaussian:1e-9"]), some(40))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gauss:1"], "no kernel 'gauss'"),
        (["gaussian"], "'gaussian' is not a kernel"),
        (["gaussian:0"], "'gaussian:0' is not a kernel"),
        (["gaussian:-1"], "'gaussian:-1' is not a kernel"),
        (["gaussian:nan"], "'gaussian:nan' is not a kernel"),
        (["gaussian:1e999"], "'gaussian:1e999' is not a kernel"),
        (["linear:2"], "'linear:2' is not a kernel"),
        (["gaussian:1,"], "no kernel ''"),
        (["linear", "gaussian:1"], "2 kernels, but no held-out rows to choose by"),
    ],
)
def test_words_that_are_no_kernel_are_refused(words: list[str], message: str):
    with pytest.raises(GencliError, match=message):
        Kernel(words)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_pixels_that_are_not_finite_are_refused(kind: Learner):
    rows = some()
    rows = replace(rows, images=rows.images.float())
    rows.images[7, 0, 0, 0] = float("nan")
    with pytest.raises(GencliError, match="toy: row 7: a pixel is not finite"):
        fitted(kind, rows)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_does_not_fit_in_memory_is_refused_with_the_number(kind: Learner, monkeypatch: pytest.MonkeyPatch):
    large = Description("toy", "train", ("a", "b"), (1000, 1000, 3))
    with pytest.raises(GencliError, match=r"10,000,000 rows: needs [\d,]+\.\d GiB of memory, but only .* are free"):
        kind.require(10_000_000, large)
    monkeypatch.setattr(machine, "free_memory", lambda: 16 << 30)
    small = Description("mnist", "train", tuple("0123456789"), (28, 28, 1))
    kind.require(60_000, small)
    if isinstance(kind, Kernel):
        with pytest.raises(GencliError, match=r"60,000 rows: needs 28\.\d GiB"):
            replace(kind, dtype="float64", solver="cholesky").require(60_000, small)
        replace(kind, dtype="float64").require(60_000, small)  # tiles that do not fit are computed again
        with pytest.raises(GencliError, match=r"--memory 1G: 60,000 rows take 1\.6 GiB"):
            replace(kind, memory="1G").require(60_000, small)


def test_many_classes_take_their_own_memory(monkeypatch: pytest.MonkeyPatch):
    """Of each row one number a class, not a square of classes."""
    rows = replace(some(), labels=torch.tensor([70_000, 0, 99_999, 5] * 10))
    made = one_hot(rows, 100_000)
    assert made.sum(1).tolist() == [1] * len(rows)
    assert (made.argmax(1) == rows.labels.numpy()).all()
    monkeypatch.setattr(machine, "free_memory", lambda: 1 << 30)
    many = Description("toy", "train", tuple(map(str, range(100_000))), (2, 2, 1))
    with pytest.raises(GencliError, match=r"1,000 rows: needs 1\.5 GiB of memory"):
        Kernel(["linear"]).require(1000, many)


def test_a_progress_counts_multiplications_by_either_solver():
    fitting: Any = SimpleNamespace(_rows=SimpleNamespace(images=torch.zeros(1, 3, 4, 2)))
    for direct, solving in ((True, 40**3 / 6), (False, 40**2 * 1000)):
        fitting.direct = lambda n, classes, direct=direct: direct
        assert kernel._Fitting.work(fitting, 40) == 40 * 40 * 24 / 2 + solving
