"""The vectors that a curvature matrix is multiplied by, as the command line names them, and the files of products."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gencli.counts import by
from gencli.curvature.operators import Operator
from gencli.errors import GencliError, nearest
from gencli.files import provenance, tensors
from gencli.files.provenance import Source
from gencli.files.stores import is_address
from gencli.files.stream import Input
from gencli.randomness import Draws

_NAMED = re.compile(r"gradient|ones|random:\d{1,18}|eigen:-?[1-9]\d{0,3}", re.ASCII)
_NUMBERED = re.compile(r"(-?\d{1,9})/(.+)", re.ASCII)
_FORMS = {"gradient": "gradient", "ones": "ones", "random": "random:SEED", "eigen": "eigen:1"}


def is_named(text: str) -> bool:
    """Whether it names a vector that is made here; otherwise it is a file.

    Raises:
        GencliError: the kind of vector is one that is made here, its number is none.
    """
    kind = text.partition(":")[0]
    if _NAMED.fullmatch(text) is None and kind in _FORMS:
        raise GencliError(f"--vector: {text!r} is not a vector", nearest(kind, _FORMS.values()))
    return kind in _FORMS


def random(operator: Operator, seed: int, purpose: str = "hvp") -> Tensor:
    """[size] standard normal numbers, for each parameter a function of seed, purpose and its name only."""
    numbers = np.zeros(1, np.int64)
    drawn = {
        name: torch.from_numpy(Draws(seed, purpose, name).normals(numbers, shape.numel())[0])
        for name, shape in operator.shapes.items()
    }
    return operator.flatten(drawn).to(operator.weights)


def named(operator: Operator, name: str) -> Tensor:
    """[size] the vector of this name: `gradient`, `ones`, `random:SEED`, `eigen:K`.

    `eigen:K` is the unit eigenvector of the K-th largest eigenvalue, of the K-th smallest where K is negative; its
    largest entry is positive.

    Raises:
        GencliError: the eigenvalue is not found.
    """
    kind, _, number = name.partition(":")
    if kind == "gradient":
        return operator.gradient()
    if kind == "ones":
        return torch.ones_like(operator.weights)
    if kind == "random":
        return random(operator, int(number))
    from gencli.curvature.extremes import leading

    place = int(number)
    if abs(place) > operator.size:
        raise GencliError(f"--vector: {name}: the matrix has {operator.size} eigenvalues", "give a smaller number")
    end = "bottom" if number.startswith("-") else "top"
    pairs = leading(operator.matvec, operator.size, abs(place), end, dtype=operator.dtype)
    if not pairs.converged:
        raise GencliError(f"--vector: {name}: not found in {pairs.products} products", "use --dtype float64")
    return pairs.vectors[abs(place) - 1].to(operator.weights)


def open_file(word: str) -> Input:
    """The file of this name.

    Raises:
        GencliError: there is none, nor is it the name of a vector.
    """
    if word != "-" and not is_address(word) and not Path(word).exists():
        raise GencliError(f"--vector: {word}: no such file", nearest(word, _FORMS.values()))
    return Input(word)


def find(operator: Operator, word: str, file: Input | None) -> list[tuple[str, Tensor]]:
    """The vectors [size] that a word names or its file contains, each with a name for people."""
    if file is None:
        return [(word, named(operator, word))]
    found = read(operator, file)
    return [(word if len(found) == 1 else f"{word} {number}", v) for number, v in enumerate(found)]


def source(file: Input) -> Source:
    """A file of vectors as one input of a step."""
    try:
        made = tensors.read_metadata(file).get("step")
    except GencliError:  # made elsewhere
        made = None
    return provenance.source("vector", file.sha256, made, file.path)


def read(operator: Operator, file: Input) -> list[Tensor]:
    """Vectors [size] of a safetensors file: one, its tensors named as the parameters, or several, as `0/NAME`, ….

    Numbers may be negative, as those of the smallest eigenvalues' vectors that `gencli spectrum` writes.

    Raises:
        GencliError: a tensor is missing, too many, of another shape, or contains numbers that are not finite.
    """
    given, made = tensors.read(file), source(file).step
    if made is not None and made.arguments.get("shard"):
        raise GencliError(f"{file.name}: part {made.arguments['shard']} of vectors", "gencli sum puts parts together")
    several: dict[str, dict[str, Tensor]] = {}
    for name, tensor in given.items():
        found = _NUMBERED.fullmatch(name)
        several.setdefault(found[1] if found else "", {})[found[2] if found else name] = tensor
    return [_vector(operator, file, each) for _, each in sorted(several.items(), key=lambda pair: int(pair[0] or 0))]


def _vector(operator: Operator, file: Input, given: dict[str, Tensor]) -> Tensor:
    hint = "give one tensor per varied parameter, as gencli hvp writes them"
    for name in operator.shapes | given:
        expected, found = operator.shapes.get(name), given.get(name)
        if expected is None and name in operator.fixed:
            raise GencliError(f"{file.name}: {name} is fixed, by --parameters or by the network", "omit it")
        if expected is None or found is None or found.shape != expected:
            there = "is missing" if found is None else f"is {_times(found.shape)}"
            wanted = "is not a varied parameter" if expected is None else f"is {_times(expected)}"
            raise GencliError(f"{file.name}: {name} {there}, but the model's {wanted}", hint)
        if found.is_complex() or not found.isfinite().all():
            raise GencliError(f"{file.name}: {name} holds numbers that are not finite and real", hint)
    return operator.flatten({name: tensor.to(operator.weights) for name, tensor in given.items()})


def _times(shape: torch.Size) -> str:
    return by(shape) or "a number"


def by_name(operator: Operator, products: Sequence[Tensor]) -> dict[str, Tensor]:
    """Products [size] as tensors: one under the parameters' names, several under `0/NAME`, `1/NAME`, …."""
    if len(products) == 1:
        return operator.unflatten(products[0])
    return {
        f"{number}/{name}": part
        for number, product in enumerate(products)
        for name, part in operator.unflatten(product).items()
    }
