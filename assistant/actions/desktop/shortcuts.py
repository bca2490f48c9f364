"""Push-to-talk: a key of the whole desktop, by the portal for global shortcuts.

Source: the XDG Desktop Portal documentation, org.freedesktop.portal.GlobalShortcuts and
org.freedesktop.portal.Request. The desktop asks the user once which key it is to be.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ActionError
from .bus import DAEMON, BusError, BusObject, add_match, call, connect, disconnect

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

logger = logging.getLogger(__name__)

_SERVICE = "org.freedesktop.portal.Desktop"
_PATH = "/org/freedesktop/portal/desktop"
_SHORTCUTS = BusObject(_SERVICE, _PATH, "org.freedesktop.portal.GlobalShortcuts")
_REQUEST = "org.freedesktop.portal.Request"
_SESSION = "org.freedesktop.portal.Session"

_IDENTIFIER = "push-to-talk"
_INSTEAD = (
    "bind `assistant ctl talk start` / `assistant ctl talk stop` to a key in your desktop's "
    "settings instead"
)
_NO_PORTAL = ("ServiceUnknown", "NameHasNoOwner", "UnknownMethod", "UnknownInterface")


class PushToTalk:
    """Calls `pressed` and `released` as the user holds a key, whatever window has the focus.

    Both are called in the event loop, in turn. When the desktop ends it, `released` is called if
    the key was held, and a warning says so; `wait_until_lost` returns.
    """

    def __init__(
        self,
        pressed: Callable[[], None],
        released: Callable[[], None],
        description: str = "Talk to the assistant",
        trigger: str = "CTRL+ALT+space",
    ) -> None:
        """The key of the user's choice counts; what is said here is what the desktop suggests.

        Args:
            pressed: called when the key goes down.
            released: called when it goes up.
            description: what the desktop shows beside the key.
            trigger: as the XDG shortcuts specification writes keys.
        """
        self._pressed, self._released = pressed, released
        self._description, self._trigger = description, trigger
        self._bus: MessageBus | None = None
        self._portal = ""
        """Unique name of the portal; nobody else is believed."""
        self._session = ""
        self._answers: dict[str, asyncio.Future[tuple[int, Mapping[str, Any]]]] = {}
        self._held = False
        self._lost = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def bind(self, timeout_s: float = 120.0) -> str:
        """Ask the desktop for the key; returns what the user knows it as, such as `Ctrl+Alt+Space`.

        timeout_s: seconds for the user to answer.

        Raises:
            ActionError: there is no portal for it, the user refused, or nobody answered.
        """
        self._bus = bus = await connect()
        self._lost.clear()
        try:
            bus.add_message_handler(self._heard)
            await add_match(bus, f"type='signal',sender='{_SERVICE}'")
            about = f"member='NameOwnerChanged',arg0='{_SERVICE}'"
            await add_match(bus, f"type='signal',sender='{DAEMON.service}',{about}")
            keys = await self._create(bus, timeout_s)
        except BaseException as error:
            await self.close()
            if isinstance(error, BusError) and error.name.rpartition(".")[2] in _NO_PORTAL:
                raise ActionError(
                    f"this desktop has no portal for global shortcuts; {_INSTEAD}"
                ) from error
            raise
        self._watch = asyncio.create_task(self._until_disconnected(bus))
        return keys

    async def wait_until_lost(self) -> None:
        """Return when the key does nothing any more; `bind` asks for it anew."""
        await self._lost.wait()

    async def close(self) -> None:
        """Give the key back."""
        bus, self._bus = self._bus, None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._end()
        if bus is None:
            return
        if self._session and bus.connected:
            try:
                await call(bus, BusObject(_SERVICE, self._session, _SESSION), "Close")
            except ActionError as error:  # it went with the portal
                logger.debug("the session of the shortcut: %s", error)
        self._session = ""
        await disconnect(bus)

    async def _create(self, bus: MessageBus, timeout_s: float) -> str:
        """The session with its shortcut; returns what the user knows its key as."""
        from dbus_fast import Variant  # noqa: PLC0415 - an extra

        token = Variant("s", f"assistant_{secrets.token_hex(8)}")
        created = await self._ask(bus, timeout_s, "CreateSession", session_handle_token=token)
        handle = created.get("session_handle")
        if handle is None:
            raise ActionError(f"the portal for global shortcuts made no session; {_INSTEAD}")
        self._session = str(handle.value)
        about = {
            "description": Variant("s", self._description),
            "preferred_trigger": Variant("s", self._trigger),
        }
        arguments = ("oa(sa{sv})s", self._session, [[_IDENTIFIER, about]], "")
        bound = await self._ask(bus, timeout_s, "BindShortcuts", *arguments)
        shortcuts = bound["shortcuts"].value if "shortcuts" in bound else ()
        for identifier, said in shortcuts:
            if identifier == _IDENTIFIER:
                keys = said.get("trigger_description")
                return str(keys.value) if keys is not None else ""
        raise ActionError(f"the desktop bound no key for push-to-talk; {_INSTEAD}")

    async def _ask(
        self,
        bus: MessageBus,
        timeout_s: float,
        member: str,
        signature: str = "",
        *body: Any,
        **options: Any,
    ) -> Mapping[str, Any]:
        """Call a method whose answer comes later, as a signal of a request object."""
        from dbus_fast import Variant  # noqa: PLC0415 - an extra

        token = f"assistant_{secrets.token_hex(8)}"
        sender = (bus.unique_name or "").lstrip(":").replace(".", "_")
        answer: asyncio.Future[tuple[int, Mapping[str, Any]]]
        answer = asyncio.get_running_loop().create_future()
        self._answers = {f"{_PATH}/request/{sender}/{token}": answer}
        options["handle_token"] = Variant("s", token)
        reply = await call(bus, _SHORTCUTS, member, f"{signature}a{{sv}}", *body, options)
        self._portal = reply.sender or ""
        self._answers[reply.body[0]] = answer  # before version 0.9 the portal chose another
        try:
            status, results = await asyncio.wait_for(answer, timeout_s)
        except TimeoutError as error:
            raise ActionError(
                f"nobody answered the desktop's question for the push-to-talk key within "
                f"{timeout_s:g} s; {_INSTEAD}"
            ) from error
        if status:
            why = "was refused by the user" if status == 1 else "was refused by the desktop"
            raise ActionError(f"the push-to-talk key {why}; {_INSTEAD}")
        return results

    def _heard(self, message: Message) -> None:
        """A message of the bus: an answer, the key, or the end of it."""
        if message.member == "NameOwnerChanged" and message.sender == DAEMON.service:
            if self._session and message.body[0] == _SERVICE:
                self._lose("the portal ended")
        elif message.interface == _REQUEST and message.member == "Response":
            answer = self._answers.get(message.path or "")
            if answer is not None and not answer.done() and self._portal in ("", message.sender):
                answer.set_result((message.body[0], message.body[1]))
        elif message.sender != self._portal or not self._session:
            return
        elif message.interface == _SESSION and message.path == self._session:
            if message.member == "Closed":
                self._lose("the desktop ended it")
        elif message.interface == _SHORTCUTS.interface and message.body[:2] == [
            self._session,
            _IDENTIFIER,
        ]:
            if message.member == "Activated" and not self._held:
                self._held = True
                self._say(self._pressed)
            elif message.member == "Deactivated":
                self._end()

    async def _until_disconnected(self, bus: MessageBus) -> None:
        ended = bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        await asyncio.gather(ended, return_exceptions=True)
        self._lose("the session bus was lost")

    def _lose(self, why: str) -> None:
        self._end()
        self._session = ""
        if not self._lost.is_set():
            self._lost.set()
            logger.warning("the push-to-talk key does nothing any more: %s", why)

    def _end(self) -> None:
        """The key is not held, or nobody can say any more that it is."""
        if self._held:
            self._held = False
            self._say(self._released)

    def _say(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # it must not end the connection
            logger.exception("what the push-to-talk key stands for failed")
