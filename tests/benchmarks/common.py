"""The common corruptions: batches as the command takes them, against a loop over images with PyPI's package of them."""

from __future__ import annotations

import statistics
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from gencli.corruptions.common import KINDS, Common
from gencli.files.tables import Description, MemoryTable
from gencli.machine import in_threads
from gencli.randomness import Draws
from tests.benchmarks.corrupt import make_table
from tests.benchmarks.measure import GENCLI, THREADS, Row, in_turns, peak_megabytes, timed

_IMAGES, _BATCH, _SEVERITY, _MEGABYTES = 1000, 250, 3, 200


def run(folder: Path) -> Iterator[Row]:
    large = folder / "large.parquet"
    make_table(large, 50_000)
    for kind in ("fog", "elastic-transform", "spatter"):
        options = ["--kind", kind, "--severity", "3", str(large), "-o", str(folder / "ours.parquet")]
        memory = peak_megabytes([GENCLI, "corrupt", "common", "-q", *options])
        yield Row(f"corrupt common {kind}, peak memory, 50,000 rows", memory, _MEGABYTES, 1.0, "MB")
    yield from _against_the_package()


def _against_the_package() -> Iterator[Row]:
    """With ImageNet's constants, the only ones that it has."""
    try:
        import cv2
        import imagecorruptions
    except ImportError:
        print("common: imagecorruptions-imaug is not installed, see the extra `bench`", file=sys.stderr)
        return
    cv2.setNumThreads(1)
    small = np.random.default_rng(0).integers(0, 256, (_IMAGES, 8, 8, 3), np.uint8)
    images = small.repeat(4, 1).repeat(4, 2)
    description = Description("bench", "train", ("a",), (32, 32, 3))
    table = MemoryTable("bench", description, images, np.zeros(_IMAGES, np.int64))
    [whole] = table.batches()
    batches = [whole.slice(start, _BATCH) for start in range(0, _IMAGES, _BATCH)]
    ratios = []
    for kind in KINDS:
        apply = Common(kind, _SEVERITY, "imagenet").start(table, Draws(0, kind))
        theirs = partial(imagecorruptions.corrupt, severity=_SEVERITY, corruption_name=kind.replace("-", "_"))
        calls = [lambda apply=apply: in_threads(apply, batches), lambda theirs=theirs: map(theirs, images)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs(images[0])  # compiles
            apply(batches[0])
            ours, loop = in_turns([timed(lambda call=call: deque(call(), maxlen=0)) for call in calls], 3)
        ratios.append(ours / loop)
        yield Row(f"common {kind}, {THREADS} threads / imagecorruptions in a loop, {_IMAGES} images", ours, loop)
    yield Row("common, the median kind's share of the loop's time", statistics.median(ratios), 1.0, 0.2, "")
