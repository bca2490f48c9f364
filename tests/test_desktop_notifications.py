"""`notify` and the notifier, with a notification server of the test's own on a private bus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import (  # noqa: F401 - fixtures
    Loop,
    loop_fixture,
    no_desktop_fixture,
    private_bus,
    session_bus_fixture,
    soon,
)

from assistant.actions.desktop.notifier import REMEMBERED, Notifier
from assistant.types import ActionStatus

aio = pytest.importorskip("dbus_fast.aio", reason="dbus-fast is not installed")
dbus = pytest.importorskip("dbus_fast.annotations")
service = pytest.importorskip("dbus_fast.service")

PATH = "/org/freedesktop/Notifications"
NAME = "org.freedesktop.Notifications"
Strings = Annotated[list[str], dbus.DBusSignature("as")]


class Server(service.ServiceInterface):
    """Keeps what it is to show."""

    def __init__(self, bus: Any, *capabilities: str) -> None:
        super().__init__(NAME)
        self.bus = bus
        self.capabilities = list(capabilities)
        self.shown: dict[int, tuple[Any, ...]] = {}
        self.next = 1

    @service.method()
    def GetCapabilities(self) -> Strings:
        return self.capabilities

    @service.method()
    def Notify(
        self,
        application: dbus.DBusStr,
        replaces: dbus.DBusUInt32,
        icon: dbus.DBusStr,
        title: dbus.DBusStr,
        body: dbus.DBusStr,
        actions: Strings,
        hints: dbus.DBusDict,
        timeout: dbus.DBusInt32,
    ) -> dbus.DBusUInt32:
        number = replaces or self.next
        self.next += not replaces
        self.shown[number] = (title, body, actions, hints["urgency"].value)
        return number

    @service.method()
    def CloseNotification(self, number: dbus.DBusUInt32):
        del self.shown[number]

    @service.signal()
    def ActionInvoked(
        self, number: int, key: str
    ) -> Annotated[tuple[int, str], dbus.DBusSignature("us")]:
        return (number, key)

    @service.signal()
    def NotificationClosed(
        self, number: int, reason: int
    ) -> Annotated[tuple[int, int], dbus.DBusSignature("uu")]:
        return (number, reason)


@asynccontextmanager
async def serving(address: str, *capabilities: str, named: bool = True) -> AsyncIterator[Server]:
    bus = await aio.MessageBus(bus_address=address).connect()
    server = Server(bus, *(capabilities or ("actions", "body", "body-markup")))
    bus.export(PATH, server)
    if named:
        await bus.request_name(NAME)
    try:
        yield server
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()


def run(work: Callable[[Notifier], Awaitable[None]]) -> None:
    """Await `work` with a notifier, which is closed at its end."""

    async def within() -> None:
        notifier = Notifier()
        try:
            await asyncio.wait_for(work(notifier), 20)
        finally:
            await notifier.close()

    asyncio.run(within())


def test_a_notification_is_shown(session_bus: str, loop: Loop) -> None:
    serving_now = serving(session_bus)
    server = loop.run(serving_now.__aenter__)
    rule = {"notify": {"title": "{a} < {b}", "body": "{a} & <b>{b}</b>\n", "urgency": "critical"}}
    result = perform(rule, a="<i>x</i>", b="y")
    assert result.status is ActionStatus.DONE, result.description
    body = "&lt;i&gt;x&lt;/i&gt; &amp; &lt;b&gt;y&lt;/b&gt;\n"
    assert server.shown == {1: ("<i>x</i> < y", body, [], 2)}
    assert perform({"notify": "Time is up"}).status is ActionStatus.DONE
    assert server.shown[2] == ("Time is up", "", [], 1)
    loop.run(lambda: serving_now.__aexit__(None, None, None))


def test_a_server_without_markup_gets_the_text_as_it_is(session_bus: str) -> None:
    async def work(notifier: Notifier) -> None:
        async with serving(session_bus, "body") as server:
            await notifier.show("a\0b", "1 < 2 " + "x" * 3000, {"undo": "Undo"})
            title, body, actions, _ = server.shown[1]
            assert (title, body[:6], len(body), actions) == ("ab", "1 < 2 ", 2000, [])

    run(work)


def test_where_nothing_shows_notifications_the_action_says_so(session_bus: str) -> None:
    result = perform({"notify": "x"})
    assert result.status is ActionStatus.FAILED
    assert "nothing shows notifications here" in result.description
    assert "a program such as dunst or mako" in result.description


def test_the_button_that_was_pressed_is_told_once(session_bus: str) -> None:
    pressed: list[str] = []

    async def work(notifier: Notifier) -> None:
        async with serving(session_bus) as server:
            buttons = {"yes": "Yes, do it", "no": "No"}
            other = await notifier.show(
                "Other", "", buttons, lambda key: pressed.append(f"2 {key}")
            )
            number = await notifier.show("Close?", "", buttons, pressed.append)
            assert server.shown[number][2] == ["yes", "Yes, do it", "no", "No"]
            server.ActionInvoked(number, "yes")
            server.ActionInvoked(number, "no")
            server.ActionInvoked(999, "no")
            server.ActionInvoked(other, "no")
            await soon(lambda: "2 no" in pressed)

    run(work)
    assert pressed == ["yes", "2 no"]


def test_one_that_is_gone_or_replaced_has_no_old_buttons(session_bus: str) -> None:
    pressed: list[str] = []

    async def work(notifier: Notifier) -> None:
        async with serving(session_bus) as server:
            first = await notifier.show(
                "A", "", {"a": "A"}, lambda key: pressed.append(f"old {key}")
            )
            again = await notifier.show("B", "", {"a": "A"}, pressed.append, replaces=first)
            assert again == first
            gone = await notifier.show(
                "C", "", {"a": "A"}, lambda key: pressed.append(f"gone {key}")
            )
            server.NotificationClosed(gone, 2)
            server.ActionInvoked(gone, "a")
            server.ActionInvoked(again, "a")
            await soon(lambda: pressed)
            assert await notifier.show("D", replaces=gone) not in (first, gone)

    run(work)
    assert pressed == ["a"]


def test_nobody_but_the_server_presses_a_button(session_bus: str) -> None:
    pressed: list[str] = []

    async def work(notifier: Notifier) -> None:
        async with serving(session_bus) as server, serving(session_bus, named=False) as other:
            number = await notifier.show("Close?", "", {"yes": "Yes"}, pressed.append)
            other.ActionInvoked(number, "forged")
            await other.bus.introspect(other.bus.unique_name, "/")  # it is on its way by now
            server.ActionInvoked(number, "yes")
            await soon(lambda: pressed)

    run(work)
    assert pressed == ["yes"]


def test_a_callback_that_fails_does_not_end_it(
    session_bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    pressed: list[str] = []

    def broken(key: str) -> None:
        raise RuntimeError(key)

    async def work(notifier: Notifier) -> None:
        async with serving(session_bus) as server:
            first = await notifier.show("A", "", {"a": "A"}, broken)
            second = await notifier.show("B", "", {"b": "B"}, pressed.append)
            server.ActionInvoked(first, "a")
            server.ActionInvoked(second, "b")
            await soon(lambda: pressed)

    run(work)
    assert "what the button 'a' of a notification stands for failed" in caplog.text


def test_it_can_be_withdrawn(session_bus: str) -> None:
    async def work(notifier: Notifier) -> None:
        async with serving(session_bus) as server:
            number = await notifier.show("A")
            await notifier.withdraw(number)
            await notifier.withdraw(number)
            assert not server.shown

    run(work)


def test_only_so_many_are_remembered(session_bus: str) -> None:
    pressed: list[str] = []

    async def work(notifier: Notifier) -> None:
        async with serving(session_bus) as server:
            for n in range(REMEMBERED + 1):
                await notifier.show("A", "", {"a": "A"}, lambda key, n=n: pressed.append(f"{n}"))
            server.ActionInvoked(1, "a")
            server.ActionInvoked(2, "a")
            await soon(lambda: pressed)

    run(work)
    assert pressed == ["1"]


def test_an_absent_server_is_warned_of_once_and_found_when_it_comes(
    session_bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(notifier: Notifier) -> None:
        for _ in range(3):
            assert await notifier.show("A") == 0
        async with serving(session_bus) as server:
            assert await notifier.show("B") == 1
            assert server.shown[1][0] == "B"
        assert await notifier.show("C") == 0

    with caplog.at_level(logging.WARNING):
        run(work)
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 2  # before it came, and after it went
    assert "no notifications are shown: nothing shows notifications here" in warnings[0]


def test_a_server_that_restarts_is_found_again(session_bus: str) -> None:
    pressed: list[str] = []

    async def work(notifier: Notifier) -> None:
        async with serving(session_bus):
            number = await notifier.show("A", "", {"a": "A"}, lambda key: pressed.append("old"))
        async with serving(session_bus) as server:
            server.next = 7
            await soon(lambda: not notifier._shown)
            again = await notifier.show("B", "", {"a": "A"}, pressed.append, replaces=number)
            assert again == 7  # its numbers are others: nothing of the first is replaced
            server.ActionInvoked(number, "a")
            server.ActionInvoked(again, "a")
            await soon(lambda: pressed)

    run(work)
    assert pressed == ["a"]


def test_a_bus_that_restarts_is_found_again(
    session_bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(notifier: Notifier) -> None:
        with private_bus() as first:
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", first)
            async with serving(first):
                assert await notifier.show("A") == 1
        assert await notifier.show("B") == 0
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session_bus)
        async with serving(session_bus) as server:
            assert await notifier.show("C") == 1
            assert server.shown[1][0] == "C"

    run(work)


def test_it_is_described() -> None:
    assert describe({"notify": "Done"}) == "notification 'Done'"
    assert (
        describe({"notify": {"title": "{a}", "body": "{b}"}}, a="x", b="y") == "notification 'x: y'"
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"notify": ""}, "title is empty: write what is to be shown"),
        ({"notify": {"title": "a", "urgency": "high"}}, "write one of low, normal, critical"),
        ({"notify": {"title": "a", "timeout_s": 0}}, "timeout_s is 0"),
        ({"notify": {"body": "a"}}, "'title' is missing: write notify: {title: …}"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)
