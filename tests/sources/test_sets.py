"""Which files are one data set, and what is said of those that are not."""

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gencli.cli.outputs import write_images
from gencli.corruptions import Corrupted
from gencli.corruptions.base import Corruption
from gencli.corruptions.imbalance import Subsample
from gencli.corruptions.labels import FlipLabels, RandomLabels
from gencli.errors import GencliError
from gencli.files import parquet, provenance, tables
from gencli.files.named import open_inputs
from gencli.files.tables import ImageTable
from gencli.sources import Foreign, open_table, read_table
from gencli.sources.selection import select
from gencli.sources.sets import Part, require_one_set
from tests.helpers import image_table, read, save
from tests.hostile import thrift
from tests.pipelines.shell import explained, many
from tests.sources.test_encoded import encode


def hub(path: Path, labels: Sequence[int], start: int = 0, names: Sequence[str] | None = ("cat", "dog")) -> Path:
    """A file as hubs publish it, of images that are all different."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = (Image.new("L", (2, 2), start + row) for row in range(len(labels)))
    images = [{"bytes": encode(picture), "path": None} for picture in pictures]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": pa.array(labels, pa.int64())})
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    known = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    pq.write_table(table.replace_schema_metadata(known), path)
    return path


def part(
    table: ImageTable, path: Path, corruption: Corruption, shard: str, seed: int = 0, **more: str
) -> ImageTable | None:
    """A part of a corrupted table, as `gencli corrupt --shard` writes it; None where it has no rows."""
    result = Corrupted(table, corruption, seed, *map(int, shard.split("/")))
    made = {**corruption.arguments(), "seed": seed, "shard": shard}
    write_images(result, str(path), lambda: provenance.step(result.command, made, tables.sources(table, "data")))
    return open_table(str(path)) if result.rows else None


def taken(path: Path, split: str | None = None, files: str | None = None) -> ImageTable:
    return read_table(open_inputs(str(path), files), Foreign(split=split))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        (
            "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet",
            "data/validation-00000-of-00001-b09b74b3ef9c3b56.parquet",
        ),
        ("default-train.parquet", "default-val.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("cifar10_train_0.parquet", "cifar10_test_0.parquet"),
        ("train.parquet", "extra.parquet"),
        ("train.parquet", "more.parquet"),
        ("plain_text/train_1.parquet", "plain_text/dev_1.parquet"),
    ],
)
def test_files_of_several_splits_are_refused_and_one_can_be_picked(one: str, other: str, tmp_path: Path) -> None:
    hub(tmp_path / one, [0, 1, 1])
    hub(tmp_path / other, [1, 0], 9)
    with pytest.raises(GencliError, match="files of several splits") as refused:
        open_table(str(tmp_path))
    assert one in refused.value.message
    assert other in refused.value.message
    picked = taken(tmp_path, "train")
    assert picked.column("label").tolist() == [0, 1, 1]
    assert picked.description.split == "train"
    assert taken(tmp_path, files=one.replace("train", "t*n")).rows == 3
    with pytest.raises(GencliError, match="no split 'valdation'"):
        taken(tmp_path, "valdation")


def test_train_rows_are_not_called_test_rows(tmp_path: Path) -> None:
    path = hub(tmp_path / "train-00000-of-00001.parquet", [0, 1])
    with pytest.raises(GencliError, match="no split 'test'; train: "):
        taken(tmp_path, "test")
    assert taken(tmp_path, "train").description.split == "train"
    assert taken(path, "mine").description.split == "mine"
    path.rename(tmp_path / "data.parquet")
    assert taken(tmp_path, "test").description.split == "test"


def test_files_named_one_by_one_are_of_one_split_or_get_a_name(tmp_path: Path) -> None:
    paths = [hub(tmp_path / "train.parquet", [0, 1, 1]), hub(tmp_path / "test.parquet", [1], 9)]
    inputs = [each for path in paths for each in open_inputs(str(path))]
    with pytest.raises(GencliError, match=r"several splits; train: .*train.parquet; test: .*test.parquet"):
        read_table(inputs)
    joined = read_table(inputs, Foreign(split="all"))
    assert (joined.rows, joined.description.split) == (4, "all")
    assert taken(tmp_path, "all", "*t*").rows == 4


def test_our_own_tables_say_their_splits_themselves(tmp_path: Path) -> None:
    save(image_table(5), tmp_path / "a.parquet")
    save(image_table(7, split="test"), tmp_path / "b.parquet")
    with pytest.raises(GencliError, match=r"train: .*a.parquet; test: .*b.parquet"):
        open_table(str(tmp_path))
    assert taken(tmp_path, "test").rows == 7


@pytest.mark.parametrize(
    "command", ["train {} --arch linear", "corrupt permute-labels {}", "show {}", "data parquet {}"]
)
def test_every_command_refuses_a_folder_of_two_splits(command: str, tmp_path: Path) -> None:
    for name in ("train", "test"):
        hub(tmp_path / f"hub/{name}-00000-of-00001.parquet", [0, 1])
    [done] = many(tmp_path, [[*command.format("hub").split(), "-o", "out"]])
    assert done.status == 2
    explained(done.err, "hub: files of several splits; test: ", "; train: ", "gencli data parquet hub --split")
    assert not (tmp_path / "out").exists()


def refusal(path: Path) -> tuple[str, str]:
    """What is said of a folder that is refused, and the hint, with the folder as `set`."""
    with pytest.raises(GencliError) as refused:
        open_table(str(path))
    return refused.value.message.replace(str(path), "set"), refused.value.hint.replace(str(path), "set")


def test_a_split_is_asked_for_where_there_are_several(tmp_path: Path) -> None:
    for name in ("train", "more"):
        hub(tmp_path / f"set/{name}.parquet", [0, 1])
    several = "files of several splits; no split: set/more.parquet; train: set/train.parquet"
    takes = "--files GLOB takes those that match"
    assert refusal(tmp_path / "set") == (
        f"set: {several}", f"gencli data parquet set --split NAME takes one; {takes}"
    )  # fmt: skip
    inputs = [each for name in ("more", "train") for each in open_inputs(str(tmp_path / f"set/{name}.parquet"))]
    with pytest.raises(GencliError) as refused:
        read_table(inputs)
    assert refused.value.message.replace(str(tmp_path), "").replace("/set", "set") == several
    assert refused.value.hint == f"--split NAME takes one, or names all; {takes}"
    with pytest.raises(GencliError) as refused:
        taken(tmp_path / "set", "trian")
    assert refused.value.message == (
        f"{tmp_path}/set: no split 'trian'; no split: {tmp_path}/set/more.parquet; train: {tmp_path}/set/train.parquet"
    )


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_1.parquet", "train"), ("train_test.parquet", ""), ("test/train_1.parquet", "train"),
        ("test/a.parquet", "test"), ("test/train/a.parquet", ""), ("a/dev/b.parquet", "dev"), ("a.parquet", ""),
        ("trained.parquet", ""), ("TRAIN-0.parquet", "train"), ("tests/a.parquet", ""),
    ],
)  # fmt: skip
def test_a_split_is_named_by_one_word_of_the_file_or_else_one_of_its_folders(
    name: str, split: str, tmp_path: Path
) -> None:
    hub(tmp_path / "train" / name, [0, 1])
    [source] = open_inputs(str(tmp_path / "train"))
    assert Part(source, parquet.open_file(source)).split == split


@pytest.mark.parametrize(
    ("folders", "said"), [("ab", "set/a, set/b"), ("abcde", "set/a, set/b, set/c and 2 more"), ("a", "")]
)
def test_a_data_set_lies_in_one_folder(folders: str, said: str, tmp_path: Path) -> None:
    for place, name in enumerate(folders):
        hub(tmp_path / f"set/{name}/x{place}.parquet", [0, 1], 3 * place)
    if said:
        assert refusal(tmp_path / "set")[0] == f"set: not a data set: files in {said}"
    else:
        assert open_table(str(tmp_path / "set")).rows == 2


def test_dot_files_and_files_without_rows_are_passed_over(tmp_path: Path) -> None:
    hub(tmp_path / "data_0.parquet", [])
    hub(tmp_path / "data_1.parquet", [0, 1])
    pq.write_table(pa.table({"image": pa.nulls(0), "label": pa.nulls(0)}), tmp_path / "data_2.parquet")
    for name in ("._data_1.parquet", ".DS_Store", ".hidden/data.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    table = open_table(str(tmp_path))
    assert (table.rows, len(table.inputs)) == (2, 1)
    for name in ("data_1", "data_2"):
        (tmp_path / f"{name}.parquet").unlink()
    with pytest.raises(GencliError, match="no rows"):
        open_table(str(tmp_path))


NUMBERED = {  # files of a folder, by what is said of them
    "0-of-3 2-of-3": "no part 00001-of-00003",
    "1-of-2": "no part 00000-of-00002",
    "1-of-3 2-of-3": "no part 00000-of-00003",
    "2-of-2": "no part 00001-of-00002",
    "1-of-4 4-of-4": "no part 00002-of-00004, 00003-of-00004$",
    "0-of-2 1-of-3": "not of one set",
    "0-of-2 1-of-2 again": "not of one set",
    "0-of-9999999": "no part .* and 9,999,995 more",
}


@pytest.mark.parametrize("numbers", NUMBERED)
def test_numbered_files_are_all_there(numbers: str, tmp_path: Path) -> None:
    for place, number in enumerate(numbers.split()):
        words = "-of-".join(f"{int(each):05d}" for each in number.split("-of-")) if "of" in number else number
        hub(tmp_path / f"train-{words}.parquet", [0, 1], place * 9)
    with pytest.raises(GencliError, match=f"not a data set: .*{NUMBERED[numbers]}"):
        open_table(str(tmp_path))
    assert taken(tmp_path, files="*train-*").rows == 2 * len(numbers.split()), "named files need not be all"


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_start_at_zero_or_one(first: int, tmp_path: Path) -> None:
    for place in range(3):
        hub(tmp_path / f"train-{place + first:05d}-of-00003.parquet", [place % 2], place)
    assert open_table(str(tmp_path)).column("label").tolist() == [0, 1, 0]


def test_numbered_files_are_of_one_set_and_each_number_is_there_once(tmp_path: Path) -> None:
    for place, name in enumerate(("x-0-of-1", "y-0-of-1")):
        hub(tmp_path / f"two/{name}.parquet", [0, 1], 3 * place)
    said = "set: not a data set: not of one set: set/x-0-of-1.parquet, set/y-0-of-1.parquet"
    assert refusal(tmp_path / "two")[0] == said
    for place, name in enumerate(("x-0-of-2", "x-00000-of-00002", "x-1-of-2")):
        hub(tmp_path / f"again/{name}.parquet", [0, 1], 3 * place)
    said = "set: not a data set: part 0 of 2 twice, set/x-0-of-2.parquet, set/x-00000-of-00002.parquet"
    assert sorted(refusal(tmp_path / "again")[0].split(", ")) == sorted(said.split(", "))
    for place, name in enumerate(("x-0-of-1", "more", "other")):
        hub(tmp_path / f"mixed/{name}.parquet", [0, 1], 3 * place)
    said = "set: not a data set: not of one set: set/x-0-of-1.parquet, set/more.parquet, set/other.parquet"
    assert refusal(tmp_path / "mixed")[0] == said


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    hub(tmp_path / "train-00000-of-00002.parquet", [0, 1])
    hub(tmp_path / "train-00001-of-00002.parquet", [0, 1])
    with pytest.raises(GencliError, match=r"the same file twice: .*00000-of-00002.parquet, .*00001-of-00002.parquet"):
        open_table(str(tmp_path))


def test_files_of_other_class_names_or_shapes_are_refused(tmp_path: Path) -> None:
    hub(tmp_path / "hub/a.parquet", [0, 1])
    hub(tmp_path / "hub/b.parquet", [0, 1], 9, ["dog", "cat"])
    with pytest.raises(GencliError, match=r"b.parquet: other class names than .*a.parquet"):
        open_table(str(tmp_path / "hub"))
    (tmp_path / "raw").mkdir()
    for place, shape in enumerate([(2, 8, 1), (8, 2, 1)]):
        table = read(image_table(4, shape))
        moved = table.set_column(0, "id", pa.array(range(4 * place, 4 * place + 4)))
        pq.write_table(moved.replace_schema_metadata(None), tmp_path / f"raw/{place}.parquet")
    with pytest.raises(GencliError, match=r"1.parquet: other shapes of images than .*0.parquet"):
        open_table(str(tmp_path / "raw"))
    save(image_table(4, classes=2), tmp_path / "raw/0.parquet")
    save(image_table(4, classes=3), tmp_path / "raw/1.parquet")
    with pytest.raises(GencliError, match=r"1.parquet: another data set than .*0.parquet, by its classes"):
        open_table(str(tmp_path / "raw"))


def test_what_else_the_metadata_says_is_no_difference(tmp_path: Path) -> None:
    hub(tmp_path / "a.parquet", [0, 1])
    other = pq.read_table(hub(tmp_path / "b.parquet", [1], 9))
    metadata = {**other.schema.metadata, b"made": b"elsewhere"}
    pq.write_table(other.replace_schema_metadata(metadata), tmp_path / "b.parquet")
    assert open_table(str(tmp_path)).rows == 3


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_files_of_other_columns_or_none_that_say_what_they_are_are_refused(order: str, tmp_path: Path) -> None:
    first, second = (f"{tmp_path}/train-{name}.parquet" for name in "ab")
    table = read(save(image_table(4), tmp_path / "whole.parquet"))
    (tmp_path / "whole.parquet").unlink()
    for place, name in enumerate(order):
        part = table.set_column(0, "id", pa.array(range(4 * place, 4 * place + 4)))
        known = table.schema.metadata if place else None
        pq.write_table(part.replace_schema_metadata(known), tmp_path / f"train-{name}.parquet")
    said = "train-b.parquet: another data set than set/train-a.parquet, one of them without a description"
    assert refusal(tmp_path)[0] == f"set: not a data set: set/{said}"
    hub(tmp_path / "train-b.parquet", [0, 1])
    with pytest.raises(GencliError) as refused:
        require_one_set([Part(each, parquet.open_file(each)) for each in open_inputs(str(tmp_path))])
    assert refused.value.message.endswith(f"{second}: other columns than {first}")


def test_parts_are_one_table_in_their_own_order_if_all_are_there(tmp_path: Path) -> None:
    whole = save(image_table(30), tmp_path / "whole.parquet")
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(12):
        part(whole, folder / f"part-{number}.parquet", FlipLabels(0.5), f"{number}/12")
    assert read(open_table(str(folder))).equals(read(Corrupted(whole, FlipLabels(0.5), 0)))
    (folder / "part-7.parquet").unlink()
    with pytest.raises(GencliError, match="not a data set: no part 7 of 12"):
        open_table(str(folder))
    (folder / "part-7.parquet").write_bytes((folder / "part-8.parquet").read_bytes())
    with pytest.raises(GencliError, match=r"part 8 of 12 twice, .*part-7.parquet, .*part-8.parquet; no part 7 of 12"):
        open_table(str(folder))
    assert open_table(str(folder / "part-3.parquet")).rows == 3, "a part by its name is a table"
    inputs = [each for number in (3, 5) for each in open_inputs(str(folder / f"part-{number}.parquet"))]
    assert read_table(inputs).rows == 6, "parts that are named need not be all"


def test_parts_of_parts_are_all_there(tmp_path: Path) -> None:
    whole = save(image_table(30), tmp_path / "whole.parquet")
    (tmp_path / "parts").mkdir()
    for first, second in itertools.product(range(2), range(3)):
        half = part(whole, tmp_path / "half.parquet", FlipLabels(0.5), f"{first}/2")
        assert half is not None
        part(half, tmp_path / f"parts/{first}{second}.parquet", FlipLabels(0.2), f"{second}/3")
    assert open_table(str(tmp_path / "parts")).rows == 30
    (tmp_path / "parts/12.parquet").unlink()
    with pytest.raises(GencliError, match="no part 2 of 3 of part 1 of 2"):
        open_table(str(tmp_path / "parts"))


def test_a_table_of_fewer_rows_than_parts_has_empty_ones(tmp_path: Path) -> None:
    whole = save(image_table(3), tmp_path / "whole.parquet")
    (tmp_path / "parts").mkdir()
    for number in range(5):
        part(whole, tmp_path / f"parts/{number}.parquet", FlipLabels(1), f"{number}/5")
    assert pq.read_metadata(tmp_path / "parts/0.parquet").num_rows == 0
    assert read(open_table(str(tmp_path / "parts"))).equals(read(Corrupted(whole, FlipLabels(1), 0)))
    (tmp_path / "parts/0.parquet").unlink()
    with pytest.raises(GencliError, match="no part 0 of 5"):
        open_table(str(tmp_path / "parts"))


@pytest.mark.parametrize(
    ("corruption", "seed", "shard", "words"),
    [
        (FlipLabels(0.9), 0, "1/2", "corrupt flip-labels: p 0.9 and 0.1 in set/b.parquet and set/a.parquet"),
        (FlipLabels(0.1), 3, "1/2", "corrupt flip-labels: seed 3 and 0 in set/b.parquet and set/a.parquet"),
        (FlipLabels(0.1), 0, "1/3", "corrupt flip-labels: parts 3 and 2 in set/b.parquet and set/a.parquet"),
        (
            RandomLabels(0.1),
            0,
            "1/2",
            "set/b.parquet was made by data toy | corrupt random-labels, "
            "set/a.parquet by data toy | corrupt flip-labels",
        ),
    ],
)
def test_files_made_otherwise_are_refused(
    corruption: Corruption, seed: int, shard: str, words: str, tmp_path: Path
) -> None:
    whole = save(image_table(30), tmp_path / "whole.parquet")
    (tmp_path / "two").mkdir()
    part(whole, tmp_path / "two/a.parquet", FlipLabels(0.1), "0/2")
    part(whole, tmp_path / "two/b.parquet", corruption, shard, seed)
    assert refusal(tmp_path / "two")[0] == f"set: not a data set: {words}"


def test_parts_of_two_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for number, rows in enumerate((30, 40)):
        whole = save(image_table(rows), tmp_path / "whole.parquet")
        part(whole, tmp_path / f"two/{number}.parquet", FlipLabels(0.1), f"{number}/2")
    with pytest.raises(GencliError, match=r"1.parquet is part of another table than .*0.parquet"):
        open_table(str(tmp_path / "two"))


def test_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    table = read(image_table(1200))
    pq.write_table(pa.concat_tables([table, table]), tmp_path / "twice.parquet")
    pq.write_table(table.take(pa.array([*range(1199, -1, -1), 7])), tmp_path / "again.parquet")
    pq.write_table(table.take(pa.array([0, 1, 1, 2])), tmp_path / "beside.parquet")
    for name, words in (
        ("beside", r"rows 1 and 2 are both id \d+; 1 rows repeat an id"),
        ("twice", r"rows 0 and 1200 are both id \d+; 1,200 rows repeat an id"),
        ("again", r"rows 1192 and 1200 are both id \d+; 1 rows repeat an id"),
    ):
        with pytest.raises(GencliError, match=words) as refused:
            open_table(str(tmp_path / f"{name}.parquet"))
        assert "data repeat" in refused.value.hint
    pq.write_table(table.take(pa.array(range(1199, -1, -1))), tmp_path / "turned.parquet")
    assert open_table(str(tmp_path / "turned.parquet")).rows == 1200


def test_a_row_in_several_versions_is_no_row_twice(tmp_path: Path) -> None:
    table = read(image_table(5))
    versions = [
        table.append_column("corruption", pa.array([kind] * 5)).append_column("severity", pa.array([severity] * 5))
        for kind, severity in itertools.product(("fog", "snow"), (1, 2))
    ]
    pq.write_table(pa.concat_tables(versions), tmp_path / "all.parquet")
    table = open_table(str(tmp_path / "all.parquet"))
    assert table.rows == 20
    assert Corrupted(table, FlipLabels(0.5), 0).rows == 20
    for draw in (lambda: Corrupted(table, Subsample(n=3), 0), lambda: select(table, sample=3)):
        with pytest.raises(GencliError, match="each row in several versions"):
            draw()
    pq.write_table(pa.concat_tables([*versions, versions[2]]), tmp_path / "more.parquet")
    with pytest.raises(GencliError, match="rows 10 and 20 are both id"):
        open_table(str(tmp_path / "more.parquet"))
    plain = read(image_table(5))
    clean = plain.append_column("corruption", pa.nulls(5, pa.string())).append_column("severity", pa.nulls(5, "int64"))
    pq.write_table(pa.concat_tables([*versions, clean]), tmp_path / "clean.parquet")
    assert open_table(str(tmp_path / "clean.parquet")).rows == 25
    pq.write_table(pa.concat_tables([*versions, clean, clean]), tmp_path / "more.parquet")
    with pytest.raises(GencliError, match="rows 20 and 25 are both id"):
        open_table(str(tmp_path / "more.parquet"))


def test_folders_are_searched_by_links_too_each_once(tmp_path: Path) -> None:
    hub(tmp_path / "set/in/train-0.parquet", [0, 1])
    hub(tmp_path / "elsewhere/train-1.parquet", [1], 5)
    for link, target in (("in/up", "../.."), ("in/again", "."), ("more", "../elsewhere")):
        (tmp_path / "set" / link).symlink_to(target)
    assert [each.name for each in open_inputs(str(tmp_path / "set"))] == [
        f"{tmp_path}/set/{name}" for name in ("in/train-0.parquet", "more/train-1.parquet")
    ]


def test_a_folder_that_cannot_be_read_is_not_left_out(unprivileged: Path) -> None:
    hub(unprivileged / "set/in/train-0.parquet", [0, 1])
    (unprivileged / "set/closed").mkdir()
    (unprivileged / "set/closed").chmod(0)
    with pytest.raises(GencliError, match="set/closed: cannot be read: Permission denied"):
        open_inputs("set")
    hub(unprivileged / "set/train.parquet", [0, 1])  # the folder itself has files: those in others are not asked for
    assert len(open_inputs("set")) == 1


@pytest.mark.parametrize(("target", "what"), [("/dev/zero", "a device"), ("nowhere", "a broken link")])
def test_what_is_no_file_is_no_part_of_a_folder(target: str, what: str, tmp_path: Path) -> None:
    hub(tmp_path / "a.parquet", [0, 1])
    (tmp_path / "b.parquet").symlink_to(target)
    with pytest.raises(GencliError, match=f"b.parquet: {what}"):
        open_inputs(str(tmp_path))
    (tmp_path / "b.parquet").unlink()
    os.mkfifo(tmp_path / "b.parquet")
    with pytest.raises(GencliError, match=r"b\.parquet: a named pipe"):
        open_inputs(str(tmp_path))
    assert len(open_inputs(str(tmp_path), "a*")) == 1


@pytest.mark.parametrize("encoded", [False, True])
def test_a_damaged_shard_is_named(encoded: bool, tmp_path: Path) -> None:
    """Not the first of its folder, nor all of it."""
    (tmp_path / "set").mkdir()
    whole = next(image_table().batches())
    rows = pa.Table.from_batches([whole]).replace_schema_metadata(whole.schema.metadata)
    paths = [tmp_path / "set" / f"toy-train-{shard}.parquet" for shard in range(2)]
    for shard, path in enumerate(paths):
        part = pq.read_table(hub(path, [0, 1, 0], 3 * shard)) if encoded else rows.slice(6 * shard, 6)
        pq.write_table(part, path, use_dictionary=False, compression="none", write_page_checksum=True)
    path = paths[-1]
    content = path.read_bytes()
    for place, page in enumerate(thrift.pages(content)):
        if encoded and place == 1:  # names of files, which are not read
            continue
        bad = bytearray(content)
        bad[page.end - 1] ^= 1
        path.write_bytes(bad)
        with pytest.raises(GencliError, match=rf"^{path}: corrupt Parquet: could not verify page integrity"):
            read(read_table(open_inputs(str(path.parent)), Foreign()))
    path.write_bytes(content)
    assert read(read_table(open_inputs(str(path.parent)), Foreign())).num_rows == (6 if encoded else 12)
