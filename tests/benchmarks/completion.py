"""One TAB in shells that run on: the mean of many, for the command line that takes longest, against what is felt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gencli.cli import reference
from tests.benchmarks.measure import Row, environment

_LINES = ("gencli ", "gencli corrupt ", "gencli train --", "gencli train --lr 0.1 -o ", "gencli report --table ")
_TIMES = 200
_BAR = 5.0  # ms

# each prints the microseconds that so many calls take, a line of $TYPED a line
_BASH = f"""
source gencli.bash
mapfile -t lines <<<"$TYPED"
for line in "${{lines[@]}}"; do
  read -ra COMP_WORDS <<<"$line"
  [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
  start=${{EPOCHREALTIME/./}}
  for ((call = 0; call < {_TIMES}; call++)); do _gencli; done
  echo $((${{EPOCHREALTIME/./}} - start))
done
"""
_ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'source setup.zsh'
zpty -r shell seen '*ready>*'
zpty -w -n shell $'\\t'
zpty -r shell seen '*<timed>*'
cat times
rm times
"""
_ZSH_SETUP = f"""
PS1='ready>'
unsetopt auto_list auto_menu beep
zmodload zsh/datetime
fpath=($PWD $fpath)
autoload -Uz compinit
compinit -D -u
timed() {{
  local line start
  for line in ${{(f)TYPED}}; do
    start=$EPOCHREALTIME
    repeat {_TIMES} {{ BUFFER=$line CURSOR=$#line; zle complete-word }}
    printf '%.0f\\n' $(( (EPOCHREALTIME - start) * 1e6 )) >>times
  done
  BUFFER=
  print -n '<timed>'
}}
zle -N timed
bindkey '^I' timed
"""
_FISH = f"""
source gencli.fish
for line in (string split \\n $TYPED)
    set start (date +%s%N)
    for call in (seq {_TIMES})
        complete -C $line >/dev/null
    end
    math \\( (date +%s%N) - $start \\) / 1000
end
"""
_COMMANDS = {
    "bash": ["bash", "--noprofile", "--norc", "-c", _BASH],
    "zsh": ["zsh", "-f", "-c", _ZSH],
    "fish": ["fish", "--no-config", "-c", _FISH],
}


def run(folder: Path) -> Iterator[Row]:
    tree = reference.read_tree()
    (folder / "gencli.bash").write_text(reference.bash(tree))
    (folder / "_gencli").write_text(reference.zsh(tree))
    (folder / "gencli.fish").write_text(reference.fish(tree))
    (folder / "setup.zsh").write_text(_ZSH_SETUP)
    for shell, command in _COMMANDS.items():
        if shutil.which(shell) is None:
            print(f"completion: no {shell} here", file=sys.stderr)
            continue
        slowest = min(max(_microseconds(command, folder)) for _ in range(3))
        yield Row(f"TAB in {shell}, the slowest of {len(_LINES)} lines", slowest / _TIMES / 1e3, _BAR, 1.0, "ms")


def _microseconds(command: list[str], folder: Path) -> list[float]:
    env = environment() | {"TYPED": "\n".join(_LINES), "LC_ALL": "C"}
    done = subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    times = [float(line) for line in done.stdout.split()]
    if len(times) != len(_LINES):
        raise RuntimeError(f"{command[0]} timed {len(times)} lines of {len(_LINES)}")
    return times
