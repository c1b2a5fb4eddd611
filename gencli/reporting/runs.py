"""The table of runs: a row a training run, in the form of Table 1 of Zhang et al. 2017."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from gencli.provenance import Step
from gencli.reporting.documents import Document, corruptions, data_name

_NAMED = {"arch", "epochs", "device", "threads"}  # shown otherwise, or not a setting to compare
_KINDS = {name: pa.float64() for name in ("train_accuracy", "test_accuracy")} | {
    name: pa.int64() for name in ("epochs", "epochs_to_fit")
}


def runs_table(documents: Sequence[Document], fitted_at: float) -> pa.Table:
    """One row a run and data set it was tested on.

    Columns: network, data (its split where that is not train), corruption, each training setting in which the runs
    differ, train_accuracy, test_accuracy, epochs, epochs_to_fit (the first with a train accuracy of at least
    `fitted_at`; null where none has), and `tested_on` where that differs. Accuracies come from a run's history, after
    its last epoch, and from results: on the table it was trained on, or on another.
    """
    runs: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        runs[document.run].append(document)
    facts = describe([group[0] for group in runs.values()])
    figures = [_figures(group, fitted_at) for group in runs.values()]
    rows = [fact | figure for fact, several in zip(facts, figures, strict=True) for figure in several]
    columns = {name: pa.array([row[name] for row in rows], _KINDS.get(name)) for name in rows[0]}
    if len({row["tested_on"] for row in rows if row["tested_on"]}) < 2:
        del columns["tested_on"]
    return pa.table(columns)


def describe(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """What the runs behind these documents are: network, data, corruption, and the settings in which they differ."""
    steps = [document.training for document in documents]
    trained_on = [_trained_on(step) for step in steps]
    settings = [{} if step is None else step["arguments"] for step in steps]
    names = [name for name in dict.fromkeys(n for each in settings for n in each) if name not in _NAMED]
    varied = [name for name in names if len({str(each.get(name)) for each in settings}) > 1]
    named = chains([corruptions(entry) for entry in trained_on])
    return [
        {
            "network": each.get("arch", document.title),
            "data": data_name(entry).removesuffix(" train"),
            "corruption": chain,
        }
        | {name: each.get(name) for name in varied}
        for document, each, entry, chain in zip(documents, settings, trained_on, named, strict=True)
    ]


def _trained_on(step: Step | None) -> dict[str, Any] | None:
    return None if step is None else next((entry for entry in step["inputs"] if entry["role"] == "data"), None)


def chains(chains: list[list[Step]]) -> list[str]:
    """Each list of corruptions in words, with their numbers, and the other arguments in which the lists differ."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for step in (step for chain in chains for step in chain):
        for name, value in step["arguments"].items():
            seen[step["command"], name].add(str(value))

    def words(step: Step) -> str:
        shown = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in step["arguments"].items()
            if (isinstance(value, float) or len(seen[step["command"], name]) > 1)
        ]
        return " ".join([step["command"].removeprefix("corrupt "), *shown])

    return [" + ".join(map(words, chain)) or "none" for chain in chains]


def _figures(group: list[Document], fitted_at: float) -> list[dict[str, Any]]:
    """The figures of one run's documents, a dictionary a data set it was tested on."""
    train = fitted = epochs = None
    tests: dict[str, float | None] = {}
    for document in group:
        columns = document.rows.to_pydict()
        if document.kind == "history":
            reached = [e for e, a in zip(columns["epoch"], columns["train_accuracy"], strict=True) if a >= fitted_at]
            train, epochs, fitted = columns["train_accuracy"][-1], columns["epoch"][-1], min(reached, default=None)
            last = columns.get("test_accuracy", [None])[-1]
            if last is not None:
                tested = next((e for e in (document.made or {}).get("inputs", []) if e["role"] == "eval-data"), None)
                tests[data_name(tested)] = last
        else:
            overall = columns["accuracy"][-1]
            entry, trained_on = document.data, _trained_on(document.training)
            if entry and trained_on and entry["sha256"] == trained_on["sha256"]:
                train = overall
            else:
                tests[data_name(entry)] = overall
    return [
        {
            "train_accuracy": train,
            "test_accuracy": accuracy,
            "epochs": epochs,
            "epochs_to_fit": fitted,
            "tested_on": name,
        }
        for name, accuracy in (tests or {"": None}).items()
    ]
