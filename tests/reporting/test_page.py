"""The page: one file that needs nothing else, whatever the names in it; read by a parser, and by a browser if any."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.cli import app
from gencli.reporting import page as made
from gencli.reporting.groups import Table
from tests.reporting.browser import BROWSER, Browser
from tests.reporting.made import history, result, training

HOSTILE = '</td><script>document.title="hacked"</script>&amp;"\x1b[2J'
VOID = {"meta", "path", "use", "rect", "image", "img", "br"}
ASSETS = {name: Path(made.__file__).with_name(name).read_text() for name in ("page.css", "page.js")}


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
            assert name != "style"
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for p, accuracy in ((None, 0.9), (0.5, 0.7), (1.0, 0.1)):
        for seed in (0, 1):
            loss = [2 * (1 + 9 * (p or 0)), 1.0, 0.123456789 + (p or 0)]
            history(folder / f"h{p}{seed}.parquet", training(p, seed=seed), test_accuracy=[0.1, 0.2, accuracy],
                    train_loss=loss)  # fmt: skip
    for arch in "abcdef":
        history(folder / f"z{arch}.parquet", training(None, arch=f"net-{arch}"), test_accuracy=[0.1, 0.2, 0.5])
    result(folder / "r.parquet", training(None), [0.5, 0.25], names=[HOSTILE, "b"])
    (folder / "c.csv").write_text("label,name,x,y\n0,x,3,1\n1,y,0,4\n")
    arguments = [f"{folder}/*.parquet", f"{folder}/c.csv", "--title", HOSTILE, "-o", str(folder / "page.html")]
    assert app.main(["report", *arguments]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Path:
    return folder / "page.html"


def test_a_page_is_well_formed_and_refers_to_itself_alone(page: Path) -> None:
    text = page.read_text()
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert len(set(checker.identities)) == len(checker.identities)
    assert {reference[1:] for reference in checker.references if reference.startswith("#")} <= set(checker.identities)
    assert all(reference.startswith(("#", "data:")) for reference in checker.references)
    assert "url(" not in text
    assert checker.tags.count("script") == 1
    assert checker.tags.count("table") == 2
    assert checker.tags.count("figure") >= 6
    assert checker.tags.count("details") == 14
    assert "\x1b" not in text


def test_its_policy_lets_its_own_script_and_style_run_and_nothing_else(page: Path) -> None:
    text = page.read_text()
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert found
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in ASSETS.values()
    ]
    assert (
        found[1] == f"default-src 'none'; style-src {hashes[0]}; script-src {hashes[1]}; img-src data:; base-uri 'none'"
    )
    assert len(ASSETS["page.js"].encode()) < 20_000


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


def _luminance(color: str) -> float:
    """Of #rgb or #rrggbb: WCAG 2.2, relative luminance."""
    digits = color[1:] if len(color) == 7 else "".join(2 * each for each in color[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("mode", [0, 1])
def test_words_and_curves_stand_out_by_day_and_by_night(mode: int) -> None:
    block = re.findall(r":root \{(.*?)\}", ASSETS["page.css"], re.DOTALL)[mode]
    colors = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]+)", block))

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((_luminance(colors[each]) for each in (one, other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for ground in ("page", "soft"):
        assert contrast("ink", ground) >= 7
        assert contrast("quiet", ground) >= 4.5
        assert contrast("link", ground) >= 4.5
    assert all(contrast(f"c{place}", "page") >= 3 for place in range(7))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no Chromium")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    started.faults.clear()
    started.asked.clear()
    yield started
    assert not started.faults
    assert all(each.startswith(("file:", "data:")) for each in started.asked)


def test_a_click_on_a_heading_sorts_both_ways_and_goes_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.title").startswith("</td>")  # and no script changed it
    heads = browser.all("table:first-of-type th")
    rows = "section:first-of-type tbody tr"
    column = heads.index("test accuracy")

    def values() -> list[str]:
        return browser.all(rows, f"each.cells[{column}].dataset.value")

    before = values()
    head = f"section:first-of-type th:nth-child({column + 1}) button"
    browser.click(head)
    assert [*map(float, values())] == sorted(map(float, before))
    browser.click(head)
    assert [*map(float, values())] == sorted(map(float, before), reverse=True)
    browser.click(head)
    assert values() == before
    browser.click(f"section:first-of-type th:nth-child({heads.index('corruption') + 1}) button")
    assert browser.all(rows, f"each.cells[{heads.index('corruption')}].innerText")[-2:] == [
        "random-labels p=0.5", "random-labels p=1",
    ]  # fmt: skip


def test_a_filter_takes_words_and_limits(browser: Browser, page: Path) -> None:
    browser.open(page)
    shown = "section:first-of-type tbody tr:not([hidden]) th"
    for words, names in (
        ("NET-b", ["net-b"]),
        ("mlp test_accuracy<=0.7", ["mlp-1x8", "mlp-1x8"]),
        ("test_accuracy>0.5 random", ["mlp-1x8"]),
        ("test_accuracy<", None),
        ("nothing<1", []),
        ("train>0", ["net-a", "net-b", "net-c", "net-d", "net-e", "net-f", "mlp-1x8", "mlp-1x8", "mlp-1x8"]),
        ("t>0", []),  # train_accuracy or test_accuracy
        ("epochs>0 net-c", ["net-c"]),  # and not epochs_to_fit
    ):
        browser.ask("document.querySelector('input').value = ''; document.querySelector('input').focus()")
        browser.write(words)
        found = browser.all(shown)
        assert sorted(found) == sorted(names or found[:0]) or (names is None and len(found) == 9), words
        assert browser.all(".tools [role=status]")[0] == ("9 rows" if len(found) == 9 else f"{len(found)} of 9 rows")


def test_the_pointer_and_the_keys_read_the_values_of_the_file(browser: Browser, page: Path, folder: Path) -> None:
    browser.open(page)
    loss = pq.read_table(folder / "h1.00.parquet")["train_loss"].to_pylist()
    browser.move("[data-kind=lines]", 0.95, 0.8)
    found = browser.all(".tip p")
    assert found[0] == "epoch 3"
    assert any(line.split("\n")[-1].startswith(f"{loss[2]:.6g}") and "p=1" in line for line in found)
    browser.ask("document.querySelector('[data-kind=lines]').focus()")
    for key, times, epoch in (("Home", 1, 1), ("ArrowRight", 1, 2), ("ArrowRight", 9, 3), ("ArrowLeft", 1, 2)):
        browser.press(key, times)
        assert browser.all(".tip p")[0] == f"epoch {epoch}"
    said = browser.all("[aria-live]", "each.textContent")[0]
    assert said.startswith("epoch 2: ")
    assert "random-labels p=1 (n=2) 1" in said
    browser.press("Escape")
    assert not browser.all(".tip")
    browser.move("[data-kind=bars]", 0.9, 0.2)
    assert HOSTILE[:5] in browser.all(".tip p")[0]
    browser.move("[data-kind=matrix]", 0.4, 0.2)
    assert browser.all(".tip p") == ["label x, predicted x", "3 of 4, 75.00 %"]


def test_a_click_hides_a_curve_in_all_panels_and_the_rest_take_the_height(browser: Browser, page: Path) -> None:
    browser.open(page)
    group = "#" + browser.all("section:has([data-kind=lines])", "each.id")[0]
    names = browser.all(f"{group} .legend li[data-s]")
    place = next(n for n, name in enumerate(names) if "p=1" in name)
    marks = f"{group} figure:first-of-type .up text"
    ticks = browser.all(marks, "each.textContent")
    assert ticks == ["0", "5", "10", "15", "20"]
    panels = len(browser.all(f'{group} .plot g[data-s="{place}"]', "1"))
    assert panels >= 3
    button = f"{group} .legend li:nth-child({place + 1}) button"
    browser.click(button)
    assert browser.all(button, "each.getAttribute('aria-pressed')") == ["false"]
    hidden = browser.all(f'{group} .plot g[data-s="{place}"]', "getComputedStyle(each).display")
    assert hidden[:panels] == ["none"] * panels
    assert browser.all(marks, "each.textContent") == ["0", "2", "4", "6", "8", "10"]
    browser.move(f"{group} .plot", 0.2, 0.2)
    assert browser.all(".tip")
    assert not any("p=1" in line for line in browser.all(".tip p"))
    browser.click(f"{group} .legend .all")
    assert browser.all(marks, "each.textContent") == ticks
    browser.click(button, times=2)
    assert browser.all(f"{group} .legend button[aria-pressed=true]") == [names[place]]


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_by_day_and_by_night(browser: Browser, page: Path, dark: bool) -> None:
    browser.open(page, 390, dark)
    assert browser.ask("document.documentElement.scrollWidth") == 390
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(19, 19, 22)" if dark else "rgb(255, 255, 255)")


def test_links_open_what_is_folded_and_headings_stay_in_sight(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click("td.files a")
    opened = "document.querySelector(location.hash).open"
    assert browser.ask(f"new Promise(done => setTimeout(() => done({opened}), 50))")
    browser.ask("document.querySelectorAll('.plot')[3].scrollIntoView()")
    assert browser.ask("document.elementFromPoint(300, 12).closest('h2')?.innerText") is not None
    tops = browser.all("figure:has(> [data-kind=lines]) .frame", "each.getBoundingClientRect().top")
    assert tops[0] == tops[1] < tops[2]


def test_it_can_be_read_without_a_script_and_on_paper(browser: Browser, page: Path) -> None:
    browser.open(page, script=False)
    assert browser.all("button") == []
    assert len(browser.all(".legend li")) > 9
    assert browser.all("[hidden], .off") in ([], [""])
    browser.open(page, dark=True)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert set(browser.all("nav, .tools", "getComputedStyle(each).display")) == {"none"}
    assert browser.all("thead th::before") == []
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.all("details:not([open])") == []


def test_a_drawing_is_part_of_the_page_with_identities_of_its_own_and_rows_name_their_files(tmp_path: Path) -> None:
    first, second = (history(tmp_path / f"{name}.parquet", training(lr=lr)) for name, lr in (("a", 0.1), ("b", 0.2)))
    rows = Table("runs", pa.table({"a": [1, 2]}), documents=((first,), (first, second)))
    svg = (b'<?xml version="1.0"?>\n<svg width="10pt" height="20pt" viewBox="0 0 1 1"><metadata>m\n</metadata>'
           b'<path id="p"/><use href="#p"/><g clip-path="url(#p)"/></svg>\n')  # fmt: skip
    page = made.page("T", [made.Part("One", rows), made.Part("Two & 3", svg)], [first, second])
    assert (
        '<figure class="drawn"><svg viewBox="0 0 1 1" role="img" aria-label="Two &amp; 3"><path id="drawn-p"/>'
        '<use href="#drawn-p"/><g clip-path="url(#drawn-p)"/></svg></figure>'
    ) in page
    assert "style-src 'unsafe-inline'; script-src 'sha256-" in page
    assert re.findall(r"<td class=files>(.*?)</td>", page) == [
        '<a href="#file-1">1</a>',
        '<a href="#file-1">1</a> <a href="#file-2">2</a>',
    ]
    assert re.findall(r'<details id="(file-\d)"><summary>(.*?)</summary>', page) == [
        ("file-1", f"1. {tmp_path}/a.parquet"),
        ("file-2", f"2. {tmp_path}/b.parquet"),
    ]
    named, untold = (
        replace(first, source=replace(first.source, name=name), title="standard input: digits")
        for name in ("given", "")
    )
    assert "<summary>1. given</summary>" in made.page("T", [], [named])
    assert "<summary>1. standard input</summary>" in made.page("T", [], [untold])
