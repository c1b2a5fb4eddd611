"""The optimizers: which parameters each one changes, which of them decay, and its state by parameter name.

Options are shown without torch, which is imported where it computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gencli.errors import GencliError, nearest

if TYPE_CHECKING:
    import torch
    from torch import nn

    Groups = Callable[[Collection[nn.Parameter]], list[dict[str, Any]]]

NO_DECAY = "norm", "bias"


@dataclass(frozen=True)
class Kind:
    """What an optimizer is; an entry in `OPTIMIZERS` is all that it takes to add one.

    Attributes:
        learning_rate: its own default.
        options: which of `momentum`, `nesterov` and `rho` it takes, with its own defaults.
        states: numbers that it keeps per parameter; torch's state has tensors of a parameter's shape, and scalars.
        build: torch's optimizers, given the trained parameters by name, a function that makes torch's groups of some of
            them, the learning rate and the options.
        largest_momentum: that it takes.
        network_rates: whether a network's own learning rates, `Family.rates`, take the place of its default.
        gradients: that a step takes.
    """

    purpose: str
    source: str
    learning_rate: float
    options: Mapping[str, Any]
    states: int
    build: Callable[[Mapping[str, nn.Parameter], Groups, float, dict[str, Any]], list[torch.optim.Optimizer]]
    largest_momentum: float = 0.999_999
    network_rates: bool = False
    gradients: int = 1


def _sgd(
    parameters: Mapping[str, nn.Parameter], groups: Groups, lr: float, options: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    import torch

    return [torch.optim.SGD(groups(parameters.values()), lr, **options, fused=True)]


def _sam(
    parameters: Mapping[str, nn.Parameter], groups: Groups, lr: float, options: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    """SGD; that the gradients are those at w + rho g / |g| is for `steps` to see to."""
    return _sgd(parameters, groups, lr, {name: value for name, value in options.items() if name != "rho"})


def _adam(
    parameters: Mapping[str, nn.Parameter], groups: Groups, lr: float, options: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    import torch

    return [torch.optim.Adam(groups(parameters.values()), lr, **options, fused=True)]


def _adamw(
    parameters: Mapping[str, nn.Parameter], groups: Groups, lr: float, options: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    import torch

    return [torch.optim.AdamW(groups(parameters.values()), lr, **options, fused=True)]


def _muon(
    parameters: Mapping[str, nn.Parameter], groups: Groups, lr: float, options: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    """Muon for hidden weights; AdamW for biases, norms, embeddings of positions, and the output layer, the last one."""
    from gencli.training.muon import Muon

    hidden = [name for name, p in parameters.items() if p.ndim > 1 and "weight" in name.rpartition(".")[2]][:-1]
    if not hidden:
        raise GencliError("--optimizer: the network has no hidden weights for muon", "use adamw or sgd")
    others = {name: parameter for name, parameter in parameters.items() if name not in hidden}
    return [Muon(groups([parameters[name] for name in hidden]), lr, **options), *_adamw(others, groups, lr, {})]


OPTIMIZERS = {
    "sgd": Kind(
        "stochastic gradient descent, weight decay an L2 penalty",
        "Sutskever, Martens, Dahl, Hinton 2013, for momentum, in the form of torch's SGD",
        0.05,
        {"momentum": 0.9, "nesterov": False},
        1,
        _sgd,
        1.0,
        True,
    ),
    "sam": Kind(
        "sgd by the gradient at w + rho g / |g|, g the gradient at w: twice the gradients",
        "Foret, Kleiner, Mobahi, Neyshabur 2021, arXiv:2010.01412, algorithm 1",
        0.05,
        {"momentum": 0.9, "nesterov": False, "rho": 0.05},
        2,
        _sam,
        1.0,
        True,
        2,
    ),
    "adam": Kind(
        "Adam at betas 0.9 and 0.999, weight decay an L2 penalty",
        "Kingma, Ba 2015, arXiv:1412.6980",
        0.001,
        {},
        2,
        _adam,
    ),
    "adamw": Kind(
        "Adam at betas 0.9 and 0.999, weight decay decoupled",
        "Loshchilov, Hutter 2019, arXiv:1711.05101",
        0.001,
        {},
        2,
        _adamw,
    ),
    "muon": Kind(
        "orthogonalized momentum for hidden weights, adamw for the rest, weight decay decoupled",
        "Jordan et al. 2024, kellerjordan.github.io/posts/muon, scaled as Liu et al. 2025, arXiv:2502.16982",
        0.001,
        {"momentum": 0.95},
        1,
        _muon,
    ),
}


class Optimizer:
    """One or two of torch's optimizers as one, with its state under the parameters' names."""

    def __init__(
        self,
        make: Callable[[Mapping[str, nn.Parameter]], list[torch.optim.Optimizer]],
        trained: Mapping[str, nn.Parameter],
    ) -> None:
        self._make, self._trained, self._parts = make, trained, make(trained)
        self._names: dict[torch.Tensor, str] = {parameter: name for name, parameter in trained.items()}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of parameters, each with `lr`, which a schedule sets."""
        return [group for part in self._parts for group in part.param_groups]

    def step(self) -> None:
        """Changes the parameters by their gradients."""
        for part in self._parts:
            part.step()

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for part in self._parts:
            part.zero_grad()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The state's own tensors by `parameter:quantity`; empty before the first step. Settings are not in it."""
        return {
            f"{self._names[parameter]}:{key}": value
            for part in self._parts
            for parameter, state in part.state.items()
            for key, value in state.items()
        }

    def _owners(self) -> dict[str, tuple[torch.optim.Optimizer, torch.Tensor]]:
        """Each parameter's optimizer, by its name."""
        return {
            self._names[parameter]: (part, parameter)
            for part in self._parts
            for group in part.param_groups
            for parameter in group["params"]
        }

    @cached_property
    def _state_like(self) -> dict[str, dict[str, torch.Tensor]]:
        """What a step of the same optimizer leaves behind for parameters of as many dimensions, each of length 1."""
        import torch
        from torch import nn

        # the same order and names: Muon's parts are told apart by them
        probes = {name: nn.Parameter(torch.zeros([1] * p.ndim, dtype=p.dtype)) for name, p in self._trained.items()}
        for probe in probes.values():
            probe.grad = torch.zeros_like(probe)
        parts = self._make(probes)
        for part in parts:
            part.step()
        return {
            name: {
                key: value.expand(parameter.shape) if value.ndim else value
                for part in parts
                for key, value in part.state.get(probes[name], {}).items()
            }
            for name, parameter in self._trained.items()
        }

    def state_like(self) -> dict[str, dict[str, torch.Tensor]]:
        """By parameter the quantities of its state after a step, as tensors of their shapes and types."""
        return self._state_like

    def idle(self, step: int) -> list[str]:
        """The parameters whose state is not that of `step` steps, since they were without a gradient at some."""
        state, wanted = self.state_dict(), self.state_like() if step else {}
        return [
            name
            for name, quantities in wanted.items()
            if any(f"{name}:{key}" not in state for key in quantities)
            or ("step" in quantities and state[f"{name}:step"] != step)
        ]

    def load_state_dict(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes a copy of the state that the optimizer of the same settings and network had."""
        import torch

        for part in self._parts:
            part.state.clear()
        owners = self._owners()
        for name, tensor in tensors.items():
            owner, _, key = name.rpartition(":")
            part, parameter = owners[owner]
            like = parameter if tensor.ndim else tensor.to(parameter.device)
            part.state[parameter][key] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)


def options(
    name: str, momentum: float | None, nesterov: bool | None, no_decay: Collection[str], rho: float | None = None
) -> dict[str, Any]:
    """The optimizer's options, its own where they are None.

    Raises:
        GencliError: unknown names, an option that it does not take, a number out of range.
    """
    if name not in OPTIMIZERS:
        raise GencliError(f"--optimizer: no optimizer {name!r}", nearest(name, OPTIMIZERS))
    chosen = dict(OPTIMIZERS[name].options)
    for option, value in (("momentum", momentum), ("nesterov", nesterov), ("rho", rho)):
        if value is not None and option not in chosen:
            takers = [other for other, kind in OPTIMIZERS.items() if option in kind.options]
            raise GencliError(
                f"--{option}: the {name} optimizer has no such option", f"omit it, or use {' or '.join(takers)}"
            )
        chosen |= {} if value is None else {option: value}
    _require(name, chosen)
    for word in no_decay:
        if word not in NO_DECAY:
            raise GencliError(f"--no-decay: no parameters {word!r}", nearest(word, NO_DECAY))
    return chosen


def build(
    name: str,
    network: nn.Module,
    lr: float,
    momentum: float | None = None,
    nesterov: bool | None = None,
    weight_decay: float | None = None,
    no_decay: Collection[str] = (),
    exempt: Collection[nn.Parameter] = (),
    rho: float | None = None,
) -> Optimizer:
    """The optimizer of this name for the parameters of a network that are trained.

    Args:
        momentum, nesterov: None for the optimizer's own; muon's is always Nesterov's.
        weight_decay: coupled in sgd, sam and adam, as a gradient of decay · p; decoupled in the others, p ← p − lr ·
            decay · p. None for none.
        no_decay: `norm` for all parameters of normalization layers, `bias` for all biases, theirs included.
        exempt: parameters that do not decay in any case.
        rho: sam's, which only a `steps.Steps` follows.

    Raises:
        GencliError: see `options`; no hidden weight for muon.
    """
    chosen = options(name, momentum, nesterov, no_decay, rho)
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    still = _undecayed(network, no_decay) | set(exempt)
    decay = weight_decay or 0.0

    def groups(parameters: Collection[nn.Parameter]) -> list[dict[str, Any]]:
        halves = ((decay, [p for p in parameters if p not in still]), (0.0, [p for p in parameters if p in still]))
        return [{"params": part, "weight_decay": rate} for rate, part in halves if part]

    kind = OPTIMIZERS[name]
    return Optimizer(lambda parameters: kind.build(parameters, groups, lr, chosen), trained)


def _require(name: str, options: Mapping[str, Any]) -> None:
    momentum = options.get("momentum", 0.0)
    if not 0 <= momentum <= OPTIMIZERS[name].largest_momentum:
        raise GencliError(f"--momentum: {momentum:g} is out of range for {name}", "give 0 or more, and less than 1")
    if not 0 <= options.get("rho", 0.0) < math.inf:
        raise GencliError(f"--rho: {options['rho']:g} is out of range", "give 0 (which is sgd) or more, such as 0.05")
    if options.get("nesterov") and not momentum:
        raise GencliError("--nesterov: the momentum is 0", "give --momentum above 0, or omit it")


def _undecayed(network: nn.Module, no_decay: Collection[str]) -> set[nn.Parameter]:
    from torch import nn

    norms = nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm
    found: set[nn.Parameter] = set()
    if "norm" in no_decay:
        found |= {p for module in network.modules() if isinstance(module, norms) for p in module.parameters(False)}
    if "bias" in no_decay:
        found |= {p for name, p in network.named_parameters() if "bias" in name.rpartition(".")[2]}
    return found
