"""A network of the user's own at the shell: what it prints is no result, and its faults are named as its own."""

from __future__ import annotations

import pytest

from tests.pipelines.shell import Shell, many

_NOISY = """
print("import")
import atexit, ctypes, os, subprocess, sys
from torch import nn

subprocess.run(["echo", "subprocess"])
os.write(1, b"descriptor\\n")
sys.__stdout__.write("dunder\\n")
ctypes.CDLL(None).puts(b"puts")
ctypes.CDLL(None).fflush(None)
atexit.register(print, "at exit")
atexit.register(os.write, 1, b"at exit too\\n")

class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        print("init")
        self.last = nn.Linear(shape[0] * shape[1] * shape[2], classes)
        self.register_forward_hook(lambda *_: print("hook"))

    def forward(self, images):
        print("forward")
        logits = self.last(images.flatten(1))
        if logits.requires_grad:
            logits.register_hook(lambda gradient: print("backward"))
        return logits
"""
_SAID = ["import", "subprocess", "descriptor", "dunder", "puts", "init", "hook", "forward", "backward"]
_FAULTY = """
import sys
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.last = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images):
        logits = self.last(images.flatten(1))
        return self.fault(logits) if self.training else logits

    def fault(self, logits):
        return logits

class Raises(Net):
    def fault(self, logits):
        raise ValueError("odd\\nthing")

class Exits(Net):
    def fault(self, logits):
        sys.exit(0)

class Ends(Net):
    def fault(self, logits):
        import os
        if os.fork() == 0:
            os._exit(7)  # a process of its own may
        os._exit(0)

class Opens(Net):
    def fault(self, logits):
        return open("weights.pt")

class Shapes(Net):
    def fault(self, logits):
        return self.last(logits)

class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        return 2 * logits

    @staticmethod
    def backward(ctx, gradient):
        raise IndexError("of backward")

class Backward(Net):
    def fault(self, logits):
        return Function.apply(logits)

class Detached(Net):
    def fault(self, logits):
        return logits.detach()

def exits(shape, classes):
    sys.exit("no licence")

def fails(shape, classes):
    assert classes == 3
"""
_TRAIN = "gencli train $D/digits.parquet --epochs 1 -q --arch"


@pytest.fixture
def own(sh: Shell) -> Shell:
    (sh.folder / "noisy.py").write_text(_NOISY)
    (sh.folder / "faulty.py").write_text(_FAULTY)
    (sh.folder / "leaves.py").write_text("import sys; sys.exit(0)\n")
    (sh.folder / "broken.py").write_text("x = 1\ndef f(:\n")
    return sh


@pytest.mark.parametrize("place", ["", "-o /dev/stdout", "-o >(cat > out)"])
def test_what_a_network_prints_is_no_result(own: Shell, place: str) -> None:
    whole = own(f"{_TRAIN} faulty:Net -o /dev/null").worked()
    own(f"{_TRAIN} noisy:Net -o whole").worked()
    own.cold = not place  # once the program itself
    done = own(f"set -e; {_TRAIN} noisy:Net {place} | cat > piped; sleep 0.1").worked()
    own.cold = False
    piped = (own.folder / ("out" if ">(" in place else "piped")).read_bytes()
    assert piped == (own.folder / "whole").read_bytes()
    assert not whole.out
    for word in [*_SAID, "at exit", "at exit too"]:
        assert word in done.err.splitlines()
    read = own("gencli eval whole $D/digits.parquet --arch noisy:Net --format csv 2>/dev/null").worked()
    assert read.text.startswith("label,name,n,")
    assert len(read.text.splitlines()) == 12


@pytest.mark.cold
def test_a_network_may_use_pandas(own: Shell) -> None:
    (own.folder / "frames.py").write_text(
        "import pandas\nfrom faulty import Net\nprint(pandas.Series([7]).to_list())\n"
    )
    assert own(f"{_TRAIN} frames:Net -o /dev/null").worked().err == "[7]\n"


def test_a_closed_standard_output_is_no_file_of_ours(own: Shell) -> None:
    (own.folder / "writes.py").write_text("import os\nfrom faulty import Net\nos.write(1, b'printed')\n")
    own(f"{_TRAIN} writes:Net -o whole; {_TRAIN} writes:Net -o out >&-; cmp whole out").worked()
    own.cold = True  # a client of `warm` needs a stream
    own(f"{_TRAIN} writes:Net -o out >&- 2>&- <&-; cmp whole out").worked()


def test_faults_are_named_as_the_networks_own(own: Shell) -> None:
    expected = {
        "faulty:Raises": ("fails: ValueError: odd thing (", "faulty.py, line 20, in fault)"),
        "faulty:Exits": ("it calls sys.exit(0)", "faulty.py, line 24, in fault)"),
        "faulty:Ends": ("it calls os._exit(0)", "faulty.py, line 31, in fault)"),
        "faulty:Opens": ("FileNotFoundError", "weights.pt", "line 35"),
        "faulty:Shapes": ("RuntimeError: mat1 and mat2", "line 39, in fault)"),
        "faulty:Backward": ("IndexError: of backward", "in backward)"),
        "faulty:Detached": ("faulty:Detached: torch fails on it", "does not require grad"),
        "faulty:exits": ("it calls sys.exit(no licence)", "in exits)"),
        "faulty:fails": ("AssertionError (", "in fails)"),
        "leaves:f": ("importing leaves fails: it calls sys.exit(0)", "leaves.py, line 1"),
        "broken:f": ("importing broken fails: SyntaxError: invalid syntax (", "broken.py, line 2)"),
    }
    train = ["train", f"{own.extra['D']}/digits.parquet", "--epochs", "1", "-q", "-o", "out", "--arch"]
    for (arch, words), done in zip(expected.items(), many(own.folder, [[*train, arch] for arch in expected])):
        done.refused(arch.partition(":")[0], *words)
        assert "report it" not in done.err
    assert not (own.folder / "out").exists()


def test_a_networks_interrupt_ends_the_command(own: Shell) -> None:
    (own.folder / "stops.py").write_text("raise KeyboardInterrupt\n")
    done = own(f"{_TRAIN} stops:f -o out")
    assert (done.status, done.out, done.err) == (130, b"", "")


_CLOSING = """
import contextlib, os, sys
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.last = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images):
        with contextlib.suppress(OSError):
            os.write(1, b"closing")
            os.close(1)
        sys.stdout.close()
        sys.stderr.close()
        return self.last(images.flatten(1))
"""


def test_a_network_may_close_standard_output_and_error(sh: Shell) -> None:
    (sh.folder / "closing.py").write_text(_CLOSING)
    sh(f"set -e; {_TRAIN} closing:Net > model").worked()
    evaluated = "gencli eval model $D/digits.parquet --arch closing:Net"
    for place in ("-o r.csv", "--format csv > r.csv"):
        found = sh(f"set -e; {evaluated} {place}; cat r.csv").worked().text
        assert found.startswith("label,name,")
        assert "closing" not in found
    refused = sh(f"{evaluated} --by none")
    assert refused.status == 2
    assert "no column 'none'" in refused.err
