"""Options that several commands share, and the decorator that registers a command with them.

A command's settings are a dataclass whose fields are its options (`Annotated[type, typer.Option(...)]`): a parameter
annotated with such a class stands for all its fields. A class's `heading` names its options' section in the help; its
method `resolved`, given the names of the options that the user set, gives what the command gets in its place.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_type_hints

import typer
from typer.core import TyperCommand

from gencli import machine, strangers
from gencli.cli import console, suggestions
from gencli.cli.common import COMMON, common, parameter, require_64_bits
from gencli.counts import plainly
from gencli.errors import GencliError, MissingInput
from gencli.files import endings

TableFormat = Literal["table", "parquet", "csv", "json", "jsonl", "md"]

_ONCE = ("run",)  # of these options another one might be meant to be beside the first; of others the last one counts

_OUTPUT = typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: standard output.")
ImagesOutput = Annotated[str | None, _OUTPUT, endings.IMAGES]
ModelOutput = Annotated[str | None, _OUTPUT, endings.MODEL]
TensorsOutput = Annotated[str | None, _OUTPUT, endings.TENSORS]
ResultOutput = Annotated[str | None, _OUTPUT, endings.RESULT]
DerivativesOutput = Annotated[str | None, _OUTPUT, endings.DERIVATIVES]
SumOutput = Annotated[str | None, _OUTPUT, endings.SUM]
ReportOutput = Annotated[str | None, _OUTPUT, endings.REPORT]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model (safetensors), or - for standard input.", show_default=False)
]
Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA", help="Image table: a file, a folder of shards, or - for standard input.", show_default=False
    ),
]
Format = Annotated[
    TableFormat | None,
    typer.Option(
        "--format", help="Default: from the file name's extension; otherwise table on a terminal, parquet elsewhere."
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Device to compute on.")]
OwnArch = Annotated[
    str | None, typer.Option(metavar="NAME", help="For a model of your own network: its package.module:factory.")
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="K/N", help="Compute only part K of N of the rows, K from 0; gencli sum puts the parts together."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start over, replacing an existing checkpoint.")]


def dashed(field: str) -> str:
    """A field of settings as the option that sets it."""
    return f"-{field}" if len(field) == 1 else f"--{field.replace('_', '-')}"


class Saving:
    """Settings of a file `checkpoint`, that their other options are about."""

    checkpoint: str | None
    resume: bool
    overwrite: bool

    def resolved(self, given: Collection[str]) -> Self:
        """These settings, checked.

        Raises:
            GencliError: an option is given without the file, or two that exclude each other.
        """
        others = {"checkpoint_every", "resume", "overwrite"} & set(given)
        for name in sorted(others) if self.checkpoint is None else ():
            raise GencliError(f"{dashed(name)} needs a checkpoint", "name its file with --checkpoint")
        if self.resume and self.overwrite:
            raise GencliError("--resume and --overwrite do not go together", "omit one of them")
        return self


def _field_default(field: dataclasses.Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def _source(context: typer.Context, name: str) -> str | None:
    source = context.get_parameter_source(name)
    return None if source is None else source.name


def _owner(kind: type, field: str) -> type:
    """The class that declares a field."""
    return next(each for each in kind.__mro__ if field in inspect.get_annotations(each))


def _whole(word: Any) -> int:
    return int(plainly(word) if isinstance(word, str) else word)


def _real(word: Any) -> float:
    return float(plainly(word) if isinstance(word, str) else word) + 0.0  # -0 is 0, and recorded as such


_NUMBERS: dict[Any, Any] = {int: _whole, float: _real}  # of Python's own, which read more than numbers


class _Command(TyperCommand):
    """A command whose help shows options under their headings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for each in self.params:
            if numbers := _NUMBERS.get(getattr(each.type, "_number_class", None)):
                each.type._number_class = numbers  # type: ignore[attr-defined]
        with suggestions.explained(self, ctx, args):
            _, _, order = self.make_parser(ctx).parse_args([*args])
        for name in _ONCE:
            if sum(each.name == name for each in order) > 1:
                error = GencliError(f"{dashed(name)}: given twice", "give it once")
                error.command = ctx.command_path
                raise error
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        common: list[tuple[str, str]] = []
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            heading = getattr(each, "rich_help_panel", None)
            if each.param_type_name == "argument":
                heading = "Arguments"
            if record:
                (sections.setdefault(heading, []) if heading else common).append(record)
        for heading, records in (sections | {"Options": common}).items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def command(
    app: typer.Typer, name: str, alone: str = "its work is not divided among processes"
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function as a command, its dataclass parameters expanded, the common options added.

    Of every option empty words, numbers that are not finite or beyond 64 bits, and names of files that end in what is
    not written there are refused. A parameter annotated `typer.Context` gets the context, and with it the whole command
    line.

    Args:
        alone: why several processes of torchrun cannot share its work; empty where they can.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        expanded = _Expanded.of(function)

        def run(context: typer.Context, **values: Any) -> None:
            given = [name for name in values if _source(context, name) not in (None, "DEFAULT")]
            strangers.run()
            try:
                if console.quiet and _source(context, "verbose") == "COMMANDLINE":  # GENCLI_QUIET yields to it
                    console.quiet = _source(context, "quiet") == "COMMANDLINE"
                    if console.quiet:
                        raise GencliError("-q and -v do not go together", "omit one of them")
                _require({name: values[name] for name in given}, expanded.places, values.get("format"))
                machine.require_alone(alone)
                function(**expanded.folded(values, given), **dict.fromkeys(expanded.contexts, context))
            except MissingInput:
                console.error(_short_help(context))
                raise typer.Exit(2) from None
            except GencliError as error:
                error.command = context.command_path
                raise
            except Exception as error:
                error.add_note(context.command_path)
                raise

        run.__doc__ = function.__doc__
        run.places = expanded.places  # type: ignore[attr-defined]  # for `gencli how`
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [context, *expanded.parameters]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, cls=_Command)(run)
        return function

    return register


