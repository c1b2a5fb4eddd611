"""Which measure predicts how far test and training error are apart: a table, its words, and a panel a measure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gencli.errors import GencliError
from gencli.reporting import correlation
from gencli.reporting.correlation import LEAST, Values
from gencli.reporting.documents import NOT_SETUP, Document, corruptions, data_name
from gencli.reporting.groups import Table, arguments, chains, grouped
from gencli.reporting.panels import Curve, Lines
from gencli.reporting.runs import figures

NOTHING = "random"  # the measure that knows nothing
_UNRANKED = {"sharpness_standard_error", "margin"}  # an error, and inverse_margin upside down
_ARCH = re.compile(r"(.*?-)(\d+)x(\d+)(|-.*)")
_SAME = {"arch", *NOT_SETUP}  # told otherwise, or no hyper-parameters
_SEEDS = ("seed", "seed_init", "seed_order")
_PARTS = {"corrupt subsample", "data where"}  # whose rows are some of a table's, as they were
_CLOSE = 1e-4  # of a loss that a history and eval sum in another order


@dataclass(frozen=True)
class Ranked:
    """Runs with their measures and results.

    Attributes:
        settings: of each run, its hyper-parameters that differ from run to run.
        measures: by name, [runs] values, NaN where a run has none.
        losses: at the end of training, in words, and how many runs were left out for theirs.
        gaps, errors: [runs] train less test accuracy, and 1 - test accuracy.
    """

    settings: list[dict[str, Hashable]]
    seeds: list[Hashable]
    measures: dict[str, Values]
    gaps: Values
    errors: Values
    losses: str


def collect(documents: Sequence[Document]) -> Ranked:
    """The runs that have both measures and a gap.

    Raises:
        GencliError: files have lost how they were made, measures are not of the training rows or differ, runs were
            tested on several tables, or there are too few runs or only equal gaps.
    """
    used = [each for each in documents if each.kind in ("measures", "history", "result")]
    for each in used:
        if each.training is None:
            what = "has lost how it was made, so its runs are not known"
            raise GencliError(f"{each.title}: {what}", "give Parquet that gencli wrote, from models of gencli train")
    runs = [list(each) for each in grouped(used, lambda document: document.run).values()]
    given, runs = len(runs), [run for run in runs if not any(map(_stopped_short, run))]
    found: list[tuple[Document, dict[str, float], dict[str, Any]]] = []
    taken: list[list[Document]] = []
    tests: dict[str, Document] = {}
    for run in runs:
        measured = [each for each in run if each.kind == "measures"]
        scores = [each for each in figures(run, 1.0, False) if each.get("gap") is not None]
        if measured and scores:
            tests |= _tests(run)
            found.append((measured[0], _values(measured), scores[0]))
            taken.append(run)
    if len(tests) > 1:
        one, other, *_ = (each.title for each in tests.values())
        raise GencliError(f"{one}, {other}: tested on different tables", "give the results on one table, for all runs")
    if len(found) < LEAST:
        lack = f"{len(found)} of {given} runs have measures, train and test accuracy"
        lack += f", {given - len(runs)} did not come down to --until-train-loss" if given > len(runs) else ""
        raise GencliError(f"{documents[0].title}: {lack}; fewer than {LEAST} say nothing",
                          "give eval --measures and train --history --eval-data of more runs")  # fmt: skip
    found.sort(key=lambda each: each[0].run)  # what is drawn for a run does not depend on the order of files
    names = list(dict.fromkeys(name for _, values, _ in found for name in values))
    measures = {name: np.array([values.get(name, np.nan) for _, values, _ in found]) for name in names}
    gaps = np.array([scores["gap"] for *_, scores in found])
    if len(set(gaps.tolist())) < 2:
        raise GencliError(f"{documents[0].title}: all {len(found)} runs have the same gap", "give runs that differ")
    settings = hyper_parameters([document for document, *_ in found])
    seeds: list[Hashable] = [tuple(arguments(document).get(name) for name in _SEEDS) for document, *_ in found]
    errors = np.array([1 - scores["test_accuracy"] for *_, scores in found])
    histories = [each for run in taken for each in run if each.kind == "history"]
    ends = [each.rows["train_loss"][-1].as_py() for each in histories]
    known = [each for each in ends if each is not None]
    losses = f"of {min(known):.3g} to {max(known):.3g}" if known else "that are not known"
    if given > len(runs):
        losses += f"; without {given - len(runs)} runs that did not come down to --until-train-loss"
    if unknown := sum(not any(map(_tells_loss, run)) for run in taken):
        losses += f"; whether {unknown} came down to --until-train-loss is not known without their histories"
    return Ranked(settings, seeds, measures, gaps, errors, losses)


def _stopped_short(document: Document) -> bool:
    """Whether it says that a run did not come down to the loss at which it was to end: its history, or a result."""
    enough = arguments(document).get("until_train_loss")
    if enough is None or not _tells_loss(document):
        return False
    history = document.kind == "history"
    last = document.rows["train_loss" if history else "loss"][-1].as_py()
    return last is None or not last <= (enough if history else enough * (1 + _CLOSE))


def _tells_loss(document: Document) -> bool:
    """Whether it tells the training loss at the end, where that was to be reached."""
    if document.kind == "history" or arguments(document).get("until_train_loss") is None:
        return True
    return document.kind == "result" and _on_training_rows(document) and "loss" in document.rows.column_names


def _on_training_rows(document: Document) -> bool:
    """Whether it was measured on the table of its training, or on a part of it, of which the network saw all."""
    entry, trained = document.data, None if document.partial else document.trained_on
    while entry is not None and trained is not None and entry.sha256 != trained.sha256:
        step = entry.step
        entry = next(iter(step.given("data")), None) if step is not None and step.command in _PARTS else None
    return entry is not None and trained is not None


def _tests(run: Sequence[Document]) -> dict[str, Document]:
    """The tables that a run was tested on, by content, each with a document that says so."""
    found: dict[str, Document] = {}
    for each in run:
        if each.kind == "history" and each.made is not None and {"test_accuracy"} & {*each.rows.column_names}:
            found |= {entry.sha256: each for entry in each.made.given("eval-data")[:1]}
        if each.kind == "result" and each.data and each.trained_on and each.data.sha256 != each.trained_on.sha256:
            found[each.data.sha256] = each
    return found


def rankable(documents: Sequence[Document]) -> bool:
    """Whether there are enough runs with measures and gaps; see `collect`."""
    try:
        return bool(collect(documents).measures)
    except GencliError:
        return False


def _values(documents: Sequence[Document]) -> dict[str, float]:
    """The measures of a whole network that are known; those on data count before those without.

    Raises:
        GencliError: they are not of the training rows, or two of one measure differ.
    """
    found: dict[str, float] = {}
    seen: dict[str, float] = {}  # on data
    for document in sorted(documents, key=lambda each: each.data is not None):
        if document.data is not None and not _on_training_rows(document):
            rows = data_name(document.data)
            rows += " of which it saw a part (--subset, --validation-fraction)" if document.partial else ""
            raise GencliError(f"{document.title}: measured on {rows}, not on the rows of its training",
                              "give eval --measures on the training table, or on a part of it")  # fmt: skip
        columns = (document.rows[name].to_pylist() for name in ("measure", "layer", "value"))
        for name, layer, value in zip(*columns, strict=True):
            if layer is None and value is not None and name not in _UNRANKED:
                found[name] = value
                if document.data is not None and seen.setdefault(name, value) != value:
                    raise GencliError(f"{document.title}: {name} was measured twice, as {seen[name]:g} and {value:g}",
                                      "give one measurement of each run")  # fmt: skip
    return found


def hyper_parameters(documents: Sequence[Document]) -> list[dict[str, Hashable]]:
    """In which settings, data and corruptions trainings differ, by name; of `mlp-KxW` alike, depth K and width W."""
    given = [arguments(document) for document in documents]
    names = [name for name in dict.fromkeys(name for each in given for name in each) if name not in _SAME]
    chain = chains([corruptions(document.trained_on) for document in documents], {"seed"})
    archs = [str(each.get("arch")) for each in given]
    matches = [match for arch in archs if (match := _ARCH.fullmatch(arch))]
    split = len(matches) == len(archs) and len({(match[1], match[4]) for match in matches}) == 1
    found: list[dict[str, Hashable]] = []
    for place, (document, own) in enumerate(zip(documents, given)):
        match = matches[place] if split else None
        told: dict[str, Hashable] = {"depth": match[2], "width": match[3]} if match else {"arch": archs[place]}
        told |= {name: str(own.get(name)) for name in names}
        found.append(told | {"data": data_name(document.trained_on), "corruption": chain[place]})
    varied = [name for name in found[0] if len({each[name] for each in found}) > 1]
    return [{name: each[name] for name in varied} for each in found]


def rank(ranked: Ranked, seed: int) -> list[dict[str, Any]]:
    """A row a measure, the largest τ first; see `table`."""
    known = dict(ranked.measures)
    known[NOTHING] = np.random.default_rng([seed, 1]).standard_normal(len(ranked.gaps))
    rows = [_row(name, values, ranked, seed) for name, values in known.items()]
    return sorted(rows, key=lambda row: (row["tau"] is None, -(row["tau"] or 0.0)))


def _row(name: str, values: Values, ranked: Ranked, seed: int) -> dict[str, Any]:
    here = np.flatnonzero(np.isfinite(values))
    settings = [ranked.settings[place] for place in here]
    seeds = [ranked.seeds[place] for place in here]
    names = [*ranked.settings[0]]
    row: dict[str, Any] = {"measure": name, "runs": len(here), "tau": None}
    if len(here) < LEAST:
        return row | {"says": f"too few runs: {len(here)}"}
    if len(set(values[here].tolist())) < 2:
        return row | {"says": "the same for all runs"}
    one, gap, error = (correlation.signs(each[here]) for each in (values, ranked.gaps, ranked.errors))
    weights = correlation.resamples(len(here), seed)
    row |= _with_interval("tau", correlation.tau(one, gap), correlation.tau(one, gap, weights))
    row |= _with_interval("tau_test_error", correlation.tau(one, error), correlation.tau(one, error, weights))
    pairs = {each: correlation.alone(settings, seeds, each) for each in names}
    alone = {each: correlation.granulated(one, gap, found) for each, found in pairs.items() if found.any()}
    if alone:
        again = [correlation.granulated(one, gap, pairs[each], weights) for each in alone]
        row |= _with_interval("psi", np.round(np.mean([*alone.values()], 0), 11) + 0.0, np.mean(again, 0))
    row |= {f"psi_{each}": float(found[0]) for each, found in alone.items()}
    row["cmi"] = correlation.information(one, gap, settings)
    errors = correlation.sign_errors(one, gap, correlation.environments(settings))
    if len(errors):
        row |= {"sign_error": errors.mean().item(), "sign_error_90": float(np.quantile(errors, 0.9))}
        row["sign_error_worst"] = errors.max().item()
    return row | {"says": _says(row)}


def _with_interval(name: str, value: Values, again: Values) -> dict[str, float | None]:
    if not np.isfinite(value[0]):
        return {name: None}
    low, high = correlation.interval(again) or (None, None)
    return {name: float(value[0]), f"{name}_low": low, f"{name}_high": high}


def _says(row: dict[str, Any]) -> str:
    low, high = row.get("tau_low"), row.get("tau_high")
    if low is None or high is None or low <= 0 <= high:
        return "nothing"
    return "predicts" if low > 0 else "the wrong way"


def table(documents: Sequence[Document], seed: int = 0) -> Table:
    """One row a measure: tau, psi and what else `gencli rank` tells, with notes that say it in words."""
    ranked = collect(documents)
    rows = rank(ranked, seed)
    columns = ["measure", "runs", "says"]
    for name in ("tau", "tau_test_error", "psi"):
        columns += [name, f"{name}_low", f"{name}_high"]
    columns += [*(f"psi_{name}" for name in ranked.settings[0])]
    columns += ["cmi", "sign_error", "sign_error_90", "sign_error_worst"]
    kinds = {"measure": pa.string(), "runs": pa.int64(), "says": pa.string()}
    made = {name: pa.array([row.get(name) for row in rows], kinds.get(name, pa.float64())) for name in columns}
    scores = tuple(name for name in columns[3:] if made[name].null_count < len(rows))
    shown = pa.table({name: made[name] for name in (*columns[:3], *scores)})
    return Table("rank", shown, scores=scores, notes=words(rows, ranked))


def words(rows: Sequence[dict[str, Any]], ranked: Ranked) -> tuple[str, ...]:
    """What a ranking says, in lines: which measures predict, which do not, and which point the wrong way."""
    real = [row for row in rows if row["measure"] != NOTHING and row["tau"] is not None]
    nothing = next(row for row in rows if row["measure"] == NOTHING)
    apart = ", ".join(ranked.settings[0]) or "their seeds alone"
    lines = [f"{len(ranked.gaps)} runs, which differ in {apart}; gaps of {ranked.gaps.min():.3f} to "
             f"{ranked.gaps.max():.3f}, training losses {ranked.losses}"]  # fmt: skip
    said = {"predicts": "predict the gap, the interval of tau being above 0",
            "the wrong way": "point the wrong way, the interval being below 0",
            "nothing": "say nothing, the interval holding 0"}  # fmt: skip
    for word, told in said.items():
        names = [f"{row['measure']} {row['tau']:.2f}" for row in real if row["says"] == word]
        names = names[::-1] if word == "the wrong way" else names
        lines.append(f"{len(names)} of {len(real)} measures {told}{': ' if names else ''}{', '.join(names)}")
    if fewer := [row for row in real if row["runs"] < len(ranked.gaps)]:
        lines.append(f"{len(fewer)} exist for some of the runs only (column runs), and their tau is of those: "
                     f"{', '.join(row['measure'] for row in fewer)}")  # fmt: skip
    if "psi" in nothing:
        reversed_ = [
            row["measure"] for row in real
            if row["says"] == "predicts" and any(value < 0 for name, value in row.items() if _of_setting(name))
        ]  # fmt: skip
        lines.append(f"{len(reversed_)} that predict point the wrong way along some hyper-parameter alone (psi below 0)"
                     f"{': ' if reversed_ else ''}{', '.join(reversed_)}")  # fmt: skip
    if "sign_error_worst" in nothing:
        wrong = sum(row["sign_error_worst"] > 0.5 for row in real)
        lines.append(f"{wrong} of {len(real)} are wrong more often than right in some pair of environments; "
                     f"{NOTHING} numbers have a mean sign error of {nothing['sign_error']:.2f}")  # fmt: skip
    if known := [row for row in real if row["cmi"] is not None]:
        best = max(known, key=lambda row: row["cmi"])
        lines.append(f"the largest cmi is {best['cmi']:.3f}, of {best['measure']}; of {NOTHING} numbers it is "
                     f"{nothing['cmi'] or 0:.3f}")  # fmt: skip
    return tuple(lines)


def _of_setting(name: str) -> bool:
    return name.startswith("psi_") and name not in ("psi_low", "psi_high")


def panels(documents: Sequence[Document]) -> list[Lines]:
    """Each measure against the gap, in the order of the table; none where there is no table."""
    if not rankable(documents):
        return []
    ranked, made = collect(documents), list[Lines]()
    for row in rank(ranked, 0):
        name = row["measure"]
        if row["tau"] is None or name == NOTHING:
            continue
        values = ranked.measures[name]
        kept = np.isfinite(values)
        curve = Curve("runs", values[kept].tolist(), ranked.gaps[kept].tolist())
        made.append(Lines("gap", f"{name}, tau {row['tau']:.2f}", [curve], dots=True, scatter=True))
    return made
