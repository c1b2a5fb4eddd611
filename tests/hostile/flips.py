"""`python -m tests.hostile.flips`: every bit of a small table, model and checkpoint, flipped alone, is refused."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from gencli import models
from gencli.errors import GencliError
from gencli.files import checkpoints, provenance
from gencli.files.stream import Input, Output
from gencli.models import Model
from gencli.sources import open_table
from tests.helpers import image_table, read, save

_MADE = provenance.step("train", {"epochs": 3})


def accepted(path: Path, use: Callable[[str], object]) -> list[int]:
    """The bits, numbered through the file, that nobody misses."""
    content, found = path.read_bytes(), []
    use(str(path))
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                try:
                    use(str(path))
                    found.append(place * 8 + bit)
                except GencliError:
                    pass
            os.pwrite(file.fileno(), bytes([byte]), place)
    return found


def main() -> int:
    """Flips all bits; the status is 1 if one is not missed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        folder, status = Path(place), 0
        save(image_table(4), folder / "table")
        network = models.build("linear", (2, 2, 1), 2)
        model = Model("linear", (2, 2, 1), ("a", "b"), network)
        with Output(str(folder / "model")) as output:
            models.write(output, model, {}, _MADE)
        checkpoints.write(
            str(folder / "checkpoint"), "toy", {"weight": torch.arange(6.0)}, _MADE, "step 7", {"step": 7}
        )
        uses: dict[str, Callable[[str], object]] = {
            "table": lambda path: read(open_table(path)),
            "model": lambda path: models.read(Input(path)),
            "checkpoint": lambda path: checkpoints.read(path, "toy", _MADE),
        }
        for name, use in uses.items():
            found = accepted(folder / name, use)
            print(f"{name}: {(folder / name).stat().st_size * 8:,} bits flipped, {len(found)} accepted {found[:10]}")
            status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main())
