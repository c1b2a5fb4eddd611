"""Jacobians of networks, row by row, are torch's own of each row alone, and faults in them are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from gencli.errors import GencliError
from gencli.jacobians import entries
from gencli.jacobians import rows as under_test
from gencli.jacobians.entries import Check
from gencli.jacobians.rows import Mode, RowFunction, Wrt, rank, singular_values
from gencli.losses import choose
from gencli.losses.settings import LossSettings
from gencli.models import FAMILIES, Model, build, family
from gencli.models.inputs import Rows
from gencli.models.own import OWN
from tests.curvature.test_products import NORMS, SMOOTH
from tests.curvature.test_verification import FAULTS, Faulty

# a network of each family, and the side of its images
SMALL = {
    "linear": 6, "mlp-1x5": 6, "circulant-mlp-1x8": 6, "lenet5": 6, "alexnet-small": 12, "inception-small": 6,
    "convnet-vanilla": 16, "convnet-gelu": 16, "resnet18": 8, "resnet32": 8, "resnet32-cui2019": 8,
    "airbench": 9, "unet-small": 32, "torchvision:shufflenet_v2_x0_5": 32,
}  # fmt: skip
BOTH: tuple[Wrt, ...] = get_args(Wrt)
MODES: tuple[Mode, ...] = get_args(Mode)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of such small tensors two make none faster, and wait for each other
    yield
    torch.set_num_threads(threads)


def function(
    network: nn.Module | str = SMOOTH, wrt: Wrt = "input", loss: str | None = None, **more: Any
) -> RowFunction:
    torch.manual_seed(0)
    side = SMALL[network] if isinstance(network, str) else 6
    shape, arch = (side, side, 1), network if isinstance(network, str) else "mlp-1x5"
    built = build(network, shape, 3) if isinstance(network, str) else network
    images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = Rows(images, torch.arange(5) % 3, targets=images.flip(0))
    chosen = None if loss is None else choose(LossSettings(loss=loss))
    more = {"dtype": torch.float64} | more
    return RowFunction(Model(arch, shape, ("a", "b", "c"), built), rows, wrt, chosen, **more)


def whole(made: RowFunction, mode: Mode | None = None, **more: Any) -> Tensor:
    return torch.cat([chunk.matrices for chunk in made.jacobians(mode, **more)])


def expected(made: RowFunction, row: int, output: int) -> Tensor:
    """[size] by autograd, of one row alone."""
    images, targets = made.inputs(slice(row, row + 1))
    point = {name: each.detach().clone().requires_grad_() for name, each in made.point(row).items()}
    made(point, images[0], targets[0])[output].backward()
    return torch.cat(
        [(torch.zeros_like(each) if each.grad is None else each.grad).flatten() for each in point.values()]
    )


def test_there_is_a_network_of_every_family() -> None:
    assert {family(name).example for name in SMALL} == {each.example for each in FAMILIES if each is not OWN}


@pytest.mark.parametrize("name", SMALL)
def test_every_family_goes_through_vmap_and_is_right(name: str) -> None:
    loss = "l2" if name == "unet-small" else "ce"
    for wrt in BOTH:
        made, notes = function(name, wrt, loss, dtype=torch.float32), []
        [chunk] = made.jacobians(say=notes.append, rows=range(1, 2))
        assert not notes
        torch.testing.assert_close(chunk.matrices[0, 0], expected(made, 1, 0), rtol=1e-4, atol=1e-6)
        [one] = made.point(0) if wrt == "input" else list(made.point(0))[:1]
        assert made.split(chunk.matrices)[one].shape == (1, 1, *made.shapes[one])


@pytest.mark.parametrize("wrt", BOTH)
@pytest.mark.parametrize("name", NORMS)
def test_both_modes_give_the_jacobian_of_a_row_alone(name: str, wrt: Wrt) -> None:
    made = function(NORMS[name], wrt)
    forward, reverse = (whole(made, mode) for mode in MODES)
    torch.testing.assert_close(forward, reverse, rtol=1e-12, atol=1e-14)
    for row in (0, 4):
        for output in range(3):
            torch.testing.assert_close(reverse[row, output], expected(made, row, output), rtol=1e-12, atol=1e-14)


class Scaled(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(36, 3), nn.Tanh())
        self.scale = nn.Parameter(torch.tensor(1.3))

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * super().forward(input)


def test_parameters_that_are_one_number_without_dimensions() -> None:
    made = function(Scaled(), "parameters")
    forward, reverse = (whole(made, mode) for mode in MODES)
    torch.testing.assert_close(forward, reverse)
    torch.testing.assert_close(made.split(forward)["scale"][0, 1], expected(made, 0, 1)[0])


def test_gradients_of_the_rows_losses_have_the_mean_loss_gradient_as_mean() -> None:
    made = function(wrt="parameters", loss="cb-focal")
    images, targets = made.inputs(slice(None))
    weights = {name: each.clone().requires_grad_() for name, each in made.point(0).items()}
    torch.cat([made(weights, *pair) for pair in zip(images, targets)]).sum().backward()
    total = torch.cat([weights[name].grad.flatten() for name in weights])  # type: ignore[union-attr]
    torch.testing.assert_close(whole(made).sum((0, 1)), total, rtol=1e-12, atol=1e-14)


def test_little_memory_means_more_chunks_and_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrt in BOTH:
        for mode in MODES:
            made, three = function(wrt=wrt), range(1, 4)
            at_once = whole(made, mode, rows=three)
            for memory in (1_000, 10_000):
                monkeypatch.setattr(under_test, "_MEMORY", memory)
                assert memory > 1_000 or len(list(made.jacobians(mode, rows=three))) == 3
                torch.testing.assert_close(whole(made, mode, rows=three), at_once, rtol=1e-13, atol=1e-15)
            monkeypatch.undo()


def test_the_mode_that_takes_fewer_passes_is_chosen() -> None:
    assert function().mode == "reverse"
    assert function(nn.Sequential(nn.Flatten(), nn.Linear(36, 60))).mode == "forward"
    assert function(nn.Sequential(nn.Flatten(), nn.Linear(36, 60)), "parameters").mode == "reverse"


class Branching(nn.Module):
    """Looks at its numbers, which vmap does not let it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.linear(images.flatten(1))
        return outputs.tanh() if outputs.detach().sum().item() < 1e9 else outputs


