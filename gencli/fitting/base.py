"""What a learner is here: a frozen dataclass whose fields are its options and whose docstring is its help."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from gencli.errors import GencliError

if TYPE_CHECKING:
    import torch

    from gencli.models.inputs import Rows
    from gencli.tables import Description


class Progress(Protocol):
    """Takes the part that is done, 0 … 1, and a line to show."""

    def __call__(self, done: float, line: str = "", /) -> None: ...


@dataclass(frozen=True)
class Fitted:
    """A learner's numbers.

    Attributes:
        tensors: by their names in the model file.
        facts: what the file says beside them, see `gencli.models.learners`.
        found: what was measured on the way, for the file; the last of it is for people too.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]
    found: dict[str, Any]


@dataclass(frozen=True)
class Learner(ABC):
    """Learns `label`.

    Attributes:
        name: on the command line, and the model file's architecture.
        packages: those whose versions bear on the numbers.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ("torch", "numpy", "pyarrow")

    def arguments(self) -> dict[str, Any]:
        """The options as provenance records them."""
        return asdict(self)

    @abstractmethod
    def require(self, rows: int, description: Description) -> None:
        """Refuses what cannot be done with so many rows, before they are read."""

    @abstractmethod
    def fit(self, rows: Rows, classes: int, title: str, progress: Progress) -> Fitted:
        """Learns from rows.

        Args:
            title: how messages call the table.
            progress: takes the part that is done, 0 … 1.

        Raises:
            GencliError: there is no solution, or none that this arithmetic finds.
        """


def require_memory(need: int, rows: int, hint: str) -> None:
    """Refuses so many bytes where the machine does not have them free."""
    have = _free_memory()
    if need > have:
        raise GencliError(
            f"{rows:,} rows take {need / 2**30:,.1f} GiB of memory, where {have / 2**30:,.1f} GiB are free", hint
        )


def _free_memory() -> int:
    """Bytes, what the kernel would give up included, and within the container's limit."""
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, StopIteration):  # not on every system
        lines = Path("/proc/meminfo").read_text().splitlines()
        have = min(have, 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # `max` is no limit
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        have = min(have, limit - used)
    return have
