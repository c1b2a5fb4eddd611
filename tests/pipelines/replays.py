"""Every file of a folder made again from those it was made from, and compared."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gencli.cli.app import command_tree
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.replay import checking, reading
from gencli.replay.graph import Graph
from gencli.replay.plan import plan
from gencli.replay.words import Commands
from tests.pipelines import warm
from tests.pipelines.shell import environment

_ENDINGS = (".safetensors", ".parquet", ".png", ".svg", ".pdf", ".pt2", ".onnx")


def replay_all(folder: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were compared; what is behind them is taken from the folder.

    One of each form: of runs that differ in nothing but values the first, and all where GENCLI_TEST_ALL is set.
    """
    monkeypatch.setitem(checking._START, "gencli", [f"{warm.folder()}/gencli"])
    monkeypatch.setattr(checking, "_environment", lambda: environment({"OMP_NUM_THREADS": "1"}, cold=False))
    commands = Commands(command_tree(), False)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _ENDINGS)
    paths.sort(key=lambda path: _ENDINGS.index(path.suffix))
    known = {Input(str(path)).sha256: str(path) for path in paths}
    seen: set[str] = set()
    compared: list[str] = []
    for number, path in enumerate(paths):
        made = reading.read(Input(str(path)))
        if (which := _which(made.step)) in seen:
            continue
        seen.add(which)
        graph = Graph(made.step, made.source.sha256)
        others = {sha256: place for sha256, place in known.items() if sha256 != made.source.sha256}
        place = scratch / str(number)
        place.mkdir(parents=True)
        found = checking.check(plan(graph, path.name, made.form, commands), made.source, {}, others, str(place))
        assert found.same, (path, [*found.text(path.name)])
        compared.append(str(path.relative_to(folder)))
    return compared


def _which(step: Step) -> str:
    output = "" if step.command == "train" else step.output  # its history repeats but for the clock
    main: list[Any] = [each for each in step.inputs if each.role != "eval-data"]
    if os.environ.get("GENCLI_TEST_ALL"):
        return json.dumps([step.command, step.arguments, [each.sha256 for each in main], output], sort_keys=True)
    given = [name for name, value in step.arguments.items() if value not in (None, False)]
    return json.dumps([step.command, given, [(each.role, bool(each.name)) for each in main], output])
