"""Rademacher complexity, stability and a network's steps, against computations of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from gencli.errors import GencliError
from gencli.losses.classes import CrossEntropy
from gencli.models import Model
from gencli.models.inputs import load
from gencli.sources.digits import digits
from gencli.theory import check, networks
from gencli.theory.rademacher import _CHANCE, Rademacher, _bound, _depth, _norms
from gencli.theory.sgd_nonmonotone import SgdNonmonotone
from gencli.theory.uniform_stability import UniformStability
from tests.helpers import image_table


def test_a_network_with_biases_is_one_without_of_the_norms_that_are_counted():
    images = torch.rand(5, 1, 4, 4, dtype=torch.float64)
    network = networks.build("mlp-2x6", images, 1, 0)
    layers = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
    x, norms = torch.cat([images.flatten(1), torch.ones(5, 1)], 1), []
    for layer in layers:
        matrix = torch.cat([layer.weight, layer.bias[:, None]], 1)
        if layer is not layers[-1]:
            matrix = torch.cat([matrix, torch.eye(matrix.shape[1], dtype=matrix.dtype)[-1:]])
        norms.append(matrix.norm().item())
        x = x @ matrix.T
        x = x if layer is layers[-1] else x.relu()
    torch.testing.assert_close(x, network(images))
    assert _norms(network) == pytest.approx(norms)
    assert _depth(network) == 3
    assert _depth(networks.build("convnet-vanilla", torch.rand(1, 3, 32, 32), 1, 0)) == 0


def test_the_norm_bound_is_the_theorems():
    assert _bound(np.array([2.0, 3.0]), 100.0, 25) == pytest.approx(6 * 10 * (math.sqrt(4 * math.log(2)) + 1) / 25)


def test_a_family_that_fits_all_signs_reaches_the_trivial_bound_and_broken_bounds_are_too_small():
    claim = Rademacher(examples=10, arch="mlp-1x64", draws=1, steps=400)
    rows = check(claim, digits("train")).rows.to_pylist()
    found = {(row["instance"].split(",")[0], row["quantity"]): row for row in rows}
    assert found["0: mlp-1x64", "estimate, trivial bound"]["left"] == pytest.approx(1, abs=1e-3)
    vacuous = found["0: mlp-1x64", "estimate, norm-based bound (vacuous)"]["right"]
    assert vacuous > 1
    assert found["0: linear", "estimate, norm-based bound"]["right"] == 0.5
    broken = check(claim, digits("train"), broken=True).rows.to_pylist()
    assert broken[1]["right"] == pytest.approx(vacuous / 10**0.5)


def test_the_stable_learner_is_scikit_learns():
    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 6)), random.choice([-1, 1], 40)
    claim = UniformStability(decay=0.02)
    known = LogisticRegression(C=1 / (0.02 * 40), fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(claim._minimizer(y[:, None] * x, np.zeros(6)), known.coef_[0], atol=1e-6)


def test_changes_are_those_of_learners_trained_one_by_one():
    """SGD and the learner without a row, in plain loops on all pixels."""
    claim = UniformStability(examples=8, removals=2, passes=2, decay=0.5)
    random = np.random.default_rng(0)
    x, y = random.random((30, 12)), random.choice([-1, 1], 30)
    radius, visits = np.linalg.norm(x, axis=1).max(), random.permutation(np.tile(np.arange(8), 2))
    points = claim._points(x, y)
    signed = y[:, None] * x

    def descended(rows: np.ndarray) -> np.ndarray:
        w = np.zeros(12)
        for place in visits:
            z = signed[rows[place]]
            w = w + 8 / (radius**2 * 8) * z / (1 + np.exp(w @ z))
        return np.log1p(np.exp(-signed @ w))

    sets = [np.arange(8), np.r_[8, 1:8], np.r_[0, 9, 2:8]]
    whole, *others = map(descended, sets)
    (row,) = claim._descended(points, visits, 8, 1)
    assert row.left == pytest.approx(max(abs(each - whole).max() for each in others), rel=1e-9)
    assert row.right == pytest.approx(2 * 2 * 8 / 8)

    def minimized(rows: np.ndarray) -> np.ndarray:
        return claim._minimizer(signed[rows], np.zeros(12))

    rows = {row.quantity: row for row in claim._minimized(points, 8, 1)}
    w = [minimized(rows) for rows in sets]
    changes = [np.logaddexp(0, -signed @ each) - np.logaddexp(0, -signed @ w[0]) for each in w[1:]]
    assert rows["beta, one replaced, at least; bound"].left == pytest.approx(np.abs(changes).max(), rel=1e-6)
    assert rows["beta, one removed, at least; bound"].right == pytest.approx(radius**2 / (0.5 * 8))
    assert all(row.holds for row in rows.values())


def test_a_network_that_is_trained_on_the_same_rows_stays_the_same():
    claim = UniformStability(arch="mlp-1x4", examples=12, removals=2)
    for broken, largest in ((False, False), (True, True)):
        rows = check(claim, digits("train"), broken=broken).rows.to_pylist()
        of_network = [row["left"] for row in rows if "mlp" in row["instance"]]
        assert of_network[::2] == [0.0] * 3
        assert all((change == 0) == largest for change in of_network[1::2])


def test_rows_that_cannot_be_left_out_are_refused():
    with pytest.raises(GencliError, match="--removals 4: more than a quarter of the 15 --examples"):
        UniformStability(examples=15, removals=4)
    with pytest.raises(GencliError, match="toy has 12 rows, and 3 are held out"):
        check(UniformStability(examples=12, removals=3), image_table(12))


def test_uniform_stability_asks_for_the_memory_of_every_training(monkeypatch: pytest.MonkeyPatch):
    """8 bytes for 8 examples of 3 trainings: 3 passes, 2 orders more, and 3 times the 6 sets that losses are of."""
    asked: list[int] = []

    def stop(need: int, words: str) -> None:
        assert words == "--removals 2, --examples 8, --passes 3"
        asked.append(need)
        raise StopIteration

    monkeypatch.setattr("gencli.theory.uniform_stability.require_memory", stop)
    with pytest.raises(RuntimeError):  # of the generator
        check(UniformStability(examples=8, removals=2, passes=3), image_table(10))
    assert asked == [8 * 3 * 8 * (3 + 2 + 3 * 6)]


def test_black_images_are_refused():
    table = image_table(40)
    with pytest.raises(GencliError, match="toy: black images"):
        networks.read(
            type(table)("toy", table.description, np.zeros((40, 2, 2, 1), np.uint8), np.zeros(40, int)), 9, "float64"
        )


def test_a_networks_pass_is_that_of_torchs_sgd():
    """Also of rows that the batches do not divide; the loss is that of all rows, in float64."""
    table = image_table(21, (4, 4, 1))
    rows = load(table)
    network = networks.build("mlp-1x5", torch.zeros(1, 1, 4, 4), 3, 0)
    copy = networks.build("mlp-1x5", torch.zeros(1, 1, 4, 4, dtype=torch.float64), 3, 0)
    model = Model("mlp-1x5", (4, 4, 1), table.description.classes, network)
    claim = SgdNonmonotone(rate=0.3, batch_size=4)
    found = list(claim._pass(model, CrossEntropy(), 1, table, np.random.default_rng(5), broken=False))
    pixels = rows.images.double().flatten(1) / 255
    whitened = (pixels - pixels.mean(1, keepdim=True)) / pixels.std(1, correction=0, keepdim=True).clamp(min=1 / 4)
    inputs, labels = whitened.view(21, 1, 4, 4), rows.labels
    optimizer, expected = torch.optim.SGD(copy.parameters(), 0.3), []
    for batch in [None, *torch.from_numpy(np.random.default_rng(5).permutation(21)).split(4)]:
        if batch is not None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(copy(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        expected.append(torch.nn.functional.cross_entropy(copy(inputs), labels).item())
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(found) == 7


def test_a_network_that_leaves_all_bounds_is_refused():
    with pytest.raises(GencliError, match=r"--rate 1e\+300: the loss is no longer finite"):
        check(SgdNonmonotone(rate=1e300, arch="mlp-2x8", batch_size=500), digits("train"))


def test_a_networks_changes_are_those_of_torchs_sgd():
    """In batches of 10, from the same start, a row replaced."""
    claim = UniformStability(arch="mlp-1x4", examples=12, removals=3, passes=2)
    random = np.random.default_rng(0)
    images, labels = torch.rand(20, 1, 3, 3, dtype=torch.float64), torch.from_numpy(random.integers(4, size=20))
    network = networks.build("mlp-1x4", images, 4, 0)
    visits = np.concatenate([random.permutation(12) for _ in range(2)])

    def losses(rows: np.ndarray) -> torch.Tensor:
        trained = networks.build("mlp-1x4", images, 4, 0)
        optimizer = torch.optim.SGD(trained.parameters(), 0.1, 0.9)
        for batch in torch.from_numpy(rows[visits]).split(10):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(trained(images[batch]), labels[batch]).backward()
            optimizer.step()
        return torch.nn.functional.cross_entropy(trained(images), labels, reduction="none").detach()

    whole = losses(np.arange(12))
    changes = [
        (losses(np.where(np.arange(12) == place, 12 + place, np.arange(12))) - whole).abs().max() for place in range(3)
    ]
    same, other = claim._trained(network, images, labels, visits, 12, keep=False)
    assert same.left == same.right == 0
    assert len(set(map(float, changes))) == 3
    assert other.left == pytest.approx(max(map(float, changes)), rel=1e-9)


def test_bounds_beyond_1_are_called_vacuous_and_the_few_signs_are_allowed_for():
    """By McDiarmid's inequality, of a supremum that one sign changes by 2 M |x| / n at most."""
    claim = Rademacher(draws=8)
    for bound, vacuous in ((1.0, False), (1.5, True)):
        row = claim._row("i", 0.5, bound, 2)
        assert row.quantity.endswith("(vacuous)") == vacuous
        expected = bound / (math.sqrt(2 * 2 * math.log(2)) + 1) * math.sqrt(2 * math.log(1 / _CHANCE) / 8)
        assert row.tolerance == pytest.approx(expected)
    assert pytest.approx(1e-3) == _CHANCE
