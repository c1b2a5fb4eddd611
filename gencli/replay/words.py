"""A run as a command line. Only commands and options that this gencli has are ever written, and none that name places.

Provenance is a stranger's: a word of it is a value of a known option, or it is refused.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

import gencli
from gencli import plugins
from gencli.errors import GencliError
from gencli.files.endings import Writes
from gencli.files.provenance import FILE, WORDS, Source, Step
from gencli.replay.graph import Run

# what no step records: places, what a terminal shows, and what ends or continues a run
_NEVER = {
    "checkpoint", "checkpoint_every", "color", "debug", "dry_run", "file", "folder", "format", "help", "list_archs",
    "list_measures",     "output", "overwrite", "preset", "quiet", "resume", "root", "verbose", "version",
}  # fmt: skip
_OWN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # package.module:factory
_MOST = 1024  # processes of one machine
_NEWER = "the gencli that wrote it may know it, another version"


@dataclass(frozen=True)
class Given:
    """A word that names files which the run reads.

    Attributes:
        places: of the run's inputs; several are the parts of one data set, in a folder.
        name: by which the result calls it; empty where it calls it nothing.
    """

    places: tuple[int, ...]
    name: str = ""


Word = str | Given


class Commands:
    """The commands that there are, those of the plug-ins of runs among them.

    Args:
        tree: the whole command line.
        trust: whether plug-ins, and networks of the user's own, `package.module:factory`, may be imported.
        folder: where plug-ins may lie beside the places of Python's own; None for nowhere else.

    Raises:
        GencliError: a run has a plug-in, and there is no trust, or no such plug-in.
    """

    def __init__(self, tree: TyperGroup, trust: bool, runs: Sequence[Run] = (), folder: str | None = None) -> None:
        self._tree, self._trust = tree, trust
        self._found: dict[str, Any] = {}
        for name in dict.fromkeys(name for run in runs for name in plugins_of(run.step)):
            if not trust:
                raise GencliError(f"its plug-in is {name}, which is code", "--trust allows it to be imported")
            if folder is not None and (place := os.path.abspath(folder)) not in sys.path:
                sys.path.append(place)  # where scripts look for it too
            plugins.load(name)  # before the options of any command are made

    def places(self, command: str) -> dict[str, Writes]:
        """The options of a command that name what it writes."""
        return self._command(command).callback.places

    def _command(self, words: str) -> Any:
        if words not in self._found:
            found: Any = self._tree
            context = typer.Context(found, info_name="gencli")  # pyright: ignore[reportAbstractUsage]
            for word in words.split(" "):
                known = word in found.list_commands(context) if hasattr(found, "list_commands") else False
                if not known:
                    raise GencliError(f"its step {words!r} is no command that this version has", _NEWER)
                found = found.get_command(context, word)
            if hasattr(found, "list_commands"):
                raise GencliError(f"its step {words!r} is no command that this version has", _NEWER)
            self._found[words] = found
        return self._found[words]

    def words(self, run: Run) -> list[Word]:
        """The command line of a run, without what it writes.

        Raises:
            GencliError: this gencli has no such command, option, input or value; or code would be imported without
                trust.
        """
        step = run.step
        _require_known(step.versions.get("gencli", ""))
        command = self._command(step.command)
        options = {name: each for each in command.params for name in _names(each) if each.param_type_name == "option"}
        before, after, arguments = ["gencli"], [], list[Word]()
        if (count := step.arguments.get("processes")) is not None:
            if type(count) is not int or not 1 < count <= _MOST:
                raise _wrong(step, "processes", count)
            before = ["torchrun", "--standalone", "--nproc-per-node", str(count), "-m", "gencli"]
        for name, value in (step.arguments | self._own(run)).items():
            if name == "processes":
                continue
            if name in WORDS:
                arguments.append(_argument(step, command, name, value))
                continue
            option = options.get(name)
            if option is None or option.name in _NEVER or option.name in command.callback.places:
                if value in (None, False):
                    continue
                raise GencliError(f"its step `{step.command}` has {name!r}, which is no option of it here", _NEWER)
            after += _option(step, option, name, value)
        return [*before, *step.command.split(" "), *arguments, *_inputs(step, command, options), *after]

    def _own(self, run: Run) -> dict[str, str]:
        """The network of the user's own that a run needs to be told of."""
        archs = [run.step.arguments.get("arch")]
        archs += [
            each.run.step.arguments.get("arch")
            for each, source in zip(run.inputs, run.step.inputs)
            if source.role == "model" and each.run is not None
        ]
        own = [arch for arch in archs if isinstance(arch, str) and is_own(arch)]
        if own and not self._trust:
            raise GencliError(f"its network is {own[0]}, which is code", "--trust allows it to be imported")
        return {"arch": own[0]} if own else {}


