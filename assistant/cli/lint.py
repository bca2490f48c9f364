"""`assistant lint`: what may go wrong with command files, before anyone speaks."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, TextColumn
from rich.text import Text

from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..grammar.finding import Finding, Forecast, LintReport

EXAMPLES = options.examples(
    "assistant lint kitchen.yaml",
    "assistant lint home.yaml desktop.yaml --bundle en-us",
    "assistant lint kitchen.yaml --json | jq '.findings[] | select(.gravity == \"error\")'",
)


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="COMMANDS.yaml…",
            help="Command files (hassil templates), or folders of them; several are read together.",
            show_default=False,
        ),
    ],
    json: options.Json = False,
    bundle: options.Bundle = None,
    sentences: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Sentences of each intent drawn for its predicted error."
        ),
    ] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of everything that is drawn.")] = 0,
) -> None:
    """Say what will be misunderstood in command files, and why, before anyone speaks.

    Errors: sentences of two meanings, words without pronunciation, values that sound the same,
    examples that are not kept.
    Warnings: values and sentences that sound alike to the bundle's model, sentences written twice,
    lines that others make needless, phrases too short to stand alone, pronunciations not needed.

    Rates are predicted from how the model confuses phonemes, not measured: compare them with one
    another, and do not expect them of a person. docs/lint.md has the formula and what it leaves
    out. The exit code is 1 where there are errors, 0 with warnings alone.
    """
    screen = Screen()

    from ..resources import find_bundle
    from ..training.lint import lint
    from .render import write_json

    folder = find_bundle(options.configuration(None, bundle).bundle)
    columns = (BarColumn(), TextColumn("{task.description}", markup=False))
    with screen.progress(*columns) as progress:
        report = lint(files, folder, sentences, seed, progress)
    if json:
        write_json(screen, _object(report, folder))
    else:
        _show(screen, report)
    if report.errors:
        raise typer.Exit(1)


def _show(screen: Screen, report: LintReport) -> None:
    for finding in report.findings:
        screen.result(_line(finding))
    if report.intents:
        screen.result(Text("predicted error   intent", style="bold"))
    for forecast in report.intents:
        screen.result(_forecast(forecast))
    warnings = len(report.findings) - report.errors
    screen.result(f"{_count(report.errors, 'error')}, {_count(warnings, 'warning')}")


def _line(finding: Finding) -> Text:
    style = "bold red" if finding.gravity.name == "ERROR" else "yellow"
    where = f"{finding.where}: " if finding.where else ""
    return Text.assemble((f"{finding.gravity.name.lower()}: ", style), where, finding.message)


def _forecast(forecast: Forecast) -> Text:
    line = Text.assemble(f"{forecast.error:15.2%}   ", (forecast.intent, "bold green"))
    if forecast.heard:
        line.append(
            f"   most at risk: '{forecast.said}' → '{forecast.heard}' ({forecast.rate:.1%})"
        )
    return line


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _object(report: LintReport, bundle: Path) -> dict[str, object]:
    """The report for programs; these names stay."""
    return {
        "bundle": str(bundle),
        "errors": report.errors,
        "warnings": len(report.findings) - report.errors,
        "findings": [
            {
                "gravity": finding.gravity.name.lower(),
                "kind": finding.kind,
                "where": finding.where,
                "message": finding.message,
                "predicted_rate": finding.rate,
            }
            for finding in report.findings
        ],
        "intents": [
            {
                "intent": forecast.intent,
                "predicted_error": forecast.error,
                "sentences": forecast.sentences,
                "said": forecast.said,
                "heard": forecast.heard,
                "heard_intent": forecast.heard_intent,
                "predicted_rate": forecast.rate,
            }
            for forecast in report.intents
        ],
    }
