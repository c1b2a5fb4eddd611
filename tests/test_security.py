"""What the README says under "Security", but for conditions (test_where); how limits are met: in their parts' tests."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from gencli import models
from gencli.errors import GencliError
from gencli.files import pages, parquet, provenance, stored, tensors
from gencli.sources import open_table, pixels
from gencli.sources.decoded import Decoding
from gencli.sources.folder import FolderTable
from tests.helpers import image_table, read, save
from tests.hostile import thrift
from tests.hostile.seeds import seal

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTION = " ".join(README.partition("\n## Security\n")[2].partition("\n## ")[0].split())

WATCHED = """
import json, os, sys, warnings
seen = []
def hook(event, arguments):
    if event in ("open", "import"):
        seen.append(f"{event} {arguments[0]}")
    elif "/sbin/ldconfig" in str(arguments):
        pass  # Python itself finds libraries so
    elif event.startswith(("subprocess.", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.")):
        seen.append(f"{event} {arguments!s:.200}")
sys.addaudithook(hook)
sys.path.insert(0, os.getcwd())
from gencli.cli.app import main
lines = json.load(sys.stdin)
statuses = [seen.append(f"line {place}") or main(line) for place, line in enumerate(lines)]
print(json.dumps([statuses, seen]))
"""


def watched(folder: Path, *lines: str) -> tuple[list[int], list[str]]:
    """How commands end, all in one process, and what it opens, imports and starts."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], input=json.dumps([line.split() for line in lines]), cwd=folder,
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    statuses, seen = json.loads(done.stdout.splitlines()[-1])
    return statuses, seen


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder with code, and files that name it, or another file."""
    (tmp_path / "foreigners.py").write_text(
        "import torch\ndef factory(shape, classes):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, classes))\n"
    )
    (tmp_path / "not-to-be-opened").touch()
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    names = tuple(f"class {label}" for label in range(3))
    own = models.Model("foreigners:factory", (2, 2, 1), names, network)
    with tensors.Output(str(tmp_path / "own.safetensors"), binary=True) as output:
        models.write(output, own, {}, provenance.Step("train", {}, {}, ()))
    (tmp_path / "pickled.safetensors").write_bytes(pickle.dumps(os.getcwd))
    torch.save(network.state_dict(), tmp_path / "pickled.pt")
    save(image_table(), tmp_path / "t.parquet")
    png = io.BytesIO()
    Image.new("L", (2, 2), 7).save(png, "PNG")
    image = pa.array(
        [{"bytes": png.getvalue(), "path": "not-to-be-opened"}], pa.struct({"bytes": pa.binary(), "path": "string"})
    )
    pq.write_table(pa.table({"image": image, "label": [0]}), tmp_path / "hub.parquet")
    (tmp_path / "drawn").mkdir()
    for name in "ab":
        (tmp_path / "drawn" / name).mkdir()
        (tmp_path / "drawn" / name / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\n")
    return tmp_path


def test_files_run_no_code_and_open_no_other_file(strangers: Path) -> None:
    assert "imports no code and unpickles nothing, and opens no other file that it names" in SECTION
    assert "runs only where the command line names it: `--arch package.module:factory`" in SECTION
    assert "none of them starts a program" in SECTION
    assert "gencli uses the network only for `gencli data cifar10` and the other published data sets" in SECTION
    statuses, seen = watched(
        strangers,
        "eval own.safetensors t.parquet -q --format csv",
        "eval pickled.safetensors t.parquet -q",
        "eval pickled.pt t.parquet -q",
        "data parquet hub.parquet -q -o out.parquet",
        "data folder drawn -q --threads 1 -o d.parquet",
        "corrupt random-labels -p 0.5 t.parquet -q -o noisy.parquet",
        "how noisy.parquet --tree",
        "train t.parquet --arch linear --epochs 1 --checkpoint pickled.pt --resume -q -o m.safetensors",
        "eval own.safetensors t.parquet --arch foreigners:factory -q -o result.csv",
    )
    assert statuses == [2, 2, 2, 0, 2, 0, 0, 2, 0]
    named = seen.index("line 8")
    assert not [each for each in seen[:named] if "foreigners" in each]
    assert any(each.endswith("/foreigners.py") for each in seen[named:])
    assert not [each for each in seen if "not-to-be-opened" in each]
    assert not [each for each in seen if each.startswith(("subprocess", "os.", "socket", "pickle"))]


def test_the_limits_are_those_of_the_code() -> None:
    (formats,) = re.findall(r"in the (\d+) formats that `gencli data folder --help` lists", SECTION)
    assert int(formats) == len(pixels.FORMATS)
    assert not {"EPS", "WMF", "PDF"} & set(pixels.FORMATS)
    image = f"{pixels._ANY_FILE >> 20} MiB of pixels, or {pixels._A_BYTE} bytes of pixels per byte of its file"
    assert image in SECTION
    assert f"at most {Image.MAX_IMAGE_PIXELS:,} pixels" in SECTION
    assert parquet._ROWS == 1 << 20
    assert "a million rows, or one per byte of the file" in SECTION
    assert f"{parquet._VALUES:,} values, or {parquet._A_BYTE} per byte" in SECTION
    sizes = f"a page may take {pages._PAGE >> 20} MiB and a column of text or bytes {pages._COLUMN >> 20} MiB"
    assert f"{sizes}, or {pages._A_BYTE} bytes per byte of the page or the file" in SECTION
    assert f"{stored._HEADER >> 20} MiB, or as many bytes as the tensors" in SECTION
    assert models._STORED == 2
    assert "twice the bytes of its file" in SECTION


def test_a_folder_is_read_whole_or_refused(tmp_path: Path) -> None:
    assert "Links may lead out of the folder; names that start with a dot are not read" in SECTION
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("set/a/1.png", "elsewhere/2.png", "set/a/.3.png"):
        Image.new("L", (2, 2), 7).save(tmp_path / name)
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "again").symlink_to(tmp_path / "set" / "a")  # each folder once
    assert read(FolderTable(str(tmp_path / "set"), None, None, Decoding())).num_rows == 2
    os.mkfifo(tmp_path / "set" / "a" / "pipe.png")
    with pytest.raises(GencliError, match="a named pipe"):
        FolderTable(str(tmp_path / "set"), None, None, Decoding())


def test_seals_find_damage_and_no_intent(tmp_path: Path) -> None:
    assert "Seals detect corruption, not intent: whoever changes a file can seal it again" in SECTION
    path = tmp_path / "t.parquet"
    before = save(image_table(), path).inputs[0].sha256
    content = path.read_bytes()
    ids = thrift.pages(content)[0]
    values = np.frombuffer(content[ids.start : ids.end], np.int64).copy()
    values[3] += 100
    changed = thrift.with_page(content, ids, values.tobytes())
    path.write_bytes(changed)
    with pytest.raises(GencliError, match="not the Parquet that gencli sealed"):
        open_table(str(path))
    path.write_bytes(seal(changed))
    other = open_table(str(path))
    assert other.column("id").tolist() == values.tolist()
    assert other.inputs[0].sha256 != before
