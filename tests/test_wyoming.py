"""The Wyoming server, as the library's own clients see it: over real sockets, in HA's order.

The sequences named after Home Assistant are those of homeassistant/components/wyoming/stt.py,
conversation.py and data.py, event by event.
"""

import asyncio
import sys

import numpy as np
import pytest
import tiny_bundle
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient, AsyncUnixClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, NotHandled
from wyoming.info import Describe, Info
from wyoming.intent import Entity, Intent, NotRecognized, Recognize
from wyoming.ping import Ping, Pong
from wyoming.vad import VoiceStopped
from wyoming_support import (
    TCP,
    ask,
    chunks,
    connected,
    noted,
    serving,
    transcribe,
    until,
    with_client,
)

from assistant import types
from assistant.config import AssistantConfig
from assistant.daemon import wyoming_server
from assistant.daemon.sockets import Address
from assistant.daemon.streams import Streams
from assistant.daemon.wyoming_audio import PcmDecoder, PcmFormat
from assistant.daemon.wyoming_server import WyomingServer, discoverable
from assistant.daemon.wyoming_transcription import Transcription
from assistant.engine import Engine
from assistant.errors import UsageError
from assistant.recording import read_file
from assistant.types import SAMPLE_RATE, ActionStatus


@pytest.fixture(scope="module")
def coffee():
    return Engine.load(AssistantConfig(bundle="en-us-small", commands="coffee", device="cpu"))


@pytest.fixture(scope="module")
def lights(tmp_path_factory):
    bundle = tiny_bundle.build(tmp_path_factory.mktemp("tiny"))
    return Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable"))


@pytest.fixture(scope="module")
def orders(data):
    """Two coffee orders: what was said by words that are enough to tell, and how it sounds."""
    return {
        said: read_file(data / f"recordings/coffee/{name}.flac").whole()
        for name, said in (("3b1a9487", "americano"), ("08b22cb8", "iced coffee"))
    }


@pytest.fixture
def place(tmp_path):
    return Address(path=tmp_path / "private/wyoming.sock")


# ── what is offered ────────────────────────────────────────────────────────────────────────


def test_home_assistant_finds_speech_to_text_and_intents(lights):
    async def talk(client):
        return Info.from_event(await ask(client, Describe()))

    info = with_client(lights, TCP, talk)
    (asr,), (intent,) = info.asr, info.intent
    assert asr.installed and intent.installed and not info.handle
    assert asr.name == intent.name == "assistant" and asr.version == "1.2.3"
    assert asr.supports_transcript_streaming and asr.requires_external_vad
    assert asr.models[0].languages == intent.models[0].languages == ["en", "en-US"]
    assert asr.models[0].installed and asr.models[0].name == "tiny"


def test_handling_is_offered_where_something_can_be_done(lights, place):
    async def talk(client):
        return Info.from_event(await ask(client, Describe()))

    (handle,) = with_client(lights, place, talk, noted()[0]).handle
    assert handle.installed and handle.models[0].languages == ["en", "en-US"]


def test_ping_is_answered_and_what_is_unknown_is_ignored(lights, place):
    async def run():
        async with serving(lights, place) as (server, at), connected(at) as client:
            await client.write_event(Event("run-satellite", {"some": "thing"}, b"payload"))
            answers = [await ask(client, Ping("näh")), await ask(client, Ping())]
            return answers, server.counts

    answers, counts = asyncio.run(run())
    assert [Pong.from_event(answer).text for answer in answers] == ["näh", None]
    assert counts.events == {"unknown": 1, "ping": 2} and counts.malformed == 0
    assert counts.connections == 0


# ── audio ──────────────────────────────────────────────────────────────────────────────────


def test_home_assistants_speech_to_text_gets_what_was_said(coffee, data):
    order = read_file(data / "recordings/coffee/1cada0fd.flac").whole()

    async def run():
        async with serving(coffee, TCP) as (_, at):
            assert at.port
            async with AsyncTcpClient(at.host, at.port) as client:
                return await transcribe(client, order)

    said = "can i get a single shot house coffee with a lot of sweetener"
    assert asyncio.run(run()) == said


