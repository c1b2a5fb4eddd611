"""The command tree as man pages and as completions for bash, zsh and fish: `python -m gencli.reference [FOLDER]`.

The files depend on the commands alone, no dates, so that a test can hold the committed ones against the tree.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import gencli
from gencli.app import command_tree

_STATUS = """\
0    it worked, and the claim holds
1    a check found its claim false
2    anything else wrong, usage included
130  interrupted
143  terminated
141  the reader of standard output went away
"""


@dataclass(frozen=True)
class Option:
    """One option: its names, the form of its value (empty for flags), its help, and its choices where it has any."""

    names: tuple[str, ...]
    value: str
    help: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """One command of the tree: its words, usage, help, options, arguments (name, help), and its own commands."""

    words: tuple[str, ...]
    usage: str
    help: str
    options: tuple[Option, ...]
    arguments: tuple[tuple[str, str], ...]
    children: tuple[Page, ...]

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
    annotations = getattr(inspect.unwrap(command.callback), "__annotations__", {})
    records = [(p, p.get_help_record(context) or ("", "")) for p in parameters]
    return Page(
        words=tuple(context.command_path.split()),
        usage=" ".join(command.collect_usage_pieces(context)),
        help=inspect.cleandoc(command.help or ""),
        options=tuple(_option(p, help, annotations) for p, (_, help) in records if p.param_type_name == "option"),
        arguments=tuple((p.metavar or p.name, help) for p, (_, help) in records if p.param_type_name == "argument"),
        children=tuple(children),
    )


def _option(parameter: Any, help: str, annotations: dict[str, Any]) -> Option:
    annotation = annotations.get(parameter.name)
    kinds = (annotation, *get_args(annotation))
    literals = [k for kind in kinds for k in (kind, *get_args(kind)) if get_origin(k) is Literal]
    choices = tuple(map(str, get_args(literals[0]))) if literals else ()
    value = "" if parameter.is_flag else parameter.metavar or "|".join(choices) or parameter.name.upper()
    names = sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: (name.startswith("--"), name))
    return Option(tuple(names), value, help, choices)


def man(page: Page, parents: tuple[Page, ...] = ()) -> str:
    """The page in roff."""
    lines = [f'.TH {page.name.upper()} 1 "" "gencli {gencli.__version__}" "gencli manual"', ".SH NAME"]
    lines += [f"{_roff(page.name)} \\- {_roff(page.purpose)}", ".SH SYNOPSIS"]
    lines += [f".B {_roff(' '.join(page.words))}", _roff(page.usage), ".SH DESCRIPTION", *_description(page.help)]
    if page.children:
        lines.append(".SH COMMANDS")
        for child in page.children:
            lines += [".TP", f".BR {_roff(child.name)} (1)", _roff(child.purpose) + "."]
    if page.arguments:
        lines.append(".SH ARGUMENTS")
        lines += [line for name, help in page.arguments for line in (".TP", f".I {_roff(name)}", _roff(help))]
    lines.append(".SH OPTIONS")
    for option in page.options:
        value = f" \\fI{_roff(option.value)}\\fR" if option.value else ""
        lines += [".TP", ", ".join(f"\\fB{_roff(name)}\\fR{value}" for name in option.names), _roff(option.help)]
    prefix = "_".join(page.words).upper().replace("-", "_")
    lines += [".SH ENVIRONMENT", f"Every option can come from the environment: \\fB{_roff(prefix)}_\\fIOPTION\\fR,"]
    lines += [
        "with - in the option's name as _; \\fBGENCLI_THREADS\\fR, \\fBGENCLI_QUIET\\fR, \\fBGENCLI_COLOR\\fR and"
    ]
    lines += ["\\fBGENCLI_DEBUG\\fR hold for all commands. \\fBTMPDIR\\fR is where pipes are spooled."]
    lines += [".SH EXIT STATUS", ".nf", _roff(_STATUS).rstrip("\n"), ".fi", ".SH FILES"]
    lines += ["Image tables, histories and results are Parquet, models safetensors. How a file was made stands in the"]
    lines += ["footer key \\fBgencli.provenance\\fR, or in the metadata; \\fBgencli report --provenance\\fR shows it."]
    related = [*parents, *page.children]
    if related:
        lines += [".SH SEE ALSO", ",\n".join(f".BR {_roff(each.name)} (1)" for each in related).replace(",\n", "\n")]
    return "\n".join(lines) + "\n"


def _description(help: str) -> Iterator[str]:
    for paragraph in help.split("\n\n")[1:] or [help]:
        if not paragraph.startswith("\b\n"):
            yield from [".PP", *map(_roff, paragraph.split("\n"))]
            continue
        lines = paragraph[2:].split("\n")
        if lines[0] in ("Example:", "Examples:"):
            yield ".SH EXAMPLE"
            lines = inspect.cleandoc("\n".join(lines[1:])).split("\n")
        else:
            yield ".PP"
        yield from [".nf", *map(_roff, lines), ".fi"]


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


def bash(tree: Page) -> str:
    """Completion for bash: options, commands, choices, otherwise files; starts no process."""
    pages = list(tree.walk())
    paths = " | ".join(f'"{" ".join(page.words)}"' for page in pages[1:])
    values, words = [], []
    for page in pages:
        path = " ".join(page.words)
        for option in page.options:
            names = " | ".join(f'"{path} {name}"' for name in option.names)
            if option.choices:
                values.append(
                    f'    {names}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current")); return ;;'
                )
            elif option.value:
                values.append(f"    {names}) return ;;")
        flags = " ".join(name for option in page.options for name in option.names)
        commands = " ".join(child.words[-1] for child in page.children)
        words.append(f'    "{path}") options="{flags}" commands="{commands}" ;;')
    return f"""\
