"""Plug-ins: one entry of another package is known to help, run, provenance and how; faults are named as its own."""

from __future__ import annotations

import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gencli
from gencli import corruptions, plugins, strangers
from gencli.errors import GencliError
from tests.pipelines.shell import Shell

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTION = README.partition("\n## Your own code\n")[2].partition("\n## ")[0]
PYTHON = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
FOUR = '''
"""One of each kind."""

from dataclasses import dataclass
from typing import Annotated

import typer

from gencli.corruptions.labels import PermuteLabels
from gencli.losses.base import Loss
from gencli.models.base import Family
from gencli.theory.base import Claim, Row

print("import")


@dataclass(frozen=True)
class Permute(PermuteLabels):
    """A new corruption."""

    name = "tiny-labels"


@dataclass(frozen=True)
class Tempered(Loss):
    """Cross-entropy of outputs over a temperature."""

    name = "tempered"
    temperature: Annotated[float, typer.Option(min=0, help="Divides the outputs.")] = 2.0

    def at(self, counts, epoch, dtype=None):
        from torch.nn import functional

        from gencli.losses.functions import wide

        each = {"reduction": "none"}
        return lambda outputs, labels: functional.cross_entropy(wide(outputs) / self.temperature, labels, **each)


def build(width, *, shape, classes):
    from torch import nn

    print("build")
    inputs = shape[0] * shape[1] * shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, classes))


TINY = Family("tiny-W", r"tiny-(\\d+)", "a hidden layer of W units", "nobody", build, samples=("tiny-8",))


@dataclass(frozen=True)
class OneIsOne(Claim):
    """One is one."""

    name = "one-is-one"
    family = "tiny"

    def check(self, draws, broken, table):
        print("check")
        yield Row("0", "one", 1.0, "=", 2.0 if broken else 1.0)
'''
POINTS = """
[gencli.corruptions]
tiny-labels = four:Permute
[gencli.networks]
tiny = four:TINY
[gencli.losses]
tempered = four:Tempered
[gencli.claims]
one-is-one = four:OneIsOne
"""
CHILD = """
import sys
from gencli.cli.app import main
for line in sys.argv[1:]:
    print(f"\\f{main(line.split())}", flush=True)
"""


def install(site: Path, name: str, text: str, points: str) -> None:
    """What installing a package of one module leaves."""
    site.mkdir(exist_ok=True)
    (site / f"{name}.py").write_text(text)
    facts = site / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(points)


def run(folder: Path, *lines: str) -> tuple[list[str], list[int], str]:
    """What command lines write to standard output, their statuses, and all messages."""
    return ran(folder, "\n".join(f"gencli {shlex.join(line.split())}; printf '\\f%d\\n' $?" for line in lines))


def run_together(folder: Path, *lines: str) -> tuple[list[str], list[int], str]:
    """Those of command lines in one new process; that of `run` has loaded what options of losses come before."""
    return ran(folder, f"python -c '{CHILD}' {shlex.join(lines)}")


def ran(folder: Path, script: str) -> tuple[list[str], list[int], str]:
    done = Shell(folder)(script, PYTHONPATH=str(folder / "site"))
    ends = [int(end) for end in re.findall(r"\f(\d+)", done.text)]
    return re.split(r"\f\d+\n", done.text), ends, done.err


