"""The commands' registration, and `main`, which turns errors and signals into exit statuses.

0 it worked; 1 a check found its claim false; 2 anything else wrong; 130 and 143 interrupted and terminated; 141 the
reader of standard output went away.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from gencli import console
from gencli.errors import GencliError, Terminated

if TYPE_CHECKING:
    import typer
    from typer.core import TyperGroup

_HELP = """Experiments on generalization in deep learning, as shell pipelines.

\b
Tables of images go from command to command as Parquet, networks as
safetensors, and every file says how it was made:
  gencli data digits --split test -o test.parquet
  gencli data digits | gencli corrupt random-labels -p 0.5 |
    gencli train --arch mlp-1x512 | gencli eval - test.parquet

\b
Every option can come from the environment: --batch-size of `gencli train`
is GENCLI_TRAIN_BATCH_SIZE. Exit status: 0 it worked, 1 a check failed,
2 an error, 130 interrupted, 143 terminated, 141 the reader went away.
"""


def command_tree() -> TyperGroup:
    """The whole command line."""
    import typer

    from gencli.commands import corrupt, data, eval, report, train
    from gencli.options import group

    app = group(_HELP, context_settings={"auto_envvar_prefix": "GENCLI", "help_option_names": ["-h", "--help"]})
    app.add_typer(data.app, name="data")
    app.add_typer(corrupt.app, name="corrupt")
    for module in (train, eval, report):
        module.register(app)
    tree = typer.main.get_group(app)
    tree.commands = {name: tree.commands[name] for name in ("data", "corrupt", "train", "eval", "report")}
    return tree


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit status."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, _terminate)
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except Terminated as ended:
        return ended.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has nowhere to go
        return 141


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _run(arguments: list[str]) -> int:
    import typer

    try:
        with command_tree().make_context("gencli", arguments) as context:
            context.command.invoke(context)
        return 0
    except typer.Exit as left:
        return left.exit_code
    except typer.TyperException as wrong:
        return _usage(wrong)
    except GencliError as wrong:
        _explain(wrong.command, wrong.message, wrong.hint)
    except MemoryError as wrong:
        _explain("gencli", f"out of memory {wrong}".rstrip(), "take fewer rows or smaller batches")
    except BrokenPipeError:
        raise
    except OSError as wrong:
        where = f"{wrong.filename}: " if wrong.filename else ""
        _explain("gencli", f"{where}{wrong.strerror or wrong}", "check the file and the disk")
    except Exception as wrong:
        _explain("gencli", f"unexpected {type(wrong).__name__}: {wrong}", "--debug shows where; please report it")
    return 2


def _explain(command: str, message: str, hint: str) -> None:
    if console.debug:
        import traceback

        traceback.print_exc()
    console.error(f"{command}: {message}")
    if hint:
        console.error(f"  {hint}")


def _usage(wrong: typer.TyperException) -> int:
    """Usage errors in two lines; the help itself where a command made of commands got no word."""
    context = getattr(wrong, "ctx", None)
    if type(wrong).__name__ == "NoArgsIsHelpError":
        console.error(wrong.format_message())
    else:
        path = context.command_path if context else "gencli"
        _explain(path, wrong.format_message(), f"see {path} --help")
    return 2