# Completion of gencli for bash, made from its commands.
_gencli() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local path=gencli word options commands
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
    {paths}) path="$path $word" ;;
    esac
  done
  COMPREPLY=()
  case "$path $previous" in
{chr(10).join(values)}
  esac
  case "$path" in
{chr(10).join(words)}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  fi
}}
complete -o bashdefault -o default -F _gencli gencli
"""


def zsh(tree: Page) -> str:
    """Completion for zsh, with the helps as descriptions."""
    functions = "\n".join(map(_zsh_function, tree.walk()))
    return f'#compdef gencli\n# Completion of gencli for zsh, made from its commands.\n\n{functions}\n_gencli "$@"\n'


def _zsh_function(page: Page) -> str:
    specs = []
    for option in page.options:
        help = _zsh_text(option.help)
        action = f":{option.value}:({' '.join(option.choices)})" if option.choices else f":{option.value}:_files"
        specs += [f"    '{name}[{help}]{action if option.value else ''}'" for name in option.names]
    if not page.children:
        specs += ["    '*:file:_files'"] if page.arguments else []
        body = "  _arguments -s \\\n" + " \\\n".join(specs)
        return f"_{page.name}() {{\n{body}\n}}\n"
    commands = "\n".join(f"      '{child.words[-1]}:{_zsh_text(child.purpose)}'" for child in page.children)
    calls = "\n".join(f"      {child.words[-1]}) _{child.name} ;;" for child in page.children)
    specs += ["    '1: :->command'", "    '*:: :->rest'"]
    joined = " \\\n".join(specs)
    return f"""\
_{page.name}() {{
  local state line curcontext="$curcontext"
  local -a commands
  _arguments -C \\
{joined}
  case $state in
  command)
    commands=(
{commands}
    )
    _describe command commands ;;
  rest)
    case $line[1] in
{calls}
    esac ;;
  esac
}}
"""


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def fish(tree: Page) -> str:
    """Completion for fish, with the helps as descriptions."""
    lines = ["# Completion of gencli for fish, made from its commands.", "complete -c gencli -f"]
    for page in tree.walk():
        seen = [f"__fish_seen_subcommand_from {word}" for word in page.words[1:]]
        names = " ".join(child.words[-1] for child in page.children)
        unseen = [f"not __fish_seen_subcommand_from {names}"] if names else []
        condition = "; and ".join([*seen, *unseen]) or "true"
        for child in page.children:
            lines.append(f"complete -c gencli -n '{condition}' -a {child.words[-1]} -d {_fish_text(child.purpose)}")
        for option in page.options:
            flags = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r -F" if option.value else ""
            lines.append(f"complete -c gencli -n '{condition}' {flags}{value} -d {_fish_text(option.help)}")
        if page.arguments:
            lines.append(f"complete -c gencli -n '{condition}' -F")
    return "\n".join(lines) + "\n"


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


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
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, text in files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
