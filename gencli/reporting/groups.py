"""Runs of several seeds as one row: what tells setups apart, means and standard deviations; and the table they make."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import pyarrow as pa

from gencli.files.named import distinct_names
from gencli.files.provenance import Source, Step
from gencli.reporting.documents import DIFFER, Document, corruptions, data_name, making

T = TypeVar("T")

_NAMED = {"arch", "epochs", "device", "threads", "seed"}  # shown otherwise, or not a setting to compare
PLAIN = ("network", "data", "corruption", "result", "tested_on")  # facts that need no name beside their value


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: as `--table` calls it.
        rows: columns that say what a row is, then `scores`, each followed by its standard deviation `NAME_std` where
            seeds are grouped.
        settings: those of the first columns that are training settings.
        scores: columns of what was measured.
        documents: the files behind each row.
        facts: all that is known of each row's setup, shown or not.
        notes: lines below the table.
        counted: whether the first row holds counts in place of scores.
    """

    name: str
    rows: pa.Table
    settings: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    documents: tuple[tuple[Document, ...], ...] = ()
    facts: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    counted: bool = False

    @property
    def keys(self) -> list[str]:
        """The columns that say what a row is."""
        numbers = {*self.scores, *(f"{name}_std" for name in self.scores), "runs", "n"}
        return [name for name in self.rows.column_names if name not in numbers]


@dataclass
class Setup:
    """Runs that differ only in their seeds.

    Attributes:
        facts: network, data, corruption, and the settings in which the setups differ.
        runs: each run's documents.
    """

    facts: dict[str, Any]
    runs: list[list[Document]] = field(default_factory=list)

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents of all runs."""
        return tuple(document for run in self.runs for document in run)

    @property
    def last(self) -> list[Document]:
        """The last document of each run."""
        return [run[-1] for run in self.runs]


def setups(documents: Iterable[Document], measured: bool = False) -> list[Setup]:
    """The setups of documents, in the order of their first ones, and their runs likewise; see `levels` of corruptions.

    Args:
        measured: whether what they were measured on makes a difference, the fact `tested_on`.
    """
    documents = list(documents)
    found: dict[Any, dict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    tables = told_tables([(each, each.data) for each in documents], tested_on) if measured else {}
    for document in documents:
        found[document.setup, tables.get(content(document.data), "")][document.run].append(document)
    keys = [*found]
    order = levels([next(iter(found[each].values()))[0] for each in keys])
    found = {keys[place]: found[keys[place]] for place in order}  # pyright: ignore[reportAssignmentType]
    groups = [list(runs.values()) for runs in found.values()]
    facts = describe([runs[0][0] for runs in groups])
    if measured:
        facts = [fact | {"tested_on": tested} for fact, (_, tested) in zip(facts, found, strict=True)]
    return [Setup(fact, runs) for fact, runs in zip(facts, groups, strict=True)]


def levels(documents: Sequence[Document]) -> list[int]:
    """Places of documents such that of each network and data those without a corruption come first, then its levels.

    Networks, data, kinds of corruptions and all else stay in the order in which they come.
    """
    seen: dict[Any, int] = {}

    def rank(*of: Any) -> int:
        return seen.setdefault(of, len(seen))

    def number(step: Step, name: str, value: Any) -> tuple[float, int]:
        plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return (value, 0) if plain else (0, rank(step.command, name, str(value)))

    def key(document: Document) -> tuple[Any, ...]:
        steps = corruptions(document.trained_on)
        lead = rank(str(_network(document)) or document.title), rank(data_name(document.trained_on))
        kinds = [(rank(step.command), [number(step, *each) for each in _levels(step)]) for step in steps]
        return *lead, kinds

    keys = [key(document) for document in documents]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _levels(step: Step) -> list[tuple[str, Any]]:
    given = [("labels", entry.labels_differ or 0.0) for entry in step.given("from")]
    return given + [(name, value) for name, value in step.arguments.items() if name != "seed"]


def on_part(documents: Iterable[Document]) -> list[str]:
    """A note where results are on all rows of tables of which their networks saw a part."""
    if not any(each.kind == "result" and each.on_training and each.partial for each in documents):
        return []
    return ["results on a training table of which networks saw a part (--subset, --validation-fraction) are of all its "
            "rows; the accuracy on those that they saw is in the history"]  # fmt: skip


def content(entry: Source | None) -> str:
    """A key of an input's content."""
    return "" if entry is None else entry.sha256 or entry.object


