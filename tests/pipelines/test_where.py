"""`gencli data where` in real shells: what it keeps, writes, says and refuses."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.shell import Shell


def test_rows_keep_their_order_bytes_and_metadata_and_provenance_says_how(sh: Shell) -> None:
    sh(
        """
        set -e
        gencli eval $D/model.safetensors $D/corrupted.parquet -q -o r.csv --predictions rows.parquet
        gencli data where "label <> label_true AND prediction = label_true" $D/corrupted.parquet \\
            --join rows.parquet -q -o kept.parquet
        cat $D/corrupted.parquet | gencli data where "label <> label_true AND prediction = label_true" \\
            --join rows.parquet -q > piped
        cmp kept.parquet piped
        """
    ).worked()
    before, rows = pq.read_table(f"{sh.extra['D']}/corrupted.parquet"), pq.read_table(sh.folder / "rows.parquet")
    labels, true, predicted = (before["label"], before["label_true"], rows["prediction"])
    right = [a != b and c == b for a, b, c in zip(*(each.to_pylist() for each in (labels, true, predicted)))]
    kept = pq.read_table(sh.folder / "kept.parquet")
    assert 0 < kept.num_rows < before.num_rows
    assert kept.equals(before.filter(pa.array(right)))
    assert kept.schema.equals(before.schema, check_metadata=True)
    footer = pq.ParquetFile(sh.folder / "kept.parquet").metadata.metadata
    step = json.loads(footer[b"gencli.provenance"])["step"]
    assert step["command"] == "data where"
    assert step["arguments"] == {"expr": "label <> label_true AND prediction = label_true"}
    assert [(each["role"], each["step"]["command"]) for each in step["inputs"]] == [
        ("data", "corrupt random-labels"), ("join", "eval"),
    ]  # fmt: skip
    assert "duckdb" in step["versions"]


def test_rows_without_a_value_are_counted_aloud(sh: Shell) -> None:
    (sh.folder / "few.csv").write_text("id,x\n3551830906027114496,1\n3551830906027114497,nan\n7,1\n")
    done = sh("gencli data where 'x = 1' $D/digits.parquet --join few.csv -o one.parquet").worked()
    assert done.err == (
        "1 of 300 rows, 299 are left out as the condition is null for them; few.csv lacks 298 of the ids\n"
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("'label <> label_true' $D/digits.parquet", "no column 'label_true'"),
        ("'label > 99' $D/digits.parquet", "no rows are left: 0 of 300 rows"),
        ("'label > 1' --join missing.parquet < /dev/zero", "missing.parquet: no such file"),
        ("'label > 1' - --join - < $D/digits.parquet", "two inputs would come from standard input"),
        ("'label > 1' $D/digits.parquet --join $D/history.parquet", "no column id; its columns are epoch"),
        ("'label > 1' $D/digits.parquet --join $D/model.safetensors", "model.safetensors: not Parquet, CSV or JSON"),
        ("'label > 1' $D/digits.parquet --join $D/test.parquet --run 0", "--run: no joined table has a column run"),
        ("'label > 1' $D/digits.parquet --run 0 --run 1", "--run: given twice"),
        ("'loss > 1' $D/digits.parquet --join $D/test.parquet", "none of its ids is in"),
        ("\"label in (select 1 from '/etc/passwd')\" $D/digits.parquet", "reads something else than the rows"),
    ],
)
def test_what_is_refused_leaves_no_file(sh: Shell, script: str, words: str) -> None:
    sh(f"gencli data where {script} -o out.parquet").refused(words)
    assert sh.files() == set()
