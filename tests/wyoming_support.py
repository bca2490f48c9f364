"""What tests of the Wyoming server share: a server of its own, and the library's clients."""

import asyncio
import contextlib

import numpy as np
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient

from assistant.daemon.sockets import Address
from assistant.daemon.streams import Streams
from assistant.daemon.wyoming_server import WyomingServer
from assistant.types import SAMPLE_RATE, ActionResult, ActionStatus

TCP = Address(host="127.0.0.1")
ANSWERED_S = 20.0
"""Seconds a client of a test waits at most: it fails then, and does not hang."""


@contextlib.asynccontextmanager
async def serving(engine, address, act=None):
    streams = Streams(engine, threads=2)
    server = WyomingServer(streams, act, "1.2.3")
    try:
        listening = await server.start(address)
        yield server, listening.address
    finally:
        await server.close()
        await streams.close()


def connected(address):
    return AsyncClient.from_uri(str(address), connect_timeout=5, read_timeout=ANSWERED_S)


def with_client(engine, address, talk, act=None):
    """The result of `talk(client)`, a client of a server of its own."""

    async def run():
        async with serving(engine, address, act) as (_, at), connected(at) as client:
            return await talk(client)

    return asyncio.run(run())


async def ask(client, *messages):
    """Send all, and take the next answer."""
    for message in messages:
        await client.write_event(message.event())
    return await client.read_event()


async def until(client, *types):
    """Events up to the first of one of the types, that one included."""
    events = []
    while not events or events[-1].type not in types:
        event = await client.read_event()
        assert event is not None, f"the server ended the connection after {events}"
        events.append(event)
    return events


def chunks(samples, rate=SAMPLE_RATE, size=1024):
    pcm = np.round(samples * 32767).astype("<i2").tobytes()
    for at in range(0, len(pcm), 2 * size):
        yield AudioChunk(rate, 2, 1, pcm[at : at + 2 * size])


async def transcribe(client, samples):
    """What Home Assistant's speech-to-text sends, and the text it takes from the answer."""
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(rate=16000, width=2, channels=1).event())
    for chunk in chunks(samples):
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())
    while True:
        event = await client.read_event()
        assert event is not None, "connection lost"
        if Transcript.is_type(event.type):
            return Transcript.from_event(event).text


def noted(status=ActionStatus.DONE, description="the light is on"):
    """An `act`, and the list of what it was asked to do."""
    asked = []

    async def act(intent, source):
        asked.append((intent.name, dict(intent.slots), source))
        return ActionResult(intent.name, status, description)

    return act, asked
