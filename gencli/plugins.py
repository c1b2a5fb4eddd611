"""Plug-ins: corruptions, networks, losses and claims of other packages, beside ours in the same tables.

A module is one where `--plugin` names it. What an installed package offers by its entry points is loaded where the
command line names it, or for a list of all; a file's words load nothing.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import ModuleType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from gencli import strangers
from gencli.cli import console
from gencli.errors import GencliError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Settings = TypeVar("Settings")
MODULE = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_NAME = r"[a-z0-9]+(?:[-.][a-z0-9]+)*"
_HELP = {"-h", "--help", "--list", "--list-archs"}


class _Kind(NamedTuple):
    """A kind of things: the class that says their shape, and the table of ours."""

    module: str
    shape: str
    table: str
    what: str


_KINDS = {
    "gencli.corruptions": _Kind("gencli.corruptions", "Corruption", "KINDS", "corruption"),
    "gencli.claims": _Kind("gencli.theory", "Claim", "CLAIMS", "claim"),
    "gencli.networks": _Kind("gencli.models", "Family", "FAMILIES", "network"),
    "gencli.losses": _Kind("gencli.losses", "Loss", "LOSSES", "loss"),
}
_WITH_VALUES = ("--threads", "--color")  # options that may stand before the command
_OF_COMMANDS = {"corrupt": "gencli.corruptions", "check": "gencli.claims"}
_WITH_LOSSES = ("train", "hvp", "jacobian", "spectrum")
_loaded: set[str] = set()  # modules, all of whose things are in our tables
_registered: list[Any] = []
_whose: dict[tuple[str, str], str] = {}  # the plug-in, by group and name


def begin(words: Sequence[str], first: Callable[[Sequence[str]], None]) -> list[str]:
    """A command line without --plugin; all that it names is in our tables afterwards.

    Args:
        first: gets the words before anything is imported, if anything is.

    Raises:
        GencliError: there is no such plug-in, it has nothing, or a name of it is taken.
    """
    rest, named = list[str](), os.environ.get("GENCLI_PLUGIN", "").split()
    end = words.index("--") if "--" in words else len(words)
    given = iter(words[:end])
    for word in given:
        option, equals, value = word.partition("=")
        if option != "--plugin":
            rest.append(word)
        elif module := value if equals else next(given, ""):
            named.append(module)
        else:
            raise GencliError("--plugin: no module", "give its name: --plugin package.module")
    entries = [*_named_entries(rest)]
    if named or entries:
        first(rest)
    for module in named:
        load(module)
    for group, entry, listed in entries:
        try:
            _load_entry(group, entry)
        except GencliError as error:
            if not listed:
                raise
            console.message(console.printable(f"left out: {error.message}"))
    return [*rest, *words[end:]]


def load(module: str, only: str = "") -> None:
    """Puts all things of a module into our tables, or `only` those of a group, such as gencli.networks.

    Raises:
        GencliError: see `begin`.
    """
    if module in _loaded:
        return
    is_file = module.endswith(".py")
    if is_file or not re.fullmatch(MODULE, module) or module.partition(".")[0] == "gencli":
        name = os.path.normpath(module).removesuffix(".py").replace("/", ".")
        known = name if is_file and re.fullmatch(MODULE, name) else "package.module"
        raise GencliError(f"--plugin: {module!r} is no module of a plug-in", f"give its name: --plugin {known}")
    found = [*_things(strangers.load(module))]
    if not found:
        shapes = ", ".join(f"{kind.module}.base.{kind.shape}" for kind in _KINDS.values())
        wrong = f"plug-in {module}: no corruption, network, loss or claim"
        if unfinished := [*_unfinished(sys.modules[module])]:
            name, lacks = unfinished[0]
            raise GencliError(f"{wrong}: its class {name} lacks {lacks}", f"define {lacks} as its base class says")
        raise GencliError(wrong, f"what they are: {shapes}")
    for group, thing in found:
        if only in ("", group):
            _register(group, thing, module)
    if not only:
        _loaded.add(module)


def hint(arguments: Mapping[str, Any], otherwise: str) -> str:
    """What to do about a name that is unknown here, of a step with these arguments: name its plug-in, if it has one."""
    named = arguments.get("plugin")
    named = named if isinstance(named, list) else []
    known = [each for each in named if isinstance(each, str) and re.fullmatch(MODULE, each)]
    return "allow its code with " + " ".join(f"--plugin {each}" for each in known) if known else otherwise


def _named_entries(words: Sequence[str]) -> Iterator[tuple[str, EntryPoint, bool]]:
    """What the words name of installed packages, with its group, or what a list shows, and whether it is only that."""
    said = {part for word in words for part in (word, word.partition("=")[2])}
    said |= {value for name, value in os.environ.items() if name.startswith("GENCLI_")}
    plain = [word for before, word in zip(["", *words], words) if not (word.startswith("-") or before in _WITH_VALUES)]
    asked = not said.isdisjoint(_HELP) or plain[:1] == ["help"]
    command, *rest = plain[plain[:1] == ["help"] :] or [""]
    of_kinds = command in _OF_COMMANDS
    listed = not rest if of_kinds else asked  # the help of one kind shows no other
    if "--list-archs" in said:
        groups = ["gencli.networks"]
    elif of_kinds:
        groups = [_OF_COMMANDS[command]]
    elif listed:
        groups = ["gencli.losses"] if command in _WITH_LOSSES else []  # of networks helps show none
    else:
        groups = ["gencli.losses", "gencli.networks"] if _ask_for_models(words) else []
    for group, entry in _entries(groups):
        if (is_said := _is_said(group, entry.name, said)) or listed:
            yield group, entry, not is_said


def _ask_for_models(words: Sequence[str]) -> bool:
    """Whether a network or a loss is named, on the command line or in the environment."""
    of_environment = (name for name in os.environ if name.startswith("GENCLI_") and name.endswith(("_ARCH", "_LOSS")))
    return any(word.startswith(("--arch", "--loss")) for word in words) or any(of_environment)


def _is_said(group: str, name: str, said: set[str]) -> bool:
    """Whether words name an entry; the names of one family of networks go on after it, as NAME-3x64."""
    return name in said or (group == "gencli.networks" and any(word.startswith(f"{name}-") for word in said))


def _entries(groups: Sequence[str]) -> Iterator[tuple[str, EntryPoint]]:
    """The entry points of installed packages. Most have none: a look at the files takes a tenth of the library's."""
    if groups and any(b"[gencli." in text for text in _entry_files()):
        from importlib import metadata

        for group in groups:
            yield from ((group, entry) for entry in metadata.entry_points(group=group))


