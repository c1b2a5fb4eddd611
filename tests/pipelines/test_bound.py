"""`gencli bound` in real shells: certificates, their verification, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy.stats import beta

from tests.pipelines.shell import Shell

MADE = """set -e
gencli data digits -q | gencli corrupt subsample -n 400 -q -o train.parquet
gencli data digits --split test -q -o test.parquet
gencli corrupt merge-classes --groups 0-9 train.parquet -q -o one.parquet
gencli data repeat train.parquet --times 2 -q -o new.parquet
gencli data digits --split test -q | gencli data repeat --times 2 -q -o copied.parquet
python -c "
import pyarrow as pa, pyarrow.parquet as pq
table = pq.read_table('train.parquet')
ids = pa.array(table['id'].to_numpy() + 5000)
pq.write_table(table.set_column(0, table.schema.field('id'), ids), 'renamed.parquet')
pq.write_table(pa.concat_tables([table, pq.read_table('renamed.parquet')]), 'twice.parquet')"
gencli data where "label > 4" train.parquet -q -o part.parquet
gencli corrupt common --all part.parquet -q -o versions.parquet
gencli train train.parquet --arch mlp-1x16 --epochs 3 --dropout 0.2 -q -o model.safetensors
gencli train train.parquet --arch mlp-1x16 --epochs 1 --batch-norm -q -o norm.safetensors
gencli train train.parquet --arch mlp-1x16 --epochs 1 --whiten dataset -q -o whitened.safetensors
gencli fit least-squares train.parquet -q -o closed.safetensors
gencli eval model.safetensors test.parquet --predictions seen.parquet -q -o seen.csv
gencli corrupt prune -p 0.3 --by loss --scores seen.parquet test.parquet -q -o easy.parquet
gencli data where "prediction = label" test.parquet --join seen.parquet -q -o right.parquet
gencli bound pac-bayes model.safetensors train.parquet --test test.parquet --epochs 4 --draws 4000 -q \
  --certificate c.safetensors -o c.parquet
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("bound")
    Shell(folder)(MADE).worked()
    return Shell(folder)


def row(shell: Shell, name: str) -> dict[str, object]:
    (found,) = pq.read_table(Path(shell.folder) / name).to_pylist()
    return found


def test_a_certificate_stands_beside_the_test_error_and_verifies(made: Shell) -> None:
    found = row(made, "c.parquet")
    assert found["n"] == 400
    assert found["empirical_error"] < found["bound"] <= 1  # type: ignore[operator]
    errors = round(found["test_error"] * 360)  # type: ignore[operator]
    assert found["test_bound"] == pytest.approx(beta.ppf(0.95, errors + 1, 360 - errors), abs=1e-9)
    done = made("gencli bound verify c.safetensors train.parquet --test test.parquet --format json").worked()
    assert all(part["holds"] for part in json.loads(done.out))
    assert made("gencli bound verify c.safetensors part.parquet -o v.parquet").status == 1


def test_what_break_breaks_is_found(made: Shell) -> None:
    for broken, part in (("union-bound", "bound"), ("prior-rows", "rows")):
        made(
            "gencli bound pac-bayes model.safetensors train.parquet --prior-fraction 0.5 --prior-epochs 1 --epochs 1 "
            f"--draws 1000 --break {broken} -q --certificate broken.safetensors -o b.parquet"
        ).worked()
        done = made("gencli bound verify broken.safetensors train.parquet -q --format json")
        assert done.status == 1
        assert part in {each["part"] for each in json.loads(done.out) if not each["holds"]}


def test_the_exact_bound_is_that_of_rows_never_seen(made: Shell) -> None:
    made("gencli bound holdout model.safetensors test.parquet --train train.parquet -o h.parquet -q").worked()
    found = row(made, "h.parquet")
    errors = round(found["empirical_error"] * 360)  # type: ignore[operator]
    assert found["bound"] == pytest.approx(beta.ppf(0.95, errors + 1, 360 - errors), abs=1e-9)


def test_a_certificate_runs_no_code_that_it_names_by_itself(made: Shell) -> None:
    code = """from torch import nn
print("ran")
def net(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
"""
    (Path(made.folder) / "own.py").write_text(code)
    made("""set -e
        gencli train train.parquet --arch own:net --epochs 1 -q -o own.safetensors
        gencli bound compression own.safetensors train.parquet --arch own:net --epochs 1 --subspace 5 -q \
          --certificate own-c.safetensors -o own.parquet
    """).worked()
    # a refusal has no standard output, so that it did not run
    made("gencli bound verify own-c.safetensors train.parquet -o v.parquet").refused("allow it with --arch own:net")
    made("gencli bound verify own-c.safetensors train.parquet --arch own:net -o v.parquet").worked()
    assert " --arch own:net" in made("gencli how v.parquet --trust").worked().text.rpartition("bound verify")[2]


REFUSED = {
    "pac-bayes model.safetensors train.parquet --delta 0": "--delta: 0 is not a probability",
    "compression model.safetensors train.parquet --delta 1": "--delta: 1 is not a probability",
    "pac-bayes model.safetensors train.parquet --loss ce": "--loss: 'ce' is not bounded",
    "pac-bayes model.safetensors train.parquet --prior-fraction 1": "leaves the bound no rows",
    "pac-bayes model.safetensors train.parquet --prior-epochs 3": "no prior is trained",
    "pac-bayes model.safetensors train.parquet --break prior-rows": "no prior is trained",
    "pac-bayes model.safetensors train.parquet --test part.parquet": "rows are in both",
    "pac-bayes model.safetensors versions.parquet": "comes",
    "pac-bayes model.safetensors new.parquet": "gencli data repeat copied its rows",
    "holdout model.safetensors copied.parquet --train train.parquet": "gencli data repeat copied its rows",
    "holdout model.safetensors easy.parquet --train train.parquet": "chose its rows by scores",
    "holdout model.safetensors right.parquet --train train.parquet": "chose its rows by another table",
    "pac-bayes model.safetensors right.parquet": "chose its rows by another table",
    "compression model.safetensors twice.parquet": "copies of other rows: 400 of 800 images, under other ids",
    "pac-bayes model.safetensors train.parquet --test renamed.parquet": "copies of rows of train.parquet: 400 of 400",
    "holdout model.safetensors renamed.parquet --train train.parquet": "copies of rows of train.parquet: 400 of 400",
    "verify c.safetensors new.parquet": "gencli data repeat copied its rows",
    "pac-bayes norm.safetensors train.parquet": "batch norm",
    "compression norm.safetensors train.parquet": "batch norm",
    "pac-bayes whitened.safetensors train.parquet": "whitened by the training set",
    "pac-bayes model.safetensors one.parquet": "one class",
    "pac-bayes closed.safetensors train.parquet": "no classifier with trained weights",
    "holdout model.safetensors test.parquet": "--train",
    "holdout model.safetensors part.parquet --train train.parquet": "rows are in both",
    "holdout model.safetensors test.parquet --train new.parquet": "not the table that",
    "verify model.safetensors train.parquet": "not a certificate",
    "verify train.parquet train.parquet": "give one that gencli bound --certificate wrote",
}


def test_bad_input_is_refused_with_its_name(made: Shell) -> None:
    for arguments, words in REFUSED.items():
        made(f"gencli bound {arguments} -q -o x.parquet").refused(words)
    assert not (Path(made.folder) / "x.parquet").exists()
