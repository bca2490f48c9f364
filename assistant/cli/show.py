"""`assistant show`: the bundle, what can be said, and how long an answer takes."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich import filesize
from rich.text import Text

from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..types import SlotValue
    from .description import Description

VALUES = 8
"""Values of a slot that are written out."""

EXAMPLES = options.examples(
    "assistant show",
    "assistant show --commands my-commands",
    "assistant show --json | jq .delays",
)


def command(
    json: options.Json = False,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    device: options.Device = None,
) -> None:
    """Show the bundle, the commands with example sentences, and the delay of every stage.

    And what each intent does, with --execute or by the daemon: look at it before you use somebody
    else's commands.
    """
    screen = Screen()

    from ..engine import Engine
    from .description import describe
    from .render import write_json

    engine = Engine.load(options.configuration(config, bundle, commands, device))
    description = describe(engine, engine.policy(actions))
    if json:
        write_json(screen, asdict(description))
    else:
        for line in _lines(description):
            screen.result(line)


def _lines(shown: Description) -> list[Text]:
    features = shown.features
    kind = "streaming encoder" if features.encoder else "log-mel frames"
    lines = [
        _heading("Bundle", f"{shown.bundle} ({shown.folder})"),
        _entry("language", shown.language),
        _entry("features", f"{features.mel_bins} mel bands, {kind}, {features.stack} to a row"),
        _entry("phonemes", f"{len(shown.phonemes) - 1}: {' '.join(shown.phonemes[1:])}"),
        *(
            _entry(size.name, f"{size.parameters:,} parameters, {filesize.decimal(size.bytes)}")
            for size in shown.networks
        ),
        _entry("SHA-256", shown.acoustic_sha256),
        Text(),
        _heading("Commands", shown.commands),
        _entry("sentences", f"{shown.sentences:,}, made of {shown.words:,} words"),
        _entry("graph", f"{shown.graph_states:,} states"),
        _entry("accepted", f"from a confidence of {shown.threshold:.2f}{_alarms(shown)}"),
        _entry("SHA-256", f"{shown.source_sha256} (of the command files)"),
        _entry("actions", shown.actions),
    ]
    for intent in shown.intents:
        lines.append(Text.assemble("  ", (intent.name, "bold green")))
        lines += [_entry(f"  {slot}", _values(values)) for slot, values in intent.slots.items()]
        lines += [Text.assemble("    “", (sentence, "italic"), "”") for sentence in intent.examples]
        lines += [Text.assemble("    does ", action) for action in intent.actions]
    lines += [Text(), _heading("Delays", "by design, computing time not included")]
    for answer, total, delays in (
        ("partial result", shown.partial_result_ms, [d for d in shown.delays if d.partial_result]),
        ("final decision", shown.final_decision_ms, [d for d in shown.delays if d.final_decision]),
        ("early decision", shown.early_decision_ms, [d for d in shown.delays if d.early_decision]),
    ):
        if total is None:
            continue
        lines.append(Text.assemble(f"  {answer:16}", (f"{total:7.1f} ms at most", "bold")))
        lines += [
            Text.assemble(f"    {d.stage:14}{d.milliseconds:7.1f} ms  ", (d.because, "dim"))
            for d in delays
        ]
    return lines


def _alarms(shown: Description) -> str:
    if shown.false_alarms_per_hour is None:
        return ""
    rate = f"{shown.false_alarms_per_hour:.2g}"
    return f"; about {rate} false alarms in an hour of other people's talk"


def _heading(name: str, text: str) -> Text:
    return Text.assemble((name, "bold"), f"  {text}")


def _entry(name: str, text: str) -> Text:
    return Text.assemble((f"  {name:16}", "cyan"), text)


def _values(values: Sequence[SlotValue]) -> str:
    if len(values) > VALUES and all(isinstance(v, int | float) for v in values):
        return f"{values[0]} … {values[-1]} ({len(values)} numbers)"
    text = ", ".join(map(str, values[:VALUES]))
    return f"{text}, … ({len(values)})" if len(values) > VALUES else text
