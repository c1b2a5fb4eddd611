"""Which words of a command line name plug-ins, and what is said of those that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal

import pytest
import typer

from gencli import plugins
from gencli.errors import GencliError


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is loaded, in its order: the words before it, modules, entries by name."""
    found: list[Any] = []
    monkeypatch.delenv("GENCLI_PLUGIN", raising=False)
    monkeypatch.setattr(plugins, "load", found.append)
    monkeypatch.setattr(plugins, "_named_entries", lambda words: iter(()))
    return found


@pytest.mark.parametrize(
    ("words", "rest", "modules"),
    [
        ([], [], []), (["train", "--lr", "1"], ["train", "--lr", "1"], []),
        (["--plugin", "a.b", "train"], ["train"], ["a.b"]), (["train", "--plugin=a"], ["train"], ["a"]),
        (["--plugin", "a", "x", "--plugin=b", "--plugin", "c"], ["x"], ["a", "b", "c"]),
        (["x", "--", "--plugin", "a"], ["x", "--", "--plugin", "a"], []),
        (["x", "--plugin", "a", "--"], ["x", "--"], ["a"]),
        (["--plugins", "a", "plugin"], ["--plugins", "a", "plugin"], []),
    ],
)  # fmt: skip
def test_modules_are_named_anywhere_before_two_dashes(
    words: list[str], rest: list[str], modules: list[str], loaded: list[Any]
) -> None:
    before: list[Sequence[str]] = []
    assert plugins.begin(words, before.append) == rest
    assert loaded == modules
    assert before == ([rest[: rest.index("--")] if "--" in rest else rest] if modules else [])


def test_modules_of_the_environment_come_first(loaded: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLI_PLUGIN", " a  b.c ")
    assert plugins.begin(["x", "--plugin", "d"], lambda words: None) == ["x"]
    assert loaded == ["a", "b.c", "d"]


@pytest.mark.parametrize("words", [["--plugin"], ["--plugin="], ["x", "--plugin", "--", "a"]])
def test_a_plug_in_without_a_name_is_refused(words: list[str], loaded: list[Any]) -> None:
    with pytest.raises(GencliError, match=r"^--plugin: no module$"):
        plugins.begin(words, lambda words: None)
    assert not loaded


@pytest.mark.parametrize("listed", [True, False])
def test_what_a_list_alone_asks_for_may_fail(
    listed: bool, loaded: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(group: str, entry: Any) -> None:
        raise GencliError(f"{group}: {entry} fails", "mend it")

    monkeypatch.setattr(plugins, "_named_entries", lambda words: iter([("g", "e", listed)]))
    monkeypatch.setattr(plugins, "_load_entry", fail)
    if listed:
        assert plugins.begin(["x"], lambda words: None) == ["x"]
        assert capsys.readouterr().err == "left out: g: e fails\n"
    else:
        with pytest.raises(GencliError, match=r"^g: e fails$"):
            plugins.begin(["x"], lambda words: None)


@pytest.mark.parametrize(
    ("module", "known"),
    [
        ("a/b.py", "a.b"), ("./a.py", "a"), ("a-b.py", "package.module"), ("gencli", "package.module"),
        ("gencli.losses", "package.module"), ("1a", "package.module"), ("a.", "package.module"),
        ("a..b", "package.module"),
    ],
)  # fmt: skip
def test_a_file_or_no_name_is_no_module(module: str, known: str) -> None:
    with pytest.raises(GencliError) as refused:
        plugins.load(module)
    assert refused.value.message == f"--plugin: {module!r} is no module of a plug-in"
    assert refused.value.hint == f"give its name: --plugin {known}"


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        (["a", "b.c"], "allow its code with --plugin a --plugin b.c"),
        (["a", 1, "x y", "d"], "allow its code with --plugin a --plugin d"),
        ([], "other"), (None, "other"), ("a", "other"), ([1], "other"),
    ],
)  # fmt: skip
def test_an_unknown_name_has_the_plug_ins_of_its_step(named: Any, hint: str) -> None:
    assert plugins.hint({"plugin": named}, "other") == hint
    assert plugins.hint({}, "other") == "other"


