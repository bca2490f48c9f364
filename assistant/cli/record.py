"""`assistant record`: the user's own recordings of commands, for `assistant adapt`."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ..bundle_files import CONFIG
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..config import AssistantConfig
    from ..grammar.network import WordNetwork

EXAMPLES = options.examples(
    "assistant record kitchen.yaml -o my-voice",
    "assistant record home -o my-voice --sentences 40 --takes 2",
    "assistant adapt my-voice --commands kitchen",
)


def command(
    commands: Annotated[
        str,
        typer.Argument(
            metavar="COMMANDS.yaml|DIR",
            help="A command file or a folder of them, or a compiled command set (or its name).",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Where recordings go.", show_default=False
        ),
    ],
    sentences: Annotated[
        int, typer.Option(metavar="N", min=1, help="Sentences to say, at most.")
    ] = 24,
    takes: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often to say each of them.")
    ] = 1,
    speaker: Annotated[
        str, typer.Option(metavar="NAME", help="Whose voice it is, for the manifest.")
    ] = "me",
    input_device: options.InputDevice = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
) -> None:
    """Record a few commands in your own voice, for 'assistant adapt' to learn from.

    Shows one sentence after the other and records until you pause. A take that is too quiet, that
    clips or that lost sound is asked for again. Ctrl-C ends; what was recorded stays, and the next
    call goes on where this one stopped.

    FOLDER and its files are readable by you alone, and nothing leaves this machine. Recordings
    made elsewhere need no import: write a manifest.jsonl beside them with a line
    {"path": "lamp.wav", "text": "turn on the lamp"} for each, and give that to 'assistant adapt'.
    """
    screen = Screen()
    configuration = options.configuration(config, bundle)
    audio = configuration.audio
    if input_device is not None:
        configuration = replace(configuration, audio=replace(audio, device=input_device))

    from ..training.prompting import choose_prompts
    from ..training.takes import TakeFolder
    from .recorder import record

    prompts = choose_prompts(_network(commands, configuration), sentences)
    folder = TakeFolder(output)
    recorded = folder.recorded(speaker)
    missing = [
        prompt
        for number in range(takes)
        for prompt in prompts.prompts
        if recorded[prompt.text] <= number
    ]
    count = takes * len(prompts.prompts)
    screen.note(
        f"{len(prompts.prompts)} sentences say {prompts.intents[0]} of {prompts.intents[1]} "
        f"commands and {prompts.values[0]} of {prompts.values[1]} values of slots"
    )
    if len(missing) < count:
        screen.note(f"{count - len(missing)} of {count} recordings are there already")
    kept = 0
    try:
        for prompt in missing:
            screen.note(Text.assemble(f"{kept + 1}/{len(missing)}  ", (prompt.text, "bold")))
            record(prompt, folder, speaker, configuration, screen)
            kept += 1
    except KeyboardInterrupt:
        screen.note("what was recorded stays; the same command goes on from here")
        raise
    screen.result(f"{output}: {count} recordings; now: assistant adapt {output} --commands DIR")


def _network(commands: str, configuration: AssistantConfig) -> WordNetwork:
    """The sentences of command files, or of a compiled command set."""
    from ..bundle import read_acoustic, read_commands
    from ..grammar.commands import load_commands
    from ..resources import find_bundle, find_commands

    path = Path(commands)
    if path.is_file() or (path.is_dir() and not (path / CONFIG).is_file()):
        return load_commands([path]).network
    bundle = find_bundle(configuration.bundle)
    return read_commands(find_commands(commands, bundle), read_acoustic(bundle)).network
