"""Options that several commands share, and the configuration they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..config import AssistantConfig, load
from ..errors import UsageError

Bundle = Annotated[
    str | None,
    typer.Option(
        "--bundle",
        metavar="NAME|DIR",
        help="Acoustic bundle: a folder, or one that travels with the package (default: en-us).",
    ),
]
Commands = Annotated[
    str | None,
    typer.Option(
        "--commands",
        metavar="NAME|DIR",
        help="Compiled command set: a folder made by 'assistant train', or one inside the bundle "
        "(default: home).",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Configuration (YAML); options given here win over it."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        help="Where the networks run (default: auto).",
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour",
        metavar="N",
        help="How often an hour of other people's talk may be taken for a command: sets the "
        "confidence that is asked for ('assistant show' tells what it is now).",
    ),
]
Actions = Annotated[
    str | None,
    typer.Option(
        "--actions",
        metavar="FILE",
        help="Policy: which action each intent stands for (default: the command set's own "
        "'actions', and where it has none, the package's actions.yaml).",
    ),
]
Execute = Annotated[
    bool,
    typer.Option(
        "--execute",
        help="Really act, as the policy or else the command set says (see 'assistant show'); "
        "without it actions are only shown (dry run).",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON object a line on standard output."),
]
Events = Annotated[
    bool,
    typer.Option("--events", help="Show every event as it happens, partial results included."),
]
EarlyCommit = Annotated[
    bool,
    typer.Option(
        "--early-commit",
        help="Act at a pause, before the utterance's end, where nothing that may follow changes "
        "what is meant ('early_commit: true' in the configuration).",
    ),
]
InputDevice = Annotated[
    str | None,
    typer.Option(
        "--input-device",
        metavar="NAME|INDEX",
        help="Microphone, see 'assistant devices' (default: the system's).",
    ),
]
NoKeep = Annotated[
    bool,
    typer.Option(
        "--no-keep",
        help="Do not keep the last utterance for 'assistant explain' (it is kept without sound; "
        "'keep_last: false' in the configuration never keeps one).",
    ),
]


def examples(*lines: str) -> str:
    """The end of a command's help: typer keeps lines apart that an empty line separates."""
    return "\n\n".join(("Examples:", *lines))


def configuration(
    config: Path | None,
    bundle: str | None = None,
    commands: str | None = None,
    device: str | None = None,
    false_alarms: float | None = None,
    early_commit: bool = False,
) -> AssistantConfig:
    """The configuration file, or the defaults without one, with the options in their places.

    Raises:
        ConfigError: the file is missing or has mistakes.
    """
    base = load(config) if config is not None else AssistantConfig()
    decision = base.decision
    if false_alarms is not None:
        decision = replace(decision, false_alarms_per_hour=false_alarms)
    return replace(
        base,
        decision=decision,
        bundle=bundle or base.bundle,
        commands=commands or base.commands,
        device=device or base.device,
        early_commit=early_commit or base.early_commit,
    )


def refuse_together(options: Sequence[tuple[str, bool]]) -> None:
    """Raise UsageError where more than one of these options is given."""
    given = [name for name, present in options if present]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other; give one of them")
