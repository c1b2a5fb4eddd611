"""Checkpoints of kernel fits: the accuracies of kernels already tried, and the iterations of the one in progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gencli.cli import console, signals
from gencli.files import checkpoints

if TYPE_CHECKING:
    import torch

    from gencli.files.held import Held
    from gencli.files.provenance import Step
    from gencli.fitting.conjugate import Solver
    from gencli.ranks import Group

_TRIED = "accuracies"


class Saving(Protocol):
    """The options of checkpoints, see `gencli.cli.options.Saving`."""

    @property
    def checkpoint(self) -> str | None: ...
    @property
    def checkpoint_every(self) -> int: ...
    @property
    def resume(self) -> bool: ...


class Saved:
    """The state of a fit in a file, where the options ask for one.

    Attributes:
        accuracies: of the kernels tried so far, in their order.
    """

    def __init__(self, saving: Saving, made: Step, tries: int, group: Group) -> None:
        """`made`: the step that the model will name; `tries`: how many kernels are tried in all.

        Of several processes the first one saves.

        Raises:
            GencliError: the checkpoint to continue from is not one of this fit.
        """
        self._path, self._every, self._made, self._group = saving.checkpoint, saving.checkpoint_every, made, group
        self.accuracies: list[float] = []
        self._held: Held | None = None
        free = () if tries else ("max_products",)  # which kernel is chosen can depend on it
        if self._path and saving.resume and (held := checkpoints.read(self._path, checkpoints.FIT, made, free)):
            self._take(held, tries)
        group.require_equal(len(self.accuracies), f"{self._path}: the checkpoint of")

    def _take(self, held: Held, tries: int) -> None:
        import torch

        if _TRIED in held:
            count = held.length(_TRIED, max(tries, 1))
            self.accuracies = held.tensor(_TRIED, (count,), torch.float64, 0, 1).tolist()
        if "rest" in held:
            self._held = held
        else:
            held.close(self._at(None))
        console.message(f"{self._path}: resumed after {self._at(None)}" * (self._held is None))

    def _at(self, solver: Solver | None) -> str:
        tried = f"kernel {len(self.accuracies)}" if self.accuracies else ""
        made = f"product {solver.products:,}" if solver else ""
        return ", ".join(filter(None, [tried, made])) or "the start"

    def tried(self, accuracy: float) -> None:
        """Records the accuracy of one more kernel."""
        self.accuracies.append(accuracy)
        if self._path:
            self._save(None)

    def run(self, solver: Solver, most: int, tell: Callable[[], None]) -> None:
        """Runs the iterations from where a checkpoint left them, saved at intervals and when a signal ends the process.

        Args:
            most: products.
            tell: called at each of them.
        """
        if self._held:
            solver.take(self._held, most)
            self._held.close(self._at(solver))
            self._held = None
            console.message(f"{self._path}: resumed after {self._at(solver)}")
        self._group.require_equal(solver.products, f"{self._path}: the checkpoint of")
        if self._path is None:
            for _ in solver.run(most):
                tell()
            return
        with signals.deferred() as arrived:
            for _ in solver.run(most):
                number = arrived()
                if not solver.over and (number is not None or solver.products % self._every == 0):
                    self._save(solver)
                if number is not None:
                    if not solver.over:
                        console.message(
                            f"{self._path}: stopped after {self._at(solver)}; --resume continues from there"
                        )
                    signals.die(number)
                tell()

    def _save(self, solver: Solver | None) -> None:
        import torch

        assert self._path is not None
        if self._group.rank:
            return
        content: dict[str, torch.Tensor] = solver.state() if solver else {}
        if self.accuracies:
            content[_TRIED] = torch.tensor(self.accuracies, dtype=torch.float64)
        checkpoints.write(self._path, checkpoints.FIT, content, self._made, self._at(solver))