def told_tables(
    measured: Sequence[tuple[Document, Source | None]], *forms: Callable[[Source | None], str]
) -> dict[str, str]:
    """What the tables that documents were measured on are called, by their contents.

    That is what the first of the forms calls them which tells apart all those of each run, and those of each setup that
    differ in more than seeds; where none does, the last one's words, with the files of the results where they do not.
    """
    tables = {content(entry): (document, entry) for document, entry in reversed(measured)}
    made = {
        key: making(entry.step, entry.step.inputs) if entry and entry.step else key
        for key, (_, entry) in tables.items()
    }
    runs = [{content(entry) for _, entry in same} for same in grouped(measured, lambda each: each[0].run).values()]
    for same in grouped(measured, lambda each: each[0].setup).values():
        runs.append({*{made[content(entry)]: content(entry) for _, entry in same}.values()})
    words: dict[str, str] = {}
    for form in forms:
        words = {key: form(entry) for key, (_, entry) in tables.items()}
        if all(len({words[key] for key in keys}) == len(keys) for keys in runs):
            return words
    twice = {word for keys in runs for word, count in Counter(words[key] for key in keys).items() if count > 1}
    files = dict(zip(tables, titles([document for document, _ in tables.values()])))
    return {key: f"{word}, {files[key]}" if word in twice else word for key, word in words.items()}


def tested_on(entry: Source | None) -> str:
    """An input in words, with its corruptions."""
    (chain,) = chains([corruptions(entry)], {"seed"})
    return data_name(entry) + ("" if chain == "none" else f" {chain}")


