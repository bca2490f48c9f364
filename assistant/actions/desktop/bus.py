"""The session bus (D-Bus), over which players, notifications and the portal are reached."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ActionError
from ...program import install_line

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

CALL_TIMEOUT_S = 5.0
"""Seconds a call waits for its answer where nothing else is said."""

Result = TypeVar("Result")


class BusError(ActionError):
    """A call was answered by an error; `name` is D-Bus's own, such as `…Error.ServiceUnknown`."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class BusObject:
    """An interface of an object of a service: where calls go to."""

    service: str
    path: str
    interface: str


DAEMON = BusObject("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
"""The bus itself."""

PROPERTIES = "org.freedesktop.DBus.Properties"
"""The interface by which the properties of every object are read."""


async def connect() -> MessageBus:
    """A new connection to the session bus; `disconnect` ends it.

    Raises:
        ActionError: dbus-fast is not installed, or there is no session bus.
    """
    try:
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ActionError(f"this needs D-Bus (dbus-fast): {install_line('desktop')}") from error
    try:
        return await MessageBus(bus_address=_session_address()).connect()
    except ActionError:
        raise
    except Exception as error:  # of sockets, addresses and authentication, each its own
        raise ActionError(
            f"the session bus (D-Bus) cannot be reached: {error}; is the assistant started in "
            "your desktop session?"
        ) from error


async def disconnect(bus: MessageBus) -> None:
    """End a connection, and wait until its socket is closed; it may have been lost before."""
    if bus.connected:
        bus.disconnect()
    ended = bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    await asyncio.wait_for(asyncio.gather(ended, return_exceptions=True), 1.0)


async def call(
    bus: MessageBus,
    target: BusObject,
    member: str,
    signature: str = "",
    *body: Any,
    timeout_s: float = CALL_TIMEOUT_S,
) -> Message:
    """Call a method and wait for its answer.

    Raises:
        BusError: it was answered by an error.
        ActionError: no answer in time, or the connection was lost.
    """
    from dbus_fast import Message, MessageType  # noqa: PLC0415 - an extra

    message = Message(
        destination=target.service,
        path=target.path,
        interface=target.interface,
        member=member,
        signature=signature,
        body=list(body),
    )
    try:
        reply = await asyncio.wait_for(bus.call(message), timeout_s)
    except TimeoutError as error:
        raise ActionError(
            f"{target.service} did not answer {member} within {timeout_s:g} s"
        ) from error
    except (OSError, EOFError) as error:
        raise ActionError(f"the session bus (D-Bus) was lost: {error}") from error
    if reply is None:
        raise ActionError("the session bus (D-Bus) was lost")
    if reply.message_type is MessageType.ERROR:
        said = next((text for text in reply.body if isinstance(text, str)), reply.error_name)
        raise BusError(f"{target.service}: {said}", reply.error_name or "")
    return reply


async def add_match(bus: MessageBus, rule: str) -> None:
    """Ask the bus for signals; `rule` is one of D-Bus's match rules."""
    await call(bus, DAEMON, "AddMatch", "s", rule)


def on_session_bus(work: Callable[[MessageBus], Awaitable[Result]], timeout_s: float) -> Result:
    """Await `work` with a connection of its own, which ends with it.

    For the thread of an action, which has no event loop.

    Raises:
        ActionError: what `work` raises, no session bus, or it did not end within `timeout_s`.
    """

    async def session() -> Result:
        bus = await connect()
        try:
            return await work(bus)
        finally:
            await disconnect(bus)

    async def within() -> Result:
        try:
            return await asyncio.wait_for(session(), timeout_s)
        except TimeoutError as error:
            raise ActionError(
                f"no answer over D-Bus within {timeout_s:g} s; raise 'timeout_s' if it is slow"
            ) from error

    return asyncio.run(within())


def _session_address() -> str:
    """Where the session bus listens: what is said, else where systemd has it."""
    if address := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and (socket := Path(runtime) / "bus").exists():
        return f"unix:path={socket}"
    raise ActionError(
        "there is no session bus (D-Bus): DBUS_SESSION_BUS_ADDRESS is not set; start the assistant "
        "in your desktop session"
    )
