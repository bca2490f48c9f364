"""`mqtt`, with a broker of the test's own (Mosquitto) and a real subscriber."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import ended, eventually, need

from assistant.program import install_line
from assistant.types import ActionResult, ActionStatus, SlotValue

aiomqtt = pytest.importorskip("aiomqtt", reason="aiomqtt is not installed")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker that knows one user, `anna`, whose password is `secret`."""
    need("mosquitto")
    need("mosquitto_passwd")
    folder, port = tmp_path_factory.mktemp("broker"), free_port()
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    command = ["mosquitto_passwd", "-b", str(passwords), "anna", "secret"]
    subprocess.run(command, check=True, capture_output=True)
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
        "user root\nlog_dest none\n"
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(["mosquitto", "-c", str(settings)], **quiet)  # type: ignore[call-overload]
    with ended(process):
        eventually(lambda: answers(port) or process.poll() is not None)
        yield port


def answers(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "secret")


def rule(port: int, **values: Any) -> Any:
    login = {"username": "anna", "password": "${MQTT_PASSWORD}", "environment": ["MQTT_PASSWORD"]}
    return {"mqtt": {"host": "127.0.0.1", "port": port, **login, **values}}


def heard(
    port: int, written: Any, count: int = 1, subscribe: str = "#", **slots: SlotValue
) -> tuple[list[Any], ActionResult]:
    """What a subscriber hears while the action is performed."""

    async def listen() -> tuple[list[Any], ActionResult]:
        login = {"username": "anna", "password": "secret"}
        async with aiomqtt.Client("127.0.0.1", port, **login) as client, asyncio.timeout(10):
            await client.subscribe(subscribe)
            result = await asyncio.to_thread(perform, written, **slots)
            messages: list[Any] = []
            if result.status is ActionStatus.DONE:
                async for message in client.messages:
                    messages.append(message)
                    if len(messages) == count:
                        break
            return messages, result

    return asyncio.run(listen())


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives(broker: int, qos: int) -> None:
    written = rule(broker, topic="home/{room}/light", payload="{state}; {{x}} é", qos=qos)
    [message], result = heard(broker, written, room="living room", state="a+b #/ \n")
    assert result.status is ActionStatus.DONE, result.description
    assert str(message.topic) == "home/living room/light"
    assert message.payload.decode() == "a+b #/ \n; {x} é"


def test_numbers_stay_numbers_in_json(broker: int) -> None:
    written = rule(broker, topic="lamp", json={"level": "{level}", "room": "{room}"})
    [message], _ = heard(broker, written, level=40, room='"}')
    assert json.loads(message.payload) == {"level": 40, "room": '"}'}


def test_what_is_retained_is_there_for_those_who_come_later(broker: int) -> None:
    written = rule(broker, topic="kept", payload="yes", retain=True, qos=1)
    assert perform(written).status is ActionStatus.DONE
    messages, _ = heard(broker, rule(broker, topic="other"), subscribe="kept")
    assert [message.payload for message in messages] == [b"yes"]


def test_a_wrong_password_is_said(broker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "guess")
    result = perform(rule(broker, topic="lamp"))
    assert result.status is ActionStatus.FAILED
    assert f"MQTT broker 127.0.0.1:{broker}: it refuses this user: look at" in result.description
    assert "guess" not in result.description


def test_a_password_that_is_not_set_is_said(broker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MQTT_PASSWORD")
    assert perform(rule(broker, topic="lamp")).description == (
        "test: password needs the environment variable MQTT_PASSWORD: set it"
    )


def test_no_broker_is_said() -> None:
    port = free_port()
    result = perform(rule(port, topic="lamp"))
    assert result.status is ActionStatus.FAILED
    assert f"MQTT broker 127.0.0.1:{port}: " in result.description
    assert "refused" in result.description


def test_a_broker_that_is_silent_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        result = perform(rule(silent.getsockname()[1], topic="lamp", timeout_s=0.3))
    assert "no answer within 0.3 s; raise 'timeout_s' if it is slow" in result.description


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    said = perform({"mqtt": "lamp"}).description
    assert said == f"test: this needs aiomqtt: {install_line('desktop')}"


@pytest.mark.parametrize("value", ["", "+", "#", "a/b", "a#", "\n", "\x01"])
def test_a_value_cannot_choose_another_topic(value: str) -> None:
    result = perform({"mqtt": "home/{room}/light"}, room=value)
    assert result.status is ActionStatus.FAILED
    assert "cannot be a part of a topic: it is empty or has + # /" in result.description


def test_a_dry_run_describes_without_secrets() -> None:
    written = rule(1883, topic="home/{room}", payload="{state}", retain=True)
    assert describe(written, room="hall", state="on") == "127.0.0.1:1883 home/hall on (retained)"
    assert describe({"mqtt": {"topic": "a", "json": {"x": 1}, "tls": True}}) == (
        'localhost:8883 a {"x": 1}'
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("home/+/light", "topic 'home/+/light': write a topic without + and #"),
        ("home/#", "write a topic without + and #"),
        ("", "write a topic without"),
        ("x" * 65_536, "write at most 65535 bytes"),
        ({"topic": "a", "payload": "x", "json": {}}, "write 'payload' or 'json', not both"),
        ({"topic": "a", "host": "{host}"}, "host '{host}': write a name or an address"),
        ({"topic": "a", "host": "mqtt://x"}, "host 'mqtt://x': write a name or an address"),
        ({"topic": "a", "port": 70_000}, "port 70000: write 1 to 65535"),
        ({"topic": "a", "qos": 3}, "qos 3: write 0, 1 or 2"),
        ({"topic": "a", "username": "u", "password": "p"}, "password: write ${NAME}, and"),
        (
            {"topic": "a", "username": "u", "password": "${P}"},
            "password: write 'environment: [P]' to allow it",
        ),
        (
            {"topic": "a", "password": "${P}", "environment": ["P"]},
            "password without 'username': write both",
        ),
        ({"topic": "a", "username": "{name}"}, "username: no slots here"),
        ({"topic": "a", "timeout_s": 0}, "timeout_s is 0"),
    ],
)
def test_mistakes_are_explained(values: Any, message: str) -> None:
    assert message in mistake({"mqtt": values})
