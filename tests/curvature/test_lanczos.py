"""Eigenpairs of explicit matrices, against dense float64 eigendecompositions."""

from __future__ import annotations

from typing import Literal, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gencli.curvature.extremes import Extremes, leading
from gencli.curvature.lanczos import Lanczos
from gencli.errors import GencliError
from gencli.files.held import Held

End = Literal["top", "bottom"]
ENDS: tuple[End, ...] = get_args(End)


def symmetric(eigenvalues: Tensor) -> Tensor:
    """[n, n] float64 with these eigenvalues and random eigenvectors."""
    size = len(eigenvalues)
    q, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    return (q * eigenvalues) @ q.T


# as of a network's Hessian: outliers, one for a class, and a bulk around 0
OUTLIERS = torch.cat([torch.linspace(50, 5, 10), torch.linspace(-0.5, 0.5, 390)]).double()
MATRIX = symmetric(OUTLIERS)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-5), (torch.float64, 1e-11)])
def test_ten_outliers_take_22_products(dtype: torch.dtype, error: float) -> None:
    matrix = MATRIX.to(dtype)
    found = leading(lambda v: matrix @ v, 400, 10, dtype=dtype)
    assert found.converged
    assert found.products <= 22
    assert torch.allclose(found.values, OUTLIERS[:10], rtol=error, atol=0)
    assert found.vectors.dtype == dtype
    assert (found.vectors.gather(1, found.vectors.abs().argmax(1, keepdim=True)) > 0).all()


@settings(max_examples=40)
@given(
    size=st.integers(2, 25),
    seed=st.integers(0, 10**6),
    which=st.sampled_from(ENDS),
    data=st.data(),
)
def test_eigenpairs_are_those_of_a_dense_decomposition(size: int, seed: int, which: End, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, size))
    vectors = data.draw(st.integers(min(size, k + 2), size))
    raw = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    matrix = raw + raw.T
    found = leading(
        lambda v: matrix @ v, size, k, which, 1e-9, torch.float64, vectors=max(3, vectors), most_products=10**4
    )
    values = torch.linalg.eigvalsh(matrix)
    expected = values.flip(0)[:k] if which == "top" else values[:k]
    scale = values.abs().max().item()
    assert torch.allclose(found.values, expected, rtol=0, atol=1e-9 * scale)
    images = found.vectors @ matrix
    residuals = (images - found.values[:, None] * found.vectors).norm(dim=1)
    assert torch.allclose(residuals, found.residuals, rtol=1e-3, atol=1e-12 * scale)
    assert torch.allclose(found.vectors @ found.vectors.T, torch.eye(k, dtype=torch.float64), atol=1e-10)


def test_there_are_no_ghosts() -> None:
    """Far beyond convergence, where the plain three-term recurrence finds the largest eigenvalue again and again."""
    values = torch.cat([torch.tensor([100.0, 10.0]), torch.linspace(0, 1, 298)]).double()
    matrix = symmetric(values).float()
    process = Lanczos(300, 120, torch.float32, torch.Generator().manual_seed(0))
    plain = []
    before, now, beta = torch.zeros(300), process.basis[0].clone(), 0.0
    for _ in range(120):
        process.step(lambda v: matrix @ v)
        image = matrix @ now - beta * before
        alpha = (image @ now).item()
        image = image - alpha * now
        beta = image.norm().item()
        plain.append((alpha, beta))
        before, now = now, image / beta
    recurrence = torch.diag(torch.tensor([alpha for alpha, _ in plain]))
    off = torch.diag(torch.tensor([beta for _, beta in plain[:-1]]), 1)
    assert (torch.linalg.eigvalsh(recurrence + off + off.T) > 50).sum() > 1
    assert (process.ritz()[0] > 50).sum() == 1
    assert (process.ritz()[0] > 5).sum() == 2
    basis = process.basis[:120].double()
    assert (basis @ basis.T - torch.eye(120)).abs().max() < 1e-5


def test_a_small_basis_restarts_to_the_same_eigenvalues() -> None:
    search = Extremes(400, 3, 2, torch.float64, torch.Generator().manual_seed(0), 1e-6, vectors=20)
    while not search.done:
        search.step(lambda v: MATRIX @ v)
        assert search.process.steps <= 20
    assert search.products > 60
    assert torch.allclose(search.pairs("top").values, OUTLIERS[:3], rtol=1e-10)
    assert torch.allclose(search.pairs("bottom").values, OUTLIERS.sort().values[:2], rtol=1e-8)


@pytest.mark.parametrize(
    "values", [[5, 5, 1, 1, 1, 1], [1] * 20, [0] * 20, [9] * 28 + [1, 2], [-3, -3, -3, 4, 4]], ids=str
)
def test_copies_of_an_eigenvalue_are_found(values: list[int]) -> None:
    matrix = symmetric(torch.tensor(values).double())
    for k in (1, 2, len(values)):
        for which, expected in zip(ENDS, (sorted(values, reverse=True), sorted(values)), strict=True):
            found = leading(lambda v: matrix @ v, len(values), k, which, dtype=torch.float64)
            assert found.values.tolist() == pytest.approx(expected[:k], abs=1e-10)


