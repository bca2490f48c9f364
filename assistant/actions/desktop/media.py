"""`media`: a media player, by MPRIS, which browsers, Spotify, VLC and many others speak.

Source: the MPRIS D-Bus Interface Specification 2.2 of freedesktop.org.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ActionError
from ..limits import check_timeout
from ..placeholders import Slots, expand, placeholders
from .bus import DAEMON, PROPERTIES, BusError, BusObject, call, on_session_bus

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

COMMANDS = {
    "play": ("Play", "CanPlay"),
    "pause": ("Pause", "CanPause"),
    "play-pause": ("PlayPause", "CanPause"),
    "stop": ("Stop", "CanControl"),
    "next": ("Next", "CanGoNext"),
    "previous": ("Previous", "CanGoPrevious"),
    "forward": ("Seek", "CanSeek"),
    "back": ("Seek", "CanSeek"),
}
"""By command: the method of MPRIS, and the property that says whether the player can do it now."""

_PREFIX = "org.mpris.MediaPlayer2."
_PLAYER = "org.mpris.MediaPlayer2.Player"
_PROXY = "playerctld"
"""Speaks for the other players, which are on the bus themselves."""

_RANKS = {"Playing": 0, "Paused": 1}
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class MediaAction:
    """Tell a media player what to do.

    Of several players it is the one that plays, else one that is paused, else the first by name.
    """

    command: str
    """One of `COMMANDS`; placeholders for a slot that says one."""
    player: str = ""
    """Name of the player, such as `spotify`; placeholders. Where absent, whichever it is."""
    step_s: float = 10.0
    """Seconds to go forward or back."""
    timeout_s: float = 5.0
    """Seconds for all of it."""

    def __post_init__(self) -> None:
        if not placeholders(self.command):
            _check_command(self.command, ValueError)
        if not 0 < self.step_s <= 86_400:
            raise ValueError(f"step_s is {self.step_s:g}: write seconds, more than 0")
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.command, self.player)

    def describe(self, slots: Slots) -> str:
        """Player and command."""
        return f"{expand(self.player, slots) or 'player'}: {expand(self.command, slots)}"

    def perform(self, slots: Slots) -> str:
        """Call the player, and wait until it has answered."""
        command, wanted = expand(self.command, slots), expand(self.player, slots)
        _check_command(command, ActionError)

        async def work(bus: MessageBus) -> None:
            name, properties = await _choose(bus, wanted)
            method, ability = COMMANDS[command]
            if properties.get(ability) is False:
                raise ActionError(f"{name} cannot do '{command}' now (its {ability} is false)")
            player = BusObject(_PREFIX + name, "/org/mpris/MediaPlayer2", _PLAYER)
            if method == "Seek":
                offset = self.step_s * (1 if command == "forward" else -1) * _MICROSECONDS
                await call(bus, player, method, "x", round(offset), timeout_s=self.timeout_s)
            else:
                await call(bus, player, method, timeout_s=self.timeout_s)

        on_session_bus(work, self.timeout_s)
        return ""


def _check_command(command: str, error: type[Exception]) -> None:
    if command not in COMMANDS:
        raise error(f"media command {command!r}: write one of {', '.join(COMMANDS)}")


async def _choose(bus: MessageBus, wanted: str) -> tuple[str, Mapping[str, Any]]:
    """Name and properties of the player to speak to."""
    listed = (await call(bus, DAEMON, "ListNames")).body[0]
    names = sorted(name.removeprefix(_PREFIX) for name in listed if name.startswith(_PREFIX))
    names = [name for name in names if name != _PROXY]
    if not names:
        raise ActionError(
            "no media player runs that can be controlled (MPRIS): start one; mpv needs the plugin "
            "mpv-mpris"
        )
    fitting = [name for name in names if _is_called(name, wanted)] if wanted else names
    if not fitting:
        raise ActionError(f"no media player '{wanted}' runs; there is: {', '.join(names)}")
    every = await asyncio.gather(*(_properties(bus, name) for name in fitting))
    players = [(n, p) for n, p in zip(fitting, every, strict=True) if p is not None]
    if not players:
        raise ActionError(f"the media player {fitting[0]} does not answer: restart it")
    return min(players, key=lambda player: _RANKS.get(player[1].get("PlaybackStatus", ""), 2))


def _is_called(name: str, wanted: str) -> bool:
    """Whether `name` is `wanted`, or one of its instances (`vlc.instance123`)."""
    return name.lower() == wanted.lower() or name.lower().startswith(f"{wanted.lower()}.")


async def _properties(bus: MessageBus, name: str) -> Mapping[str, Any] | None:
    """What a player says of itself; None where it does not answer, as one that hangs."""
    target = BusObject(_PREFIX + name, "/org/mpris/MediaPlayer2", PROPERTIES)
    try:
        reply = await call(bus, target, "GetAll", "s", _PLAYER, timeout_s=1.0)
    except BusError:
        return {}  # it has no properties to tell, but may still obey
    except ActionError:
        return None
    return {key: variant.value for key, variant in reply.body[0].items()}