def test_a_transcript_is_streamed_in_the_order_of_the_library(coffee, orders, place):
    async def talk(client):
        await client.write_event(AudioStart(16000, 2, 1, timestamp=60_000).event())
        for chunk in chunks(orders["iced coffee"]):
            await client.write_event(chunk.event())
        await client.write_event(AudioStop().event())
        return await until(client, "transcript-stop")

    heard = with_client(coffee, place, talk)
    kinds = ["voice-started", "voice-stopped", "transcript-start"]
    assert [e.type for e in heard] == [*kinds, "transcript-chunk", "transcript", "transcript-stop"]
    started, stopped = heard[0].data["timestamp"], heard[1].data["timestamp"]
    assert 60_000 < started < stopped < 60_000 + len(orders["iced coffee"]) / 16
    assert heard[3].data["text"] == heard[4].data["text"]
    transcript = Transcript.from_event(heard[4])
    assert transcript.language == "en"
    (understood,) = transcript.context["intents"]
    assert understood["slots"] == {"coffeeDrink": "iced coffee", "sugarAmount": "brown sugar"}
    assert understood["intent"] == "orderDrink" and understood["confidence"] > 0.5


def test_several_commands_of_a_stream_are_joined(coffee, orders, place):
    quiet = np.zeros(SAMPLE_RATE // 2, np.float32)
    both = np.concatenate([orders["americano"], quiet, orders["iced coffee"]])

    async def talk(client):
        for chunk in [*chunks(both), AudioStop()]:
            await client.write_event(chunk.event())
        return await until(client, "transcript-stop")

    heard = with_client(coffee, place, talk)
    told = [e.data["text"] for e in heard if e.type == "transcript-chunk"]
    (transcript,) = [e.data for e in heard if e.type == "transcript"]
    assert len(told) == 2 and "".join(told) == transcript["text"]
    assert "americano i want" in transcript["text"]
    assert [e.type for e in heard].count("transcript-start") == 1


def test_every_stop_has_one_transcript_silence_and_nothing_too(coffee, place):
    async def talk(client):
        silence = list(chunks(np.zeros(SAMPLE_RATE, np.float32)))
        for message in [*silence, AudioStop(), AudioStop(), AudioStart(16000, 2, 1), AudioStop()]:
            await client.write_event(message.event())
        await client.write_event(Ping("end").event())
        return await until(client, "pong")

    heard = with_client(coffee, place, talk)
    told = [Transcript.from_event(e) for e in heard if e.type == "transcript"]
    assert [t.text for t in told] == ["", "", ""]
    assert [t.context["reason"] for t in told] == ["nothing was said", *2 * ["no audio came"]]
    assert [e.type for e in heard if e.type != "transcript"] == (
        3 * ["transcript-start", "transcript-stop"] + ["pong"]
    )


def test_what_is_not_understood_is_an_empty_transcript_with_a_reason(lights, orders, place):
    strict = lights.with_config(AssistantConfig(bundle=lights.config.bundle, commands="strict"))

    async def talk(client):
        for message in [*chunks(orders["americano"]), AudioStop()]:
            await client.write_event(message.event())
        return await until(client, "transcript")

    transcript = Transcript.from_event(with_client(strict, place, talk)[-1])
    assert transcript.text == "" and "confidence" in transcript.context["reason"]


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        (Transcribe(language="de"), "language 'de'"),
        (Transcribe(name="whisper\nlarge"), r"no model 'whisper\nlarge'"),
        (AudioChunk(4_000, 2, 1, b"\0" * 800), "4000 Hz"),
        (AudioChunk(16_000, 3, 1, b"\0" * 600), "3 bytes"),
        (AudioChunk(16_000, 2, 0, b"\0" * 800), "0 channels"),
    ],
)
def test_what_cannot_be_heard_is_said_and_the_transcript_comes_all_the_same(
    lights, orders, place, first, complaint
):
    async def talk(client):
        sound = list(chunks(orders["americano"][:SAMPLE_RATE]))
        for message in [first, *sound, AudioStop()]:
            await client.write_event(message.event())
        refused = await until(client, "transcript-stop")
        # What comes after that is heard as ever.
        return refused, await transcribe(client, orders["americano"])

    refused, text = with_client(lights, place, talk)
    assert [e.type for e in refused] == [
        "error", "transcript-start", "transcript", "transcript-stop",
    ]  # fmt: skip
    assert complaint in Error.from_event(refused[0]).text
    assert refused[2].data["text"] == "" and complaint in refused[2].data["context"]["reason"]
    assert text


