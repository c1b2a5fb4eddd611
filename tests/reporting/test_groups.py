"""Seeds, best epochs, divergence, and the files that a command line names."""

from __future__ import annotations

import csv
import math
import statistics
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencli.cli import app
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.reporting import classes as class_tables
from gencli.reporting import documents, figures, groups, patterns, runs
from gencli.reporting.panels import Lines
from tests.pipelines.shell import many
from tests.reporting.made import history, result, training
from tests.reporting.made import read as read_file


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=6))
def test_spread_is_mean_and_sample_deviation_of_what_is_known(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    mean, deviation = groups.spread(values)
    assert (mean is None) == (not known)
    assert (deviation is None) == (len(known) < 2)
    if mean is not None:
        assert math.isclose(mean, sum(known) / len(known), rel_tol=1e-9, abs_tol=1e-6)
    if deviation is not None:
        assert math.isclose(deviation, statistics.variance(known) ** 0.5, rel_tol=1e-9, abs_tol=1e-9)


def test_runs_that_differ_in_seeds_alone_are_one_row(tmp_path: Path) -> None:
    seeds = [
        history(tmp_path / f"{seed}.parquet", training(0.5, seed=seed), test_accuracy=[0.4 + seed / 10])
        for seed in range(3)
    ]
    other = history(tmp_path / "o.parquet", training(0.5, lr=1.0), test_accuracy=[0.1])
    one, two = runs.runs_table([*seeds, other], 0.99).rows.to_pylist()
    assert one["runs"] == 3
    assert one["test_accuracy"] == pytest.approx(0.5)
    assert one["test_accuracy_std"] == pytest.approx(0.1)
    assert (two["runs"], two["test_accuracy"], two["test_accuracy_std"]) == (1, 0.1, None)
    assert "seed" not in one


def test_names_leave_out_what_is_one_for_all_setups_of_a_network(tmp_path: Path) -> None:
    settings = [{"lr": 0.1}, {"lr": 0.1, "loss": "focal"}, {"lr": 0.2, "arch": "linear"}]
    made = [history(tmp_path / f"{place}.parquet", training(**each)) for place, each in enumerate(settings)]
    assert groups.names(groups.setups(made)) == ["mlp-1x8, loss=ce", "mlp-1x8, loss=focal", "linear"]


def test_an_option_that_a_loss_does_not_have_is_no_difference_a_setting_that_is_not_given_is(tmp_path: Path) -> None:
    each = [{"loss": "ce", "gamma": None, "grad_clip": None}, {"loss": "focal", "gamma": 2.0, "grad_clip": 1.0}]
    made = [history(tmp_path / f"{place}", training(**one)) for place, one in enumerate(each)]
    told = [{"loss": "ce", "grad_clip": None}, {"loss": "focal", "grad_clip": 1.0}]
    named = {"network": "mlp-1x8", "data": "digits", "corruption": "none"}
    assert groups.describe(made) == [named | one for one in told]
    other = history(tmp_path / "2", training(loss="focal", gamma=3.0, grad_clip=1.0))
    assert [one["gamma"] for one in groups.describe([*made, other])] == [None, 2.0, 3.0]


def test_a_learner_in_closed_form_is_called_by_how_it_was_fitted(tmp_path: Path) -> None:
    fits = [
        result(tmp_path / f"{name}.parquet", provenance.step(f"fit {name}", {"seed": 0}), [0.5])
        for name in ("kernel", "least-squares")
    ]
    assert runs.runs_table(fits, 0.99).rows["network"].to_pylist() == ["kernel", "least-squares"]


def test_a_score_that_not_every_run_has_says_of_how_many_it_is(tmp_path: Path) -> None:
    first = history(tmp_path / "a.parquet", training(seed=0), test_accuracy=[0.4])
    second = history(tmp_path / "b.parquet", training(seed=1))
    table = runs.runs_table([first, second], 0.99)
    assert table.rows["test_accuracy"].to_pylist() == [0.4]
    assert "test_accuracy: 1 of 2 runs of mlp-1x8, none" in table.notes


def test_one_run_that_never_fits_leaves_no_mean_time_to_fit(tmp_path: Path) -> None:
    fast = history(tmp_path / "a.parquet", training(seed=0), train_accuracy=[0.5, 1.0])
    never = history(tmp_path / "b.parquet", training(seed=1), train_accuracy=[0.5, 0.6])
    assert runs.runs_table([fast, never], 0.99).rows["epochs_to_fit"].to_pylist() == [None]
    assert runs.runs_table([fast], 0.99).rows["epochs_to_fit"].to_pylist() == [2]


def test_the_best_epoch_is_by_validation_and_by_the_test_only_where_it_says_so(tmp_path: Path) -> None:
    read = history(
        tmp_path / "h.parquet", training(),
        validation_accuracy=[0.3, 0.6, 0.5], test_accuracy=[0.9, 0.5, 0.4],
    )  # fmt: skip
    (row,) = runs.runs_table([read], 0.99).rows.to_pylist()
    assert (row["test_accuracy"], row["best_epoch"], row["best_test_accuracy"]) == (0.4, 2, 0.5)
    assert not [name for name in row if name.endswith("on_test")]
    (row,) = runs.runs_table([read], 0.99, best_on_test=True).rows.to_pylist()
    assert (row["best_epoch_on_test"], row["best_test_accuracy_on_test"]) == (1, 0.9)
    plain = history(tmp_path / "p.parquet", training(), test_accuracy=[0.9, 0.5])
    (row,) = runs.runs_table([plain], 0.99).rows.to_pylist()
    assert not [name for name in row if name.startswith("best")]


def test_a_loss_that_is_no_number_is_shown_as_diverged(tmp_path: Path) -> None:
    bad = history(tmp_path / "a.parquet", training(seed=0), train_loss=[1.0, float("nan"), 2.0])
    good = history(tmp_path / "b.parquet", training(seed=1))
    assert runs.runs_table([bad], 0.99).rows["diverged"].to_pylist() == ["epoch 2"]
    assert runs.runs_table([bad, good], 0.99).rows["diverged"].to_pylist() == ["1 of 2 runs"]
    assert "diverged" not in runs.runs_table([good], 0.99).rows.column_names


def test_results_on_two_tables_are_not_taken_for_seeds(tmp_path: Path) -> None:
    read = [result(tmp_path / "a", training(), [0.5], "x"), result(tmp_path / "b", training(), [0.7], "train None")]
    (row,) = runs.runs_table(read, 0.99).rows.to_pylist()
    assert (row["train_accuracy"], row["test_accuracy"], row["gap"]) == (0.7, 0.5, pytest.approx(0.2))


def test_results_of_a_run_on_two_tables_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in "xy":
        (tmp_path / name).mkdir()
    read = [result(tmp_path / name / "r", training(), [score], name) for name, score in (("x", 0.5), ("y", 0.7))]
    found = runs.runs_table(read, 0.99).rows.to_pylist()
    assert [(row["tested_on"], row["test_accuracy"]) for row in found] == [
        ("digits test, x/r", 0.5), ("digits test, y/r", 0.7),
    ]  # fmt: skip
    table = class_tables.classes_table(read).rows.to_pylist()
    assert [(row["tested_on"], row["accuracy"]) for row in table if row["name"] == "a"] == [
        ("digits test, x/r", 0.5), ("digits test, y/r", 0.7),
    ]  # fmt: skip


def test_runs_of_one_setup_on_other_rows_are_no_means(tmp_path: Path) -> None:
    part = provenance.step("data where", {"condition": "label = 1"}, [provenance.source("data", "a", TEST, None)])
    again = provenance.step("data digits", {"split": "test", "seed": 1})
    read = [
        read_as(tmp_path / f"r{seed}", seed, entry)
        for seed, entry in enumerate([("whole", TEST), ("part", part), ("whole of another seed", again)])
    ]
    names = ["digits test, r0", "digits test, r1"]
    rows = runs.runs_table(read[:2], 0.99).rows.to_pylist()
    assert [(row["tested_on"], row["test_accuracy"]) for row in rows] == list(zip(names, [0.5, 0.6]))
    (row,) = runs.runs_table([read[0], read[2]], 0.99).rows.to_pylist()
    assert (row["runs"], row["test_accuracy"]) == (2, pytest.approx(0.6))


TEST = provenance.step("data digits", {"split": "test", "seed": 0})


def read_as(path: Path, seed: int, entry: tuple[str, provenance.Step], first: int = 1) -> documents.Document:
    """A result of accuracy .5 + seed / 10 of a run of this seed on a table of this content and origin."""
    inputs = [
        provenance.source("model", f"m{seed}", training(seed=seed), None),
        provenance.source("data", entry[0], entry[1], None),
    ]
    rows = {"label": pa.array([0, None]), "name": ["a", "all"], "n": [first, 1], "accuracy": [0.5 + seed / 10] * 2}
    return read_file(path, rows | {"loss": [1.0, 1.0]}, provenance.step("eval", {}, inputs))


@pytest.mark.parametrize("part", [{"subset": 0.7}, {"validation_fraction": 0.1}])
def test_a_result_on_rows_that_the_run_did_not_see_is_no_train_accuracy(part: dict[str, float], tmp_path: Path) -> None:
    whole = result(tmp_path / "a", training(**part), [0.7], "train None")
    test, own = result(tmp_path / "b", training(**part), [0.5]), history(tmp_path / "h", training(**part))
    table = runs.runs_table([whole, test], 0.99)
    assert (table.rows["train_accuracy"].to_pylist(), table.rows["gap"].to_pylist()) == ([None], [None])
    assert "of which networks saw a part" in table.notes[0]
    assert "of which networks saw a part" in class_tables.classes_table([whole]).notes[0]
    (row,) = runs.runs_table([own, whole, test], 0.99).rows.to_pylist()
    assert (row["train_accuracy"], row["gap"]) == (own.rows["train_accuracy"][-1].as_py(), 0)
    (row,) = runs.runs_table([result(tmp_path / "c", training(subset=1.0), [0.7], "train None")], 0.99).rows.to_pylist()
    assert row["train_accuracy"] == 0.7


def test_csv_and_json_of_a_table_read_as_the_table(tmp_path: Path) -> None:
    whole = result(tmp_path / "r.parquet", training(), [0.25, 0.5], names=["1", "2"])
    arrow_csv.write_csv(whole.rows, tmp_path / "r.csv")
    assert app.main(["report", str(tmp_path / "r.parquet"), "-o", str(tmp_path / "r.json")]) == 0
    for name in ("r.csv", "r.json"):
        (again,) = documents.read_all([str(tmp_path / name)])
        assert again.made is None
        assert again.rows.to_pylist() == whole.rows.to_pylist()


def test_a_result_that_does_not_say_how_it_was_made_is_said_to_be_taken_for_a_test(tmp_path: Path) -> None:
    known = result(tmp_path / "r.parquet", training(), [0.25, 0.5])
    arrow_csv.write_csv(known.rows, tmp_path / "r.csv")
    (unknown,) = documents.read_all([str(tmp_path / "r.csv")])
    assert runs.runs_table([known], 0.99).notes == ()
    (note,) = runs.runs_table([known, unknown], 0.99).notes
    assert "taken for tests" in note


def test_counts_in_which_runs_differ_are_none_of_the_runs(tmp_path: Path) -> None:
    """Runs on tables of other seeds are one row, of which no single count is right."""
    tables = [provenance.step("corrupt random-labels", {"p": 0.5, "seed": seed}) for seed in (1, 2)]
    both = [read_as(tmp_path / f"{seed}", seed, (f"t{seed}", made), 1 + seed) for seed, made in enumerate(tables)]
    table = class_tables.classes_table(both)
    assert (table.rows["n"].to_pylist(), table.rows["runs"].to_pylist()) == ([None, 1], [2, 2])
    assert any("n: runs differ" in note for note in table.notes)


def test_patterns_are_expanded_and_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "[x].csv"):
        Path(name).write_text("")
    assert patterns.expand(["?.csv", "a.csv", "./b.csv", "[x].csv", "-", "none.csv"]) == [
        "a.csv", "b.csv", "[x].csv", "-", "none.csv",
    ]  # fmt: skip
    with pytest.raises(GencliError, match=r"\*\.tsv: no file matches"):
        patterns.expand(["*.tsv"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "neither a history nor a result; its columns are a, b"),
        ("epoch,train_loss\n", "a history without rows"),
        ("epoch,train_loss\n1,low\n", "line 2: column `train_loss`: 'low' is not a number"),
        ("epoch,train_loss\n,1\n", "line 2: column `epoch`: no value"),
        ("epoch,train_loss\n1\n", "line 2: 1 cells, but the header has 2"),
        ('[{"epoch": 1', "delimiter"),
        ("epoch,train_loss,train_loss\n1,1,1\n", "two columns have the same name"),
        (
            "id,label,prediction,probabilities\n1,1,1,nothing\n",
            "line 2: column `probabilities`: 'nothing' is not a list of numbers from 0 to 1",
        ),
        ("plain text\n", "not Parquet"),
        ("", "empty"),
    ],
)
def test_bad_text_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(GencliError) as caught:
        documents.read_all([str(path)])
    assert words in caught.value.message
    assert caught.value.hint


