"""The fixture of all tests puts back what they change of the process."""

from __future__ import annotations

import os
import random
import signal
import warnings
from pathlib import Path

import numpy as np
import torch

from gencli.cli import console, signals
from gencli.cli.app import main
from tests.process import restored


def _state() -> list[object]:
    os.umask(mask := os.umask(0))
    return [
        console.quiet, console.verbose, console.debug, console.color, [*console._looks], [*signals._undo],
        warnings.showwarning,
        *(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
        dict(os.environ), os.getcwd(), mask, random.getstate(), repr(np.random.get_state()),
        torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist(),
    ]  # fmt: skip


def test_all_that_a_test_may_change_is_put_back(tmp_path: Path) -> None:
    before = _state()
    with restored():
        console.quiet = console.verbose = console.debug = True
        console.color = "always"
        console.while_working(int)
        signals.before_dying(int)
        warnings.showwarning = console.warned
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # SIG_IGN is what nohup gives
        os.environ["GENCLI_SEED"] = "7"
        os.chdir(tmp_path)
        os.umask(0o077)
        random.random()
        np.random.rand()
        torch.rand(1)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.use_deterministic_algorithms(True)
        torch.set_grad_enabled(False)
        changed = [one == other for one, other in zip(before, _state(), strict=True)]
        assert not any(changed), changed
    assert _state() == before


def test_a_quiet_command_leaves_the_next_test_its_messages(tmp_path: Path) -> None:
    with restored():
        assert main(["data", "digits", "--limit", "5", "-q", "-o", str(tmp_path / "x.parquet")]) == 0
        assert console.quiet
    assert not console.quiet