@pytest.mark.parametrize("wrt", BOTH)
def test_what_vmap_cannot_do_goes_row_by_row_and_is_said(wrt: Wrt) -> None:
    for mode in (None, *MODES):
        made, notes = function(Branching(), wrt), []
        found = whole(made, mode, say=notes.append)
        for row in range(5):
            torch.testing.assert_close(found[row, 2], expected(made, row, 2), rtol=1e-12, atol=1e-14)
        [note] = notes
        assert "row by row" in note
        assert "vmap" in note


def test_a_mode_that_torch_lacks_is_refused_or_replaced() -> None:
    made = function(Faulty(FAULTS["a gradient 1e-4 off"]))
    with pytest.raises(GencliError, match="--mode: forward is not available for mlp-1x5"):
        whole(made, "forward")
    assert whole(made).shape == (5, 3, 36)


def check(network: nn.Module | str, wrt: Wrt, dtype: torch.dtype = torch.float64, **more: Any) -> Check:
    made = function(network, wrt, dtype=dtype, **more)
    exact = made if dtype == torch.float64 else function(network, wrt, **more)
    plan = Check.plan(made)
    for chunk in made.jacobians():
        plan.note(chunk)
    plan.judge(exact, None, 1e-10 if dtype == torch.float64 else 1e-4)
    return plan


@pytest.mark.parametrize("wrt", BOTH)
def test_smooth_networks_hold_to_1e_12(wrt: Wrt) -> None:
    for loss in (None, "ce"):
        found = check(SMOOTH, wrt, loss=loss)
        assert set(found.verdicts) == {"holds"}
        assert max(found.apart) <= 1e-12
        assert {entry.tensor for entry in found.entries} == set(function(wrt=wrt).shapes)
        assert set(check(SMOOTH, wrt, torch.float32, loss=loss).verdicts) == {"holds"}


@pytest.mark.parametrize("name", ["mlp-1x5", "alexnet-small"])
def test_networks_with_kinks_do_not_fail(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "LEAST", 6)
    for dtype in (torch.float32, torch.float64):
        found = check(name, "input", dtype)
        assert not found.failed
        assert found.verdicts.count("holds") >= 3


@pytest.mark.parametrize("fault", ["a gradient 1e-4 off", "a part of 1e-6 that is left out"])
@pytest.mark.parametrize("wrt", BOTH)
def test_planted_faults_fail(fault: str, wrt: Wrt) -> None:
    found = check(Faulty(FAULTS[fault]), wrt)
    assert len(found.failed) > 3
    assert found.failed[0].startswith("row ")


def test_an_entry_at_a_kink_is_told_from_a_fault() -> None:
    class At(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(36, 3))

        def forward(self, images: Tensor) -> Tensor:
            return (images.flatten(1) @ self.weight).relu()

    found = check(At(), "parameters")
    assert "kinks" in found.verdicts
    assert not found.failed


def test_ranks_and_singular_values() -> None:
    torch.manual_seed(0)
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(36, 2), nn.Tanh(), nn.Linear(2, 8))
    for dtype in (torch.float32, torch.float64):
        made = function(narrow, dtype=dtype)
        for matrix in whole(made):
            assert rank(singular_values(matrix), dtype) == 2
    assert singular_values(torch.diag(torch.tensor([1.0, 3.0, 2.0]))).tolist() == [3, 2, 1]
    assert rank(singular_values(torch.zeros(3, 4)), torch.float32) == 0


def test_the_model_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    for wrt in BOTH:
        whole(function(network, wrt, "ce"))
    assert network.training
    assert all(each.grad is None and each.requires_grad for each in network.parameters())
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


@pytest.mark.parametrize(
    ("network", "more", "words"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36, track_running_stats=False), nn.Linear(36, 3)),
            {},
            "other rows",
        ),
        (SMOOTH, {"wrt": "parameters", "parameters": "1.wight"}, "none that match '1.wight'"),
        (SMOOTH, {"loss": "l2"}, "l2 is for images"),
    ],
)
def test_what_has_no_such_jacobian_is_refused(network: nn.Module, more: dict[str, Any], words: str) -> None:
    with pytest.raises(GencliError, match=words):
        function(network, **more)
