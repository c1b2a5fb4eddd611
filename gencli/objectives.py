"""A model's own loss: what it was trained with, as its file says, on any rows."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from gencli import plugins
from gencli.cli import console
from gencli.cli.options import dashed
from gencli.errors import GencliError
from gencli.losses import DEFAULTS, LOSSES, Loss, choose
from gencli.losses.base import CountedLoss
from gencli.losses.settings import LossSettings

if TYPE_CHECKING:
    import torch

    from gencli.files.tables import ImageTable
    from gencli.losses.base import RowLoss
    from gencli.models import Model

_ENDINGS = (
    "early_stop",
    "until_train_accuracy",
    "until_train_loss",
    "max_steps",
    "max_time",
)  # what ends a run before its last epoch


def objective(model: Model, table: ImageTable, settings: LossSettings | None = None) -> tuple[Loss, int]:
    """The loss that the settings name, or else the model's own with their options, and the epoch that it is of.

    The classes' rows, where the loss depends on them, are those of training, `model.class_rows`. A file of an earlier
    version does not have them: then they are counted in `table`, and `model` takes them, if it is the table that the
    model was trained on, or if another loss is named; a message says so.

    Args:
        table: the whole table of the rows that the loss is for.

    Raises:
        GencliError: see `losses.choose`; or what the model's own loss depends on is not known.
    """
    given: dict[str, Any] = {
        name: value for name, value in asdict(settings or LossSettings()).items() if value is not None
    }
    made = model.arguments
    plain: dict[str, Any] = {"loss": DEFAULTS[model.task]}
    own = "loss" not in given and made.get("loss") is not None
    defaults = _recorded(model, made) if own else plain
    loss = choose(LossSettings(**defaults | given))
    if isinstance(loss, CountedLoss) and model.class_rows is None:
        trained_on = of_training(model, table) and not saw_part(model)
        if own and not trained_on:
            raise GencliError(
                f"{model.title}: the model's file does not give the class counts of the training data, on which its "
                f"loss, {loss.name}, depends",
                "give the table on which it was trained, train it again, or name another loss: --loss ce",
            )
        counts = loss.counts(_labels(table), len(model.classes))
        model.class_rows = None if counts is None else tuple(counts.tolist())
        which = "on which the model was trained" if trained_on else "because the model's file has none"
        console.message(f"the class counts are those of {table.title}, {which}")
    return loss, (_epoch(model, loss, made) if own else None) or 1


def each_row(model: Model, loss: Loss, epoch: int, labels: torch.Tensor, dtype: torch.dtype | None = None) -> RowLoss:
    """The loss of rows that are labelled `labels` [n], on their device: its mean over them is that of all together.

    The classes' rows are those of training, `model.class_rows`, or of the labels where the model does not say.

    Args:
        dtype: of the classes' weights and margins; float32 where None.

    Raises:
        GencliError: see `Loss.counts`.
    """
    import torch

    if loss.task == "images" or model.class_rows is None:
        counts = loss.counts(labels.cpu(), len(model.classes))
    else:
        counts = torch.tensor(model.class_rows)
    return loss.over(None if counts is None else counts.to(labels.device), epoch, labels, dtype)


def _epoch(model: Model, loss: Loss, made: dict[str, Any]) -> int | None:
    """The one after which the model was kept; of files that do not say, the last one."""
    if model.epoch is None and getattr(loss, "deferred_reweighting", None) is not None:
        ended = [name for name in _ENDINGS if made.get(name) is not None]
        if ended:
            raise GencliError(
                f"{model.title}: the model's file does not say after which epoch it was kept, on which its loss, "
                f"{loss.name}, depends; {dashed(ended[0])} may have ended it early",
                "train it again, or name another loss: --loss ce",
            )
    epochs = made.get("epochs")
    return model.epoch or (epochs if type(epochs) is int and epochs > 0 else None)


def _recorded(model: Model, made: dict[str, Any]) -> dict[str, Any]:
    """The settings of the loss that a model's file names, of the types that they have."""
    if isinstance(name := made["loss"], str) and name not in LOSSES:
        hint = plugins.hint(made, "")
        what = f"its loss, {console.quoted(name)}, is of a plug-in that is not loaded"
        what = what if hint else f"this version has no loss {console.quoted(name)}"
        hint = hint or "name another loss: --loss ce, or use the gencli that wrote it"
        raise GencliError(f"{model.title}: {what}", hint)
    found = {field.name: made.get(field.name) for field in fields(LossSettings)}
    for name, kind in get_type_hints(LossSettings).items():
        value = found.get(name)
        kinds = [each for part in get_args(kind) for each in (get_args(part) or [part])]
        right = type(value) in kinds or (float in kinds and type(value) is int)
        right |= type(value) is str and value in kinds
        if name in found and not right:
            hint = "name another loss: --loss ce, or make the model again"
            raise GencliError(f"{model.title}: corrupt metadata: its loss's {name} is {console.quoted(value)}", hint)
    return found


def of_training(model: Model, table: ImageTable) -> bool:
    """Whether the table is, file by file, the one that the model was trained on, on all of its rows or on a part."""
    made = model.made
    if made is None or made.command != "train":
        return False
    return [entry.sha256 for entry in made.given("data")] == [file.sha256 for file in table.inputs]


def saw_part(model: Model) -> bool:
    """Whether it was trained on a part of its table's rows."""
    made = model.arguments
    return made.get("subset") not in (None, 1) or bool(made.get("validation_fraction"))


def _labels(table: ImageTable) -> torch.Tensor:
    import torch

    return torch.from_numpy(table.column("label").copy())
