"""Manifests: paths from their folder, labels as numbers or names, and paths that lead out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.sources.decoded import Decoding
from gencli.sources.manifest import ManifestTable
from tests.helpers import images
from tests.sources.test_packed import png


def opened(folder: Path, text: str, **how: object) -> ManifestTable:
    (folder / "in").mkdir(exist_ok=True)
    for place in range(4):
        (folder / "in" / f"{place}.png").write_bytes(png(place))
    (folder / "pets-test.csv").write_text(text)
    given = {"image": None, "label": "label", "classes": None, "renumber": False} | how
    return ManifestTable(Input(str(folder / "pets-test.csv")), None, None, Decoding(), **given)  # type: ignore[arg-type]


def test_rows_are_the_manifests(tmp_path: Path) -> None:
    table = opened(tmp_path, "path,label\nin/3.png,cat\nin/0.png,ant\nin/3.png,cat\n")
    assert images(table)[:, 0, 0, 0].tolist() == [3, 0, 3]
    assert table.column("label").tolist() == [1, 0, 1]
    assert (table.description.name, table.description.split) == ("pets", "test")
    assert table.description.classes == ("ant", "cat")
    before = table.inputs[1].sha256
    (tmp_path / "in" / "0.png").write_bytes(png(9))
    other = opened(tmp_path, "label,x,file\n7,,in/1.png\n42,,in/0.png\n", renumber=True)
    assert other.description.classes == ("7", "42")
    assert other.inputs[1].sha256 != before


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png", "in/../../x.png", "link/x.png", ""])
def test_paths_that_lead_out_are_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(GencliError, match="leads out of the manifest's folder"):
        opened(tmp_path, f"path,label\nin/1.png,0\n{path},1\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,label\nin/1.png,0\n", "no column `path`"),
        ("path,a\nin/1.png,0\n", "no column `label`"),
        ("path,label\nin/1.png\n", "1 cells for 2 columns"),
        ("path,label\nin/1.png,\n", "row 0: no label"),
        ("path,label\n", "no rows"),
        ("", "no rows"),
        ("path,path\n1,1\n", "two columns"),
        ("path,label\nin/7.png,0\n", "no such file"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=said):
        opened(tmp_path, text)


def test_what_is_wrong_is_said_in_full(tmp_path: Path) -> None:
    place = f"{tmp_path}/pets-test.csv"
    for text, how, said, hint in (
        ("path,label\nin/1.png,0\n../x,1\n", {}, f"{place}: row 1: '../x' leads out of the manifest's folder",
         "put the manifest above the images, and write paths from its folder"),
        ("pth,label\nin/1.png,0\n", {}, f"{place}: no column `path`", "--image names it; did you mean pth?"),
        ("path,labl\nin/1.png,0\n", {}, f"{place}: no column `label`", "--label names it; did you mean labl?"),
        ("path,label\nin/1.png,0\n", {"image": "picture"}, f"{place}: no column `picture`", None),
    ):  # fmt: skip
        with pytest.raises(GencliError) as refused:
            opened(tmp_path, text, **how)
        assert refused.value.message == said
        assert hint is None or refused.value.hint == hint
    table = opened(tmp_path, "image,file,label\nin/1.png,in/2.png,0\nin/3.png,in/0.png,1\n")
    assert images(table)[:, 0, 0, 0].tolist() == [2, 0]
    assert table.image_name(1) == f"{place}: row 1: in/0.png"
    chosen = opened(tmp_path, "image,file,label\nin/1.png,in/2.png,0\nin/3.png,in/0.png,1\n", image="image")
    assert images(chosen)[:, 0, 0, 0].tolist() == [1, 3]
