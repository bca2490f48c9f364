"""`assistant train`: command files to a compiled command set."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn

from . import options
from .screen import Screen

EXAMPLES = options.examples(
    "assistant train coffee.yaml -o coffee",
    "assistant recognize --commands coffee order.wav",
    "assistant train home.yaml desktop.yaml -o mine --seed 7",
)


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="COMMANDS.yaml…",
            help="Command files (hassil templates), or folders of them; several are merged.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write.", show_default=False),
    ],
    bundle: options.Bundle = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of everything that is drawn.")
    ] = None,
) -> None:
    """Teach the assistant your own commands, without recordings.

    What the files give as examples must be understood, or refused, as they say; else nothing is
    written. How the examples sound is tried too, and what is misheard is a warning.
    """
    screen = Screen()

    import torch

    from ..resources import find_bundle
    from ..training.compiler import compile_commands
    from ..training.intent_trainer import IntentTrainingConfig

    settings = options.configuration(None, bundle)
    torch.set_num_threads(settings.threads)  # the LSTM is small: threads would wait for each other
    folder = find_bundle(settings.bundle)
    config = IntentTrainingConfig()
    if seed is not None:
        config = replace(config, seed=seed)
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with screen.progress(*columns) as progress:
        report = compile_commands(files, folder, output, config, progress)
    screen.result(
        f"{output}: {report.sentences:,} sentences of {report.intents} intents with "
        f"{report.slots} slots, compiled in {report.seconds:.0f} s"
    )
    if report.left_out:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in report.left_out.items())
        screen.result(f"left out, since they cannot be said: {reasons}")
    screen.result(
        f"understood with every slot right, on spliced sentences: {report.exact:.1%} "
        f"(LSTM alone {report.exact_lstm:.1%})"
    )
    if report.examples is not None:
        heard = report.examples
        screen.result(
            f"{heard.understood} of {heard.must} must examples understood, "
            f"{heard.refused} of {heard.must_not} must-not examples refused, on spliced sentences"
        )
        for warning in heard.warnings:
            screen.warning(warning)
    screen.result(f"try it: assistant listen --commands {output}")