def test_an_output_that_is_an_input_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.parquet"
    history(path, training())
    before = path.read_bytes()
    assert app.main(["report", str(path), "-o", str(path)]) == 2
    assert "the output is the input" in capfd.readouterr().err
    history(tmp_path / "other.parquet", training(seed=1))
    for names in ([path, tmp_path / "other.parquet"], [tmp_path / "other.parquet", path]):
        assert app.main(["report", *map(str, names), "-o", str(path)]) == 2
        assert "the output is the input" in capfd.readouterr().err
    assert path.read_bytes() == before


def test_of_a_result_without_provenance_no_corruption_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("label,name,n,accuracy,loss\n0,a,1,0.5,1\n,all,1,0.5,1\n")
    (document,) = documents.read_all([str(tmp_path / "r.csv")])
    assert runs.runs_table([document], 0.99).rows["corruption"].to_pylist() == [""]


def test_labels_that_others_changed_are_said_to_differ(tmp_path: Path) -> None:
    def run(*commands: str) -> None:
        for done in many(tmp_path, [command.split() for command in commands]):
            assert (done.status, done.err) == (0, "")

    run("data digits -q --limit 500 -o clean.parquet")
    table = pq.read_table(tmp_path / "clean.parquet")
    changed = [(label + (row < 201)) % 10 for row, label in enumerate(table["label"].to_pylist())]
    noisy = table.append_column("label_true", table["label"]).set_column(2, "label", pa.array(changed))
    pq.write_table(noisy, tmp_path / "noisy.parquet")
    run(
        "corrupt subsample -q --classes 1,2,3 noisy.parquet -o some.parquet",
        "corrupt shuffled-pixels -q some.parquet -o pixels.parquet",
        "corrupt random-labels -q -p 0.5 pixels.parquet -o both.parquet",
        *(
            f"train -q {name}.parquet --arch linear --epochs 1 --history {name}-history.parquet -o {name}.model"
            for name in ("clean", "noisy", "pixels", "both")
        ),
        "eval -q noisy.model noisy.parquet -o result.parquet",
        "report *-history.parquet result.parquet --table runs -o runs.csv",
        "report --contact-sheet sheet.png clean.parquet noisy.parquet",
    )
    with open(tmp_path / "runs.csv", newline="") as file:
        rows = [row["corruption"] for row in csv.DictReader(file)]
    part = np.isin(changed, [1, 2, 3])
    share = 100 * np.mean((noisy["label"].to_numpy() != noisy["label_true"].to_numpy())[part])
    assert rows == [
        f"labels differ, {share:.3g} % + subsample + shuffled-pixels",
        f"labels differ, {share:.3g} % + subsample + shuffled-pixels + random-labels p=0.5",
        "none",
        "labels differ, 40.2 %",
    ]


