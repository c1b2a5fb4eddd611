"""Model files: the same network comes back, the same bytes every time, and misfits are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from gencli import models
from gencli.errors import GencliError
from gencli.files import provenance, tensors
from gencli.files.stream import Input, Output
from gencli.files.tables import Description, MemoryTable
from gencli.models.inputs import Preprocessing

MADE = provenance.step("train", {"arch": "mlp-2x7"})


def model(arch: str = "mlp-2x7", options: models.Options = models.PLAIN) -> models.Model:
    shape, classes = (4, 3, 2), ("Größe", "b", "c")
    return models.Model(arch, shape, classes, models.build(arch, shape, len(classes), options), options)


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


def test_options_and_preprocessing_come_back(tmp_path: Path) -> None:
    options = models.Options(batch_norm=True, dropout=0.5, head="cosine")
    preprocessing = Preprocessing("dataset", 3, (0.25, 0.5), (0.1, 0.2))
    network = models.build("mlp-1x7", preprocessing.input_shape((4, 5, 2)), 2, options)
    original = models.Model("mlp-1x7", (4, 5, 2), ("a", "b"), network, options, preprocessing)
    again = models.read(save(original, tmp_path / "model"))
    assert (again.options, again.preprocessing, again.shape) == (options, preprocessing, (4, 5, 2))
    images = torch.randn(6, 2, 3, 3)
    assert torch.equal(again.network(images), network.eval()(images))


def test_reading_draws_no_random_numbers(tmp_path: Path) -> None:
    source = save(model(), tmp_path / "model")
    before = torch.random.get_rng_state()
    models.read(source)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_model_of_images_needs_no_classes(tmp_path: Path) -> None:
    original = models.Model("unet-small", (4, 3, 2), (), models.build("unet-small", (4, 3, 2), 0))
    again = models.read(save(original, tmp_path / "model"))
    assert (again.task, again.classes, model().task) == ("images", (), "classes")
    images = torch.randn(6, 2, 4, 3)
    assert torch.equal(again.network(images), original.network(images))


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    original = model()
    for name in ("first", "second"):
        save(original, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_classes_rows_and_the_epoch_are_read_again(tmp_path: Path) -> None:
    original = model()
    original.class_rows, original.epoch = (5, 0, 7), 3
    again = models.read(save(original, tmp_path / "model"))
    assert (again.class_rows, again.epoch) == ((5, 0, 7), 3)


def test_metadata_says_what_the_model_is(tmp_path: Path) -> None:
    original = model()
    source = save(original, tmp_path / "model")
    assert tensors.read_metadata(source) == {
        "architecture": "mlp-2x7",
        "options": {"batch_norm": None, "dropout": None, "head": "linear"},
        "shape": [4, 3, 2],
        "classes": ["Größe", "b", "c"],
        "subset_below": None,
        "preprocessing": Preprocessing().to_json(),
        "parameters": original.parameters,
        "training": {"lr": 0.1},
        "class_rows": None,
        "epoch": None,
        "step": MADE,
    }
    assert (models.read(source).class_rows, models.read(source).epoch) == (None, None)
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


def test_the_nearest_network_is_named() -> None:
    with pytest.raises(GencliError, match="--arch: no network 'resnet-18'") as raised:
        models.build("resnet-18", (32, 32, 3), 10)
    assert raised.value.hint == "did you mean resnet18?"


OPTIONS = {"batch_norm": None, "dropout": None, "head": "linear"}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"options": None}, "options are unknown"),
        ({"options": {"batch_norm": 1, "dropout": None, "head": "linear"}}, "options are unknown"),
        ({"options": OPTIONS | {"dropout": "half"}}, "options are unknown"),
        ({"options": OPTIONS | {"head": "round"}}, "options are unknown"),
        ({"options": OPTIONS | {"depth": 3}}, "options are unknown"),
        ({"options": OPTIONS | {"dropout": 2.0}}, "model: --dropout"),
        ({"architecture": "resnet32"}, "resnet32 has .* parameters or more, too many for"),
        ({"architecture": "convnet-gelu"}, "convnet-gelu takes images of at least 16×16"),
        ({"architecture": "linear", "options": OPTIONS | {"dropout": 0.5}}, "linear has no such option"),
        ({"classes": []}, "without class names"),
        ({"preprocessing": {}}, "model: its preprocessing"),
        ({"preprocessing": Preprocessing(crop=4).to_json()}, "model: --crop"),
        ({"class_rows": [1, 2]}, "corrupt metadata: class_rows"),
        ({"class_rows": [1, 2, -1]}, "corrupt metadata: class_rows"),
        ({"class_rows": [1, 2, True]}, "corrupt metadata: class_rows"),
        ({"epoch": 0.5}, "corrupt metadata: class_rows None, epoch 0.5"),
    ],
)
def test_other_words_are_refused(facts: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=words):
        models.read(write_tensors(tmp_path / "model", model().network.state_dict(), **facts))


def test_another_name_than_the_files_is_refused(tmp_path: Path) -> None:
    source = save(model(), tmp_path / "model")
    assert models.read(source, "mlp-2x7").arch == "mlp-2x7"
    with pytest.raises(GencliError, match="its network is mlp-2x7, not mlp-1x7"):
        models.read(source, "mlp-1x7")


def test_tensors_without_a_model_are_refused(tmp_path: Path) -> None:
    with Output(str(tmp_path / "vector")) as output:
        tensors.write(output, {"weight": torch.zeros(3)}, {"step": MADE})
    with pytest.raises(GencliError, match="tensors, but not a model"):
        models.read(Input(str(tmp_path / "vector")))


def table(shape: models.Shape = (4, 3, 2), *classes: str) -> MemoryTable:
    description = Description("toy", "train", classes or ("Größe", "b", "c"), shape)
    return MemoryTable("toy", description, np.zeros((2, *shape), np.uint8), np.zeros(2, np.int64))


def test_data_of_another_kind_is_refused() -> None:
    model().require(table())
    with pytest.raises(GencliError, match="toy: images of 4×3×1, but the model takes 4×3×2"):
        model().require(table((4, 3, 1)))
    with pytest.raises(GencliError, match=r"toy: .*b.*but the model has .*Größe"):
        model().require(table((4, 3, 2), "b", "Größe", "c"))
    with pytest.raises(GencliError, match=r"toy: 2 classes.*but the model has 3"):
        model().require(table((4, 3, 2), "Größe", "b"))
    with pytest.raises(GencliError, match="toy: 3 classes") as refused:
        model().require(table((4, 3, 2), "0", "1", "2"))
    assert refused.value.hint.endswith("--class-names Größe,b,c")


def test_a_model_of_images_takes_all_classes_and_needs_targets() -> None:
    network = models.build("unet-small", (4, 3, 2), 0)
    with pytest.raises(GencliError, match="toy: no column target"):
        models.Model("unet-small", (4, 3, 2), ("a",), network).require(table())
