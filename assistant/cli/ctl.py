"""`assistant ctl`: asks the daemon. `assistant/daemon/ctl.py` does it, without loading typer."""

from __future__ import annotations

import typer

from . import options

EXAMPLES = options.examples(
    "assistant ctl status",
    "assistant ctl talk toggle",
    'assistant ctl say "turn on the kitchen light"',
    "assistant ctl --help: all of them",
)


def command(context: typer.Context) -> None:
    """Ask the running daemon: push-to-talk, mute, text, answers; 'assistant ctl --help' has all."""
    from ..daemon.ctl import main  # noqa: PLC0415

    raise typer.Exit(main(context.args))
