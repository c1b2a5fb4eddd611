"""What training starts from and leaves as it is, against steps of torch's own, and the seeds that tell runs apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from gencli.errors import GencliError
from gencli.models import Model
from gencli.models.start import Start
from gencli.ranks import Group
from gencli.training.setup import prepare
from tests.training.test_loop import SETTINGS, TABLE, model, rows, train, trained, visits, weights

NORMED = replace(SETTINGS, batch_norm=True, batch_size=37, epochs=3, momentum=0.9, weight_decay=0.1)


def started(path: Path, seed: int, **more: object) -> Model:
    """A model of `NORMED` that starts from the tensors of another seed, statistics among them."""
    before = model(replace(NORMED, seed=seed)).network
    for name, tensor in before.named_buffers():
        if name.endswith("running_var"):
            tensor.fill_(2.0)
        if name.endswith("num_batches_tracked"):
            tensor.fill_(5)
    save_file(before.state_dict(), path / "init.safetensors")
    start = Start.read(str(path / "init.safetensors"), None, None, None)
    setup = prepare(replace(NORMED, **more), TABLE.description, TABLE.schema.names, "toy", start)  # type: ignore[arg-type]
    return setup.model(rows(), Group())


@pytest.mark.parametrize("frozen", [None, "!head", "*.weight"])
def test_steps_are_those_of_torch_with_the_frozen_layers_still(tmp_path: Path, frozen: str | None) -> None:
    fitted = started(tmp_path, 3, freeze=frozen)
    expected = started(tmp_path, 3).network.train()
    norms = [each for each in expected.modules() if isinstance(each, nn.BatchNorm1d)]
    last = [*expected.modules()][-1]
    for name, parameter in expected.named_parameters():
        on = frozen is None or (parameter in {*last.parameters()} if frozen == "!head" else "weight" not in name)
        parameter.requires_grad_(on)
    if frozen == "!head":
        for each in norms:
            each.eval()
    moving = [each for each in expected.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(moving, 0.05, 0.9, weight_decay=0.1)
    data = rows()
    images = fitted.preprocessing(data.images)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(expected(images), data.labels).backward()
        optimizer.step()
    train(fitted, data, replace(NORMED, freeze=frozen))
    for name, tensor in fitted.network.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-5, atol=1e-6)
    counted = [int(each) for name, each in fitted.network.named_buffers() if name.endswith("tracked")]
    assert counted == [5 if frozen == "!head" else 8]
    assert all(each.requires_grad for each in fitted.network.parameters())  # in its file they count


def test_distance_is_from_the_start_and_of_what_is_trained(tmp_path: Path) -> None:
    settings = replace(NORMED, freeze="!head", track="distance")
    fitted = started(tmp_path, 3)
    before = {name: each.detach().clone() for name, each in fitted.network.named_parameters()}
    history = train(fitted, rows(), settings).history
    moved = [(each.detach() - before[name]).square().sum() for name, each in fitted.network.named_parameters()]
    assert history[-1].distance == pytest.approx(float(sum(moved)) ** 0.5, rel=1e-5)


def test_a_seed_of_its_own_each() -> None:
    other = replace(SETTINGS, seed=5)
    assert (weights(model(replace(other, seed_init=0))) == weights(model())).all()
    assert (weights(model(replace(SETTINGS, seed_init=5))) == weights(model(other))).all()
    assert visits(replace(other, seed_order=0)) == visits(SETTINGS) != visits(other)
    both = replace(SETTINGS, seed_init=5, seed_order=5)
    assert (weights(trained(both)[0]) == weights(trained(other)[0])).all()


def test_words_that_name_nothing_are_refused_before_the_rows_are_read() -> None:
    with pytest.raises(GencliError, match="no tensor is named 'conv1'"):
        prepare(replace(SETTINGS, freeze="conv1"), TABLE.description, TABLE.schema.names, "toy")
