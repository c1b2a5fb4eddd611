"""The cost of a network: layers, operations and memory of a step, determined without computing it.

A network of any device is run on tensors that have shapes and no numbers (torch's FakeTensorMode); its parameters,
statistics, mode and the random numbers stay as they are. Under `torch.autocast` the figures are those of autocast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gencli.models.base import Shape


@dataclass(frozen=True)
class Layer:
    """One call of a module that has parameters of its own or no modules inside.

    Attributes:
        name: in the network; empty for the network itself.
        kind: its class.
        shape: of its output.
        parameters: how many numbers are trained in it; 0 where it is called again.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def layers(network: nn.Module, input_shape: Shape, batch_size: int = 1) -> list[Layer]:
    """The layers, in the order of their results; their parameters add up to the network's.

    Args:
        input_shape: height, width, channels of the images that it gets.
    """
    modules, called = dict(network.named_modules()), list[tuple[str, tuple[int, ...]]]()

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, inputs, output: called.append((name, _shape(output)))

    hooks = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        with torch.no_grad(), _without_numbers(network, False) as (run, _):
            run(input_shape, batch_size)
    finally:
        for hook in hooks:
            hook.remove()
    names, counts = {name for name, _ in called}, dict.fromkeys(modules, 0)
    for name, parameter in network.named_parameters():
        owner = name.rpartition(".")[0]
        while owner not in names:  # some modules' weights are read by the module around them
            owner = owner.rpartition(".")[0]
        counts[owner] += parameter.numel() * parameter.requires_grad
    shown = []
    for name, shape in called:
        if counts[name] or not list(modules[name].children()):
            shown.append(Layer(name, type(modules[name]).__name__, shape, counts[name]))
            counts[name] = 0
    return shown


def flops(network: nn.Module, input_shape: Shape, batch: int) -> int:
    """Floating-point operations of `batch` images on their way through the network.

    A product with its sum is two. Counted are matrix products, convolutions and attention (torch.utils.flop_counter),
    and fast Fourier transforms of n numbers as 5 n log₂ n, or half of it where they are real; nothing else.
    """
    with torch.no_grad(), _without_numbers(network, False) as (run, _), _counter() as counter:
        run(input_shape, batch)
    return counter.get_total_flops()


def step_flops(network: nn.Module, input_shape: Shape, batch: int) -> int:
    """Those of a training step on `batch` images, forward and backward, counted as `flops` counts.

    The images' own gradient, which nobody needs, is not computed; loss and optimizer count nothing.
    """
    with torch.enable_grad(), _without_numbers(network, True) as (run, _), _counter() as counter:
        run(input_shape, batch).sum().backward()
    return counter.get_total_flops()


def step_memory(network: nn.Module, input_shape: Shape, batch: int, optimizer_states: int) -> int:
    """Bytes that a training step holds when its backward pass begins.

    Parameters and buffers, the parameters' gradients, `optimizer_states` numbers for each of them (1 of momentum, 2 of
    Adam), and all that autograd keeps for the backward pass, every storage once, the images among it. Not what
    operations need for themselves while they run.
    """
    saved: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage._cdata] = storage  # held, so that no other gets its address
        return tensor

    with torch.enable_grad(), _without_numbers(network, True) as (run, state):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            run(input_shape, batch)
        for tensor in state:
            saved.pop(tensor.untyped_storage()._cdata, None)
        activations = sum(storage.nbytes() for storage in saved.values())
    copies = (1 + optimizer_states) * sum(each.nbytes for each in network.parameters() if each.requires_grad)
    return activations + copies + sum(each.nbytes for each in chain(network.parameters(), network.buffers()))


@contextmanager
def _without_numbers(
    network: nn.Module, training: bool
) -> Iterator[tuple[Callable[[Shape, int], torch.Tensor], list[torch.Tensor]]]:
    """What runs the network on so many images, and its parameters and buffers that are used in it."""
    modes = {module: module.training for module in network.modules()}
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    network.train(training)
    try:
        with fake:
            tensors = chain(network.named_parameters(), network.named_buffers())
            state: dict[str, torch.Tensor] = {name: fake.from_tensor(tensor) for name, tensor in tensors}

            def run(shape: Shape, batch: int) -> torch.Tensor:
                device = next(iter(state.values())).device
                images = torch.empty(batch, shape[2], *shape[:2], device=device)
                return torch.func.functional_call(network, state, images)

            yield run, list(state.values())
    finally:
        for module, mode in modes.items():
            module.training = mode


def _counter() -> FlopCounterMode:
    aten = torch.ops.aten
    more: dict[Any, Any] = {aten._fft_r2c: _real, aten._fft_c2r: _real, aten._fft_c2c: _complex}
    more[aten.convolution_backward] = _convolution_backward
    return FlopCounterMode(display=False, custom_mapping=more)


def _convolution_backward(gradient: torch.Size, images: torch.Size, weight: torch.Size, *rest: Any, **_: Any) -> int:
    """That of the images and that of the weight cost what the forward pass does; torch's own count forgets groups."""
    transposed, wanted = rest[4], rest[-1]
    return sum(wanted[:2]) * 2 * math.prod(images if transposed else gradient) * math.prod(weight[1:])


def _complex(shape: torch.Size, dims: list[int], *_: Any, out_shape: torch.Size, **__: Any) -> int:
    return round(5 * math.prod(out_shape) * math.log2(math.prod(out_shape[dim] for dim in dims)))


def _real(shape: torch.Size, dims: list[int], *_: Any, out_shape: torch.Size, **__: Any) -> int:
    whole = max(shape, out_shape, key=math.prod)  # the other one has half of the symmetric spectrum
    return _complex(shape, dims, out_shape=whole) // 2


def _shape(output: Any) -> tuple[int, ...]:
    first = output[0] if isinstance(output, tuple | list) and output else output
    return tuple(first.shape) if isinstance(first, torch.Tensor) else ()
