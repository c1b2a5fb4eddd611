"""Networks of the user's own: imported by the command line alone, checked before training, never by a file's words."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from gencli import models
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Input, Output
from gencli.models.base import functional_call

SHAPE = (4, 5, 2)
CODE = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.shift = torch.ones(1)  # no parameter, no buffer
        self.encode = nn.Linear(features, features, bias=False)
        self.decode = nn.Linear(features, features, bias=False)
        self.decode.weight = self.encode.weight
        self.last = nn.Linear(features, classes)

    def forward(self, images):
        return self.last(self.decode(self.encode(images.flatten(1))) + self.shift)

def factory(shape, classes):
    height, width, channels = shape
    return Tied(height * width * channels, classes)

def wide(shape, classes):
    return factory(shape, classes + 1)

def confused(shape, classes):
    return factory((1, *shape[1:]), classes)

def failing(shape, classes):
    raise KeyError("depth")

def empty(shape, classes):
    return nn.Flatten()

def none(shape, classes):
    pass
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    yield tmp_path
    for name in ("nets", "nets.mine", "broken"):
        sys.modules.pop(name, None)


def test_a_network_is_built_from_the_current_folder_and_read_under_its_name(here: Path) -> None:
    original = models.Model("nets.mine:factory", SHAPE, ("a", "b"), models.build("nets.mine:factory", SHAPE, 2))
    assert original.network.training
    assert original.parameters == 40 * 40 + 40 * 2 + 2
    with Output("model") as output:
        models.write(output, original, {}, provenance.step("train", {}))
    before = torch.random.get_rng_state()
    again = models.read(Input("model"), "nets.mine:factory")
    assert torch.equal(torch.random.get_rng_state(), before)
    images = torch.randn(3, 2, 4, 5)
    assert torch.equal(again.network(images), original.network.eval()(images))
    assert again.parameters == original.parameters  # what is one tensor stays one


def test_a_file_imports_nothing(here: Path) -> None:
    original = models.Model("nets.mine:factory", SHAPE, ("a", "b"), models.build("nets.mine:factory", SHAPE, 2))
    with Output("model") as output:
        models.write(output, original, {}, provenance.step("train", {}))
    del sys.modules["nets.mine"]
    for arch in (None, "mlp-1x7", "nets.mine:wide"):
        with pytest.raises(GencliError, match=r"model: its network is nets\.mine:factory") as raised:
            models.read(Input("model"), arch)
        assert "--arch" in raised.value.hint
        assert "nets.mine" not in sys.modules


@pytest.mark.parametrize(
    ("arch", "words", "hint"),
    [
        ("nowhere:factory", "no module 'nowhere'", "current folder"),
        ("nets.yours:factory", "no module 'nets.yours'", "current folder"),
        ("broken:factory", "importing broken fails: ModuleNotFoundError", "--debug"),
        ("nets.mine:factori", "no function 'factori' in nets.mine", "did you mean factory?"),
        (
            "nets.mine:failing",
            "nets.mine:failing fails: KeyError: 'depth'",
            "factory((height, width, channels), classes)",
        ),
        ("nets.mine:none", "nets.mine:none gives NoneType", "return"),
        ("nets.mine:empty", "nets.mine:empty has no parameters", "attributes"),
        ("nets.mine:confused", "nets.mine:confused fails on images [2, 2, 4, 5]", "float32 images"),
        ("nets.mine:wide", "nets.mine:wide returns [2, 4] for two images, not logits [2, 3]", "outputs"),
    ],
)
def test_what_is_no_network_is_refused(here: Path, arch: str, words: str, hint: str) -> None:
    with pytest.raises(GencliError) as raised:
        models.build(arch, SHAPE, 3)
    assert words in raised.value.message
    assert hint in raised.value.hint


def test_a_module_that_a_network_holds_twice_keeps_its_weights_when_it_runs_with_others() -> None:
    layer, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = layer.weight
    network = nn.Sequential(layer, layer, other)
    before = dict(network.named_parameters())
    given = {name: torch.full_like(each, 2.0) for name, each in before.items()}
    found = functional_call(network, given, (torch.ones(1, 3),))
    assert found.tolist() == [[2 * 3 * (2 * 3 * 8 + 2) + 2] * 3]
    assert dict(network.named_parameters()) == before