def _require_known(version: str) -> None:
    """Refuses what a newer gencli made, which may mean other things by the same words."""
    theirs, ours = ([int(part) for part in re.findall(r"\d+", each)[:3]] for each in (version, gencli.__version__))
    if theirs > ours:
        raise GencliError(
            f"made by gencli {version[:20]}, which is newer than this one, {gencli.__version__}", "use that version"
        )


def is_own(arch: str) -> bool:
    """Whether this names a network of the user's own."""
    return bool(_OWN.fullmatch(arch)) and not arch.startswith("torchvision:")


def plugins_of(step: Step) -> list[str]:
    """The modules of the plug-ins of a step.

    Raises:
        GencliError: something else is in their place.
    """
    named = step.arguments.get("plugin", [])
    if not (
        isinstance(named, list) and all(isinstance(each, str) and re.fullmatch(plugins.MODULE, each) for each in named)
    ):
        raise _wrong(step, "plugin", named)
    return named


def _names(option: Any) -> Iterator[str]:
    """As which provenance may record it: the field's name, or the option's own."""
    yield option.name
    for flag in option.opts:
        yield flag.lstrip("-").replace("-", "_")


def _wrong(step: Step, name: str, value: Any) -> GencliError:
    return GencliError(f"its step `{step.command}` has {name} {value!r:.80}, which is no value of it", _NEWER)


def _option(step: Step, option: Any, name: str, value: Any) -> list[Word]:
    flag = next((each for each in option.opts if each.startswith("--")), option.opts[0])
    if value is None or (value == option.default and type(value) is type(option.default)):
        return []
    if option.is_flag:
        if not isinstance(value, bool):
            raise _wrong(step, name, value)
        if value:
            return [flag]
        return option.secondary_opts[:1] if option.default is not False else []
    several = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not option.multiple:
        raise _wrong(step, name, value)
    files = iter(place for place, each in enumerate(step.inputs) if each.role == name)
    words: list[Word] = []
    for each in several:
        if each == FILE and isinstance(value, list):
            place = next(files, None)
            if place is None:
                raise _wrong(step, name, value)
            words += [flag, Given((place,), _told(step.inputs[place]))]
            continue
        text = _text(step, name, each)
        try:
            option.type.convert(text, option, None)
        except typer.TyperException:
            raise _wrong(step, name, value) from None
        words += _assigned(flag, text)
    return words


def _argument(step: Step, command: Any, name: str, value: Any) -> str:
    """A word that stands without an option, before the files."""
    known = any(each.name == name and each.param_type_name == "argument" for each in command.params)
    if not known or not isinstance(value, str) or "\0" in value or value.startswith("-"):
        raise _wrong(step, name, value)
    return value


def _text(step: Step, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or "\0" in str(value):
        raise _wrong(step, name, value)
    if isinstance(value, str) and (value.startswith(("/", "~")) or "../" in value):
        raise GencliError(f"its step `{step.command}` has {name} {value!r:.80}, a path", "ask for another file")
    return repr(value) if isinstance(value, float) else str(value)


def _assigned(flag: str, text: str) -> list[Word]:
    if not text.startswith("-"):
        return [flag, text]
    return [f"{flag}={text}" if flag.startswith("--") else f"{flag}{text}"]


def _inputs(step: Step, command: Any, options: dict[str, Any]) -> Iterator[Word]:
    """The words that name inputs, in the order of the step: arguments, and options of files."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    several = any(each.nargs == -1 for each in arguments)
    placed = [(place, source) for place, source in enumerate(step.inputs) if source.role != "source"]
    groups: list[tuple[Source, list[int]]] = []
    for place, source in placed:
        role = source.role.replace("-", "_")
        option = options.get(role)
        if option is not None and FILE in _list(step.arguments.get(role)):
            continue
        if option is None and not arguments:
            raise GencliError(f"its step `{step.command}` has an input {source.role!r}, which it does not take", _NEWER)
        if groups and _is_part(step, groups[-1][0], source, several, option):
            groups[-1][1].append(place)
        else:
            groups.append((source, [place]))
    for source, places in groups:
        option = options.get(source.role.replace("-", "_"))
        if option is not None:
            yield next((each for each in option.opts if each.startswith("--")), option.opts[0])
        yield Given(tuple(places), _told(source))


def _told(source: Source) -> str:
    """The name by which the result calls an input; empty for none. What came from outside has its name already."""
    return source.name if source.step is not None or source.name == "-" else ""


def _is_part(step: Step, before: Source, source: Source, several: bool, option: Any) -> bool:
    """Whether it is one of the files of the data set before it."""
    if before.role != source.role or (option is not None and option.multiple):
        return False
    if option is not None or not several:
        return True
    ours = before.step is not None and source.step is not None
    whole = step.command in ("eval", "show") or (step.command == "score" and source.role == "data")
    return whole and ours and before.name == source.name and before.sha256 != source.sha256


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
