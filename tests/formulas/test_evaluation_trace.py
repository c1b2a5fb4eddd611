"""Traces are torch's intermediates, written so that each row follows from the rows before it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings

from gencli.errors import GencliError
from gencli.formulas.evaluation_trace import ADJOINT, TANGENT, Kind
from gencli.formulas.graph import require_drawable
from gencli.formulas.parsing import parse, split
from gencli.formulas.reports import of_trace, picture
from tests.curvature.helpers import COURSE, SMOOTH, derive, formulas

OTHERS = {"ln": "log", "max": "maximum", "min": "minimum"}
OTHERS |= {name: name for name in [*SMOOTH, "cosh", "sqrt", "exp2", "relu", "erfc", "heaviside"]}


def torchs(name: str) -> Callable[..., torch.Tensor]:
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    return lambda *numbers: function(*(torch.as_tensor(each, dtype=torch.float64) for each in numbers))


TORCH = {name: torchs(other) for name, other in OTHERS.items()}


def computed(text: str, values: dict[str, Any]) -> Any:
    """What the text of an operation or of a rule is, marks being underlines behind the letter."""
    plain = re.sub(f"[{TANGENT}{ADJOINT}]", "_", text).replace("^", "**")
    known = TORCH | {"pi": math.pi, "e": math.e} | values
    return torch.as_tensor(eval(plain, {"__builtins__": {}}, known), dtype=torch.float64)


def rows(texts: list[str], at: str, kind: Kind) -> list[dict[str, Any]]:
    report = of_trace(derive(texts, [at]), kind)
    assert not report.wrong
    return report.rows.to_pylist()


def by_torch(trace: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Every node as torch computes it from the operations."""
    nodes: dict[str, torch.Tensor] = {}
    for row in trace:
        if row["operation"]:
            nodes[row["node"]] = computed(row["operation"], nodes)
        else:
            nodes[row["node"]] = torch.tensor(row["value"], dtype=torch.float64, requires_grad=True)
    return nodes


@settings(max_examples=30)
@given(formulas(10), formulas(5))
def test_traces_are_torchs_intermediates(first: str, second: str) -> None:
    texts = [f"{first} + 0*(w1 + w2 + w3)", f"({second}) * w1"]
    try:
        forward, reverse = rows(texts, "0.3,-0.7,1.1", "forward"), rows(texts, "0.3,-0.7,1.1", "reverse")
    except GencliError:
        assume(False)
    assert [row["node"] for row in reverse] == [row["node"] for row in reversed(forward)]
    nodes = by_torch(forward)
    inputs = [nodes[name] for name in ("w1", "w2", "w3")]
    outputs = {name: nodes[row["node"]] for row in forward for name in row["output"].split(", ") if name}
    adjoints = {row["node"]: row for row in reverse}
    for row in forward:
        node = nodes[row["node"]]
        assert row["value"] == pytest.approx(node.item(), rel=1e-12, abs=1e-14)
        if not node.requires_grad:
            assert row["tangent_w1"] is adjoints[row["node"]]["adjoint_f1"] is None
            continue
        tangents = torch.autograd.grad(node, inputs, retain_graph=True, materialize_grads=True)
        ours = [row[f"tangent_w{number}"] for number in (1, 2, 3)]
        assert ours == pytest.approx([each.item() for each in tangents], rel=1e-11, abs=1e-13)
        for name, output in outputs.items():
            (adjoint,) = torch.autograd.grad(output, node, retain_graph=True, materialize_grads=True)
            assert adjoints[row["node"]][f"adjoint_{name}"] == pytest.approx(adjoint.item(), rel=1e-11, abs=1e-13)


TEXTS = [
    *COURSE, "x^y + sqrt(x)/exp2(y-2) - y^3", "max(x, y)*relu(-x)", "2^x - gelu(-y)", "(-3)*x^-2 + atan(y*pi)^e",
    "y*(x+2*3)",
]  # fmt: skip


def underlined(node: str) -> str:
    return f"{node[0]}_{node[1:]}"


@pytest.mark.parametrize("text", TEXTS)
def test_each_row_follows_from_its_rule(text: str) -> None:
    forward, reverse = rows([text], "0.7,1.9", "forward"), rows([text], "0.7,1.9", "reverse")
    values = {row["node"]: torch.tensor(row["value"], dtype=torch.float64) for row in forward}
    marked: dict[str, Any] = {}
    for row in forward:
        if row["operation"]:
            assert float(computed(row["operation"], values)) == pytest.approx(row["value"], rel=1e-12)
            by_rule = float(computed(row["rule"] or "0", values | marked))
            assert (row[list(row)[-1]] or 0) == pytest.approx(by_rule, rel=1e-10, abs=1e-14)
        marked[underlined(row["node"])] = row[list(row)[-1]]
    marked.clear()
    for row in reverse:
        by_rule = float(computed(row["rule"] or "0", values | marked))
        assert (row["adjoint_f1"] or 0) == pytest.approx(by_rule, rel=1e-10, abs=1e-14)
        marked[underlined(row["node"])] = row["adjoint_f1"]


