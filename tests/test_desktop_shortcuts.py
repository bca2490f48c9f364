"""Push-to-talk, with a portal of the test's own on a private bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from desktop_support import (  # noqa: F401 - fixtures
    no_desktop_fixture,
    private_bus,
    session_bus_fixture,
    soon,
)

from assistant.actions.desktop.shortcuts import PushToTalk
from assistant.errors import ActionError

dbus_fast = pytest.importorskip("dbus_fast", reason="dbus-fast is not installed")
aio = pytest.importorskip("dbus_fast.aio")
dbus = pytest.importorskip("dbus_fast.annotations")
service = pytest.importorskip("dbus_fast.service")

NAME = "org.freedesktop.portal.Desktop"
PATH = "/org/freedesktop/portal/desktop"
SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"
INSTEAD = "bind `assistant ctl talk start` / `assistant ctl talk stop` to a key"

Shortcuts = Annotated[list[Any], dbus.DBusSignature("a(sa{sv})")]


class Portal(service.ServiceInterface):
    """Answers each request with `status`; of old ones the path of a request is another."""

    def __init__(self, bus: Any, status: int = 0, old: bool = False) -> None:
        super().__init__(SHORTCUTS)
        self.bus, self.status, self.old = bus, status, old
        self.session = f"{PATH}/session/1_42/s"
        self.asked: dict[str, Any] = {}
        self.silent = False
        self.closed = False
        bus.add_message_handler(self._close)

    def _close(self, message: Any) -> Any:
        if message.member == "Close" and message.path == self.session:
            self.closed = True
            return dbus_fast.Message.new_method_return(message)
        return None

    @service.method()
    def CreateSession(self, options: dbus.DBusDict) -> dbus.DBusObjectPath:
        variant = dbus_fast.Variant("s", self.session)
        return self._answer(options, {"session_handle": variant}, status=0)

    @service.method()
    def BindShortcuts(
        self,
        session: dbus.DBusObjectPath,
        shortcuts: Shortcuts,
        window: dbus.DBusStr,
        options: dbus.DBusDict,
    ) -> dbus.DBusObjectPath:
        assert session == self.session
        [[identifier, about]] = shortcuts
        self.asked = {"id": identifier, **{key: value.value for key, value in about.items()}}
        keys = {"trigger_description": dbus_fast.Variant("s", "Ctrl+Alt+Space")}
        bound = dbus_fast.Variant("a(sa{sv})", [[identifier, keys]])
        return self._answer(options, {"shortcuts": bound}, self.status)

    def _answer(self, options: Any, results: Any, status: int) -> str:
        token = "other" if self.old else options["handle_token"].value
        caller = "1_0" if self.old else self.caller
        path = f"{PATH}/request/{caller}/{token}"
        if not (self.silent and "shortcuts" in results):
            body = [status, results if status == 0 else {}]
            later = asyncio.get_running_loop().call_later
            later(
                0.02, self.emit, path, "org.freedesktop.portal.Request", "Response", "ua{sv}", body
            )
        return path

    def emit(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        message = dbus_fast.Message.new_signal(path, interface, member, signature, body)
        self.bus.send(message)

    def key(self, member: str, session: str = "", identifier: str = "push-to-talk") -> None:
        body = [session or self.session, identifier, 0, {}]
        self.emit(PATH, SHORTCUTS, member, "osta{sv}", body)


@asynccontextmanager
async def serving(address: str, named: bool = True, **values: Any) -> AsyncIterator[Portal]:
    bus = await aio.MessageBus(bus_address=address).connect()
    portal = Portal(bus, **values)

    def note(message: Any) -> None:
        if message.interface == SHORTCUTS:
            portal.caller = message.sender.lstrip(":").replace(".", "_")

    bus.add_message_handler(note)
    bus.export(PATH, portal)
    if named:
        await bus.request_name(NAME)
    try:
        yield portal
    finally:
        if bus.connected:
            bus.disconnect()
        await asyncio.gather(bus.wait_for_disconnect(), return_exceptions=True)


def run(work: Callable[[PushToTalk, list[str]], Awaitable[None]]) -> list[str]:
    """What was called while `work` is awaited with a key that is given back at its end."""
    called: list[str] = []

    async def within() -> None:
        key = PushToTalk(lambda: called.append("pressed"), lambda: called.append("released"))
        try:
            await asyncio.wait_for(work(key, called), 20)
        finally:
            await key.close()

    asyncio.run(within())
    return called


@pytest.mark.parametrize("old", [False, True])
def test_the_key_is_asked_for_and_told(session_bus: str, old: bool) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        async with serving(session_bus, old=old) as portal:
            assert await key.bind() == "Ctrl+Alt+Space"
            assert portal.asked == {
                "id": "push-to-talk",
                "description": "Talk to the assistant",
                "preferred_trigger": "CTRL+ALT+space",
            }
            for member in ("Activated", "Activated", "Deactivated", "Deactivated", "Activated"):
                portal.key(member)  # held keys may repeat
            await soon(lambda: len(called) == 3)
            await key.close()
            assert portal.closed

    assert run(work) == ["pressed", "released", "pressed", "released"]


def test_other_keys_sessions_and_senders_are_not_heard(session_bus: str) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        async with serving(session_bus) as portal, serving(session_bus, named=False) as other:
            await key.bind()
            other.key("Activated")
            await other.bus.introspect(other.bus.unique_name, "/")  # it is on its way by now
            portal.key("Activated", identifier="other")
            portal.key("Activated", session="/other")
            portal.key("Deactivated")
            portal.key("Activated")
            await soon(lambda: called)

    assert run(work) == ["pressed", "released"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(1, "was refused by the user; bind"), (2, "was refused by the desktop; bind")],
)
def test_a_refusal_says_what_to_do_instead(session_bus: str, status: int, message: str) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        async with serving(session_bus, status=status):
            with pytest.raises(ActionError, match=message):
                await key.bind()

    run(work)


def test_a_question_that_nobody_answers_is_given_up(session_bus: str) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        async with serving(session_bus) as portal:
            portal.silent = True
            with pytest.raises(ActionError, match=r"nobody answered .* within 0.2 s; bind"):
                await key.bind(timeout_s=0.2)

    run(work)


def test_no_portal_says_what_to_do_instead(session_bus: str) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        with pytest.raises(ActionError) as raised:
            await key.bind()
        assert "this desktop has no portal for global shortcuts; " + INSTEAD in str(raised.value)
        bus = await aio.MessageBus(bus_address=session_bus).connect()
        await bus.request_name(NAME)  # a portal that knows other things
        with pytest.raises(ActionError, match="has no portal for global shortcuts"):
            await key.bind()
        bus.disconnect()
        await bus.wait_for_disconnect()

    run(work)


def test_no_session_bus_is_said(no_desktop: None) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        with pytest.raises(ActionError, match="there is no session bus"):
            await key.bind()

    run(work)


@pytest.mark.parametrize("how", ["the desktop ended it", "the portal ended"])
def test_a_held_key_is_released_when_the_desktop_ends_it(
    session_bus: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        async with serving(session_bus) as portal:
            await key.bind()
            portal.key("Activated")
            await soon(lambda: called)
            if how == "the portal ended":
                await portal.bus.release_name(NAME)
            else:
                session = "org.freedesktop.portal.Session"
                portal.emit(portal.session, session, "Closed", "a{sv}", [{}])
            await key.wait_until_lost()
            assert called == ["pressed", "released"]

    assert run(work) == ["pressed", "released"]
    assert f"the push-to-talk key does nothing any more: {how}" in caplog.text


def test_a_lost_bus_is_told_and_the_key_can_be_bound_again(
    session_bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(key: PushToTalk, called: list[str]) -> None:
        with private_bus() as first:
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", first)
            async with serving(first) as portal:
                await key.bind()
                portal.key("Activated")
                await soon(lambda: called)
        await key.wait_until_lost()
        await key.close()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session_bus)
        async with serving(session_bus) as portal:
            assert await key.bind() == "Ctrl+Alt+Space"
            portal.key("Activated")
            await soon(lambda: len(called) == 3)

    assert run(work) == ["pressed", "released", "pressed", "released"]


def test_a_callback_that_fails_does_not_end_it(
    session_bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    async def work() -> None:
        key = PushToTalk(lambda: called[0].upper() and None, lambda: called.append("released"))
        async with serving(session_bus) as portal:
            await key.bind()
            portal.key("Activated")
            portal.key("Deactivated")
            await soon(lambda: called)
            await key.close()

    asyncio.run(work())
    assert "what the push-to-talk key stands for failed" in caplog.text
