"""The trace's estimate and its standard error, on spectra of every kind of decay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gencli.curvature.lanczos import Matvec
from gencli.curvature.xtrace import Trace, XTrace
from gencli.errors import GencliError

SIZE = 300
NUMBERS = torch.arange(1, SIZE + 1, dtype=torch.float64)
SPECTRA = {
    "polynomial": NUMBERS**-2,
    "exponential": 0.7**NUMBERS,
    "step": torch.where(NUMBERS <= 50, 1.0, 1e-3).double(),
    "both signs": torch.where(NUMBERS % 3 == 0, -1, 1) / NUMBERS,
    "outliers": torch.where(NUMBERS <= 10, 20 / NUMBERS, 1e-3).double(),
}


def trace(
    matvec: Matvec, size: int, products: int = 98, dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
) -> Trace:  # fmt: skip
    estimator = XTrace(size, products, dtype, generator or torch.Generator().manual_seed(0))
    while not estimator.done:
        estimator.step(matvec)
    return estimator.result()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small products wait for each other's threads on a loaded machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SPECTRA)
def test_two_standard_errors_cover_the_error_for_nine_seeds_in_ten(name: str) -> None:
    values = SPECTRA[name]
    covered, errors = 0, []
    for seed in range(100):
        found = trace(lambda v: values * v, SIZE, 98, torch.float64, torch.Generator().manual_seed(seed))
        errors.append(abs(found.value - values.sum().item()))
        covered += errors[-1] <= 2 * found.standard_error
    assert covered >= 90
    if name in ("polynomial", "exponential", "outliers"):
        assert torch.tensor(errors).median() <= 0.003 * values.sum()


@settings(max_examples=40)
@given(size=st.integers(1, 30), products=st.integers(4, 70), seed=st.integers(0, 10**6))
def test_what_the_products_span_is_exact(size: int, products: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(size, max(1, products // 2 - 1), dtype=torch.float64, generator=generator)
    matrix = raw @ raw.T
    found = trace(lambda v: matrix @ v, size, products, torch.float64, generator)
    assert found.products == 2 * min(products // 2, size)
    assert found.value == pytest.approx(matrix.trace().item(), rel=1e-8)


def test_the_estimate_is_that_of_the_definition() -> None:
    """Each probe left out in turn, by a decomposition of its own."""
    matrix = torch.diag(SPECTRA["both signs"][:60])
    probes = torch.randn(8, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    probes *= 60**0.5 / probes.norm(dim=1, keepdim=True)
    estimates = []
    for left in range(8):
        basis, _ = torch.linalg.qr(matrix @ torch.cat([probes[:left], probes[left + 1 :]]).T)
        rest = probes[left] - basis @ (basis.T @ probes[left])
        outside = (60 - 8 + 1) * (rest @ matrix @ rest) / (rest @ rest)
        estimates.append(((basis.T @ matrix @ basis).trace() + outside).item())
    found = trace(lambda v: matrix @ v, 60, 16, torch.float64, torch.Generator().manual_seed(3))
    assert found.value == pytest.approx(sum(estimates) / 8, rel=1e-10)


def test_the_standard_error_is_that_of_the_estimates_without_a_probe() -> None:
    """√((k − 1)/k Σ (mₗ − m̄)²), mₗ the estimate of the definition from all probes but l."""
    matrix = torch.diag(SPECTRA["both signs"][:60])
    probes = torch.randn(6, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    probes *= 60**0.5 / probes.norm(dim=1, keepdim=True)
    means = []
    for left in range(6):
        kept = torch.cat([probes[:left], probes[left + 1 :]])
        estimates = []
        for number in range(5):
            basis, _ = torch.linalg.qr(matrix @ torch.cat([kept[:number], kept[number + 1 :]]).T)
            rest = kept[number] - basis @ (basis.T @ kept[number])
            outside = (60 - 5 + 1) * (rest @ matrix @ rest) / (rest @ rest)
            estimates.append((basis.T @ matrix @ basis).trace() + outside)
        means.append(torch.stack(estimates).mean())
    expected = (5 * torch.stack(means).var(correction=0)).sqrt()
    found = trace(lambda v: matrix @ v, 60, 12, torch.float64, torch.Generator().manual_seed(3))
    assert found.standard_error == pytest.approx(expected.item(), rel=1e-9)


def test_nothing_has_no_trace() -> None:
    found = trace(torch.zeros_like, 50, 10)
    assert (found.value, found.standard_error) == (0, 0)


def test_an_estimate_that_is_saved_goes_on_to_the_same_bits() -> None:
    def estimator() -> XTrace:
        return XTrace(SIZE, 20, torch.float32, torch.Generator().manual_seed(0))

    values = SPECTRA["polynomial"].float()
    whole, cut = estimator(), estimator()
    while not whole.done:
        whole.step(lambda v: values * v)
        cut.step(lambda v: values * v)
        state = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in cut.state().items()}
        cut = estimator()
        cut.load(state)
    assert cut.done
    assert cut.result() == whole.result()


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(GencliError, match="--trace-products: 3 is too few"):
        trace(lambda v: v, 10, 3)
    with pytest.raises(GencliError, match="not finite"):
        trace(lambda v: v / 0, 10)
