"""The measures of `gencli eval` that are not of a model and a table: their list, and the steps of a history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gencli.errors import GencliError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gencli.evaluation.settings import Requests
    from gencli.files.provenance import Source
    from gencli.models import Model
    from gencli.reporting.documents import Document


def list_measures(asked: bool) -> None:
    """Writes the table of measures and exits, where it is asked for."""
    if not asked:
        return
    import pyarrow as pa
    import typer

    from gencli.cli.outputs import write_text
    from gencli.evaluation.named import ABOUT, MEASURES

    columns = {"measure": [each.name for each in MEASURES]}
    columns |= {name: [getattr(each, name) for each in MEASURES] for name in ("formula", "unit", "source")}
    write_text((pa.table(columns), ABOUT))
    raise typer.Exit


def read(requests: Requests, models: Sequence[Model]) -> tuple[list[float | str], list[Source]]:
    """Of each model the steps to the loss, or why they are not known; and the history as an input.

    Raises:
        GencliError: it is no history, or that of another training.
    """
    if requests.history is None:
        return ["no history is given"] * len(models), []

    from gencli.reporting import documents

    found = documents.read_all([requests.history])
    if found[0].kind != "history" or found[0].made is None:
        what = "has lost how it was made" if found[0].kind == "history" else f"a {found[0].kind}, not a history"
        raise GencliError(f"{requests.history}: {what}", "give the Parquet output of gencli train --history")
    known = {each.run: each for each in found}
    keys = [documents.key(replace(each.made, arguments=each.arguments)) if each.made else "" for each in models]
    if missing := [each for each, key in zip(models, keys) if key not in known]:
        raise GencliError(f"{requests.history}: not the history of {missing[0].title}",
                          "give the one that its training wrote")  # fmt: skip
    return [_steps(known[key], requests.reached) for key in keys], [replace(found[0].source, role="history")]


def _steps(history: Document, loss: float) -> float | str:
    columns = history.rows.to_pydict()
    if "step" not in columns:
        return "the history has no steps"
    pairs = zip(columns["step"], columns["train_loss"], strict=True)
    steps = next((step for step, found in pairs if found is not None and found <= loss), None)
    return f"train_loss never came to {loss:g}" if steps is None else float(steps)