def _entry_files() -> Iterator[bytes]:
    for folder in sys.path:
        with suppress(OSError):
            for name in os.listdir(folder or "."):
                if name.endswith((".dist-info", ".egg-info")):
                    with suppress(OSError), open(f"{folder or '.'}/{name}/entry_points.txt", "rb", buffering=0) as file:
                        yield file.read()


def _load_entry(group: str, entry: EntryPoint) -> None:
    module, name = entry.module, entry.name
    wrong = f"plug-in {module}: the entry point {name} = {entry.value}"
    imported = strangers.load(module)
    thing = next(
        (each for of, each in _things(imported) if of == group and each is getattr(imported, entry.attr, None)), None
    )
    if thing is None:
        raise GencliError(f"{wrong} names no {_KINDS[group].what} of its package", f"name one of {module}")
    names = thing.samples if group == "gencli.networks" else [getattr(thing, "name", "")]
    if not all(_is_said(group, name, {each}) for each in names):
        raise GencliError(f"{wrong}: its name is {', '.join(names)}", "give the entry point the same name")
    _register(group, thing, module)


def _things(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module has of our kinds, of its own package, each with its group."""
    for thing in {id(each): each for each in vars(module).values()}.values():
        for group, kind in _KINDS.items():
            shape = getattr(sys.modules.get(f"{kind.module}.base"), kind.shape, None)
            if shape is None:
                continue
            if isinstance(thing, shape) if group == "gencli.networks" else _is_of(thing, shape, module):
                yield group, thing


def _unfinished(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The module's own classes of our kinds that cannot be made, and the methods that each lacks."""
    for kind in _KINDS.values():
        shape = getattr(sys.modules.get(f"{kind.module}.base"), kind.shape, None)
        if shape is None:
            continue
        for thing in vars(module).values():
            if _is_own(thing, module) and issubclass(thing, shape) and inspect.isabstract(thing):
                yield thing.__name__, ", ".join(sorted(thing.__abstractmethods__))


def _is_of(thing: Any, shape: type, module: ModuleType) -> bool:
    """Whether it is a class of this shape that can be made, of the module's own package."""
    return _is_own(thing, module) and issubclass(thing, shape) and not inspect.isabstract(thing)


def _is_own(thing: Any, module: ModuleType) -> bool:
    own = module.__name__.partition(".")[0] == getattr(thing, "__module__", "").partition(".")[0]
    return own and isinstance(thing, type)


def _table(group: str) -> Any:
    kind = _KINDS[group]
    return getattr(sys.modules[kind.module], kind.table)


def _register(group: str, thing: Any, module: str) -> None:
    """One entry in the table of ours, as a line there would be."""
    if any(thing is each for each in _registered):
        return
    table, what = _table(group), _KINDS[group].what
    if group == "gencli.networks":
        names, wrong = [*thing.samples], f"plug-in {module}: the network {thing.example}"
        _require_free(group, thing, table, wrong)
        of_plugin = sys.modules["gencli.models.own"].of_plugin
        table.insert(len(table) - 2, of_plugin(thing, module))  # before those whose names are like each other
    else:
        name, wrong = getattr(thing, "name", None), f"plug-in {module}: the {what} {thing.__name__}"
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise GencliError(f"{wrong} has the name {name!r}", "its `name` is in small letters, such as salt-pepper")
        _require_shape(group, thing, wrong)
        if name in table:
            _clash(group, name, wrong)
        if group == "gencli.losses":
            thing.at = sys.modules["gencli.losses.base"].of_plugin(thing.at)
        names, table[name] = [name], thing
    _registered.append(thing)
    _whose.update({(group, name): module for name in names})


def _require_shape(group: str, thing: Any, wrong: str) -> None:
    """Refuses a class without fields or words, or whose fields cannot be options."""
    if "__dataclass_fields__" not in vars(thing):
        raise GencliError(f"{wrong} is no dataclass", "put @dataclass(frozen=True) before it")
    if not thing.__doc__ or thing.__doc__.startswith(f"{thing.__name__}("):
        raise GencliError(f"{wrong} has no docstring", "say what it does: that is its help")
    if group == "gencli.losses":
        _require_options(thing, wrong)


def _require_free(group: str, family: Any, table: Any, wrong: str) -> None:
    """Refuses a family without names, or one of whose names another has."""
    if not family.samples:
        raise GencliError(f"{wrong} has no samples", "give the names that lists show")
    for other in table:
        taken = [name for name in family.samples if re.fullmatch(other.pattern, name, re.ASCII)]
        taken += [name for name in (*other.samples, other.example) if re.fullmatch(family.pattern, name, re.ASCII)]
        if taken:
            _clash(group, taken[0], wrong)


def _clash(group: str, name: str, wrong: str) -> None:
    whose = _whose.get((group, name))
    there = f"of the plug-in {whose}" if whose else "of gencli"
    raise GencliError(f"{wrong}: there is a {_KINDS[group].what} {name} {there} already", "give it another name")


def _require_options(loss: Any, wrong: str) -> None:
    """Refuses a loss whose fields cannot be options of training."""
    with strangers.theirs(wrong, "its annotations must be known in its module"):
        options = _options(loss)
    for name, (kind, _) in options.items():
        field = next(each for each in dataclasses.fields(loss) if each.name == name)
        if field.default is dataclasses.MISSING:
            raise GencliError(f"{wrong}: its option {name} has no default", "give one")
        if not (kind in (int, float, str, bool) or get_origin(kind) is Literal):
            raise GencliError(f"{wrong}: its option {name} is {kind}", "make it int, float, bool, str or a Literal")
    settings = sys.modules.get("gencli.losses.settings")
    if settings is not None and options.keys() - {field.name for field in dataclasses.fields(settings.LossSettings)}:
        hint = "import it, and what needs it, such as gencli.training, inside functions"
        raise GencliError(f"{wrong} has options, but gencli.losses.settings was made before", hint)


def _options(loss: Any) -> dict[str, tuple[Any, Any]]:
    """A loss's options: what each takes, without None, and its typer.Option."""
    hints, found = get_type_hints(loss, include_extras=True), {}
    for field in dataclasses.fields(loss):
        parts = hints[field.name]
        kind, *told = get_args(parts) if get_origin(parts) is Annotated else (parts,)
        kinds = [each for each in get_args(kind) if each is not type(None)]
        if get_origin(kind) in (Union, UnionType) and len(kinds) == 1:
            kind = kinds[0]
        found[field.name] = kind, next((each for each in told if hasattr(each, "help")), None)
    return found


def with_options(settings: type[Settings], losses: Iterable[Any]) -> type[Settings]:
    """A dataclass of settings with the options that it lacks of these losses; None stands for a loss's own default."""
    import typer

    known, more = {field.name for field in dataclasses.fields(settings)}, []  # type: ignore[arg-type]
    for loss in losses:
        new = [field for field in dataclasses.fields(loss) if field.name not in known]
        options = _options(loss) if new else {}
        for field in new:
            kind, told = options[field.name]
            option = copy.copy(told) if told else typer.Option()
            said = (option.help or f"Of {loss.name}").rstrip(".")
            option.help = said + ("." if field.default is None else f". Default: {field.default}.")
            option.show_default = False
            more.append((field.name, Annotated[kind | None, option], None))
            known.add(field.name)
    if not more:
        return settings
    made = dataclasses.make_dataclass(settings.__name__, more, bases=(settings,), frozen=True)
    made.__module__ = settings.__module__
    return made
