"""`assistant service`: the daemon as a service of the user's session."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..resources import bundle_shelf, is_meant
from . import options, serve
from .screen import Screen

app = typer.Typer(
    help="Run the daemon as a service of your session: install, uninstall, status, show.",
    no_args_is_help=True,
)

INSTALL_EXAMPLES = options.examples(
    "assistant service install",
    "assistant service install --commands my-commands --config my-assistant.yaml",
    "assistant service install -- --mode push-to-talk --dry-run: options of 'assistant serve'",
    "assistant service install --dry-run: what would be written",
    "assistant service install --autostart: for sessions without systemd",
)

Further = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- SERVE-OPTIONS",
        help="Further options of 'assistant serve'; paths among them must be absolute.",
        show_default=False,
    ),
]
Headless = Annotated[
    bool | None,
    typer.Option(
        "--headless/--graphical",
        help="Start with the user's manager, or with the graphical session (default: the latter "
        "where such a session runs now).",
        show_default=False,
    ),
]
Namespaces = Annotated[
    bool | None,
    typer.Option(
        "--namespaces/--no-namespaces",
        help="Whether the sandbox may use namespaces (default: where a trial shows that they "
        "work).",
        show_default=False,
    ),
]
Autostart = Annotated[
    bool,
    typer.Option(
        "--autostart", help="An autostart entry instead of a unit, for sessions without systemd."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also files that were changed since.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("install", epilog=INSTALL_EXAMPLES)
def install(
    further: Further = None,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    now: Annotated[
        bool, typer.Option("--now/--no-start", help="Start it at once, or only enable it.")
    ] = True,
    headless: Headless = None,
    namespaces: Namespaces = None,
    autostart: Autostart = False,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Install a systemd user unit and a desktop entry, enable the service and start it.

    Run it again after an update or for other options: it writes what is out of date, and never over
    a file that you have changed, unless --force says so. Nothing needs root. The daemon acts on
    what it understands, as its policy says; 'install -- --dry-run' makes it only tell.
    """
    from ..service import installation

    screen = Screen()
    daemon = _daemon(commands, bundle, config, actions, further or [])
    wanted = installation.Wanted(daemon, headless, namespaces, autostart)
    installation.install(wanted, now, force, dry_run, screen.result)


@app.command("uninstall")
def uninstall(force: Force = False, dry_run: DryRun = False) -> None:
    """Stop the service and remove what 'install' wrote; recordings, models and settings stay."""
    from ..service import installation

    installation.uninstall(force, dry_run, Screen().result)


@app.command("status")
def status() -> None:
    """Say what is installed and whether it runs; the exit code is 1 where it does not."""
    from ..service import installation

    screen = Screen()
    runs, lines = installation.state()
    for line in lines:
        screen.result(line)
    if not runs:
        raise typer.Exit(1)


@app.command("show")
def show(
    further: Further = None,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    headless: Headless = None,
    namespaces: Namespaces = None,
    autostart: Autostart = False,
) -> None:
    """Print the unit that 'install' would write with these options; each line says why it is."""
    from ..service import installation

    daemon = _daemon(commands, bundle, config, actions, further or [])
    wanted = installation.Wanted(daemon, headless, namespaces, autostart)
    unit, _ = installation.files_for(wanted)
    typer.echo(unit.text(), nl=False)


def _daemon(
    commands: str | None,
    bundle: str | None,
    config: Path | None,
    actions: str | None,
    further: list[str],
) -> list[str]:
    """Options for `assistant serve`, which starts in another folder: paths are absolute.

    Raises:
        UsageError: what they name is not there, or has mistakes.
    """
    from typer.main import get_command

    from ..daemon.commands_source import CommandsSource
    from ..resources import find_bundle, find_commands, find_config

    configuration = options.configuration(config, bundle, commands)
    folder = find_bundle(configuration.bundle)
    for source in (configuration.commands, *configuration.daemon.contexts.values()):
        if not CommandsSource(source, configuration.bundle).files:  # which are compiled
            find_commands(source, folder)
    if config is not None:
        _check_found_elsewhere(config)
    if actions is not None:
        find_config(actions)
    given = (
        ("--config", str(config) if config else None, None),
        ("--bundle", bundle, bundle_shelf()),
        ("--commands", commands, folder / "commands"),
        ("--actions", actions, None),
    )
    named = [(name, _absolute(value, shelf)) for name, value, shelf in given if value is not None]
    daemon = [*(part for option in named for part in option), *further]
    reader = typer.Typer()
    reader.command()(serve.command)
    with get_command(reader).make_context("assistant serve", list(daemon)):  # or a mistake is told
        return daemon


def _check_found_elsewhere(file: Path) -> None:
    """Raise UsageError where the configuration has a path that is right in this folder alone."""
    written = options.configuration(file)
    for named in (written.bundle, written.commands, *written.daemon.contexts.values()):
        if "/" in named and not Path(named).is_absolute() and Path(named).exists():
            raise UsageError(
                f"{file}: {named}: the service starts in another folder; write the whole path, or "
                "the path from the file's own folder"
            )


def _absolute(value: str, shelf: Path | None) -> str:
    """A path as an absolute one; the name of something that travels with the package as it is."""
    place = Path(value)
    meant = place.exists() if shelf is None else is_meant(value, place, shelf)
    return str(place.absolute()) if meant else value
