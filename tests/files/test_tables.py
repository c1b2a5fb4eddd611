"""The image table: what files hold, what survives other tools, what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gencli.errors import GencliError
from gencli.files import arrow, parquet, provenance, seals
from gencli.files.stream import Input, Output
from gencli.files.tables import Description, MemoryTable, TableWriter, identities
from gencli.sources import open_table
from tests.helpers import image_table, images, read, save, save_in_pieces, seal
from tests.hostile import thrift


def group_sizes(path: Path) -> list[int]:
    facts = pq.read_metadata(path)
    return [facts.row_group(place).num_rows for place in range(facts.num_row_groups)]


@pytest.mark.parametrize("shape", [(2, 2, 1), (32, 32, 3)])
def test_any_pieces_give_the_same_bytes(shape: tuple[int, int, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    table = image_table(2100, shape)
    [whole] = table.batches()
    expected = save_in_pieces(whole, [], table.description, folder / "whole.parquet")
    assert group_sizes(folder / "whole.parquet") == [1000, 1000, 100]

    @settings(max_examples=15)
    @given(st.lists(st.integers(0, 2100), max_size=5).map(sorted))
    def check(ends: list[int]) -> None:
        assert save_in_pieces(whole, ends, table.description, folder / "pieces.parquet") == expected

    check()


def test_large_images_come_in_small_row_groups(tmp_path: Path) -> None:
    save(image_table(5, (1024, 1024, 1)), tmp_path / "large.parquet")
    assert group_sizes(tmp_path / "large.parquet") == [3, 2]
    assert Description("huge", "", ("a",), (5000, 5000, 3)).group_rows == 1


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    table = image_table(2500)
    again = save(table, tmp_path / "toy.parquet")
    assert again.rows == 2500
    assert read(again).equals(read(table), check_metadata=True)
    assert np.array_equal(again.column("label"), read(table)["label"].to_numpy())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_description_comes_back(dtype: str, tmp_path: Path) -> None:
    description = Description("Größe 大", "träin", ("Küche", 'a "quote"', "a,b"), (2, 3, 4), dtype)
    pixels = np.arange(48).reshape(2, 2, 3, 4).astype(dtype)
    again = save(MemoryTable("toy", description, pixels, np.array([0, 2])), tmp_path / "toy.parquet")
    assert again.description == description
    assert np.array_equal(images(again), pixels)
    assert images(again).dtype == dtype


def test_the_footer_holds_the_provenance_and_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "toy.parquet"
    made = provenance.step("data toy", {"split": "träin"})
    table = image_table(5)
    with Output(str(path)) as output, TableWriter(output, table.schema, table.description) as writer:
        writer.write(next(table.batches()))
        writer.close(made)
    assert json.loads(pq.read_metadata(path).metadata[b"gencli.provenance"]) == {"rows": 5, "step": made.to_json()}
    assert open_table(str(path)).made == made


def test_rows_missing_from_what_the_provenance_promises_are_refused(tmp_path: Path) -> None:
    save(image_table(5), tmp_path / "whole.parquet")
    whole = pq.ParquetFile(tmp_path / "whole.parquet")
    with pq.ParquetWriter(tmp_path / "part.parquet", whole.schema_arrow) as writer:
        writer.write_table(whole.read().slice(0, 3))
        facts = {provenance.KEY: whole.metadata.metadata[provenance.KEY.encode()].decode(), seals.KEY: seals.BLANK}
        writer.add_key_value_metadata(facts)
    seal(tmp_path / "part.parquet")
    with pytest.raises(GencliError, match="3 rows, but its provenance records 5"):
        open_table(str(tmp_path / "part.parquet"))


@pytest.mark.parametrize("name", ["id", "label", "label_true"])
def test_a_page_of_no_known_kind_holds_no_rows(name: str, tmp_path: Path) -> None:
    """Arrow passes over it, and over its rows."""
    path = tmp_path / "theirs.parquet"
    toy = read(image_table(6))
    pq.write_table(toy.append_column("label_true", toy["label"]), path, use_dictionary=False)
    content = path.read_bytes()
    page = thrift.pages(content)[["id", "image", "label", "label_true"].index(name)]
    page.header[0].value = 63  # of the kinds 0 to 3, in as many bytes
    path.write_bytes(thrift.with_page(content, page))
    for use in (lambda table: table.column(name), read):
        with pytest.raises(GencliError, match=r"theirs.parquet: corrupt Parquet"):
            use(open_table(str(path)))


@given(part=st.floats(0, 0.999))
def test_a_file_cut_anywhere_is_refused(part: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "toy.parquet"
    save(image_table(20), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(GencliError, match=r"toy.parquet: (empty|cut short|not Parquet)"):
        open_table(str(path))


def write_and_die(table: MemoryTable, path: Path) -> None:
    with Output(str(path)) as output, TableWriter(output, table.schema, table.description) as writer:
        writer.write(next(table.batches()))
        raise RuntimeError


def test_a_writer_that_dies_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_and_die(image_table(1500), tmp_path / "toy.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_dies_leaves_its_reader_no_footer(tmp_path: Path) -> None:
    # pyarrow closes a valid, shorter file when it is left by an exception
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(RuntimeError):
        write_and_die(image_table(1500), tmp_path / "pipe")
    content = os.read(reader, 1 << 20)
    os.close(reader)
    assert len(content) > 1000
    assert not content.endswith(b"PAR1")


def test_of_a_few_rows_only_their_row_groups_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(image_table(12), tmp_path / "one.parquet")
    pq.write_table(pq.read_table(tmp_path / "one.parquet"), tmp_path / "toy.parquet", row_group_size=3)
    table, asked = open_table(str(tmp_path / "toy.parquet")), []
    plain = pq.ParquetFile.iter_batches

    def followed(file: pq.ParquetFile, rows: int, row_groups: list[int]) -> object:
        asked.append(row_groups)
        return plain(file, rows, row_groups=row_groups)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", followed)
    for keep, groups in ((None, [[0, 1, 2, 3]]), (np.isin(np.arange(12), [3, 11]), [[1], [3]])):
        asked.clear()
        assert np.array_equal(read(table, keep)["id"], read(image_table(12))["id"].to_numpy()[keep].ravel())
        assert asked == groups


def test_plain_pyarrow_reads_a_table(tmp_path: Path) -> None:
    table = image_table(12, (2, 3, 3))
    save(table, tmp_path / "toy.parquet")
    plain = pq.read_table(tmp_path / "toy.parquet")
    assert plain.schema.names == ["id", "image", "label"]
    assert plain.schema.types == [pa.int64(), pa.binary(18), pa.int64()]
    assert plain.schema.field("image").metadata == {b"shape": b"2,3,3", b"dtype": b"uint8"}
    assert plain["image"].to_pylist() == [image.tobytes() for image in images(table)]


def test_only_labels_have_statistics_and_nothing_is_compressed(tmp_path: Path) -> None:
    save(image_table(), tmp_path / "toy.parquet")
    group = pq.read_metadata(tmp_path / "toy.parquet").row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    assert {name for name, column in columns.items() if column.is_stats_set} == {"label"}
    assert {column.compression for column in columns.values()} == {"UNCOMPRESSED"}


def test_a_table_survives_tools_that_rewrite_it(tmp_path: Path) -> None:
    table = image_table(12)
    save(table, tmp_path / "toy.parquet")
    plain = pq.read_table(tmp_path / "toy.parquet")
    variable = plain["image"].cast(pa.binary())
    rewritten = plain.set_column(1, "image", variable).replace_schema_metadata(plain.schema.metadata)
    rewritten = rewritten.append_column("note", pa.array(["kept"] * 12)).take(pa.array([5, 0, 3]))
    pq.write_table(rewritten, tmp_path / "rewritten.parquet", compression="zstd")
    again = open_table(str(tmp_path / "rewritten.parquet"))
    assert again.made is None
    assert again.description == table.description
    assert read(again)["note"].to_pylist() == ["kept"] * 3
    assert read(again).select(["id", "image", "label"]).equals(read(table).take(pa.array([5, 0, 3])))


def test_labels_of_other_integer_types_are_read(tmp_path: Path) -> None:
    table = read(image_table(12))
    pq.write_table(table.set_column(2, "label", table["label"].cast(pa.int32())), tmp_path / "small.parquet")
    assert read(open_table(str(tmp_path / "small.parquet"))).equals(table)


@pytest.mark.parametrize("gone", ["id", "label"])
def test_a_described_table_without_its_columns_is_refused(gone: str, tmp_path: Path) -> None:
    pq.write_table(read(image_table(12)).drop_columns([gone]), tmp_path / "less.parquet")
    with pytest.raises(GencliError, match=f"no columns? `{gone}`"):
        open_table(str(tmp_path / "less.parquet"))


def test_shards_are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    table = image_table(2500)
    places = np.arange(2500)
    for shard in (2, 0, 1):
        save(table, tmp_path / f"part-{shard}.parquet", (places >= shard * 900) & (places < shard * 900 + 900))
    joined = open_table(str(tmp_path))
    assert joined.rows == 2500
    assert read(joined).equals(read(table))
    assert np.array_equal(joined.column("id"), table.column("id"))
    keep = places % 7 == 0
    assert read(joined, keep).equals(read(table, keep))


def test_shards_of_other_columns_are_refused(tmp_path: Path) -> None:
    save(image_table(), tmp_path / "a.parquet")
    save(image_table(shape=(2, 3, 1)), tmp_path / "b.parquet")
    with pytest.raises(GencliError, match=r"b.parquet: other columns than .*a.parquet"):
        open_table(str(tmp_path))


@given(start=st.integers(0, 2400), length=st.integers(0, 100))
def test_a_mask_keeps_its_rows(start: int, length: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = image_table(2500)
    keep = np.zeros(2500, bool)
    keep[start : start + length] = True
    again = save(table, tmp_path_factory.mktemp("mask") / "toy.parquet")
    assert read(again, keep).equals(read(table).slice(start, length))


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes_are_refused_by_row(label: int, tmp_path: Path) -> None:
    table = read(image_table(1200, classes=3))
    labels = np.zeros(1200, np.int64)
    labels[1100] = label
    pq.write_table(table.set_column(2, table.schema.field("label"), pa.array(labels)), tmp_path / "bad.parquet")
    with pytest.raises(GencliError, match=f"row 1100: label {label} is not one of the 3 classes"):
        read(open_table(str(tmp_path / "bad.parquet")))


@pytest.mark.parametrize("column", ["id", "image", "label"])
def test_missing_values_are_refused_by_row(column: str, tmp_path: Path) -> None:
    table = read(image_table(1200))
    values = table[column].to_pylist()
    values[1100] = None
    place = table.schema.get_field_index(column)
    field = table.schema.field(column).with_nullable(True)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), tmp_path / "bad.parquet")
    with pytest.raises(GencliError, match=f"row 1100: no {column}"):
        read(open_table(str(tmp_path / "bad.parquet")))


def test_images_of_another_size_are_refused_by_row(tmp_path: Path) -> None:
    table = read(image_table(1200))
    values = table["image"].to_pylist()
    values[1100] = b"12345"
    pq.write_table(table.set_column(1, "image", pa.array(values, pa.binary())), tmp_path / "bad.parquet")
    with pytest.raises(GencliError, match="row 1100: an image of 5 bytes, where 2×2×1 takes 4"):
        read(open_table(str(tmp_path / "bad.parquet")))


def with_target(rows: int = 12, shape: tuple[int, int, int] = (2, 3, 1)) -> tuple[Description, pa.Table]:
    """A table whose targets are other images."""
    table = image_table(rows, shape)
    schema = table.description.schema(("id", "image", "label", "target"))
    columns = read(table)
    return table.description, pa.Table.from_arrays([*columns, columns["image"][::-1]], schema=schema)


def test_a_target_is_kept_as_the_image_is(tmp_path: Path) -> None:
    description, table = with_target()
    pq.write_table(table, tmp_path / "pairs.parquet")
    again = open_table(str(tmp_path / "pairs.parquet"))
    assert read(again).equals(table, check_metadata=True)
    assert again.schema.field("target").metadata == {b"shape": b"2,3,1", b"dtype": b"uint8"}
    [batch] = again.batches()
    assert np.array_equal(arrow.unpack(batch, description, "target"), arrow.unpack(batch, description)[::-1])
    assert read(save(again, tmp_path / "saved.parquet")).equals(table, check_metadata=True)


def test_targets_that_other_tools_rewrote_become_fixed_again(tmp_path: Path) -> None:
    _, table = with_target()
    variable = table.set_column(3, "target", table["target"].cast(pa.binary()))
    pq.write_table(variable, tmp_path / "rewritten.parquet", compression="zstd")
    assert read(open_table(str(tmp_path / "rewritten.parquet"))).equals(table, check_metadata=True)


def test_bad_targets_are_refused(tmp_path: Path) -> None:
    _, table = with_target(1200)
    values = table["target"].to_pylist()
    for name, bad, words in (
        ("short", pa.array([*values[:1100], b"12345", *values[1101:]]), "row 1100: a target of 5 bytes, where 2×3×1"),
        ("missing", pa.array([*values[:1100], None, *values[1101:]], pa.binary(6)), "row 1100: no target"),
        ("number", pa.array(range(1200)), "column `target` is int64"),
    ):
        pq.write_table(table.set_column(3, "target", bad), tmp_path / f"{name}.parquet")
        with pytest.raises(GencliError, match=words):
            read(open_table(str(tmp_path / f"{name}.parquet")))
    pq.write_table(table.append_column("target", table["target"]), tmp_path / "twice.parquet")
    with pytest.raises(GencliError, match="2 columns `target`"):
        read(open_table(str(tmp_path / "twice.parquet")))


def test_identities_are_places_under_a_hash_of_name_and_split() -> None:
    sources = [("toy", "train"), ("toy", "test"), ("digits", "train"), ("to", "ytrain"), ("", "")]
    ids = np.array([identities(name, split, 5, 8) for name, split in sources])
    assert ids.dtype == np.int64
    assert np.array_equal(ids & 0xFFFFFFFF, np.tile([5, 6, 7], (5, 1)))
    assert (ids >= 0).all()
    assert len(np.unique(ids >> 32)) == len(sources)
    assert (ids >> 32 == ids[:, :1] >> 32).all()
    # everybody's draws hang on them
    assert identities("cifar10", "train", 7, 8).tolist() == [0x3B117E4700000007]


def test_packing_and_unpacking_copy_nothing() -> None:
    table = image_table(8)
    pixels = np.zeros((8, 2, 2, 1), np.uint8)
    packed = arrow.pack(pixels)
    batch = pa.RecordBatch.from_arrays([packed], ["image"])
    assert np.shares_memory(arrow.unpack(batch, table.description), pixels)


@given(start=st.integers(0, 9), length=st.integers(1, 10), dtype=st.sampled_from(["uint8", "float32"]))
def test_slices_unpack_to_their_rows(start: int, length: int, dtype: str) -> None:
    table = image_table(10, (2, 3, 2), dtype)
    [batch] = table.batches()
    rows = arrow.unpack(batch, table.description)[start : start + length]
    assert rows.dtype == dtype
    assert np.array_equal(arrow.unpack(batch.slice(start, length), table.description), rows)


def test_images_are_packed_whatever_their_strides() -> None:
    description = image_table(4, (3, 2, 1)).description
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 2, 3, 1).transpose(0, 2, 1, 3)
    batch = pa.RecordBatch.from_arrays([arrow.pack(pixels)], ["image"])
    assert np.array_equal(arrow.unpack(batch, description), pixels)


def test_small_tables_hold_their_provenance_and_the_rows(tmp_path: Path) -> None:
    rows = pa.table({"label": [0, 1, None], "accuracy": [0.5, None, 0.25]})
    made = provenance.step("eval", {})
    with Output(str(tmp_path / "result.parquet")) as output:
        parquet.write_rows(output, rows, made)
    file = parquet.open_file(Input(str(tmp_path / "result.parquet")))
    assert file.read().equals(rows)
    assert parquet.read_provenance(file) == made
    assert json.loads(file.metadata.metadata[b"gencli.provenance"])["rows"] == 3


def test_damage_to_rows_is_never_read_as_other_rows(tmp_path: Path) -> None:
    table = save(image_table(50), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for place in range(4, footer):
        damaged = tmp_path / "damaged.parquet"
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            assert read(open_table(str(damaged))).equals(read(table)), place
        except GencliError:
            refused += 1
    assert refused > 0.9 * (footer - 4)


def test_every_row_has_every_column() -> None:
    schema = Description("toy", "train", ("a",), (2, 3, 1)).schema(("id", "image", "label", "label_true"))
    assert not any(field.nullable for field in schema)
    assert [str(field.type) for field in schema] == ["int64", "fixed_size_binary[6]", "int64", "int64"]
