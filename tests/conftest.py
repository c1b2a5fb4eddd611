"""What all tests share: hypothesis without deadlines, threads, the real data sets. Helpers are in `helpers`."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# a loaded machine is no failure
settings.register_profile("gencli", deadline=None)
settings.load_profile("gencli")
# pytest's processes share the cores: threads that wait for a core wait busily, and take it from those waited for
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.pop("COLUMNS", None)  # tables in pipes would fit the terminal of whoever runs the tests
os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // _WORKERS))


def pytest_configure(config: pytest.Config) -> None:
    # a command leaves its input open until the process ends; a failed test's are closed after the last test
    config.addinivalue_line("filterwarnings", "ignore:unclosed file:ResourceWarning")
    warnings.filterwarnings("ignore", "unclosed file", ResourceWarning)


# files of 3 to 20 seconds in one process, which `make quick` leaves out
_THOROUGH = {
    "alignment": ("energies",), "bounds": ("validity",), "corruptions": ("common",),
    "curvature": ("coverage", "every_layer", "products", "routes", "verification", "xtrace"),
    "evaluation": ("named",), "fitting": ("conjugate",), "formulas": ("compare", "evaluation_trace", "extended"),
    "jacobians": ("confirmation", "rows"), "models": ("families", "sizes", "summary", "torchvision"),
    "reporting": ("examples", "figures"), "showing": ("every_file",), "sources": ("statistics", "where"),
    "theory": ("claims",), "training": ("geometry", "several", "states"),
}  # fmt: skip
# tests of 10 to 20 seconds: they start first, so that the last of them keeps no worker after the others are done
_LONGEST = (
    "test_the_smallest_scale_runs", "test_a_sample", "test_the_tour_of_the_readme", "test_two_processes_take",
    "test_batch_norm_moments_and_weights", "test_thirty_faults", "test_an_interrupted_run_goes_on",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        starts = {"Shell", "many", "subprocess"} & vars(getattr(item, "module", None)).keys()
        thorough = item.path.stem.removeprefix("test_") in _THOROUGH.get(room, ())
        if starts or thorough or room in ("pipelines", "recipes", "hostile") or item.get_closest_marker("shared"):
            item.add_marker("slow")
    items.sort(key=lambda item: not item.name.startswith(_LONGEST))


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """No test leaves the process other than it found it."""
    from gencli.cli import console
    from tests.process import restored  # after the number of threads is set, which numpy reads

    console.quiet = console.verbose = console.debug = False  # commands of fixtures of several tests set them
    console.color = None
    with restored():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real CIFAR-10 and MNIST files."""
    folder = os.environ.get("GENCLI_TEST_DATA")
    if folder is None:
        pytest.skip("GENCLI_TEST_DATA names no folder")
    return Path(folder)


@pytest.fixture
def unprivileged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, in which permissions count: root, whom they do not bind, is nobody meanwhile."""
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)  # paths from here pass no folder that is root's alone
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield Path()
    os.seteuid(user)
    for folder in tmp_path.rglob("*/"):  # so that it can be removed
        folder.chmod(0o777)
