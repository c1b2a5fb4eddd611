"""What commands on models open: models, image tables and files beside them, standard input last; and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from gencli.errors import GencliError

if TYPE_CHECKING:
    import torch

    from gencli.curvature.settings import NetworkSettings
    from gencli.evaluation.settings import Requests
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable
    from gencli.losses.settings import LossSettings
    from gencli.models import Model


def refuse_terminal(output: str | None, what: Literal["model", "products"]) -> None:
    """Refuses to write tensors to a terminal.

    Raises:
        GencliError: the output is one.
    """
    from gencli.files.stream import is_terminal

    if is_terminal(output):
        also = ", or pipe it into gencli eval -" if what == "model" else ""
        raise GencliError(f"the {what} would be written to the terminal", f"name a file with -o{also}")


class Opened(NamedTuple):
    """Attributes:
    source: the model's file.
    files: those beside, by name.
    device: where to compute.
    """

    source: Input
    model: Model
    table: ImageTable
    files: dict[str, Input]
    device: torch.device


def open_all(
    model: str,
    data: str | None,
    network: NetworkSettings,
    objective: LossSettings,
    exact: bool,
    names: list[str],
    open_file: Callable[[str], Input],
) -> Opened:
    """Opens a model, a table that fits it, and the files of these `names`, what is named before standard input.

    Args:
        exact: whether float64 is computed in.

    Raises:
        GencliError: there is no such device, network, loss or file, or they do not fit each other.
    """
    from gencli import losses, models
    from gencli.files.named import named_first, require_one_standard_input
    from gencli.sources import open_table
    from gencli.training import devices

    require_one_standard_input(model, data or "-", *names)
    device = devices.choose(network.device, exact)
    devices.precision("float32", device)
    if objective.loss is not None:
        losses.choose(objective)
    if network.arch is not None:
        models.require(network.arch)
    wanted = [(model, lambda place: models.open_file(place, network.arch)), (data, open_table)]
    (source, loaded), table, *files = named_first(*wanted, *((name, open_file) for name in names))
    loaded.require(table)
    return Opened(source, loaded, table, dict(zip(names, files)), device)


def open_several(
    requests: Requests, model_places: list[str], table_places: list[str], arch: str | None
) -> tuple[list[Input], list[Model], list[ImageTable]]:
    """The models' files, the models, and the tables, which have what `gencli eval` is asked for.

    Raises:
        GencliError: one of them is missing or of another kind, or a table lacks a column.
    """
    from gencli import models
    from gencli.evaluation import runs
    from gencli.files.named import named_first
    from gencli.sources import open_table

    if arch is not None:
        models.require(arch)
    of_models = [(place, lambda place: models.open_file(place, arch)) for place in model_places]
    of_tables = [(place, lambda place: runs.fitting(requests, open_table(place))) for place in table_places]
    opened = named_first(*of_models, *of_tables)
    files, loaded = ([each[part] for each in opened[: len(of_models)]] for part in (0, 1))
    return files, loaded, opened[len(of_models) :]
