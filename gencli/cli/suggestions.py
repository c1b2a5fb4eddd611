"""What was probably meant by an option or a command that there is none of."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

_ALIKE = 0.7  # of two names, as difflib has it
_MOST = 3


@contextmanager
def explained(command: Any, ctx: Any, args: list[str]) -> Iterator[None]:
    """Within, an option that the command does not have is refused with those that may be meant."""
    try:
        yield
    except typer.TyperException as wrong:
        name = getattr(wrong, "option_name", None)
        if name is None or not hasattr(wrong, "possibilities"):
            raise
        known = {option.opts[-1]: option for option in command.get_params(ctx) if option.param_type_name == "option"}
        long = [f"-{word}" for word in args if word.startswith(name) and f"-{word}" in known]  # -lr
        near = long or options(name, {flag: option.help or "" for flag, option in known.items()})
        if near:
            wrong.message += meant(near)
        elif hasattr(command, "list_commands"):
            wrong.message += "; a command's options follow it"
        wrong.possibilities = None  # type: ignore[attr-defined]
        raise


def options(name: str, helps: Mapping[str, str]) -> list[str]:
    """The options that a name may mean: of such a name, of these initials, or whose help says the words of the name.

    Args:
        helps: of the options there are.
    """
    words = [word for word in re.split("[-_]", name.lower()) if word]
    near = alike("-".join(words), {flag.strip("-"): flag for flag in helps})
    initials = [flag for flag in helps if name.strip("-") == "".join(word[0] for word in flag.strip("-").split("-"))]
    if near or (initials and len(name.strip("-")) > 1):
        return near or initials
    places = {flag: place for flag, help in helps.items() if (place := _place(words, help)) is not None}
    return [flag for flag in sorted(places, key=lambda flag: places[flag]) if len(words) > 1 or places[flag] == 0][:1]


def alike(word: str, names: Mapping[str, str]) -> list[str]:
    """The values of the names that a word is like, or is the beginning of."""
    near = difflib.get_close_matches(word, names, _MOST, _ALIKE)
    near = near or [name for name in names if len(word) > 2 and name.startswith(word)]
    return [names[each] for each in near]


def meant(names: list[str]) -> str:
    """A question that names them; nothing where there are none."""
    return f". Did you mean {', '.join(map(repr, names))}?" if names else ""


def _place(words: list[str], help: str) -> int | None:
    """The place of the last of the words among those of a help; None where one is missing. Of one 0 is the first."""
    said = re.findall(r"\w+", help.lower())
    found = [difflib.get_close_matches(word, said, 1, 0.8) for word in words]
    return None if not words or not all(found) else max(said.index(each[0]) for each in found) - len(words) + 1
