"""The networks of several runs in one file: which there are, what each has, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.models import of_runs


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Input:
    monkeypatch.chdir(tmp_path)
    Path("m.safetensors").write_bytes(b"")
    return Input("m.safetensors")


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"class_rows": [0, 5]},
        {"class_rows": [5, 2**63 - 1]},
        {"epoch": 0},
        {"epoch": 2**63 - 1},
        {"subset_below": 0.5},
    ],
)
def test_facts_of_one_network_and_of_each_of_several_are_read(run: dict[str, Any], source: Input) -> None:
    assert of_runs.entries(source, run, 2) == []
    each = [{}, run, {"failed": "it diverged"}]
    assert of_runs.entries(source, {"runs": each}, 2) == each


@pytest.mark.parametrize(
    "run",
    [
        {"class_rows": 5},
        {"class_rows": [1]},
        {"class_rows": [1, 2, 3]},
        {"class_rows": [1, -1]},
        {"class_rows": [1, 2**63]},
        {"class_rows": [1.0, 2]},
        {"epoch": -1},
        {"epoch": 2**63},
        {"epoch": True},
        {"subset_below": 1},
        {"failed": 1},
        {"failed": ""},
    ],
)
def test_facts_of_another_form_are_refused(run: dict[str, Any], source: Input) -> None:
    (name,) = run
    for facts in (run, {"runs": [{}, run]}):
        with pytest.raises(GencliError, match=f"^m.safetensors: corrupt metadata: class_rows .*, {name} |: {name} "):
            of_runs.entries(source, facts, 2)


def test_what_is_refused_is_quoted_whole(source: Input) -> None:
    with pytest.raises(GencliError) as refused:
        of_runs.entries(source, {"class_rows": [1, 2], "epoch": -1, "subset_below": 0.5}, 2)
    said = "class_rows [1, 2], epoch -1, subset_below 0.5, failed None"
    assert refused.value.message == f"m.safetensors: corrupt metadata: {said}"
    with pytest.raises(GencliError, match="failed 'why'"):  # one network by itself
        of_runs.entries(source, {"failed": "why"}, 2)
    for runs in ([], {}, None, [{}, 1]):
        with pytest.raises(GencliError, match=re.escape(f"corrupt metadata: runs {runs!r}")):
            of_runs.entries(source, {"runs": runs}, 2)


def test_networks_are_numbered_and_those_that_failed_left_out(
    source: Input, capsys: pytest.CaptureFixture[str]
) -> None:
    assert of_runs.numbers(source, [], None) == [None]
    assert of_runs.numbers(source, [{}, {"failed": None}], None) == [0, 1]
    some: list[dict[str, Any]] = [{}, {"failed": "it diverged"}, {}, {"failed": "likewise"}]
    assert [of_runs.numbers(source, some, run) for run in (0, 2)] == [[0], [2]]
    assert capsys.readouterr().err == ""
    assert of_runs.numbers(source, some, None) == [0, 2]
    told = "m.safetensors: without 2 of 4 runs, which failed, run 1: it diverged"
    assert capsys.readouterr().err.strip().endswith(told)


@pytest.mark.parametrize(
    ("failed", "run", "said"),
    [
        ([None, None], 2, "--run: m.safetensors has 2 networks, 0 to 1"),
        ([None, None], -1, "--run: m.safetensors has 2 networks, 0 to 1"),
        ([], 0, "--run: m.safetensors has one network, and no runs"),
        ([None, "why"], 1, "--run: m.safetensors: run 1 has no network: why"),
        (["first", "second"], None, "m.safetensors: all of its runs failed, run 0: first"),
    ],
)
def test_networks_that_are_not_there_are_refused(
    failed: list[str | None], run: int | None, said: str, source: Input
) -> None:
    with pytest.raises(GencliError) as refused:
        of_runs.numbers(source, [{"failed": why} for why in failed], run)
    assert refused.value.message == said


def test_a_network_has_its_part_of_each_tensor(source: Input) -> None:
    given = {"w": torch.arange(6).view(2, 3), "b": torch.tensor([7, 8])}
    found = of_runs.network(source, given, 1, 2)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"w": [3, 4, 5], "b": 8}
    for wrong in (torch.tensor(1), torch.zeros(3), torch.zeros(1, 2)):
        with pytest.raises(GencliError, match="safetensors: v is not of 2 networks"):
            of_runs.network(source, given | {"v": wrong}, 1, 2)
