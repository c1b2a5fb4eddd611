"""What `gencli eval` records of the files that it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gencli.commands import opening

if TYPE_CHECKING:
    from gencli.evaluation.runs import Plan
    from gencli.files.provenance import Source, Step
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable
    from gencli.models import Model


def step(
    plan: Plan, used: Mapping[str, Any], sources: Sequence[Input], files: Sequence[Sequence[Model]],
    tables: Sequence[ImageTable], histories: Sequence[Source],
) -> Step:  # fmt: skip
    """Its step, whose inputs have the names by which the result calls them; `files`: the models of each of sources."""
    from dataclasses import replace

    packages = ["scipy"] if plan.requests.measures else []
    made = opening.step("eval", used, sources, [each[0] for each in files], tables, histories, packages)
    starts = [model is each[0] for each in files for model in each]
    names = [name for name, start in zip(plan.names("model"), starts) if start]
    names += [name for table, name in zip(tables, plan.names("data")) for _ in table.inputs]
    names += [""] * len(histories)
    named = zip(made.inputs, names, strict=True)
    return replace(made, inputs=tuple(replace(each, name=name or each.name) for each, name in named))
