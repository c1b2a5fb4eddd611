"""What commands on models open: models, image tables and files beside them, standard input last; and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from gencli.curvature.operators import Operator
    from gencli.curvature.settings import NetworkSettings, OperatorSettings
    from gencli.evaluation.settings import Requests
    from gencli.files.provenance import Source, Step
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable
    from gencli.losses import Loss
    from gencli.losses.settings import LossSettings
    from gencli.models import Model
    from gencli.ranks import Group


class Opened(NamedTuple):
    """Attributes:
    source: the model's file.
    files: those of vectors, by name.
    device: where to compute.
    """

    source: Input
    model: Model
    table: ImageTable
    files: dict[str, Input]
    device: torch.device

    @property
    def inputs(self) -> list[Input]:
        """All that is read, which no output may replace."""
        return [self.source, *self.table.inputs, *self.files.values()]

    def step(self, command: str, arguments: Mapping[str, Any], packages: Sequence[str] = ()) -> Step:
        """See `step`."""
        from gencli.curvature import vectors

        files = map(vectors.source, self.files.values())
        return step(command, arguments, [self.source], [self.model], [self.table], files, packages)


def step(
    command: str, arguments: Mapping[str, Any], sources: Sequence[Input], models: Sequence[Model],
    tables: Sequence[ImageTable], others: Iterable[Source] = (), packages: Sequence[str] = (),
) -> Step:  # fmt: skip
    """The step of a command on models, their `sources`, tables and `others`; `packages` besides torch's."""
    from gencli.files import provenance
    from gencli.files.tables import sources as of_table

    inputs = [provenance.source("model", file.sha256, each.made, file.path) for file, each in zip(sources, models)]
    inputs += [source for table in tables for source in of_table(table, "data")]
    return provenance.step(command, arguments, [*inputs, *others], ["torch", "numpy", "pyarrow", *packages])


def computed(device: torch.device, group: Group | None = None) -> dict[str, Any]:
    """What bears on the last bits of a result: where it was computed, and the numbers of threads and processes."""
    import torch

    return {"device": device.type, "threads": torch.get_num_threads()} | (group.arguments() if group else {})


def open_all(
    model: str, data: str | None, network: NetworkSettings, objective: LossSettings,
    exact: bool, names: Sequence[str] = (),
) -> Opened:  # fmt: skip
    """Opens a model, a table that fits it, and files of vectors of these `names`: those named before standard input.

    Args:
        exact: whether float64 is computed in.

    Raises:
        GencliError: there is no such device, network, loss or file, or they do not fit each other.
    """
    from gencli import losses, models
    from gencli.curvature import vectors
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
    wanted = [(model, lambda place: models.open_file(place, network.arch, network.run)), (data, open_table)]
    (source, loaded), table, *files = named_first(*wanted, *((name, vectors.open_file) for name in names))
    loaded.require(table)
    return Opened(source, loaded, table, dict(zip(names, files)), device)


def open_operator(
    model: str, data: str | None, matrix: OperatorSettings, objective: LossSettings, group: Group,
    names: Sequence[str] = (),
) -> tuple[Opened, Loss, Operator]:  # fmt: skip
    """Opens a model and a table (see `open_all`), and sets up the matrix of a loss on them.

    Raises:
        GencliError: see `open_all`, `objectives.objective` and `building.operator`.
    """
    from gencli import objectives
    from gencli.curvature import building

    opened = open_all(model, data, matrix, objective, matrix.dtype == "float64", names)
    loss, epoch = objectives.objective(opened.model, opened.table, objective)
    return opened, loss, building.operator(opened.model, opened.table, loss, epoch, matrix, opened.device, group)


def open_several(
    requests: Requests, model_places: list[str], table_places: list[str], arch: str | None
) -> tuple[list[Input], list[list[Model]], list[ImageTable]]:
    """The models' files, the models of each, and the tables, which have what `gencli eval` is asked for.

    Raises:
        GencliError: one of them is missing or of another kind, or a table lacks a column.
    """
    from gencli import models
    from gencli.evaluation import runs
    from gencli.files.named import named_first
    from gencli.sources import open_table

    if arch is not None:
        models.require(arch)
    of_models = [(place, lambda place: models.open_runs(place, arch, requests.run)) for place in model_places]
    of_tables = [(place, lambda place: runs.fitting(requests, open_table(place))) for place in table_places]
    opened = named_first(*of_models, *of_tables)
    files, loaded = ([each[part] for each in opened[: len(of_models)]] for part in (0, 1))
    return files, loaded, opened[len(of_models) :]
