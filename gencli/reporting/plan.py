"""Which tables and figures the files support, and which of them are requested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gencli.errors import GencliError, nearest
from gencli.reporting import against
from gencli.reporting.documents import Document
from gencli.reporting.figures import FIGURES, Options, draw, regularized
from gencli.reporting.forms import WORDS, Kind
from gencli.reporting.groups import Table
from gencli.reporting.panels import Panel
from gencli.reporting.settings import Settings
from gencli.reporting.tables import lacking, make, supported

_DEFAULT_PLOTS: dict[Kind, str] = {
    "history": "curves", "result": "classes", "confusion": "confusion", "predictions": "reliability",
    "density": "density", "dynamics": "cartography", "scores": "cartography",
    "energy": "energy", "descent": "descent",
    "influence": "memorization", "measures": "rank",
}  # fmt: skip
_ONE_BY_ONE = "curves", "overfit-time", "test-error", "classes"  # tables and figures with learners of all sizes apart


class Plan:
    """The tables and figures of documents under given settings, all checked before anything is drawn.

    Attributes:
        documents: all of them.
        every: whether every table and figure that they support is wanted.

    Raises:
        GencliError: the documents do not go together, or lack what is asked for.
    """

    def __init__(self, documents: Sequence[Document], settings: Settings, every: bool) -> None:
        self.documents, self._settings, self.every = documents, settings, every
        kinds: set[Kind] = {document.kind for document in documents}
        measured = self.of("benchmark")
        if measured and (kinds != {"benchmark"} or settings.table or settings.plot or settings.metric):
            raise GencliError(f"{measured[0].title}: a benchmark has neither runs nor classes", "report it separately")
        self._options = Options(tuple(settings.metric or ()), settings.fitted_at, settings.best_on_test)
        if kinds == {"images"}:
            raise GencliError(
                f"{documents[0].title}: an image table, without results", "give results too, or use --contact-sheet"
            )
        self.plot = settings.plot or (self._default_plot() if settings.figure is not None and not measured else None)
        if not kinds & {"history", "result", "benchmark"} and not (self.plot or every or settings.table):
            self.plot = self._default_plot()
        self.table = self._table(kinds)
        self._check_options()

    def of(self, *kinds: Kind) -> list[Document]:
        """The documents of some kinds."""
        return [document for document in self.documents if document.kind in kinds]

    def _default_plot(self) -> str:
        found = next((plot for kind, plot in _DEFAULT_PLOTS.items() if self.of(kind)), None)
        if found is None:
            raise GencliError(f"{self.documents[0].title}: nothing to draw", "add histories, and --table speed")
        return found

    def _table(self, kinds: set[Kind]) -> str | None:
        if "benchmark" in kinds:
            return "benchmark"
        wanted = self._settings.table or ("runs" if "history" in kinds else "classes" if "result" in kinds else None)
        if wanted and (kind := lacking(wanted, self.documents)):
            self._require(kind, f"so no {wanted}")
        return wanted

    def _require(self, kind: Kind, why: str) -> None:
        if not self.of(kind):
            word = "confusion matrix" if kind == "confusion" else kind
            raise GencliError(f"{self.documents[0].title}: no {word}, {why}", WORDS[kind])

    def _check_options(self) -> None:
        settings = self._settings
        if self.plot is not None and not self.of(*FIGURES[self.plot].needs):
            self._require(FIGURES[self.plot].needs[0], f"so no {self.plot}")
        if settings.metric and not (self.every or self.plot in ("curves", "classes") or self.table == "long-tail"):
            raise GencliError("--metric: nothing here shows a metric", "add --plot curves, or --table long-tail")
        if settings.metric and self.every:
            known = [name for each in self.of("history", "result") for name in each.rows.column_names]
            for metric in settings.metric:
                if metric not in known:
                    raise GencliError(f"--metric: no file has {metric!r}", nearest(metric, dict.fromkeys(known)))
        if settings.against is not None and self.table in (None, "benchmark"):
            raise GencliError("--against: no table to compare with", "give histories or results")
        if settings.best_on_test and not self.of("history"):
            raise GencliError("--best-on-test: no history, so no epochs", WORDS["history"])
        if settings.best_on_test and not (self.every or self.table == "runs" or self.plot == "regularizers"):
            raise GencliError("--best-on-test: no epochs are shown", "add --table runs, or --plot regularizers")

    def tables(self, published: against.Published | None) -> list[Table]:
        """The requested table, or every table that the files support; with published figures next to their scores."""
        names = [self.table] if self.table else []  # comes first
        if self.every:
            names = list(dict.fromkeys((*names, *supported(self.documents, self._options))))
        options = {self.table: replace(self._options, published=published)}  # of others it may name no column
        made = [make(name, self.documents, options.get(name, self._options)) for name in names]
        if published is None:
            return made
        if not self.every:
            return [against.compare(table, published) for table in made]
        fitting = [name for name, table in zip(names, made) if set(published.columns) & set(table.scores)]
        if not fitting:
            against.compare(made[0], published)  # which says what is wrong
        chosen = self.table if self.table in fitting else fitting[0]
        return [against.compare(table, published) if name == chosen else table for name, table in zip(names, made)]

    def panels(self) -> list[Panel]:
        """The panels of the requested plot; empty if none is requested.

        Raises:
            GencliError: no file has what it shows.
        """
        if self.plot is None:
            return []
        found = draw(self.plot, self.documents, self._options)
        if not found:
            figure = FIGURES[self.plot]
            raise GencliError(f"{self.of(*figure.needs)[0].title}: {figure.lacks}", f"{self.plot} has nothing to draw")
        return found

    def every_panel(self) -> list[tuple[str, list[Panel]]]:
        """Name and panels of every figure that the files support, the one of the chosen table first."""
        found: list[tuple[str, list[Panel]]] = []
        for name, figure in sorted(FIGURES.items(), key=lambda each: each[0] != self.table):
            if name == "regularizers" and not regularized(self.of("history")):
                continue  # the learning curves show as much
            kind = figure.needs[0]
            metrics = tuple(
                each for each in self._options.metric if any(each in given.rows.column_names for given in self.of(kind))
            )
            drawn = draw(name, self.documents, replace(self._options, metric=metrics))
            found += [(name, drawn)] if drawn else []
        return found

    def folded(self, name: str) -> str:
        """Why a table or a figure of the page is to be opened first, in words; nothing where it is not."""
        if (
            name not in _ONE_BY_ONE
            or name == self.table
            or "double-descent" not in supported(self.documents, self._options)
        ):
            return ""
        return "of each learner by itself; Double descent shows them by their size"

    def arguments(self) -> dict[str, Any]:
        """The options of the tables."""
        settings = self._settings
        return {
            "table": self.table if self.table != "benchmark" else None,
            "fitted_at": settings.fitted_at,
            "metric": settings.metric if self.table == "long-tail" else None,
            "best_on_test": settings.best_on_test,
        }
