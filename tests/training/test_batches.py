"""Batches are the rows, augmented, cropped and whitened; what is drawn follows the seed and the step alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gencli.errors import GencliError
from gencli.models import Model
from gencli.models.inputs import Preprocessing, Rows, load, target_input
from gencli.training.batches import Batches
from gencli.training.settings import Settings
from gencli.training.setup import choose
from tests.helpers import image_table

SHAPE = (6, 8, 3)
SETTINGS = Settings(arch="mlp-1x8", device="cpu")
INDEX = torch.tensor([3, 17, 3, 0])


def rows() -> Rows:
    return load(image_table(40, SHAPE))


def batches(settings: Settings, data: Rows, arch: str = "mlp-1x8") -> tuple[Batches, Preprocessing]:
    preprocessing = Preprocessing.of([data.images], settings.whiten or "none", settings.crop)
    model = Model(arch, SHAPE, ("a", "b", "c"), torch.nn.Identity(), preprocessing=preprocessing)
    return Batches(data, model, settings), preprocessing


@pytest.mark.parametrize("whiten", ["image", "dataset", "none"])
@pytest.mark.parametrize("crop", [None, 5])
def test_a_batch_is_the_preprocessed_rows_and_their_labels(whiten: str, crop: int | None) -> None:
    data = rows()
    made, preprocessing = batches(replace(SETTINGS, whiten=whiten, crop=crop), data)  # type: ignore[arg-type]
    images, labels = made.at(INDEX, 0)[:2]
    assert torch.equal(labels, data.labels[INDEX])
    torch.testing.assert_close(images, preprocessing(data.images[INDEX]))


@pytest.mark.parametrize("whiten", ["image", "dataset", "none"])
def test_flipped_images_are_whitened_as_the_others(whiten: str) -> None:
    data = rows()
    made, preprocessing = batches(replace(SETTINGS, whiten=whiten, augment="flip"), data)  # type: ignore[arg-type]
    images, plain = made.at(INDEX, 0)[0], preprocessing(data.images[INDEX])
    flipped = [torch.allclose(one, other.flip(2), atol=1e-5) for one, other in zip(images, plain)]
    kept = [torch.allclose(one, other, atol=1e-5) for one, other in zip(images, plain)]
    assert all(either != other for either, other in zip(flipped, kept))


def test_random_windows_are_whitened_by_what_they_hold() -> None:
    data = rows()
    made, _ = batches(replace(SETTINGS, whiten="image", crop=5, augment="crop"), data)
    images = made.at(INDEX, 0)[0]
    for image, whole in zip(images, data.images[INDEX]):
        windows = whole.unfold(0, 5, 1).unfold(1, 5, 1).flatten(0, 1).permute(0, 2, 3, 1)
        candidates = Preprocessing()(windows.contiguous())
        assert (candidates - image).abs().amax((1, 2, 3)).min() < 1e-5


def test_a_step_draws_the_same_again_and_another_step_something_else() -> None:
    settings = replace(SETTINGS, whiten="none", augment="crop,flip")
    index = torch.arange(40)
    first, again = (batches(settings, rows())[0].at(index, 7)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(batches(settings, rows())[0].at(index, 8)[0], first)
    assert not torch.equal(batches(replace(settings, seed=1), rows())[0].at(index, 7)[0], first)


def test_an_image_and_its_target_are_moved_alike() -> None:
    data = rows()
    data.targets = 255 - data.images
    settings = replace(SETTINGS, arch="unet-small", whiten="none", augment="crop,flip,translate:1", crop=5)
    made, _ = batches(settings, data, "unet-small")
    images, targets = made.at(torch.arange(40), 0)[:2]
    inside = images > 0  # what lies outside the image is 0 in both
    torch.testing.assert_close((images + targets)[inside], torch.ones(int(inside.sum())))
    assert targets.shape == (40, 3, 5, 5)


def test_targets_without_augmentation_are_the_centre() -> None:
    data = rows()
    data.targets = 255 - data.images
    made, preprocessing = batches(replace(SETTINGS, arch="unet-small", crop=4), data, "unet-small")
    assert torch.equal(made.at(INDEX, 0)[1], target_input(preprocessing.center(data.targets[INDEX])))


def test_what_changes_the_image_alone_is_refused_for_image_to_image_networks() -> None:
    with pytest.raises(GencliError, match="--augment: cutout:2 would change the image but not its target"):
        choose(replace(SETTINGS, arch="unet-small", augment="flip,cutout:2"))


def test_balanced_rows_are_drawn_with_replacement() -> None:
    data = Rows(torch.zeros(1100, *SHAPE, dtype=torch.uint8), torch.tensor([0] * 1000 + [1] * 90 + [2] * 10))
    order = batches(replace(SETTINGS, resample="balanced"), data)[0].order(1)
    counts = np.bincount(data.labels[order])
    assert len(order) == 1100
    assert abs(counts - 1100 / 3).max() < 5 * (1100 * 2 / 9) ** 0.5