@pytest.mark.cold
def test_the_template_of_the_readme_works_once_it_is_installed(tmp_path: Path) -> None:
    text = PYTHON[0]
    assert len(text.splitlines()) <= 30
    (points,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    points = points.replace('project.entry-points."gencli.corruptions"', "gencli.corruptions").replace('"', "")
    install(tmp_path / "site", "salt_pepper", text, re.sub("#.*", "", points))
    sh = Shell(tmp_path, cold=True)
    site = {"PYTHONPATH": str(tmp_path / "site")}
    done = sh(
        """
        set -e
        gencli corrupt --help | grep 'salt-pepper'
        gencli data digits -q -o d.parquet
        gencli corrupt salt-pepper -p 0.2 d.parquet -q -o named.parquet
        gencli how named.parquet --trust --check | tail -1
        gencli how named.parquet --trust | grep corrupt
        """,
        **site,
    ).worked()
    assert done.text.splitlines() == [
        "  salt-pepper      Turn pixels black or white, each with probability p.",
        "named.parquet: the same",
        "  gencli corrupt salt-pepper - -p 0.2 --plugin salt_pepper -o named.parquet",
    ]
    images = [
        b"".join(gencli.read_table(tmp_path / name)["image"].to_pylist()) for name in ("d.parquet", "named.parquet")
    ]
    pixels, corrupted = (np.frombuffer(each, np.uint8) for each in images)
    share = np.mean(pixels != corrupted)
    assert set(corrupted[pixels != corrupted]) == {0, 255}
    assert 0.1 < share < 0.2  # black ones that turn black do not count


def test_the_loss_of_the_readme_is_the_brier_score() -> None:
    made: dict[str, Any] = {}
    exec(PYTHON[1], made)
    outputs, labels = np.random.default_rng(0).normal(size=(7, 4)), np.arange(7) % 4
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    found = made["Brier"]().at(None, 1)(torch.tensor(outputs), torch.tensor(labels))
    assert np.allclose(found, np.square(shares - np.eye(4)[labels]).sum(1), atol=1e-6)


def test_entries_of_all_kinds_are_known_and_a_file_loads_none_by_itself(tmp_path: Path) -> None:
    install(tmp_path / "site", "four", FOUR, POINTS)
    train = "train c.parquet --arch tiny-4 --loss tempered --epochs 1 -q -o"
    shown, ends, said = run_together(
        tmp_path,
        "corrupt --help",
        "check --list",
        "train --help",
        "data digits --limit 200 -q -o d.parquet",
        "corrupt tiny-labels d.parquet -q -o c.parquet",
        "check one-is-one --format csv",
        "check one-is-one --break -q -o /dev/null",
        f"{train} m.safetensors --temperature 4",
        "how m.safetensors --tree",
        "how m.safetensors --trust --stale",
    )
    assert ends == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0], said
    assert "  tiny-labels     A new corruption." in shown[0]
    assert re.search("one-is-one +One is one", shown[1])
    assert re.search(r"ldam, logit-adjusted or\s+tempered", shown[2])
    assert re.search(r"--temperature .*Divides the outputs. Default: 2.0", shown[2])
    assert shown[5].splitlines()[1:] == ["one-is-one,0,one,1.0,=,1.0,0.0,True"]
    assert "--temperature 4" in shown[8]
    assert shown[8].count("--plugin four") == 3  # all commands ran in this process
    assert re.search("plug-in four [0-9a-f]{64}", shown[8])
    assert {"import", "build", "check"} <= {*said.splitlines()}
    assert not {"import", "build", "check"} & {line for each in shown for line in each.splitlines()}

    lines = ["how m.safetensors", "show m.safetensors", "eval m.safetensors d.parquet", "data digits --limit 9 -q -o o"]
    allowed = "eval m.safetensors d.parquet --arch tiny-4 -o r.parquet"
    shown, ends, said = run(tmp_path, *lines, allowed)
    assert ends == [2, 0, 2, 0, 0], said
    before, _, after = said.partition("import\nbuild\n")
    assert before == (
        "gencli how: its plug-in is four, which is code\n  --trust allows it to be imported\n"
        "gencli eval: m.safetensors: this version has no network 'tiny-4'\n  allow its code with --plugin four\n"
    )
    told = "its loss, 'tempered', is of a plug-in that is not loaded; allow its code with --plugin four"
    assert after == f"m.safetensors: no loss: {told}\n"
    assert "--plugin four" in shown[1]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Loads a module of this text as a plug-in, and gives the error's words; our tables are ours again afterwards."""
    kinds, leave = dict(corruptions.KINDS), os._exit
    monkeypatch.setattr(plugins, "_loaded", set())
    monkeypatch.setattr(plugins, "_registered", [])
    monkeypatch.setattr(plugins, "_whose", {})
    monkeypatch.setattr(strangers, "_plugins", {})
    monkeypatch.syspath_prepend(tmp_path)

    def load(text: str, name: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        with pytest.raises(GencliError) as caught:
            plugins.load(name)
        return f"{caught.value.message}\n{caught.value.hint}"

    yield load
    corruptions.KINDS.clear()
    corruptions.KINDS.update(kinds)
    os._exit = leave


HEAD = """
    from dataclasses import dataclass
    from gencli.corruptions.pixels import ShuffledPixels
    from gencli.losses.classes import CrossEntropy

    @dataclass(frozen=True)
    class New({base}):
        {doc}
        name = {name!r}
        {more}
"""


def new(base: str = "ShuffledPixels", doc: str = '"""Doc."""', name: object = "new", more: str = "") -> str:
    return HEAD.format(base=base, doc=doc, name=name, more=more)


WRONG = {
    "syntax": ("x = (", "plug-in wrong: importing it fails: SyntaxError: '(' was never closed"),
    "raises": ("raise ValueError('odd')", "plug-in wrong: importing it fails: ValueError: odd (", "wrong.py, line 1"),
    "ends": ("import sys; sys.exit(0)", "plug-in wrong: importing it fails: it calls sys.exit(0)"),
    "missing": ("import nosuchthing", "plug-in wrong: importing it fails: ModuleNotFoundError"),
    "empty": ("import json", "no corruption, network, loss or claim"),
    "unfinished": (
        "from gencli.losses.base import Loss\n\n\nclass Brier(Loss):\n    name = 'brier'\n",
        "no corruption, network, loss or claim: its class Brier lacks at",
        "define at as its base class says",
    ),
    "ours": (new(name="random-labels"), "the corruption New: there is a corruption random-labels of gencli already"),
    "capitals": (new(name="New"), "has the name 'New'"),
    "number": (new(name=7), "has the name 7"),
    "silent": (new(doc=""), "has no docstring"),
    "plain": (new().replace("@dataclass(frozen=True)", ""), "is no dataclass"),
    "needed": (
        new("CrossEntropy", more="x: float").replace("frozen=True", "frozen=True, kw_only=True"),
        "its option x has no default",
    ),
    "typed": (new("CrossEntropy", more="x: list = None"), "its option x is"),
    "unknown": (new("CrossEntropy", more="x: 'Flot' = 1"), "name 'Flot' is not defined"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_plug_in_is_named_as_its_own(case: str, tables: Callable[..., str]) -> None:
    text, *words = WRONG[case]
    sys.modules.pop("wrong", None)
    said = tables(text, "wrong")
    sys.modules.pop("wrong", None)
    for word in ("plug-in wrong", *words):
        assert word in said


def test_two_plug_ins_do_not_share_a_name(tables: Callable[..., str]) -> None:
    text = new()
    with pytest.raises(pytest.fail.Exception):
        tables(text, "first")
    assert "there is a corruption new of the plug-in first already" in tables(text, "second")
    assert list(corruptions.KINDS)[-1] == "new"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *((name, "package.module") for name in ("gencli.corruptions", "a b", "../x.py", "os.path;", "")),
        ("./own.py", "own"), ("own.py", "own"), ("kit/own.py", "kit.own"),
    ],
)  # fmt: skip
def test_only_modules_of_others_are_plug_ins(name: str, meant: str) -> None:
    with pytest.raises(GencliError, match="is no module of a plug-in") as refused:
        plugins.load(name)
    assert refused.value.hint == f"give its name: --plugin {meant}"


def test_faults_of_a_run_are_refused(tmp_path: Path) -> None:
    fault = """
        from dataclasses import dataclass
        import numpy as np
        from gencli.corruptions.base import LabelCorruption, PixelCorruption

        @dataclass(frozen=True)
        class Pixels(PixelCorruption):
            "Doc."
            name = "pixels"
            what: str = ""

            def images(self, table, draws):
                return lambda images, ids: eval(self.what)

        @dataclass(frozen=True)
        class Labels(LabelCorruption):
            "Doc."
            name = "own-labels"
            what: str = ""

            def labels(self, table, draws):
                return lambda labels, ids: eval(self.what)

            def asked(self, table, draws):
                return np.zeros(10)

        @dataclass(frozen=True)
        class Seeded(Pixels):
            "Doc."
            name = "seeded"
            seed: int = 0
    """
    (tmp_path / "faulty.py").write_text(textwrap.dedent(fault))
    cases = {
        "pixels --what images/2": "gives images as float64 5×8×8×1, not uint8 5×8×8×1",
        "pixels --what images[:2]": "gives images as uint8 2×8×8×1, not uint8 5×8×8×1",
        "pixels --what images.swapaxes(1,3)": "gives images as uint8 5×1×8×8, not uint8 5×8×8×1",
        "pixels --what None": "gives images as NoneType",
        "pixels --what images.fill(1)": "plug-in faulty fails: ValueError: assignment destination is read-only (",
        "pixels --what images[7]": "plug-in faulty fails: IndexError: index 7",
        "own-labels --what labels*1.0": "gives labels as float64 5, not int64 5",
        "own-labels --what labels.astype('int32')": "gives labels as int32 5, not int64 5",
        "own-labels --what labels+9": "gives labels from 9 to",
        "own-labels --what labels-99": "gives labels from -99 to -95",
        "own-labels --what exit(0)": "plug-in faulty fails: it calls sys.exit(0) (",
        "seeded": "--seed: an option of a plug-in is called as one of gencli",
    }
    lines = [f"corrupt {case} d.parquet --plugin faulty -q -o out.parquet" for case in cases]
    _, ends, said = run(tmp_path, "data digits --limit 5 -q -o d.parquet", *lines)
    assert ends == [0] + [2] * len(cases), said
    for words in cases.values():
        assert words in said
    assert not (tmp_path / "out.parquet").exists()
    assert "unexpected" not in said
