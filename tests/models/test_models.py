"""Model files: the same network comes back, the same bytes every time, and misfits are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from gencli import models, provenance, tensors
from gencli.errors import GencliError
from gencli.models.inputs import PREPROCESSING
from gencli.stream import Input, Output
from tests.helpers import image_table

MADE = provenance.step("train", {"arch": "mlp-2x7"})


def model(arch: str = "mlp-2x7") -> models.Model:
    shape, classes = (4, 3, 2), ("Größe", "b", "c")
    return models.Model(arch, shape, classes, models.build(arch, shape, len(classes)))


def save(original: models.Model, path: Path) -> Input:
    with Output(str(path)) as output:
        models.write(output, original, {"lr": 0.1}, MADE)
    return Input(str(path))


def test_a_model_comes_back(tmp_path: Path) -> None:
    original = model()
    again = models.read(save(original, tmp_path / "model"))
    images = torch.randn(6, 2, 4, 3)
    assert torch.equal(again.network(images), original.network(images))
    assert (again.arch, again.shape, again.classes) == (original.arch, original.shape, original.classes)
    assert again.parameters == original.parameters == 24 * 7 + 7 + 7 * 7 + 7 + 7 * 3 + 3
    assert again.made == MADE
    assert not again.network.training


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    original = model()
    for name in ("first", "second"):
        save(original, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_metadata_says_what_the_model_is(tmp_path: Path) -> None:
    original = model()
    source = save(original, tmp_path / "model")
    assert tensors.read_metadata(source) == {
        "architecture": "mlp-2x7",
        "shape": [4, 3, 2],
        "classes": ["Größe", "b", "c"],
        "preprocessing": PREPROCESSING,
        "parameters": original.parameters,
        "training": {"lr": 0.1},
        "step": MADE,
    }
    with safe_open(tmp_path / "model", "pt") as file:
        assert set(file.keys()) == set(original.network.state_dict())


def write_tensors(path: Path, content: dict[str, torch.Tensor], **facts: Any) -> Input:
    source = save(model(), path.with_suffix(".whole"))
    with Output(str(path)) as output:
        tensors.write(output, content, tensors.read_metadata(source) | facts)
    return Input(str(path))


@pytest.mark.parametrize("change", ["shape", "dtype", "missing", "extra"])
def test_wrong_tensors_are_refused(change: str, tmp_path: Path) -> None:
    content = dict(model().network.state_dict())
    name = next(iter(content))
    if change == "shape":
        content[name] = content[name].T
    elif change == "dtype":
        content[name] = content[name].double()
    elif change == "missing":
        del content[name]
    else:
        content["extra"] = torch.zeros(3)
    with pytest.raises(GencliError, match="not the tensors of mlp-2x7"):
        models.read(write_tensors(tmp_path / "model", content))


def test_a_network_of_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GencliError, match="no network 'resnet-18'"):
        models.read(write_tensors(tmp_path / "model", model().network.state_dict(), architecture="resnet-18"))


def test_tensors_without_a_model_are_refused(tmp_path: Path) -> None:
    with Output(str(tmp_path / "vector")) as output:
        tensors.write(output, {"weight": torch.zeros(3)}, {"step": MADE})
    with pytest.raises(GencliError, match="tensors, but no model"):
        models.read(Input(str(tmp_path / "vector")))


def test_data_of_another_kind_is_refused() -> None:
    description = image_table(shape=(4, 3, 2), classes=3).description
    fitting = replace(description, classes=("Größe", "b", "c"))
    model().require(fitting, "toy")
    with pytest.raises(GencliError, match="toy: images of 4×3×1, where the model takes 4×3×2"):
        model().require(replace(fitting, shape=(4, 3, 1)), "toy")
    with pytest.raises(GencliError, match=r"toy: .*b.*where the model has .*Größe"):
        model().require(replace(fitting, classes=("b", "Größe", "c")), "toy")
    with pytest.raises(GencliError, match=r"toy: 2 classes.*where the model has 3"):
        model().require(replace(fitting, classes=("Größe", "b")), "toy")
