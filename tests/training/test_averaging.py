"""The averaged weights are the recurrence's, come in for evaluation, and leave the trained ones as they were."""

import copy

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from gencli.errors import GencliError
from gencli.training.averaging import Average


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def move(module: nn.Module) -> None:
    """Other weights, and other statistics of batch norm."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    module(torch.randn(5, 3, 4, 4))


@pytest.mark.parametrize("decay", [0, 0.5, 0.9])
def test_the_average_is_that_of_its_recurrence(decay: float) -> None:
    module = network()
    average = Average(module, decay)
    expected = {name: tensor.double() for name, tensor in module.state_dict().items()}
    for step in range(20):
        move(module)
        average.update()
        now = min(decay, (1 + step) / (10 + step))
        for name, tensor in module.state_dict().items():
            expected[name] = now * expected[name] + (1 - now) * tensor.double()
    expected["1.num_batches_tracked"] = torch.tensor(20.0).double()  # a counter, left out
    with average.swap():
        averaged = {name: tensor.double() for name, tensor in module.state_dict().items()}
    torch.testing.assert_close(averaged, expected, rtol=1e-5, atol=1e-6)


def test_the_trained_weights_come_back_bit_by_bit_even_after_a_failure() -> None:
    module = network()
    average = Average(module, 0.9)
    move(module)
    average.update()
    before = copy.deepcopy(module.state_dict())
    with average.swap():
        assert not torch.equal(module.state_dict()["0.weight"], before["0.weight"])
    with pytest.raises(RuntimeError), average.swap():
        module(torch.ones(1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    with average.swap(), torch.no_grad():
        first = module.eval()(torch.ones(1, 3, 4, 4))
    with average.swap(), torch.no_grad():
        assert torch.equal(module(torch.ones(1, 3, 4, 4)), first)


def test_a_state_goes_on_where_it_was_left() -> None:
    module = network()
    average = Average(module, 0.999)
    for _ in range(3):
        move(module)
        average.update()
    other = copy.deepcopy(module)
    resumed = Average(other, 0.999)
    resumed.load_state_dict(copy.deepcopy(average.state_dict()))
    state = other.state_dict()
    for each, own in ((average, module), (resumed, other)):
        torch.manual_seed(1)
        move(own)
        each.update()
    assert average.state_dict().keys() == resumed.state_dict().keys()
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in average.state_dict().items())
    assert state.keys() == other.state_dict().keys()


@pytest.mark.parametrize("decay", [-0.1, 1, 2])
def test_a_decay_that_is_none_is_refused(decay: float) -> None:
    with pytest.raises(GencliError, match="--ema: decay"):
        Average(network(), decay)


def test_nothing_waits_for_the_device() -> None:
    with FakeTensorMode(), torch.device("cuda"):
        module = network()
        average = Average(module, 0.9)
        average.update()
        with average.swap():
            assert module(torch.ones(5, 3, 4, 4)).device.type == "cuda"