def test_no_corruption_comes_first_and_levels_in_order_of_each_network(tmp_path: Path) -> None:
    made = [
        training(p, arch=arch, weight_decay=decay)
        for arch in ("b", "a") for p in (1.0, 0.25, None, 0.5) for decay in (0.1, 0.0)
    ]  # fmt: skip
    histories = [history(tmp_path / str(place), step) for place, step in enumerate(made)]
    rows = runs.runs_table(histories, 0.99).rows.select(["network", "corruption", "weight_decay"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (arch, corruption, decay)
        for arch in ("b", "a")
        for corruption in ("none", "random-labels p=0.25", "random-labels p=0.5", "random-labels p=1")
        for decay in (0.1, 0.0)
    ]
    (panel, *_) = figures.draw("curves", histories, figures.Options())
    assert isinstance(panel, Lines)
    assert [curve.name for curve in panel.curves][:3] == [
        "b, none, weight_decay=0.1", "b, none, weight_decay=0", "b, random-labels p=0.25, weight_decay=0.1",
    ]  # fmt: skip


def test_a_run_without_a_test_goes_with_the_others_of_its_setup(tmp_path: Path) -> None:
    tested, untested = result(tmp_path / "a", training(seed=0), [0.5, 0.25]), history(tmp_path / "b", training(seed=1))
    for several in ([tested, untested], [untested, tested]):
        table = runs.runs_table(several, 0.99)
        assert table.rows["runs"].to_pylist() == [2]
        assert table.rows["test_accuracy"].to_pylist() == [0.375]
    assert runs.runs_table([untested, history(tmp_path / "c", training(seed=2))], 0.99).rows["runs"].to_pylist() == [2]
