"""The scores of a row, and which way each points: a table of names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A number of each row.

    Attributes:
        wrong: 1 where larger values speak of a wrong label, −1 where smaller ones do.
        endless: whether a row without a value is beyond all others: it was never learned.
        exact: whether it is no mean over runs, and so has no standard error of them.
    """

    wrong: int
    endless: bool = False
    exact: bool = False


DYNAMICS = {
    "first_learned": Score(1, endless=True),
    "learned": Score(1, endless=True),
    "forgotten": Score(1, endless=True),
    "aum": Score(-1),
    "confidence": Score(-1),
    "variability": Score(1),
    "correctness": Score(-1),
    "el2n": Score(1),
    "loss_mean": Score(1),
    "loss_last": Score(1),
}
PROBABILITIES = {
    "self_confidence": Score(-1),
    "normalized_margin": Score(-1),
    "confident_learning": Score(1, exact=True),
}
HELD_OUT = "held_out_"  # before the names of those that networks give which did not see the row
SCORES = (
    DYNAMICS
    | PROBABILITIES
    | {f"{HELD_OUT}{name}": score for name, score in PROBABILITIES.items()}
    | {"memorization": Score(1)}
)
ERROR = "_se"  # after the name of what it is the standard error of
