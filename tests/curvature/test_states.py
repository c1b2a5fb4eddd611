"""A spectrum's checkpoint that its run cannot have written is refused, whatever was changed."""

from __future__ import annotations

import re

import pytest
import torch

from gencli.curvature.spectrum import Request, Spectrum
from gencli.errors import GencliError
from gencli.files.held import Held
from tests.mutations import of_tensors

SIZE = 40
ORTHOGONAL = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0)))[0]
MATRIX = ORTHOGONAL @ torch.diag(torch.arange(SIZE) - 10.0) @ ORTHOGONAL.T
REQUEST = Request(top=2, bottom=1, trace=8, probes=2, steps=4, basis=9)
# numbers that another operator can have given; after a restart (9 products) beta is not used any more
_POSSIBLE = re.compile(
    r"trace/(second|triangle): -?\d+ at \d+|.*/projected: -?\d+ at 0|density/nodes/\d: -?\d+ at \d"
    r"|eigenvalues/beta: \d+ at 0"
)


def spectrum() -> Spectrum:
    return Spectrum(SIZE, torch.float32, REQUEST)


def after(products: int) -> Spectrum:
    found = spectrum()
    for _ in zip(range(products), found.run(lambda v: MATRIX @ v)):
        pass
    return found


def accept(held: Held, words: str) -> None:
    spectrum().take(held)
    pytest.fail(f"accepted: {words}")


@pytest.mark.parametrize("products", [0, 9, 1000])
def test_whatever_is_changed_is_refused(products: int) -> None:
    whole = after(products)
    state = {name: each.clone() for name, each in whole.state().items()}
    for words, changed in of_tensors(state):
        if not _POSSIBLE.fullmatch(words):
            with pytest.raises(GencliError, match=r"^saved: .*, expected"):
                accept(Held("saved", changed, {}, whole.at), words)
    with pytest.raises(GencliError, match=r"saved: state\.more"):
        spectrum().take(Held("saved", state, {"more": 1}, whole.at))
    resumed = spectrum()
    resumed.take(Held("saved", state, {}, whole.at))
    assert all(torch.equal(each, state[name]) for name, each in resumed.state().items())
    assert resumed.products == whole.products
