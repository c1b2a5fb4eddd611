"""What figures show, and how they are drawn as text and as pictures."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import curves, figures, terminal
from gencli.reporting.figures import Options, draw
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Panel, Sheet, Tile
from gencli.reporting.plan import Plan
from gencli.reporting.settings import Settings
from tests.reporting.made import history, measured, read, result, training

HOSTILE = "<b>&amp;\x1b[2J\n$x_1$ _\\%|'\""
numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))
texts = st.text(max_size=12)


@st.composite
def panels(made: Any) -> Panel:
    x = sorted(made(st.lists(st.integers(0, 300), min_size=1, max_size=6, unique=True)))
    values = st.lists(numbers, min_size=len(x), max_size=len(x))
    if made(st.booleans()):
        drawn = [Curve(made(texts), x, made(values)) for _ in range(made(st.integers(1, 12)))]
        return Lines(made(texts), "epoch", drawn, log=made(st.booleans()), dots=made(st.booleans()))
    return Bars(made(texts), [made(texts) for _ in x], [(made(texts), made(values), ()) for _ in range(3)])


@given(panels(), st.integers(60, 120))
@settings(max_examples=40, deadline=None)
def test_any_panel_is_text_within_the_width(panel: Panel, width: int) -> None:
    drawn = terminal.text([panel], width)
    assert all(len(line) <= width for line in drawn.splitlines() if line.isascii())
    assert all(character.isprintable() for character in drawn.replace("\n", ""))


def line(made: list[Panel]) -> Lines:
    (panel,) = made
    assert isinstance(panel, Lines)
    return panel


def test_corruptions_that_differ_in_a_word_are_curves_of_their_own(tmp_path: Path) -> None:
    documents = [history(tmp_path / "clean.parquet", training(None), test_accuracy=[0.9])]
    for kind, severity, accuracy in (("fog", 1, 0.8), ("fog", 2, 0.7), ("snow", 1, 0.6), ("snow", 2, 0.5)):
        data = provenance.source("data", "clean", provenance.step("data digits", {"split": "train"}), None)
        made = provenance.step("corrupt common", {"kind": kind, "severity": severity, "all": False, "seed": 0}, [data])
        given = [provenance.source("data", f"{kind} {severity}", made, None)]
        step = provenance.step("train", {"arch": "mlp-1x8", "lr": 0.1, "seed": 0, "loss": "ce"}, given)
        documents.append(history(tmp_path / f"{kind}{severity}.parquet", step, test_accuracy=[accuracy]))
    found = line(figures.test_error(documents, Options()))
    assert {curve.name: [round(y or 0, 9) for y in curve.y] for curve in found.curves} == {
        "common fog": [0.1, 0.2, 0.3], "common snow": [0.1, 0.4, 0.5],
    }  # fmt: skip


def level(path: Path, p: float | None, accuracies: list[float], **arguments: Any):
    return history(path, training(p, **arguments), train_accuracy=accuracies, test_accuracy=accuracies)


def test_overfit_time_is_relative_to_true_labels(tmp_path: Path) -> None:
    runs = [level(tmp_path / "t", None, [0.5, 1.0])]
    runs += [level(tmp_path / f"h{s}", 0.5, [0.5] * (2 + 2 * s) + [1.0], seed=s) for s in (0, 1)]
    runs += [level(tmp_path / "n", 1.0, [0.5] * 9)]
    (curve,) = line(draw("overfit-time", runs, Options())).curves
    assert (curve.name, curve.x, curve.y) == ("random-labels", [0, 0.5], [1.0, 2.0])
    assert curve.spread[1] == pytest.approx(2**0.5 / 2)
    (curve,) = line(draw("test-error", runs, Options())).curves
    assert (curve.x, curve.y) == ([0, 0.5, 1], [0, 0, 0.5])
    assert not draw("test-error", runs[:1], Options())


def test_setups_that_differ_otherwise_are_curves_of_their_own(tmp_path: Path) -> None:
    runs = [level(tmp_path / f"{p}{lr}", p, [lr], lr=lr) for p in (None, 1.0) for lr in (0.1, 0.2)]
    drawn = line(draw("test-error", runs, Options())).curves
    assert [(curve.name, curve.x) for curve in drawn] == [
        ("lr=0.1, random-labels", [0, 1]), ("lr=0.2, random-labels", [0, 1]),
    ]  # fmt: skip


def test_seeds_are_one_curve_with_its_deviation_and_gaps_stay_gaps(tmp_path: Path) -> None:
    runs = [
        history(tmp_path / "a", training(seed=0), test_accuracy=[0.4, 0.5]),
        history(tmp_path / "b", training(seed=1), test_accuracy=[0.6]),
        history(tmp_path / "c", training(lr=1.0), train_loss=[1.0, float("nan"), 1.0]),
    ]
    made = figures.curves(runs, Options(["test_accuracy", "train_loss"]))
    accuracy, loss = (panel for panel in made if isinstance(panel, Lines))
    (curve,) = accuracy.curves
    assert (curve.name, curve.y, curve.spread) == ("lr=0.1 (n=2)", [0.5, 0.5], [pytest.approx(0.1 * 2**0.5), None])
    assert loss.curves[1].name == "lr=1 (diverged)"
    assert [math.isnan(value or 0) for value in loss.curves[1].y] == [False, True, False]


def test_the_marked_epoch_is_by_validation_unless_the_test_is_named(tmp_path: Path) -> None:
    run = history(
        tmp_path / "h", training(), validation_accuracy=[0.3, 0.6, 0.5], test_accuracy=[0.9, 0.5, 0.4]
    )  # fmt: skip
    for best_on_test, mark, point in ((False, "best on validation", (2, 0.5)), (True, "best on test", (1, 0.9))):
        lines, bars = draw("regularizers", [run], Options(best_on_test=best_on_test))
        assert isinstance(lines, Lines)
        assert isinstance(bars, Bars)
        assert (lines.mark, list(lines.curves[0].marks)) == (mark, [point])
        assert [(name, list(values)) for name, values, _ in bars.series] == [("last epoch", [0.4]), (mark, [point[1]])]
        assert f"{mark}: epoch {point[0]}" in terminal.text([lines], 80)
    unchosen = history(tmp_path / "u", training(), test_accuracy=[0.9, 0.5])
    lines, bars = draw("regularizers", [unchosen], Options())
    assert isinstance(bars, Bars)
    assert [name for name, *_ in bars.series] == ["last epoch"]


def test_all_that_can_be_drawn_has_regularizers_where_one_varies(tmp_path: Path) -> None:
    def headings(*settings: dict[str, float]) -> list[str]:
        runs = [
            history(tmp_path / f"{n}", training(**each), test_accuracy=[0.5, 0.6]) for n, each in enumerate(settings)
        ]
        return [name for name, _ in Plan(runs, Settings(), True).every_panel()]

    assert headings({"lr": 0.1}, {"lr": 0.2}) == ["curves"]
    assert headings({"weight_decay": 0.0}, {"weight_decay": 0.1})[1:] == ["regularizers"]


def test_reliability_is_that_of_an_independent_computation(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(500, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = {
        "id": range(500), "label": random.integers(0, 4, 500), "prediction": probabilities.argmax(1),
        "loss": np.zeros(500), "probabilities": probabilities.tolist(),
    }  # fmt: skip
    document = read(tmp_path / "p", rows, measured(training(), "x"))
    curve, perfect = line(draw("reliability", [document], Options())).curves
    expected = 0.0
    for m in range(15):
        inside = (probabilities.max(1) > m / 15) & (probabilities.max(1) <= (m + 1) / 15)
        if inside.any():
            right = (rows["label"] == rows["prediction"])[inside].mean()
            confidence = probabilities.max(1)[inside].mean()
            expected += inside.mean() * abs(right - confidence)
            assert min(abs(x - confidence) + abs((y or 0) - right) for x, y in zip(curve.x, curve.y)) < 1e-12
    assert f"calibration error {expected:.4f}" in curve.name
    assert (perfect.x, perfect.y) == ((0, 1), (0, 1))


def matrix(path: Path, cells: list[list[int]], seed: int = 0):
    names = [chr(97 + place) for place in range(len(cells))]
    columns = {name: [row[place] for row in cells] for place, name in enumerate(names)}
    return read(path, {"label": range(len(cells)), "name": names} | columns, measured(training(seed=seed), "x"))


def test_confusion_adds_seeds_and_refuses_what_is_not_square(tmp_path: Path) -> None:
    both = [matrix(tmp_path / "a", [[8, 2], [1, 9]]), matrix(tmp_path / "b", [[7, 3], [0, 10]], seed=1)]
    (panel,) = draw("confusion", both, Options())
    assert isinstance(panel, Matrix)
    assert panel.cells == [[15, 5], [1, 19]]
    assert "0 a  75.0  25.0\n1 b   5.0  95.0" in terminal.text([panel], 80)
    bad = read(tmp_path / "c", {"label": [0, 1], "name": ["a", "b"], "a": [1, 2]}, provenance.step("eval", {}))
    with pytest.raises(GencliError, match="a confusion matrix of 2 by 1"):
        draw("confusion", [bad], Options())


@pytest.mark.parametrize("count", [2, 20, 100])
def test_a_matrix_of_any_size_fits(count: int) -> None:
    panel = Matrix("m", [f"class {place}" for place in range(count)], np.eye(count, dtype=int).tolist())
    drawn = terminal.text([panel], 80).splitlines()
    assert max(map(len, drawn)) <= 80
    assert sum("@" in line or "100.0" in line for line in drawn[2:]) >= min(count, 50)


def test_classes_are_bars_and_what_is_missing_is_a_gap(tmp_path: Path) -> None:
    three = result(tmp_path / "a", training(lr=0.1), [0.5, 0.6, 0.7])
    two = result(tmp_path / "b", training(lr=0.2), [0.1, 0.0])
    (panel,) = draw("classes", [three, two], Options())
    assert isinstance(panel, Bars)
    assert panel.names == ["a", "b", "c", "all"]
    assert [values[:3] for _, values, _ in panel.series] == [[0.5, 0.6, 0.7], [0.1, 0.0, None]]
    drawn = terminal.text([panel], 80)
    assert re.search(r"0\.7000 █+\n +-\n", drawn)
    assert "the first" not in drawn


def test_bars_below_zero_lie_left_of_a_line() -> None:
    drawn = terminal.text([Bars("m", ["a", "b", "c"], [("s", [-0.5, 0.25, None], ())])], 40).splitlines()
    line = drawn[1].index("│")
    assert drawn[1][line - 1] == "█"
    assert drawn[2][line : line + 2] == "│█"
    assert drawn[1].count("█") == pytest.approx(2 * drawn[2].count("█"), abs=1)


def test_density_leaves_out_zeros(tmp_path: Path) -> None:
    rows = {"eigenvalue": [0.0, 1.0, 2.0], "density": [1.0, 0.0, 0.1], "standard_error": pa.nulls(3, pa.float64())}
    document = read(tmp_path / "d", rows, provenance.step("spectrum", {}))
    assert list(line(draw("density", [document], Options())).curves[0].y) == [1.0, None, 0.1]


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_hostile_names_are_drawn_and_bytes_repeat(form: str) -> None:
    made: list[Panel] = [
        Lines(HOSTILE, "epoch", [Curve(HOSTILE, [1, 2], [0.1, None], (), [(1, 0.1)]), Curve("_鱼", [1], [math.nan])]),
        Bars(HOSTILE, [HOSTILE, "b"], [(HOSTILE, [0.5, None], [0.1, None])]),
        Matrix(HOSTILE, [HOSTILE, "b"], [[1, 0], [0, 0]]),
    ]
    assert curves.image(made, form, "how", HOSTILE) == curves.image(made, form, "how", HOSTILE)


def test_a_logarithmic_axis_has_numbers() -> None:
    panel = Lines("density", "eigenvalue", [Curve("one", [1, 2], [1e-5, 10.0])], log=True)
    drawn = curves.image([panel], "svg", "", fonts=False).decode()
    assert ">0.001<" in drawn
    assert "math" not in drawn


def test_a_logarithmic_axis_of_few_decades_has_numbers_between() -> None:
    panel = Lines("error", "size", [Curve("one", [0.2, 1, 5], [0.5, 0.6, 0.4])], log_across=True)
    drawn = curves.image([panel], "svg", "", fonts=False).decode()
    assert all(f">{label}<" in drawn for label in ("0.2", "0.5", "1", "2"))
    assert "math" not in drawn


def test_of_very_many_curves_the_first_are_drawn_and_it_is_said() -> None:
    made: list[Panel] = [Lines("m", "epoch", [Curve(f"run {n}", [1, 2], [0.1, n]) for n in range(10_000)])]
    assert "the first 10 of 10,000" in terminal.text(made, 80)
    drawn = curves.image(made, "svg", "", fonts=False).decode()
    assert "the first 28 of 10,000" in drawn
    assert "run 27" in drawn
    assert "run 28" not in drawn
    bars: list[Panel] = [Bars("m", [f"run {n}" for n in range(10_000)], [("s", [0.5] * 10_000, ())])]
    assert "the first 100 of 10,000" in curves.image(bars, "svg", "", fonts=False).decode()
    assert Image.open(io.BytesIO(curves.image(made, "png", ""))).width < 2000


def drawn(panels: Sequence[Panel], monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure itself."""
    figures: list[Figure] = []
    monkeypatch.setattr(curves, "encode", lambda figure, *words: figures.append(figure) or b"")
    curves.image(panels, "png", "")
    return figures[0]


