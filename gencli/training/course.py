"""What a run of training has come to: its model, its history, and what a checkpoint keeps of it once it is over."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa
from torch import Tensor

from gencli import models
from gencli.files.provenance import Step
from gencli.files.stream import Output
from gencli.models import Model
from gencli.training.dynamics import Dynamics
from gencli.training.settings import Settings
from gencli.training.states import Epoch
from gencli.training.tracking import tracked


@dataclass
class Course:
    """A run so far.

    Attributes:
        labels: [n] int64, of the training rows.
        corrupted, validated: whether the rows have true labels of their own, and others were held out.
        history: one row per epoch so far.
        best: the epoch with the best validation score, the first of equals; None without validation rows.
        first_loss: the mean loss of the first step's rows, None in the first epoch.
        finished: whether it has come to its end, and the model is the one to keep.
        seconds: that it took.
        dynamics: of each row, where they are watched.
        failed: why there is no model of it, one of several; empty otherwise.
    """

    model: Model
    settings: Settings
    labels: Tensor
    corrupted: bool
    validated: bool
    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    first_loss: float | None = None
    finished: bool = False
    seconds: float = 0.0
    dynamics: Dynamics | None = None
    failed: str = ""

    @property
    def kept(self) -> Epoch:
        """The epoch after which the model is kept: the last one, or with early stopping the best one."""
        return self.best if self.settings.early_stop is not None and self.best else self.history[-1]

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.history[-1].step if self.history else 0

    @property
    def most_common(self) -> tuple[float, int]:
        """The share of the training rows that have the most common label, and how many rows there are."""
        count = len(self.labels)
        return self.labels.bincount().max().item() / count, count

    def history_table(self) -> pa.Table:
        """The history, one row per epoch, its scores named by what they are: accuracy or psnr.

        The validation's columns are there where rows were held out, the three after them on corrupted data, then those
        that are tracked; cross-entropies where there are probabilities of classes.
        """
        columns = {field.name: [getattr(epoch, field.name) for epoch in self.history] for field in fields(Epoch)}
        without = [] if self.validated else ["validation_"]
        if self.model.task == "images" or self.model.options.head == "sigmoid":
            without.append("cross_entropy")
        columns = {name: each for name, each in columns.items() if not any(word in name for word in without)}
        if not self.corrupted or self.model.task == "images":
            del columns["clean_accuracy"], columns["memorized"], columns["recovered"]
        for name in {"sharpness", "gradient_norm", "distance", "weight_norm"} - {*tracked(self.settings.track)}:
            del columns[name]
        score = "psnr" if self.model.task == "images" else "accuracy"
        kinds = {"epoch": pa.int64(), "step": pa.int64()}
        arrays = [pa.array(values, kinds.get(name, pa.float64())) for name, values in columns.items()]
        return pa.table(arrays, [name.replace("score", score) for name in columns])

    def write(self, output: Output, made: Step) -> None:
        """Writes the model, made by a step."""
        models.write(output, self.model, made.arguments, made)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a run of the same settings and data needs to be where it is: tensors, and what JSON can hold."""
        if self.failed:
            return {}, {"failed": self.failed}
        facts = {
            "step": self.step,
            "history": [asdict(epoch) for epoch in self.history],
            "best": None if self.best is None else self.best.epoch,
            "first_loss": self.first_loss,
            "idle": [],
            "finished": self.finished,
            "seconds": self.seconds,
            "watched": None if self.dynamics is None else self.dynamics.el2n_epoch,
        }
        parts = {"network": self.model.network.state_dict()}
        if self.dynamics is not None:
            parts["dynamics"] = self.dynamics.state()
        return {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}, facts

    def table(self, name: str) -> pa.Table:
        """Its `history` or its `dynamics`."""
        if name == "history":
            return self.history_table()
        assert self.dynamics is not None
        return self.dynamics.table()
