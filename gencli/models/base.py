"""What a network is here: a family, which the table in `gencli.models` lists, and options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from gencli import machine
from gencli.counts import by
from gencli.errors import GencliError

Shape = tuple[int, int, int]
Head = Literal["linear", "sigmoid", "cosine"]


@dataclass(frozen=True)
class Family:
    """Networks of one construction.

    Attributes:
        example: their names' form, as users see it.
        pattern: matches their names; its groups are the builder's first arguments, as integers where they are digits.
        purpose: one line.
        source: whose they are.
        build: (groups, shape of the images that it gets, classes, options) → a module from images [n, channels, height,
            width] float32 to logits [n, classes], or to images of the same shape where `task` is `images`. It is
            initialized from torch's global random numbers.
        options: which of `batch_norm` and `dropout` the builder takes; its defaults are the family's own.
        samples: names that lists show and completion offers.
        least: the least height and width.
        rates: sgd's default learning rates without and with batch norm, where the optimizer's own is none to learn at.
        ours: whether it is gencli's own code, which can be built without numbers.
    """

    example: str
    pattern: str
    purpose: str
    source: str
    build: Callable[..., nn.Module]
    options: frozenset[str] = frozenset()
    samples: tuple[str, ...] = ()
    task: Literal["classes", "images"] = "classes"
    least: int = 1
    rates: tuple[float, float] | None = None
    ours: bool = True


@dataclass(frozen=True)
class Options:
    """What a network's name leaves open; None is the family's own default.

    Attributes:
        batch_norm: with or without.
        dropout: the probability with which a unit is dropped in training.
        head: the last layer, see `gencli.models.heads`.
    """

    batch_norm: bool | None = None
    dropout: float | None = None
    head: Head = "linear"

    def to_json(self) -> dict[str, Any]:
        """Their JSON form in a model file."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Any) -> Options:
        """The inverse of `to_json`.

        Raises:
            GencliError: a form that this version does not know.
        """
        try:
            known = cls(**facts)
            typed = isinstance(known.batch_norm, bool | None) and isinstance(known.dropout, float | None)
            if not typed or known.head not in get_args(Head):
                raise TypeError
        except TypeError:
            raise GencliError(
                "its network's options are unknown to this version", "use the gencli that wrote it"
            ) from None
        return known


PLAIN = Options()


def trained(network: nn.Module) -> int:
    """The number of trained parameters of a network."""
    return sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad)


def functional_call(network: nn.Module, weights: Mapping[str, torch.Tensor], inputs: tuple[Any, ...]) -> Any:
    """What a network makes of inputs with other weights, by their names; all that use one of its weights get it.

    torch's own leaves these weights behind in a module that the network holds under two names (seen in 2.14).
    """
    named = chain(network.named_parameters(), network.named_buffers())
    given = {id(each): weights[name] for name, each in named if name in weights}
    places = {
        f"{path}.{name}" if path else name: given[id(each)]
        for path, module in network.named_modules()
        for name, each in chain(module._parameters.items(), module._buffers.items())
        if id(each) in given
    }
    return torch.func.functional_call(network, places, inputs, tie_weights=False)


def form(tensor: torch.Tensor | None) -> str:
    """A tensor's type and shape in words; `missing` where there is none."""
    return "missing" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {by(tensor.shape)}"


def require_room(parameters: int, arch: str, more: str = "") -> None:
    """Refuses a network of more parameters than fit in memory, before they are allocated.

    Raises:
        GencliError: they do not fit.
    """
    what = f"--arch {arch}: {parameters:,} parameters{more}"
    machine.require_memory(4 * parameters, what, "use a smaller network")


@contextmanager
def limited(most: int, refuse: Callable[[int], None]) -> Iterator[None]:
    """Within, `refuse` gets the number of parameters of a network as soon as they take more than `most` bytes.

    So one of 9,999 layers is refused at its first. Those that are replaced while it is built count twice.
    """
    held = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal held
        held += 0 if parameter is None else parameter.numel()
        if 4 * held > most:
            refuse(held)

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def not_finite(network: nn.Module) -> str:
    """Names the first tensor of a network, buffers included, with a value that is not finite; empty if there is none.

    Buffers of only 0 and -inf are additive masks, as for attention, and are valid.
    """
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        wrong = ~tensor.detach().isfinite()
        if not wrong.any():
            continue
        if not isinstance(tensor, nn.Parameter) and bool(((tensor == 0) | (tensor == -torch.inf)).all()):
            continue
        first = tuple(wrong.nonzero()[0].tolist())
        where = f" at [{', '.join(map(str, first))}]" if first else ""
        found = f"{int(wrong.sum()):,} of {wrong.numel():,} values"
        return f"{found} of {name} are not finite, the first {tensor[first].item()}{where}"
    return ""


def require_finite(
    network: nn.Module, title: str, hint: str = "make the model again; if it was trained, with a lower --lr"
) -> None:
    """Refuses a network with values that are not finite.

    Raises:
        GencliError: one does; see `not_finite`.
    """
    if found := not_finite(network):
        raise GencliError(f"{title}: {found}", hint)
