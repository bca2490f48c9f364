"""Options that several commands share, and the configuration they amount to."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import AssistantConfig, load
from ..errors import UsageError

if TYPE_CHECKING:
    from ..actions import ActionRunner

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
Actions = Annotated[
    str,
    typer.Option("--actions", metavar="FILE", help="Policy: which action each intent stands for."),
]
Execute = Annotated[
    bool,
    typer.Option("--execute", help="Really act; without it actions are only shown (dry run)."),
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
    early_commit: bool = False,
) -> AssistantConfig:
    """The configuration file, or the defaults without one, with the options in their places.

    Raises:
        ConfigError: the file is missing or has mistakes.
    """
    base = load(config) if config is not None else AssistantConfig()
    return replace(
        base,
        bundle=bundle or base.bundle,
        commands=commands or base.commands,
        device=device or base.device,
        early_commit=early_commit or base.early_commit,
    )


def action_runner(policy: str, execute: bool) -> ActionRunner:
    """What acts, or in a dry run only says how it would.

    Raises:
        ConfigError: the policy is missing or has mistakes.
    """
    from ..actions import ActionRunner, load_policy
    from ..resources import find_config

    return ActionRunner(load_policy(find_config(policy)), execute)


def refuse_together(options: Sequence[tuple[str, bool]]) -> None:
    """Raise UsageError where more than one of these options is given."""
    given = [name for name, present in options if present]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other; give one of them")
