"""What a learner is here: a frozen dataclass whose fields are its options and whose docstring is its help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import torch

    from gencli.files.tables import Description
    from gencli.models.inputs import Rows


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