@dataclasses.dataclass
class _Expanded:
    """A function's parameters as a command's: dataclasses by their fields, and the common options.

    Attributes:
        groups: the dataclasses by the function's parameters.
        places: what the output files among the options hold.
        contexts: the function's parameters that get the context.
    """

    parameters: list[inspect.Parameter]
    groups: dict[str, type]
    places: dict[str, endings.Writes]
    contexts: list[str]

    @classmethod
    def of(cls, function: Callable[..., None]) -> _Expanded:
        groups: dict[str, type] = {}
        parameters: list[inspect.Parameter] = []
        hints = get_type_hints(function, include_extras=True)
        contexts = [name for name, kind in hints.items() if kind is typer.Context]
        own = [each for each in inspect.signature(function).parameters.values() if each.name not in contexts]
        for each in own:
            kind = hints[each.name]
            if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
                parameters.append(parameter(each.name, kind, each.default))
                continue
            groups[each.name] = kind
            of_fields = get_type_hints(kind, include_extras=True)
            parameters += [
                parameter(f.name, of_fields[f.name], _field_default(f), getattr(_owner(kind, f.name), "heading", None))
                for f in dataclasses.fields(kind)
            ]
        places = {
            each.name: part
            for each in parameters
            for part in getattr(each.annotation, "__metadata__", ())
            if isinstance(part, endings.Writes)
        }
        parameters += common()
        _require_apart([each.name for each in parameters], groups.values())
        return cls(parameters, groups, places, contexts)

    def folded(self, values: dict[str, Any], given: list[str]) -> dict[str, Any]:
        """The function's arguments from the options' values, of which the user set those `given`."""
        values = {name: value for name, value in values.items() if name not in COMMON}
        for group, kind in self.groups.items():
            settings = kind(**{field.name: values.pop(field.name) for field in dataclasses.fields(kind)})
            values[group] = settings.resolved(given) if hasattr(settings, "resolved") else settings
        return values


def _require_apart(names: Sequence[str], groups: Iterable[type]) -> None:
    """Refuses options of one name, which a plug-in may bring."""
    twice = [name for name in names if names.count(name) > 1]
    for kind in groups:
        bases = [base for base in kind.__bases__ if dataclasses.is_dataclass(base)]
        owners = {(each.name, _owner(base, each.name)) for base in bases for each in dataclasses.fields(base)}
        fields = [name for name, _ in owners]
        twice += [name for name in fields if fields.count(name) > 1]
    if twice:
        raise GencliError(
            f"{dashed(min(twice))}: an option of a plug-in is called as one of gencli", "rename its field"
        )


def _require(given: Mapping[str, Any], places: Mapping[str, endings.Writes], form: str | None) -> None:
    """Refuses empty words, numbers that are not finite, and files that end in what is not written there.

    An empty word is a shell's variable that is not set, and would pass for an option that was not given.
    """
    for key, value in given.items():
        option = "-o" if key == "output" else dashed(key)
        for each in value if isinstance(value, list | tuple) else (value,):
            if each == "" and key != "split":  # a data set may have none, as `gencli how` writes
                argument = key in ("data", "model")
                raise GencliError(f"{key.upper() if argument else option}: empty", "give a value, or omit it")
            if isinstance(each, float) and not math.isfinite(each):
                raise GencliError(f"{option}: {each} is not finite", "give a finite number")
            if isinstance(each, int) and key != "seed":  # which is hashed
                require_64_bits(option, each)
        if key in places:
            places[key].require(option, value, form if key == "output" else None)  # type: ignore[arg-type]


def _short_help(context: typer.Context) -> str:
    """Usage, purpose and example: the help down to the options."""
    text = inspect.cleandoc(context.command.help or "").replace("\b\n", "")
    return f"{context.get_usage()}\n\n{text}\n\nSee {context.command_path} --help."


def single() -> typer.Typer:
    """An app for one command."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)
