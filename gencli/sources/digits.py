"""The handwritten digits that scikit-learn ships: 1,797 real 8×8 images, no download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gencli.files.tables import Description, MemoryTable

SPLITS = {"train": slice(0, 1437), "test": slice(1437, 1797)}


def digits(split: str) -> MemoryTable:
    """The digits, in the order of scikit-learn: rows 0–1436 are `train`, rows 1437–1796 are `test`.

    Their ink values 0 … 16 are stretched to 0 … 255 (rounded, so each keeps a value of its own).
    """
    from sklearn.datasets import load_digits

    bundle: Any = load_digits()
    rows = SPLITS[split]
    images = np.rint(bundle.images[rows] * (255 / 16)).astype(np.uint8)[..., None]
    description = Description("digits", split, tuple("0123456789"), (8, 8, 1))
    return MemoryTable(f"digits {split}", description, images, bundle.target[rows].astype(np.int64))
