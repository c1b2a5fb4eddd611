"""Mixed images and losses are the papers', in distribution too; what has no mixture is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from gencli.errors import GencliError
from gencli.losses import LOSSES
from gencli.losses.base import CountedLoss
from gencli.losses.classes import CrossEntropy
from gencli.models.inputs import load
from gencli.ranks import Group
from gencli.training import mixing
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.several import begin
from tests.helpers import image_table

TABLE = image_table(24, (4, 4, 1))
PLAIN = Settings(
    arch="linear", epochs=1, batch_size=24, device="cpu", lr=0.5, momentum=0.0, mix="mixup:0.4", whiten="none"
)


def parsed(text: str) -> mixing.Mixing:
    found = mixing.parse(text, CrossEntropy())
    assert found is not None
    return found


def training(settings: Settings) -> Training:
    found = begin(prepare(settings, TABLE.description, TABLE.schema.names, ""), TABLE, None, Group(), watched=1)
    assert isinstance(found, Training)
    return found


IMAGES = torch.randn(50, 2, 6, 8, generator=torch.Generator().manual_seed(0))


def test_mixup_is_the_sum_of_each_pair_in_the_share_of_a_beta() -> None:
    mixed, partners, shares = mixing.mixed(parsed("mixup:0.4"), IMAGES, [7], 3)
    assert sorted(partners.tolist()) == [*range(50)]
    share = shares[0].item()
    assert shares.unique().numel() == 1
    assert 0.5 <= share <= 1
    torch.testing.assert_close(mixed, share * IMAGES + (1 - share) * IMAGES[partners])
    drawn = [mixing.mixed(parsed("mixup:0.4"), IMAGES[:2], [0], step)[2][0].item() for step in range(2000)]
    # the larger of λ and 1 − λ, of which the paper's set of pairs is made just as well
    folded = stats.kstest(drawn, lambda x: 2 * stats.beta(0.4, 0.4).cdf(x) - 1)
    assert folded.pvalue > 1e-3


def test_cutmix_is_one_image_but_for_a_rectangle_of_the_other_in_the_share_of_the_pixels() -> None:
    larger = []
    for step in range(200):
        mixed, partners, shares = mixing.mixed(parsed("cutmix"), IMAGES, [1], step)
        own = (mixed == IMAGES).all(1)[partners != torch.arange(50)]
        assert (own == own[0]).all()
        other = (mixed == IMAGES[partners]).all(1)
        assert (own[0] ^ other[partners != torch.arange(50)][0]).all()
        assert own[0].float().mean().item() == pytest.approx(shares[0].item())
        assert shares[0] >= 0.5
        assert any(torch.outer(part.any(1), part.any(0)).equal(part) for part in (own[0], ~own[0]))
        larger.append(shares[0].item())
    assert min(larger) < 0.6
    assert max(larger) > 0.9


def test_the_shares_of_cutmix_are_those_of_the_authors_in_distribution() -> None:
    """Their rand_bbox, github.com/clovaai/CutMix-PyTorch, with numbers of its own."""
    random = np.random.default_rng(0)

    def share() -> float:
        side = np.sqrt(1 - random.beta(1, 1))
        cut = int(8 * side), int(6 * side)
        x, y = random.integers(8), random.integers(6)
        x1, x2 = np.clip([x - cut[0] // 2, x + cut[0] // 2], 0, 8)
        y1, y2 = np.clip([y - cut[1] // 2, y + cut[1] // 2], 0, 6)
        return 1 - (x2 - x1) * (y2 - y1) / 48

    theirs = [share() for _ in range(3000)]
    ours = [mixing.mixed(parsed("cutmix"), IMAGES[:2], [0], step)[2][0].item() for step in range(1500)]
    folded = [max(each, 1 - each) for each in theirs]
    found: tuple[float, float] = stats.ks_2samp(np.round(folded, 4), np.round(ours, 4))  # float32 splits no ties
    assert found[1] > 1e-3  # pyright: ignore[reportOperatorIssue]


def test_several_networks_are_mixed_each_as_by_itself() -> None:
    both = mixing.mixed(parsed("cutmix"), IMAGES, [4, 5], 2)
    for number, part in enumerate(IMAGES.chunk(2)):
        alone = mixing.mixed(parsed("cutmix"), part, [4 + number], 2)
        span = slice(25 * number, 25 * number + 25)
        assert torch.equal(both[0][span], alone[0])
        assert torch.equal(both[1][span] - 25 * number, alone[1])
        assert torch.equal(both[2][span], alone[2])


@pytest.mark.parametrize("mix", ["mixup:0.4", "cutmix"])
def test_a_step_is_by_the_loss_of_soft_labels(mix: str) -> None:
    """By torch's cross-entropy of probabilities; right is a row's own label, by which its dynamics go."""
    run = training(replace(PLAIN, mix=mix))
    network, rows = run.model.network, load(TABLE)
    (weight, bias) = (each.detach().clone().requires_grad_() for each in network.parameters())
    order = run.steps.batches.order(1)
    images = run.model.preprocessing(rows.images[order])
    mixed, partners, shares = mixing.mixed(parsed(mix), images, [0], 0)
    labels = functional.one_hot(rows.labels[order], len(run.model.classes)).float()
    soft = shares[:, None] * labels + (1 - shares[:, None]) * labels[partners]
    outputs = mixed.permute(0, 2, 3, 1).flatten(1) @ weight.T + bias
    loss = functional.cross_entropy(outputs, soft)
    loss.backward()
    run.run()
    for parameter, before in zip(network.parameters(), (weight, bias), strict=True):
        assert before.grad is not None
        torch.testing.assert_close(parameter.detach(), before.detach() - 0.5 * before.grad, rtol=1e-5, atol=1e-6)
    assert run.first_loss == pytest.approx(loss.item(), rel=1e-5)
    assert run.dynamics is not None
    right = np.empty(24, bool)
    right[order.numpy()] = (outputs.argmax(1) == rows.labels[order]).numpy()
    np.testing.assert_array_equal(run.dynamics.table()["correctness"].to_numpy(), right.astype(float))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mixap", "--mix: no mixing 'mixap'"),
        ("mixup:", "no such alpha"),
        ("mixup:0", "no such alpha"),
        ("cutmix:nan", "no such alpha"),
        ("cutmix:-1", "no such alpha"),
    ],
)
def test_other_words_are_refused(text: str, words: str) -> None:
    with pytest.raises(GencliError, match=words):
        mixing.parse(text, CrossEntropy())


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if issubclass(kind, CountedLoss)])
def test_losses_of_classes_rows_have_no_mixture(name: str) -> None:
    with pytest.raises(GencliError, match=f"--mix: {name} treats a row by the class of its one label"):
        prepare(replace(PLAIN, loss=name), TABLE.description, TABLE.schema.names, "")


def test_images_have_no_labels_to_mix() -> None:
    settings: dict[str, Any] = {"arch": "unet-small", "mix": "mixup"}
    with pytest.raises(GencliError, match="--mix: l2 compares images"):
        prepare(Settings(**settings), TABLE.description, [*TABLE.schema.names, "target"], "")
