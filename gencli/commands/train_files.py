"""What `gencli train` writes while it runs: its history so far, and its models by epoch; and what it refuses to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gencli.cli import stdout

if TYPE_CHECKING:
    from gencli.files.provenance import Step
    from gencli.files.stream import Input
    from gencli.training.loop import Training
    from gencli.training.records import Checkpoints
    from gencli.training.several import Several
    from gencli.training.states import Epoch

Progress = Callable[[int, "Epoch | None"], None]
Shown = Callable[["Training | Several", Progress], Progress]


def require(inputs: list[str | None], files: dict[str, str | None], saving: Checkpoints, dry_run: bool) -> None:
    """Refuses files that exclude each other, cannot be written, or hold what would be lost."""
    from gencli.cli.outputs import refuse_terminal
    from gencli.files import checkpoints
    from gencli.files.named import require_one_standard_input
    from gencli.files.stream import require_writable

    if not dry_run:
        refuse_terminal(files[""], "model")
    require_one_standard_input(*inputs)
    checkpoints.require(saving, checkpoints.TRAINING)
    require_writable(*files.values(), saving.checkpoint)


@contextmanager
def history(place: str | None, inputs: Sequence[Input]) -> Iterator[Shown]:
    """Within, what a run's progress is shown by also writes its history so far, where it goes to a file.

    Gives a function of the run and of its progress. The file is `unfinished.beside` the place, and goes with success.

    Raises:
        GencliError: it would be an input, or cannot be written.
    """
    from gencli.cli.outputs import render, result_format
    from gencli.files import parquet
    from gencli.files.stores import is_address
    from gencli.files.stream import require_writable
    from gencli.files.unfinished import Live, beside

    special = place is None or is_address(place) or stdout.is_it(place) or stdout.number(place) is not None
    if place is None or special or (os.path.exists(place) and not os.path.isfile(place)):
        yield lambda run, progress: progress
        return
    live = Live(Path(os.path.realpath(place)))
    require_writable(str(beside(Path(place))), inputs=inputs)
    runs: list[Training | Several] = []

    def content() -> bytes:
        rows, form = runs[0].table("history"), result_format(place)
        return parquet.plain(rows) if form == "parquet" else render(rows, form).encode()

    def shown(run: Training | Several, progress: Progress) -> Progress:
        runs.append(run)

        def both(step: int, epoch: Epoch | None) -> None:
            if epoch is not None:
                live.show(content)
            progress(step, epoch)

        return both

    complete = False
    try:
        yield shown
        complete = True
    finally:
        if not complete and runs:
            live.show(content, last=True)
        live.close(complete)


def saving(run: Training | Several, files: Mapping[int, str], made: Step, progress: Progress) -> Progress:
    """The run's progress, which also writes its models, each complete.

    Args:
        files: by epoch.
        made: the step of the model at the end; theirs stop after their epochs.
    """
    from gencli import models
    from gencli.files.stream import Output
    from gencli.training.loop import Training

    if not files or not isinstance(run, Training):
        return progress
    run.to_save = files.keys()

    def both(step: int, epoch: Epoch | None) -> None:
        if epoch is not None and run.saved:
            number = epoch.epoch
            last = None if number == run.settings.epochs else number
            arguments = made.arguments | {"stop_epoch": last}
            if run.group.rank == 0:
                with Output(files[number], binary=True) as output:
                    models.write(output, run.save(), arguments, replace(made, arguments=arguments))
        progress(step, epoch)

    return both
