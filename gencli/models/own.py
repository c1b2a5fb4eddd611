"""A network of the user's own: a function that the command line names."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from gencli import strangers
from gencli.errors import GencliError, nearest, require_enough
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
    arch = f"{module}:{name}"
    factory = find(module, name)
    with _theirs(f"{arch} fails", _CALL):
        network = factory(shape, classes)
    if not isinstance(network, nn.Module):
        raise GencliError(f"--arch: {arch} gives {type(network).__name__}, not a torch.nn.Module", "return the network")
    with _theirs(f"{arch}: its state_dict fails", _OWN):
        state = network.state_dict()
    if (extra := next((key for key, value in state.items() if not isinstance(value, torch.Tensor)), None)) is not None:
        raise GencliError(f"--arch: {arch}: its state {extra} is not a tensor", "a model file holds only tensors")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise GencliError(f"--arch: {arch} has no parameters to train", "keep layers and parameters as attributes")
    device = next(network.parameters()).device
    images = torch.zeros(2, shape[2], *shape[:2], device=device)
    hint = "it gets float32 images [n, channels, height, width]; --debug shows where it failed"
    with _theirs(f"{arch} fails on images {list(images.shape)}", hint), torch.no_grad(), torch.random.fork_rng([]):
        logits = network.eval()(images)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        given = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise GencliError(
            f"--arch: {arch} returns {given} for two images, not logits [2, {classes}]",
            "end in a layer of `classes` outputs",
        )
    return network.train()


def find(module: str, name: str) -> Callable[..., Any]:
    """The function of a module, which is imported for it.

    Raises:
        GencliError: there is none, or the import fails.
    """
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    strangers.admit(f"{module}:{name}")
    try:
        with _theirs(f"importing {module} fails", _OWN):
            imported = importlib.import_module(module)
    except GencliError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name and f"{module}.".startswith(f"{missing.name}."):
            hint = "modules are looked up among installed packages and in the current folder"
            raise GencliError(f"--arch: no module {missing.name!r}", hint) from None
        raise
    factory = getattr(imported, name, None)
    if not callable(factory):
        functions = [key for key, value in vars(imported).items() if callable(value) and not key.startswith("_")]
        raise GencliError(f"--arch: no function {name!r} in {module}", nearest(name, functions))
    return factory


@contextmanager
def _theirs(what: str, hint: str) -> Iterator[None]:
    """Within this context, any exception, also an exit, is an error of the user's network."""
    try:
        yield
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        require_enough(error)
        raise GencliError(f"--arch: {what}: {strangers.words(error)}", hint) from error


OWN = Family(
    example="package.module:factory",
    pattern=r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)",
    purpose="your own: factory((height, width, channels), classes) gives a torch.nn.Module",
    source="your own",
    build=own,
)
