"""What clients of the Wyoming server do wrong: none of it crashes it, or acts twice."""

import asyncio
import contextlib
import json
import logging
import socket
import threading

import pytest
import tiny_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wyoming.error import Error
from wyoming.ping import Ping
from wyoming_support import ANSWERED_S, ask, connected, noted, serving, with_client

from assistant.config import AssistantConfig
from assistant.daemon import wyoming_connection, wyoming_server
from assistant.daemon.sockets import Address
from assistant.daemon.streams import Streams
from assistant.daemon.wyoming_server import WyomingServer
from assistant.daemon.wyoming_wire import DATA_LIMIT, PAYLOAD_LIMIT
from assistant.engine import Engine


@pytest.fixture(scope="module")
def lights(tmp_path_factory):
    bundle = tiny_bundle.build(tmp_path_factory.mktemp("tiny"))
    return Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable"))


@pytest.fixture
def place(tmp_path):
    return Address(path=tmp_path / "private/wyoming.sock")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b'{"type": "ping", "data_length": %d}\n' % (DATA_LIMIT + 1), "too-large"),
        (b'{"type": "audio-chunk", "payload_length": %d}\n' % 2**60, "too-large"),
        (b'{"type": "audio-chunk", "payload_length": %d}\n' % (PAYLOAD_LIMIT + 1), "too-large"),
        (b"x" * 300_000, "too-large"),
        (b"\n", "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
        (b"[" * 60_000 + b"\n", "malformed"),
        (b'{"type": 5}\n', "malformed"),
        (b'{"type": "ping", "data_length": -1}\n', "malformed"),
        (b'{"type": "ping", "data_length": 2}\n[]', "malformed"),
        (b'{"type": "ping", "data": {"text": "\\ud800"}}\n', "malformed"),
        (b'{"type": "ping", "data": {"text": 5}}\n', "malformed"),
        (b'{"type": "recognize"}\n', "malformed"),
        (b'{"type": "transcribe", "data": {"language": ["en"]}}\n', "malformed"),
        (b'{"type": "audio-chunk", "payload_length": 2}\n\0\0', "malformed"),
        (b'{"type": "audio-chunk", "data": {"rate": 1e9, "width": "2", "channels": null}}\n',
         "malformed"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_answered_by_an_error_and_the_end(lights, place, sent, code):
    async def run():
        async with serving(lights, place) as (server, at):
            async with connected(at) as client:
                client._writer.write(sent + b"\n" * 10_000)
                error, end = await client.read_event(), await client.read_event()
            async with connected(at) as client:
                assert (await ask(client, Ping())).type == "pong"
            return error, end, server.counts.malformed

    error, end, malformed = asyncio.run(run())
    assert Error.is_type(error.type) and error.data["code"] == code
    assert error.data["text"] and "\n" not in error.data["text"]
    assert end is None and malformed == 1


@pytest.fixture(scope="module")
def fuzzed(lights, tmp_path_factory):
    """A server on a thread of its own, its path, and what it was asked to do."""
    act, asked = noted()
    address = Address(path=tmp_path_factory.mktemp("fuzzed") / "private/wyoming.sock")
    ready, done = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run():
        async with serving(lights, address, act) as (server, _):
            running["server"] = server
            ready.set()
            await done.wait()

    running = {}
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(ANSWERED_S)
    yield str(address.path), running["server"], asked
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def send_all(path, sent):
    """Send it, take all answers, and be a good client afterwards that is answered."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWERED_S)
        client.connect(path)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65_536):
                pass
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWERED_S)
        client.connect(path)
        client.sendall(b'{"type": "ping", "data": {"text": "still there?"}}\n')
        assert b"pong" in client.recv(65_536)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
TYPES = ["describe", "ping", "transcribe", "audio-start", "audio-chunk", "audio-stop"]
TYPES += ["recognize", "transcript", "transcript"]
FIELDS = ["text", "language", "name", "rate", "width", "channels", "timestamp", "context", "x"]
USUAL = st.sampled_from(["turn the light on", "en", 16_000, 44_100, 2, 1, 4])


@st.composite
def framed(draw):
    """An event framed as it should be, with any fields."""
    kind = draw(st.sampled_from(TYPES) | st.text(max_size=8))
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), USUAL | JSON, max_size=6))
    data = json.dumps(fields).encode()
    payload = draw(st.binary(max_size=2000))
    header = {"type": kind, "data_length": len(data), "payload_length": len(payload)}
    return json.dumps(header).encode() + b"\n" + data + payload


FUZZ = settings(
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(sent=st.binary(max_size=300) | st.builds(lambda h: json.dumps(h).encode() + b"\n", JSON))
def test_any_bytes_are_survived(fuzzed, sent):
    path, _, asked = fuzzed
    before = len(asked)
    send_all(path, sent)
    assert len(asked) == before


@FUZZ
@given(sent=st.lists(framed(), max_size=6).map(b"".join))
def test_any_fields_of_events_are_survived(fuzzed, sent, caplog):
    path, server, asked = fuzzed
    before = len(asked)
    with caplog.at_level(logging.ERROR):
        send_all(path, sent)
    assert not caplog.records  # what comes may be malformed; it is never unexpected
    assert len(asked) - before <= sent.count(b'{"type": "transcript"')
    assert server.service.streams.open == 0


def test_a_client_that_never_reads_is_given_up(lights, place, monkeypatch):
    monkeypatch.setattr(wyoming_connection, "UNREAD_S", 0.1)
    data = json.dumps({"text": "x" * 200_000}).encode()

    async def run():
        async with serving(lights, place) as (server, at):
            _, writer = await asyncio.open_unix_connection(at.path)
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 1000:
                    writer.write(b'{"type": "ping", "data_length": %d}\n' % len(data) + data)
                    await writer.drain()
                    sent += 1
            writer.close()
            async with connected(at) as client:
                assert (await ask(client, Ping())).type == "pong"
            return sent, server.counts.dropped

    sent, dropped = asyncio.run(run())
    assert sent < 20 and dropped == 1


def test_a_client_that_says_nothing_is_let_go(lights, place, monkeypatch):
    monkeypatch.setattr(wyoming_connection, "IDLE_S", 0.05)

    async def talk(client):
        client._writer.write(b'{"type": "pi')
        return await client.read_event(), await client.read_event()

    error, end = with_client(lights, place, talk)
    assert error.data["code"] == "idle" and end is None


def test_too_many_clients_are_told_so_and_the_first_are_served(lights, place, monkeypatch):
    monkeypatch.setattr(wyoming_server, "MOST_CLIENTS", 1)

    async def run():
        async with serving(lights, place) as (server, at), connected(at) as first:
            assert (await ask(first, Ping())).type == "pong"
            async with connected(at) as second:
                turned_away = await second.read_event()
            assert (await ask(first, Ping())).type == "pong"
            return turned_away, server.counts.dropped

    turned_away, dropped = asyncio.run(run())
    assert turned_away.data["code"] == "busy" and dropped == 1


def test_a_server_that_closes_ends_its_connections(lights, place):
    async def run():
        streams = Streams(lights, threads=1)
        server = WyomingServer(streams, None, "1")
        await server.start(place)
        async with connected(place) as client:
            assert (await ask(client, Ping())).type == "pong"
            await server.close()
            end = await client.read_event()
        await streams.close()
        return end, server.counts.connections

    assert asyncio.run(run()) == (None, 0)
    assert not place.path.exists()
