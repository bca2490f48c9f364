"""Notifications of the desktop: how one is sent, and `notify`, the action that sends one.

Source: the Desktop Notifications Specification 1.2 of freedesktop.org.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import ActionError
from ..limits import check_timeout
from ..placeholders import Slots, expand
from .bus import BusError, BusObject, call, on_session_bus

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

SERVER = BusObject(
    "org.freedesktop.Notifications",
    "/org/freedesktop/Notifications",
    "org.freedesktop.Notifications",
)
"""What shows notifications: a part of the desktop, or a program such as dunst or mako."""

URGENCIES = {"low": 0, "normal": 1, "critical": 2}

_LONGEST_TITLE = 200
_LONGEST_BODY = 2000
_NO_SERVER = ("ServiceUnknown", "NameHasNoOwner", "UnknownObject", "UnknownInterface")


@dataclass(frozen=True)
class Notification:
    """What is shown."""

    title: str
    body: str = ""
    buttons: Mapping[str, str] = field(default_factory=dict)
    """By key, which comes back when one is pressed: what is written on it."""
    urgency: str = "normal"
    """One of `URGENCIES`."""
    replaces: int = 0
    """Number of the notification whose place it takes; 0: none."""


async def capabilities(bus: MessageBus) -> frozenset[str]:
    """What the server can show, such as `actions` (buttons) and `body-markup`.

    Raises:
        ActionError: there is none, or it does not answer.
    """
    try:
        return frozenset((await call(bus, SERVER, "GetCapabilities")).body[0])
    except BusError as error:
        if error.name.rpartition(".")[2] in _NO_SERVER:
            raise ActionError(
                "nothing shows notifications here (org.freedesktop.Notifications): start your "
                "desktop's, or a program such as dunst or mako"
            ) from error
        raise


async def send(bus: MessageBus, shown: Notification, can: frozenset[str]) -> Message:
    """Show a notification; the answer's body is its number.

    Texts are data: where the server reads markup, theirs is escaped. can: see `capabilities`.

    Raises:
        ActionError: the server refused it, or does not answer.
    """
    from dbus_fast import Variant  # noqa: PLC0415 - an extra

    title, body = _fit(shown.title, _LONGEST_TITLE), _fit(shown.body, _LONGEST_BODY)
    if "body-markup" in can:
        body = html.escape(body, quote=False)
    buttons = shown.buttons.items() if "actions" in can else ()
    actions = [text for key_and_label in buttons for text in key_and_label]
    hints = {"urgency": Variant("y", URGENCIES[shown.urgency])}
    about = ("assistant", shown.replaces, "audio-input-microphone", title, body)
    return await call(bus, SERVER, "Notify", "susssasa{sv}i", *about, actions, hints, -1)


def _fit(text: str, longest: int) -> str:
    """`text` as D-Bus can carry it, its end cut off where it is too long."""
    text = text.replace("\0", "").encode(errors="replace").decode()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@dataclass(frozen=True)
class NotifyAction:
    """Show a notification."""

    title: str
    """One line; placeholders everywhere."""
    body: str = ""
    """More of it; placeholders everywhere."""
    urgency: str = "normal"
    """`low`, `normal` or `critical`, which stays until it is dismissed."""
    timeout_s: float = 5.0
    """Seconds until the server must have taken it."""

    def __post_init__(self) -> None:
        if not self.title:
            raise ValueError("title is empty: write what is to be shown")
        if self.urgency not in URGENCIES:
            raise ValueError(f"urgency {self.urgency!r}: write one of {', '.join(URGENCIES)}")
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.title, self.body)

    def describe(self, slots: Slots) -> str:
        """Title and body."""
        title, body = expand(self.title, slots), expand(self.body, slots)
        return f"notification '{title}: {body}'" if body else f"notification '{title}'"

    def perform(self, slots: Slots) -> str:
        """Show it; does not wait until it is seen."""
        title, body = expand(self.title, slots), expand(self.body, slots)
        shown = Notification(title, body, urgency=self.urgency)

        async def work(bus: MessageBus) -> None:
            await send(bus, shown, await capabilities(bus))

        on_session_bus(work, self.timeout_s)
        return ""
