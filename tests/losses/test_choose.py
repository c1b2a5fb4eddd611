"""A loss is chosen by name and options; what does not fit is refused, and the help says formula and source."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields, replace
from typing import Annotated, Any, get_type_hints

import pytest
import typer

from gencli.errors import GencliError
from gencli.losses import LOSSES, Loss, choose
from gencli.losses.classes import LDAM, ClassBalancedFocal, CrossEntropy, Focal
from gencli.losses.settings import LossSettings

OPTIONS = [field.name for field in fields(LossSettings) if field.name != "loss"]


def helps() -> dict[str, str]:
    hints = get_type_hints(LossSettings, include_extras=True)
    return {name: hint.__metadata__[0].help for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def test_a_loss_has_its_own_defaults_where_nothing_is_given() -> None:
    for name, loss in LOSSES.items():
        assert choose(LossSettings(loss=name)) == loss()
    assert choose(LossSettings()) == CrossEntropy(0.0)
    assert choose(LossSettings("cb-focal", gamma=0.5, beta=0.0)) == ClassBalancedFocal(0.0, 0.5)
    assert choose(LossSettings("ldam", deferred_reweighting=160)) == LDAM(160)


def test_the_last_layer_follows_the_form() -> None:
    assert {name: loss().head for name, loss in LOSSES.items() if loss().head != "linear"} == {
        "focal": "sigmoid", "cb-focal": "sigmoid", "cb-sigmoid": "sigmoid", "ldam": "cosine",
    }  # fmt: skip
    assert choose(LossSettings("cb-focal", focal_form="softmax")).head == Focal(2, "softmax").head == "linear"


def test_a_loss_that_is_0_everywhere_is_refused() -> None:
    with pytest.raises(GencliError, match="both are 0, and so is sce"):
        choose(LossSettings("sce", ce_weight=0.0, reverse_weight=0.0))
    choose(LossSettings("sce", ce_weight=0.0))
    choose(LossSettings("sce", reverse_weight=0.0))


def test_an_unknown_loss_is_refused_by_its_nearest_name() -> None:
    with pytest.raises(GencliError, match="no loss 'cb_focal'") as refused:
        choose(LossSettings("cb_focal"))
    assert refused.value.hint == "did you mean cb-focal?"
    with pytest.raises(GencliError, match="no loss 'mse'") as refused:
        choose(LossSettings("mse"))
    assert refused.value.hint.startswith("known: ce, square, ")  # sce is another loss


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_a_loss_does_not_take_is_refused(loss: str, name: str) -> None:
    value: Any = "softmax" if name == "focal_form" else 0.5
    settings = replace(LossSettings(loss), **{name: value})
    if name in {field.name for field in fields(LOSSES[loss])}:
        assert getattr(choose(settings), name) == value
        return
    with pytest.raises(GencliError, match=f"--{name.replace('_', '-')}: the {loss} loss has no such option") as refused:
        choose(settings)
    assert refused.value.hint.startswith("losses that have it: ")
    assert loss not in refused.value.hint.removeprefix("losses that have it: ").split(", ")


@pytest.mark.parametrize(
    ("loss", "name", "values"),
    [
        ("focal", "gamma", [-0.1, math.inf, math.nan]),
        ("cb-focal", "gamma", [-1]),
        ("cb-ce", "beta", [-0.1, 1.0, math.nan]),
        ("cb-sigmoid", "beta", [1.5]),
        ("ce", "label_smoothing", [-0.1, 1.0]),
        ("ldam", "deferred_reweighting", [-1]),
        ("logit-adjusted", "tau", [-1, math.inf]),
        ("huber", "delta", [0.0, -1, math.inf]),
    ],
)
def test_values_out_of_range_are_refused(loss: str, name: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(GencliError, match=f"--{name.replace('_', '-')}: {value} is out of range") as refused:
            choose(replace(LossSettings(loss), **{name: value}))
        assert refused.value.hint.startswith("give a number ")


def test_settings_that_hold_others_too_are_as_good() -> None:
    class More(LossSettings):
        arch: Annotated[str, typer.Option()] = "mlp-1x2"

    assert choose(More("focal", gamma=1)) == Focal(1)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_help_says_purpose_formula_and_source(loss: type[Loss]) -> None:
    text = inspect.getdoc(loss) or ""
    purpose = text.partition("\n")[0]
    assert text.isascii()
    assert purpose.endswith(".")
    assert len(purpose) <= 66
    assert re.search(r"\nSource.*: .* (19|20)\d\d", text)


def test_the_options_help_names_every_loss_and_its_defaults() -> None:
    texts = helps()
    assert set(re.findall(r"[a-z]+[a-z0-9-]*", texts["loss"])) >= set(LOSSES)
    assert {field.name for loss in LOSSES.values() for field in fields(loss)} == set(OPTIONS)
    for loss in LOSSES.values():
        for field in fields(loss):
            assert field.default is None or f"Default: {field.default}.".replace(".0.", ".") in texts[field.name]
