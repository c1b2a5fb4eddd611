"""gencli: experiments on generalization in deep learning as shell pipelines.

In Python, for notebooks, what reads its files:

- `read_table(path)`: any of its tables, image tables and results, as a `pyarrow.Table`.
- `history(path)`: a training history, one row an epoch, likewise.
- `Images(path)`: an image table as a `torch.utils.data.Dataset`.
- `load_model(path)`: a model as a `torch.nn.Module`, which preprocesses its images itself.
- `how(path)`: the shell script that makes a file again.

What they refuse raises `gencli.errors.GencliError`, of two lines: what is wrong, and what to do. Libraries are loaded
when they are used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's own would be imported before an interrupt is handled
if TYPE_CHECKING:
    from typing import Any

    from gencli.library import history as history
    from gencli.library import how as how
    from gencli.library import read_table as read_table
    from gencli.library.networks import Images as Images
    from gencli.library.networks import load_model as load_model

_ROOMS = {
    "history": "gencli.library", "how": "gencli.library", "read_table": "gencli.library",
    "Images": "gencli.library.networks", "load_model": "gencli.library.networks",
}  # fmt: skip


def __getattr__(name: str) -> "Any":
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return [*_ROOMS, "__version__"]
