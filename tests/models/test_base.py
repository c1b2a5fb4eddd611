"""What is said of a network's tensors and classes that do not fit, word for word; limits at their edges."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from gencli import machine
from gencli.errors import GencliError
from gencli.models import Model
from gencli.models.base import (
    Options,
    form,
    functional_call,
    limited,
    not_finite,
    require_finite,
    require_room,
    trained,
)
from tests.helpers import image_table


def holding(parameter: list[float], buffer: list[float]) -> nn.Module:
    network = nn.Module()
    network.register_parameter("p", nn.Parameter(torch.tensor(parameter)))
    network.register_buffer("b", torch.tensor(buffer))
    return network


INF = float("inf")


@pytest.mark.parametrize(
    ("parameter", "buffer", "said"),
    [
        ([1, 2], [0, 1], ""),
        ([1, 2], [0, -INF], ""),  # a mask
        ([1, 2], [-INF, -INF], ""),
        ([1, 2], [1, -INF], "1 of 2 values of b are not finite, the first -inf at [1]"),
        ([1, 2], [0, INF], "1 of 2 values of b are not finite, the first inf at [1]"),
        ([0, -INF], [0, 1], "1 of 2 values of p are not finite, the first -inf at [1]"),
        ([INF, -INF], [1, INF], "2 of 2 values of p are not finite, the first inf at [0]"),
    ],
)
def test_values_that_are_not_finite_are_named(parameter: list[float], buffer: list[float], said: str) -> None:
    network = holding([float(each) for each in parameter], [float(each) for each in buffer])
    assert not_finite(network) == said
    if not said:
        require_finite(network, "m")
        return
    with pytest.raises(GencliError, match=re.escape(f"m: {said}")):
        require_finite(network, "m")


def test_places_have_all_their_dimensions() -> None:
    network = nn.Linear(3, 2)
    with torch.no_grad():
        network.weight[1, 2] = torch.nan
        network.weight[1, 1] = torch.inf
    assert not_finite(network) == "2 of 6 values of weight are not finite, the first inf at [1, 1]"
    scalar = nn.Module()
    scalar.register_parameter("s", nn.Parameter(torch.tensor(torch.nan)))
    assert not_finite(scalar) == "1 of 1 values of s are not finite, the first nan"


def test_a_network_may_take_as_many_bytes_as_there_are() -> None:
    held: list[int] = []
    for most, over in ((4 * 8, []), (4 * 8 - 1, [8]), (4 * 6 - 1, [6, 8])):
        held.clear()
        with limited(most, held.append):
            nn.Linear(3, 2)  # 6 weights and 2 biases
        assert held == over
    nn.Linear(30, 2)  # counted no more
    assert held == [6, 8]


def test_a_network_of_all_the_memory_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 4000)
    require_room(1000, "big")
    with pytest.raises(GencliError) as refused:
        require_room(1001, "big", " or more")
    said = "--arch big: 1,001 parameters or more: needs 3.9 KiB of memory, but only 3.9 KiB are free"
    assert (refused.value.message, refused.value.hint) == (said, "use a smaller network")


def test_trained_parameters_are_counted_and_forms_said() -> None:
    network = nn.Linear(3, 2)
    assert trained(network) == 8
    network.bias.requires_grad_(False)
    assert trained(network) == 6
    assert (form(None), form(torch.zeros(2, 3)), form(torch.zeros(4).double())) == (
        "missing", "float32 2×3", "float64 4"
    )  # fmt: skip


def test_shared_weights_are_changed_wherever_they_are() -> None:
    layer = nn.Linear(2, 2, bias=False)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    x = torch.tensor([[1.0, 2.0]])
    before = layer.weight.detach().clone()
    assert torch.equal(functional_call(network, {"0.weight": torch.eye(2) * 3}, (x,)), 9 * x)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(
    "facts",
    [{"batch_norm": 1}, {"dropout": "0.5"}, {"dropout": 1}, {"head": "none"}, {"more": 1}, None, 5],
)
def test_options_of_another_form_are_unknown(facts: object) -> None:
    with pytest.raises(GencliError, match="its network's options are unknown to this version"):
        Options.from_json(facts)


def test_options_come_back_from_their_facts() -> None:
    for options in (Options(), Options(True, 0.5, "sigmoid"), Options(False, 0.0, "cosine")):
        assert Options.from_json(options.to_json()) == options


def model(*classes: str) -> Model:
    return Model("linear", (2, 2, 1), classes, nn.Sequential(nn.Flatten(), nn.Linear(4, len(classes))))


def test_classes_that_are_not_the_models_are_told_from_where_they_differ() -> None:
    table = image_table(6, (2, 2, 1), classes=5)
    model(*table.description.classes).require(table)
    with pytest.raises(GencliError) as refused:
        model("class 0", "class 1", "x").require(table)
    assert refused.value.message == ("toy: 5 classes (…, class 2, class 3, class 4), but the model has 3 (…, x)")
    assert refused.value.hint.startswith("evaluate a model on the classes it was trained on")
    with pytest.raises(GencliError, match=re.escape("(class 0, class 1, class 2, …), but the model has 6 (a")):
        model(*"abcdef").require(table)
    with pytest.raises(GencliError, match=re.escape("toy: images of 2×2×1, but the model takes 2×3×1")):
        Model("linear", (2, 3, 1), table.description.classes, nn.Identity()).require(table)


def test_numbers_in_place_of_names_are_those_of_the_first_classes() -> None:
    table = image_table(6, (2, 2, 1))
    table.description = replace(table.description, classes=("0", "1", "2"))
    model("0", "1", "2", "3").require(table)  # without rows of the last one
    for classes, hint in (("abc", "a,b,c"), ("abcd", None)):
        with pytest.raises(GencliError, match=r"toy: 3 classes \(0, 1, 2\), but the model has") as refused:
            model(*classes).require(table)
        wanted = f"if its classes are the model's, make it again with --class-names {hint}"
        assert (refused.value.hint == wanted) == (hint is not None)
    for count, words in ((20, ",".join(map(chr, range(97, 117)))), (21, "FILE, one name a line")):
        table.description = replace(table.description, classes=tuple(map(str, range(count))))
        with pytest.raises(GencliError) as refused:
            model(*map(chr, range(97, 97 + count))).require(table)
        assert refused.value.hint.endswith(f"--class-names {words}")
