"""The command line: `assistant recognize | listen | explain | devices | show | …`, see `app`.

A module a command; `options` holds what they share, `render` what results look like, `screen` where
lines go. Exit codes: 0 done, 1 failure, 2 misuse or unreadable input, 130 Ctrl-C. What goes wrong
is one line on standard error; `ASSISTANT_DEBUG=1` shows the traceback and the log as well.

Nothing heavy is imported before a command needs it: `assistant --help` answers without torch.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from .. import __version__
from ..errors import AssistantError
from . import (
    adapt,
    ctl,
    devices,
    doctor,
    evaluate,
    explain,
    history,
    lint,
    listen,
    pronounce,
    recognize,
    record,
    serve,
    service,
    show,
    train,
)
from .screen import Screen, debugging

app = typer.Typer(
    name="assistant",
    help="Voice commands that run wholly on your own machine.",
    epilog="\n\n".join(
        (
            "assistant recognize door.wav: what was said, and what would be done",
            "assistant listen --execute: listen to the microphone, and do it",
            "assistant COMMAND --help: options and examples of a command",
        )
    ),
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("recognize", epilog=recognize.EXAMPLES)(recognize.command)
app.command("listen", epilog=listen.EXAMPLES)(listen.command)
app.command("serve", epilog=serve.EXAMPLES)(serve.command)
app.command(
    "ctl",
    epilog=ctl.EXAMPLES,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(ctl.command)
app.command("explain", epilog=explain.EXAMPLES)(explain.command)
app.command("history", epilog=history.EXAMPLES)(history.command)
app.command("devices", epilog=devices.EXAMPLES)(devices.command)
app.command("show", epilog=show.EXAMPLES)(show.command)
app.command("train", epilog=train.EXAMPLES)(train.command)
app.command("lint", epilog=lint.EXAMPLES)(lint.command)
app.command("pronounce", epilog=pronounce.EXAMPLES)(pronounce.command)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.command)
app.command("record", epilog=record.EXAMPLES)(record.command)
app.command("adapt", epilog=adapt.EXAMPLES)(adapt.command)
app.add_typer(service.app, name="service")
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assistant {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Without a command: what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments`, `sys.argv` by default; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may be no text in any encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, prog_name="assistant", standalone_mode=False)
    except Exception as error:
        if debugging() and not isinstance(error, typer.TyperException):
            raise
        line, code = _explain(error)
        Screen().error(line)
    return int(code or 0)


def _explain(error: Exception) -> tuple[str, int]:
    """One line on what went wrong, and the exit code."""
    match error:
        case AssistantError():
            return str(error), error.exit_code
        case typer.TyperException():  # misuse; it knows the command it was said to
            context = getattr(error, "ctx", None)
            command = context.command_path if context is not None else "assistant"
            message = error.format_message().rstrip(".")
            return f"{message}; see '{command} --help'", error.exit_code
        case OSError(filename=str(name), strerror=str(reason)):
            return f"{name}: {reason}", 1
        case _:
            what = f"unexpected {type(error).__name__}: {error}"
            return f"{what}; ASSISTANT_DEBUG=1 shows where it comes from", 1
