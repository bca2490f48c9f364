"""The control socket: JSON lines in, JSON lines out; docs/control.md describes them.

    → {"id": 1, "type": "mute", "on": true}
    ← {"id": 1, "ok": true, "muted": true}
    ← {"id": 2, "ok": false, "error": "one line that says how to mend it"}

After `subscribe` the events follow on the same connection, each a line with `event`. A unix socket
is its owner's alone; over TCP the first line must be `hello` with the token. What a client sends is
limited in length and in number; one that does not read loses its own events, and then its
connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..errors import AssistantError, UsageError
from .hub import Fact, Hub
from .sockets import LINE_LIMIT, Address, Listening, serve

logger = logging.getLogger(__name__)

MOST_CLIENTS = 32
WRITE_TIMEOUT_S = 5.0
"""Seconds a client may let what it was sent lie, before its connection is closed."""
HELLO_TIMEOUT_S = 5.0
"""Seconds in which a client over TCP must say the token."""
EVENTS = (
    *("speech-started", "partial", "recognised", "rejected", "confirmed", "contradicted"),
    *("action", "woken", "not-meant", "state", "context", "reloaded", "reload-failed"),
    *("microphone", "stage", "stopping"),
)
"""What can be subscribed to."""


class Controlled(Protocol):
    """What the control socket controls."""

    async def handle(self, kind: str, values: Mapping[str, Any]) -> Fact:
        """Do what a request of this type asks; raises AssistantError."""


class ControlServer:
    """Answers requests; there may be nothing to control yet.

    Attributes:
        clients: how many are connected.
        requests: how many were answered.
        refused: how many lines were no request, or came from nobody who may ask.
    """

    def __init__(self, controlled: Controlled, hub: Hub, token: str = "") -> None:
        """token: what clients must say first; empty: nothing."""
        self.clients = 0
        self.requests = 0
        self.refused = 0
        self._controlled = controlled
        self._hub = hub
        self._token = token
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, address: Address) -> Listening:
        """Answer at an address.

        Raises:
            UsageError: it cannot be used, or would be open to the network without a token.
        """
        if address.path is None and not self._token:
            raise UsageError("the control socket needs a token over TCP")
        return await serve(address, self._accept, "the control socket")

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio calls this on a task
        self._tasks.add(task)
        self.clients += 1
        connection = _Connection(writer)
        try:
            if self.clients > MOST_CLIENTS:
                self.refused += 1
                await connection.refuse(f"{MOST_CLIENTS} clients are connected; close one")
            elif await self._is_known(reader, connection):
                await self._answer(reader, connection)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the client has gone, does not read, or the daemon ends
        except asyncio.LimitOverrunError:
            self.refused += 1
            with contextlib.suppress(ConnectionError, TimeoutError):
                await connection.refuse(f"a line has {LINE_LIMIT} bytes at most")
        finally:
            self.clients -= 1
            self._tasks.discard(task)
            await connection.close()

    async def _is_known(self, reader: asyncio.StreamReader, connection: _Connection) -> bool:
        if not self._token:
            return True
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            line = await _line(reader)
        said: Any = None
        with contextlib.suppress(UsageError):
            said = _request(line or b"")
        token = said.get("token") if isinstance(said, dict) else None
        if isinstance(token, str) and hmac.compare_digest(_bytes(token), _bytes(self._token)):
            await connection.send({"ok": True})
            return True
        self.refused += 1
        await connection.refuse('say {"type": "hello", "token": "…"} first')
        return False

    async def _answer(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while (line := await _line(reader)) is not None:
            if line.strip():
                identity, reply = await self._reply(line, connection)
                await connection.send({**identity, **reply})

    async def _reply(self, line: bytes, connection: _Connection) -> tuple[Fact, Fact]:
        identity: Fact = {}
        try:
            request = _request(line)
            if not isinstance(request, dict) or not isinstance(request.get("type"), str):
                raise UsageError('expected an object with "type"; "status" is one')
            if isinstance(request.get("id"), str | int):
                identity = {"id": request["id"]}
            values = {k: v for k, v in request.items() if k not in ("id", "type")}
            if request["type"] == "subscribe":
                facts = self._subscribe(values, connection)
            else:
                facts = await self._controlled.handle(request["type"], values)
        except AssistantError as error:
            reason = str(error)
        except Exception as error:
            logger.exception("a request failed")
            reason = f"unexpected {type(error).__name__}: {error}"
        else:
            self.requests += 1
            return identity, {"ok": True, **facts}
        self.refused += 1
        return identity, {"ok": False, "error": reason}

    def _subscribe(self, values: Mapping[str, Any], connection: _Connection) -> Fact:
        names = taken(values, events=(list(EVENTS), list))["events"]
        if not set(map(str, names)) <= set(EVENTS):
            raise UsageError(f"events: a list of some of {', '.join(EVENTS)}")
        if connection.events is not None:
            raise UsageError("this connection has subscribed already; open another one")
        connection.events = asyncio.create_task(self._pass_on(frozenset(names), connection))
        return {"events": list(names)}

    async def _pass_on(self, names: frozenset[str], connection: _Connection) -> None:
        told = 0
        with self._hub.subscription(names) as subscription:
            try:
                async for fact in subscription:
                    lost, told = subscription.dropped - told, subscription.dropped
                    await connection.send({**fact, "lost": lost} if lost else fact)
            except (ConnectionError, TimeoutError):
                connection.abort()


class _Connection:
    """A client's writing end."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.events: asyncio.Task[None] | None = None
        self._writer = writer
        self._lock = asyncio.Lock()

    async def send(self, fact: Fact) -> None:
        """One line; raises TimeoutError where the client does not read."""
        line = json.dumps(fact, ensure_ascii=False, separators=(",", ":"))
        async with self._lock:
            self._writer.write(_bytes(line) + b"\n")
            # Not wait_for: that of Python 3.11 may swallow that the task was cancelled.
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writer.drain()

    async def refuse(self, reason: str) -> None:
        """An error that is followed by the end."""
        await self.send({"ok": False, "error": reason})

    def abort(self) -> None:
        """End it at once."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End it when all was sent, or at once where that takes long."""
        if self.events is not None:
            self.events.cancel()
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            self.abort()


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line; None at the end.

    Raises:
        asyncio.LimitOverrunError: it is longer than `LINE_LIMIT`.
    """
    try:
        return await reader.readuntil()
    except asyncio.IncompleteReadError as error:
        return error.partial or None


def _request(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError("not a line of JSON") from error


def _bytes(text: str) -> bytes:
    """UTF-8; half a character becomes the escape that JSON knows."""
    return text.encode("utf-8", "backslashreplace")


def taken(values: Mapping[str, Any], **keys: tuple[Any, type]) -> dict[str, Any]:
    """The values of a request: defaults in the place of those that are absent; … has none.

    Raises:
        UsageError: one is missing, unknown or of another type.
    """
    for key in values:
        if key not in keys:
            known = f"one of: {', '.join(keys)}" if keys else "it takes none"
            raise UsageError(f"unknown key '{key}'; {known}")
    found = {key: values.get(key, default) for key, (default, _) in keys.items()}
    for key, (default, kind) in keys.items():
        if found[key] is ... or (found[key] is not default and type(found[key]) is not kind):
            raise UsageError(f"{key}: expected {kind.__name__}, found {values.get(key)!r}")
    return found


def read_token(path: Path) -> str:
    """The token of the control socket over TCP, made when it is first asked for.

    Raises:
        UsageError: it cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; the token cannot be kept there") from error