def test_figures_are_as_high_as_their_bars_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to four series, and a hundred names; curves and matrices are of one height."""

    def height(names: int, series: int) -> float:
        panel = Bars("m", [str(place) for place in range(names)], [(f"s{n}", [0.5] * names, ()) for n in range(series)])
        return drawn([panel], monkeypatch).get_figheight()

    assert height(30, 2) - height(20, 2) == pytest.approx(0.24 * 10 * 2)
    assert height(30, 4) - height(20, 4) == pytest.approx(0.24 * 10 * 4)
    assert height(30, 6) - height(20, 6) == pytest.approx(0.24 * 10 * 4)
    assert height(100, 1) == height(140, 1)
    assert height(1, 1) == height(2, 1)


@pytest.mark.parametrize(("name", "columns"), [("a" * 4, 4), ("b" * 19, 3), ("c" * 41, 2), ("d" * 80, 1)])
def test_a_legend_fills_the_width_and_stays_within_it(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of 100 characters under two panels, 8 of them per name for its line; names are cut at 60."""
    curved = [Curve(f"{n}{name}", [1, 2], [0.1, 0.2]) for n in range(4)]
    figure = drawn([Lines("m", "epoch", curved), Lines("n", "epoch", curved)], monkeypatch)
    (legend,) = figure.legends
    figure.draw_without_rendering()
    box, page = legend.get_window_extent(), figure.bbox
    assert 0 <= box.x0 < box.x1 <= page.x1
    tops = [round(text.get_window_extent().y0) for text in legend.get_texts()]
    assert max(tops.count(top) for top in tops) == columns
    assert figure.get_figheight() == pytest.approx(3.6 + 0.2 * -(-4 // columns))


def test_bars_lie_beside_each_other_around_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    series = [(f"s{n}", [0.1 + n, 0.2 + n], [0.05, None]) for n in range(3)]
    (axis,) = drawn([Bars("m", ["a", "b"], series, (0, 3))], monkeypatch).axes
    bars = [each for each in axis.patches if isinstance(each, Rectangle)]
    room = 0.8 / 3
    assert [each.get_width() for each in bars] == pytest.approx([0.1, 0.2, 1.1, 1.2, 2.1, 2.2])
    middles = [each.get_y() + each.get_height() / 2 for each in bars]
    assert middles == pytest.approx([row + shift for shift in (-room, 0, room) for row in (0, 1)])
    assert all(each.get_height() == pytest.approx(0.9 * room) for each in bars)
    assert axis.get_ylim() == (1.5, -0.5)
    assert axis.get_xlim() == (0, 3)


def test_panels_stand_in_rows_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    panels: list[Panel] = [Lines(f"m{n}", "epoch", [Curve("c", [1, 2], [0.1, 0.2])]) for n in range(5)]
    figure = drawn(panels, monkeypatch)
    assert len(figure.axes) == 5
    (rows, columns) = figure.axes[0].get_gridspec().get_geometry()  # type: ignore[union-attr]
    assert (rows, columns) == (2, 3)
    assert figure.get_figwidth() == pytest.approx(4.2 * 3 + 0.6)
    few = drawn(panels[:1], monkeypatch)
    assert few.get_figwidth() == pytest.approx(4.8)
    assert figure.get_figheight() - few.get_figheight() == pytest.approx(3.6)
    monkeypatch.undo()
    size = Image.open(io.BytesIO(curves.image(panels[:1], "png", ""))).size
    assert size == tuple(int(150 * side) for side in few.get_size_inches())


def test_more_than_twelve_panels_of_curves_are_small_and_stand_in_rows_of_six(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [Lines(f"m{n}", "epoch", [Curve("c", [1, 64], [0.1, 0.2])], log_across=n == 1) for n in range(13)]
    figure = drawn(lines, monkeypatch)
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 6)  # type: ignore[union-attr]
    assert tuple(figure.get_size_inches()) == pytest.approx((2.8 * 6 + 0.6, 2.4 * 3 + 0.2))
    assert figure.axes[0].title.get_fontsize() == 7
    assert figure.axes[0].xaxis.label.get_fontsize() == 7
    steps = [axis.xaxis.get_major_locator() for axis in figure.axes[:2]]
    assert [getattr(each, "_nbins", None) for each in steps] == [4, None]
    few = drawn(lines[:12], monkeypatch)
    assert few.axes[0].get_gridspec().get_geometry() == (4, 3)  # type: ignore[union-attr]
    assert tuple(few.get_size_inches()) == pytest.approx((4.2 * 3 + 0.6, 3.6 * 4 + 0.2))
    assert few.axes[0].title.get_fontsize() == pytest.approx(1.2 * 9)
    assert getattr(few.axes[0].xaxis.get_major_locator(), "_nbins", None) == "auto"


def test_one_panel_of_bars_among_many_keeps_all_large_and_the_highest_sets_the_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [Lines(f"m{n}", "epoch", [Curve("c", [1, 2], [0.1, 0.2])]) for n in range(12)]
    figure = drawn([*lines, Bars("n", ["a"], [("s", [0.5], ())])], monkeypatch)
    assert tuple(figure.get_size_inches()) == pytest.approx((4.2 * 3 + 0.6, 3.6 * 5 + 0.2))
    assert drawn([Bars("n", ["a"], [("s", [0.5], ())])], monkeypatch).get_figheight() == pytest.approx(2.4 + 0.2)


def test_curves_have_bands_and_a_matrix_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = Curve("c", [1, 2], [0.1, 0.2], [0.05, 0.1])
    (axis,) = drawn([Lines("m", "epoch", [curve], limits=(0, 1))], monkeypatch).axes
    assert axis.get_ylim() == pytest.approx((-0.02, 1.02))
    (band,) = axis.collections
    assert band.get_datalim(axis.transData).intervaly == pytest.approx([0.05, 0.3])
    (axis,) = drawn([Matrix("m", ["a", "b"], [[3, 2], [0, 1000]])], monkeypatch).axes
    assert [(*each.get_position(), each.get_text(), each.get_color()) for each in axis.texts] == [
        (0, 0, "3", "white"), (1, 0, "2", "black"), (0, 1, "0", "black"), (1, 1, "1,000", "white"),
    ]  # fmt: skip
    assert axis.images[0].get_array().tolist() == [[0.6, 0.4], [0, 1]]  # type: ignore[union-attr]
    for count, cells, labels in ((12, 144, 12), (13, 0, 13), (30, 0, 30), (31, 0, 0)):
        names = [f"class {place}" for place in range(count)]
        (axis,) = drawn([Matrix("m", names, np.eye(count, dtype=int).tolist())], monkeypatch).axes
        assert len(axis.texts) == cells
        assert sum(each.get_text().startswith("class") for each in axis.get_yticklabels()) == labels


def test_labels_are_shortened_to_sixty_characters() -> None:
    assert curves._label("x" * 60) == "x" * 60
    assert curves._label("x" * 61) == "x" * 59 + "…"
    assert curves._label("xyz", 3) == "xyz"
    assert curves._label("wxyz", 3) == "wx…"


def test_a_sheet_has_its_images_frames_and_words_in_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths of an image: the second of a row starts after 1.4 where others stand apart; a row of three lines each."""
    wide, high = np.zeros((10, 20, 3), np.uint8), np.zeros((16, 8, 3), np.uint8)
    rows = [[Tile(wide, ["a", "b", "c"], marked=True), Tile(high, ["d"])], [Tile(high, ["e"])]]
    for apart in (True, False):
        figure = drawn([Sheet("s", rows, "note", apart)], monkeypatch)
        (axis,) = figure.axes
        across = 4 + 0.4 * apart
        down = 1.08 + 0.03 * across * 3
        assert axis.get_xlim() == (0, across)
        assert axis.get_ylim() == (pytest.approx(2 * down), 0)
        assert figure.get_figheight() == pytest.approx(0.9 + 4 / across * 2 * down)
        shift = 1 + 0.4 * apart
        # the longer side is 0.92, in the middle across, on a line at 0.98
        assert [tuple(each.get_extent()) for each in axis.images] == [
            pytest.approx((left, left + width, bottom, bottom - height)) for left, bottom, width, height in (
                (0.04, 0.98, 0.92, 0.46), (shift + 0.27, 0.98, 0.46, 0.92), (0.27, down + 0.98, 0.46, 0.92)
            )
        ]  # fmt: skip
        (frame,) = (each for each in axis.patches if isinstance(each, Rectangle))
        assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == pytest.approx((0.04, 0.52, 0.92, 0.46))
        places = {each.get_text(): pytest.approx(each.get_position()) for each in axis.texts if each.get_text() != "→"}
        assert places == {"a\nb\nc": (0.5, 1.01), "d": (shift + 0.5, 1.01), "e": (0.5, down + 1.01)}
        arrows = [each.get_position() for each in axis.texts if each.get_text() == "→"]
        assert arrows == ([pytest.approx((1.2, 0.5)), pytest.approx((1.2, down + 0.5))] if apart else [])
    five = Sheet("s", [[Tile(high, [])] * 5], "", apart=False)
    assert drawn([five], monkeypatch).axes[0].get_xlim() == (0, 5)


def test_points_and_lines_look_as_their_panels_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(curve: Curve, dots: bool = False, scatter: bool = False) -> list[tuple[str, str, float]]:
        panel = Lines("m", "x", [curve], dots=dots, scatter=scatter)
        (axis,) = drawn([panel], monkeypatch).axes
        return [(str(each.get_linestyle()), str(each.get_marker()), each.get_markersize()) for each in axis.lines]

    few, many = Curve("c", [1, 2], [0.5, 1.0]), Curve("c", range(501), [0.5] * 501)
    assert looks(few) == [("-", "", 4)]
    assert looks(few, dots=True) == [("-", "o", 4)]
    assert looks(Curve("c", [1, 2, 3], [0.5, None, math.nan])) == [("-", "o", 4)]  # a point alone has no line
    assert looks(few, scatter=True, dots=True) == [("None", "o", 4)]
    assert looks(Curve("c", range(500), [0.5] * 500), scatter=True, dots=True) == [("None", "o", 4)]
    assert looks(many, scatter=True, dots=True) == [("None", "o", 2)]
    assert looks(many) == [("-", "", 4)]


def test_curves_beyond_the_colours_have_other_lines_and_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Curve(f"c{n}", [1, 2], [0.5, 1.0]) for n in range(9)]
    (axis,) = drawn([Lines("m", "x", made, dots=True)], monkeypatch).axes
    styles, markers = ("-", "--", ":", "-."), "osD^vPX"
    found = [(each.get_color(), each.get_linestyle(), each.get_marker()) for each in axis.lines]
    assert found == [
        (curves.COLORS[n % 7], styles[(n % 7 + n // 7) % 4], markers[n % 7]) for n in range(9)
    ]  # fmt: skip
    (legend,) = drawn([Lines("m", "x", made, dots=True)], monkeypatch).legends
    keys = [each for each in legend.legend_handles if isinstance(each, Line2D)]
    assert [(each.get_color(), each.get_linestyle(), each.get_marker()) for each in keys] == found
    (legend,) = drawn([Lines("m", "x", made)], monkeypatch).legends
    assert {str(each.get_marker()) for each in legend.legend_handles if isinstance(each, Line2D)} == {""}
    (legend,) = drawn([Lines("m", "x", made, scatter=True, dots=True)], monkeypatch).legends
    assert {each.get_linestyle() for each in legend.legend_handles if isinstance(each, Line2D)} == {"None"}


def test_a_legend_is_there_where_names_tell_something(monkeypatch: pytest.MonkeyPatch) -> None:
    one: list[Panel] = [Bars("m", ["a"], [("s", [0.5], ())])]
    assert not drawn(one, monkeypatch).legends
    assert drawn(one * 2, monkeypatch).legends
    assert drawn([Lines("m", "x", [Curve("c", [1], [1])])], monkeypatch).legends
    assert drawn([Bars("m", ["a"], [("s", [0.5], ()), ("t", [0.5], ())])], monkeypatch).legends
    assert not drawn([Matrix("m", ["a"], [[1]])], monkeypatch).legends


def test_shares_and_deviations_stand_at_their_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    (axis,) = drawn([Bars("m", ["a", "b", "c", "d"], [("s", [0.5, 0.001, 0.0, None], ())], log=True)], monkeypatch).axes
    assert [each.get_text() for each in axis.texts] == ["50.00 %", "0.10 %", "", ""]
    assert axis.get_xscale() == "log"
    (axis,) = drawn([Bars("m", ["a", "b"], [("s", [0.5, 1.0], [0.1, None])])], monkeypatch).axes
    (errors,) = axis.collections
    assert errors.get_paths()[0].vertices.tolist() == [[pytest.approx(0.4), 0], [pytest.approx(0.6), 0]]  # type: ignore[union-attr]
