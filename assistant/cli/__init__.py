"""The command line: `assistant recognize | listen | devices | show | train`.

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
from . import devices, listen, recognize, show, train
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
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("recognize", epilog=recognize.EXAMPLES)(recognize.command)
app.command("listen", epilog=listen.EXAMPLES)(listen.command)
app.command("devices", epilog=devices.EXAMPLES)(devices.command)
app.command("show", epilog=show.EXAMPLES)(show.command)
app.command("train", epilog=train.EXAMPLES)(train.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assistant {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """What stands before the command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments`, `sys.argv` by default; return the exit code.

    Raises:
        SystemExit: typer's way to end: help, misuse (2), Ctrl-C (130), and most commands.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may be no text in any encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, prog_name="assistant")
    except Exception as error:
        if debugging():
            raise
        Screen().error(_one_line(error))
        return error.exit_code if isinstance(error, AssistantError) else 1
    return 0


def _one_line(error: Exception) -> str:
    match error:
        case AssistantError():
            return str(error)
        case OSError(filename=str(name), strerror=str(reason)):
            return f"{name}: {reason}"
        case _:
            kind = type(error).__name__
            return f"unexpected {kind}: {error}; ASSISTANT_DEBUG=1 shows where it comes from"
