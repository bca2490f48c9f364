"""`assistant doctor`: what is wrong with sound, machine and model, and how to mend it."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ..errors import UsageError
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..doctor.check import Check

EXAMPLES = options.examples(
    "assistant doctor: everything; say a command when it asks for one",
    "assistant doctor --only sound --seconds 6",
    "assistant doctor --file door.wav: is this recording good, and is it understood?",
    "assistant doctor --json | jq 'select(.verdict == \"fault\")'",
)

MARKS = {
    "good": ("✔", "green"),
    "warning": ("!", "yellow"),
    "fault": ("✘", "bold red"),
    "skipped": ("–", "dim"),
}


def command(
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC",
            help="Look at this alone (may be repeated): packages, sound, permissions, desktop, "
            "model or daemon.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Judge and recognise a recording, in the place of the microphone.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=1, max=60, help="Listen to the microphone so long.")
    ] = 3.0,
    input_device: options.InputDevice = None,
    json: options.Json = False,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    device: options.Device = None,
) -> None:
    """Look for what keeps the assistant from hearing, understanding or acting, and how to mend it.

    ✔ is well, ! could be better (or is absent, and you may not miss it), ✘ must be mended, – does
    not apply here. The exit code is 1 where there is a ✘. Nothing is changed, and nothing that is
    recorded is kept.
    """
    from ..doctor.check import Verdict
    from ..doctor.examination import TOPICS, Examined, examine

    if unknown := [name for name in only or () if name not in TOPICS]:
        raise UsageError(f"--only {unknown[0]}: no such topic; one of: {', '.join(TOPICS)}")
    screen = Screen()
    configuration = options.configuration(config, bundle, commands, device)
    if input_device is not None:
        audio = replace(configuration.audio, device=input_device)
        configuration = replace(configuration, audio=audio)
    examined = Examined(configuration, actions, file, seconds, screen.note)
    counts: Counter[Verdict] = Counter()
    before = ""
    for topic, check in examine(examined, only or ()):
        counts[check.verdict] += 1
        if json:
            _write(screen, topic, check)
            continue
        if topic != before:
            screen.result(Text(topic, style="bold"))
            before = topic
        for line in _lines(check):
            screen.result(line)
    if not json:
        faults, warnings = counts[Verdict.FAULT], counts[Verdict.WARNING]
        screen.result(f"{counts[Verdict.GOOD]} ✔   {warnings} !   {faults} ✘")
    if counts[Verdict.FAULT]:
        raise typer.Exit(1)


def _lines(check: Check) -> list[Text]:
    lines = [Text.assemble("  ", MARKS[check.verdict.value], f" {check.name:16} {check.found}")]
    if check.remedy:
        lines.append(Text.assemble(" " * 21, ("→ ", "cyan"), check.remedy))
    return lines


def _write(screen: Screen, topic: str, check: Check) -> None:
    """A finding for programs; these names stay."""
    from .render import write_json

    write_json(
        screen,
        {
            "topic": topic,
            "name": check.name,
            "verdict": check.verdict.value,
            "found": check.found,
            "remedy": check.remedy,
        },
    )
