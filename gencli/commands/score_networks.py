"""The parts of `gencli score` that run networks over rows, and judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gencli.scores.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from gencli.files.provenance import Step
    from gencli.files.tables import ImageTable
    from gencli.scores.reading import Files


def scored(
    found: Files, test: ImageTable | None, settings: Settings, device: str, used: dict[str, object],
    names: Sequence[str], step: Callable[[], Step],
) -> tuple[pa.Table, pa.Table | None]:  # fmt: skip
    """The table of scores, and that of influence; `used` gets what bears on them."""
    from gencli.scores import table

    if found.scores:
        return found.scores.rows, None
    if not found.models:
        return table.Scores([*found.parts()]).table(), None

    from gencli import ranks
    from gencli.cli import console
    from gencli.commands import opening
    from gencli.scores import networks, reading
    from gencli.training import devices

    where = devices.choose(device)
    devices.precision("float32", where)
    models, trained = [model for _, each in found.models for model in each], reading.of_table(found.tables[0])
    networks.require(models, found.tables[0], test)
    scores = table.Scores([*found.parts()], trained)
    with ranks.dividing(where, *names) as group, console.progress("networks", len(models)) as advance:
        used |= {"fitted_at": settings.fitted_at} | opening.computed(where, group)
        group.require_same(step)
        scores.add(networks.answers(models, found.tables[0], test, where, advance, group), settings.fitted_at)
    pairs = scores.influence(trained, reading.of_table(test), settings.pairs) if test else None
    for note in scores.notes:
        console.message(note)
    return scores.table(), pairs


def judged(rows: pa.Table, title: str, seed: int) -> pa.Table:
    """How well scores find wrong labels, with a message for each that does so the other way round."""
    from gencli.cli import console
    from gencli.scores import judge

    found = judge.judge(rows, title, seed)
    for remark in judge.reversed_scores(found):
        console.message(remark)
    return found