def test_the_least_image_is_exact_in_the_whole_space_and_a_bound_before() -> None:
    matrix = symmetric(torch.linspace(-3, 4.1, 30).double())
    least = torch.linalg.eigvalsh(matrix).abs().min().item()
    process = Lanczos(30, 30, torch.float64, torch.Generator().manual_seed(0))
    for _ in range(29):
        process.step(lambda v: matrix @ v)
        assert process.least_image() >= least - 1e-12
    process.step(lambda v: matrix @ v)
    assert process.least_image() == pytest.approx(least, rel=1e-9)


def test_a_search_that_is_saved_goes_on_to_the_same_bits() -> None:
    def search() -> Extremes:
        return Extremes(400, 3, 2, torch.float32, torch.Generator().manual_seed(0), vectors=20)

    matrix, whole, cut = MATRIX.float(), search(), search()
    for product in range(70):
        whole.step(lambda v: matrix @ v)
        cut.step(lambda v: matrix @ v)
        if product % 7 == 0:
            state = {name: tensor.clone() for name, tensor in cut.state().items()}
            cut = search()
            cut.load(state)
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, cut.state()[name]), name


def test_a_saved_search_has_ended_as_its_residuals_say() -> None:
    """But for the rounding of another processor; `just` is the tolerance at which it ends after these products."""
    whole = Extremes(400, 3, 0, torch.float64, torch.Generator().manual_seed(0), vectors=40)
    for _ in range(13):
        whole.step(lambda v: MATRIX @ v)
    found = whole.pairs("top")
    just = (found.residuals / found.values).max().item()
    assert 1e-6 < just < 0.1
    for tolerance, ended, right in (
        (just / 1.5, False, True), (just / 1.5, True, False), (just * 1.5, True, True), (just * 1.5, False, False),
        *((just * (1 + part * 1e-6), ended, True) for part in (-0.5, 0.5) for ended in (False, True)),
        (just * (1 - 2e-6), True, False), (just * (1 + 2e-6), False, False),
    ):  # fmt: skip
        search = Extremes(400, 3, 0, torch.float64, torch.Generator().manual_seed(0), tolerance, vectors=40)
        state = whole.state() | {"ended": torch.tensor([ended, ended])}
        if right:
            search.take(Held("saved", state, {}, 13), "")
            assert (search.converged, search.done, search.products) == (ended, ended, 13)
        else:
            with pytest.raises(GencliError, match=f"ended.*{ended}"):
                search.take(Held("saved", state, {}, 13), "")


def test_a_saved_basis_is_orthonormal_to_ten_roots_of_a_unit_in_the_last_place() -> None:
    whole = Extremes(400, 3, 0, torch.float32, torch.Generator().manual_seed(0), vectors=40)
    for _ in range(6):
        whole.step(lambda v: MATRIX.float() @ v)
    limit = 10 * 2.0**-11.5  # of a squared length, twice what a length is apart
    for part in (0.9, 1.1):
        search = Extremes(400, 3, 0, torch.float32, torch.Generator().manual_seed(0), vectors=40)
        state = whole.state() | {"basis": whole.state()["basis"] * (1 + part * limit) ** 0.5}
        if part < 1:
            search.take(Held("saved", state, {}, 6), "")
        else:
            with pytest.raises(GencliError, match=r"basis: 0\.0038 from orthonormal"):
                search.take(Held("saved", state, {}, 6), "")


def test_vectors_are_of_length_1_whatever_the_basis() -> None:
    """One that was saved may depart from orthonormal by more than rounding."""
    search = Extremes(400, 3, 2, torch.float64, torch.Generator().manual_seed(0), vectors=60)
    for _ in range(6):
        search.step(lambda v: MATRIX @ v)
    search.process.basis *= 1 + 1e-6
    for which in ENDS:
        assert (search.pairs(which).vectors.norm(dim=1) - 1).abs().max() < 1e-14


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(GencliError, match="--top: 11 eigenvalues, but the matrix has 10"):
        leading(lambda v: v, 10, 11)
    with pytest.raises(GencliError, match="--basis: 5 vectors for 10 eigenpairs"):
        leading(lambda v: v, 100, 10, vectors=5)
    with pytest.raises(GencliError, match="not finite"):
        leading(lambda v: v / 0, 10, 1)


def test_a_search_that_ends_at_its_limit_says_so() -> None:
    found = leading(lambda v: MATRIX @ v, 400, 10, dtype=torch.float64, most_products=12)
    assert found.products == 12
    assert not found.converged
    assert found.residuals.max() > 1e-3
