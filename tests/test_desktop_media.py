"""`media`, with players of the test's own on a private session bus."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import (  # noqa: F401 - fixtures
    Loop,
    loop_fixture,
    no_desktop_fixture,
    on_the_bus,
    session_bus_fixture,
)

from assistant.program import install_line
from assistant.types import ActionStatus

dbus_fast = pytest.importorskip("dbus_fast", reason="dbus-fast is not installed")
dbus = pytest.importorskip("dbus_fast.annotations")
service = pytest.importorskip("dbus_fast.service")


class Player(service.ServiceInterface):
    """Writes what it is told into `told`."""

    def __init__(self, name: str, status: str, can_go_next: bool, told: list[str]) -> None:
        super().__init__("org.mpris.MediaPlayer2.Player")
        self._name, self._status, self._can_go_next = name, status, can_go_next
        self._told = told

    @service.method()
    def Play(self):
        self._told.append(f"{self._name} Play")

    @service.method()
    def Pause(self):
        self._told.append(f"{self._name} Pause")

    @service.method()
    def PlayPause(self):
        self._told.append(f"{self._name} PlayPause")

    @service.method()
    def Stop(self):
        raise dbus_fast.DBusError("org.example.Broken", "the tape is torn")

    @service.method()
    def Next(self):
        self._told.append(f"{self._name} Next")

    @service.method()
    def Seek(self, offset: dbus.DBusInt64):
        self._told.append(f"{self._name} Seek {offset}")

    @service.dbus_property(access=service.PropertyAccess.READ)
    def PlaybackStatus(self) -> dbus.DBusStr:
        return self._status

    @service.dbus_property(access=service.PropertyAccess.READ)
    def CanGoNext(self) -> dbus.DBusBool:
        return self._can_go_next


class Players:
    """Starts players on the bus, and keeps what they were told."""

    def __init__(self, loop: Loop, address: str, stack: ExitStack) -> None:
        self.loop, self.address, self.stack = loop, address, stack
        self.told: list[str] = []

    def start(self, name: str, status: str, can_go_next: bool = True, silent: bool = False) -> None:
        bus = self.stack.enter_context(on_the_bus(self.loop, self.address))
        player = Player(name, status, can_go_next, self.told)

        async def export() -> None:
            if not silent:
                bus.export("/org/mpris/MediaPlayer2", player)
            else:
                bus.add_message_handler(lambda message: message.member == "GetAll" or None)
            await bus.request_name(f"org.mpris.MediaPlayer2.{name}")

        self.loop.run(export)


@pytest.fixture
def players(session_bus: str, loop: Loop) -> Iterator[Players]:
    with ExitStack() as stack:
        yield Players(loop, session_bus, stack)


def test_a_player_is_told(players: Players) -> None:
    players.start("tape", "Stopped")
    for command in ("play", "pause", "play-pause", "next"):
        result = perform({"media": command})
        assert result.status is ActionStatus.DONE, result.description
        assert result.description == f"player: {command}"
    assert players.told == ["tape Play", "tape Pause", "tape PlayPause", "tape Next"]


def test_seeking_goes_by_the_step(players: Players) -> None:
    players.start("tape", "Playing")
    assert perform({"media": "forward"}).status is ActionStatus.DONE
    assert perform({"media": {"command": "back", "step_s": 2.5}}).status is ActionStatus.DONE
    assert players.told == ["tape Seek 10000000", "tape Seek -2500000"]


def test_the_one_that_plays_is_meant_then_one_that_is_paused(players: Players) -> None:
    players.start("a", "Stopped")
    players.start("b", "Paused")
    perform({"media": "pause"})
    players.start("playerctld", "Playing")  # speaks for others, and is never meant itself
    players.start("c.instance42", "Playing")
    perform({"media": "pause"})
    assert players.told == ["b Pause", "c.instance42 Pause"]


def test_a_player_can_be_named(players: Players) -> None:
    players.start("a", "Playing")
    players.start("vlc.instance7", "Stopped")
    rule = {"media": {"command": "{command}", "player": "{player}"}}
    assert perform(rule, command="next", player="VLC").status is ActionStatus.DONE
    assert players.told == ["vlc.instance7 Next"]
    result = perform(rule, command="next", player="tape")
    assert result.description == "test: no media player 'tape' runs; there is: a, vlc.instance7"


def test_a_slot_may_choose_among_the_commands_only(players: Players) -> None:
    players.start("a", "Playing")
    rule = {"map": {"word": {"skip": "next", "quit": "Quit"}}, "media": "{word}"}
    assert perform(rule, word="skip").status is ActionStatus.DONE
    result = perform(rule, word="quit")
    assert result.status is ActionStatus.FAILED
    assert "media command 'Quit': write one of play, pause," in result.description
    assert players.told == ["a Next"]


def test_what_the_player_cannot_do_is_said(players: Players) -> None:
    players.start("radio", "Playing", can_go_next=False)
    assert "radio cannot do 'next' now" in perform({"media": "next"}).description
    assert "the tape is torn" in perform({"media": "stop"}).description
    assert players.told == []


def test_a_player_that_hangs_is_passed_over(players: Players) -> None:
    players.start("hung", "", silent=True)
    players.start("tape", "Stopped")
    assert perform({"media": "play"}).status is ActionStatus.DONE
    assert players.told == ["tape Play"]


def test_no_player_is_said(session_bus: str) -> None:
    result = perform({"media": "play"})
    assert result.status is ActionStatus.FAILED
    assert "no media player runs that can be controlled (MPRIS): start one" in result.description


def test_no_session_bus_is_said(no_desktop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "DBUS_SESSION_BUS_ADDRESS is not set" in perform({"media": "play"}).description
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
    assert "the session bus (D-Bus) cannot be reached: " in perform({"media": "play"}).description


def test_without_the_library_the_extra_is_named(
    session_bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dbus_fast.aio", None)
    said = perform({"media": "play"}).description
    assert said == f"test: this needs D-Bus (dbus-fast): {install_line('desktop')}"


def test_a_dry_run_tells_nobody(players: Players) -> None:
    players.start("tape", "Playing")
    assert describe({"media": {"command": "pause", "player": "tape"}}) == "tape: pause"
    assert players.told == []


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"media": "rewind"}, "media: media command 'rewind': write one of play, pause"),
        ({"media": {"player": "a"}}, "'command' is missing: write media: {command: …}"),
        ({"media": {"command": "back", "step_s": 0}}, "step_s is 0: write seconds"),
        ({"media": {"command": "play", "timeout_s": 0}}, "timeout_s is 0"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)
