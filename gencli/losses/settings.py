"""The options of a loss, as `gencli train` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import typer

from gencli import plugins
from gencli.losses import LOSSES, names
from gencli.losses.classes import FocalForm

_FORMULAS = (
    "With outputs z, p = softmax(z) and the label y, square is sum_c (z_c - [c = y])^2 / 2 (Hui, Belkin 2021, "
    "arXiv:2006.07322); gce (1 - p_y^q) / q (Zhang, Sabuncu 2018, arXiv:1805.07836); sce -a log p_y - b A (1 - p_y), "
    "A = log 1e-4, a and b its weights (Wang et al. 2019, arXiv:1908.06112)."
)


@partial(plugins.with_options, losses=LOSSES.values())
@dataclass(frozen=True)
class LossSettings:
    """Which loss, and its options; None stands for the loss's own default."""

    heading: ClassVar[str] = "Loss"

    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"{names('classes')}; for images {names('images')}. {_FORMULAS}",
            show_default=False,
        ),
    ] = None
    gamma: Annotated[
        float | None, typer.Option(help="Focusing exponent of the focal loss. Default: 2.", show_default=False)
    ] = None
    beta: Annotated[
        float | None,
        typer.Option(
            help="Beta of the class weights of cb-*, from 0 (no weights) to below 1. Default: 0.9999.",
            show_default=False,
        ),
    ] = None
    focal_form: Annotated[
        FocalForm | None,
        typer.Option(help="Sigmoid per class, or softmax. Default: sigmoid.", show_default=False),
    ] = None
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Label smoothing of ce: share of the target spread over all classes. Default: 0.", show_default=False
        ),
    ] = None
    deferred_reweighting: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCH", help="Weight the classes of ldam from the epoch after this one.", show_default=False
        ),
    ] = None
    tau: Annotated[
        float | None, typer.Option(help="Strength of the adjustment of logit-adjusted. Default: 1.", show_default=False)
    ] = None
    gce_q: Annotated[
        float | None,
        typer.Option(
            metavar="Q", help="Exponent of gce, above 0 (which is ce) and up to 1. Default: 0.7.", show_default=False
        ),
    ] = None
    ce_weight: Annotated[
        float | None, typer.Option(help="Weight of the cross-entropy in sce. Default: 0.1.", show_default=False)
    ] = None
    reverse_weight: Annotated[
        float | None, typer.Option(help="Weight of its reverse in sce. Default: 1.", show_default=False)
    ] = None
    delta: Annotated[
        float | None,
        typer.Option(
            help="Difference at which huber turns linear, in units of pixels/255. Default: 0.1.", show_default=False
        ),
    ] = None