def describe(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """The runs behind these documents: network, data, corruption, and the settings in which they differ.

    An option that some losses do not have is not a difference by itself.
    """
    from gencli.losses import LOSSES

    own = {option.name for loss in LOSSES.values() for option in fields(loss)}
    settings = [arguments(document) for document in documents]
    names = [name for name in dict.fromkeys(n for each in settings for n in each) if name not in _NAMED]
    varied = [name for name in names if len(_known(settings, name, name in own)) > 1]
    chained = chains([corruptions(document.trained_on) for document in documents], {"seed"})
    return [
        {
            "network": _network(document) or title,
            "data": data_name(document.trained_on).removesuffix(" train"),
            "corruption": "" if document.training is None else chain,
        }
        | {name: each.get(name) for name in varied}
        for document, each, chain, title in zip(documents, settings, chained, titles(documents), strict=True)
    ]


def _network(document: Document) -> str:
    """Its architecture; of a learner in closed form how it was fitted, nothing where that is unknown."""
    step = document.training
    return "" if step is None else step.arguments.get("arch") or step.command.removeprefix("fit ")


def _known(settings: Sequence[dict[str, Any]], name: str, own: bool) -> set[str]:
    return {str(each[name]) for each in settings if name in each and not (own and each[name] is None)}


def arguments(document: Document) -> dict[str, Any]:
    """The settings of the training behind a document."""
    return {} if document.training is None else document.training.arguments


def titles(documents: Sequence[Document]) -> list[str]:
    """The documents' files; see `distinct_names`."""
    return distinct_names([document.title for document in documents])


def names(groups: Sequence[Setup]) -> list[str]:
    """What distinguishes setups as text, or the first of their files if nothing does; and their number of runs.

    A setting that is the same for all setups of a network is omitted, since the network is named.
    """
    facts = apart(groups)
    seen = {(each.get("network"), name, value) for each in facts for name, value in each.items()}
    values = Counter((network, name) for network, name, _ in seen)
    told = [
        ", ".join(
            value if name in PLAIN else f"{name}={value}"
            for name, value in each.items()
            if value and (name in PLAIN or values[each.get("network"), name] > 1)
        )
        for each in facts
    ]
    return [f"{name} (n={len(group.runs)})" if len(group.runs) > 1 else name for name, group in zip(told, groups)]


def apart(groups: Sequence[Setup]) -> list[dict[str, str]]:
    """The facts that tell setups apart, as they are printed; a file's name as `result` where they do not."""
    facts = [group.facts for group in groups]
    varied = [name for name in facts[0] if len({str(each[name]) for each in facts}) > 1] if facts else []
    told = [{name: word(each[name]) for name in varied} for each in facts]
    if varied and len({tuple(each.values()) for each in told}) == len(told):
        return told
    whole = [_of_runs(group) for group in groups]
    if len(set(whole)) < len(whole):
        whole = [group.documents[0].title for group in groups]
    return [{"result": title} for title in distinct_names(whole)]


def _of_runs(group: Setup) -> str:
    """The first of its files, without the number of a run where it is of several."""
    title = group.documents[0].title
    return re.sub(r"[:,] run \d+$", "", title) if len(group.runs) > 1 else title


def word(value: object) -> str:
    """A setting as text: numbers as short as they can be, yes and no, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def chains(chains: Sequence[Sequence[Step]], hidden: Iterable[str] = ()) -> list[str]:
    """Each list of corruptions in words, with their numbers, and the other arguments in which the lists differ."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for step in (step for chain in chains for step in chain):
        for name, value in step.arguments.items():
            if name not in hidden:
                seen[step.command, name].add(str(value))

    def words(step: Step) -> str:
        if step.command == DIFFER:
            return f"{DIFFER}, {100 * step.arguments['share']:.3g} %"
        shown = [
            f"{value}" if name == "kind" else f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in step.arguments.items()
            if name == "kind" or isinstance(value, float) or len(seen[step.command, name]) > 1
        ]
        name = step.command.removeprefix("corrupt ")
        for each in step.given("from"):  # labels that a file gives
            shown = [f"from {each.name or data_name(each)}", *shown]
            return f"{' '.join([name, *shown])}, {100 * (each.labels_differ or 0):.3g} %"
        return " ".join([name, *shown])

    return [" + ".join(map(words, chain)) or "none" for chain in chains]


def spread(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation of the values that are not None; NaN if one is NaN; None if there are too few.

    Sums do not overflow float64; a deviation that would is infinite.
    """
    known = [value for value in values if value is not None]
    if not known or not all(map(math.isfinite, known)):
        return (math.nan if known else None), None
    if len(known) == 1:
        return known[0], None
    return _or(statistics.fmean, known, statistics.mean), _or(statistics.stdev, known, lambda _: math.inf)


def _or(of: Callable[[list[float]], float], values: list[float], beyond: Callable[[list[float]], float]) -> float:
    try:
        return of(values)
    except OverflowError:
        return beyond(values)


def grouped(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    """The items by key, in the order of the keys' first ones."""
    found: dict[Any, list[T]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return dict(found)


def assemble(rows: Sequence[dict[str, Any]], keys: Sequence[str], scores: Sequence[str], counted: bool) -> pa.Table:
    """A table of rows whose scores are `spread`s, or None: keys, `runs` where `counted`, scores, deviations."""
    columns: dict[str, pa.Array] = {name: _column([row.get(name) for row in rows]) for name in keys}
    if counted:
        columns["runs"] = pa.array([row.get("runs") for row in rows], pa.int64())
    for name in scores:
        pairs = [row.get(name) or (None, None) for row in rows]
        whole = name.removesuffix("_on_test").endswith(("epoch", "epochs", "epochs_to_fit"))
        exact = whole and all(mean is None or float(mean).is_integer() for mean, _ in pairs)
        columns[name] = pa.array([mean for mean, _ in pairs], pa.int64() if exact else pa.float64())
        if any(deviation is not None for _, deviation in pairs):
            columns[f"{name}_std"] = pa.array([deviation for _, deviation in pairs], pa.float64())
    return pa.table(columns)


def _column(values: list[Any]) -> pa.Array:
    """Values of a provenance, which may be any; as text where they have no common type."""
    found = {type(value) for value in values if value is not None}
    kinds = [(str, pa.string()), (bool, pa.bool_()), (int, pa.int64())]
    kind = next((kind for known, kind in kinds if found == {known}), None)
    if kind is None and found and found <= {int, float}:
        kind = pa.float64()
    if kind is not None and all(not isinstance(value, int) or abs(value) < 1 << 63 for value in values):
        return pa.array(values, kind)
    return pa.array([None if value is None else str(value) for value in values], pa.string())
