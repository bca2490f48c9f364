"""`volume`: the loudness of the default output, through PipeWire (wpctl) or PulseAudio (pactl)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import ActionError
from ..json_template import fill
from ..limits import check_timeout
from ..placeholders import Slots, expand, placeholders
from ..text import slot_text
from .programs import first_that_works, run

COMMANDS = ("set", "up", "down", "mute", "unmute", "toggle")

_WPCTL_SINK = "@DEFAULT_AUDIO_SINK@"
_PACTL_SINK = "@DEFAULT_SINK@"
_MUTE = {"mute": "1", "unmute": "0", "toggle": "toggle"}


@dataclass(frozen=True)
class VolumeAction:
    """Set the volume of the default output, change it, or mute it.

    wpctl is used, and pactl where that is not installed or does not work.
    """

    command: str
    """One of `COMMANDS`; placeholders for a slot that says one."""
    level: object = None
    """Per cent, for `set`: a number, or a placeholder."""
    step: float = 5.0
    """Per cent by which `up` and `down` change it."""
    limit: float = 100.0
    """Per cent above which it is never set; more than 100 amplifies, and may distort."""
    timeout_s: float = 5.0
    """Seconds for each program."""

    def __post_init__(self) -> None:
        if not placeholders(self.command):
            _check_command(self.command, ValueError)
            if (self.command == "set") != (self.level is not None):
                raise ValueError("'set' has a level, and it alone: write {command: set, level: 40}")
        for name, value in (("step", self.step), ("limit", self.limit)):
            if not 0 < value <= 200:
                raise ValueError(f"{name} is {value:g}: write per cent, more than 0, at most 200")
        if self.level is not None and not (
            isinstance(self.level, str) and placeholders(self.level)
        ):
            _per_cent(self.level, self.limit, ValueError)
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.command, self.level) if isinstance(self.level, str) else (self.command,)

    def describe(self, slots: Slots) -> str:
        """The command, and by or to how much."""
        command = expand(self.command, slots)
        if command == "set":
            return f"volume to {slot_text(self._level(slots))} %"
        return f"volume {command}" + (f" by {self.step:g} %" if command in ("up", "down") else "")

    def perform(self, slots: Slots) -> str:
        """Run the program that works, to its end."""
        command = expand(self.command, slots)
        _check_command(command, ActionError)
        level = 0.0
        if command == "set":
            level = _per_cent(self._level(slots), self.limit, ActionError)
        first_that_works(
            "the volume",
            [
                ("wpctl", lambda: self._wpctl(command, level)),
                ("pactl", lambda: self._pactl(command, level)),
            ],
        )
        return ""

    def _level(self, slots: Slots) -> str | int | float:
        if self.level is None:
            raise ActionError("'set' needs a level: write {command: set, level: …} in the policy")
        value = fill(self.level, slots)
        return value if isinstance(value, str | int | float) else str(value)

    def _wpctl(self, command: str, level: float) -> str:
        if command in _MUTE:
            return run(["wpctl", "set-mute", _WPCTL_SINK, _MUTE[command]], self.timeout_s)
        change = {"up": f"{self.step:g}%+", "down": f"{self.step:g}%-"}.get(command, f"{level:g}%")
        limit = ["--limit", f"{self.limit / 100:g}"] if command == "up" else []
        return run(["wpctl", "set-volume", *limit, _WPCTL_SINK, change], self.timeout_s)

    def _pactl(self, command: str, level: float) -> str:
        if command in _MUTE:
            return run(["pactl", "set-sink-mute", _PACTL_SINK, _MUTE[command]], self.timeout_s)
        if command == "up":  # pactl knows no limit: what it would become is worked out here
            said = run(["pactl", "get-sink-volume", _PACTL_SINK], self.timeout_s)
            channels = [int(percent) for percent in re.findall(r"(\d+)\s*%", said)]
            if not channels:
                raise ActionError(f"'pactl get-sink-volume' said {said!r}")
            loudest = max(channels)
            level = max(loudest, min(loudest + self.step, self.limit))
        change = f"-{self.step:g}%" if command == "down" else f"{level:g}%"
        return run(["pactl", "set-sink-volume", _PACTL_SINK, change], self.timeout_s)


def _check_command(command: str, error: type[Exception]) -> None:
    if command not in COMMANDS:
        raise error(f"volume command {command!r}: write one of {', '.join(COMMANDS)}")


def _per_cent(level: object, limit: float, error: type[Exception]) -> float:
    """`level` as a number from 0 to `limit`."""
    try:
        value = float(level) if isinstance(level, str | int | float) else math.nan
    except ValueError:
        value = math.nan
    if isinstance(level, bool) or not math.isfinite(value):
        raise error(f"volume level {level!r} is no number of per cent")
    if not 0 <= value <= limit:
        raise error(
            f"volume {value:g} % is not between 0 and {limit:g} %; raise 'limit' to allow more"
        )
    return value
