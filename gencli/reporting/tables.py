"""The tables of `gencli report` by name. One is an entry here, and its name in `settings.Table`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gencli.errors import GencliError
from gencli.reporting import benchmarks, classes, descent, edge, ranking, removal, runs, speed
from gencli.reporting.documents import Document
from gencli.reporting.figures import Options
from gencli.reporting.forms import WORDS, Kind
from gencli.reporting.groups import Table

_MEASURED = ("history", "result")


@dataclass(frozen=True)
class Form:
    """One table.

    Attributes:
        heading: on the page.
        needs: one file of each of these groups of kinds.
        make: of all documents; None where they hold nothing that it shows.
        lacks: what they do not hold then.
        page: whether they belong on a page, which shows what files were made for.
    """

    heading: str
    needs: tuple[tuple[Kind, ...], ...]
    make: Callable[[Sequence[Document], Options], Table | None]
    lacks: str = ""
    page: Callable[[Sequence[Document], Options], bool] = lambda documents, options: True


def _of(documents: Sequence[Document], *kinds: Kind) -> list[Document]:
    return [each for each in documents if each.kind in kinds]


def _descent(documents: Sequence[Document], options: Options) -> Table | None:
    found = descent.descents(_of(documents, *_MEASURED), options.fitted_at)
    return descent.descent_table(found) if found else None


def _ungrouped(documents: Sequence[Document]) -> list[Document]:
    return [each for each in _of(documents, "result") if "corruption_error" not in each.rows.column_names]


def _long_tail(documents: Sequence[Document], options: Options) -> Table:
    results = _of(documents, "result")
    known = {name for each in results for name in each.rows.column_names}
    metric = next((each for each in options.metric if each in known), (*options.metric, "accuracy")[0])
    return classes.long_tail_table(_ungrouped(documents) or results, _of(documents, "images"), metric)


def _tailed(documents: Sequence[Document]) -> bool:
    found = _ungrouped(documents)
    return bool(found) and bool(_of(documents, "images") or any(map(classes.is_tailed, found)))


TABLES: dict[str, Form] = {  # in their order on a page
    "benchmark": Form("Benchmark", (("benchmark",),), lambda given, _: benchmarks.table(_of(given, "benchmark"))),
    "double-descent": Form(
        "Double descent", (_MEASURED,), _descent, "no learners tested at four sizes",
        lambda given, options: _descent(given, options) is not None,
    ),
    "runs": Form(
        "Runs", (_MEASURED,),
        lambda given, options: runs.runs_table(_of(given, *_MEASURED), options.fitted_at, options.best_on_test),
    ),
    "removal": Form(
        "Rows removed by a score, and at random", (_MEASURED,),
        lambda given, _: removal.removal_table(_of(given, *_MEASURED)),
        "no test accuracy of a network trained on rows that corrupt prune left",
        lambda given, _: removal.removal_table(_of(given, *_MEASURED)) is not None,
    ),
    "edge-of-stability": Form(
        "The edge of stability", (("history",),), lambda given, _: edge.table(given) if edge.followed(given) else None,
        "no sharpness of a full-batch run of sgd at a constant rate, without decay",
        lambda given, _: bool(edge.followed(given)),
    ),
    "rank": Form(
        "Which measure predicts the gap", (("measures",), _MEASURED), lambda given, _: ranking.table(given),
        page=lambda given, _: ranking.rankable(given),
    ),
    "classes": Form(
        "Classes", (("result",),), lambda given, _: classes.classes_table(_of(given, "result"))
    ),
    "speed": Form(
        "Speed of fitting, and what a kernel predicts", (("history",), ("alignment",)),
        lambda given, options: speed.speed_table(
            _of(given, "history"), _of(given, "alignment"), options.fitted_at, options.published
        ),
    ),
    "long-tail": Form(
        "Classes from head to tail", (("result",),), _long_tail, page=lambda given, _: _tailed(given)
    ),
    "corruptions": Form(
        "Corruptions", (("result",),), lambda given, _: classes.corruptions_table(_of(given, "result")),
        page=lambda given, _: len(_ungrouped(given)) < len(_of(given, "result")),
    ),
}  # fmt: skip


def lacking(name: str, documents: Sequence[Document]) -> Kind | None:
    """A kind of file that a table needs and none is of."""
    return next((group[0] for group in TABLES[name].needs if not _of(documents, *group)), None)


def supported(documents: Sequence[Document], options: Options) -> list[str]:
    """The tables that the documents are for."""
    return [name for name, form in TABLES.items() if lacking(name, documents) is None and form.page(documents, options)]


def make(name: str, documents: Sequence[Document], options: Options) -> Table:
    """A table of documents that it does not lack.

    Raises:
        GencliError: they hold nothing that it shows.
    """
    form = TABLES[name]
    made = form.make(documents, options)
    if made is None:
        raise GencliError(f"{documents[0].title}: {form.lacks}", WORDS[form.needs[0][0]])
    return made
