"""What all tests share: hypothesis without deadlines, two cores, the real data sets. Helpers are in `helpers`."""

import os
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

# a loaded machine is no failure
settings.register_profile("gencli", deadline=None)
settings.load_profile("gencli")


def pytest_configure(config: pytest.Config) -> None:
    # a command leaves its input open until the process ends; a failed test's are closed after the last test
    config.addinivalue_line("filterwarnings", "ignore:unclosed file:ResourceWarning")
    warnings.filterwarnings("ignore", "unclosed file", ResourceWarning)


def pytest_collection_finish() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(2)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real CIFAR-10 and MNIST files."""
    folder = os.environ.get("GENCLI_TEST_DATA")
    if folder is None:
        pytest.skip("GENCLI_TEST_DATA names no folder")
    return Path(folder)
