"""What a learner is here: a frozen dataclass whose fields are its options and whose docstring is its help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from gencli.errors import GencliError

if TYPE_CHECKING:
    import torch

    from gencli.files.provenance import Step
    from gencli.files.tables import Description
    from gencli.models.inputs import Rows
    from gencli.ranks import Group


class Progress(Protocol):
    """Called with the fraction done, 0 … 1, a line to show, and a note on the state of things beside the bar."""

    def __call__(self, done: float, line: str = "", note: str = "", /) -> None: ...


@dataclass(frozen=True)
class Fitted:
    """The result of fitting a learner.

    Attributes:
        tensors: the parameters, by their names in the model file.
        facts: the other contents of the file, see `gencli.models.learners`.
        found: what was measured during fitting, for the file and the closing message.
        failed: why the numbers are not what was asked for, where they are written all the same.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]
    found: dict[str, Any]
    failed: GencliError | None = None


@dataclass(frozen=True)
class Learner(ABC):
    """Fits a function from images to `label`.

    Attributes:
        name: on the command line, and the model file's architecture.
        alone: why several processes cannot share the work; empty where they can.
        packages: those whose versions can change the numbers.
    """

    name: ClassVar[str]
    alone: ClassVar[str] = "it is solved at once, for all rows"
    packages: ClassVar[tuple[str, ...]] = ("torch", "numpy", "pyarrow")

    def arguments(self) -> dict[str, Any]:
        """The options as provenance records them."""
        return asdict(self)

    def parts(self) -> Sequence[Learner]:
        """The learners that one call fits, each to a file of its own."""
        return [self]

    def places(self, destination: str | None) -> list[str | None]:
        """Where the parts' files go, of the option's value.

        Raises:
            GencliError: it names one place for several.
        """
        return [destination]

    @abstractmethod
    def require(self, rows: int, description: Description) -> None:
        """Refuses data that the learner cannot fit, before the rows are read.

        Raises:
            GencliError: too many rows for the memory.
        """

    @abstractmethod
    def fit(self, rows: Rows, classes: int, title: str, made: Step, progress: Progress, group: Group) -> Fitted:
        """Fits the learner to rows.

        Args:
            title: name of the table in messages.
            made: the step that the model will name, by which a checkpoint knows its run.
            progress: see `Progress`.
            group: the processes that share the work; one, of learners that are `alone`.

        Raises:
            GencliError: there is no solution, or none within the precision of the arithmetic.
        """
