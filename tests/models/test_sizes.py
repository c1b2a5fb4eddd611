"""Networks that no memory holds are refused before there are any numbers of them."""

from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_module_registration_hook

from gencli import models
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Input, Output
from gencli.models.base import Family, Head, trained


@pytest.mark.parametrize("arch", ["mlp-3x9999999", "circulant-mlp-1x9999999"])
def test_a_network_beyond_memory_is_refused(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.machine.free_memory", lambda: 1 << 30)
    with pytest.raises(GencliError, match=rf"--arch {arch}: [\d,]+ parameters( and more)?: needs .* of memory"):
        models.build(arch, (32, 32, 3), 10)


def test_torchvisions_largest_is_refused_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.machine.free_memory", lambda: 1 << 30)
    with pytest.raises(GencliError, match=r"--arch torchvision:regnet_y_128gf: 644,812,894 parameters: needs 2\.4 GiB"):
        models.build("torchvision:regnet_y_128gf", (32, 32, 3), 10)


@pytest.mark.parametrize(
    "arch", ["mlp-9999x9999999", "mlp-9999x1", "circulant-mlp-9999x9", "torchvision:regnet_y_128gf"]
)
def test_a_small_file_names_no_large_network(arch: str, tmp_path: Path) -> None:
    """Nor a deep one: it is refused at the first layers that are too many."""
    model = models.Model("linear", (32, 32, 1), ("a", "b"), models.build("linear", (32, 32, 1), 2))
    model.arch = arch
    path = tmp_path / "m.safetensors"
    with Output(str(path), binary=True) as output:
        models.write(output, model, {}, provenance.step("train", {}))
    built = []
    hook = register_module_module_registration_hook(lambda *given: built.append(given))
    try:
        with pytest.raises(
            GencliError, match=rf"^{path}: {arch} has [\d,]+ parameters or more, too many for [\d,]+ bytes"
        ):
            models.read(Input(str(path)))
    finally:
        hook.remove()
    assert len(built) < 5000


@pytest.mark.parametrize("arch", ["torchvision:regnet_y_400mf", "torchvision:mobilenet_v3_small", "airbench"])
@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_a_file_has_room_for_its_own_network(arch: str, head: Head, tmp_path: Path) -> None:
    options = models.Options(head=head)
    model = models.Model(arch, (32, 32, 1), ("a", "b"), models.build(arch, (32, 32, 1), 2, options), options)
    with Output(str(tmp_path / "m.safetensors"), binary=True) as output:
        models.write(output, model, {}, provenance.step("train", {}))
    assert models.read(Input(str(tmp_path / "m.safetensors"))).parameters == model.parameters


@pytest.mark.parametrize("family", models.FAMILIES[:-2], ids=lambda family: family.example)
def test_measuring_a_network_draws_nothing(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    monkeypatch.setattr(models, "require_room", lambda count, arch: counts.append((count, torch.get_rng_state())))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network = models.build(family.samples[0] if family.samples else family.example, (32, 32, 3), 10)
    [(count, after)] = counts
    assert count == trained(network)
    assert torch.equal(before, after)
