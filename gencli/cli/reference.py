"""The command tree as man pages and as completions for bash, zsh and fish.

`python -m gencli.cli.reference [--plugin MODULE] [FOLDER]` writes them. They depend on the commands alone, no dates, so
that a test can hold the committed ones against the tree.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gencli
from gencli import plugins
from gencli.cli.app import command_tree
from gencli.cli.common import early
from gencli.cli.completions import bash, fish, zsh

_STATUS = """\
0    success, and the claim holds
1    a check failed
2    any other error, including usage errors
130  interrupted
143  terminated
141  output pipe closed: the reader of standard output exited
"""
_FORMATS = {
    "image table": """\
Parquet: `id` int64, the row's identity; `image` fixed-size binary, height*width*channels values of uint8 or float32,
row-major, channels last, the shape in the field's metadata; `label` int64; if labels were corrupted, `label_true`
int64, the original label; for image-to-image networks `target`, like `image`. The schema key `gencli` holds the data
set's name, split, class names and shape as JSON.
Tables with encoded images (struct<bytes, path> in a column `image` or `img`) and a `label` can be read too.""",
    "history": """\
Parquet, one row per epoch: `epoch`, `step`, `seconds`, `images_per_second`, `train_loss`, `train_cross_entropy`,
`train_accuracy`, the same of `test`, `learning_rate`; for corrupted data `clean_accuracy`, `memorized`, `recovered`.
The losses are those of `train --loss`; cross-entropies, in nats, are without label smoothing. CSV,
JSON and JSON lines have `gencli.provenance` too, in the first row.""",
    "result": """\
Parquet or text, one row per class and one for all classes, whose label is null: `label`, `name`, `n`, `accuracy`,
`loss`, that of the training, and `cross_entropy`; for corrupted data `corrupted`, `memorized`, `recovered`.""",
    "table of claims": """\
Parquet or text, one row per instance and quantity: `claim`, `instance`, `quantity`, `left`, `relation`, `right`,
`slack`, `holds`.""",
    "model": """\
safetensors: parameters and buffers by name; the metadata key `gencli` holds architecture, image shape, class names,
preprocessing and training settings as JSON.""",
}
_PROVENANCE = """\
How a file was made is recorded in the footer key `gencli.provenance` of Parquet and in a model's metadata;
`gencli how FILE --tree` shows it."""
_FILES = {"FILE", "PATH", "DIR", "TABLE", "DATA", "MODEL"}  # forms of values that name files
_NUMBERS = {"int": "N", "float": "X"}


@dataclass(frozen=True)
class Option:
    """One option, or an argument, which has no names.

    Attributes:
        value: the form of its value; empty for flags.
        choices: the values it can take; the likely ones where it can take others.
        repeats: whether it can be given again.
        heading: of its section in the help; empty for what all commands share.
    """

    names: tuple[str, ...]
    value: str
    help: str
    choices: tuple[str, ...] = ()
    repeats: bool = False
    required: bool = False
    heading: str = ""

    @property
    def files(self) -> bool:
        """Whether its value is a file."""
        return not _FILES.isdisjoint(re.findall(r"\w+", self.value))


@dataclass(frozen=True)
class Page:
    """One command of the tree: its words, usage, help, options, arguments, and its own commands."""

    words: tuple[str, ...]
    usage: str
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]
    children: tuple[Page, ...]

    @property
    def path(self) -> str:
        """As it is called: gencli corrupt."""
        return " ".join(self.words)

    @property
    def name(self) -> str:
        """As a man page is called: gencli-corrupt."""
        return "-".join(self.words)

    @property
    def purpose(self) -> str:
        """The first line of the help."""
        return self.help.split("\n", 1)[0].rstrip(".")

    def walk(self) -> Iterator[Page]:
        """This page and those below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_tree() -> Page:
    """The whole command line."""
    tree = command_tree()
    return _page(tree, tree.make_context("gencli", [], resilient_parsing=True))


def _page(command: Any, context: Any) -> Page:
    children = []
    for name in command.list_commands(context) if hasattr(command, "list_commands") else []:
        child = command.get_command(context, name)
        children.append(_page(child, child.make_context(name, [], parent=context, resilient_parsing=True)))
    parameters = command.get_params(context)
    return Page(
        words=tuple(context.command_path.split()),
        usage=" ".join(command.collect_usage_pieces(context)),
        help=inspect.cleandoc(command.help or ""),
        options=tuple(
            _option(each, context) for each in parameters if each.param_type_name == "option" and not each.hidden
        ),
        arguments=tuple(_option(each, context) for each in parameters if each.param_type_name == "argument"),
        children=tuple(children),
    )


def _option(parameter: Any, context: Any) -> Option:
    choices = tuple(getattr(parameter.type, "choices", ()))
    form = "|".join(choices) or _NUMBERS.get(parameter.type.name.split()[0]) or parameter.name.upper()
    option = parameter.param_type_name == "option"
    flag = option and parameter.is_flag
    return Option(
        names=tuple(sorted([*parameter.opts, *parameter.secondary_opts], key=len)) if option else (),
        value="" if flag else parameter.metavar or form,
        help=(parameter.get_help_record(context) or ("", ""))[1],
        choices=choices or _likely(context.info_name, parameter.opts[-1]),
        repeats=bool(option and parameter.multiple),
        required=parameter.required,
        heading=getattr(parameter, "rich_help_panel", None) or "",
    )


