"""Sums over rows that several processes divide, as torchrun starts them, or that --shard computes part by part.

A shell starts the processes with the variables that torchrun sets.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch._C._distributed_c10d import TCPStore

from tests.pipelines.shell import PATIENCE, Done, Shell, wait_for

ALL = pytest.mark.skipif(not os.environ.get("GENCLI_TEST_ALL"), reason="GENCLI_TEST_ALL=1 runs it")
RANKS = """ranks() {
  local size=$1 status=0 all=(); shift; MASTER_PORT=$((MASTER_PORT + 1))
  for rank in $(seq 0 $((size - 1))); do
    WORLD_SIZE=$size RANK=$rank LOCAL_RANK=$rank gencli "$@" --threads 1 & all+=($!)
  done
  for each in ${all[@]}; do wait $each || status=$?; done
  return $status
}
export MASTER_ADDR=127.0.0.1 MASTER_PORT
"""
# below the ports that systems give out, other ones in each process that tests
_FIRST = itertools.count(12000 + 16 * (os.getpid() % 1000), 16)
MODEL = "m.safetensors"
CG = "fit kernel --kernel laplace:0.1 --solver cg --ridge 0.01 --keep rows.parquet"
# what is compared, and its file's ending
COMMANDS = {
    "hvp": (f"hvp {MODEL} rows.parquet --batch-size 20 --vector random:0 --vector gradient", "safetensors"),
    "ggn": (f"hvp {MODEL} rows.parquet --batch-size 20 --operator ggn --vector ones", "safetensors"),
    "dense": (f"hvp {MODEL} rows.parquet --dense --parameters '*.bias'", "safetensors"),
    "spectrum": (f"spectrum {MODEL} rows.parquet --top 2 --trace --trace-products 8 --seed 1", "parquet"),
    "input": (f"jacobian {MODEL} rows.parquet --verify", "safetensors"),
    "loss": (f"jacobian {MODEL} rows.parquet --of loss --wrt parameters", "parquet"),
    "eval": (f"eval runs.safetensors {MODEL} rows.parquet t.parquet --intervals --top 3 --norm", "parquet"),
    "by": (f"eval {MODEL} t.parquet --by label_true --predictions side.parquet", "parquet"),
    "score": ("score runs.safetensors rows.parquet --test t.parquet --influence side.parquet --fitted-at 0", "parquet"),
    "kernel": (CG, "safetensors"),
}
TYPED = ("hvp", "ggn", "dense", "spectrum", "input", "loss", "kernel")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """101 rows, which no number of processes divides evenly, 30 others, a network, and three of several runs."""
    sh = Shell(tmp_path_factory.mktemp("made"))
    sh(f"""gencli data digits --limit 101 -q -o rows.parquet
      gencli data digits --split test --limit 30 | gencli corrupt random-labels -p 0.5 -q -o t.parquet
      gencli train rows.parquet --arch mlp-1x8 --epochs 2 -q --threads 1 -o {MODEL}
      gencli train rows.parquet --arch mlp-1x8 --epochs 3 --runs 3 --subset 0.7 -q --threads 1 \\
        -o runs.safetensors""").worked()
    return sh.folder


@pytest.fixture
def both(made: Path, tmp_path: Path) -> Shell:
    """`ranks N` in place of `gencli` starts N processes of one group."""
    for each in made.iterdir():
        (tmp_path / each.name).symlink_to(each)
    sh = Shell(tmp_path)
    sh.extra["MASTER_PORT"] = str(next(first for first in _FIRST if all(map(_is_free, range(first + 1, first + 9)))))
    return sh


def _is_free(port: int) -> bool:
    with socket.socket() as free:
        return free.connect_ex(("127.0.0.1", port)) != 0


def numbers(path: Path) -> np.ndarray:
    """All numbers of a file; of its tables the words too, which `words` holds."""
    if path.suffix == ".safetensors":
        found = load_file(path)
        return torch.cat([found[name].flatten().double() for name in sorted(found)]).numpy()
    table = pq.read_table(path)
    kinds = pa.types.is_string, pa.types.is_list
    columns = [each for each in table.columns if not any(is_one(each.type) for is_one in kinds)]
    return np.concatenate([each.to_numpy().astype(float) for each in columns])


def apart(one: Path, other: Path) -> float:
    """|one - other| / |one| of the numbers of two files, which have the same ones missing."""
    first, second = numbers(one), numbers(other)
    np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
    first, second = np.nan_to_num(first), np.nan_to_num(second)
    return float(np.linalg.norm(first - second) / np.linalg.norm(first))


def equal(sh: Shell, name: str, dtype: str, sizes: tuple[int, ...]) -> None:
    words, ending = COMMANDS[name]
    words += f" --dtype {dtype}" if name in TYPED else ""
    words += {"float64": " --tolerance 1e-10", "float32": " --tolerance 1e-3"}[dtype] if name == "kernel" else ""
    side = "side.parquet" in words
    sh(f"{RANKS} ranks 1 {words.replace('side', 'side1')} -q -o one.{ending}").worked()
    for size in sizes:
        sh(f"{RANKS} ranks {size} {words.replace('side', f'side{size}')} -q -o {size}.{ending}").worked()
        allowed = 1e-12 if dtype == "float64" else 1e-6
        assert apart(sh.folder / f"one.{ending}", sh.folder / f"{size}.{ending}") <= allowed
        if side:
            assert apart(sh.folder / "side1.parquet", sh.folder / f"side{size}.parquet") <= 1e-6


@pytest.mark.parametrize(
    ("name", "dtype"), [("hvp", "float64"), ("loss", "float32"), ("by", "float32"), ("kernel", "float64")]
)
def test_the_numbers_of_three_processes_are_those_of_one(both: Shell, name: str, dtype: str) -> None:
    equal(both, name, dtype, (3,))


@ALL
@pytest.mark.parametrize("name", COMMANDS)
def test_the_numbers_of_any_number_of_processes_are_those_of_one(both: Shell, name: str) -> None:
    for dtype in ("float64", "float32") if name in TYPED else ("float32",):
        equal(both, name, dtype, (1, 2, 4))


def test_processes_may_have_no_rows(both: Shell) -> None:
    both("gencli data digits --limit 2 -q -o two.parquet").worked()
    for words in (f"hvp {MODEL} two.parquet --dtype float64", f"jacobian {MODEL} two.parquet --dtype float64"):
        both(f"{RANKS} ranks 1 {words} -q -o one.safetensors && ranks 3 {words} -q -o three.safetensors").worked()
        assert apart(both.folder / "one.safetensors", both.folder / "three.safetensors") < 1e-12
    both(f"{RANKS} ranks 3 eval {MODEL} two.parquet -q -o out.csv").worked()


def said_once(done: Done, *words: str) -> None:
    assert done.status == 2, done
    for each in words:
        assert done.err.count(each) == 1, done


def test_what_is_wrong_is_said_by_the_process_that_finds_it(both: Shell) -> None:
    start = f"{RANKS} MASTER_PORT=$((MASTER_PORT + 1)) WORLD_SIZE=2\nexport WORLD_SIZE\n"
    other = "wait $first && exit 1; exit $last"
    differ = both(f"""{start} RANK=0 gencli hvp {MODEL} rows.parquet -q -o out.safetensors & first=$!
      RANK=1 gencli hvp {MODEL} t.parquet -q -o out.safetensors; last=$?; {other}""")
    said_once(differ, "process 1 of 2 is not at the same work as process 0: data: another file")
    assert not (both.folder / "out.safetensors").exists()


@pytest.mark.parametrize(("words", "why"), [
    (f"eval {MODEL} -", "standard input: 2 processes cannot share it"),
    (f"eval {MODEL} rows.parquet --measures", "--measures: their searches go from step to step"),
    ("spectrum --kernel ntk:2 rows.parquet", "--kernel: one process finds all eigenvalues of the matrix K"),
    ("fit kernel --kernel laplace:0.1 rows.parquet -o out", "101 rows by Cholesky's method"),
    ("fit least-squares rows.parquet -o out", "it is solved at once, for all rows"),
    (f"show {MODEL}", "its work is not divided among processes"),
    (f"hvp {MODEL} rows.parquet --shard 0/2 -o out", "--shard divides the rows already"),
    ("jacobian -f w1^2 --at 1", "formulas have no rows"),
    ("corrupt random-labels -p 0.5 rows.parquet", "2 processes of torchrun write a file each"),
])  # fmt: skip
def test_what_is_not_divided_is_refused_by_name(both: Shell, words: str, why: str) -> None:
    done = both(f"WORLD_SIZE=2 RANK=1 gencli {words} < /dev/null") if "Cholesky" not in why else None
    done = done or both(f"{RANKS} ranks 2 {words}")
    assert done.status == 2, done
    assert why in done.err
    assert not (both.folder / "out").exists()


def test_a_process_that_dies_ends_the_others_with_a_line(both: Shell) -> None:
    words = f"spectrum {MODEL} rows.parquet --dtype float64 --trace --trace-products 500 --density d.parquet"
    start = f"{RANKS} export WORLD_SIZE=2"
    words += " --density-probes 1000 -q -o out.parquet --checkpoint saved --checkpoint-every 5 --threads 1"
    script = f"""{start}; RANK=1 gencli {words} & echo $! > second; RANK=0 gencli {words}"""
    process = both.start(script)
    wait_for(both.folder, "saved", process)
    os.kill(int((both.folder / "second").read_text()), signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert b"process 0 of 2: the others do not answer" in err
    assert not (both.folder / "out.parquet").exists()
    assert (both.folder / "saved").exists()


@pytest.mark.parametrize("name", ["hvp", "input", "loss", "eval"])
def test_the_sum_of_shards_is_the_whole(both: Shell, name: str) -> None:
    words, ending = COMMANDS[name]
    words = words.replace(" --vector gradient", "") + (" --dtype float64" if name in TYPED else "")
    parts = " && ".join(f"ranks 1 {words} --shard {k}/3 -q -o part{k}.{ending}" for k in range(3))
    both(f"{RANKS} ranks 1 {words} -q -o one.{ending} && {parts}").worked()
    both(f"gencli sum part2.{ending} part0.{ending} part1.{ending} -q -o sum.{ending}").worked()
    assert apart(both.folder / f"one.{ending}", both.folder / f"sum.{ending}") < 1e-12
    both(f"gencli sum part0.{ending} part2.{ending}").refused("parts missing of 3: 1")
    both(f"gencli sum part*.{ending} part1.{ending}").refused(f"part1.{ending}: part 1 of 3, as part1.{ending} is")
    others = words.replace("rows", "t").replace(" t.parquet t.", " t.")
    both(f"{RANKS} ranks 1 {others} --shard 1/3 -q -o part1.{ending}").worked()
    both(f"gencli sum part*.{ending}").refused("not of the same as")
    both(f"gencli sum one.{ending}").refused("not a part: it was made without --shard")
    if name == "eval":
        both(f"gencli report part0.{ending}").refused("a part of a result, by --shard", "gencli sum")
        both(f"gencli sum part*.{ending} -o s.png").refused("a sum of parts cannot be written as .png")


OVERFLOWING = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images):
        flat = images.flatten(1)
        return self.layer(flat) / (flat[:, 5:6] < 1.5)
"""