def test_a_region_of_a_language_is_that_language(lights, place):
    async def talk(client):
        return await ask(client, Transcribe(language="en-GB"), Ping())

    assert with_client(lights, place, talk).type == "pong"


@pytest.mark.parametrize(
    ("where", "what", "complaint"),
    [
        ("assistant.daemon.streams.MOST_STREAMS", 0, "0 streams are open"),
        ("assistant.pipeline.Pipeline.feed", None, "unexpected TypeError"),
    ],
)
def test_a_stream_that_fails_is_said_and_the_transcript_comes_all_the_same(
    lights, orders, place, monkeypatch, where, what, complaint
):
    monkeypatch.setattr(where, what)

    async def talk(client):
        for message in [*chunks(orders["americano"]), AudioStop()]:
            await client.write_event(message.event())
        return await until(client, "transcript")

    error, _, transcript = with_client(lights, place, talk)
    assert complaint in Error.from_event(error).text
    assert transcript.data["text"] == "" and complaint in transcript.data["context"]["reason"]


class Decided:
    """Stands in for `Streams`, with a stream of which this is heard at its end."""

    def __init__(self, *events):
        self.events = events

    def new(self, name, on_event):
        self.on_event = on_event
        return self

    async def feed(self, samples):
        pass

    async def finish(self):
        for event in self.events:
            self.on_event(event)

    async def close(self):
        pass


EARLY = types.Intent("light", {"state": "on"}, "light on", 0.9)
WHOLE = types.Hypothesis(
    "light", {"state": "on", "room": "hall"}, "light on in the hall", 0.8, -0.1
)


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (types.Confirmed(0, 16_000), "light on"),
        (types.Contradicted(0, 16_000, EARLY, WHOLE), "light on in the hall"),
        (types.Contradicted(0, 16_000, EARLY, types.Rejection("too unlike")), ""),
    ],
)
def test_what_was_decided_early_is_transcribed_as_the_whole_was(end, text):
    early = types.Recognised(0, 8_000, EARLY, WHOLE, early=True)
    sent = []
    streams = Decided(types.SpeechStarted(0), early, end)

    async def run():
        transcription = Transcription(streams, "test", sent.append, "en")
        await transcription.feed(AudioChunk(16_000, 2, 1, b"\0" * 200))
        await transcription.finish()

    asyncio.run(run())
    (transcript,) = [m for m in sent if isinstance(m, Transcript)]
    assert (
        transcript.text == "".join(m.text for m in sent if isinstance(m, TranscriptChunk)) == text
    )
    assert [m.timestamp for m in sent if isinstance(m, VoiceStopped)] == [1000]


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_any_usual_format_becomes_the_same_sound(rate, width):
    time = np.arange(rate) / rate
    left = 0.5 * np.sin(2 * np.pi * 440 * time)
    scale = 2 ** (8 * width - 1) - 1
    stereo = np.column_stack([left, np.zeros(rate)]) * scale
    pcm = np.round(stereo).astype({1: "i1", 2: "<i2", 4: "<i4"}[width]).tobytes()
    decoder = PcmDecoder(PcmFormat(rate, width, 2))
    pieces = [s for at in range(0, len(pcm), 999) for s in decoder.feed(pcm[at : at + 999])]
    heard = np.concatenate([*pieces, *decoder.flush()])
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    assert heard.shape == expected.shape
    assert np.abs(heard - expected)[200:-200].max() < (0.01 if width == 1 else 0.002)


def test_two_clients_at_once_get_their_own(coffee, orders, place):
    async def run():
        async with serving(coffee, place) as (_, at):

            async def say(sound):
                async with AsyncUnixClient(at.path) as client:
                    return await transcribe(client, sound)

            return await asyncio.gather(*(say(sound) for sound in orders.values()))

    for said, text in zip(orders, asyncio.run(run()), strict=True):
        assert said in text


