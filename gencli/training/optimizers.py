"""The optimizers: which parameters each one changes, which of them decay, and its state by parameter name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gencli.errors import GencliError, nearest

NO_DECAY = "norm", "bias"
_NORMS = nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm


@dataclass(frozen=True)
class Kind:
    """What an optimizer is.

    Attributes:
        options: which of `momentum` and `nesterov` it takes, with its own defaults.
    """

    purpose: str
    source: str
    options: Mapping[str, Any]


OPTIMIZERS = {
    "sgd": Kind(
        "Stochastic gradient descent; weight decay is coupled, an L2 penalty in the gradient.",
        "Sutskever, Martens, Dahl, Hinton 2013, for momentum, in the form of torch's SGD",
        {"momentum": 0.9, "nesterov": False},
    ),
    "adamw": Kind(
        "Adam at torch's betas 0.9 and 0.999; weight decay is decoupled, p - lr decay p.",
        "Loshchilov, Hutter 2019, arXiv:1711.05101",
        {},
    ),
    "muon": Kind(
        "Orthogonalized momentum for hidden weights, adamw for all else; weight decay is decoupled.",
        "Jordan et al. 2024, kellerjordan.github.io/posts/muon, scaled as Liu et al. 2025, arXiv:2502.16982",
        {"momentum": 0.95},
    ),
}


class Muon(torch.optim.Optimizer):
    """Muon: momentum, orthogonalized, for weights of two or more dimensions.

    A kernel [out, in, height, width] counts as the matrix [out, in·height·width], as in airbench94_muon. With gradient
    g: b ← μ b + (1 − μ) g, u = (1 − μ) g + μ b (Nesterov), p ← (1 − lr·decay) p − lr · 0.2 √max(rows, columns) · NS(u).
    The factor gives updates the root mean square of AdamW's, so that one learning rate and one decay serve both (Liu et
    al. 2025, arXiv:2502.16982). torch's Muon does the same, but to matrices alone.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
                matrix = gradient.lerp(buffer, momentum).flatten(1)
                update = orthogonalized(matrix).view_as(gradient)
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(update, alpha=-lr * 0.2 * max(matrix.shape) ** 0.5)


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix [m, n] with its singular values brought to about 1, but for the tiniest; in bfloat16.

    Five steps X ← a X + (b A + c A²) X, A = X Xᵀ, of the Newton-Schulz iteration with the coefficients of Jordan et al.
    2024, from X = matrix / its Frobenius norm. A matrix of zeros stays one.
    """
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.T if tall else x


class Optimizer:
    """One or two of torch's optimizers as one, whose state goes by the parameters' names."""

    def __init__(self, parts: list[torch.optim.Optimizer], network: nn.Module) -> None:
        self._parts = parts
        self._names: dict[torch.Tensor, str] = {parameter: name for name, parameter in network.named_parameters()}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of parameters, each with `lr`, which a schedule sets, and `base_lr`."""
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

    def _owners(self) -> dict[str, tuple[torch.optim.Optimizer, dict[str, Any], torch.Tensor]]:
        """Each parameter's optimizer and group, by its name."""
        return {
            self._names[parameter]: (part, group, parameter)
            for part in self._parts
            for group in part.param_groups
            for parameter in group["params"]
        }

    def state_like(self) -> dict[str, dict[str, torch.Tensor]]:
        """By parameter the quantities of its state after a step, as tensors of their shapes and types."""
        found: dict[str, dict[str, torch.Tensor]] = {}
        for name, (part, group, parameter) in self._owners().items():
            if isinstance(part, torch.optim.AdamW):
                moments = dict.fromkeys(("exp_avg", "exp_avg_sq"), parameter)
                found[name] = {"step": torch.tensor(0.0), **moments}
            else:
                found[name] = {"momentum_buffer": parameter} if group["momentum"] else {}
        return found

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
        for part in self._parts:
            part.state.clear()
        owners = self._owners()
        for name, tensor in tensors.items():
            owner, _, key = name.rpartition(":")
            part, _, parameter = owners[owner]
            like = parameter if tensor.ndim else tensor.to(parameter.device)
            part.state[parameter][key] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)


def options(name: str, momentum: float | None, nesterov: bool | None, no_decay: Collection[str]) -> dict[str, Any]:
    """The optimizer's options, its own where they are None.

    Raises:
        GencliError: unknown names, an option that it does not take, a number out of range.
    """
    if name not in OPTIMIZERS:
        raise GencliError(f"--optimizer: no optimizer {name!r}", nearest(name, OPTIMIZERS))
    chosen = dict(OPTIMIZERS[name].options)
    for option, value in (("momentum", momentum), ("nesterov", nesterov)):
        if value is not None and option not in chosen:
            takers = [other for other, kind in OPTIMIZERS.items() if option in kind.options]
            raise GencliError(f"--{option}: {name} takes none", f"leave it out, or take {' or '.join(takers)}")
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
) -> Optimizer:
    """The optimizer of this name for the parameters of a network that are trained.

    `muon` gives to `adamw` what is no weight matrix or kernel (biases, norms, embeddings of positions), and the last of
    those, which is the output layer.

    Args:
        momentum, nesterov: None for the optimizer's own; muon's is always Nesterov's.
        weight_decay: coupled in sgd, as a gradient of decay · p; decoupled in the others, p ← p − lr · decay · p. None
            for none.
        no_decay: `norm` for all parameters of normalization layers, `bias` for all biases, theirs included.
        exempt: parameters that do not decay in any case.

    Raises:
        GencliError: see `options`; no hidden weight for muon.
    """
    chosen = options(name, momentum, nesterov, no_decay)
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    still = _undecayed(network, no_decay) | set(exempt)
    decay = weight_decay or 0.0

    def groups(parameters: Collection[nn.Parameter]) -> list[dict[str, Any]]:
        halves = ((decay, [p for p in parameters if p not in still]), (0.0, [p for p in parameters if p in still]))
        return [{"params": part, "weight_decay": rate, "base_lr": lr} for rate, part in halves if part]

    if name == "sgd":
        return Optimizer([torch.optim.SGD(groups(trained.values()), lr, **chosen, fused=True)], network)
    hidden: list[nn.Parameter] = []
    if name == "muon":
        hidden = [p for name, p in trained.items() if p.ndim > 1 and "weight" in name.rpartition(".")[2]][:-1]
        if not hidden:
            raise GencliError("--optimizer: muon finds no weights but the output layer's", "take adamw or sgd")
    parts: list[torch.optim.Optimizer] = [Muon(groups(hidden), lr, **chosen)] if hidden else []
    taken = set(hidden)
    others = [parameter for parameter in trained.values() if parameter not in taken]
    return Optimizer([*parts, torch.optim.AdamW(groups(others), lr, fused=True)], network)


def _require(name: str, options: Mapping[str, Any]) -> None:
    momentum = options.get("momentum", 0.0)
    most = 1 if name == "sgd" else 0.999_999
    if not 0 <= momentum <= most:
        raise GencliError(f"--momentum: no {momentum:g} in {name}", "give 0 or more, and less than 1")
    if options.get("nesterov") and not momentum:
        raise GencliError("--nesterov: there is no momentum", "give --momentum above 0, or leave it out")


def _undecayed(network: nn.Module, no_decay: Collection[str]) -> set[nn.Parameter]:
    found: set[nn.Parameter] = set()
    if "norm" in no_decay:
        found |= {p for module in network.modules() if isinstance(module, _NORMS) for p in module.parameters(False)}
    if "bias" in no_decay:
        found |= {p for name, p in network.named_parameters() if "bias" in name.rpartition(".")[2]}
    return found
