"""A network of the user's own: a function that the command line names, or the family of a plug-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gencli import strangers
from gencli.errors import GencliError, nearest
from gencli.models.base import Family, Shape

_CALL = "it is called as factory((height, width, channels), classes); --debug shows where it failed"
_OWN = "that code is not gencli's; --debug shows where it failed"


def own(module: str, name: str, shape: Shape, classes: int) -> nn.Module:
    """What `factory((height, width, channels), classes)` of a module gives, a module from images to logits.

    The module is imported from what is installed, or else from the current folder.

    Raises:
        GencliError: there is no such function, it fails, or what it gives does not make logits [n, classes] of images
            [n, channels, height, width].
    """
    factory = find(module, name)
    return _checked(f"{module}:{name}", lambda: factory(shape, classes), _CALL, shape, (classes,))


def of_plugin(family: Family, plugin: str) -> Family:
    """The family of a plug-in, whose networks are checked as the user's own are."""

    def build(*groups: Any, shape: Shape, classes: int, **options: Any) -> nn.Module:
        made = lambda: family.build(*groups, shape=shape, classes=classes, **options)  # noqa: E731
        outputs = (classes,) if family.task == "classes" else (shape[2], *shape[:2])
        return _checked(f"{family.example} of {plugin}", made, _OWN, shape, outputs)

    return replace(family, build=build, ours=False)


def _checked(title: str, make: Callable[[], Any], hint: str, shape: Shape, outputs: tuple[int, ...]) -> nn.Module:
    """The network that code which is not ours makes.

    Args:
        title: as messages call it.
        outputs: what it gives for an image, without the batch's dimension.
    """
    with strangers.theirs(f"--arch: {title} fails", hint):
        network = make()
    if not isinstance(network, nn.Module):
        raise GencliError(
            f"--arch: {title} gives {type(network).__name__}, not a torch.nn.Module", "return the network"
        )
    with strangers.theirs(f"--arch: {title}: its state_dict fails", _OWN):
        state = network.state_dict()
    if (extra := next((key for key, value in state.items() if not isinstance(value, torch.Tensor)), None)) is not None:
        raise GencliError(f"--arch: {title}: its state {extra} is not a tensor", "a model file holds only tensors")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise GencliError(f"--arch: {title} has no parameters to train", "keep layers and parameters as attributes")
    device = next(network.parameters()).device
    images = torch.zeros(2, shape[2], *shape[:2], device=device)
    hint = "it gets float32 images [n, channels, height, width]; --debug shows where it failed"
    what = f"--arch: {title} fails on images {list(images.shape)}"
    with strangers.theirs(what, hint), torch.no_grad(), torch.random.fork_rng([]):
        found = network.eval()(images)
    if not isinstance(found, torch.Tensor) or found.shape != (2, *outputs):
        given = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        wanted, end = "logits", "end in a layer of `classes` outputs"
        if len(outputs) > 1:
            wanted, end = "images", "return images of the shape that it gets"
        raise GencliError(f"--arch: {title} returns {given} for two images, not {wanted} {[2, *outputs]}", end)
    return network.train()


def find(module: str, name: str) -> Callable[..., Any]:
    """The function of a module, which is imported for it.

    Raises:
        GencliError: there is none, or the import fails.
    """
    imported = strangers.load(module, f"{module}:{name}")
    strangers.run()
    factory = getattr(imported, name, None)
    if not callable(factory):
        functions = [key for key, value in vars(imported).items() if callable(value) and not key.startswith("_")]
        raise GencliError(f"--arch: no function {name!r} in {module}", nearest(name, functions))
    return factory


OWN = Family(
    example="package.module:factory",
    pattern=r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)",
    purpose="your own: factory((height, width, channels), classes) gives a torch.nn.Module",
    source="your own",
    build=own,
    ours=False,
)
