"""The commands' registration, and `main`, which turns errors and signals into exit statuses.

0: success; 1: a check failed; 2: any other error; 130 and 143: interrupted and terminated; 141: standard output is a
pipe that its reader closed.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from gencli import once, plugins, strangers
from gencli.cli import aborts, console, signals, stdout
from gencli.errors import GencliError, first_line, shortage

if TYPE_CHECKING:
    import typer
    from typer.core import TyperGroup

_HELP = """Experiments on generalization in deep learning, as shell pipelines.

\b
Tables of images pass from command to command as Parquet, networks as
safetensors, and every file records how it was made:
  gencli data digits --split test -o test.parquet
  gencli data digits | gencli corrupt random-labels -p 0.5 |
    gencli train --arch mlp-1x512 | gencli eval - test.parquet

\b
`gencli help COMMAND` explains one. Tables are text on a terminal and Parquet
in a pipe; --format or GENCLI_FORMAT=table choose. Every option can come from
the environment: --batch-size of `gencli train` is GENCLI_TRAIN_BATCH_SIZE,
and those below also stand before a command: gencli -q train. Exit status:
0 success, 1 a check failed, 2 an error, 130 interrupted, 143 terminated,
141 output pipe closed.
"""

_PURPOSES = {
    "data": "Load data as an image table.",
    "corrupt": "Corrupt a data set in precisely defined, repeatable ways.",
    "train": "Train a network by stochastic gradient descent.",
    "fit": "Fit learners in closed form: kernels, least squares.",
    "eval": "Measure accuracy, loss and memorization per class.",
    "hvp": "Multiply curvature matrices by vectors, with verification.",
    "check": "Check a theorem by computation; exit status 1 if it fails.",
    "jacobian": "Compute Jacobians by numeric, forward and reverse modes.",
    "spectrum": "Compute eigenvalues of a model's curvature, or of a kernel.",
    "export": "Export models for other tools.",
    "show": "Show what a file is, what is in it, and how it was made.",
    "score": "Score every row: what is memorized, what is mislabelled.",
    "rank": "Rank measures by how well they predict the generalization gap.",
    "bound": "Bound the error rate on unseen rows, with certificates.",
    "report": "Make tables and figures from histories and results.",
    "sum": "Combine the parts of a result that --shard computed.",
    "recipe": "List Makefiles that reproduce whole papers.",
    "how": "Print the script that makes a file again, byte for byte.",
}


def command_tree() -> TyperGroup:
    """The whole command line."""
    import typer

    from gencli.cli.groups import LazyGroup, group

    class Commands(LazyGroup):
        def purposes(self) -> dict[str, str]:
            return _PURPOSES

        def load(self, name: str) -> typer.Typer:
            return import_module(f"gencli.commands.{name}").app

    settings = {"auto_envvar_prefix": "GENCLI", "help_option_names": ["-h", "--help"]}
    return typer.main.get_group(group(_HELP, cls=Commands, context_settings=settings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit status."""
    warnings.showwarning = console.warned
    with signals.handled(), stdout.kept():
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        except BrokenPipeError:
            _drop_buffered(stdout.descriptor(), 2)
            return 141
        except KeyboardInterrupt:  # where other code took our handler's place
            signals.die(signal.SIGINT)
            raise
        finally:
            strangers.dismiss()


def _run(arguments: list[str]) -> int:
    import typer

    try:
        return _invoke(arguments)
    except typer.TyperException as wrong:
        return _usage(wrong)
    except GencliError as wrong:
        _explain(wrong.command, wrong.message, wrong.hint, hasattr(wrong, "elsewhere"))
        return wrong.status
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except BaseException as wrong:
        _explain(getattr(wrong, "__notes__", ["gencli"])[-1], *_words(wrong), hasattr(wrong, "elsewhere"))
    return 2


def _words(wrong: BaseException) -> tuple[str, str]:
    """What was wrong, and what to do, of an error that is none of ours."""
    if short := shortage(wrong):
        return f"out of {short}: {first_line(wrong)}".removesuffix(": MemoryError"), aborts.OUT_OF_MEMORY
    if "deterministic implementation" in str(wrong):  # torch's, of operations on a GPU
        return first_line(wrong), "use --device cpu, or another network"
    if theirs := strangers.explained(wrong):
        return theirs.message, theirs.hint
    if isinstance(wrong, OSError):
        _drop_buffered(stdout.descriptor())
        where = f"{wrong.filename}: " if wrong.filename else ""
        return f"{where}{wrong.strerror or wrong}", "check the file and the disk"
    return f"unexpected {type(wrong).__name__}: {wrong}", "--debug shows where; please report it"


def _invoke(arguments: list[str]) -> int:
    import typer

    from gencli.cli.common import early, early_threads

    early_threads(arguments)
    status, arguments = 0, plugins.begin(arguments, early)
    try:
        with command_tree().make_context("gencli", arguments) as context:
            context.command.invoke(context)
    except typer.Exit as left:
        status = left.exit_code
    stdout.flush()
    return status


def _drop_buffered(*descriptors: int | None) -> None:
    """What is still buffered for these has nowhere to go; at its end Python would try again, and complain."""
    for descriptor in filter(None, descriptors):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _explain(command: str, message: str, hint: str, own: bool = False) -> None:
    """Says why the process ends; of several each if --debug asks, or what is known to be its `own` reason."""
    if console.debug:
        import traceback

        console.error(traceback.format_exc().rstrip())
    lines = [_shortened(f"{command}: {message}")] + ([_shortened(f"  {hint}")] if hint else [])
    with nullcontext(True) if console.debug or own else once.said("\n".join(lines)) as wanted:
        for line in lines if wanted else ():
            console.error(line)


def _shortened(text: str) -> str:
    return console.printable(text if len(text) <= 1000 else f"{text[:700]} … {text[-200:]}")


def _usage(wrong: typer.TyperException) -> int:
    """Usage errors in two lines; the help itself where a command made of commands got no word."""
    context = getattr(wrong, "ctx", None)
    if type(wrong).__name__ == "NoArgsIsHelpError":
        console.error(wrong.format_message())
    else:
        path = context.command_path if context else "gencli"
        _explain(path, wrong.format_message(), f"see {path} --help")
    return 2
