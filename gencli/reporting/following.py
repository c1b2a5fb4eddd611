"""A history that grows, drawn again whenever there is more of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gencli.cli import console, stdout
from gencli.errors import GencliError
from gencli.files import unfinished
from gencli.files.stream import Output

_PAUSE = 0.5  # seconds between two looks


def follow(place: str, draw: Callable[[str, int], str]) -> bool:
    """Draws a history in a terminal until its run has ended; whether it came to its end.

    Args:
        place: of the finished history; it is looked for under the name that it has on its way too.
        draw: text of a file, for so many lines.

    Raises:
        GencliError: the finished file is no history.
    """
    final, above = Path(place), 0
    for path, last in _states(final, unfinished.beside(final)):
        try:
            height = max(1, os.get_terminal_size(1 if (screen := stdout.descriptor()) is None else screen).lines - 1)
            text = draw(str(path), height)
        except GencliError:
            if last:
                raise
            continue  # it has gone to its own name meanwhile
        above = _show(text.rstrip("\n").split("\n")[:height], above)
        if last:
            return path == final
    return False


def _states(final: Path, on_its_way: Path) -> Iterator[tuple[Path, bool]]:
    """The file to draw whenever it has changed, and whether it is the last time."""
    seen, waiting = None, False
    while True:
        running = unfinished.is_written(on_its_way)
        path = on_its_way if running or _changed(on_its_way) > _changed(final) else final
        state = (str(path), _changed(path))
        if not path.exists():
            if not waiting:
                console.message(f"{final}: no such file yet, waiting for its first epoch; Ctrl-C ends it")
            waiting = True
        elif state != seen or not running:
            yield path, not running
            seen = state
        time.sleep(_PAUSE)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _show(lines: Sequence[str], above: int) -> int:
    """Writes a picture over the one before, of so many lines, in one piece; how many lines it has."""
    back = f"\x1b[{above}F" if above else ""
    with Output(None) as output:
        output.write((back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J").encode())
    return len(lines)
