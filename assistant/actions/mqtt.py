"""`mqtt`: one message to a broker."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import ActionError
from ..program import install_line
from . import json_template
from .environment import check_fixed_text, check_names, with_variables
from .limits import check_timeout
from .placeholders import Slots, expand, without_placeholders

LONGEST_TOPIC = 65_535
"""Bytes; MQTT's own limit."""

_REFUSED = (4, 5, 134, 135)
"""MQTT's codes for a user name or password that is wrong, or may not: 3.1.1, then 5.0."""


@dataclass(frozen=True)
class MqttAction:
    """Publish one message, and wait until the broker has it (`qos` 1 and 2) or it is sent (0)."""

    topic: str
    """`home/{room}/light`; a slot is one level of it, or a part of one."""
    payload: str = ""
    """Text; placeholders everywhere."""
    json: object = None
    """Instead of `payload`: JSON, as in `http`."""
    host: str = "localhost"
    """Name or address of the broker; no slots."""
    port: int = 0
    """0: 1883, or 8883 with `tls`."""
    qos: int = 0
    """Quality of service: 0 at most once, 1 at least once, 2 exactly once."""
    retain: bool = False
    """Whether the broker keeps it for those who subscribe later."""
    username: str = ""
    """Fixed text, and `${NAME}` for the variables of `environment`; no slots."""
    password: str = ""
    """`${NAME}` for a variable of `environment`."""
    environment: Sequence[str] = ()
    """Names of the variables `username` and `password` may use."""
    tls: bool = False
    """Encrypt, and check the broker's certificate against those the system trusts."""
    timeout_s: float = 5.0
    """Seconds for all of it."""

    def __post_init__(self) -> None:
        _check_topic(self.topic, ValueError)
        if self.json is not None and self.payload:
            raise ValueError("write 'payload' or 'json', not both")
        json_template.check(self.json)
        if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:.]+", self.host, re.ASCII):
            raise ValueError(f"host {self.host!r}: write a name or an address; no slots, no scheme")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port}: write 1 to 65535")
        if self.qos not in (0, 1, 2):
            raise ValueError(f"qos {self.qos}: write 0, 1 or 2")
        check_names(self.environment)
        check_fixed_text("username", self.username, self.environment)
        check_fixed_text("password", self.password, self.environment)
        if self.password and not self.password.startswith("${"):
            raise ValueError("password: write ${NAME}, and 'environment: [NAME]': keep it secret")
        if self.password and not self.username:
            raise ValueError("password without 'username': write both")
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.topic, self.payload, *json_template.texts(self.json))

    def address(self, slots: Slots) -> str:
        """The topic with slot values in place.

        Raises:
            ActionError: a slot is absent, empty, or has `+`, `#` or `/`, which choose other topics.
        """

        def level(text: str) -> str:
            if not text or re.search(r"[+#/\x00-\x1f]", text):
                raise ActionError(f"{text!r} cannot be a part of a topic: it is empty or has + # /")
            return text

        topic = expand(self.topic, slots, encode=level)
        _check_topic(topic, ActionError)
        return topic

    def body(self, slots: Slots) -> str:
        """The payload with slot values in place.

        Raises:
            ActionError: a slot is absent, or a number is infinite or none.
        """
        if self.json is None:
            return expand(self.payload, slots)
        value = json_template.fill(self.json, slots)
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise ActionError("a number is infinite or no number, which JSON lacks") from error

    def describe(self, slots: Slots) -> str:
        """Broker, topic and payload."""
        retained = " (retained)" if self.retain else ""
        return f"{self._broker()} {self.address(slots)} {self.body(slots)}".rstrip() + retained

    def perform(self, slots: Slots) -> str:
        """Connect, publish, disconnect."""
        topic, body = self.address(slots), self.body(slots)
        username = with_variables("username", self.username) or None
        password = with_variables("password", self.password) or None
        selecting = asyncio.SelectorEventLoop  # Windows' own loop lacks what aiomqtt needs
        with asyncio.Runner(loop_factory=selecting) as runner:
            runner.run(self._publish(topic, body, username, password))
        return ""

    async def _publish(
        self, topic: str, body: str, username: str | None, password: str | None
    ) -> None:
        try:
            import aiomqtt  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ActionError(f"this needs aiomqtt: {install_line('desktop')}") from error
        client = aiomqtt.Client(
            self.host,
            self._port(),
            username=username,
            password=password,
            timeout=self.timeout_s,
            tls_params=aiomqtt.TLSParameters() if self.tls else None,
        )
        where = f"MQTT broker {self._broker()}"
        try:
            async with asyncio.timeout(self.timeout_s), client:
                await client.publish(topic, body, qos=self.qos, retain=self.retain)
        except TimeoutError as error:
            raise ActionError(
                f"{where}: no answer within {self.timeout_s:g} s; raise 'timeout_s' if it is slow"
            ) from error
        except (aiomqtt.MqttError, OSError) as error:
            raise ActionError(f"{where}: {_what_went_wrong(error)}") from error

    def _port(self) -> int:
        return self.port or (8883 if self.tls else 1883)

    def _broker(self) -> str:
        return f"{self.host}:{self._port()}"


def _what_went_wrong(error: Exception) -> str:
    code = getattr(error, "rc", None)
    if getattr(code, "value", code) in _REFUSED:
        return "it refuses this user: look at 'username', 'password' and what it allows"
    return str(error) or type(error).__name__


def _check_topic(topic: str, error: type[Exception]) -> None:
    if re.search(r"[+#\x00-\x1f]", without_placeholders(topic)) or not topic:
        raise error(f"topic {topic!r}: write a topic without + and #, which are for subscribers")
    if len(topic.encode()) > LONGEST_TOPIC:
        raise error(f"topic {topic[:40]!r}…: write at most {LONGEST_TOPIC} bytes")
