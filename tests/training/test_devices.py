"""Devices: which is taken, and that nothing asks for float64 of one that has none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gencli import tensors
from gencli.errors import GencliError
from gencli.evaluation.predictions import Predictions, cross_entropy
from gencli.evaluation.similarity import ssim
from gencli.models.inputs import Preprocessing
from gencli.models.layers import Whitening
from gencli.training import devices


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
    assert refused.value.hint == "take --device cpu"
