"""Parts of a training run's settings: images, network, and what it starts from; the others are in `settings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import typer


@dataclass(frozen=True)
class ImageSettings:
    """What is done to the images, and how often each is seen."""

    heading: ClassVar[str] = "Images"

    crop: Annotated[int | None, typer.Option(min=1, metavar="S", help="Crop to the central S x S pixels.")] = None
    whiten: Annotated[
        Literal["image", "dataset", "none"] | None,
        typer.Option(
            help="Normalize per image, by the training set, or not. Default: image; for image-to-image networks none.",
            show_default=False,
        ),
    ] = None
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Random augmentation of training images, in this order: crop[:PAD] (a window of --crop, or of the "
            "image padded by 4 pixels), flip, translate:N, cutout[:SIDE], rotate:DEGREES, color[:S].",
            show_default=False,
        ),
    ] = None
    mix: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:ALPHA]",
            help="Mix each image of a batch, after augmentation, with another one, and their losses likewise: mixup "
            "(the sum of both; arXiv:1710.09412) or cutmix (a rectangle of one; arXiv:1905.04899), by shares from "
            "Beta(ALPHA, ALPHA), ALPHA 1 where none is given. The larger share is the row's own, whose label is the "
            "right one.",
            show_default=False,
        ),
    ] = None
    stream: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="Stream images from their file, with at most twice ROWS in memory. Rows are shuffled by row group "
            "and within windows of ROWS, or of one group; rows of one group stay near each other.",
        ),
    ] = None
    subset: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="F",
            help="Train on this share of the rows, drawn by seed and id; each of --runs draws its own.",
        ),
    ] = None
    resample: Annotated[
        Literal["balanced", "sqrt"] | None,
        typer.Option(
            help="Draw rows with replacement: classes equally often, or in proportion to the square root of their size."
        ),
    ] = None


@dataclass(frozen=True)
class NetworkSettings:
    """Which network."""

    heading: ClassVar[str] = "Network"

    arch: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Network: see --list-archs; or torchvision:NAME, or package.module:factory.",
            show_default=False,
        ),
    ] = ""
    batch_norm: Annotated[
        bool | None,
        typer.Option(
            "--batch-norm/--no-batch-norm", help="Use batch norm. Default: the network's own.", show_default=False
        ),
    ] = None
    sync_batch_norm: Annotated[
        bool, typer.Option("--sync-batch-norm", help="Compute batch norm over the rows of all torchrun processes.")
    ] = False
    dropout: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="P", help="Probability of dropout. Default: the network's own.", show_default=False
        ),
    ] = None


@dataclass(frozen=True)
class StartSettings:
    """From which tensors, and which of them stay as they are; those of a file are `records.Start`'s."""

    heading: ClassVar[str] = "Start"

    init_except: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB,...",
            help="Initialize these tensors at random, as without --init: names or prefixes, such as layer4 or *.bias; "
            "head is the last layer; !GLOB excludes from the patterns before it.",
            show_default=False,
        ),
    ] = None
    init_run: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="K",
            help="Run of --init to start from, of several. Default: with as many --runs, each starts from its own.",
        ),
    ] = None
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB,...",
            help="Keep these tensors fixed, without gradient or weight decay; a batch norm among them keeps its "
            "statistics and normalizes by them; dropout stays on. Patterns as in --init-except: '*,!head' trains only "
            "the last layer.",
            show_default=False,
        ),
    ] = None