@pytest.mark.parametrize(("words", "ending"), [
    (f"jacobian {MODEL} one.parquet --dtype float64 --verify", "safetensors"),
    (f"eval {MODEL} one.parquet rows.parquet --by label", "parquet"),
    pytest.param(f"hvp {MODEL} one.parquet --dtype float64", "safetensors", marks=ALL),
    pytest.param(f"jacobian {MODEL} one.parquet --dtype float64", "parquet", marks=ALL),
])  # fmt: skip
def test_parts_may_have_no_rows(both: Shell, words: str, ending: str) -> None:
    both("gencli data digits --limit 1 -q -o one.parquet").worked()
    parts = " && ".join(f"gencli {words} --shard {k}/2 -o part{k}.{ending}" for k in range(2))
    done = both(f"gencli {words} -q -o whole.{ending} && {parts}").worked()
    both(f"gencli sum part[01].{ending} -q -o sum.{ending}").worked()
    assert apart(both.folder / f"whole.{ending}", both.folder / f"sum.{ending}") < 1e-6
    assert ending == "parquet" or "part 0/2 of " in done.err


def test_parts_of_copies_of_which_some_have_rows_that_are_not_finite(both: Shell) -> None:
    """The network's outputs are, but those of one row."""
    (both.folder / "own.py").write_text(OVERFLOWING)
    both("gencli data digits --limit 9 -q -o nine.parquet && cp nine.parquet copy.parquet").worked()
    words = "gencli train - --arch own:Net --epochs 1 --batch-size 7 -q -o own.safetensors"
    both(f"gencli data digits --limit 7 | PYTHONPATH=. {words}").worked()
    words = "PYTHONPATH=. gencli eval --arch own:Net own.safetensors"
    whole = both(f"{words} nine.parquet -o whole.parquet").worked()
    for k, name in enumerate(("nine", "copy")):
        both(f"{words} {name}.parquet --shard {k}/2 -q -o part{k}.parquet").worked()
    done = both("gencli sum part[01].parquet -o sum.parquet").worked()
    assert apart(both.folder / "whole.parquet", both.folder / "sum.parquet") < 1e-6
    remark = "the outputs of 1 of 9 rows are not finite"
    assert remark in whole.err
    assert remark in done.err


