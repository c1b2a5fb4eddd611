"""Several outputs of one command: either all of them appear, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gencli.cli import signals
from gencli.errors import GencliError
from gencli.files import partial
from gencli.files.stream import NO_ROOM, Input, Output


class Together:
    """The destinations of a command, opened or refused before its work and committed at its end.

    First all files are written and synced, then objects are uploaded, pipes and devices get their output, standard
    output last, and then the files get their names. If anything fails before that, no file appears.

    Args:
        writes: whether anything is written at all; of several processes the first one does.
    """

    def __init__(self, writes: bool = True) -> None:
        self._writes = writes
        self._outputs: list[Output] = []
        self._first: list[Output] = []

    def open(
        self, destination: str | None, inputs: Iterable[Input] = (), binary: bool = False, aside: bool = False
    ) -> Output:
        """Adds a destination; see `Output`."""
        output = Output(destination if self._writes else os.devnull, inputs, binary, aside)
        output.hold()
        self._outputs.append(output)
        return output

    def keep(self, output: Output) -> None:
        """Marks an output as complete: it appears even if the others fail."""
        self._first = [output]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        out: list[Output] = []
        try:
            _commit(self._first, out)
            if kind is None:
                _commit([each for each in self._outputs if each not in self._first], out)
        except GencliError as failed:
            error = failed
            raise
        finally:
            if isinstance(error, GencliError) and (out or error.hint.endswith(NO_ROOM)):
                error.hint = f"{_whole(out)}; {error.hint.rpartition('; ')[2]}"
            for output in self._outputs:
                output.abort()


def _whole(out: Sequence[Output]) -> str:
    if not out:
        return "no file was written"
    return " and ".join(each.name for each in out) + (" is complete" if len(out) == 1 else " are complete")


def _name(files: Sequence[Output], out: list[Output]) -> None:
    """Gives files their names, or takes them back where one cannot get its own: what was there is there again."""
    there = [each.path is not None and each.path.exists() for each in files]
    several = len(files) > 1
    before = [
        partial.second_name(each.path) if several and old and each.path else None for each, old in zip(files, there)
    ]
    done = 0
    try:
        for output in files:
            output.commit()
            done += 1
    except GencliError:
        for output, old, second in list(zip(files, there, before))[:done]:
            try:
                _put_back(output, old, second)
            except OSError:
                out.append(output)
        raise
    finally:
        for second in filter(None, before):
            partial.remove(second)
    out += files


def _put_back(output: Output, old: bool, second: Path | None) -> None:
    assert output.path is not None
    if second is not None:
        try:
            os.rename(second, output.path)
        except OSError:  # as the others' did
            os.unlink(output.path)
            os.link(second, output.path)
    elif not old:
        os.unlink(output.path)
    else:
        raise FileNotFoundError  # the file system gives no file a second name


def _commit(outputs: Sequence[Output], out: list[Output]) -> None:
    """Commits all or, but for what is in `out` then, none; no signal comes between the files' names."""
    outputs = sorted(outputs, key=lambda each: (each.direct, not each.address, each.path is None))
    for output in outputs:
        output.finish()
        if output.direct:
            out.append(output)
    with signals.deferred() as arrived:
        files = [each for each in outputs if not each.direct]
        _name(files, out)
        for output in outputs:
            if output.direct:
                output.commit()
    if (number := arrived()) is not None:
        os.kill(os.getpid(), number)
