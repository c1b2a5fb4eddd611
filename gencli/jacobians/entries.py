"""Entries of a network's Jacobians compared with difference quotients in float64, which use only evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from gencli.curvature.products import differentiable
from gencli.formulas.differences import Difference, Floats, differentiate
from gencli.jacobians.rows import Chunk, Mode, RowFunction
from gencli.randomness import Draws
from gencli.ranks import Group

Verdict = Literal["holds", "fails", "kinks", "unclear"]

_WORDS: dict[Verdict, str] = {
    "holds": "hold", "fails": "fail", "kinks": "lie at kinks", "unclear": "for which differences are unreliable"
}  # fmt: skip
LEAST = 20  # entries
_UNCLEAR = 1e-3  # of the largest entry: differences that are less sure say nothing
_DOUBT = 10
_AT_ONCE = 64  # images


@dataclass
class Entry:
    """One number of a Jacobian.

    Attributes:
        tensor: that it is a derivative by, at this place; where it is to be the `largest`, the place is found.
        value, scale: the derivative, and the largest one by any tensor.
    """

    row: int
    output: int
    tensor: str
    place: int
    largest: bool
    value: float = 0.0
    scale: float = 0.0

    @property
    def name(self) -> str:
        """For people."""
        return f"row {self.row}, output {self.output} by {self.tensor}[{self.place}]"


@dataclass
class Check:
    """What differences say of entries.

    Attributes:
        function: that they are of.
        entries: of a random row and output a random one of a tensor, and in turns the tensor's largest.
        verdicts, apart: each entry's, apart being the difference by the scale.
    """

    function: RowFunction
    entries: list[Entry]
    verdicts: list[Verdict] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)

    @classmethod
    def plan(cls, function: RowFunction, seed: int = 0, part: range | None = None) -> Check:
        """20 entries or more of the rows of this part, all if None, and at least one of every tensor."""
        part = range(function.rows) if part is None else part
        names = list(function.shapes)
        count = len(names) * -(-LEAST // len(names))
        draws = (Draws(seed, "jacobian", part).uniforms(np.arange(count)) for part in ("row", "output", "place"))
        return cls(function, [
            Entry(
                part[int(row * len(part))], int(output * function.outputs), name,
                int(place * function.shapes[name].numel()), sum(divmod(number, len(names))) % 2 == 1,
            )
            for number, (row, output, place) in enumerate(zip(*draws, strict=True))
            for name in [names[number % len(names)]]
        ])  # fmt: skip

    def note(self, chunk: Chunk) -> None:
        """Takes the entries' values from the rows that hold them."""
        for entry in self.entries:
            here = entry.row - chunk.start
            if 0 <= here < len(chunk.matrices):
                vector = chunk.matrices[here, entry.output]
                part = self.function.split(vector)[entry.tensor].reshape(-1)
                entry.place = int(part.abs().argmax()) if entry.largest else entry.place
                entry.value, entry.scale = float(part[entry.place]), float(vector.abs().max())

    def gather(self, group: Group, own: range) -> None:
        """Takes the values of the rows that other processes hold; this one holds its `own`."""
        for every in group.each(lambda: {place: each for place, each in enumerate(self.entries) if each.row in own}):
            for place, each in every.items():
                self.entries[place] = each

    def judge(
        self, exact: RowFunction, mode: Mode | None, tolerance: float, done: Callable[[int], None] = lambda done: None
    ) -> None:
        """Compares the entries with differences of the function in float64, which may be the one that they are of.

        An entry holds within the tolerance times the row's and output's largest one and ten times the differences'
        estimated error. A kink excuses one that lies between the derivatives ahead and behind; and one that float64 has
        right in the same mode, since rounding may put a point on the other side of a kink.
        """
        rounded = bool(exact.kinks) and exact is not self.function
        for number, entry in enumerate(self.entries, 1):
            numeric, error = _quotient(exact, entry, "richardson")
            size = max(entry.scale, abs(numeric))
            apart, slack, doubt = abs(entry.value - numeric), tolerance * size, _DOUBT * error
            unclear = doubt > _UNCLEAR * size
            if apart <= slack or (apart <= slack + doubt and not unclear):
                verdict: Verdict = "holds"
            elif _at_kink(exact, entry) or (rounded and abs(_again(exact, mode, entry) - numeric) <= slack + doubt):
                verdict = "kinks"
            else:
                verdict = "unclear" if unclear else "fails"
            self.verdicts.append(verdict)
            self.apart.append(apart / (size or 1.0))
            done(number)

    @property
    def said(self) -> str:
        """The number of entries per verdict, and the largest difference of those that hold."""
        counts = [(words, self.verdicts.count(verdict)) for verdict, words in _WORDS.items()]
        most = max((apart for verdict, apart in zip(self.verdicts, self.apart) if verdict == "holds"), default=0.0)
        words = ", ".join(f"{count} {words}" for words, count in counts if count)
        compared = f"{len(self.entries)} numbers compared with differences in float64"
        return f"{compared}: {words}; largest difference {most:.2g}"

    @property
    def failed(self) -> list[str]:
        """The entries that fail, one sentence each."""
        found = zip(self.entries, self.verdicts, self.apart)
        return [
            f"{entry.name} differs from its difference quotient by {apart:.2g} of the largest derivative"
            for entry, verdict, apart in found
            if verdict == "fails"
        ]


def _at_kink(function: RowFunction, entry: Entry) -> bool:
    """Whether the derivatives ahead and behind differ, and the entry lies between them."""
    ahead, behind = (_quotient(function, entry, "forward", way) for way in (1.0, -1.0))
    low, high = sorted((ahead[0], -behind[0]))
    near = _DOUBT * (ahead[1] + behind[1])
    return high - low > near and low - near <= entry.value <= high + near


def _again(exact: RowFunction, mode: Mode | None, entry: Entry) -> float:
    [chunk] = exact.jacobians(mode, rows=range(entry.row, entry.row + 1))
    return float(exact.split(chunk.matrices[0, entry.output])[entry.tensor].reshape(-1)[entry.place])


def _quotient(function: RowFunction, entry: Entry, difference: Difference, way: float = 1.0) -> tuple[float, float]:
    """The derivative along the coordinate, or against it, from evaluations only, and an estimate of its error."""
    [image], [target] = function.inputs(slice(entry.row, entry.row + 1))
    point = function.point(entry.row)
    moved = point[entry.tensor].clone(memory_format=torch.contiguous_format)
    coordinate = moved.view(-1)[entry.place : entry.place + 1]

    def values(points: Floats) -> Floats:
        if function.wrt == "input":
            images = moved.expand(len(points), *moved.shape).clone(memory_format=torch.contiguous_format)
            images.flatten(1)[:, entry.place] = torch.from_numpy(points[:, 0]).to(images)
            parts = images.split(_AT_ONCE)
            found = [function.values(part, target.expand(len(part), *target.shape))[:, entry.output] for part in parts]
            return torch.cat(found).cpu().numpy()[:, None]
        made = []
        for number in points[:, 0].tolist():
            coordinate.fill_(number)
            made.append(float(function(point | {entry.tensor: moved}, image, target)[entry.output]))
        return np.array(made)[:, None]

    start = np.array([[coordinate.item()]])
    with differentiable(), torch.no_grad():
        derivative, error = differentiate(values, start, [(np.array([way]), None)], difference, None)
    return float(derivative.item()), float(error.item())
