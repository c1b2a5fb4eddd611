"""What the documentation says works when it is typed in."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gencli.cli.reference import Page, read_tree
from gencli.commands.data.downloads import SOURCES
from tests.pipelines.shell import Shell

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def bash(script: str, folder: Path) -> str:
    done = Shell(folder)(f"set -eu\n{script}").worked()
    return done.out.decode(errors="replace")  # some outputs are binary


def test_the_tour_of_the_readme_runs(tmp_path: Path):
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    short = re.sub(r"--epochs \d(\d)", r"--epochs 1\1", "\n".join(blocks))  # a sixth of the time
    output = bash(short, tmp_path)
    assert "memorized" in output
    assert "gencli corrupt random-labels -p 0.5 --seed 0" in output
    assert {path.name for path in tmp_path.iterdir()} >= {"half.png", "curves.png", "table.md", "predictions.csv"}
    for script in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_the_readme_names_every_command():
    for page in read_tree().walk():
        assert page.children or f"`{' '.join(page.words)}`" in README


def test_every_block_of_the_readme_ends_where_it_should():
    text = re.sub(r"^```\w*\n.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    assert "```" not in text
    titles = re.findall(r"^## .*", README, re.MULTILINE)
    assert re.findall(r"(?:\A|\n\n)(## .*)\n\n", text) == titles


def example(page: Page) -> str | None:
    found = re.search(r"^Example:\n((?:  .*\n?)+)", page.help, re.MULTILINE)
    return None if found is None else found[1]


# these need files that the user has, or the network
NEEDY = {"gencli-data-parquet", *(f"gencli-data-{name}" for name in SOURCES)}
EXAMPLES = {page.name: example(page) for page in read_tree().walk() if page.name not in NEEDY}


@pytest.mark.parametrize("name", [name for name, script in EXAMPLES.items() if script])
def test_the_example_of_a_help_runs(name: str, tmp_path: Path):
    bash(EXAMPLES[name] or "", tmp_path)


@pytest.mark.shared
def test_the_example_of_data_parquet_runs(shared_data: Path, tmp_path: Path):
    (tmp_path / "cifar10-train.parquet").symlink_to(shared_data.resolve() / "cifar10-train.parquet")
    (script,) = [example(page) for page in read_tree().walk() if page.name == "gencli-data-parquet"]
    bash(script or "", tmp_path)
    assert (tmp_path / "train.parquet").stat().st_size > 5000 * 3072
