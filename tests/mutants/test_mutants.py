"""Mistakes are single tokens, the nearest tests come first, and what is called equivalent can be made."""

from __future__ import annotations

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.mistakes import around, mutants
from tests.mutants.trials import ROOT, stages

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


def test_the_nearest_tests_come_first() -> None:
    own, beside, shared = stages("gencli/curvature/xtrace.py", ROOT / "tests")
    assert own.tests == ["tests/curvature/test_xtrace.py"]
    assert "tests/curvature/test_spectrum.py" in beside.tests
    assert "tests/pipelines/test_spectrum.py" in shared.tests
    assert "spectrum" in shared.pattern
    asking, *_ = stages("gencli/theory/sgd_rate.py", ROOT / "tests")
    assert asking.tests[0] == "tests/theory/test_claims.py"


def test_what_is_called_equivalent_is_a_mistake_that_can_be_made() -> None:
    for (path, after), reason in EQUIVALENT.items():
        source = (ROOT / path).read_bytes()
        assert after in [each.change(source)[1] for each in mutants(source, path)], (path, after)
        assert reason
