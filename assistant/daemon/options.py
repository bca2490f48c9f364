"""What the command line says of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..config import AssistantConfig


@dataclass(frozen=True)
class ServeOptions:
    """What the command line says; None where the configuration, or a default, decides."""

    version: str
    """Of the package."""
    read_config: Callable[[], AssistantConfig]
    """The configuration with the options in their places; called anew for every reload."""
    config_file: Path | None = None
    control: str | None = None
    policy: str | None = None
    execute: bool = True
    microphone: bool = True
    log_dropped: Callable[[], int] = lambda: 0
    """How many lines of the log could not be written."""
    network: bool = False
    """Whether Wyoming and metrics may be reached from other machines, which say no password."""
    discoverable: bool = False
