"""Networks that no memory holds are refused before there are any numbers of them."""

import pytest
import torch

from gencli import models
from gencli.errors import GencliError
from gencli.models.base import Family, trained
from gencli.models.torchvision import require_stored


@pytest.mark.parametrize("arch", ["mlp-3x9999999", "circulant-mlp-1x9999999"])
def test_a_network_beyond_memory_is_refused(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.machine.free_memory", lambda: 1 << 30)
    with pytest.raises(GencliError, match=rf"--arch {arch}: [\d,]+ parameters: needs .* of memory"):
        models.build(arch, (32, 32, 3), 10)


def test_torchvisions_largest_is_refused_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.machine.free_memory", lambda: 1 << 30)
    with pytest.raises(GencliError, match=r"--arch torchvision:regnet_y_128gf: 644,812,894 parameters: needs 2\.4 GiB"):
        models.build("torchvision:regnet_y_128gf", (32, 32, 3), 10)


def test_a_small_file_names_no_large_network() -> None:
    with pytest.raises(GencliError, match="regnet_y_128gf has 644,812,894 parameters, too many for 4,096 bytes"):
        require_stored("torchvision:regnet_y_128gf", 4096)
    require_stored("torchvision:regnet_y_400mf", 4096)


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
