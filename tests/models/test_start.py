"""What a network starts from, and what of it stays: names, forms and numbers, or a refusal that says which."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Output
from gencli.models import Model, build, write_runs
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


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **facts: object) -> Start:
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.ones(2)}, "w.safetensors")
    read = Start.read("w.safetensors", None, None, None)
    return replace(read, facts={name: value for name, value in facts.items() if value is not None})


@pytest.mark.parametrize(
    ("random", "more"),
    [
        ([], ""),
        (["a"], "; at random: a"),
        ([*"abcdef"], "; at random: a, b, c, d, e, f"),
        ([*"abcdefg"], "; at random: a, b, c, d, e, f and 1 more"),
    ],
)
def test_where_tensors_came_from_is_said_once(
    random: list[str], more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = told(tmp_path, monkeypatch)
    for number in (0, 1, 2):
        replace(start, number=number).say({"tensors": 1234, "random": random}, "image")
    assert capsys.readouterr().err == f"--init w.safetensors: 1,234 tensors from there{more}\n"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (None, False),
        ({"whiten": "image"}, False),
        ({"whiten": None}, False),
        ("dataset", False),
        ({"whiten": "dataset"}, True),
    ],
)
def test_images_that_are_treated_in_another_way_are_told(
    before: object, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(tmp_path, monkeypatch, preprocessing=before).say({"tensors": 1, "random": []}, "image")
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines == ["--init w.safetensors: its images had --whiten dataset, here image"] * said


def test_each_run_starts_from_its_own_network_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = replace(told(tmp_path, monkeypatch), networks=[{"w": torch.zeros(1)}, {"w": torch.ones(1)}])
    for number in range(4):
        own = start.of(number)
        assert own.number == number
        assert [each["w"].item() for each in own.networks] == [number % 2]


def several_runs(tmp_path: Path, failed: dict[int, str] | None = None) -> str:
    """A file of three runs."""
    states = [network(seed) for seed in range(3)]
    models = [Model("convnet-vanilla", (32, 32, 3), tuple("abcd"), each, run=run) for run, each in enumerate(states)]
    for run, why in (failed or {}).items():
        models[run].failed = why
    made = provenance.step("train", {"runs": 3, "seed": 0, "vary": None})
    with Output(str(tmp_path / "m"), binary=True) as output:
        write_runs(output, models, {}, made)
    return str(tmp_path / "m")


def test_of_several_networks_one_or_each_is_taken(tmp_path: Path) -> None:
    place = several_runs(tmp_path)
    first = next(iter(network().state_dict()))
    for run in range(3):
        found = Start.read(place, None, run, None).networks
        assert [torch.equal(each[first], network(run).state_dict()[first]) for each in found] == [True]
    assert len(Start.read(place, None, None, 3).networks) == 3
    for runs in (None, 2, 4):
        with pytest.raises(GencliError, match=r"--init: .*m: 3 networks") as refused:
            Start.read(place, None, None, runs)
        assert refused.value.hint == "choose one: --init-run 0 to 2, or train as many --runs"
    with pytest.raises(GencliError, match=r"--init-run: .*m has 3 networks, 0 to 2") as refused:
        Start.read(place, None, 3, None)
    assert refused.value.hint == "choose another"
    some = several_runs(tmp_path, {1: "it diverged"})
    with pytest.raises(GencliError, match=r"--init: .*m: some of its runs failed"):
        Start.read(some, None, None, 3)
    assert len(Start.read(some, None, 2, None).networks) == 1


def test_a_file_of_one_network_has_no_runs(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    for run in (0, 1):
        with pytest.raises(GencliError, match="has one network, and no runs") as refused:
            Start.read(str(tmp_path / "w.safetensors"), None, run, None)
        assert refused.value.hint == "omit it"
