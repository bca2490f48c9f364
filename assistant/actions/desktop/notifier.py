"""The notifier: shows what was done, with buttons such as Undo, and says which one was pressed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...errors import ActionError
from .bus import DAEMON, add_match, call, connect, disconnect
from .notifications import SERVER, Notification, capabilities, send

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

logger = logging.getLogger(__name__)

OnPress = Callable[[str], None]
"""Called, in the event loop, with the key of the button that was pressed; once at most."""

REMEMBERED = 64
"""Notifications at most whose buttons are listened to; the oldest are forgotten first."""

_CHANGED = "NameOwnerChanged"


class Notifier:
    """Notifications of a program that goes on, over one connection to the session bus.

    Where nothing shows notifications, or there is no session bus, one warning says so, and silence
    follows until it works again. A server that restarts is found again; what it had shown is gone.
    """

    def __init__(self) -> None:
        self._bus: MessageBus | None = None
        self._lock = asyncio.Lock()
        self._server = ""
        """Unique name of the server that showed what `_shown` knows; nobody else is believed."""
        self._can: frozenset[str] = frozenset()
        self._shown: dict[int, OnPress | None] = {}
        self._warned = False

    async def show(
        self,
        title: str,
        body: str = "",
        buttons: Mapping[str, str] = MappingProxyType({}),
        on_press: OnPress | None = None,
        replaces: int = 0,
        urgency: str = "normal",
    ) -> int:
        """Show a notification; returns its number, 0 where it could not be shown. Never raises.

        Args:
            title: one line.
            body: more of it; plain text.
            buttons: what is written on each, by the key `on_press` is called with. A server that
                has no buttons shows none.
            on_press: called when one is pressed.
            replaces: number of the notification whose place it takes, if that is still there.
            urgency: `low`, `normal` or `critical`.
        """
        async with self._lock:  # one connection, one server
            try:
                bus = await self._connection()
                number = replaces if replaces in self._shown else 0
                shown = Notification(title, body, buttons, urgency, number)
                reply = await send(bus, shown, self._can)
            except ActionError as error:
                await self._give_up(error)
                return 0
        self._warned = False
        number = int(reply.body[0])
        self._shown.pop(number, None)  # so that it is the youngest
        self._shown[number] = on_press
        while len(self._shown) > REMEMBERED:
            del self._shown[next(iter(self._shown))]
        return number

    async def withdraw(self, number: int) -> None:
        """Take a notification off the screen, if it is still there."""
        if self._bus is None or self._shown.pop(number, self) is self:
            return
        try:
            await call(self._bus, SERVER, "CloseNotification", "u", number)
        except ActionError as error:  # it went by itself, or with its server
            logger.debug("notification %d: %s", number, error)

    async def close(self) -> None:
        """End the connection; what is shown stays, its buttons do nothing any more."""
        bus, self._bus = self._bus, None
        self._forget()
        if bus is not None:
            await disconnect(bus)

    async def _connection(self) -> MessageBus:
        """The connection, made anew where there is none, with a server known by `_server`."""
        if self._bus is not None and not self._bus.connected:
            await self.close()
        if self._bus is None:
            bus = await connect()
            self._bus = bus
            bus.add_message_handler(self._heard)
            await add_match(bus, f"type='signal',interface='{SERVER.interface}'")
            about = f"member='{_CHANGED}',arg0='{SERVER.service}'"
            await add_match(bus, f"type='signal',sender='{DAEMON.service}',{about}")
        if not self._server:
            self._can = await capabilities(self._bus)
            owner = await call(self._bus, DAEMON, "GetNameOwner", "s", SERVER.service)
            self._server = owner.body[0]
        return self._bus

    async def _give_up(self, error: ActionError) -> None:
        await self.close()
        if not self._warned:
            logger.warning("no notifications are shown: %s", error)
            self._warned = True

    def _forget(self) -> None:
        self._server = ""
        self._shown.clear()

    def _heard(self, message: Message) -> None:
        """A message of the bus: a button, a notification that went, or a server that did."""
        if message.member == _CHANGED and message.sender == DAEMON.service:
            if message.body[0] == SERVER.service:
                self._forget()
        elif message.interface != SERVER.interface or message.sender != self._server:
            return
        elif message.member == "NotificationClosed":
            self._shown.pop(message.body[0], None)
        elif message.member == "ActionInvoked":
            number, key = message.body
            on_press = self._shown.get(number)
            if on_press is None:
                return
            self._shown[number] = None
            try:
                on_press(key)
            except Exception:  # it must not end the connection
                logger.exception("what the button '%s' of a notification stands for failed", key)