def test_shards_of_vectors_that_need_all_rows_and_in_other_formats_are_refused(both: Shell) -> None:
    both(f"gencli hvp {MODEL} rows.parquet --shard 0/2 --vector eigen:1 -o x").refused("--shard: eigen:1 is of all")
    both(f"gencli jacobian {MODEL} rows.parquet --shard 0/2 -o x.csv").refused("a part of a result is written as Pa")
    both(f"gencli eval {MODEL} rows.parquet --shard 0/2 --format csv").refused("--shard: a part of a result is written")


def test_the_parts_of_an_image_table_are_the_whole(both: Shell) -> None:
    words = "corrupt random-labels -p 0.5 rows.parquet"
    both(f"{RANKS} gencli {words} -q -o one.parquet && ranks 3 {words} -q -o parts").worked()
    names = sorted(each.name for each in (both.folder / "parts").iterdir())
    assert names == [f"part-0000{k}-of-00003.parquet" for k in range(3)]
    parts = pa.concat_tables(pq.read_table(both.folder / "parts" / name) for name in names)
    assert parts.equals(pq.read_table(both.folder / "one.parquet"))
    both(f"{RANKS} ranks 2 data digits -q -o digits").worked()
    both(f"gencli eval {MODEL} digits parts -q -o out.csv").worked()
    assert "holds part-00000-of-00003.parquet, no part of 2" in both(f"{RANKS} ranks 2 data digits -o parts").err
    both("gencli data digits --limit 7 --shard 1/2 | gencli show - | grep -q '4 rows'").worked()


