"""Whether a network looks at each image by itself, as all that is said of single rows takes for granted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from gencli.errors import GencliError, first_line, require_enough

HINT = "make its norms and branches treat each row separately in evaluation mode"
_ROUNDING = 64  # units in the last place of an output


@torch.no_grad()
def first_apart(
    title: str, network: Callable[[Tensor], Tensor], images: Tensor, together: Tensor, share: float | None = None
) -> int | None:
    """The first of some rows whose output by itself is another than in a batch; None if there is none.

    Args:
        title: the network, in messages.
        images: [n, …] the network's input for these rows.
        together: [n, …] its outputs for them in the batch.
        share: of the range of a row's outputs, or of the rows' median range if that is larger, by which they may
            differ; the square root of the numbers' precision where None.

    Raises:
        GencliError: it fails on a single image.
    """
    batch = together.flatten(1)
    precision = max(torch.finfo(each.dtype).eps for each in (images, batch))
    spread = (batch.amax(1) - batch.amin(1) if batch.shape[1] > 1 else batch.abs().squeeze(1)).nan_to_num(0, 0, 0)
    allowed = (precision**0.5 if share is None else share) * spread.clamp(min=spread.median())
    allowed += _ROUNDING * precision * batch.abs().amax(1).nan_to_num(0, 0, 0)

    def apart(outputs: Tensor, rows: slice) -> Tensor:
        outputs, others = outputs.flatten(1), batch[rows]
        far = (outputs - others).abs() > allowed[rows, None]
        return ((far & others.isfinite()) | (outputs.isfinite() != others.isfinite())).any(1)

    doubtful = range(len(images))
    with suppress(RuntimeError, TypeError, ValueError), warnings.catch_warnings():  # row by row where vmap cannot
        warnings.simplefilter("ignore")
        alone = torch.func.vmap(lambda image: network(image[None])[0])(images.clone())
        doubtful = apart(alone, slice(None)).nonzero().flatten().tolist()
    for row in doubtful:
        own = slice(row, row + 1)
        try:
            outputs = network(images[own].clone())  # which it may write to
        except Exception as error:
            require_enough(error)
            raise GencliError(
                f"{title}: it fails on a single image: {type(error).__name__}: {first_line(error)}", HINT
            ) from error
        if apart(outputs, own):
            return row
    return None


def spaced(rows: int, count: int) -> Tensor:
    """At most `count` of so many rows, from the first to the last at equal distances, int64."""
    return torch.linspace(0, rows - 1, min(rows, count)).round().long()
