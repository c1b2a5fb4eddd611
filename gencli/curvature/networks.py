"""A model's network as derivatives are taken of it: a copy in evaluation mode, whose rows are apart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatchcase
from pickle import PickleError
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gencli.curvature.kinks import Kinks
from gencli.errors import GencliError, first_line, nearest
from gencli.files.tensors import WITHOUT_FLOAT64
from gencli.losses import Loss
from gencli.models import Model
from gencli.models.alone import HINT, first_apart
from gencli.models.base import require_finite

OVERFLOW = "the network overflows: gencli eval counts such rows; --dtype float64 has a larger range"
_SINGLE = 1e-5  # relative: what scripted functions in float32 may be apart from call to call


class WithoutFloat64(GencliError):  # noqa: N818
    """Of a network that computes in a narrower type, whatever it is given."""


def require_loss(model: Model, loss: Loss) -> None:
    """Refuses a model whose outputs have no such loss.

    Raises:
        GencliError: they are scores of a learner in closed form, or images where classes are wanted, or the like.
    """
    if not model.logits:
        raise GencliError(f"{model.title} gives scores without a loss", "use a network that `gencli train` wrote")
    if loss.task != model.task:
        kinds = ("images", "classes") if loss.task == "images" else ("classes", "images")
        raise GencliError(f"--loss: {loss.name} is for {kinds[0]}, {model.arch} gives {kinds[1]}", "use another")


def copied(model: Model, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The model's network in evaluation mode; the model stays as it is.

    Raises:
        GencliError: the device has no such numbers, or one of the network's is not finite, perhaps only in this dtype;
            the network is scripted.
    """
    if dtype == torch.float64 and device.type in WITHOUT_FLOAT64:
        raise GencliError(f"--device: {device.type} has no float64", "use --device cpu")
    if isinstance(model.network, torch.jit.ScriptModule):
        raise GencliError(
            f"{model.title}: a scripted network, in which torch replaces no parameters", "omit torch.jit.script"
        )
    network = duplicate(model.network).to(device, dtype).eval()
    kind = str(dtype).removeprefix("torch.")
    require_finite(
        network,
        f"{model.title} in {kind}",
        "train the model again with a lower --lr; or, if only float32 overflows, use --dtype float64",
    )
    return network


def require_float64(arch: str, seen: Kinks) -> None:
    """Refuses a network whose evaluation in float64 was seen to leave it.

    Raises:
        WithoutFloat64: it did.
    """
    if seen.narrow:
        raise WithoutFloat64(
            f"--dtype: float64 is not available for {arch}, whose code converts to {seen.narrow}",
            "use --dtype float32, or remove these conversions from the network",
        )


def duplicate(network: nn.Module) -> nn.Module:
    """A copy; of weights that a hook recomputes at every call, such as the old weight norm's, only their values.

    Raises:
        GencliError: the network holds what Python cannot copy.
    """
    computed = [
        each for module in network.modules() for each in vars(module).values()
        if isinstance(each, Tensor) and not each.is_leaf
    ]  # fmt: skip
    try:
        return copy.deepcopy(network, {id(each): each.detach().clone() for each in computed})
    except (PickleError, TypeError, NotImplementedError) as error:
        hint = "keep locks, files and scripted functions outside of the network's attributes"
        raise GencliError(f"{type(network).__name__}: cannot be copied: {first_line(error)}", hint) from error


def find_parameters(model: Model, network: nn.Module, pattern: str) -> dict[str, Tensor]:
    """The copied network's trained parameters of this pattern of names; autograd follows none of them any more.

    Raises:
        GencliError: there are none.
    """
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    chosen = {name: each.detach() for name, each in trained.items() if fnmatchcase(name, pattern)}
    if not chosen:
        raise GencliError(f"--parameters: {model.arch} has none that match {pattern!r}", nearest(pattern, trained))
    network.requires_grad_(False)
    return chosen


def in_dtype(dtype: torch.dtype) -> AbstractContextManager[object]:
    """Within, a network of float64 computes in it what it makes in float32 otherwise."""
    return _Float64() if dtype == torch.float64 else nullcontext()


class _Float64(TorchFunctionMode):
    """Computes in float64 what a network makes in float32, by default or by its own words."""

    def __enter__(self) -> Self:
        self._before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *failure: Any) -> None:
        torch.set_default_dtype(self._before)
        super().__exit__(*failure)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func = Tensor.double if func is Tensor.float else func
        args = [_wider(each) for each in args]
        return func(*args, **{name: _wider(each) for name, each in (kwargs or {}).items()})


def _wider(given: Any) -> Any:
    return torch.float64 if given is torch.float32 else given


def require_alone(arch: str, network: Callable[[Tensor], Tensor], images: Tensor, start: int) -> None:
    """Refuses a network whose output for one of these rows [n, ...] differs between the row by itself and all rows.

    Args:
        start: the first one's number.

    Raises:
        GencliError: it does.
    """
    row = first_apart(arch, network, images, network(images.clone()))
    if row is not None:
        raise GencliError(
            f"{arch}: the output of row {start + row} depends on other rows of the batch, so that the loss is not "
            "a mean over rows",
            HINT,
        )


def require_rows_apart(arch: str, network: nn.Module, first: Tensor, second: Tensor, part: Tensor) -> None:
    """Refuses a network with different outputs at the second call, or with fewer rows; `part` is of the first rows.

    Also refuses outputs that are not finite.

    Raises:
        GencliError: it does.
        WithoutFloat64: it computes in a narrower type, where the outputs differ only by its rounding.
    """
    if not first.isfinite().all():
        row = int((~first.flatten(1).isfinite().all(1)).nonzero()[0])
        raise GencliError(f"{arch}: the outputs of row {row} are not finite in {first.dtype}", OVERFLOW)
    if first.dtype == torch.float64 and 0 < float((first - second).abs().max()) < _SINGLE * float(first.abs().max()):
        raise WithoutFloat64(
            f"--dtype: float64 is not available for {arch}, whose outputs have fewer digits", "use --dtype float32"
        )
    if not torch.equal(first, second):
        raise GencliError(f"{arch}: every call gives different outputs", "its evaluation mode must not be random")
    tolerance = torch.finfo(first.dtype).eps ** 0.5
    if not torch.allclose(first[: len(part)], part, rtol=tolerance, atol=tolerance * float(first.abs().max())):
        wrong = [name for name, each in network.named_modules() if getattr(each, "running_mean", 0) is None]
        raise GencliError(
            f"{arch}: a row's output depends on other rows of the batch ({', '.join(wrong) or 'in evaluation mode'}), "
            "so that its loss is not a mean over rows",
            "use batch norm with running statistics, or another norm",
        )
