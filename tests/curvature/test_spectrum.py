"""What a spectrum says of its own progress."""

from __future__ import annotations

import torch

from gencli.curvature.spectrum import Request, Spectrum


def test_progress_never_passes_its_total_and_ends_at_it() -> None:
    values = torch.cat([torch.linspace(50, 5, 10), torch.linspace(-0.5, 0.5, 390)]).double()
    request = Request(
        top=2, bottom=3, condition=False, trace=10, probes=2, steps=20, tolerance=None, most_products=3000, basis=None
    )
    spectrum = Spectrum(len(values), values.dtype, request)
    guess = spectrum.expected
    for _ in spectrum.run(lambda vector: values * vector):
        assert spectrum.products <= spectrum.expected
    assert spectrum.products == spectrum.expected
    assert spectrum.products > guess, "the smallest lie in the bulk: the guess was to be too small"