def test_the_trace_of_the_course() -> None:
    trace = {row["node"]: row for row in rows(COURSE, "1,2", "forward")}
    assert [row["operation"] for row in trace.values()] == [
        "", "", "cos(w1)", "cos(w2)", "v1*v2", "sigmoid(w2)", "v3+v4", "w1+w2", "ln(v6)", "w1^2", "v8*w2", "v7+v9",
    ]  # fmt: skip
    assert trace["v5"]["output"] == "f1"
    assert trace["v3"]["rule"] == f"v2*v{TANGENT}1 + v1*v{TANGENT}2"
    assert trace["v8"]["rule"] == f"2*w1*w{TANGENT}1"
    assert trace["v10"]["tangent_w1"] == pytest.approx(13 / 3, rel=1e-15)
    adjoints = {row["node"]: row for row in rows(COURSE, "1,2", "reverse")}
    assert adjoints["v9"]["rule"] == f"v{ADJOINT}10"
    assert adjoints["w2"]["adjoint_f2"] == pytest.approx(4 / 3, rel=1e-15)


def test_the_graph_says_values_and_derivatives() -> None:
    figure = picture(derive(COURSE, ["1,2"]), "reverse")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "w1\n1\nadjoint f1: 0.3502\nadjoint f2: 4.333" in texts
    assert "f2 = v10 = v7+v9\n3.099\nadjoint f1: 0\nadjoint f2: 1" in texts
    assert {"-0.8415", "-0.9093", "0.105", "0.3333"} <= set(texts)  # along edges
    tangents = picture(derive(COURSE, ["1,2"]), "forward").axes[0].texts
    assert "v6 = w1+w2\n3\ntangent w1: 1\ntangent w2: 1" in [text.get_text() for text in tangents]


def test_boxes_and_edges_of_a_graph_are_apart() -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path

    text = "x*y*sin(x)^3/(1+exp(-x*y)) - atan2(y,x) + max(x,z)*x"
    axis = picture(derive([text, "tanh(x*y+z)^y"], ["1,2,0.5"]), "reverse").axes[0]
    boxes = [patch.get_extents() for patch in axis.patches if isinstance(patch, FancyBboxPatch)]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
    for arrow in (patch for patch in axis.patches if isinstance(patch, FancyArrowPatch)):
        drawn = arrow.get_path()
        corners = axis.transData.transform(np.asarray(drawn.vertices)[np.asarray(drawn.codes) != Path.CLOSEPOLY])
        along = np.asarray(Path(corners).interpolated(50).vertices)
        assert not any(box.padded(-2).contains(*place) for box in boxes for place in along)


def test_a_graph_that_none_can_read_is_refused() -> None:
    text = "+".join(f"sin({number}*x)" for number in range(80))
    with pytest.raises(GencliError, match="--graph: 240 nodes"):
        require_drawable(parse(split(text)), 1)
    with pytest.raises(GencliError, match="--graph: 2 points"):
        require_drawable(parse(split("x")), 2)
    require_drawable(parse(split("x")), 1)


def test_derivatives_stand_on_their_edges_towards_the_end() -> None:
    from matplotlib.patches import FancyArrowPatch

    axis = picture(derive(COURSE, ["1,2"]), "reverse").axes[0]
    arrows = [patch for patch in axis.patches if isinstance(patch, FancyArrowPatch)]
    assert arrows
    for arrow, text in zip(arrows, axis.texts):
        start, end = np.asarray(arrow._path_original.vertices)[-2:]  # type: ignore[attr-defined]
        assert text.get_position() == pytest.approx(tuple(0.3 * start + 0.7 * end))


def test_boxes_are_around_their_words_and_all_is_on_the_page() -> None:
    from matplotlib.patches import FancyBboxPatch

    figure = picture(derive(COURSE, ["1,2"]), "reverse")
    (axis,) = figure.axes
    assert axis.get_position().bounds == (0, 0, 1, 1)
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    assert figure.get_size_inches() == pytest.approx((right - left, high - low))  # a unit is an inch
    boxes = [patch for patch in axis.patches if isinstance(patch, FancyBboxPatch)]
    words = [text for text in axis.texts if "\n" in text.get_text()]
    assert len(boxes) == len(words)
    for box, text in zip(boxes, words):
        middle = box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2
        assert middle == pytest.approx(text.get_position())
        assert left <= box.get_x() < box.get_x() + box.get_width() <= right
        assert low <= box.get_y() < box.get_y() + box.get_height() <= high
