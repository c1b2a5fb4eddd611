"""Schedules are the closed forms of their sources, and functions of the step alone."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as peer
from torch.optim.lr_scheduler import LRScheduler

from gencli.errors import GencliError
from gencli.training.schedules import SCHEDULES, parse

EPOCH = 7  # steps


def factors(text: str, total: int, warmup: float = 0) -> list[float]:
    schedule = parse(text, warmup)
    return [schedule.factor(step, EPOCH, total) for step in range(total)]


def torch_factors(make: Callable[[torch.optim.Optimizer], LRScheduler], total: int, every: int = 1) -> list[float]:
    """The learning rates of torch's scheduler, advanced every so many steps, from a base of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    scheduler = make(optimizer)
    rates = []
    for step in range(1, total + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % every == 0 and step < total:
            scheduler.step()
    return rates


def test_constant_stays() -> None:
    assert factors("constant", 20) == [1.0] * 20


def test_exp_is_a_staircase_of_epochs() -> None:
    assert factors("exp:0.95", 70) == pytest.approx([0.95 ** (step // 7) for step in range(70)])
    assert factors("exp:0.95", 70) == pytest.approx(torch_factors(lambda o: peer.ExponentialLR(o, 0.95), 70, EPOCH))


def test_step_multiplies_after_each_epoch() -> None:
    assert factors("step:2,5:0.01", 49) == pytest.approx([1.0] * 14 + [0.01] * 21 + [1e-4] * 14)
    expected = torch_factors(lambda o: peer.MultiStepLR(o, [2, 5], 0.01), 49, EPOCH)
    assert factors("step:2,5:0.01", 49) == pytest.approx(expected)


def test_linear_is_torch_s_to_zero() -> None:
    expected = torch_factors(lambda o: peer.LinearLR(o, 1.0, 0.0, 40), 40)
    assert factors("linear", 40) == pytest.approx(expected)


@pytest.mark.parametrize("total", [1, 2, 40])
def test_cosine_goes_from_one_to_zero(total: int) -> None:
    expected = torch_factors(lambda o: peer.CosineAnnealingLR(o, total), total)
    assert factors("cosine", total) == pytest.approx(expected, abs=1e-12)
    assert parse("cosine", 0).factor(total, EPOCH, total) == 0


@pytest.mark.parametrize("total", [1, 2, 3, 4, 10, 41, 100])
def test_one_cycle_is_that_of_torch(total: int) -> None:
    expected = torch_factors(lambda o: peer.OneCycleLR(o, 1.0, total, cycle_momentum=False), total)
    assert factors("one-cycle", total) == pytest.approx(expected, rel=1e-9)


def test_a_warmup_rises_linearly_and_may_end_within_an_epoch() -> None:
    expected = torch_factors(lambda o: peer.LinearLR(o, 1 / 14, 1.0, 13), 40)
    assert factors("constant", 40, warmup=2) == pytest.approx(expected)
    assert factors("constant", 8, warmup=4 / 7) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


@given(
    text=st.sampled_from(
        ["constant", "exp:0.9", "exp:1", "exp:1e-3", "step:1:.5", "step:1,3,9:0.1", "linear", "cosine"]
    ),
    warmup=st.floats(0, 30),
    per_epoch=st.integers(1, 50),
    total=st.integers(1, 500),
    data=st.data(),
)
def test_a_warmup_multiplies_the_schedule_of_the_whole_run(
    text: str, warmup: float, per_epoch: int, total: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total - 1))
    plain = parse(text, 0).factor(step, per_epoch, total)
    steps = round(warmup * per_epoch)
    ramp = (step + 1) / steps if step + 1 < steps else 1
    assert 0 <= plain <= 1
    assert parse(text, warmup).factor(step, per_epoch, total) == pytest.approx(ramp * plain)


def test_every_example_is_its_form() -> None:
    assert all(type(parse(kind.example, 0).curve) is kind for kind in SCHEDULES.values())


@pytest.mark.parametrize(
    ("text", "warmup", "message", "hint"),
    [
        ("cosin", 0, "--schedule: no schedule 'cosin'", "did you mean cosine?"),
        ("", 0, "--schedule: no schedule ''", "known: constant, exp, step, linear, cosine, one-cycle"),
        ("exp", 0, "--schedule: 'exp' is not exp:F", "write exp:0.95"),
        ("exp:fast", 0, "--schedule: 'exp:fast' is not exp:F", "write exp:0.95"),
        ("exp:-1", 0, "--schedule: 'exp:-1' is not exp:F", "write exp:0.95"),
        ("exp:1.5", 0, "--schedule: factor 1.5", "above 0 and up to 1"),
        ("exp:0", 0, "--schedule: factor 0", "above 0 and up to 1"),
        ("exp:1e-999", 0, "--schedule: factor 1e-999", "above 0 and up to 1"),
        ("step:160,180", 0, "is not step:E1,E2,...:F", "write step:160,180:0.01"),
        ("step:1.5:0.1", 0, "is not step:E1,E2,...:F", "write step:160,180:0.01"),
        ("step:180,160:0.1", 0, "--schedule: 180,160: epochs count from 1 and rise", "write step"),
        ("step:0:0.1", 0, "--schedule: 0: epochs count from 1 and rise", "write step"),
        ("step:" + "9" * 5000 + ":0.1", 0, "is not step:E1,E2,...:F", "write step"),
        ("cosine:", 0, "--schedule: 'cosine:' is not cosine", "write cosine"),
        ("cosine:5", 0, "--schedule: 'cosine:5' is not cosine", "write cosine"),
        ("constant", -1, "--warmup: -1 epochs", "give 0 or more"),
        ("constant", math.nan, "--warmup: nan epochs", "give 0 or more"),
        ("one-cycle", 5, "--warmup: one-cycle warms up by itself", "omit it"),
    ],
)
def test_what_is_no_schedule_is_refused_by_name(text: str, warmup: float, message: str, hint: str) -> None:
    with pytest.raises(GencliError) as caught:
        parse(text, warmup)
    assert message in caught.value.message
    assert hint in caught.value.hint
