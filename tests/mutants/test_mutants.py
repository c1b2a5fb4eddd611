"""Mistakes are single tokens, the nearest tests come first, and what is called equivalent can be made."""

from __future__ import annotations

import json
import os
from pathlib import Path

from coverage import CoverageData

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.mistakes import around, mutants
from tests.mutants.reach import Reach, _statement
from tests.mutants.trials import ROOT

NAMING = "tests/corruptions/test_common.py::test_constants_are_the_authors"  # which calls no code that has the table
WEATHER = (ROOT / "gencli/corruptions/common/weather.py").read_text().splitlines()
RECIPES = 1 + next(number for number, text in enumerate(WEATHER) if text.startswith("RECIPES"))
SOURCE = b"""
def f(x: Literal[3], few: int = 2) -> bool:
    if TYPE_CHECKING:
        return 1 + 1
    return x[0] <= max(few, 1.5 * x) and not done or x ** few is None
"""


def test_mistakes_are_single_tokens() -> None:
    line = "return x[0] <= max(few, 1.5 * x) and not done or x ** few is None"
    found = [each.change(SOURCE) for each in mutants(SOURCE, "f.py")]
    assert found[0] == ("def f(x: Literal[3], few: int = 2) -> bool:", "def f(x: Literal[3], few: int = 3) -> bool:")
    assert all(before == line for before, _ in found[1:])
    assert sorted(after for _, after in found[1:]) == sorted([
        line.replace(" or ", " and "), line.replace(" and ", " or "), line.replace("[0]", "[1]"),
        line.replace("<=", "<"), line.replace("max", "min"), line.replace("1.5", "1.875"),
        line.replace("1.5 *", "1.5 /"), line.replace("not done", "done"), line.replace("**", "*"),
        line.replace(" is ", " is not "),
    ])  # fmt: skip


def test_the_names_around_a_line_are_known() -> None:
    assert around(SOURCE, 3) == {"f"}
    assert around(b"class A:\n    def f(self):\n        x = y = 1\n\nB: int = 2\n", 3) == {"A", "f", "x", "y"}
    assert around(b"B: int = 2\n", 1) == {"B"}


def test_the_statement_of_a_line_is_known() -> None:
    text = "A = (1,\n  2)\ndef f(x=3):\n  if (x and\n      x):\n    x = (4,\n      5)\n  else:\n    x = 6\n"
    found = {line: _statement(text, line) for line in range(1, 10)}
    assert found[1] == found[2] == (1, 2, True)
    assert found[3] == (3, 9, False)  # what its default is used by
    assert found[4] == found[5] == (4, 5, False)
    assert found[6] == found[7] == (6, 7, False)
    assert found[9] == (9, 9, False)


def test_the_tests_that_run_a_line_are_known_the_nearest_and_quickest_first(tmp_path: Path) -> None:
    path = "gencli/curvature/spectrum.py"
    lines = (ROOT / path).read_text().splitlines()
    constant = 1 + lines.index("_TOP = 10")
    use = next(number for number, text in enumerate(lines, 1) if number > constant and "_TOP" in text)
    near, quick, far = (
        "tests/curvature/test_a.py::slow[a|b]",
        "tests/curvature/test_a.py::quick",
        "tests/test_b.py::far",
    )
    data = CoverageData(str(tmp_path / "data"))
    # as pytest's processes write them, processes that tests start, and those that a server forks for tests
    for context in (quick, f"{far} (call)", f"{far} (setup)|{near}"):
        data.set_context(context)
        data.add_lines({str(ROOT / path): [use]})
    data.set_context("tests/test_b.py::elsewhere")
    data.add_lines({str(ROOT / path): [use + 20]})
    data.write()
    seconds = {near: 3.0, quick: 1.0, far: 0.1}
    (tmp_path / "seconds.json").write_text(json.dumps(seconds))
    reach = Reach(tmp_path)
    for line in (constant, use):
        assert reach.tests(path, line) == [(quick, 1.0), (near, 3.0), (far, 0.1)]
    (tmp_path / "seconds.json").write_text(json.dumps(seconds | {f"{NAMING}[x]": 0.5, f"{NAMING}_too": 0.5}))
    assert reach.tests(path, constant) == Reach(tmp_path).tests(path, use)
    assert (f"{NAMING}[x]", 0.5) in Reach(tmp_path).tests("gencli/corruptions/common/weather.py", RECIPES)
    assert f"{NAMING}_too" not in dict(Reach(tmp_path).tests("gencli/corruptions/common/weather.py", RECIPES))
    os.utime(tmp_path / "seconds.json", (0, 0))  # all files are newer
    assert ("tests/curvature/test_spectrum.py", 0) in Reach(tmp_path).tests(path, use)


def test_what_is_called_equivalent_is_a_mistake_that_can_be_made() -> None:
    for (path, after), reason in EQUIVALENT.items():
        source = (ROOT / path).read_bytes()
        assert after in [each.change(source)[1] for each in mutants(source, path)], (path, after)
        assert reason
