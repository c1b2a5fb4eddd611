"""What of the loss's geometry a history can follow, from epoch to epoch."""

from __future__ import annotations

from gencli.errors import GencliError, nearest

TRACKED = {
    "sharpness": "the Hessian's largest eigenvalue, to 1e-3 of it",
    "gradient-norm": "of the mean loss",
    "distance": "of the parameters from their initial values",
    "weight-norm": "of the parameters",
}


def tracked(text: str | None) -> tuple[str, ...]:
    """The columns of the history that `sharpness,distance` names, in their order there.

    Raises:
        GencliError: an unknown name.
    """
    words = [] if text is None else text.split(",")
    for word in words:
        if word not in TRACKED:
            raise GencliError(f"--track: nothing is called {word!r}", nearest(word, TRACKED))
    return tuple(name.replace("-", "_") for name in TRACKED if name in words)
