"""Makefiles that reproduce whole papers, with the figures that the papers published beside them as CSV.

`jobs` reads what one of them runs, `engines` writes that for schedulers.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def folder() -> str:
    """Where they lie."""
    return str(_FOLDER)


def purposes() -> dict[str, str]:
    """One line on each recipe, by name: its Makefile's first, a comment."""
    files = sorted(_FOLDER.glob("[!_]*.mk"))
    return {file.stem: file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for file in files}


def path(name: str) -> Path:
    """Where a recipe's Makefile lies."""
    return _FOLDER / f"{name}.mk"