def test_a_client_that_vanishes_while_speaking_disturbs_nobody(coffee, orders, place):
    async def run():
        async with serving(coffee, place) as (server, at), connected(at) as stays:
            sound = list(chunks(orders["americano"]))
            for chunk in sound[: len(sound) // 2]:
                await stays.write_event(chunk.event())
            async with connected(at) as leaves:
                for chunk in sound[: len(sound) // 2]:
                    await leaves.write_event(chunk.event())
                leaves._writer.write(b'{"type": "audio-chunk", "data_length": 60, "payl')
                await leaves._writer.drain()
            for message in [*sound[len(sound) // 2 :], AudioStop()]:
                await stays.write_event(message.event())
            transcript = (await until(stays, "transcript"))[-1]
            while server.counts.connections > 1:
                await asyncio.sleep(0.01)
            return transcript.data["text"], server.service.streams.open, server.counts

    text, streams, counts = asyncio.run(run())
    assert "americano" in text and streams == 0
    assert counts.malformed == counts.dropped == 0


# ── text ───────────────────────────────────────────────────────────────────────────────────


def test_a_text_becomes_an_intent_with_typed_entities(lights, place):
    async def talk(client):
        return Intent.from_event(await ask(client, Recognize("Dim to 2!")))

    intent = with_client(lights, place, talk, noted()[0])
    assert intent.name == "setBrightness" and intent.text == "dim to two"
    entities = sorted(intent.entities, key=lambda entity: entity.name)
    assert entities == [Entity("device", "light"), Entity("level", 2)]
    assert type(entities[1].value) is int


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("order a pizza", "begins with 'order', but with: turn, dim"),
        ("turn the radio on", "goes on with 'radio' after 'turn the', but with: light"),
        ("turn the light", "not all of a command; it may go on with: on, off"),
        ("dim to 2 now", "'dim to two' is a command without 'now'"),
        ("", "nothing was said"),
        ("dim to " + "9" * 400, "longer than any command"),
        ("dim to 1e999 ½ ٣ \0\x1b", "'dim to one' is a command without 'e nine hundred"),
        ("turn " * 40_000, "longer than any command"),
    ],
)
def test_a_text_that_is_no_command_is_told_why(lights, place, text, reason):
    async def talk(client):
        return await ask(client, Recognize(text))

    answer = with_client(lights, place, talk)
    assert NotRecognized.is_type(answer.type)
    assert reason in answer.data["text"] and answer.data["text"].isprintable()


def conversation(text, language="en"):
    """What Home Assistant's conversation sends."""
    context = {"conversation_id": "01JZ", "device_id": "d", "satellite_id": "s"}
    return Transcript(text, context=context, language=language)


def test_home_assistants_conversation_gets_an_intent_to_handle_itself(lights):
    async def run():
        async with serving(lights, TCP) as (_, at):
            async with AsyncTcpClient(at.host, at.port) as client:
                found = await ask(client, conversation("turn the light off"))
            async with AsyncTcpClient(at.host, at.port) as client:
                unknown = await ask(client, conversation("sing"))
            async with AsyncTcpClient(at.host, at.port) as client:
                return found, unknown, await ask(client, conversation("licht aus", "de-DE"))

    found, unknown, foreign = asyncio.run(run())
    assert Intent.from_event(found).name == "setLight"
    assert {e.name: e.value for e in Intent.from_event(found).entities} == {"state": "off"}
    assert NotRecognized.is_type(unknown.type)
    assert "language 'de-DE'" in NotRecognized.from_event(foreign).text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (ActionStatus.DONE, Handled),
        (ActionStatus.DRY_RUN, Handled),
        (ActionStatus.UNCONFIRMED, Handled),
        (ActionStatus.FAILED, NotHandled),
        (ActionStatus.REFUSED, NotHandled),
        (ActionStatus.NONE, NotHandled),
    ],
)
def test_a_transcript_is_acted_on_once(lights, place, status, kind):
    act, asked = noted(status, "the light was looked at")

    async def talk(client):
        return await ask(client, conversation("turn the light on"))

    answer = with_client(lights, place, talk, act)
    assert kind.is_type(answer.type)
    assert kind.from_event(answer).text == "the light was looked at"
    assert kind.from_event(answer).context["status"] == status.value
    assert asked == [("setLight", {"state": "on"}, "wyoming")]


