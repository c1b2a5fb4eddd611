"""The table of runs: a row a training run, in the form of Table 1 of Zhang et al. 2017."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from gencli.errors import GencliError
from gencli.provenance import Step
from gencli.reporting.documents import Document, corruptions, data_name

_NAMED = {"arch", "epochs", "device", "threads"}  # shown otherwise, or not a setting to compare
_SCORES = ("train_accuracy", "validation_accuracy", "test_accuracy", "train_psnr", "validation_psnr", "test_psnr")
_TRAINED = [name for name in _SCORES if not name.startswith("test")]
_KINDS = {name: pa.float64() for name in _SCORES} | {name: pa.int64() for name in ("epochs", "epochs_to_fit")}


def runs_table(documents: Sequence[Document], fitted_at: float) -> pa.Table:
    """One row a run and data set it was tested on.

    Columns: network, data (its split where that is not train), corruption, each training setting in which the runs
    differ, train_accuracy, validation_accuracy where rows were held out, test_accuracy, the same with psnr where there
    are image-to-image networks, epochs, epochs_to_fit (the first with a train accuracy of at least `fitted_at`; null
    where none has), and `tested_on` where that differs. Scores come from a run's history, of the epoch whose model it
    kept, and from results: on the table it was trained on, or on another.
    """
    runs: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if several := {"model", "data"} & set(document.rows.column_names):
            raise GencliError(
                f"{document.title}: results of several in the column {min(several)}, not of one run",
                "show it with --table classes, or evaluate one at a time",
            )
        runs[document.run].append(document)
    facts = describe([group[0] for group in runs.values()])
    figures = [_figures(group, fitted_at) for group in runs.values()]
    rows = [fact | figure for fact, several in zip(facts, figures, strict=True) for figure in several]
    several = len({row["tested_on"] for row in rows if row["tested_on"]}) > 1
    always = () if any("test_psnr" in row for row in rows) else ("train_accuracy", "test_accuracy")
    names = [
        *facts[0],
        *(name for name in _SCORES if any(row.get(name) is not None for row in rows) or name in always),
        *("epochs", "epochs_to_fit"),
        *(["tested_on"] if several else []),
    ]
    return pa.table({name: pa.array([row.get(name) for row in rows], _KINDS.get(name)) for name in names})


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
    shared: dict[str, Any] = dict.fromkeys(("epochs", "epochs_to_fit"))
    tests: dict[str, tuple[str, float]] = {}
    for document in group:
        columns = document.rows.to_pydict()
        score = "psnr" if {"psnr", "train_psnr"} & columns.keys() else "accuracy"
        if document.kind == "history":
            row = _kept_epoch(document, columns.get(f"validation_{score}"))
            shared["epochs"] = columns["epoch"][-1]
            shared |= {name: values[row] for name, values in columns.items() if name in _TRAINED}
            if score == "accuracy":
                accuracies = zip(columns["epoch"], columns["train_accuracy"], strict=True)
                shared["epochs_to_fit"] = min((e for e, a in accuracies if a >= fitted_at), default=None)
            tested = next((e for e in (document.made or {}).get("inputs", []) if e["role"] == "eval-data"), None)
            test = columns.get(f"test_{score}")
            if test and test[row] is not None:
                tests[data_name(tested)] = f"test_{score}", test[row]
        else:
            overall = columns[score][-1]
            entry, trained_on = document.data, _trained_on(document.training)
            if entry and trained_on and entry["sha256"] == trained_on["sha256"]:
                shared[f"train_{score}"] = overall
            else:
                tests[data_name(entry)] = f"test_{score}", overall
    return [shared | {column: score, "tested_on": name} for name, (column, score) in (tests or {"": ("", 0.0)}).items()]


def _kept_epoch(document: Document, validation: list[float] | None) -> int:
    """The place of the epoch whose model was kept: the last, or with early stopping the best of the validation."""
    stopped = document.training is not None and document.training["arguments"].get("early_stop") is not None
    return validation.index(max(validation)) if stopped and validation else -1
