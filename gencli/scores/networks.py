"""Networks run over the rows that they were trained on, and over others: what each says, and which rows it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gencli import runs
from gencli.errors import GencliError
from gencli.files.tables import ImageTable

if TYPE_CHECKING:
    import torch

    from gencli.evaluation.networks import Networks
    from gencli.models import Model
    from gencli.models.inputs import Rows
    from gencli.ranks import Group

_PORTION = 10_000  # rows, a multiple of what networks take at a time


@dataclass(frozen=True)
class Answer:
    """What one network says.

    Attributes:
        title: its file and run, in messages.
        seen: [n] whether it saw a row of the training table.
        right: [n] whether it predicts a row's label; `right_test` [m] likewise of the test table, if there is one.
        probabilities: [n, classes] float64; None of learners whose scores are none.
    """

    title: str
    seen: NDArray[np.bool_]
    right: NDArray[np.bool_]
    right_test: NDArray[np.bool_] | None
    probabilities: NDArray[np.float64] | None


def require(models: Sequence[Model], table: ImageTable, test: ImageTable | None) -> None:
    """Refuses networks that differ or output images, and tables that they do not take or that share rows.

    Raises:
        GencliError: see above; or which rows a network saw is not known.
    """
    from gencli.evaluation.runs import require_random

    labels, ids = table.column("label"), table.column("id")
    for model in models:
        if model.task == "images":
            raise GencliError(f"{model.title}: its outputs are images, which are not right or wrong", "give others")
        if (model.arch, model.options, model.shape, model.classes) != (
            models[0].arch, models[0].options, models[0].shape, models[0].classes
        ):  # fmt: skip
            raise GencliError(f"{model.title}: another network than {models[0].title}", "score networks of one kind")
        model.require(table)
        require_random(model, model.title, "which rows it saw is not known")
        counts = np.bincount(labels[seen(model, ids)], minlength=len(model.classes))
        if model.class_rows is not None and counts.tolist() != list(model.class_rows):
            raise GencliError(
                f"{model.title}: it saw {sum(model.class_rows):,} rows, and which of {table.title} is not known",
                "train with --subset, without rows held out, on the table that you give",
            )
    if len(np.unique(ids)) < len(ids):
        raise GencliError(f"{table.title}: ids occur twice", "number the rows anew")
    if test is None:
        return
    models[0].require(test)
    if (shared := np.isin(test.column("id"), ids)).any():
        raise GencliError(f"{test.title}: {shared.sum():,} of its rows are in {table.title} too",
                          "influence is on rows that no network saw")  # fmt: skip


def seen(model: Model, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n] whether a network saw the rows of its training table with these ids, as its file tells."""
    seed = model.arguments.get("seed")
    if model.subset_below is not None and not isinstance(seed, int):
        raise GencliError(f"{model.title}: its seed is unknown here", "use the gencli that wrote it")
    return runs.seen(ids, seed or 0, model.subset_below)


def answers(
    models: Sequence[Model], table: ImageTable, test: ImageTable | None, device: torch.device,
    progress: Callable[[int], None], group: Group,
) -> Iterator[Answer]:  # fmt: skip
    """What each network says, in their order; of several processes each takes its part of the rows.

    Raises:
        GencliError: its outputs are not finite.
    """
    from gencli.evaluation.networks import Networks, groups
    from gencli.models import paged

    rows = paged.held(table, None, device, True, group)
    others = None if test is None else paged.held(test, None, device, True, group)
    ids, done = table.column("id"), 0
    for several in groups(models):
        together = Networks(several, device)
        # one by one, the numbers of one are in memory at a time
        for part in [several] if together.at_once else [[model] for model in several]:
            networks = together if part is several else Networks(part, device)
            tested = [None] * len(part) if others is None else _logits(networks, len(part), others, group)
            for model, found, of_others in zip(part, _logits(networks, len(part), rows, group), tested, strict=True):
                right, probabilities = _answer(model, found, rows, table.title)
                right_test = None
                if of_others is not None and others is not None and test is not None:
                    right_test = _answer(model, of_others, others, test.title)[0]
                yield Answer(model.title, seen(model, ids), right, right_test, probabilities)
                progress(done := done + 1)
        for model in several:
            model.network.cpu()


def _logits(networks: Networks, count: int, rows: Rows, group: Group) -> list[torch.Tensor]:
    """[n, classes] of each of `count` networks, on the CPU; images are in memory a portion at a time."""
    import torch

    from gencli.models.inputs import Rows

    own = group.span(len(rows))

    def mine() -> list[list[torch.Tensor]]:
        found: list[list[torch.Tensor]] = [[] for _ in range(count)]
        for start in range(own.start, own.stop, _PORTION):
            part = slice(start, min(start + _PORTION, own.stop))
            said = networks.predict(Rows(rows.images[part], rows.labels[part]))
            for known, logits in zip(found, (each.logits for each in said), strict=True):
                known.extend([] if logits is None else [logits.cpu()])
        return found

    every = group.each(mine)
    return [torch.cat([part for found in every for part in found[number]]) for number in range(count)]


def _answer(
    model: Model, found: torch.Tensor, rows: Rows, title: str
) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    from gencli.evaluation import logits

    if gone := int((~found.isfinite().all(1)).sum()):
        raise GencliError(f"{model.title}: its outputs of {gone:,} rows of {title} are not finite", "train it again")
    right = (found.argmax(1) == rows.labels.cpu()).numpy()
    if not model.logits:
        return right, None
    return right, logits.probabilities(found.double(), model.options.head == "sigmoid").numpy()
