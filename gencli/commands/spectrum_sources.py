"""What `gencli spectrum --kernel` reads: an image table, or a model and its table; and how the kernel comes of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from gencli.errors import GencliError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gencli.alignment.settings import KernelSettings
    from gencli.curvature.settings import NetworkSettings, OperatorSettings
    from gencli.files.provenance import Step
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable
    from gencli.models.inputs import Rows


class Kernel(NamedTuple):
    """A kernel on a table's rows.

    Attributes:
        eps: the rounding of the kernel's numbers.
        pairs: of rows, that `matrix` computes; it tells how many are done.
        arguments: those that bear on the kernel.
        said: remarks on it, once it is computed.
    """

    table: ImageTable
    rows: Rows
    inputs: Sequence[Input]
    eps: float
    pairs: int
    matrix: Callable[[Callable[[int], None]], NDArray[np.float64]]
    arguments: dict[str, Any]
    step: Callable[[Mapping[str, Any]], Step]
    said: Callable[[], list[str]] = list


def of_images(
    asked: KernelSettings, model: str | None, data: str | None, network: NetworkSettings, seed: int
) -> Kernel:
    """A kernel of images; the only file that is named is the table, whichever place it has."""
    from dataclasses import asdict

    import numpy as np
    import torch

    from gencli import kernels
    from gencli.alignment import energies, matrices
    from gencli.alignment.settings import EMPIRICAL
    from gencli.commands import opening
    from gencli.curvature import building
    from gencli.sources import open_table

    name = (asked.kernel or "").partition(":")[0]
    if name not in kernels.KERNELS:
        raise GencliError(f"--kernel: no kernel {name!r}", nearest(name, [*kernels.KERNELS, EMPIRICAL]))
    kernel = kernels.parse(asked.kernel or "", seed)
    if data is not None:
        raise GencliError(f"{data}: --kernel {asked.kernel} takes an image table and no model", "omit the model")
    table = open_table(model)
    n = min(table.rows, network.limit or table.rows)
    shape = table.description.shape
    energies.require_room(n, 1, 8 * (2 * math.prod(shape) + kernel.dimension(shape)))
    rows = building.load(table, network, torch.device("cpu"))

    def compute(advance: Callable[[int], None]) -> NDArray[np.float64]:
        return matrices.of_images(kernel, rows, asked.normalize, table.title, advance)

    used = {"limit": network.limit, "threads": torch.get_num_threads()}
    used |= {"seed": seed} if "seed" in asdict(kernel) else {}
    return Kernel(
        table, rows, table.inputs, np.finfo(np.float64).eps, n * n, compute, used,
        lambda used: opening.step("spectrum", used, [], [], [table]),
    )  # fmt: skip


def of_network(asked: KernelSettings, model: str | None, data: str | None, matrix: OperatorSettings) -> Kernel:
    """The tangent kernel of a model, its gradients confirmed as those of `gencli jacobian` are."""
    from dataclasses import asdict

    import torch

    from gencli.alignment import energies, matrices
    from gencli.cli import console
    from gencli.commands import opening
    from gencli.curvature import building
    from gencli.curvature.settings import OwnLossSettings
    from gencli.jacobians import building as jacobians
    from gencli.jacobians.settings import JacobianSettings

    if model is None:
        raise GencliError("--kernel empirical: no model", "name MODEL and DATA")
    opened = opening.open_all(model, data, matrix, OwnLossSettings(), matrix.dtype == "float64")
    if opened.model.task != "classes":
        raise GencliError(f"{opened.model.title} makes images, which are no classes", "use a network that classifies")
    n, mean = min(opened.table.rows, matrix.limit or opened.table.rows), asked.outputs == "mean"
    energies.require_room(n, 1 if mean else len(opened.table.description.classes))
    settings = JacobianSettings(wrt="parameters")
    target = jacobians.target(opened.model, opened.table, settings, matrix.parameters, OwnLossSettings())
    rows = building.load(opened.table, matrix, opened.device)
    function = target.function(rows, getattr(torch, matrix.dtype))
    confirmation = target.confirmation(function, rows)

    def compute(advance: Callable[[int], None]) -> NDArray[np.float64]:
        return matrices.of_network(function, mean, confirmation, console.message, advance)

    used = {name: value for name, value in asdict(matrix).items() if name not in ("operator", "batch_size", "device")}
    return Kernel(
        opened.table, rows, opened.inputs, torch.finfo(function.dtype).eps, n * n, compute,
        used | opening.computed(opened.device), lambda used: opened.step("spectrum", used), lambda: confirmation.notes,
    )  # fmt: skip
