"""`assistant adapt`: a command set learns one user's voice from a few recordings."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from ..errors import UsageError
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..training.adaptation import AdaptationReport, Comparison

EXAMPLES = options.examples(
    "assistant adapt my-voice --commands kitchen",
    "assistant adapt my-voice --commands home -o my-home",
    "assistant adapt elsewhere/manifest.jsonl --commands kitchen --json | jq .after.exact",
    "assistant adapt --undo --commands kitchen",
)


def command(
    recordings: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER|MANIFEST",
            help="What 'assistant record' made, or a manifest of recordings made elsewhere.",
            show_default=False,
        ),
    ] = None,
    commands: options.Commands = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the adapted set (default: adapt the set in its place, reversibly).",
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put the set back as it was compiled, byte for byte.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Install it even if it is not better.")
    ] = False,
    json: options.Json = False,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    device: options.Device = None,
) -> None:
    """Adapt compiled commands to your voice, and measure whether that helps.

    A third of the recordings is kept out and understood before and after; what is not better on
    them is not installed. Learnt are your pronunciations of the words, beside those there are, and
    a shift of the confidence if you are refused. Adapting again starts from the compiled set;
    'assistant train' writes a new one, which wants to be adapted anew.

    A recording that cannot be used is a warning; the others are used. Of a manifest a line needs
    "path" and "text", or "intent" and "slots" in the place of the text. The exit code is 1 where
    nothing was installed.
    """
    screen = Screen()
    configuration = options.configuration(config, bundle, commands, device)

    from ..bundle.adapted import base_of, install_adapted, undo_adapted, write_adapted
    from ..engine import Engine
    from ..resources import find_bundle, find_commands
    from ..training.adaptation import adapt
    from .render import write_json

    folder = find_commands(configuration.commands, find_bundle(configuration.bundle))
    options.refuse_together((("--undo", undo), ("--output", output is not None)))
    if undo:
        undo_adapted(folder)
        screen.result(f"{folder}: as it was compiled")
        return
    if recordings is None:
        raise UsageError("no recordings; name a folder of 'assistant record', or a manifest")
    _check_target(folder, output)

    engine = Engine.load(configuration, base_of(folder))
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with screen.progress(*columns) as progress:
        adapted, report = adapt(recordings, engine, progress)
    for problem in report.problems:
        screen.warning(problem)
    installed = report.is_better or force
    if installed:
        facts = {
            "recordings": report.adapted_on,
            "pronunciations": dict(report.pronunciations),
            "confidence_shift": report.confidence_shift,
        }
        if output is None:
            install_adapted(folder, adapted, engine.acoustic, facts)
        else:
            write_adapted(output, adapted, engine.acoustic, facts)
    target = output or folder
    if json:
        write_json(screen, _object(report, installed, target))
    else:
        _show(screen, report)
        fate = "adapted" if installed else "not adapted, since it is no better; --force does it"
        screen.result(f"{target}: {fate}")
        if installed and output is None:
            screen.result(f"the way back: assistant adapt --undo --commands {folder}")
    if not installed:
        raise typer.Exit(1)


def _check_target(folder: Path, output: Path | None) -> None:
    """Refuse to change what comes with the package, and to write a set over itself."""
    from ..resources import data_folder

    if output is None and folder.resolve().is_relative_to(data_folder() / "models"):
        raise UsageError(
            f"{folder} comes with the package; give the adapted set a folder of its own with "
            "--output"
        )
    if output is not None and output.resolve() == folder.resolve():
        raise UsageError(f"{output} is the set itself; leave --output away to adapt it there")


def _show(screen: Screen, report: AdaptationReport) -> None:
    screen.result(
        f"{report.adapted_on} recordings taught {len(report.pronunciations)} pronunciations and "
        f"{report.confidence_shift:+.2f} log-odds of confidence"
    )
    for word, phonemes in report.pronunciations.items():
        screen.result(Text.assemble("  ", (word, "bold"), f"  /{phonemes}/"))
    table = Table("kept out", "takes", "exactly right", "refused", "confidence", "fit", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for compared in (*report.intents, report.total):
        table.add_row(*_row(compared), style="" if compared.intent else "bold")
    screen.output.print(table)
    before, after = report.foreign_before, report.foreign_after
    if before.utterances:
        screen.result(
            f"taken for a command, of {before.utterances} stretches of other people's talk: "
            f"{before.taken} → {after.taken}; their fit {before.log_ratio:.2f} → "
            f"{after.log_ratio:.2f}"
        )


def _row(compared: Comparison) -> tuple[str, ...]:
    before, after = compared.before, compared.after
    return (
        compared.intent or "all",
        str(before.takes),
        f"{before.exact / before.takes:.0%} → {after.exact / after.takes:.0%}",
        f"{before.rejected} → {after.rejected}",
        f"{before.confidence:.2f} → {after.confidence:.2f}",
        f"{before.log_ratio:.2f} → {after.log_ratio:.2f}",
    )


def _object(report: AdaptationReport, installed: bool, target: Path) -> dict[str, object]:
    """The report for programs; these names stay."""
    return {
        "commands": str(target),
        "installed": installed,
        "better": report.is_better,
        "adapted_on": report.adapted_on,
        "problems": list(report.problems),
        "pronunciations": dict(report.pronunciations),
        "confidence_shift": report.confidence_shift,
        "before": asdict(report.total.before),
        "after": asdict(report.total.after),
        "intents": [
            {"intent": i.intent, "before": asdict(i.before), "after": asdict(i.after)}
            for i in report.intents
        ],
        "foreign_before": asdict(report.foreign_before),
        "foreign_after": asdict(report.foreign_after),
    }
