from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gencli.cli.outputs import write_images
from gencli.files import provenance
from gencli.files.tables import Description, MemoryTable
from tests.pipelines.shell import Shell


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that many tests read and none changes: digits, test and corrupted digits, a model, a table of 30 MB."""
    folder = tmp_path_factory.mktemp("data")
    Shell(folder)(
        """
        set -e
        gencli data digits --limit 300 -o digits.parquet
        gencli data digits --split test --limit 100 -o test.parquet
        gencli corrupt random-labels -p 0.5 digits.parquet -q -o corrupted.parquet
        gencli train corrupted.parquet --arch mlp-1x16 --epochs 1 -q -o model.safetensors --history history.parquet
        """
    ).worked()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(0, 10, len(images))
    description = Description("noise", "train", tuple("abcdefghij"), (32, 32, 3))
    table = MemoryTable("noise", description, images, labels)
    write_images(table, str(folder / "large.parquet"), lambda: provenance.step("data noise", {}))
    return folder


@pytest.fixture
def sh(tmp_path: Path, data: Path, request: pytest.FixtureRequest) -> Shell:
    return Shell(tmp_path, data, cold=request.node.get_closest_marker("cold") is not None)
