"""Whatever is given to it, gencli names the file and the trouble in one line and says what to do in another."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gencli.files import seals
from gencli.files.provenance import KEY
from gencli.files.stream import Output
from gencli.files.tensors import write
from tests.helpers import seal
from tests.pipelines.shell import Done, Shell, explained, many


class Files:
    """Makes bad files in a folder from the good ones of `data`."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.digits = pq.read_table(data / "digits.parquet")
        self.footer = pq.ParquetFile(data / "digits.parquet").metadata.metadata[KEY.encode()]

    def bytes(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return name

    def table(self, name: str, table: pa.Table, footer: bytes | str | None = None) -> str:
        with pq.ParquetWriter(self.folder / name, table.schema) as writer:
            writer.write_table(table)
            if footer is not None:
                writer.add_key_value_metadata({KEY: footer, seals.KEY: seals.BLANK})
        if footer is not None:
            seal(self.folder / name)
        return name

    def described(self, name: str, /, **facts: Any) -> str:
        """The digits, their description changed."""
        said = json.loads(self.digits.schema.metadata[b"gencli"]) | facts
        return self.saying(name, json.dumps(said))

    def saying(self, name: str, text: str) -> str:
        return self.table(name, self.digits.replace_schema_metadata({"gencli": text}))

    def made(self, name: str, **facts: Any) -> str:
        """The digits, their provenance changed."""
        said = json.loads(self.footer)
        return self.table(name, self.digits, json.dumps(said | {"step": said["step"] | facts}))

    def raw(self, name: str, facts: dict[str, str]) -> str:
        """The digits, nothing known of them but these facts of the image column."""
        field = self.digits.schema.field("image").with_metadata(facts)
        schema = self.digits.schema.set(1, field).remove_metadata()
        return self.table(name, self.digits.cast(schema))

    def column(self, name: str, column: str, values: pa.Array) -> str:
        place = self.digits.schema.get_field_index(column)
        return self.table(name, self.digits.set_column(place, column, values))

    def label(self, name: str, row: int, label: int | None) -> str:
        labels = self.digits.column("label").to_pylist()
        labels[row] = label
        return self.column(name, "label", pa.array(labels, pa.int64()))

    def hub(self, name: str, images: list[bytes | None], labels: list[int] | None = None, about: str = "{}") -> str:
        values = pa.array(
            [{"bytes": image, "path": None} for image in images],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
        table = pa.table({"image": values, "label": pa.array(labels or [0] * len(images))})
        return self.table(name, table.replace_schema_metadata({"huggingface": about}))

    def encrypted(self, name: str) -> str:
        """The digits with encrypted images, though everyone can read the footer."""

        class Keys(encryption.KmsClient):
            def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
                return base64.b64encode(key_bytes)

        columns = encryption.EncryptionConfiguration("a", column_keys={"b": ["image"]}, plaintext_footer=True)
        keys = encryption.CryptoFactory(lambda _: Keys())
        properties = keys.file_encryption_properties(encryption.KmsConnectionConfig(), columns)
        pq.write_table(self.digits, self.folder / name, encryption_properties=properties)
        return name

    def model(self, name: str, tensors: Mapping[str, torch.Tensor] | None = None, **facts: Any) -> str:
        """The model, its facts or its tensors changed; a fact that is None is left out."""
        with safe_open(self.data / "model.safetensors", "pt") as file:
            known = json.loads(file.metadata()["gencli"]) | facts | {"seal": None}
        said = {fact: value for fact, value in known.items() if value is not None}
        with Output(str(self.folder / name)) as output:
            write(output, dict(tensors or load_file(self.data / "model.safetensors")), said)
        return name

    def model_saying(self, name: str, text: str) -> str:
        save_file(load_file(self.data / "model.safetensors"), self.folder / name, {"gencli": text})
        return name

    def doubles(self) -> dict[str, torch.Tensor]:
        return {name: tensor.double() for name, tensor in load_file(self.data / "model.safetensors").items()}

    def more(self) -> dict[str, torch.Tensor]:
        return load_file(self.data / "model.safetensors") | {"extra": torch.zeros(1)}


def _png(size: tuple[int, int] = (8, 8), mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()


def _header(text: str, rest: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + rest


Case = tuple[Callable[[Files, str], str], str]

# what the file is: how it is made, what the message says of it
DATA: dict[str, Case] = {
    "missing": (lambda f, name: name, "no such file"),
    "text": (lambda f, name: f.bytes(name, b"id,label"), "not Parquet (it starts with b'id,l')"),
    "a pointer": (
        lambda f, name: f.bytes(name, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "is a Git LFS pointer, not the file",
    ),
    "an encrypted footer": (lambda f, name: f.bytes(name, b"PARE" * 9), "encrypted Parquet"),
    "an encrypted column": (lambda f, name: f.encrypted(name), "encrypted Parquet: Cannot decrypt"),
    "empty": (lambda f, name: f.bytes(name, b""), "empty, not Parquet"),
    "a model": (lambda f, name: f.bytes(name, (f.data / "model.safetensors").read_bytes()), "not Parquet"),
    "a history": (lambda f, name: f.bytes(name, (f.data / "history.parquet").read_bytes()), "no column `image`"),
    "no rows": (lambda f, name: f.table(name, f.digits.slice(0, 0)), "no rows"),
    "no label": (lambda f, name: f.table(name, f.digits.drop_columns("label")), "no column `label`"),
    "no image": (lambda f, name: f.table(name, f.digits.drop_columns("image")), "no column `image`"),
    "no id": (lambda f, name: f.table(name, f.digits.drop_columns("id")), "no column `id`"),
    "two labels": (
        lambda f, name: f.table(name, f.digits.append_column("label", f.digits.column("label"))),
        "2 columns `label`",
    ),
    "labels in words": (lambda f, name: f.column(name, "label", pa.array(["a"] * 300)), "`label` is string"),
    "labels in floats": (lambda f, name: f.column(name, "label", pa.array([0.5] * 300)), "row 0: label 0.5"),
    "images in lists": (
        lambda f, name: f.column(name, "image", pa.array([[0] * 63] * 300)),
        "row 0: an image with 63 values",
    ),
    "images in words": (lambda f, name: f.column(name, "image", pa.array(["x" * 64] * 300)), "`image` is string"),
    "large ids": (lambda f, name: f.column(name, "id", pa.array([(1 << 64) - 1] * 300, pa.uint64())), "row 0: id 1844"),
    "a large label": (lambda f, name: f.label(name, 7, 10), "row 7: label 10 is not one of the 10 classes"),
    "a negative label": (lambda f, name: f.label(name, 299, -1), "row 299: label -1 is not one of the 10 classes"),
    "no label in a row": (lambda f, name: f.label(name, 7, None), "row 7: no label"),
    "a short image": (
        lambda f, name: f.column(name, "image", pa.array([b"x" * 64] * 299 + [b"x" * 63])),
        "row 299: an image of 63 bytes, where 8×8×1 takes 64",
    ),
    "no image in a row": (
        lambda f, name: f.column(name, "image", pa.array([None] + [b"x" * 64] * 299)),
        "row 0: no image",
    ),
    "another shape": (
        lambda f, name: f.described(name, shape=[10, 10, 1]),
        "row 0: an image of 64 bytes, where 10×10×1 takes 100",
    ),
    "raw pixels of no shape": (lambda f, name: f.raw(name, {}), "column `image` (fixed_size_binary[64]) has no shape"),
    "raw pixels of a wrong shape": (lambda f, name: f.raw(name, {"shape": "8,8"}), "'8x8' is not a shape"),
    "raw pixels of a wrong type": (lambda f, name: f.raw(name, {"shape": "8,8,1", "dtype": "text"}), "holds text"),
    "an image of another size": (
        lambda f, name: f.hub(name, [_png(), _png((9, 8))]),
        "row 1: an image of 8×9×1, the first is 8×8×1",
    ),
    "an image of another mode": (
        lambda f, name: f.hub(name, [_png(), _png(mode="RGB")]),
        "row 1: an image of 8×8×3, the first is 8×8×1",
    ),
    "no image among images": (lambda f, name: f.hub(name, [_png(), b"no image"]), "row 1: not an image"),
    "half an image": (lambda f, name: f.hub(name, [_png(), _png()[:45]]), "row 1: not an image"),
    "no bytes": (lambda f, name: f.hub(name, [_png(), None]), "row 1: the image has no bytes"),
    "transparency": (lambda f, name: f.hub(name, [_png(mode="RGBA")]), "row 0: an image of mode RGBA"),
    "a bomb": (
        lambda f, name: f.hub(name, [_png((20_000, 20_000), "1")]),
        "row 0: an image of 400,000,000 pixels in ",
    ),
    "a foreign label without end": (lambda f, name: f.hub(name, [_png()], [1 << 60]), f"row 0: label {1 << 60}"),
    "a foreign negative label": (lambda f, name: f.hub(name, [_png()], [-1]), "row 0: label -1"),
    "a label without a name": (
        lambda f, name: f.hub(name, [_png()], [2], _features(["a", "b"])),
        "row 0: label 2 is not one of the 2 classes",
    ),
    "a description that is not JSON": (lambda f, name: f.saying(name, "{"), "corrupt metadata"),
    "a description without end": (lambda f, name: f.saying(name, "[" * 100_000), "corrupt metadata"),
    "a deep description": (lambda f, name: f.saying(name, _nested(700)), "corrupt metadata"),
    "a description that is a list": (lambda f, name: f.saying(name, "[]"), "corrupt metadata"),
    "an empty description": (lambda f, name: f.saying(name, "{}"), "corrupt metadata"),
    "a number for a name": (lambda f, name: f.described(name, name=1), "corrupt metadata"),
    "numbers for classes": (lambda f, name: f.described(name, classes=[1, 2]), "corrupt metadata"),
    "no classes": (lambda f, name: f.described(name, classes=[]), "corrupt metadata"),
    "half a character": (lambda f, name: f.described(name, name="\ud800"), "corrupt metadata"),
    "a shape in words": (lambda f, name: f.described(name, shape=["8", "8", "1"]), "corrupt metadata"),
    "a flat shape": (lambda f, name: f.described(name, shape=[8, 8]), "corrupt metadata"),
    "a negative shape": (lambda f, name: f.described(name, shape=[-8, -8, 1]), "corrupt metadata"),
    "a shape without end": (lambda f, name: f.described(name, shape=[1 << 40, 1 << 40, 1]), "corrupt metadata"),
    "objects": (lambda f, name: f.described(name, dtype="object"), "corrupt metadata"),
    "a footer that is not JSON": (lambda f, name: f.table(name, f.digits, "{"), "corrupt metadata"),
    "a footer that is not text": (lambda f, name: f.table(name, f.digits, b"\xff"), "corrupt metadata"),
    "a footer without end": (lambda f, name: f.table(name, f.digits, "[" * 100_000), "corrupt metadata"),
    "a deep footer": (lambda f, name: f.made(name, inputs=json.loads(_nested(700))["a"]), "corrupt metadata"),
    "a footer of another form": (lambda f, name: f.made(name, inputs={"role": 1}), "corrupt metadata"),
    "a footer with a wrong input": (lambda f, name: f.made(name, inputs=[{"role": "data"}]), "corrupt metadata"),
    "fewer rows than promised": (
        lambda f, name: f.table(name, f.digits.slice(1), f.footer),
        "299 rows, but its provenance records 300",
    ),
}

MODELS: dict[str, Case] = {
    "missing": (lambda f, name: name, "no such file"),
    "text": (lambda f, name: f.bytes(name, b"weights, many of them"), "not safetensors"),
    "empty": (lambda f, name: f.bytes(name, b""), "empty, not safetensors"),
    "a folder": (lambda f, name: (f.folder / name).mkdir() or name, "cannot be read: Is a directory"),
    "a table": (lambda f, name: f.bytes(name, (f.data / "digits.parquet").read_bytes()), "not safetensors"),
    "a pickle": (lambda f, name: torch.save({"a": torch.zeros(1)}, f.folder / name) or name, "not safetensors"),
    "cut short": (
        lambda f, name: f.bytes(name, (f.data / "model.safetensors").read_bytes()[:-1]),
        "cut short",
    ),
    "a header without end": (lambda f, name: f.bytes(name, _header("[" * 100_000)), "not safetensors"),
    "a header of words": (lambda f, name: f.bytes(name, _header('{"a":{"data_offsets":"b"}}')), "not safetensors"),
    "a header that is longer than the file": (lambda f, name: f.bytes(name, b"\xff" * 8 + b"{}"), "not safetensors"),
    "another's": (
        lambda f, name: save_file({"a": torch.zeros(1)}, f.folder / name) or name,
        "safetensors that gencli did not write",
    ),
    "words that are not JSON": (lambda f, name: f.model_saying(name, "{"), "corrupt metadata"),
    "words without end": (lambda f, name: f.model_saying(name, "[" * 100_000), "corrupt metadata"),
    "deep words": (lambda f, name: f.model_saying(name, _nested(700)), "corrupt metadata"),
    "a list": (lambda f, name: f.model_saying(name, "[]"), "corrupt metadata"),
    "no architecture": (lambda f, name: f.model(name, architecture=None), "tensors, but not a model"),
    "a number for an architecture": (lambda f, name: f.model(name, architecture=7), "tensors, but not a model"),
    "an unknown architecture": (lambda f, name: f.model(name, architecture="vgg"), "this version has no network 'vgg'"),
    "an architecture without end": (
        lambda f, name: f.model(name, architecture="mlp-99999999999x1"),
        "this version has no network 'mlp-99999999999x1'",
    ),
    "another architecture": (lambda f, name: f.model(name, architecture="mlp-1x17"), "not the tensors of mlp-1x17"),
    "a deeper architecture": (lambda f, name: f.model(name, architecture="mlp-2x16"), "not the tensors of mlp-2x16"),
    "no shape": (lambda f, name: f.model(name, shape=None), "tensors, but not a model"),
    "a shape in words": (lambda f, name: f.model(name, shape="8x8"), "tensors, but not a model"),
    "numbers for classes": (lambda f, name: f.model(name, classes=[1]), "tensors, but not a model"),
    "no provenance": (lambda f, name: f.model(name, step=None), "tensors, but not a model"),
    "a provenance in words": (lambda f, name: f.model(name, step="by hand"), "corrupt metadata"),
    "another preprocessing": (lambda f, name: f.model(name, preprocessing={"scale": 1}), "its preprocessing"),
    "numbers of another precision": (lambda f, name: f.model(name, f.doubles()), "not the tensors of mlp-1x16"),
    "one tensor more": (lambda f, name: f.model(name, f.more()), "not the tensors of mlp-1x16: extra is"),
}

OTHER_DATA: dict[str, Case] = {
    "of another shape": (
        lambda f, name: f.hub(name, [_png((9, 8))], None, _features(list("0123456789"))),
        "model.safetensors takes 8×8×1",
    ),
    "of another number of classes": (
        lambda f, name: f.described(name, classes=[*"0123456789", "ten"]),
        "model.safetensors has 10 (0, 1, 2, …)",
    ),
    "of other classes": (
        lambda f, name: f.described(name, classes=[*"012345678", "nine"]),
        "model.safetensors has 10 (…, 9)",
    ),
}

OPTIONS = {
    "corrupt random-labels {good} -p nan": "-p",
    "corrupt random-labels {good} -p inf": "-p",
    "corrupt random-labels {good} -p 1.1": "-p",
    "corrupt random-labels {good} -p -0.1": "-p",
    "corrupt random-labels {good} -p 1 --seed -1": "--seed",
    "corrupt random-labels {good} -p 1 --threads 0": "--threads",
    "corrupt shuffled-pixels {good} --channels none": "--channels",
    "train {good} --arch mlp-1x2 --lr inf": "--lr: inf is not finite",
    "train {good} --arch mlp-1x2 --init=": "--init: empty",
    "train {good} --arch mlp-1x2 --eval-data=": "--eval-data: empty",
    "train {good} --arch mlp-1x2 --loss=": "--loss: empty",
    "train {good} --arch mlp-1x2 --batch-size 10000000000000000000": "--batch-size: 10000000000000000000 takes more",
    "train {good} --arch mlp-1x2 --weight-decay nan": "--weight-decay",
    "train {good} --arch mlp-1x2 --epochs 0": "--epochs",
    "train {good} --arch mlp-1x2 --batch-size 0": "--batch-size",
    "train {good} --arch mlp-1x2 --until-train-accuracy nan": "--until-train-accuracy",
    "train {good} --arch mlp-1x2 --eval-data missing": "missing: no such file",
    "train {good} --arch vgg": "no network 'vgg'",
    "train {good} --arch mlp-0x2": "no network 'mlp-0x2'",
    "train {good} --arch mlp-1x2 --lr 1e30 -q": "the loss became",
    "data digits --classes 3,eighty": "no class 'eighty'",
    "data digits --classes 10": "no class '10'",
    "data digits --split validation": "--split",
    "data digits --limit 0": "--limit",
    "data parquet {good} --shape 8x8": "--shape: '8x8' is not a shape",
    "data parquet {good} --label id": "written by gencli, so it describes itself",
    "data parquet {good} --shape 8x8x1": "written by gencli, so it describes itself",
}


def _features(names: list[str]) -> str:
    return json.dumps({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}})


def _nested(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Files:
    return Files(tmp_path_factory.mktemp("bad"), data)


Answer = tuple[str, Path, Done]


@pytest.fixture(scope="module")
def answers(files: Files) -> dict[str, Answer]:
    """What every command said of every case, all run in one process: the file, the output, the end."""
    good, model = str(files.data / "digits.parquet"), str(files.data / "model.safetensors")
    asked: dict[str, tuple[str, list[str]]] = {}

    def ask(title: str, file: str, command: list[str]) -> None:
        asked[title] = file, [*command, "-o", f"{len(asked)}.out"]

    for number, (title, (make, _)) in enumerate(DATA.items()):
        file = make(files, f"data-{number}")
        ask(f"corrupt {title}", file, ["corrupt", "random-labels", "-p", "1", "-q", file])
        ask(f"train {title}", file, ["train", "--arch", "mlp-1x2", "--epochs", "1", file])
        ask(f"data {title}", file, ["data", "parquet", file, "--sample", "1000"])
    for number, (title, (make, _)) in enumerate(MODELS.items()):
        file = make(files, f"model-{number}")
        ask(f"eval {title}", file, ["eval", file, good])
    for number, (title, (make, _)) in enumerate(OTHER_DATA.items()):
        file = make(files, f"other-{number}")
        ask(f"eval data {title}", file, ["eval", model, file])
    for command in OPTIONS:
        ask(command, "", command.format(good=good).split())
    ends = many(files.folder, [command for _, command in asked.values()])
    return {
        title: (file, files.folder / command[-1], end)
        for (title, (file, command)), end in zip(asked.items(), ends, strict=True)
    }


def _refused(answer: Answer, words: str) -> None:
    file, output, end = answer
    end.refused(file, words)
    assert not output.exists()


@pytest.mark.parametrize("command", ["corrupt", "train", "data"])
@pytest.mark.parametrize("title", DATA)
def test_data(answers: dict[str, Answer], command: str, title: str) -> None:
    _refused(answers[f"{command} {title}"], DATA[title][1])


@pytest.mark.parametrize("title", MODELS)
def test_models(answers: dict[str, Answer], title: str) -> None:
    _refused(answers[f"eval {title}"], MODELS[title][1])


@pytest.mark.parametrize("title", OTHER_DATA)
def test_data_that_is_not_the_models(answers: dict[str, Answer], title: str) -> None:
    _refused(answers[f"eval data {title}"], OTHER_DATA[title][1])


@pytest.mark.parametrize("command", OPTIONS)
def test_options(answers: dict[str, Answer], command: str) -> None:
    _refused(answers[command], OPTIONS[command])


def test_nothing_is_left_behind(answers: dict[str, Answer], files: Files) -> None:
    assert not list(files.folder.glob(".*"))


def test_what_is_not_bad_is_taken(sh: Shell, files: Files) -> None:
    """The cases above fail for what is said of them, not for how they are made."""
    for place, file in enumerate([
        files.described("same"), files.made("made"), files.label("label", 7, 3),
        files.raw("raw-train.parquet", {"shape": "8,8,1"}), files.hub("hub", [_png(), _png()]),
    ]):  # fmt: skip
        sh(f"gencli corrupt random-labels -p 1 {files.folder / file} -o {place}").worked()
    sh(f"gencli eval {files.folder / files.model('model')} $D/digits.parquet").worked()


def test_a_folder_without_tables(sh: Shell) -> None:
    (sh.folder / "folder").mkdir()
    done = sh("gencli corrupt random-labels -p 1 folder").refused("folder: a folder without *.parquet files")
    assert "gencli data folder makes an image table" in done.err


def test_the_nearest_class_is_named(sh: Shell, files: Files) -> None:
    file = files.described("named", classes=["cat", "dog", "airplane", *"3456789"])
    done = sh(f"gencli data parquet {files.folder / file} --classes cat,aeroplane").refused("no class 'aeroplane'")
    assert "did you mean airplane?" in done.err


def _damaged(content: bytes, count: int) -> dict[str, bytes]:
    """The content cut at `count` places, and with one byte changed at as many."""
    random = np.random.default_rng(0)
    cuts = {f"cut at {place}": content[:place] for place in map(int, np.linspace(0, len(content) - 1, count))}
    # most of a table is pixels, in which any byte will do; half of the changes are in the last fifth, the footer
    places = [
        *random.integers(0, len(content), count // 2),
        *random.integers(len(content) * 4 // 5, len(content), count // 2),
    ]
    return cuts | {
        f"changed at {place}": content[:place]
        + bytes([content[place] ^ 1 << int(random.integers(8))])
        + content[place + 1 :]
        for place in map(int, places)
    }


def test_damage_is_noticed_or_harmless(tmp_path: Path, data: Path) -> None:
    """Whatever is cut off or changed: no traceback, no hang, no crash, and no output from what was cut."""
    tables = _damaged((data / "corrupted.parquet").read_bytes(), 20)
    models = _damaged((data / "model.safetensors").read_bytes(), 20)
    commands: list[list[str]] = []
    for title, content in tables.items():
        (tmp_path / f"table {title}").write_bytes(content)
        commands.append(["corrupt", "random-labels", "-p", "1", f"table {title}"])
        commands.append(["train", "--arch", "mlp-1x2", "--epochs", "1", f"table {title}"])
    for title, content in models.items():
        (tmp_path / f"model {title}").write_bytes(content)
        commands.append(["eval", f"model {title}", str(data / "test.parquet")])
    commands = [[*command, "-o", f"{place}.out"] for place, command in enumerate(commands)]
    refused = 0
    for command, end in zip(commands, many(tmp_path, commands), strict=True):
        cut = any("cut at" in word for word in command)
        assert end.status in ((2,) if cut else (0, 2)), (command, end)
        if end.status == 2:
            refused += 1
            explained(end.err)
            assert not (tmp_path / command[-1]).exists()
    assert refused > sum("cut at" in " ".join(command) for command in commands)
