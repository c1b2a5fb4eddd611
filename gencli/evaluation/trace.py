"""What a network does with an image, operation by operation: which layers it multiplies by, and how far each stretches.

The network runs once and torch's dispatcher tells every operation, so that a user's own network is read as ours are: by
what it computes, not by its modules' names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, takewhile
from typing import Any, Literal, TypeGuard, cast

import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gencli.evaluation import lipschitz
from gencli.evaluation.affine import Affine, Linear
from gencli.models.alexnet import ResponseNorm
from gencli.models.circulant import Circulant, convolved

Change = Callable[[Literal["weight", "bias"], torch.Tensor], torch.Tensor]
_BATCH_NORMS = "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "miopen_batch_norm"
# modules that are one operation here: of several that have no constants, or of slow ones
_LEAVES: dict[type, Callable[[Any], lipschitz.Constant]] = {
    ResponseNorm: lambda module: lipschitz.response_norm(9, 0.001, 0.75, 1.0),
    nn.LocalResponseNorm: lambda module: lipschitz.response_norm(module.size, module.alpha, module.beta, module.k),
    nn.Softsign: lambda module: 1.0,
    nn.Tanhshrink: lambda module: 1.0,
}


@dataclass(eq=False)
class Node:
    """A tensor that the image bears on.

    Attributes:
        name: the operation that made it, and where.
        parents: what it is made of; none of the image itself.
        factors: how far the operation stretches each parent's distances; what a layer's matrix does is in `layer`.
        beside: whether the parents' values stand side by side; otherwise they are added.
        layer: what the operation multiplies by, if it does.
        bias: [channels] what it adds then.
        scale: [channels] the factors of the batch norm behind it, which are in its weight.
        why: why it has no Lipschitz constant.
        curved: whether the operation is not piecewise linear.
        signed: whether it takes away, so that paths do not add up.
        trained: whether it is an activation that has parameters, or uses weights in a way that is not read here.
    """

    name: str
    parents: tuple[Node, ...] = ()
    factors: tuple[float, ...] = ()
    beside: bool = False
    layer: Affine | None = None
    bias: torch.Tensor | None = None
    why: str | None = None
    curved: bool = False
    signed: bool = False
    trained: bool = False
    scale: torch.Tensor | None = None

    @cached_property
    def norm(self) -> float:
        """The spectral norm of its layer; 1 without."""
        return 1.0 if self.layer is None else self.layer.spectral_norm()


class Trace(TorchDispatchMode):
    """Records a run on one image.

    Attributes:
        network, image, output: what ran, what went in, and what came out.
        nodes: what bears on it, parents first, so that the last is the output's; empty if the image does not.
        why: why the run says nothing of other images.
    """

    def __init__(self, network: nn.Module, image: torch.Tensor, change: Change | None = None) -> None:
        """Runs the network, in evaluation mode and on the CPU.

        Args:
            image: [1, channels, height, width] of the network's dtype.
            change: what takes the place of each layer's weight and bias; a product's is the product of the factors'.

        Raises:
            Exception: whatever the network raises.
        """
        super().__init__()
        self.network, self.image, self._change, self.why = network, image, change, cast("str | None", None)
        start = Node("the image")
        self._nodes, self._made, self._given = {id(image): start}, [start], list[Node]()
        self._plain: dict[int, torch.Tensor] = {}  # layers' outputs before their bias, by the output
        self._padded: dict[int, tuple[tuple[int, ...], Linear]] = {}  # what zeros were put around, by the output
        state = dict(chain(network.named_parameters(), network.named_buffers()))
        self._trained = {name for name, _ in network.named_parameters()}
        self._origins = {id(tensor): {name} for name, tensor in state.items()}
        self._kept = [image, *state.values()]  # so that no other tensor gets their identity
        self._places, self._uses, self._paused = [""], dict[str, int](), False
        with self._watching(network), torch.no_grad(), self:
            self.output = network(image)
        needed = _before(self._nodes.get(id(self.output)))
        self.nodes = [node for node in dict.fromkeys(self._made) if node in needed]
        for node in self.nodes:
            node.factors = tuple(factor() if callable(factor) else factor for factor in node.factors)
        if not self.nodes and not self.why:
            self.why = "the output does not depend on the image"

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing here is compiled, and to import the compiler takes seconds

    @property
    def layers(self) -> list[Affine]:
        """The affine layers that bear on the output."""
        return [node.layer for node in self.nodes if node.layer]

    def chain(self) -> list[Node] | str:
        """The nodes of a network without branches, or why it is none."""
        for node in self.nodes:
            if node.why or len(node.parents) > 1:
                return node.why or f"{node.name}: branches meet, but the measure is defined for a chain of layers"
        return self.nodes

    def lipschitz(self) -> float | str:
        """An upper bound of the network's Lipschitz constant in the Euclidean norm, or why there is none.

        Constants of what follows on each other multiply; those of what is added add up; of values side by side it is
        the root of the sum of the squares.
        """
        found: dict[Node, float] = {}
        for node in self.nodes:
            if node.why:
                return node.why
            parts = [factor * found[parent] for parent, factor in zip(node.parents, node.factors, strict=True)]
            found[node] = node.norm * (math.hypot(*parts) if node.beside else sum(parts)) if parts else 1.0
        return found[self.nodes[-1]]

    def depth(self) -> int | str:
        """How many layers but batch norms are on the longest path, or what is not piecewise linear."""
        found: dict[Node, int] = {}
        for node in self.nodes:
            if node.why or node.curved:
                return node.why or f"{node.name} is not piecewise linear"
            multiplies = node.layer is not None and node.layer.kind != "diagonal"
            found[node] = max((found[parent] for parent in node.parents), default=0) + multiplies
        return found[self.nodes[-1]]

    @contextmanager
    def _watching(self, network: nn.Module) -> Iterator[None]:
        """Knows meanwhile which module runs, and reads those of `_LEAVES` and circulant ones as one operation."""
        handles, leaves = [], list[Any]()

        def enter(name: str, module: nn.Module, inputs: Any) -> None:
            self._places.append(name)

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._places.pop()

        for name, module in network.named_modules():
            handles.append(module.register_forward_pre_hook(partial(enter, name)))
            handles.append(module.register_forward_hook(leave, always_call=True))
            if (type(module) in _LEAVES or type(module) is Circulant) and "forward" not in vars(module):
                leaves.append(module)
                leaves[-1].forward = partial(self._leaf, module, module.forward)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module in leaves:
                del module.forward

    def _leaf(self, module: Any, forward: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        if id(x) not in self._nodes:
            return forward(x)
        self._paused, self._given = True, [self._nodes[id(x)]]
        try:
            made = forward(x)
            if isinstance(module, Circulant):
                node = self._multiplied("circulant", x, module.weight, module.bias, convolved, "circulant")
                made = self._changed(node, x, made)
            else:
                node = self._stretched(type(module).__name__, x, _LEAVES[type(module)](module), made)
        finally:
            self._paused = False
        self._keep(made, node)
        return made

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if self._paused:
            return func(*args, **options)
        given = _tensors((args, options))
        name, mutable = func._schema.name.removeprefix("aten::"), func._schema.is_mutable
        self._given = [self._nodes[id(each)] for each in given if id(each) in self._nodes]
        if not self._given or name in lipschitz.SHAPES:
            made = func(*args, **options)
            origins = set[str]().union(*(self._origins.get(id(each), ()) for each in given))
            for each in _tensors(made):
                self._kept.append(each)
                self._origins[id(each)] = origins
            return made
        before = args
        if mutable:
            name = name.removesuffix("_")
            before = (args[0].clone(), *args[1:])
            self._kept.append(before[0])
            if id(args[0]) in self._nodes:
                self._nodes[id(before[0])] = self._nodes[id(args[0])]
        made = func(*args, **options)
        results = _tensors(made)
        if not results:
            self.why = f"what is computed depends on values ({self._at(name)})"
            return made
        node = self._node(name, func, before, options, results[0])
        learned = (each for each in given if self._origins.get(id(each), set[str]()) & self._trained)
        node.trained = any(name in lipschitz.TRAINED or (node.why and each.ndim > 1) for each in learned)
        if self._change and node.layer:
            operand = next(each for each in _tensors((before, options)) if id(each) in self._nodes)
            changed = self._changed(node, operand, results[0])
            made = args[0].copy_(changed) if mutable else changed if len(results) == 1 else (changed, *made[1:])
        self._keep(made, node)
        if mutable and name != "as_strided":
            self._spoil(args[0])
        return made

    def _keep(self, made: Any, node: Node) -> None:
        self._made.append(node)
        for each in _tensors(made):
            self._kept.append(each)
            whole = not each.is_floating_point() and not each.is_complex()
            self._nodes[id(each)] = replace(node, why=f"{node.name} gives whole numbers") if whole else node
            self._made.append(self._nodes[id(each)])

    def _spoil(self, written: torch.Tensor) -> None:
        """What shares the memory of a tensor that was written to is no longer what it was."""
        place = written.untyped_storage().data_ptr()
        why = "a tensor that is part of another is written to"
        for each in self._kept:
            if each is not written and each.untyped_storage().data_ptr() == place:
                parts = [self._nodes[id(part)] for part in (written, each) if id(part) in self._nodes]
                self._nodes[id(each)] = Node("a part of another", tuple(parts), why=why)
                self._made.append(self._nodes[id(each)])

    def _node(self, name: str, func: Any, args: Any, options: Any, made: torch.Tensor) -> Node:
        """What an operation makes of its arguments."""
        x, other, *more = [*args, None, None]
        if name in ("cat", "stack"):
            return Node(self._at(name), tuple(self._given), (1.0,) * len(self._given), beside=True)
        if name in ("add", "sub", "rsub", "maximum", "minimum") or (name in ("max", "min") and _is_tensor(other)):
            return self._summed(name, x, other, options.get("alpha", more[0] or 1), made)
        if len(self._given) == 1:
            if name in ("mul", "div", "convolution", "mm", "bmm", "addmm"):
                multiplied = self._product if name in ("mul", "div") else self._matrix
                return multiplied(name, func, args, made) if not options else self._without(name, lipschitz.why(name))
            if name in _BATCH_NORMS and self._tracks(x):
                return self._batch_norm(name, args)
            if isinstance(x, torch.Tensor) and self._tracks(x):
                if name == "constant_pad_nd" and not any(args[2:]):
                    self._padded[id(made)] = tuple(x.shape), lambda inputs: func(inputs, *args[1:])
                return self._stretched(name, x, lipschitz.constant(name, func, args, options, made.shape), made)
        return self._without(name, lipschitz.why(name))

    def _matrix(self, name: str, func: Any, args: Any, made: torch.Tensor) -> Node:
        """A product with a constant matrix, on the image's side or the other."""
        x, other, *more = args
        if name == "convolution" and self._tracks(x):
            channels = 0 if not args[6] else 1 if args[8] == 1 else None  # transposed and in groups, several axes do
            function = lambda inputs, weight: func(inputs, weight, None, *args[3:])  # noqa: E731
            node = self._multiplied(name, x, other, more[0], function, outputs=channels)
            if node.layer and id(x) in self._padded:
                shape, pad = self._padded[id(x)]
                node.layer = replace(node.layer, shape=shape, padded=pad)
            return node
        if name == "addmm" and self._tracks(other):
            return self._multiplied(name, other, more[0].T, x, functional.linear, "dense", 0, more[0])
        if name == "mm" and self._tracks(x):
            return self._multiplied(name, x, other.T, None, functional.linear, "dense", 0, other)
        if name in ("mm", "bmm"):
            if self._tracks(x):
                return self._multiplied(name, x, other, None, torch.bmm)
            return self._multiplied(name, other, x, None, lambda inputs, weight: func(weight, inputs))
        return self._without(name, lipschitz.why(name))

    def _tracks(self, value: Any) -> bool:
        return id(value) in self._nodes

    def _at(self, name: str) -> str:
        return f"{name} in {self._places[-1]}" if self._places[-1] else name

    def _without(self, name: str, reason: str) -> Node:
        place = self._places[-1]
        return Node(self._at(name), tuple(self._given), why=f"{reason} (in {place})" if place else reason)

    def _stretched(self, name: str, x: torch.Tensor, found: lipschitz.Constant, made: torch.Tensor) -> Node:
        if isinstance(found, str):
            return self._without(name, found)
        curved, factors = not lipschitz.piecewise_linear(name), cast("Any", (found,))  # or what gives it after the run
        return Node(self._at(name), (self._nodes[id(x)],), factors, curved=curved, signed=name == "neg")

    def _summed(self, name: str, x: Any, other: Any, factor: float, made: torch.Tensor) -> Node:
        """A sum, a difference or the larger of two, one of which may be a constant."""
        factors = (factor, 1.0) if name == "rsub" else (1.0, factor)
        pairs = [(each, abs(times)) for each, times in zip((x, other), factors) if self._tracks(each)]
        parents = tuple(self._nodes[id(each)] for each, _ in pairs)
        stretched = tuple(times * _spread(each, made) for each, times in pairs)
        taken = {"sub": other, "rsub": x}.get(name)
        signed = factor < 0 or self._tracks(taken)
        return Node(self._at(name), parents, stretched, beside=name.startswith("m"), signed=signed)

    def _product(self, name: str, func: Any, args: Any, made: torch.Tensor) -> Node:
        """A product with constants, or a quotient; with trained ones it is a layer."""
        x, other = args
        if not self._tracks(x):
            if name == "div":
                return self._without(name, lipschitz.why(name))
            x, other = other, x
        factors = other if _is_tensor(other) else torch.tensor(float(other), dtype=torch.float64)
        origins = self._origins.get(id(other), set[str]())
        factors = factors.double().reciprocal() if name == "div" else factors.double()
        if origins & self._trained:
            kind = "diagonal" if made.shape == x.shape else "other"
            return self._multiplied(name, x, factors, None, torch.mul, kind, None, other)
        return Node(self._at(name), (self._nodes[id(x)],), (factors.abs().max().item() * _spread(x, made),),
                    signed=bool((factors < 0).any()))  # fmt: skip

    def _multiplied(
        self, name: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
        function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], kind: Any = "other", outputs: int | None = None,
        origin: torch.Tensor | None = None,
    ) -> Node:  # fmt: skip
        named = self._named(self._origins.get(id(weight if origin is None else origin), set()), name)
        layer = Affine(named, function, weight.detach().double(), tuple(x.shape), kind, outputs)
        added = None if bias is None else bias.detach().double()
        return Node(self._at(name), (self._nodes[id(x)],), (1.0,), layer=layer, bias=added)

    def _batch_norm(self, name: str, args: Any) -> Node:
        x, weight, bias, mean, variance, training = args[:6]
        if (training is True and "no_training" not in name) or mean is None or variance is None:
            return self._without(name, f"{name} uses the mean and variance of its input")
        scale = 1 / (variance.double() + args[-1]).sqrt() * (1 if weight is None else weight.double())
        shift = (0 if bias is None else bias.double()) - scale * mean.double()
        before = self._nodes[id(x)]
        if before.layer and (folded := before.layer.scaled(scale)):
            shift = shift if before.bias is None else shift + scale * before.bias
            return replace(before, layer=folded, bias=shift, scale=scale)
        sides = [1, -1, *[1] * (x.ndim - 2)]
        return self._multiplied(name, x, scale.view(sides), shift, torch.mul, "diagonal", None, mean)

    def _named(self, origins: set[str], name: str) -> str:
        """A layer's name, by the tensors that its weight is made of; a second use of it says so."""
        paths = [re.sub(r"(^|\.)(weight|running_mean|parametrizations\..*)$", "", key).split(".") for key in origins]
        shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths))
        found = ".".join(part for part, *_ in shared) if paths else self._at(name)
        self._uses[found] = uses = self._uses.get(found, 0) + 1
        return found if uses == 1 else f"{found} ({uses})"

    def _changed(self, node: Node, x: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """What a layer gives with its weight and bias changed."""
        if self._change is None or node.layer is None:
            return made
        behind = [1] * (0 if node.layer.kind in ("dense", "circulant") else made.ndim - 2)
        if node.scale is None:
            plain = node.layer.linear(x.double(), partial(self._change, "weight"))
        else:
            plain = self._plain[id(x)] * self._change("weight", node.scale).view(-1, *behind)
        whole = plain if node.bias is None else plain + self._change("bias", node.bias).view(-1, *behind)
        result = whole.to(made.dtype)
        self._plain[id(result)] = plain
        self._kept.append(result)
        return result


def _tensors(values: Any) -> list[torch.Tensor]:
    return [each for each in tree_leaves(values) if _is_tensor(each)]


def _is_tensor(value: Any) -> TypeGuard[torch.Tensor]:
    return isinstance(value, torch.Tensor)


def _before(node: Node | None) -> set[Node]:
    found, ahead = set[Node](), [node] if node else []
    while ahead:
        if (each := ahead.pop()) not in found:
            found.add(each)
            ahead += each.parents
    return found


def _spread(x: torch.Tensor, made: torch.Tensor) -> float:
    """How far broadcasting stretches: each value of x is that often in the result."""
    return math.sqrt(made.numel() / x.numel())
