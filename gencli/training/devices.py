"""Where to compute."""

from __future__ import annotations

import os

import torch

from gencli.errors import GencliError


def choose(name: str) -> torch.device:
    """The device of this name, `auto` the fastest there is; set up to give the same result every time.

    Raises:
        GencliError: this machine has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in present.items() if there)
    if not present[name]:
        raise GencliError(f"--device: no {name} here", f"there is {', '.join(k for k, t in present.items() if t)}")
    if name == "cuda":  # on a CPU torch's choices repeat themselves already, and the call loads the compiler: 2 s
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself with a fixed workspace
        torch.use_deterministic_algorithms(True)
    return torch.device(name)