def test_nothing_is_done_about_audio_intents_and_what_is_not_understood(lights, orders, place):
    act, asked = noted()

    async def talk(client):
        assert await transcribe(client, orders["americano"])
        assert (await until(client, "transcript-stop"))[-1]
        assert (await ask(client, Recognize("turn the light on"))).type == "intent"
        return await ask(client, conversation("turn the music on"))

    answer = with_client(lights, place, talk, act)
    assert NotHandled.is_type(answer.type) and "after 'turn the'" in answer.data["text"]
    assert asked == []


def test_an_action_that_breaks_is_not_handled_and_the_client_stays(lights, place, caplog):
    async def act(intent, source):
        raise OSError("no bulb")

    async def talk(client):
        answer = await ask(client, conversation("turn the light on"))
        return answer, await ask(client, Ping())

    answer, pong = with_client(lights, place, talk, act)
    assert NotHandled.from_event(answer).text == "setLight: unexpected OSError: no bulb"
    assert pong.type == "pong" and "was not done" in caplog.text


def test_new_commands_are_understood_at_once(lights, coffee, place):
    async def run():
        async with serving(lights, place) as (server, at), connected(at) as client:
            before = await ask(client, Recognize("give me a large latte"))
            server.service.streams.use(coffee)
            return before, await ask(client, Recognize("give me a large latte"))

    assert [answer.type for answer in asyncio.run(run())] == ["not-recognized", "intent"]


# ── addresses ──────────────────────────────────────────────────────────────────────────────


def test_the_network_is_let_in_only_where_that_is_asked_for(lights):
    async def run():
        streams = Streams(lights, threads=1)
        server = WyomingServer(streams, None, "1")
        try:
            with pytest.raises(UsageError, match=r"knows no passwords.*127\.0\.0\.1"):
                await server.start(Address(host="0.0.0.0"))
            listening = await server.start(Address(host="0.0.0.0"), allow_network=True)
            async with AsyncTcpClient("127.0.0.1", listening.address.port) as client:
                return (await ask(client, Ping())).type
        finally:
            await server.close()
            await streams.close()

    assert asyncio.run(run()) == "pong"


def test_an_absent_library_is_named(lights, place, monkeypatch):
    monkeypatch.setitem(sys.modules, "wyoming", None)

    async def run():
        async with serving(lights, place):
            pass

    with pytest.raises(UsageError, match=r"'wyoming' is missing; .* pip install .*daemon"):
        asyncio.run(run())


def test_a_server_is_discovered_with_mdns():
    zeroconf = pytest.importorskip("zeroconf", reason="needs assistant[discovery]")
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: PLC0415

    async def run():
        found = asyncio.Event()
        names = []

        def on_change(zeroconf, service_type, name, state_change):
            names.append(name)
            found.set()

        async with discoverable(Address(host="127.0.0.1", port=10_300)):
            client = AsyncZeroconf(interfaces=["127.0.0.1"])
            browser = AsyncServiceBrowser(
                client.zeroconf, wyoming_server.SERVICE, handlers=[on_change]
            )
            try:
                await asyncio.wait_for(found.wait(), 10)
                info = await client.async_get_service_info(wyoming_server.SERVICE, names[0])
            finally:
                await browser.async_cancel()
                await client.async_close()
        return info

    try:
        info = asyncio.run(run())
    except (OSError, zeroconf.Error) as error:
        pytest.skip(f"no multicast here: {error}")
    assert info.port == 10_300 and info.parsed_addresses() == ["127.0.0.1"]


def test_a_unix_socket_is_not_discovered(place, monkeypatch):
    async def run(address):
        async with discoverable(address):
            pass

    with pytest.raises(UsageError, match="only a TCP address"):
        asyncio.run(run(place))
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(UsageError, match=r"pip install .*\[discovery\]"):
        asyncio.run(run(TCP))
