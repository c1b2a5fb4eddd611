"""The page: one file that needs nothing else, whatever the names in it; read by a parser, and by a browser if any."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gencli.cli import app
from tests.reporting.made import history, result, training

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = '</td><script>document.title="hacked"</script>&amp;"\x1b[2J'
VOID = {"meta", "path", "use", "rect", "image"}


class Checker(HTMLParser):
    """Elements that close as they opened, their identities, what they refer to, and the text of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.identities: list[str] = []
        self.references: list[str] = []
        self.cells: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.identities.append(value or "")
            if name in ("href", "src", "xlink:href"):
                self.references.append(value or "")
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for p, accuracy in ((None, 0.9), (0.5, 0.7), (1.0, 0.1)):
        for seed in (0, 1):
            history(folder / f"h{p}{seed}.parquet", training(p, seed=seed), test_accuracy=[0.1, accuracy])
    result(folder / "r.parquet", training(None), [0.5, 0.25], names=[HOSTILE, "b"])
    (folder / "c.csv").write_text("label,name,x,y\n0,x,3,1\n1,y,0,4\n")
    out = folder / "page.html"
    arguments = [f"{folder}/*.parquet", f"{folder}/c.csv", "--title", HOSTILE, "-o", str(out)]
    assert app.main(["report", *arguments]) == 0
    return out


def test_a_page_is_well_formed_and_refers_to_itself_alone(page: Path) -> None:
    text = page.read_text()
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert len(set(checker.identities)) == len(checker.identities)
    assert {reference[1:] for reference in checker.references if reference.startswith("#")} <= set(checker.identities)
    assert all(reference.startswith(("#", "data:")) for reference in checker.references)
    assert not re.search(r"url\((?!#s\d|&quot;)", text)
    assert checker.tags.count("script") == 1
    assert checker.tags.count("table") == 2
    assert checker.tags.count("svg") >= 6
    assert checker.tags.count("details") == 8
    assert "default-src 'none'" in text
    assert "\x1b" not in text


def test_names_with_markup_are_text(page: Path) -> None:
    checker = Checker()
    checker.feed(page.read_text())
    assert HOSTILE.replace("\x1b", "�") in checker.cells
    assert "0.7000 ± 0.0000" in checker.cells


def test_the_pipeline_behind_each_row_is_there(page: Path) -> None:
    text = page.read_text()
    assert "gencli corrupt random-labels -p 0.5 --seed 0" in text
    assert "gencli train --arch mlp-1x8 --lr 0.1 --seed 1" in text
    assert "no provenance: the file does not say" in text


_SCRIPT = """
<script>
document.documentElement.style.width = "360px";
const heads = [...document.querySelectorAll("table")[0].querySelectorAll("th button")];
const column = heads.findIndex(head => head.textContent === "test accuracy");
const cells = () => [...document.querySelectorAll("table")[0].tBodies[0].rows].map(r => +r.cells[column].dataset.value);
heads[column].click(); const up = cells(); heads[column].click(); const down = cells();
location.hash = document.querySelector("td a").getAttribute("href");
setTimeout(() => {
  const said = {up, down, wide: document.body.scrollWidth, title: document.title,
    open: document.querySelector(location.hash).open, background: getComputedStyle(document.body).backgroundColor};
  document.body.textContent = JSON.stringify(said);
}, 50);
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_sorts_opens_pipelines_and_fits_a_phone(page: Path, tmp_path: Path, dark: bool) -> None:
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text() + _SCRIPT)
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}",
            "--window-size=500,700", *scheme, "--virtual-time-budget=3000", "--dump-dom", probe.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = re.search(r'\{"up".*\}', html.unescape(done.stdout))
    assert found, done.stdout[-500:]
    said = json.loads(found[0])
    assert said["up"] == sorted(said["up"])
    assert said["down"] == sorted(said["up"], reverse=True)
    assert len(said["up"]) == 3
    assert said["open"]
    assert said["wide"] <= 360
    assert said["title"].startswith("</td>")  # what the page was called, and no script changed
    assert said["background"] == ("rgb(17, 17, 17)" if dark else "rgba(0, 0, 0, 0)")
