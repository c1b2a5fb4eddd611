"""Which networks a bound is of, and how rows are named and divided."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gencli.bounds import certificates
from gencli.errors import GencliError
from tests.bounds.test_validity import before, coins, model, one_thread

__all__ = ["one_thread"]


def test_networks_of_which_more_than_weights_depends_on_rows_are_refused() -> None:
    plain = model()
    norm = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 2))
    whitened = replace(plain, preprocessing=replace(plain.preprocessing, whiten="dataset"))
    moved = replace(model("mlp-2x8"), frozen="*,!head")
    with torch.no_grad():
        next(each for name, each in moved.network.named_parameters() if name not in moved.trained).add_(0.1)
    for refused, words in (
        (replace(plain, made=None), "its weights before training are unknown"),
        (replace(plain, network=norm), r"batch norm \(1\): its running statistics depend on the rows"),
        (whitened, "its images are whitened by the training set's statistics"),
        (moved, "depends on the rows and is no trained weight"),
    ):
        with pytest.raises(GencliError, match=words):
            certificates.require_plain(refused)
    start = certificates.require_plain(plain)
    assert not start.training
    for name, each in start.state_dict().items():
        assert torch.equal(each, before(plain).state_dict()[name])


def test_the_rows_of_a_prior_are_a_function_of_seed_and_id() -> None:
    ids = np.arange(1000, 1080)
    mask = certificates.prior_part(ids, 0.25, 3)
    assert mask.sum() == 20
    order = np.random.default_rng(0).permutation(80)
    assert (certificates.prior_part(ids[order], 0.25, 3) == mask[order]).all()
    assert (certificates.prior_part(ids, 0.5, 3) >= mask).all()
    assert (certificates.prior_part(ids, 0.25, 4) != mask).any()
    assert not certificates.prior_part(ids, 0.0, 3).any()


def test_a_digest_is_of_ids_labels_and_images_in_whatever_order() -> None:
    rows = coins(1, 40)
    known = certificates.digest(rows)
    assert certificates.digest(rows.select(torch.randperm(40))) == known
    images, labels = rows.images.clone(), rows.labels.clone()
    images[7, 0, 0, 0] ^= 1
    labels[7] ^= 1
    assert rows.ids is not None
    others = replace(rows, images=images), replace(rows, labels=labels), replace(rows, ids=rows.ids + 1)
    assert len({known, *map(certificates.digest, others)}) == 4


def test_the_length_of_codes_is_that_of_a_prior_over_all_of_them() -> None:
    """2^-b / (b (b + 1)), of 2^b texts of b bits: 1 - 1 / (n + 1) up to length n."""
    assert certificates.code_length(3) == pytest.approx(-math.log(2**-3 / 12))
    total = sum(2**bits * math.exp(-certificates.code_length(bits)) for bits in range(1, 100))
    assert total == pytest.approx(1 - 1 / 100)


def test_errors_are_counted_over_all_batches_with_outputs_that_are_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "batch_size", lambda network: 7)
    rows, sizes = coins(3, 20), list[int]()

    class First(nn.Module):
        """Says class 0, and of images whose first pixel is below 100 nothing finite."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            made = torch.tensor([1.0, 0.0]).repeat(len(x), 1)
            made[:, 1] = torch.where(x.flatten(1)[:, 0] < 100, -torch.inf, 0.0)
            return made

    used = replace(model(), network=First())
    used = replace(used, preprocessing=lambda images: images.float().permute(0, 3, 1, 2))  # type: ignore[arg-type]
    dark = rows.images[:, 0, 0, 0] < 100
    assert 0 < dark.sum() < 20
    found = certificates.count_errors(used, used.network, rows)
    assert found == int((dark | (rows.labels == 1)).sum())
    assert sizes == [7, 7, 6]
