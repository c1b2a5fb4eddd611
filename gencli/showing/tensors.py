"""Tensor files: models, vectors, Jacobians, checkpoints, and those of other tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gencli import machine
from gencli.cli import console
from gencli.counts import by
from gencli.files import checkpoints, provenance, seals, stored
from gencli.files.provenance import Step
from gencli.files.stored import Stored
from gencli.files.stream import Input
from gencli.files.tensors import KEY, read_metadata
from gencli.showing import filters
from gencli.showing.shown import Shown

Facts = dict[str, Any]


def describe(source: Input, head: int | None, columns: int | None) -> Shown:
    """A safetensors file, each tensor with its norm and range, and with `head` its first values.

    With `columns` a picture of the first layer is prepared, of so many filters side by side.
    """
    tensors, metadata = stored.tensors(source)
    known = read_metadata(source) if KEY in metadata else {}
    if not known:
        seals.require(source, "safetensors", seals.place_in_header(source), ours=False)
    made = known.pop("step", None)
    tensors.sort(key=lambda each: natural(each.name))
    drawn = None if columns is None else filters.picture(source, tensors, known, columns)
    kind, headline, facts = _kind(known, tensors, made)
    facts |= {name: value for name, value in metadata.items() if name != KEY}
    rows = _rows(source, tensors, head)
    entry = provenance.source("file", source.sha256, made, source.path)
    sizes = {
        "tensors": len(tensors),
        **{name: known[name] for name in ("architecture", "shape", "runs") if name in known},
    }
    return Shown(source.name, kind, headline, facts, rows, made, [entry], sizes, picture=drawn)


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts numbers in names by their size."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d{1,9})", name) if part]


def _kind(known: Facts, tensors: Sequence[Stored], made: Step | None) -> tuple[str, str, Facts]:
    """What the metadata says that it is: kind, headline, facts."""
    count = sum(each.size for each in tensors)
    size = f"{len(tensors):,} tensor{'s' * (len(tensors) != 1)}, {count:,} values"
    facts, at = known, ""
    if isinstance(known.get("architecture"), str):
        return _model(known, tensors)
    if begun := next((each for each in checkpoints.OF if each in known), None):
        kind, at = f"checkpoint of {checkpoints.OF[begun]}", f" at {known.get('at')}"
        facts = _checkpoint(known.get("state"))
    elif isinstance(said := known.get("certificate"), dict):
        kind, facts = (
            f"certificate ({said.get('kind')})",
            {k: v for k, v in said.items() if v is not None and k != "kind"},
        )
    elif "operator" in known:
        kind, facts = f"products of the {known['operator']} with vectors", {"verified": known.get("verified")}
    elif "formulas" in known:
        kind = "Jacobian of formulas"
    elif "wrt" in known:
        kind, facts = f"Jacobian of {known['of']} by {known['wrt']}", {}
    elif made is not None and made.command == "spectrum":
        kind = "eigenvectors of a network's curvature"
    else:
        kind = "tensors" if made is None else f"tensors of gencli {made.command}"
    if made is not None and (shard := made.arguments.get("shard")):
        kind = f"part {shard} of {kind}"
    return kind, f"{kind}{at}: {size}", facts


def _model(known: Facts, tensors: Sequence[Stored]) -> tuple[str, str, Facts]:
    shape, classes, number, rows = (known.get(name) for name in ("shape", "classes", "parameters", "class_rows"))
    training = {} if not isinstance(found := known.get("training"), dict) else found
    runs = found if isinstance(found := known.get("runs"), list) else []
    headline = f"{len(runs):,} runs of model " if runs else "model "
    headline += f"{known['architecture']}: "
    headline += f"{number:,} parameters{' each' if runs else ''}, " if isinstance(number, int) else ""
    headline += f"{len(tensors):,} tensor{'s' * (len(tensors) != 1)}"
    headline += f"; images {by(shape)}" if isinstance(shape, list) else ""
    headline += f", {len(classes):,} classes" if isinstance(classes, list) else ""
    scores = {name: value for name, value in training.items() if "accuracy" in name and isinstance(value, float)}
    counted = isinstance(rows, list) and len(rows) > 0 and all(type(each) is int for each in rows)
    facts = {
        "each run": list(map(_run, runs)) or None,
        "accuracy": scores or None,
        "after epoch": known.get("epoch"),
        "trained on": f"{sum(rows):,} rows, {min(rows):,} to {max(rows):,} per class" if rows and counted else None,
        "classes": classes,
        "preprocessing": known.get("preprocessing"),
        "options": known.get("options") or None,
        "training": {name: value for name, value in training.items() if name not in (*scores, "arch")},
    }
    said = {"architecture", "parameters", "shape", "class_rows", "epoch", "runs", *facts}
    return "model", headline, facts | {name: value for name, value in known.items() if name not in said}


def _run(own: Any) -> str:
    """What is a run's own, but for its rows by class."""
    if not isinstance(own, dict):
        return str(own)
    return " ".join(f"{name} {value}" for name, value in own.items() if name != "class_rows" and value is not None)


def _checkpoint(state: Any) -> Facts:
    """Of a checkpoint's state, its last epoch in place of all."""
    if not isinstance(state, dict):
        return {}
    others = {name: value for name, value in state.items() if name not in ("history", "idle")}
    history = state.get("history")
    if not isinstance(history, list) or not history:
        return others
    return others | {"epochs": len(history), "last epoch": history[-1]}


def _rows(source: Input, tensors: list[Stored], head: int | None) -> pa.Table:
    """A row per tensor."""
    found: list[list[stored.Part]] = [[] for _ in tensors]
    total = sum(each.size for each in tensors if each.readable)

    def measure(part: tuple[int, int]) -> stored.Part:
        return stored.measured(source, tensors[part[0]], part[1])

    with console.progress("values", total) as advance:
        done = 0
        for (number, first), part in machine.in_threads(measure, stored.parts(tensors)):
            found[number].append(part)
            done += min(stored.PART, tensors[number].size - first)
            advance(done)
    known = [stored.moments(parts) if parts else None for parts in found]
    columns = {
        "tensor": pa.array([each.name for each in tensors], pa.string()),
        "shape": pa.array([by(each.shape) or "scalar" for each in tensors], pa.string()),
        "dtype": pa.array([each.dtype for each in tensors], pa.string()),
        "norm": pa.array([each and each.norm for each in known], pa.float64()),
        "least": pa.array([each and each.least for each in known], pa.float64()),
        "greatest": pa.array([each and each.greatest for each in known], pa.float64()),
    }
    if any(each and each.not_finite for each in known):
        columns["not_finite"] = pa.array([each and each.not_finite for each in known], pa.int64())
    if head is not None:
        columns["values"] = pa.array([list(_first(source, each, head)) for each in tensors], pa.list_(pa.float64()))
    return pa.table(columns)


def _first(source: Input, tensor: Stored, count: int) -> Iterator[float]:
    """The first values; of complex numbers the real and the imaginary part."""
    if tensor.readable:
        values = tensor.values(source, 0, count)
        yield from map(float, values.view(np.float32) if values.dtype.kind == "c" else values)