def test_what_all_processes_of_torchrun_refuse_is_said_once(both: Shell) -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    both.extra |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": str(store.port - 1), "LOCAL_WORLD_SIZE": "3"}
    done = both(f"{RANKS} ranks 3 eval {MODEL} --top 0")
    said_once(done, "0 is not in the range", "see gencli eval --help")
    start = (
        f"{RANKS} MASTER_PORT=$((MASTER_PORT + 1)) TORCHELASTIC_RESTART_COUNT=1\nexport TORCHELASTIC_RESTART_COUNT\n"
    )
    done = both(f"""{start} WORLD_SIZE=2 LOCAL_RANK=0 RANK=0 gencli eval {MODEL} --top 0 & first=$!
      WORLD_SIZE=2 LOCAL_RANK=1 RANK=1 gencli eval {MODEL} --top many; wait $first""")
    said_once(done, "0 is not in the range", "'many'")


@ALL
@pytest.mark.cold
@pytest.mark.parametrize("words", ["hvp m.safetensors rows.parquet --dtype float64", "eval m.safetensors rows.parquet"])
def test_torchrun_itself_and_a_script_of_how(both: Shell, words: str) -> None:
    both(f"torchrun --standalone --nproc-per-node 2 -m gencli {words} -q -o two.out").worked()
    assert "torchrun --standalone --nproc-per-node 2 -m gencli" in both("gencli how two.out").worked().text
    both("gencli how two.out --check").worked()
    refused = both(f"torchrun --standalone --nproc-per-node 2 -m gencli {words.replace('rows', 'nowhere')} -o out")
    assert refused.status == 1
    assert refused.err.count("nowhere.parquet: no such file") == 1, refused
