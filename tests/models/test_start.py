"""What a network starts from, and what of it stays: names, forms and numbers, or a refusal that says which."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gencli.errors import GencliError
from gencli.models import build
from gencli.models.start import Start, chosen, freeze, still


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build("convnet-vanilla", (32, 32, 3), 4)


def start(path: Path, state: dict[str, torch.Tensor], spared: str | None = None) -> Start:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path / "weights.safetensors")
    return Start.read(str(path / "weights.safetensors"), spared, None, None)


def test_all_tensors_are_the_files(tmp_path: Path) -> None:
    wanted, made = network(1).state_dict(), network()
    told = start(tmp_path, wanted).fill(made, 4, "convnet-vanilla")
    assert told["random"] == []
    assert told["tensors"] == len(wanted)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in made.state_dict().items())
    compiled = {f"_orig_mod.module.{name}": tensor for name, tensor in wanted.items()}
    averaged = {f"module.{name}": tensor for name, tensor in wanted.items()} | {"n_averaged": torch.tensor(3)}
    for given in (compiled, averaged):
        assert start(tmp_path, given).fill(again := network(), 4, "it")["tensors"] == len(wanted)
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in again.state_dict().items())
    with pytest.raises(GencliError, match="no "):
        start(tmp_path, {}).random(network(), 4, "it")
    with pytest.raises(GencliError, match="no module"):
        start(tmp_path, wanted).random(nn.Sequential(OrderedDict(module=network())), 4, "it")


def test_the_last_layer_of_other_classes_stays_random(tmp_path: Path) -> None:
    state, made, before = network(1).state_dict(), network(), network().state_dict()
    (weight, bias) = list(state)[-2:]
    state |= {weight: torch.zeros(7, state[weight].shape[1]), bias: torch.zeros(7)}
    with pytest.raises(GencliError, match=f"{weight} is float32 7×") as refused:
        start(tmp_path, state).fill(made, 4, "it")
    assert "--init-except head" in refused.value.hint
    told = start(tmp_path, state, "head").fill(made, 4, "it")
    assert told["random"] == [weight, bias]
    for name, tensor in made.state_dict().items():
        assert torch.equal(tensor, (before if name in (weight, bias) else state)[name])


def test_a_last_layer_that_is_a_convolution_is_the_head_and_a_hint_names_whole_layers(tmp_path: Path) -> None:
    made = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    state = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    state |= {"2.weight": torch.zeros(7, 3, 1, 1), "2.bias": torch.zeros(7)}
    assert start(tmp_path, state, "head").fill(made, 4, "it")["random"] == ["2.weight", "2.bias"]
    state["0.bias"] = torch.zeros(9)
    with pytest.raises(GencliError) as refused:
        start(tmp_path, state, "head").fill(made, 4, "it")
    assert "--init-except 0 leaves it out" in refused.value.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more.weight": torch.ones(2)}, "more.weight, which it has not"),
        ({"FIRST": None}, "no FIRST"),
        ({"FIRST": torch.ones(3)}, "FIRST is float32 3, not"),
        ({"FIRST": "double"}, "FIRST is float64"),
        ({"FIRST": "nan"}, "of FIRST are not finite"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    state, made = network(1).state_dict(), network()
    first = next(iter(state))
    for name, value in change.items():
        key = first if name == "FIRST" else name
        made_of = {"double": state.get(key, torch.ones(1)).double(), "nan": torch.full_like(state[first], torch.nan)}
        state[key] = made_of[value] if isinstance(value, str) else value  # type: ignore[assignment]
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    with pytest.raises(GencliError) as refused:
        start(tmp_path, state).fill(made, 4, "it")
    assert words.replace("FIRST", first) in refused.value.message


def test_pickled_files_are_refused_unread(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(GencliError, match=r"torch\.save, which is code"):
        Start.read(str(tmp_path / "weights.pt"), None, None, None)


def test_words_choose_names_one_after_the_other() -> None:
    layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 4)))
    names = [*layers.state_dict()]

    def of(words: str) -> list[str]:
        found = chosen("--freeze", words, names, layers, 4)
        return [name for name in names if name in found]

    assert of("head") == of("2") == of("2.0") == ["2.0.weight", "2.0.bias"]
    assert of("*,!head") == of("!head") == names[:-2]
    assert of("*.bias") == ["0.bias", "1.bias", "2.0.bias"]
    with pytest.raises(GencliError, match="no tensor is named 'conv'"):
        of("0,conv")


def test_statistics_stay_as_a_whole_or_not_at_all() -> None:
    layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 4))
    assert still(layers, "1", 4) == [layers[1]]
    assert still(layers, "*.weight", 4) == []
    with pytest.raises(GencliError, match=r"1\.running_mean would stay and 1\.running_var"):
        still(layers, "1.running_mean", 4)
    with pytest.raises(GencliError, match="nothing is left to train"):
        freeze(layers, "*", 4)