def _likely(command: str, option: str) -> tuple[str, ...]:
    """Typical values of options that take more than a fixed list."""
    if command != "train":
        return ()
    if option == "--arch":
        from gencli.models import FAMILIES

        return tuple(name for family in FAMILIES for name in family.samples)
    if option == "--loss":
        from gencli.losses import LOSSES

        return tuple(LOSSES)
    if option == "--schedule":
        from gencli.training.schedules import SCHEDULES

        return tuple(kind.example for kind in SCHEDULES.values())
    return ()


def man(page: Page, parents: tuple[Page, ...] = ()) -> str:
    """The page in roff."""
    required = "".join(f" {_bold(each.names[-1])} {_italic(each.value)}" for each in page.options if each.required)
    lines = [f'.TH {page.name.upper()} 1 "" "gencli {gencli.__version__}" "gencli manual"', ".nh", ".ad l"]
    lines += [".SH NAME", f"{_roff(page.name)} \\- {_roff(page.purpose)}"]
    lines += [".SH SYNOPSIS", f"{_bold(page.path)}{required} {_roff(page.usage)}"]
    lines += [".SH DESCRIPTION", *_description(page.help)]
    if page.children:
        lines.append(".SH COMMANDS")
        for child in page.children:
            lines += [".TP", f"{_bold(child.name)}(1)", _roff(child.purpose) + "."]
    if page.arguments:
        lines.append(".SH ARGUMENTS")
        lines += [line for each in page.arguments for line in (".TP", _italic(each.value), _explained(each))]
    lines.append(".SH OPTIONS")
    heading = ""
    for option in sorted(page.options, key=lambda each: each.heading == ""):  # what all commands share comes last
        if option.heading != heading:
            heading = option.heading
            lines.append(f".SS {_roff(heading or 'Other')}")
        value = f" {_italic(option.value)}" if option.value else ""
        lines += [".TP", ", ".join(_bold(name) + value for name in option.names), _explained(option)]
    lines += [".SH ENVIRONMENT", *_environment(page), ".SH EXIT STATUS", ".nf", _roff(_STATUS).rstrip("\n"), ".fi"]
    kinds = [kind for kind in _FORMATS if len(page.words) == 1 or kind in page.help]
    lines += [".SH FILES", *(line for kind in kinds for line in (".TP", _bold(kind), _roff(_FORMATS[kind])))]
    lines += [".PP", _roff(_PROVENANCE)]
    if related := [*parents, *page.children]:
        lines += [".SH SEE ALSO", ",\n".join(f"{_bold(each.name)}(1)" for each in related)]
    return "\n".join(lines) + "\n"


def _description(help: str) -> Iterator[str]:
    for paragraph in help.split("\n\n")[1:] or [help]:
        if not paragraph.startswith("\b\n"):
            yield from [".PP", *map(_roff, paragraph.split("\n"))]
            continue
        lines = paragraph[2:].split("\n")
        if lines[0] in ("Example:", "Examples:"):
            yield ".SH EXAMPLE"
            lines = textwrap.dedent("\n".join(lines[1:])).split("\n")
        else:
            yield ".PP"
        yield from [".nf", *map(_roff, lines), ".fi"]


def _explained(option: Option) -> str:
    """The help, bounds in terms of the value's form, and the values that its form does not list."""
    listed = not option.choices or option.value == "|".join(option.choices)
    help, bracket, facts = option.help.partition("  [")
    such = "" if listed else f" Such as {', '.join(option.choices)}."
    return _roff(help + such + bracket[1:] + re.sub(r"\bx\b", option.value, facts))


def _environment(page: Page) -> Iterator[str]:
    prefix = page.name.upper().replace("-", "_")
    named = [option.names[-1] for option in page.options if option.value]
    if named:
        variable = f"{prefix}_{named[0].lstrip('-').upper().replace('-', '_')}"
        yield _roff(f"Every option can come from the environment: `{named[0]}` is `{variable}`.")
    else:
        yield _roff(f"Every option of a command can come from the environment, as `{prefix}_COMMAND_OPTION`.")
    yield _roff(
        "`GENCLI_THREADS`, `GENCLI_QUIET`, `GENCLI_VERBOSE`, `GENCLI_COLOR` and `GENCLI_DEBUG` apply to all commands."
    )
    yield _roff("`GENCLI_FORMAT` is the format of tables on standard output, such as `table` or `csv`.")
    yield _roff("`TMPDIR` is the folder where pipes are spooled.")


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped), flags=re.MULTILINE)


def _bold(text: str) -> str:
    return f"\\fB{_roff(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_roff(text)}\\fR".replace("|", "|\\:")  # where a long list may break


def files() -> dict[str, str]:
    """All generated files, by their path from the top of the project."""
    tree = read_tree()
    pages = list(tree.walk())
    made = {
        "completions/gencli.bash": bash(tree),
        "completions/_gencli": zsh(tree),
        "completions/gencli.fish": fish(tree),
    }
    for page in pages:
        parents = tuple(each for each in pages if each.words == page.words[: len(each.words)] and each is not page)
        made[f"man/{page.name}.1"] = man(page, parents)
    return made


if __name__ == "__main__":
    words = plugins.begin(sys.argv[1:], early)  # of --plugin, whose options are among those of the commands then
    folder = Path(words[0] if words else ".")
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
