"""The kinds of documents that `report` reads: their columns, with types, ranges and gaps, declared once."""

from __future__ import annotations

import fnmatch
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from gencli.files.provenance import KEY

Kind = Literal[
    "history", "result", "benchmark", "scores", "dynamics", "influence", "predictions", "images", "density",
    "confusion", "alignment", "energy", "descent", "measures",
]  # fmt: skip

# how to get a file of a kind
WORDS: dict[Kind, str] = {
    "history": "give the output of `gencli train --history`",
    "result": "give the output of `gencli eval`",
    "confusion": "give the output of `gencli eval --confusion`",
    "predictions": "give the output of `gencli eval --predictions`",
    "density": "give the output of `gencli spectrum --density`",
    "dynamics": "give the output of `gencli train --dynamics`, or of `gencli score`",
    "scores": "give the output of `gencli score`",
    "alignment": "give the output of `gencli spectrum --kernel`",
    "energy": "give the output of `gencli spectrum --energy`",
    "descent": "give the output of `gencli spectrum --descent`",
    "influence": "give the output of `gencli score --influence`",
    "measures": "give the output of `gencli eval --measures` on the training rows",
}

LEAD = ("model", "data")  # columns that name what the others are of
RUN = "run"  # the one that numbers the runs of a training of several, likewise a first one
_EXACT = 1 << 53  # up to where float64 has every whole number
_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Column:
    """The values that a column may hold.

    Attributes:
        words: a value in words; from `low` to `high` where it is a number, or each of a list of numbers.
        gaps: whether it may be missing.
        nan: whether it may be NaN.
    """

    type: Literal["whole", "number", "text", "list"]
    words: str
    low: float = -math.inf
    high: float = math.inf
    gaps: bool = False
    nan: bool = False

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of its values."""
        kinds = {"whole": pa.int64(), "number": pa.float64(), "text": pa.string(), "list": pa.list_(pa.float64())}
        return kinds[self.type]

    def holds(self, value: object) -> bool:
        """Whether it may hold a value from JSON or Arrow."""
        if value is None:
            return self.gaps
        if self.type == "text":
            return isinstance(value, str) and (
                value.isascii() or not any("\ud800" <= each < "\ue000" for each in value)
            )
        if self.type == "list":
            return isinstance(value, list) and len(value) > 0 and all(map(self._bounds, value))
        return self._bounds(value) and (self.type == "number" or int(value) == value)  # type: ignore[call-overload]

    def _bounds(self, value: object) -> bool:
        if not isinstance(value, int | float | np.floating) or isinstance(value, bool):
            return False
        known = self.low <= value <= self.high and (isinstance(value, float) or abs(value) <= _LARGEST)
        return bool(known or (self.nan and value != value))  # noqa: PLR0124

    def fits(self, column: pa.ChunkedArray) -> bool:
        """Whether all of a column is, at a glance, of the type and as it may be."""
        if self.type == "list":
            return self._lists_fit(column)
        if column.type != self.arrow or (column.null_count and not (self.gaps and self.type == "number")):
            return False
        if self.type == "text":
            return True
        values = column.to_numpy()
        within = (values >= self.low) & (values <= self.high)
        return bool((within | np.isnan(values)).all() if self.nan else (~within).sum() == column.null_count)

    def plain(self, values: Sequence[Any]) -> bool:
        """Whether values are of Python's types for it; Arrow would take others for them, True for 1."""
        if self.type == "list":
            if set(map(type, values)) != {list}:
                return False
            values = [value for each in values for value in each]
        return set(map(type, values)) <= {type(None), *([str] if self.type == "text" else [int, float])}

    def _lists_fit(self, column: pa.ChunkedArray) -> bool:
        kind = column.type
        if not (pa.types.is_list(kind) and pa.types.is_floating(kind.value_type)) or column.null_count:
            return False
        lists = column.combine_chunks()
        values = lists.flatten().to_numpy(zero_copy_only=False)
        return bool(np.diff(lists.offsets.to_numpy()).all() and ((values >= self.low) & (values <= self.high)).all())


_COUNT = Column("whole", "a whole number from 0 to 2^53", 0, _EXACT)
_KNOWN = Column("whole", "a whole number from 0 to 2^53", 0, _EXACT, gaps=True)
_SHARE = Column("number", "a number from 0 to 1", 0, 1, gaps=True, nan=True)
_NUMBER = Column("number", "a number", gaps=True, nan=True)
_POSITIVE = Column("number", "a number of 0 or more", 0, _LARGEST, gaps=True)
_FINITE = Column("number", "a finite number", -_LARGEST, _LARGEST, gaps=True)
_ID = Column("whole", "a whole number of 64 bits", -(1 << 63), (1 << 63) - 1)
_TEXT = Column("text", "text")
_CLASS = Column("text", "text", gaps=True)  # none: all together


