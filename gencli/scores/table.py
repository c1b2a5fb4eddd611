"""The table of scores: a row an example, columns by score, from runs of any kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.reporting.chance import beyond_chance
from gencli.scores.confident import Probabilities
from gencli.scores.means import Mean
from gencli.scores.memorization import Memorization, Pairs, strongest
from gencli.scores.names import ERROR, HELD_OUT
from gencli.scores.networks import Answer
from gencli.scores.reading import Part


class Scores:
    """The scores of all rows that some run has, in the order of their ids.

    Args:
        parts: runs of dynamics and predictions; with `trained`, the rows of the training table.

    Attributes:
        notes: what there is to say of them.

    Raises:
        GencliError: an id twice in one run, a label that runs differ in, or classes that they do.
    """

    def __init__(self, parts: Sequence[Part], trained: Part | None = None) -> None:
        every = [*([trained] if trained else []), *parts]
        self.ids = np.unique(np.concatenate([part.ids for part in every]))
        self.labels, true = np.full((2, len(self.ids)), -1, np.int64)
        for part in every:
            places = self._places(part)
            unknown = self.labels[places] < 0
            if part is not every[0] and (unknown.all() or (trained and unknown.any())):
                row = part.rows[np.flatnonzero(unknown)[0]]
                raise GencliError(
                    f"{part.title}: row {row}: column `id`: {self.ids[places][unknown][0]} is not in {every[0].title}",
                    "score files of one training table",
                )
            self._agree(part, places, self.labels, part.labels, "label")
            if part.labels_true is not None:
                self._agree(part, places, true, part.labels_true, "label_true")
        self.labels_true = true if (true >= 0).all() else None
        self.memorization = Memorization(len(self.ids))
        self.notes: list[str] = []
        self._trained = None if trained is None else self._places(trained)
        self._dynamics: dict[str, Mean] = {}
        self._visited = np.zeros(len(self.ids), np.int64)
        self._own: Probabilities | None = None
        self._held_out: Probabilities | None = None
        self._seen: list[NDArray[np.bool_]] = []
        self._right: list[NDArray[np.bool_]] = []
        for part in parts:
            self._add(part)

    def _places(self, part: Part) -> NDArray[np.int64]:
        order = np.argsort(part.ids, kind="stable")
        if (again := np.flatnonzero(part.ids[order][1:] == part.ids[order][:-1])).size:
            row = part.rows[order[again[0] + 1]]
            raise GencliError(
                f"{part.title}: row {row}: column `id`: {part.ids[order[again[0]]]} twice", "give each row once a run"
            )
        return np.searchsorted(self.ids, part.ids)

    @staticmethod
    def _agree(
        part: Part, places: NDArray[np.int64], known: NDArray[np.int64], given: NDArray[np.int64], name: str
    ) -> None:
        before = known[places]
        if (wrong := np.flatnonzero((before >= 0) & (before != given))).size:
            at = wrong[0]
            raise GencliError(
                f"{part.title}: row {part.rows[at]}: column `{name}`: {given[at]}, but {before[at]} in another file",
                "score files of one training table",
            )
        known[places] = given

    def _add(self, part: Part) -> None:
        places = self._places(part)
        for name, values in part.values.items():
            if name not in self._dynamics:
                self._dynamics[name] = Mean(len(self.ids))
            self._dynamics[name].add(places, values)
        if part.values:
            self._visited[places[~np.isnan(part.values["correctness"])]] += 1
        if part.probabilities is not None:
            self._own = self._given(self._own, part.title, part.probabilities)
            self._own.add(places, part.probabilities)

    def _given(self, before: Probabilities | None, title: str, found: NDArray[np.floating]) -> Probabilities:
        classes = found.shape[1]
        if before is None and self.labels.max() < classes > 1:
            return Probabilities(self.labels, classes)
        if before is None or before.classes != classes:
            wanted = f"{before.classes}" if before else f"labels up to {self.labels.max()}"
            raise GencliError(f"{title}: probabilities of {classes} classes, where {wanted} are", "score one data set")
        return before

    def add(self, answers: Iterable[Answer], fitted_at: float) -> None:
        """Takes what networks say of the rows of the training table.

        Raises:
            GencliError: one that left rows out did not fit those that it saw.
        """
        assert self._trained is not None
        places, rows = self._trained, len(self.ids)
        for answer in answers:
            accuracy = answer.right[answer.seen].mean()
            if not answer.seen.all() and accuracy < fitted_at:
                raise GencliError(
                    f"{answer.title}: accuracy {accuracy:.4f} on the rows that it saw: "
                    "memorization means nothing where networks do not fit their rows",
                    f"train longer, see --until-train-accuracy; --fitted-at, now {fitted_at:g}, allows less",
                )
            seen, right = np.zeros((2, rows), bool)
            seen[places], right[places] = answer.seen, answer.right
            self.memorization.add(seen, right)
            if answer.right_test is not None:
                self._seen.append(answer.seen)
                self._right.append(answer.right_test)
            if answer.probabilities is not None:
                self._own = self._given(self._own, answer.title, answer.probabilities)
                if answer.seen.all():
                    self._own.add(places, answer.probabilities)
                else:
                    self._own.add(places[answer.seen], answer.probabilities[answer.seen])
                    self._held_out = self._given(self._held_out, answer.title, answer.probabilities)
                    self._held_out.add(places[~answer.seen], answer.probabilities[~answer.seen])
        if gone := int((~self.memorization.known).sum()):
            self.notes.append(f"{gone:,} rows have no memorization: all networks saw them, or none did")

    def table(self) -> pa.Table:
        """The columns, see the help of `gencli score`; those that no run has a value of are left out."""
        counts = [self._visited, *(each.count for each in (self._own,) if each), self.memorization.seen]
        found = {"id": pa.array(self.ids), "label": pa.array(self.labels)}
        found |= {} if self.labels_true is None else {"label_true": pa.array(self.labels_true)}
        found["runs"] = pa.array(np.max(counts, 0).astype(np.int64, copy=False))
        for name, mean in self._dynamics.items():
            if mean.count.any() or mean.endless.any():
                found |= {name: mean.mean(), name + ERROR: mean.error()}
        for prefix, given in (("", self._own), (HELD_OUT, self._held_out)):
            found |= {prefix + name: column for name, column in (given.columns() if given else ())}
        known = self.memorization.known
        if known.any():
            values, errors = self.memorization.values(), self.memorization.errors()
            found |= {
                "memorization": pa.array(values, mask=~known),
                f"memorization{ERROR}": pa.array(errors, mask=~known),
            }
            found |= {"networks_in": pa.array(self.memorization.seen)}
            found |= {"networks_out": pa.array(self.memorization.left_out)}
        return pa.table(found)

    def influence(self, trained: Part, test: Part, count: int) -> pa.Table:
        """The strongest pairs of a training row and a test row, see the help of `gencli score`; `notes` gets how many
        of them are beyond chance.

        Raises:
            GencliError: no network left a row out.
        """
        if not self.memorization.known.any():
            raise GencliError("--influence: no row is seen by some networks and not by others", "train with --subset")
        pairs: Pairs = strongest(np.array(self._seen), np.array(self._right), count)
        true, memorized = trained.labels_true, self.memorization.values()[self._trained]
        _, said = beyond_chance(memorized, len(test.ids), memorized[pairs.train], pairs.influence, pairs.error)
        self.notes.append(said)
        return pa.table(
            {"id": trained.ids[pairs.train], "label": trained.labels[pairs.train]}
            | ({} if true is None else {"label_true": true[pairs.train]})
            | {"test_id": test.ids[pairs.test], "test_label": test.labels[pairs.test]}
            | {"influence": pairs.influence, f"influence{ERROR}": pairs.error}
            | {"networks_in": pairs.seen, "networks_out": pairs.left_out}
        )
