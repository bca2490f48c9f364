"""`assistant listen`: the microphone, until Ctrl-C."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from dataclasses import replace

from . import options
from .screen import Screen

EXAMPLES = options.examples(
    "assistant listen: show what would be done",
    "assistant listen --execute --actions my-actions.yaml",
    "assistant listen --input-device USB --commands my-commands",
    "assistant listen --execute --early-commit",
    "assistant listen --json | jq --unbuffered .intent",
)


def command(
    input_device: options.InputDevice = None,
    json: options.Json = False,
    events: options.Events = False,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    execute: options.Execute = False,
    device: options.Device = None,
    false_alarms_per_hour: options.FalseAlarms = None,
    early_commit: options.EarlyCommit = False,
    no_keep: options.NoKeep = False,
) -> None:
    """Listen to the microphone, show what is understood, and act on it; Ctrl-C ends.

    On a terminal the last line shows level, speech and what has been understood so far.

    Where the policy wants confirmation, say yes or no. 'assistant history' shows what was done.
    """
    options.refuse_together((("--json", json), ("--events", events)))
    screen = Screen()
    configuration = options.configuration(
        config, bundle, commands, device, false_alarms_per_hour, early_commit
    )

    from ..audio import Microphone
    from ..engine import Engine
    from .live import listen
    from .render import new_report

    audio = configuration.audio
    if input_device is not None:
        audio = replace(audio, device=input_device)
    engine = Engine.load(configuration)
    dialogue = engine.dialogue(execute, actions)
    report = new_report(screen, json, events or not screen.is_live)
    with (
        engine.keeper(enabled=not no_keep) as keeper,
        Microphone(audio, notify=screen.warning) as microphone,
    ):
        pipeline = engine.pipeline(observe=keeper.observe)
        policy = dialogue.runner.policy
        acting = f"acting as {policy.source} says" if execute else "dry run (--execute acts)"
        screen.note(
            f"listening to {microphone.device}, {microphone.rate} Hz, {microphone.channels} "
            f"channel{'s' if microphone.channels > 1 else ''}; "
            f"{acting}; Ctrl-C ends"
        )
        try:
            listen(microphone, pipeline, dialogue, report, screen)
        finally:
            if microphone.overruns:
                screen.warning(
                    f"{microphone.overruns} blocks of audio were lost; "
                    "this machine was too slow or busy"
                )