@dataclass(frozen=True)
class Form:
    """A kind of document: the columns that make it one, all that it may have by name or pattern, and others'."""

    needs: tuple[str, ...]
    columns: dict[str, Column]
    others: Column = _NUMBER

    def column(self, name: str, lead: bool) -> Column:
        """Of that name; `lead`: it stands before those that make the kind."""
        if lead and name in (*LEAD, RUN):
            return _COUNT if name == RUN else _TEXT
        found = (column for pattern, column in self.columns.items() if fnmatch.fnmatchcase(name, pattern))
        return next(found, self.others)


_SCORES = dict.fromkeys(["*accuracy", "accuracy_*", "memorized", "recovered"], _SHARE) | {"*_std": _NUMBER}
_OF_ROWS = {"id": _ID, "label": _COUNT, "label_true": _COUNT, "run": _COUNT}
FORMS: dict[Kind, Form] = {  # the first that fits
    "history": Form(("epoch", "train_loss"), {"epoch": _COUNT, "step": _KNOWN, KEY: _CLASS, **_SCORES}),
    "result": Form(
        ("label", "name", "n", "loss"),
        {
            "label": Column("whole", "a whole number of 64 bits", -(1 << 63), (1 << 63) - 1, gaps=True),
            **dict.fromkeys(["name", *LEAD], _TEXT),
            "n": _COUNT,
            **dict.fromkeys(["corrupted", "not_finite", "runs"], _KNOWN),
            "*_std": _NUMBER,
            **_SCORES,
            **dict.fromkeys(["top_*", "precision", "recall", "f1", "calibration_error", "corruption_error"], _SHARE),
        },
    ),
    "benchmark": Form(
        ("item", "ours", "peer", "unit", "ratio", "bar", "met"),
        dict.fromkeys(["item", "unit"], _TEXT)
        | {"met": Column("text", "text", gaps=True)}
        | dict.fromkeys(["ours", "peer", "ratio", "bar"], _POSITIVE),
    ),
    "scores": Form(("id", "label", "runs"), {**_OF_ROWS, "runs": _COUNT, "networks_*": _KNOWN}, _FINITE),
    "dynamics": Form(
        ("id", "label", "first_learned", "aum"),
        {
            **_OF_ROWS,
            **dict.fromkeys(
                ["first_learned", "learned"], Column("whole", "a whole number from 1", 1, _EXACT, gaps=True)
            ),
            "forgotten": _KNOWN,
            **dict.fromkeys(
                ["confidence", "correctness"], Column("number", "a number from 0 to 1", 0, 1 + 1e-6, gaps=True)
            ),
            **dict.fromkeys(["variability", "el2n", "loss_*"], _POSITIVE),
        },
        _FINITE,
    ),
    "influence": Form(
        ("id", "label", "test_id", "test_label", "influence", "influence_se"),
        {**_OF_ROWS, "test_id": _ID, "test_label": _COUNT, "networks_*": _KNOWN},
        _FINITE,
    ),
    "predictions": Form(
        ("id", "label", "prediction"),
        {
            "id": _ID,
            "label": _COUNT,
            **dict.fromkeys(["label_true", "prediction", "run"], _KNOWN),
            "probabilities": Column("list", "a list of numbers from 0 to 1", 0, 1 + 1e-6, gaps=True),  # rounded
            **dict.fromkeys(LEAD, _TEXT),
        },
    ),
    "images": Form(("id", "image", "label"), {"label": _COUNT}),
    "density": Form(
        ("eigenvalue", "density"),
        {"eigenvalue": Column("number", "a finite number", -_LARGEST, _LARGEST), "density": _POSITIVE},
    ),
    "alignment": Form(
        ("quantity", "class", "index", "value"),
        {"quantity": _TEXT, "class": _CLASS, "index": Column("whole", "a whole number", -_EXACT, _EXACT, gaps=True)},
    ),
    "measures": Form(
        ("measure", "layer", "value", "source", "note"),
        {"measure": _TEXT, **dict.fromkeys(["layer", "source", "note"], _CLASS), "value": _FINITE},
    ),
    "energy": Form(
        ("class", "index", "eigenvalue", "energy", "cumulative"),
        {"class": _CLASS, "index": _COUNT, "eigenvalue": _FINITE, **dict.fromkeys(["energy", "cumulative"], _SHARE)},
    ),
    "descent": Form(
        ("class", "step", "time", "loss"),
        {"class": _CLASS, **dict.fromkeys(["step", "time"], _POSITIVE), "loss": _FINITE, "train_accuracy": _SHARE},
    ),
    "confusion": Form(("label", "name"), {"label": _COUNT, "name": _TEXT}, _COUNT),
}
