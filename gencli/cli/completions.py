"""Completions for bash, zsh and fish, made from the command tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gencli.cli.reference import Option, Page


_HELP = "help", "Explain a command"  # after which the words are those after `gencli`


def _words(page: Page) -> list[tuple[str, str]]:
    """The commands of a page with their purposes."""
    return [(child.words[-1], child.purpose) for child in page.children] + ([_HELP] if len(page.words) == 1 else [])


def bash(tree: Page) -> str:
    """Completion for bash: options, commands, choices, files where files are meant; starts no process."""
    pages = list(tree.walk())
    paths = " | ".join(f'"{page.path}"' for page in pages[1:])
    values, words = _bash_cases(pages)
    return f"""\
# Completion of gencli for bash, made from its commands.
_gencli() {{
  local IFS=' ' current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local given=" ${{COMP_WORDS[*]:0:COMP_CWORD}} " path=gencli names word files=
  local -a words=() once=() again=()
  COMPREPLY=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
    {paths}) path+=" $word" ;;
    esac
  done
  if [[ $current == = ]]; then  # readline splits --option=value in three
    current=
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  case "$path $previous" in
{chr(10).join(values)}
  *[\\<\\>]) return ;;
  *)
    case $path in
{chr(10).join(words)}
    esac
    if [[ $current == -* ]]; then
      words=("${{again[@]}}")
      for names in "${{once[@]}}"; do
        for word in $names; do
          [[ $given == *" $word "* ]] && continue 2
        done
        words+=($names)
      done
    elif [[ -n $files ]]; then
      return
    fi ;;
  esac
  compopt +o default +o bashdefault 2>/dev/null  # no files here
  for word in "${{words[@]}}"; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$word")
  done
}}
complete -o bashdefault -o default -F _gencli gencli
"""


def _bash_cases(pages: list[Page]) -> tuple[list[str], list[str]]:
    """The cases of an option whose value is completed, and of a command's words."""
    values, words = [], []
    for page in pages:
        for option in page.options:
            if option.value:
                then = f"words=({' '.join(option.choices)})" if option.choices else "return" if option.files else ""
                names = " | ".join(f'"{page.path} {name}"' for name in option.names)
                values.append(f"  {names}) {then}".rstrip() + " ;;")
        once = " ".join(f"'{' '.join(option.names)}'" for option in page.options if not option.repeats)
        again = " ".join(name for option in page.options if option.repeats for name in option.names)
        plain = [word for word, _ in _words(page)] + [each for a in page.arguments for each in a.choices]
        files = " files=yes" if any(each.files for each in page.arguments) else ""
        words.append(f'    "{page.path}") once=({once}) again=({again}) words=({" ".join(plain)}){files} ;;')
    return values, words


def zsh(tree: Page) -> str:
    """Completion for zsh, with the helps as descriptions."""
    functions = "\n".join(map(_zsh_function, tree.walk()))
    return f'#compdef gencli\n# Completion of gencli for zsh, made from its commands.\n\n{functions}\n_gencli "$@"\n'


def _zsh_function(page: Page) -> str:
    specs = [spec for option in page.options for spec in _zsh_option(option)]
    if not page.children:
        for place, each in enumerate(page.arguments, 1):
            specs.append(f"    '{'*' if each.value.endswith('...') else place}{_zsh_value(each)}'")
        body = "  _arguments -s \\\n" + " \\\n".join(specs)
        return f"_{page.name}() {{\n{body}\n}}\n"
    commands = "\n".join(f"      '{word}:{_zsh_text(purpose)}'" for word, purpose in _words(page))
    names = [child.name for child in page.children] + [page.name]
    calls = "\n".join(f"      {word}) _{name} ;;" for (word, _), name in zip(_words(page), names))
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


def _zsh_option(option: Option) -> Iterator[str]:
    before = "*" if option.repeats else f"({' '.join(option.names)})"
    for name in option.names:
        joint = "" if not option.value else "=" if name.startswith("--") else "+"
        yield f"    '{before}{name}{joint}[{_zsh_text(option.help)}]{_zsh_value(option) if option.value else ''}'"


def _zsh_value(option: Option) -> str:
    words = " ".join(option.choices).replace(":", "\\:")
    action = f"({words})" if option.choices else "_files" if option.files else " "
    return f":{_zsh_text(option.value)}:{action}"


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


_FISH = """\
# Completion of gencli for fish, made from its commands.
string match -qr '^([0-2]|3\\.[0-5])\\.' $version # which heed only the last -n
and exit
function __gencli_read
    set -g __gencli_words (commandline -opc)
    set -g __gencli_path gencli
    for word in $__gencli_words[2..]
        contains -- "$__gencli_path $word" PATHS
        and set __gencli_path "$__gencli_path $word"
    end
    true
end
complete -c gencli -f"""


def fish(tree: Page) -> str:
    """Completion for fish, with the helps as descriptions."""
    pages = list(tree.walk())
    lines = [_FISH.replace("PATHS", " ".join(f"'{page.path}'" for page in pages[1:]))]
    for page in pages:
        at = f"""-n __gencli_read -n 'test "$__gencli_path" = "{page.path}"'"""  # each is run once a TAB
        for word, purpose in _words(page):
            lines.append(f"complete -c gencli {at} -a {word} -d {_fish_text(purpose)}")
        for option in page.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            new = "" if option.repeats else _fish_new(option)
            lines.append(f"complete -c gencli {at}{new} {names}{_fish_value(option)} -d {_fish_text(option.help)}")
        for each in page.arguments:
            lines.append(f"complete -c gencli {at}" + (" -F" if each.files else f" -a '{' '.join(each.choices)}'"))
    return "\n".join(lines) + "\n"


def _fish_new(option: Option) -> str:
    """That it was not given; where it is the last word, its value may be what is being typed."""
    end = "[ =]" if option.value else "(?![^ ])"
    return f""" -n 'not string match -qr " ({"|".join(option.names)}){end}" "$__gencli_words"'"""


def _fish_value(option: Option) -> str:
    if option.choices:
        return f" -x -a '{' '.join(option.choices)}'"
    return " -r -F" if option.files else " -x" if option.value else ""


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
