"""Devices: which is taken, and that nothing asks for float64 of one that has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gencli import models
from gencli.errors import GencliError
from gencli.evaluation.predictions import Predictions, cross_entropy
from gencli.evaluation.similarity import ssim
from gencli.files import tensors
from gencli.models.inputs import Preprocessing
from gencli.models.layers import Whitening
from gencli.ranks import Group
from gencli.training import devices, steps
from gencli.training.settings import Precision, Settings
from gencli.training.setup import Setup, prepare
from tests.helpers import image_table


class NoFloat64(TorchDispatchMode):
    """Refuses float64 on the fake GPU, as Apple's refuse it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            on_gpu = isinstance(each, torch.Tensor) and each.device.type == "cuda"
            assert not on_gpu or each.dtype != torch.float64, func
        return result


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("whiten", ["image", "dataset", "none"])
def test_a_device_without_float64_gets_none(whiten: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "WITHOUT_FLOAT64", {"cuda"})
    moments = ((0.5,) * 3, (0.2,) * 3) if whiten == "dataset" else ((), ())
    with FakeTensorMode(), NoFloat64():
        images = torch.empty(4, 32, 32, 3, dtype=dtype, device="cuda")
        inputs = Preprocessing(whiten, None, *moments)(images)
        assert (inputs.device.type, inputs.dtype) == ("cuda", torch.float32)
        assert Whitening.moments(inputs).dtype == torch.float64
        assert ssim(inputs, inputs).dtype == torch.float64
        logits, labels = torch.empty(4, 10, device="cuda"), torch.zeros(4, dtype=torch.int64, device="cuda")
        found = Predictions.of(logits, labels, cross_entropy(logits, labels))
        assert tensors.double(found.losses).dtype == torch.float64


def test_apples_device_is_no_choice_for_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose("auto") == torch.device("mps")
    assert devices.choose("auto", float64=True) == torch.device("cpu")
    with pytest.raises(GencliError, match="--device: mps has no float64") as refused:
        devices.choose("mps", float64=True)
    assert refused.value.hint == "use --device cpu"


class Within(nn.Module):
    """Linear layers around what a network of one's own may do."""

    def __init__(self, middle: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.into, self.middle, self.out = nn.Linear(16, 8), middle, nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.out(self.middle(self.into(images.flatten(1))).reshape(len(images), -1)[:, :8])


class Doubled(nn.Bilinear):
    def forward(self, hidden: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(hidden, hidden)


class Volumes(nn.Conv3d):
    def forward(self, hidden: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(hidden.view(-1, 1, 2, 2, 2))


def put(hidden: torch.Tensor) -> torch.Tensor:
    made = torch.zeros(len(hidden), 8)
    made[:, torch.arange(8)] = hidden
    return made


WITHOUT_BF16: dict[str, Callable[[], Callable[[torch.Tensor], torch.Tensor]]] = {
    "Bilinear": lambda: Doubled(8, 8, 8),
    "index_add_": lambda: lambda hidden: torch.zeros(len(hidden), 8).index_add_(1, torch.arange(8), hidden),
    "index_put": lambda: put,
}


def setup(middle: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, precision: Precision) -> Setup:
    monkeypatch.setattr(models, "build", lambda *given: Within(middle()))
    settings = Settings(arch="mlp-1x8", epochs=1, batch_size=8, lr=0.05, device="cpu", precision="bf16")
    table = image_table(9, (4, 4, 1))
    return prepare(settings, table.description, table.schema.names, "toy").tried(precision)[0]


@pytest.mark.parametrize("name", WITHOUT_BF16)
def test_auto_is_float32_where_a_network_fails_in_bf16(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = setup(WITHOUT_BF16[name], monkeypatch, "auto")
    assert made.settings.precision == "float32"
    run = made.training(image_table(9, (4, 4, 1)), None, Group())
    run.run()
    assert run.history[-1].train_loss < 3
    with pytest.raises(GencliError, match=r"--precision: mlp-1x8 fails in bf16: .*[Tt]ype"):
        setup(WITHOUT_BF16[name], monkeypatch, "bf16")


def test_bf16_stays_where_the_network_works_or_fails_anyhow(monkeypatch: pytest.MonkeyPatch) -> None:
    for middle in (lambda: torch.tanh, lambda: lambda hidden: hidden @ torch.ones(3, 3)):
        assert setup(middle, monkeypatch, "auto").settings.precision == "bf16"


def test_parameters_of_five_dimensions_train(monkeypatch: pytest.MonkeyPatch) -> None:
    made = setup(lambda: Volumes(1, 2, 3, padding=1), monkeypatch, "auto")
    run = made.training(image_table(9, (4, 4, 1)), None, Group())
    before = run.model.network.get_parameter("middle.weight").detach().clone()
    run.run()
    assert before.shape == (2, 1, 3, 3, 3)
    assert not torch.equal(run.model.network.get_parameter("middle.weight"), before)


def test_a_gpu_repeats_itself_and_fills_no_memory_that_is_about_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked.append)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    assert devices.choose("auto") == torch.device("cuda")
    assert asked == [True]
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_a_step_seeds_the_cpu_and_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    with torch.random.fork_rng([]):
        steps._reseeding(torch.device("cuda"))(7)
        drawn = torch.rand(3)
        torch.default_generator.manual_seed(7)
        assert torch.equal(drawn, torch.rand(3))
    assert seeded == [7]


def test_float32_is_not_tf32_in_any_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch takes tf32 for convolutions and recurrent layers where nothing is said."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    cudnn: Any = torch.backends.cudnn
    kinds = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    before = [each.fp32_precision for each in kinds]
    try:
        devices.precision("float32", torch.device("cuda"))
        assert [each.fp32_precision for each in kinds] == ["ieee"] * 3
    finally:
        for each, was in zip(kinds, before, strict=True):
            each.fp32_precision = was
