"""The networks: a table of families by the pattern of their names, and the file format of a fitted one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gencli import provenance, tensors
from gencli.errors import GencliError
from gencli.models.inputs import PREPROCESSING
from gencli.models.mlp import mlp
from gencli.stream import Input, Output
from gencli.tables import Description, is_shape

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Family:
    """Networks of one construction.

    Attributes:
        example: their names' form, as users see it.
        pattern: matches their names; its groups are the builder's first arguments.
        build: (integers of the name, image shape, classes) → a module from preprocessed images [n, channels, height,
            width] to logits [n, classes].
    """

    example: str
    pattern: str
    build: Callable[..., nn.Module]


FAMILIES = [Family("mlp-KxW", r"mlp-([1-9]\d{0,3})x([1-9]\d{0,6})", mlp)]


@dataclass
class Model:
    """A network and what it was made for.

    Attributes:
        arch: its name.
        shape: height, width, channels of its images.
        classes: the classes' names, by label.
        made: its provenance, None until it is written.
    """

    arch: str
    shape: Shape
    classes: tuple[str, ...]
    network: nn.Module
    made: provenance.Step | None = None

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(tensor.numel() for tensor in self.network.parameters() if tensor.requires_grad)

    def require(self, description: Description, title: str) -> None:
        """Refuses data of another image shape or other classes."""
        if description.shape != self.shape:
            raise GencliError(
                f"{title}: images of {_times(description.shape)}, where the model takes {_times(self.shape)}",
                "evaluate a model on the kind of images it was trained on",
            )
        if description.classes != self.classes:
            differ = (
                number for number, (one, other) in enumerate(zip(description.classes, self.classes)) if one != other
            )
            start = next(differ, 0)
            raise GencliError(
                f"{title}: {len(description.classes)} classes ({_some(description.classes, start)}), "
                f"where the model has {len(self.classes)} ({_some(self.classes, start)})",
                "evaluate a model on the classes it was trained on",
            )


def build(arch: str, shape: Shape, classes: int) -> nn.Module:
    """The network of this name for images of this shape, initialized from torch's global random numbers."""
    for family in FAMILIES:
        if match := re.fullmatch(family.pattern, arch):
            return family.build(*map(int, match.groups()), shape, classes)
    known = ", ".join(family.example for family in FAMILIES)
    raise GencliError(f"--arch: no network {arch!r}", f"known: {known}, such as mlp-1x512")


def write(output: Output, model: Model, settings: dict[str, Any], made: provenance.Step) -> None:
    """Writes a model: parameters and buffers under their `state_dict` names, all else in the metadata."""
    facts = {
        "architecture": model.arch,
        "shape": model.shape,
        "classes": model.classes,
        "preprocessing": PREPROCESSING,
        "parameters": model.parameters,
        "training": settings,
        "step": made,
    }
    tensors.write(output, model.network.state_dict(), facts)


def read(source: Input) -> Model:
    """Reads a model that `write` wrote; on the CPU, in evaluation mode.

    Raises:
        GencliError: not such a file, or its tensors are not the architecture's.
    """
    facts = tensors.read_metadata(source)
    arch, made = facts.get("architecture"), facts.get("step")
    shape, classes = facts.get("shape", []), facts.get("classes", [])
    named = isinstance(classes, list) and classes and all(isinstance(each, str) for each in classes)
    if not (isinstance(arch, str) and is_shape(shape) and named and made):
        raise GencliError(f"{source.name}: tensors, but no model", "give a model that `gencli train` wrote")
    if facts.get("preprocessing") != PREPROCESSING:
        raise GencliError(f"{source.name}: its preprocessing is unknown here", "use the gencli that wrote it")
    try:
        with torch.device("meta"):
            network = build(arch, tuple(shape), len(classes))
    except GencliError:
        raise GencliError(f"{source.name}: no network {arch!r} is known here", "use the gencli that wrote it") from None
    given, expected = tensors.read(source), network.state_dict()
    for name in expected | given:
        if _kind(given.get(name)) != _kind(expected.get(name)):
            raise GencliError(
                f"{source.name}: not the tensors of {arch}: {name} is {_kind(given.get(name))}, "
                f"not {_kind(expected.get(name))}",
                "make the model again",
            )
    network.load_state_dict(given, assign=True)
    return Model(arch, tuple(shape), tuple(classes), network.eval(), made)


def _kind(tensor: torch.Tensor | None) -> str:
    return "missing" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {_times(tuple(tensor.shape))}"


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _some(names: tuple[str, ...], start: int) -> str:
    return ("…, " if start else "") + ", ".join(names[start : start + 3]) + (", …" if len(names) > start + 3 else "")
