"""Prints the lowest versions that pyproject.toml allows, as constraints for pip: `make lowest` tests with them.

torch and torchvision, gigabytes, are left out: they stay as they are installed.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_LARGE = {"torch", "torchvision"}


def lowest() -> dict[str, str]:
    """The least version of each dependency, by name."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    found = (re.match(r"([\w.-]+)>=([\w.]+)", each) for each in project["dependencies"])
    return {each[1]: each[2] for each in found if each and each[1] not in _LARGE}


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in lowest().items()))
