"""Wyoming events on a connection: as the library writes them, read with limits that it lacks.

An event is a line of JSON, then as many bytes of JSON and of payload as the line announces:

    {"type": "audio-chunk", "data_length": 60, "payload_length": 2048} ⏎ <data> <payload>

Only `wyoming_connection` and its parts import the library as they are loaded; `wyoming_server`
imports them when it starts.
"""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from wyoming.event import Event, Eventable, write_event

from .sockets import LINE_LIMIT

DATA_LIMIT = 256 * 1024
"""Bytes of an event's data at most."""
PAYLOAD_LIMIT = 1024 * 1024
"""Bytes of an event's payload at most: half a minute of 16-bit audio at 16 kHz."""


class WireError(Exception):
    """What came is no event, or none that can be taken; nothing after it can be trusted.

    code: for programs, "malformed" or "too-large".
    """

    def __init__(self, text: str, code: str = "malformed") -> None:
        super().__init__(text)
        self.code = code


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None where the connection ends after the one before.

    Raises:
        WireError: what came is no event, or announces too much; that is not waited for.
        EOFError: the connection has ended within an event.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise WireError(f"a line of more than {LINE_LIMIT} bytes", "too-large") from error
    header = _object(line, "the first line")
    kind = header.get("type")
    if not isinstance(kind, str) or not kind:
        raise WireError("an event without a type")
    data_length = _length(header, "data_length", DATA_LIMIT)
    payload_length = _length(header, "payload_length", PAYLOAD_LIMIT)
    data = header.get("data") or {}
    if not isinstance(data, dict):
        raise WireError("data: expected an object")
    if data_length:
        data.update(_object(await reader.readexactly(data_length), "data"))
    payload = await reader.readexactly(payload_length) if payload_length else None
    return Event(kind, data, payload)


def encoded(event: Eventable) -> bytes:
    """An event as it goes over the connection."""
    buffer = io.BytesIO()
    write_event(event.event(), buffer)
    return buffer.getvalue()


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        if b"\\u" in text:  # half a surrogate pair is no character, and could not be sent back
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise WireError(f"{what}: expected JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise WireError(f"{what}: expected an object")
    return found


def _length(header: dict[str, Any], key: str, limit: int) -> int:
    length = header.get(key)
    if length is None:
        return 0
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise WireError(f"{key}: expected a number of bytes")
    if length > limit:
        raise WireError(f"{key}: more than {limit} bytes; send less at a time", "too-large")
    return length
