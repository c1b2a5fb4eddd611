"""What holds of every network of the table: it runs on a GPU and in bfloat16, takes its options, comes from a file."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from gencli import models
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Input, Output
from gencli.models import FAMILIES, Options

SAMPLES = [name for family in FAMILIES for name in family.samples]
OURS = [name for name in SAMPLES if not name.startswith("torchvision:")]
SHAPE = (32, 32, 3)


class NothingOnTheCPU(TorchDispatchMode):
    """Refuses operations whose result lies on the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            assert not isinstance(each, torch.Tensor) or each.device.type != "cpu", func
        return result


@contextmanager
def autocast(device: str) -> Iterator[None]:
    """As torch.autocast in bfloat16, which asks for a real device."""
    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.set_autocast_enabled(device, True)
    try:
        yield
    finally:
        torch.set_autocast_enabled(device, False)


def step(arch: str, device: str) -> None:
    """On tensors without numbers, in channels-last layout, under autocast on a GPU."""
    with torch.device("meta"):
        network = models.build(arch, SHAPE, 10)
    tensors = [*network.named_parameters(), *network.named_buffers()]
    shape = (4, 3, 32, 32)
    with FakeTensorMode() if device == "cuda" else nullcontext():
        state = {name: empty(tensor.shape, device, tensor.dtype) for name, tensor in tensors}
        images = empty(shape, device)
        for name, parameter in network.named_parameters():
            state[name].requires_grad_(parameter.requires_grad)
        with NothingOnTheCPU():
            with autocast(device) if device == "cuda" else nullcontext():
                result = torch.func.functional_call(network, state, images)
            assert result.shape == (shape if models.family(arch).task == "images" else (4, 10))
            if device == "meta" or torch.cuda.is_available():  # torch's engine looks for the gradient's GPU
                result.float().square().sum().backward()
                assert all(each.grad is not None for each in state.values() if each.requires_grad)


def empty(shape: tuple[int, ...], device: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.empty(shape, dtype=dtype, device=device, memory_format=layout)


@pytest.mark.parametrize("arch", SAMPLES)
def test_a_step_on_another_device_makes_no_tensor_on_the_cpu(arch: str) -> None:
    step(arch, "meta")


@pytest.mark.parametrize("arch", SAMPLES)
def test_a_pass_on_a_gpu_under_autocast_makes_no_tensor_on_the_cpu(arch: str) -> None:
    step(arch, "cuda")


@pytest.mark.parametrize("arch", OURS)
def test_channels_last_changes_nothing_and_bfloat16_little(arch: str) -> None:
    torch.manual_seed(0)
    network = models.build(arch, (16, 16, 3), 10).eval()
    images = torch.randn(2, 3, 16, 16)
    expected = network(images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = images.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(images), expected, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        result = network(images)
    assert ((result - expected).norm() / expected.norm()).item() < 0.1
    result.float().square().sum().backward()
    trained = [each for each in network.parameters() if each.requires_grad]
    assert all(each.grad is not None and each.grad.isfinite().all() for each in trained)


@pytest.mark.parametrize("arch", OURS)
def test_weights_are_a_function_of_torchs_seed(arch: str) -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([each.detach().flatten() for each in models.build(arch, (16, 16, 1), 3).parameters()])

    first = drawn(7)
    assert torch.equal(first, drawn(7))
    assert not torch.equal(first, drawn(8))


@pytest.mark.parametrize("arch", OURS)
def test_options_change_the_network_or_are_refused(arch: str) -> None:
    def layers(**options: Any) -> set[type]:
        return {type(each) for each in models.build(arch, (16, 16, 1), 3, Options(**options)).modules()}

    norms = {nn.BatchNorm1d, nn.BatchNorm2d}
    takes = models.family(arch).options
    for name, value in (("batch_norm", True), ("batch_norm", False), ("dropout", 0.5), ("dropout", 0.0)):
        if name not in takes:
            with pytest.raises(GencliError, match=f"--{name.replace('_', '-')}: {arch} has no such option"):
                layers(**{name: value})
    if "batch_norm" in takes:
        assert any(issubclass(each, tuple(norms)) for each in layers(batch_norm=True))
        assert not any(issubclass(each, tuple(norms)) for each in layers(batch_norm=False))
    if "dropout" in takes:
        assert nn.Dropout in layers(dropout=0.5)
        assert nn.Dropout not in layers(dropout=0.0)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_dropout_is_a_probability_below_one(rate: float) -> None:
    with pytest.raises(GencliError, match=r"--dropout: .* is not a probability below 1"):
        models.build("mlp-1x7", SHAPE, 10, Options(dropout=rate))


@pytest.mark.parametrize("arch", OURS)
def test_the_least_image_fits_and_a_smaller_one_is_refused(arch: str) -> None:
    least = models.family(arch).least
    network = models.build(arch, (least, least + 1, 1), 10)
    assert network.eval()(torch.randn(2, 1, least, least + 1)).shape[0] == 2
    if least > 1:
        with pytest.raises(GencliError, match=f"--arch: {arch} takes images of at least {least}×{least}"):
            models.build(arch, (least, least - 1, 1), 10)


@pytest.mark.parametrize("arch", [*OURS, "torchvision:resnet18", "torchvision:regnet_x_400mf"])
def test_a_network_comes_back_from_its_file(arch: str, tmp_path: Path) -> None:
    original = models.Model(arch, (16, 16, 3), ("a", "b"), models.build(arch, (16, 16, 3), 2))
    with torch.no_grad():
        images = torch.randn(4, 3, 16, 16)
        original.network.train()(images)  # moves the statistics of batch norm
        expected = original.network.eval()(images)
        with Output(str(tmp_path / "model")) as output:
            models.write(output, original, {}, provenance.step("train", {}))
        assert torch.equal(models.read(Input(str(tmp_path / "model"))).network(images), expected)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.example)
def test_a_family_says_what_it_is_and_its_samples_are_of_it(family: models.Family) -> None:
    assert all(words.isascii() and words for words in (family.purpose, family.source))
    assert all(models.family(name) is family for name in family.samples)


@pytest.mark.parametrize("shape", [(16, 9, 3), (9, 16, 1)])
def test_both_sides_of_an_image_that_is_too_small_are_named(shape: tuple[int, int, int]) -> None:
    with pytest.raises(GencliError, match=f"convnet-gelu takes images of at least 16×16, not {shape[0]}×{shape[1]}$"):
        models.build("convnet-gelu", shape, 3)