ENTRIES = {
    "gencli.corruptions": ["blur-more"], "gencli.claims": ["one-is-one"], "gencli.networks": ["tiny"],
    "gencli.losses": ["tempered"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("train d --arch tiny-8", "tiny"), ("train d --arch=tiny-8 --loss tempered", "tempered tiny"),
        ("train d --arch linear", ""), ("train tempered tiny", ""), ("train --help", "tempered?"),
        ("train -h", "tempered?"),
        ("help train", "tempered?"), ("help hvp", "tempered?"), ("eval --help", ""), ("--help", ""), ("", ""),
        ("help", ""),
        ("corrupt", "blur-more?"), ("corrupt --help", "blur-more?"), ("help corrupt", "blur-more?"),
        ("corrupt blur-more x", "blur-more"), ("corrupt other x", ""), ("corrupt other --help", ""),
        ("check", "one-is-one?"), ("check one-is-one", "one-is-one"), ("--threads 2 corrupt", "blur-more?"),
        ("--color never corrupt blur-more", "blur-more"), ("--list-archs", "tiny?"), ("train --list-archs", "tiny?"),
        ("help corrupt blur-more", "blur-more"), ("--quiet check", "one-is-one?"),
    ],
)  # fmt: skip
def test_words_name_entries_of_installed_packages(line: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(groups: Sequence[str]) -> Any:
        return ((group, EntryPoint(name, "m:x", group)) for group in groups for name in ENTRIES[group])

    for name in ("GENCLI_ARCH", "GENCLI_LOSS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(plugins, "_entries", entries)
    named = [f"{entry.name}{'?' * listed}" for _, entry, listed in plugins._named_entries(line.split())]
    assert " ".join(named) == found


def test_the_environment_names_entries_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugins._is_said("gencli.networks", "tiny", {"tiny-8"})
    assert not plugins._is_said("gencli.losses", "tiny", {"tiny-8", "tinyx"})
    assert not plugins._is_said("gencli.networks", "tiny", {"tinyx", "a-tiny-8"})
    for name, asks in (
        ("GENCLI_TRAIN_ARCH", True),
        ("GENCLI_TRAIN_LOSS", True),
        ("GENCLI_ARCHS", False),
        ("X_ARCH", False),
    ):
        with monkeypatch.context() as patched:
            patched.setenv(name, "tiny-8")
            assert plugins._ask_for_models(["train"]) == asks
    assert [plugins._ask_for_models([word]) for word in ("--arch=x", "--loss", "--lr", "arch")] == [
        True,
        True,
        False,
        False,
    ]


@dataclass(frozen=True)
class Right:
    """A loss."""

    name = "right"
    a: Annotated[int, typer.Option(help="A.")] = 1
    b: Annotated[float | None, typer.Option(help="B.")] = None
    c: Literal["x", "y"] = "x"
    d: int | str = 2


def test_options_are_told_by_annotations() -> None:
    found = plugins._options(Right)
    assert {name: kind for name, (kind, _) in found.items()} == {
        "a": int, "b": float, "c": Literal["x", "y"], "d": int | str
    }  # fmt: skip
    assert [told and told.help for _, told in found.values()] == ["A.", "B.", None, None]


def test_classes_of_another_form_are_refused() -> None:
    class Plain:
        """Words."""

        name = "plain"

    @dataclass(frozen=True)
    class Wordless:
        name = "wordless"

    @dataclass(frozen=True)
    class Child(Right):
        """Words."""

    class Heir(Right):
        """Words."""

    for thing, said in ((Plain, "no dataclass"), (Wordless, "no docstring"), (Heir, "no dataclass")):
        with pytest.raises(GencliError) as refused:
            plugins._require_shape("gencli.claims", thing, "it")
        assert refused.value.message.startswith(f"it {'is' if 'class' in said else 'has'} {said}")
    plugins._require_shape("gencli.claims", Child, "it")
    with pytest.raises(GencliError, match=r"^it: its option d is int \| str$"):
        plugins._require_options(Right, "it")

    @dataclass(frozen=True)
    class Needy:
        """Words."""

        a: int

    with pytest.raises(GencliError, match=r"^it: its option a has no default$"):
        plugins._require_options(Needy, "it")
