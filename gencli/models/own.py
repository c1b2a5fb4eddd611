"""A network of the user's own: a function that the command line names."""

from __future__ import annotations

import importlib
import os
import sys

import torch
from torch import nn

from gencli.errors import GencliError, first_line, nearest
from gencli.models.base import Family, Shape

_CALL = "it is called as factory((height, width, channels), classes); --debug shows where it failed"


def own(module: str, name: str, shape: Shape, classes: int) -> nn.Module:
    """What `factory((height, width, channels), classes)` of a module gives, a module from images to logits.

    The module is imported from what is installed, or else from the current folder.

    Raises:
        GencliError: there is no such function, it fails, or what it gives does not make logits [n, classes] of images
            [n, channels, height, width].
    """
    arch = f"{module}:{name}"
    factory = _find(module, name)
    try:
        network = factory(shape, classes)
    except Exception as error:
        raise GencliError(f"--arch: {arch} fails: {_words(error)}", _CALL) from error
    if not isinstance(network, nn.Module):
        raise GencliError(f"--arch: {arch} gives {type(network).__name__}, no torch.nn.Module", "return the network")
    state = network.state_dict()
    if (extra := next((key for key, value in state.items() if not isinstance(value, torch.Tensor)), None)) is not None:
        raise GencliError(f"--arch: {arch}: its state {extra} is no tensor", "a model file holds tensors alone")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise GencliError(f"--arch: {arch} has no parameters to train", "keep layers and parameters as attributes")
    device = next(network.parameters()).device
    images = torch.zeros(2, shape[2], *shape[:2], device=device)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = network.eval()(images)
    except Exception as error:
        raise GencliError(
            f"--arch: {arch} fails on images {list(images.shape)}: {_words(error)}",
            "it gets float32 images [n, channels, height, width]; --debug shows where it failed",
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        given = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise GencliError(
            f"--arch: {arch} makes {given} of two images, no logits [2, {classes}]",
            "end in a layer of `classes` outputs",
        )
    return network.train()


def _find(module: str, name: str):  # type: ignore[no-untyped-def]
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            hint = "it is looked for among what is installed and in the current folder"
            raise GencliError(f"--arch: no module {error.name!r}", hint) from None
        raise GencliError(
            f"--arch: importing {module} fails: {_words(error)}", "--debug shows where it failed"
        ) from error
    factory = getattr(imported, name, None)
    if not callable(factory):
        functions = [key for key, value in vars(imported).items() if callable(value) and not key.startswith("_")]
        raise GencliError(f"--arch: no function {name!r} in {module}", nearest(name, functions))
    return factory


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


OWN = Family(
    example="package.module:factory",
    pattern=r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)",
    purpose="your own: factory((height, width, channels), classes) gives a torch.nn.Module",
    source="your own",
    build=own,
)
