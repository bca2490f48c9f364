"""A connection of the Wyoming server: events in, one after the other, and their answers out.

    describe                                        info
    ping                                            pong
    transcribe, audio-start, audio-chunk …,         see `Transcription`
        audio-stop
    recognize                                       intent, or not-recognized
    transcript                                      handled, or not-handled; as recognize where
                                                    nothing is done here

Home Assistant opens a connection for each request. Its speech-to-text sends `transcribe` to
`audio-stop` and waits for `transcript`; its conversation sends a `transcript` and takes whichever
of the four answers comes (homeassistant/components/wyoming: stt.py, conversation.py, data.py). An
error does not end its waiting for `transcript`, so that one comes all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.handle import Handled, NotHandled
from wyoming.intent import Entity, NotRecognized, Recognize
from wyoming.intent import Intent as WyomingIntent
from wyoming.ping import Ping, Pong

from ..actions.text import one_line
from ..types import ActionStatus, Intent
from .facts import result_fact
from .wyoming_info import NAME, info_of
from .wyoming_service import Act, NotUnderstood, WyomingService
from .wyoming_transcription import Transcription
from .wyoming_wire import WireError, encoded, read_event

logger = logging.getLogger(__name__)

Message = TypeVar("Message", bound=Eventable)

IDLE_S = 300.0
"""Seconds after which a connection that says nothing is ended; no event takes longer to send."""
UNREAD_S = 10.0
"""Seconds an answer waits to be read; then the client is given up."""
FAREWELL_S = 1.0
"""Seconds in which a client may read why it is turned away."""

DONE = {ActionStatus.DONE, ActionStatus.DRY_RUN, ActionStatus.UNDONE, ActionStatus.UNCONFIRMED}
"""What counts as handled; a question is: its answer may be said next."""


class SlowClientError(Exception):
    """The client does not read what it is sent."""


class WyomingConnection:
    """One client, from its first event to its last."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: WyomingService
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._service = service
        peer = writer.get_extra_info("peername")
        self._source = f"wyoming {peer[0]}" if isinstance(peer, tuple) else "wyoming"
        self._transcription: Transcription | None = None
        self._refusal: str | None = None  # of the audio that follows
        self._answers: dict[str, Callable[[Event], Awaitable[None]]] = {
            "describe": self._describe,
            "ping": self._ping,
            "transcribe": self._transcribe,
            "audio-start": self._audio_start,
            "audio-chunk": self._audio_chunk,
            "audio-stop": self._audio_stop,
            "recognize": self._recognize,
            "transcript": self._handle,
        }

    async def run(self) -> None:
        """Answer until the client is gone, or has to go; raises nothing but cancellation."""
        counts = self._service.counts
        try:
            while (event := await self._next()) is not None:
                answer = self._answers.get(event.type)
                known = event.type if answer is not None else "unknown"
                counts.events[known] = counts.events.get(known, 0) + 1
                if answer is not None:
                    await answer(event)
                    await self._wait_until_read()
        except WireError as error:
            counts.malformed += 1
            await self.turn_away(str(error), error.code)
        except SlowClientError:
            counts.dropped += 1
            logger.warning("a Wyoming client did not read for %g s; given up", UNREAD_S)
            self._writer.transport.abort()
        except (OSError, EOFError) as error:
            logger.debug("a Wyoming client has vanished: %s", error)
        except Exception as error:
            logger.exception("a Wyoming connection failed")
            await self.turn_away(f"unexpected {type(error).__name__}", "internal")
        finally:
            await self._close()

    async def turn_away(self, text: str, code: str) -> None:
        """Say why, and wait a moment until it is read: what is unread by us would cut it off."""
        await self._give_up()
        with contextlib.suppress(OSError):  # a time-out is one, too
            async with asyncio.timeout(FAREWELL_S):
                self._send(Error(text, code))
                self._writer.write_eof()
                while await self._reader.read(2**16):
                    pass

    async def _next(self) -> Event | None:
        try:
            async with asyncio.timeout(IDLE_S):
                return await read_event(self._reader)
        except TimeoutError:
            await self.turn_away(f"nothing came for {IDLE_S:g} s", "idle")
            return None

    def _send(self, message: Eventable) -> None:
        self._writer.write(encoded(message))

    async def _wait_until_read(self) -> None:
        """Until the client has read most of what was sent, so that it does not pile up."""
        try:
            async with asyncio.timeout(UNREAD_S):
                await self._writer.drain()
        except TimeoutError as error:
            raise SlowClientError from error

    async def _close(self) -> None:
        await self._give_up()
        self._writer.close()
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._writer.wait_closed()
        except OSError:  # it is gone, or (a time-out) does not read
            self._writer.transport.abort()

    # ── what is offered ──

    async def _describe(self, event: Event) -> None:
        self._send(info_of(self._service))

    async def _ping(self, event: Event) -> None:
        text = Ping.from_event(event).text
        self._send(Pong(None if text is None else _text(text, "text")))

    # ── audio ──

    async def _transcribe(self, event: Event) -> None:
        request = Transcribe.from_event(event)
        language, name = _optional(request.language, "language"), _optional(request.name, "name")
        self._refusal = self._service.refusal(language)
        known = (NAME, self._service.streams.engine.acoustic.folder.name)
        if name and name not in known:
            self._refusal = f"there is no model '{one_line(name[:40])}' here; use '{known[1]}'"
        if self._refusal:
            self._send(Error(self._refusal, "unsupported"))

    async def _audio_start(self, event: Event) -> None:
        start = _read(AudioStart, event)
        await self._listen(start.timestamp if isinstance(start.timestamp, int) else 0)

    async def _audio_chunk(self, event: Event) -> None:
        chunk = _read(AudioChunk, event)
        for name in ("rate", "width", "channels"):
            _integer(getattr(chunk, name), name)
        transcription = self._transcription or await self._listen()
        await transcription.feed(chunk)

    async def _audio_stop(self, event: Event) -> None:
        transcription = self._transcription or await self._listen()
        await transcription.finish()
        self._transcription = self._refusal = None

    async def _give_up(self) -> None:
        transcription, self._transcription = self._transcription, None
        if transcription is not None:
            await transcription.close()

    async def _listen(self, start_ms: int = 0) -> Transcription:
        """To audio that begins now; what was begun before is given up."""
        await self._give_up()
        streams = self._service.streams
        language = streams.engine.commands.language
        self._transcription = Transcription(
            streams, self._source, self._send, language, start_ms, self._refusal
        )
        return self._transcription

    # ── text ──

    async def _recognize(self, event: Event) -> None:
        text = _text(_read(Recognize, event).text, "text")
        self._send(_recognised(await self._service.understand(text, None)))

    async def _handle(self, event: Event) -> None:
        request = _read(Transcript, event)
        text, language = _text(request.text, "text"), _optional(request.language, "language")
        understood = await self._service.understand(text, language)
        act = self._service.act
        if act is None:
            self._send(_recognised(understood))
        elif isinstance(understood, NotUnderstood):
            self._send(NotHandled(understood.reason))
        else:
            self._send(await _handled(act, understood, self._source))


def _recognised(understood: Intent | NotUnderstood) -> Eventable:
    if isinstance(understood, NotUnderstood):
        return NotRecognized(understood.reason)
    entities = [Entity(slot, value) for slot, value in understood.slots.items()]
    return WyomingIntent(understood.name, entities, understood.text)


async def _handled(act: Act, intent: Intent, source: str) -> Eventable:
    try:
        result = await act(intent, source)
    except Exception as error:  # an action that fails must not cost the client its answer
        logger.exception("%s was not done", intent.name)
        return NotHandled(f"{intent.name}: unexpected {type(error).__name__}: {error}")
    facts = result_fact(result)
    text = facts.pop("description")
    return Handled(text, facts) if result.status in DONE else NotHandled(text, facts)


# ── fields of events: the library takes them as they come ──


def _read(kind: type[Message], event: Event) -> Message:
    try:
        return kind.from_event(event)  # type: ignore[return-value]  # that is what it gives
    except KeyError as error:
        raise WireError(f"{event.type}: {error} is missing") from error


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise WireError(f"{name}: expected a text")
    return value


def _optional(value: Any, name: str) -> str | None:
    return None if value is None else _text(value, name)


def _integer(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**53:
        raise WireError(f"{name}: expected a whole number")
    return value
