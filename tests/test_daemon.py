"""The daemon's parts within one process: many streams as one alone, ears, deeds in their order."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import build

from assistant.actions import ActionRunner, Journal, parse_policy
from assistant.actions.desktop import active_window
from assistant.actions.dialogue import Dialogue
from assistant.actions.journal import journal_path
from assistant.config import AssistantConfig, AudioConfig, DialogueConfig
from assistant.daemon import background
from assistant.daemon.batching import Batcher
from assistant.daemon.commands_source import CommandsSource
from assistant.daemon.daemon import WAITING_ACTIONS, Daemon
from assistant.daemon.desktop import Desktop
from assistant.daemon.hub import Hub
from assistant.daemon.listening import Attention, Listening, Mode
from assistant.daemon.loading import Loaded, Loader
from assistant.daemon.microphone import MicrophoneThread
from assistant.daemon.notify import ServiceManager
from assistant.daemon.reloading import Reloader
from assistant.daemon.sockets import Address, serve
from assistant.daemon.streams import MOST_STREAMS, QUEUE_S, Streams
from assistant.engine import Engine
from assistant.errors import AssistantError, AudioDeviceError, ConfigError, UsageError
from assistant.recording import read_file
from assistant.types import (
    SAMPLE_RATE,
    ActionStatus,
    Event,
    Hypothesis,
    Intent,
    Recognised,
    Rejected,
    Samples,
)

RECORDINGS = Path(__file__).parent / "data/recordings"


def run(work: Coroutine[Any, Any, Any], seconds: float = 60.0) -> Any:
    return asyncio.run(asyncio.wait_for(work, seconds))


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("daemon"))


@pytest.fixture(scope="module")
def engine(bundle) -> Engine:
    return Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu"))


@pytest.fixture(scope="module")
def sounds() -> list[Samples]:
    files = sorted(RECORDINGS.rglob("*.flac"))[:5]
    return [read_file(file).whole() for file in files]


def told(events: list[Event]) -> list[tuple[object, ...]]:
    """What of an event does not depend on how floating-point sums are rounded."""
    found: list[tuple[object, ...]] = []
    for event in events:
        text = getattr(getattr(event, "hypothesis", None), "text", "")
        place = getattr(event, "end", None) or getattr(event, "at", None) or event.start
        found.append((type(event).__name__, text, place))
    return found


# ── streams ────────────────────────────────────────────────────────────────────────────────


def test_many_streams_at_once_give_what_each_gives_alone(engine, sounds):
    alone = []
    for sound in sounds:
        pipeline = engine.pipeline()
        alone.append(told([*pipeline.feed(sound), *pipeline.flush()]))

    async def together() -> tuple[list[list[Event]], int, int]:
        streams = Streams(engine, threads=8)
        heard: list[list[Event]] = [[] for _ in sounds]

        async def say(number: int) -> None:
            stream = streams.new(str(number), heard[number].append)
            rng = np.random.default_rng(number)
            rest = sounds[number]
            while len(rest):
                cut = int(rng.integers(1, 9000))
                await stream.feed(rest[:cut])
                rest = rest[cut:]
            await stream.finish()
            await stream.close()

        await asyncio.gather(*(say(number) for number in range(len(sounds))))
        batches, steps = streams.batcher.batches, streams.batcher.steps
        await streams.close()
        return heard, batches, steps

    heard, batches, steps = run(together())
    assert [told(events) for events in heard] == alone
    assert batches < steps  # some were computed together


def test_one_stream_after_another_begins_anew(engine, sounds):
    async def twice() -> list[list[Event]]:
        streams = Streams(engine)
        heard: list[Event] = []
        stream = streams.new("one", heard.append)
        found = []
        for _ in range(2):
            await stream.feed(sounds[0])
            await stream.finish()
            found.append(list(heard))
            heard.clear()
        await streams.close()
        return found

    first, second = run(twice())
    assert told(first) == told(second) != []


def test_new_commands_are_taken_up_between_utterances(bundle, engine, sounds):
    strict = engine.with_config(replace(engine.config, commands="strict"))

    async def change() -> list[type]:
        streams = Streams(engine)
        heard: list[Event] = []
        stream = streams.new("one", heard.append)
        speech = sounds[0]
        await stream.feed(speech[: len(speech) // 2])
        await until(lambda: heard)  # someone speaks
        streams.use(strict)
        await stream.feed(speech[len(speech) // 2 :])
        await stream.finish()
        await stream.feed(speech)
        await stream.finish()
        await streams.close()
        return [type(event) for event in heard if isinstance(event, Recognised | Rejected)]

    assert run(change()) == [Recognised, Rejected]


def test_another_bundle_or_device_needs_a_new_start(engine):
    with pytest.raises(UsageError, match="bundle: cannot change while running"):
        engine.with_config(replace(engine.config, bundle="another"))


def test_a_stream_that_fails_disturbs_no_other(engine, sounds):
    async def fail() -> tuple[str, list[Event], int]:
        streams = Streams(engine)
        heard: list[Event] = []
        long = streams.new("long", lambda event: None, whole=True)
        other = streams.new("other", heard.append)
        silence = np.zeros(SAMPLE_RATE, np.float32)
        with pytest.raises(AssistantError) as raised:
            for _ in range(40):
                await long.feed(silence)
            await long.finish()
        await other.feed(sounds[0])
        await other.finish()
        failures = streams.counts.failures
        await streams.close()
        return str(raised.value), heard, failures

    error, heard, failures = run(fail())
    assert "an utterance may last" in error
    assert heard
    assert failures == 1


def test_a_microphone_loses_its_oldest_audio_and_a_socket_waits(engine):
    async def slow() -> tuple[float, bool]:
        streams = Streams(engine, threads=1)
        gate = threading.Event()
        streams._pool.submit(gate.wait)
        second = np.zeros(SAMPLE_RATE, np.float32)
        microphone = streams.new("microphone", lambda event: None)
        for _ in range(round(QUEUE_S) + 3):
            microphone.offer(second)
        await asyncio.sleep(0)
        socket = streams.new("socket", lambda event: None)
        feeding = asyncio.create_task(feed(socket, second))
        await asyncio.sleep(0.05)
        waited = not feeding.done()
        gate.set()
        await feeding
        await socket.finish()
        dropped = microphone.dropped_s
        await streams.close()
        return dropped, waited

    async def feed(stream: Any, second: Samples) -> None:
        for _ in range(round(QUEUE_S) + 3):
            await stream.feed(second)

    dropped, waited = run(slow())
    assert dropped == 3.0
    assert waited


@contextmanager
def nothing_is_heard(streams: Streams) -> Iterator[None]:
    """Meanwhile all threads of the streams are taken."""
    gate = threading.Event()
    for _ in range(streams._pool._max_workers):
        streams._pool.submit(gate.wait)
    try:
        yield
    finally:
        gate.set()


def test_nobody_waits_for_a_stream_that_was_closed(engine):
    async def close() -> list[BaseException]:
        streams = Streams(engine, threads=1)
        with nothing_is_heard(streams):
            stream = streams.new("one", lambda event: None)
            for _ in range(round(QUEUE_S) + 3):
                stream.offer(np.zeros(SAMPLE_RATE, np.float32))
            finishing = asyncio.create_task(stream.finish())
            await asyncio.sleep(0)
            await stream.close()
            await asyncio.wait((finishing,), timeout=5)
            finishing.cancel()
            ended = await asyncio.gather(finishing, return_exceptions=True)
        await streams.close()
        return ended

    (ended,) = run(close())
    assert str(ended) == "stream one was closed"


def test_the_end_does_not_wait_for_what_was_said_while_a_key_was_held(engine):
    async def end() -> bool:
        daemon = new_daemon(engine, mode=Mode.PUSH_TO_TALK)
        daemon.ears.open()
        with nothing_is_heard(daemon.streams):
            daemon.ears.talk("start")
            daemon.ears.hear(np.zeros(SAMPLE_RATE, np.float32))
            daemon.ears.talk("stop")
            await asyncio.sleep(0)
            await asyncio.gather(*(stream.close() for stream in list(daemon.streams._open)))
            closing = asyncio.create_task(daemon.ears.close())
            done, _ = await asyncio.wait((closing,), timeout=5)
            closing.cancel()
        await daemon.streams.close()
        return bool(done)

    assert run(end())


def test_there_is_an_end_to_streams(engine):
    async def many() -> None:
        streams = Streams(engine)
        opened = [streams.new(str(i), lambda event: None) for i in range(MOST_STREAMS)]
        with pytest.raises(UsageError, match="are open"):
            streams.new("one more", lambda event: None)
        await opened[0].close()
        streams.new("in its place", lambda event: None)
        await streams.close()
        assert streams.open == 0

    run(many())


def test_what_is_asked_for_at_once_is_computed_at_once():
    batcher, sizes = Batcher(), []

    def compute(numbers):
        sizes.append(len(numbers))
        if 13 in numbers:
            raise ValueError("unlucky")
        return [2 * number for number in numbers]

    results: dict[int, object] = {}

    def ask(number: int) -> None:
        with batcher.hearing():
            try:
                results[number] = batcher.ask(compute, number, number >= 10)
            except ValueError as error:
                results[number] = str(error)

    for numbers in ((1, 2, 3, 4), (5, 13, 6)):
        threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert results == {1: 2, 2: 4, 3: 6, 4: 8, 5: 10, 13: "unlucky", 6: 12}
    batcher.close()
    assert batcher.steps == sum(sizes) == 7
    assert batcher.batches == len(sizes)


# ── the hub ────────────────────────────────────────────────────────────────────────────────


def test_a_subscriber_that_does_not_keep_up_loses_only_its_own():
    async def publish() -> tuple[list[int], int, int]:
        hub = Hub()
        with hub.subscription({"n"}) as quick, hub.subscription() as slow:
            seen = []
            for number in range(300):
                hub.publish("n", number=number)
                seen.append((await anext(quick))["number"])
            hub.publish("other")
            first = (await anext(slow))["number"]
            assert hub.subscribers == 2
            return seen, slow.dropped, first

    seen, dropped, first = run(publish())
    assert seen == list(range(300))
    assert dropped == 45  # 301 told, 256 kept
    assert first == 45


# ── listening ──────────────────────────────────────────────────────────────────────────────


def said(text: str, name: str = "light") -> Intent:
    return Intent(name, {}, text, 0.9)


WAKE_PHRASES = ("hey computer",)


def test_with_a_wake_phrase_only_what_follows_it_is_meant():
    listening = Listening(Mode.WAKE, follow_up_s=8)
    assert listening.hears(0)
    assert listening.attention(said("light on"), WAKE_PHRASES, 0) is Attention.NOT_MEANT
    meant = listening.attention(said("hey computer light on"), WAKE_PHRASES, 10)
    assert meant is Attention.ACT
    assert listening.attention(said("light off"), WAKE_PHRASES, 17.9) is Attention.ACT
    assert listening.attention(said("light off"), WAKE_PHRASES, 26) is Attention.NOT_MEANT
    assert listening.attention(said("hey computer", "wake"), WAKE_PHRASES, 30) is Attention.WOKEN
    assert listening.attention(said("light on"), WAKE_PHRASES, 37) is Attention.ACT
    assert listening.attention(said("hey computers"), WAKE_PHRASES, 99) is Attention.NOT_MEANT


def test_push_to_talk_hears_nothing_else_but_an_answer():
    listening = Listening(Mode.PUSH_TO_TALK, follow_up_s=8, longest_talk_s=20)
    assert not listening.hears(0)
    assert listening.talk(1)
    assert not listening.talk(2)
    assert listening.is_talking(20.9)
    assert not listening.is_talking(21)
    assert listening.release()
    assert not listening.release()
    listening.stay_awake(30, 10)
    assert listening.hears(39)
    assert not listening.hears(40)


def test_muted_hears_nothing_and_cannot_be_talked_to():
    listening = Listening(muted=True)
    assert not listening.hears(0)
    assert not listening.talk(0)


def test_a_mode_has_a_name():
    assert Mode.of("push-to-talk") is Mode.PUSH_TO_TALK
    with pytest.raises(ConfigError, match="one of: always, wake, push-to-talk"):
        Mode.of("sometimes")


# ── the daemon ─────────────────────────────────────────────────────────────────────────────

POLICY = {
    "intents": {
        "setLight": {"run": ["echo", "{state}"], "confirm": "when-unsure"},
        "setBrightness": {"run": ["sh", "-c", "sleep 0.1; echo done"]},
    }
}


def waking(engine: Engine) -> Engine:
    """The same with a wake phrase."""
    return replace(engine, commands=replace(engine.commands, wake_phrases=WAKE_PHRASES))


def new_daemon(engine: Engine, journal: Journal | None = None, **listening: Any) -> Daemon:
    runner = ActionRunner(parse_policy(POLICY, "test"), execute=True)
    dialogue = Dialogue(runner, DialogueConfig(), journal)
    loaded = Loaded(engine.config, engine, runner)
    return Daemon(loaded, dialogue, Hub(), Listening(**listening))


def hypothesis(text: str) -> Hypothesis:
    return Hypothesis("setLight", {"state": "on"}, text, 0.9, -0.1)


def test_text_is_understood_and_acted_on_as_speech_is(engine):
    async def say() -> tuple[Any, Any, list[str]]:
        daemon = new_daemon(engine)
        with daemon.hub.subscription() as events:
            facts = await daemon.say("Turn the light ON!", act=True)
            dry = await daemon.say("dim to 2", act=False)
            with pytest.raises(UsageError, match="'turn the moon on' is none of the sentences"):
                await daemon.say("turn the moon on", act=True)
            daemon.hub.publish("over")
            names = []
            async for event in events:
                names.append(event["event"])
                if event["event"] == "over":
                    break
        await daemon.close()
        return facts, dry, names

    facts, dry, names = run(say())
    assert facts["slots"] == {"state": "on"}
    assert facts["action"]["status"] == "done"
    assert facts["action"]["output"] == "on"
    assert (dry["intent"], dry["slots"]["level"]) == ("setBrightness", 2)
    assert "action" not in dry
    assert names == ["action", "over"]


def test_deeds_are_done_in_the_order_in_which_they_were_said_and_not_without_end(engine, tmp_path):
    async def hurry() -> tuple[list[str], list[ActionStatus]]:
        daemon = new_daemon(engine, Journal(tmp_path))
        brightness = Intent("setBrightness", {}, "dim", 1.0)
        light = Intent("setLight", {"state": "on"}, "light", 1.0)
        asked = [brightness, light, *[light] * (WAITING_ACTIONS + 1)]
        acting = [asyncio.create_task(daemon.act(intent, "test")) for intent in asked]
        with daemon.hub.subscription({"action"}) as events:
            results = await asyncio.gather(*acting)
            told = [await anext(events) for _ in asked]
            order = [event["intent"] for event in told if event["status"] == "done"]
        refused = [r.status for r in results if "actions wait already" in r.description]
        await daemon.close()
        return order, refused

    order, refused = run(hurry())
    assert order == ["setBrightness", *["setLight"] * (WAITING_ACTIONS - 1)]
    assert refused == [ActionStatus.REFUSED] * 3
    lines = map(json.loads, journal_path(tmp_path).read_text(encoding="utf-8").splitlines())
    reasons = [line["reason"] for line in lines if line["status"] == "refused"]
    assert reasons == [f"{WAITING_ACTIONS} actions wait already"] * 3


def test_a_question_is_answered_without_a_wake_phrase(engine):
    async def ask() -> tuple[Any, bool, str, str]:
        daemon = new_daemon(waking(engine), mode=Mode.WAKE)
        unsure = Intent("setLight", {"state": "on"}, "turn the light on", 0.5)
        asked = await daemon.act(unsure, "microphone")
        awake = daemon.ears.listening.is_awake(time.monotonic() + 9)
        question = daemon.state()["question"]
        done = await daemon.answer("yes", "", "test")
        again = await daemon.answer("yes", "", "test")
        await daemon.close()
        return asked.status.value, awake, question, (done.status.value, again.status.value)

    status, awake, question, answers = run(ask())
    assert status == "needs confirmation"
    assert awake
    assert "echo on" in question
    assert answers == ("done", "no action")


class FakeNotifier:
    """Remembers what it was to show, and presses the first button."""

    def __init__(self) -> None:
        self.shown: list[tuple[Any, ...]] = []

    async def show(self, title, body, buttons, on_press, replaces=0):
        self.shown.append((title, body, dict(buttons), replaces))
        if buttons:
            on_press(next(iter(buttons)))
        return len(self.shown)

    async def close(self) -> None:
        pass


def test_what_was_done_is_shown_with_buttons_that_answer(engine):
    policy = {
        "setLight": {"run": ["echo", "{state}"], "confirm": "always"},
        "setBrightness": {"run": ["echo", "dim"], "undo": {"run": ["echo", "as before"]}},
    }

    async def show() -> list[tuple[Any, ...]]:
        daemon = new_daemon(engine)
        daemon.dialogue.runner = ActionRunner(parse_policy({"intents": policy}, "test"), True)
        notifier = FakeNotifier()
        showing = asyncio.create_task(Desktop(daemon, print, notifier).show())
        await asyncio.sleep(0)
        await daemon.act(Intent("setLight", {"state": "on"}, "turn the light on", 0.9), "text")
        await until(lambda: daemon.actions["done"] == 1)
        await daemon.act(Intent("setBrightness", {"level": 2}, "dim to 2", 0.9), "microphone")
        await daemon.act(Intent("nothing", {}, "nothing", 0.9), "microphone")
        await until(lambda: daemon.actions["undone"] == 1)
        showing.cancel()
        await daemon.close()
        return notifier.shown

    question, dimmed = run(show())
    assert question[0] == "Shall I?: setLight"
    assert question[2] == {"yes": "Yes", "no": "No"}
    assert dimmed == ("Done: setBrightness", "dim", {"undo": "Undo"}, 1)


def test_ears_hear_as_the_mode_says_and_a_key_takes_one_utterance(engine, sounds):
    async def listen() -> tuple[list[str], list[str]]:
        daemon = new_daemon(engine, mode=Mode.PUSH_TO_TALK)
        ears = daemon.ears
        with pytest.raises(UsageError, match="no microphone"):
            ears.talk("start")
        ears.open()
        blocks = [sounds[0][at : at + 320] for at in range(0, len(sounds[0]), 320)]
        with daemon.hub.subscription() as events:
            for block in blocks[:50]:
                ears.hear(block)  # nobody holds the key
            assert ears.talk("toggle")
            for block in blocks:
                ears.hear(block)
                await asyncio.sleep(0)
            assert not ears.talk("toggle")
            pressed = []
            async for event in events:
                pressed.append((event["event"], event.get("source", "")))
                if event["event"] == "action":
                    break
            ears.mute(True)
            with pytest.raises(UsageError, match="muted"):
                ears.talk("start")
            for block in blocks:
                ears.hear(block)
            await asyncio.sleep(0.05)
            daemon.hub.publish("over")
            muted = []
            async for event in events:
                muted.append(event["event"])
                if event["event"] == "over":
                    break
        await daemon.close()
        return pressed, muted

    pressed, muted = run(listen())
    names = [name for name, _ in pressed]
    assert names[0] == "state"
    assert "recognised" in names
    assert {source for name, source in pressed if name == "recognised"} == {"talk"}
    assert muted == ["state", "over"]


def test_a_mode_with_a_wake_phrase_needs_one(engine):
    async def wake() -> None:
        daemon = new_daemon(engine)
        with pytest.raises(UsageError, match="wake_phrases"):
            daemon.ears.set_mode(Mode.WAKE)
        await daemon.close()

    run(wake())


def test_commands_without_a_wake_phrase_are_refused_where_one_is_waited_for(engine):
    async def reload() -> Mode:
        daemon = new_daemon(waking(engine), mode=Mode.WAKE)
        runner, before = daemon.dialogue.runner, daemon.streams.engine
        with pytest.raises(UsageError, match="wake_phrases"):
            daemon.use(Loaded(engine.config, engine, ActionRunner(runner.policy, False)))
        assert daemon.streams.engine is before
        assert daemon.dialogue.runner is runner
        mode = daemon.ears.listening.mode
        await daemon.close()
        return mode

    assert run(reload()) is Mode.WAKE


def configured(engine: Engine, **daemon: Any) -> Engine:
    """The same with another configuration of the daemon, and other times."""
    config = engine.config
    times = DialogueConfig(confirmation_timeout_s=3, follow_up_s=2)
    config = replace(config, dialogue=times, daemon=replace(config.daemon, **daemon))
    return replace(engine, config=config)


def test_a_reload_takes_up_times_and_the_mode_where_the_configuration_says_another(engine):
    async def reload() -> list[Mode]:
        daemon = new_daemon(engine)
        runner, modes = daemon.dialogue.runner, []

        def use(now: Engine) -> None:
            daemon.use(Loaded(now.config, now, runner))
            modes.append(daemon.ears.listening.mode)

        use(configured(engine, mode="push-to-talk"))
        daemon.ears.set_mode(Mode.ALWAYS)  # as with `assistant ctl mode`
        use(configured(engine, mode="push-to-talk"))
        with pytest.raises(ConfigError, match="mode: found 'sometimes'"):
            use(configured(engine, mode="sometimes"))
        assert daemon.ears.listening.follow_up_s == 2
        assert daemon.dialogue.config.confirmation_timeout_s == 3
        await daemon.close()
        return modes

    assert run(reload()) == [Mode.PUSH_TO_TALK, Mode.ALWAYS]


class FakeLoader:
    """Reads what it was given, one after the other."""

    def __init__(self, *loaded: Loaded) -> None:
        self.loaded = list(loaded)

    async def load(self, before: Engine | None = None) -> Loaded:
        return self.loaded.pop(0)


def test_what_a_reload_cannot_change_is_told(engine):
    told: list[str] = []

    async def reload() -> None:
        daemon = new_daemon(engine)
        other = configured(engine, metrics="tcp://127.0.0.1:1", notifications=False, mode="wake")
        other = replace(other, config=replace(other.config, audio=AudioConfig(device="usb")))
        runner = daemon.dialogue.runner
        loader = FakeLoader(
            Loaded(other.config, waking(other), runner), Loaded(engine.config, engine, runner)
        )
        reloader = Reloader(loader, daemon, engine.config, ServiceManager(), told.append)
        await reloader.reload()
        await reloader.reload()
        await daemon.close()

    run(reload())
    assert [line for line in told if "restart" in line] == [
        "needs a restart: audio.device, daemon.metrics, daemon.notifications"
    ]


def test_windows_are_followed_from_when_an_application_has_commands(engine, monkeypatch):
    monkeypatch.setattr(active_window, "why_no_active_window", lambda: "")
    window = active_window.ActiveWindow("Browser", "a page")
    monkeypatch.setattr(active_window, "active_window", lambda: window)

    async def reload() -> list[str]:
        daemon = new_daemon(engine)
        runner, found = daemon.dialogue.runner, []
        with_browser = Loaded(engine.config, engine, runner, {"browser": engine})
        loader = FakeLoader(with_browser, Loaded(engine.config, engine, runner))
        reloader = Reloader(loader, daemon, engine.config, ServiceManager(), print)
        following = asyncio.create_task(reloader.follow_window())
        await asyncio.sleep(0)
        found.append(daemon.ears.context)
        await reloader.reload()
        await until(lambda: daemon.ears.context)
        found.append(daemon.ears.context)
        await reloader.reload()
        found.append(daemon.ears.context)
        following.cancel()
        await daemon.close()
        return found

    assert run(reload()) == ["", "browser", ""]


def test_what_fails_in_the_background_is_told(caplog):
    async def fail() -> None:
        raise ConfigError("it is wrong")

    async def break_down() -> None:
        raise ZeroDivisionError("nothing to divide by")

    async def begin() -> None:
        await asyncio.wait([background.start(fail()), background.start(break_down())])

    run(begin())
    assert [record.getMessage() for record in caplog.records] == [
        "it is wrong",
        "unexpected ZeroDivisionError: nothing to divide by",
    ]


def test_commands_are_compiled_by_this_program_and_nothing_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "light.yaml").touch()
    argv: list[str] = []

    async def start(*arguments: str, **_: Any) -> None:
        argv.extend(arguments)
        raise OSError(1, "not now")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="not now"):
        run(CommandsSource(str(tmp_path / "light.yaml"), "en-us").compiled(print))
    assert argv[:5] == [sys.executable, "-P", "-m", "assistant", "train"]


def test_commands_are_compiled_again_when_what_they_are_compiled_with_changes(
    engine, tmp_path, monkeypatch
):
    class Compiler:
        returncode = 0

        async def communicate(self) -> tuple[bytes, bytes]:
            return b"", b""

    async def start(*arguments: str, **_: Any) -> Compiler:
        output = Path(arguments[arguments.index("-o") + 1])
        output.mkdir()
        (output / "config.yaml").touch()
        return Compiler()

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    commands = tmp_path / "light.yaml"
    commands.touch()
    bundle = tmp_path / "models/tiny"
    shutil.copytree(engine.acoustic.folder, bundle)
    source, told = CommandsSource(str(commands), str(bundle)), []
    run(source.compiled(told.append))
    for changed in (
        commands,
        bundle / "acoustic.safetensors",
        bundle / "posterior_bank.safetensors",
        bundle / "ways_heard.json",
        bundle.parent / "pronunciations/en-us.tsv",
    ):
        (bundle / "CARD.md").write_text(changed.name)  # of this it is not compiled
        folder = run(source.compiled(told.append))
        changed.parent.mkdir(exist_ok=True)
        with changed.open("a") as file:
            file.write("#")
        assert run(source.compiled(told.append)) != folder
    assert told == [f"compiling {commands}"] * 6


def test_a_bare_name_is_the_bundles_set_and_not_a_folder_called_so(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle = engine.acoustic.folder
    for name in ("agreeable", "mine"):
        (tmp_path / name / "rooms").mkdir(parents=True)
        (tmp_path / name / "rooms/light.yaml").touch()
    source = CommandsSource("agreeable", str(bundle))
    assert (source.files, run(source.compiled(print))) == ((), "agreeable")
    assert source.watched == (bundle / "commands/agreeable",)
    folder = CommandsSource("./agreeable", str(bundle))
    assert folder.files == (Path("agreeable/rooms/light.yaml"),)

    (tmp_path / "mine/door.yaml").touch()
    mine = CommandsSource("mine", str(bundle))
    assert mine.files == (Path("mine/door.yaml"), Path("mine/rooms/light.yaml"))


def test_an_application_has_commands_of_its_own_while_its_window_is_active(engine):
    strict = engine.with_config(replace(engine.config, commands="strict"))

    async def switch() -> list[Engine]:
        daemon = new_daemon(engine)
        runner = daemon.dialogue.runner
        daemon.use(Loaded(engine.config, engine, runner, {"browser": strict}))
        found = [daemon.ears.engine]
        for application in ("browser", "editor", "browser"):
            daemon.set_context(application)
            found.append(daemon.ears.engine)
        daemon.use(Loaded(engine.config, engine, runner, {}))
        found.append(daemon.ears.engine)
        await daemon.close()
        return found

    assert run(switch()) == [engine, strict, engine, strict, engine]


# ── the microphone ─────────────────────────────────────────────────────────────────────────


class FakeMicrophone:
    """Says three blocks, is lost and comes back, says two more, and then waits to be closed."""

    device, rate, overruns, reconnects = "fake", 16_000, 0, 0

    def __init__(self, notify: Callable[[str], None]) -> None:
        self.notify = notify
        self.closed = threading.Event()

    def __enter__(self) -> FakeMicrophone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed.set()

    def __iter__(self):
        yield from [np.zeros(320, np.float32)] * 3
        self.notify("microphone 'fake' was lost; waiting for it to come back")
        self.reconnects += 1
        self.notify("microphone 'fake' is back")
        yield from [np.zeros(320, np.float32)] * 2
        self.closed.wait(10)


def test_a_microphone_that_is_not_there_is_looked_for_and_one_that_is_lost_comes_back():
    async def plug() -> tuple[int, list[str], str]:
        attempts, blocks, lines = [], [], []

        def open_microphone(config: AudioConfig, notify: Callable[[str], None]) -> FakeMicrophone:
            attempts.append(config)
            if len(attempts) < 3:
                raise AudioDeviceError("no input device is connected")
            return FakeMicrophone(notify)

        thread = MicrophoneThread(
            AudioConfig(), blocks.append, lines.append, open_microphone, retry_s=0.01
        )
        await thread.opened()
        assert thread.problem == "no input device is connected"
        await until(lambda: len(blocks) == 5)
        description = thread.description
        await thread.close()
        return len(attempts), lines, description

    attempts, lines, description = run(plug())
    assert attempts == 3
    assert description == "fake, 16000 Hz"
    assert [line.split(";")[0] for line in lines] == [
        "no input device is connected",
        "listening to fake, 16000 Hz",
        "microphone 'fake' was lost",
        "microphone 'fake' is back",
    ]


def test_what_changes_while_it_is_read_for_the_start_is_read_again(engine, tmp_path):
    pytest.importorskip("watchfiles", reason="watchfiles is not installed (assistant[daemon])")
    policy = tmp_path / "policy.yaml"
    policy.write_text("intents: {}")
    told: list[str] = []
    config = replace(engine.config, commands="agreeable")
    loader = Loader(lambda: config, str(policy), False, (policy,), told.append)

    async def start() -> None:
        watched = loader.watched(config)
        waiting = await loader.watching(watched)
        policy.write_text("intents: {setLight: {log: 'now {state}'}}")
        await waiting
        daemon = new_daemon(engine)
        reloader = Reloader(loader, daemon, config, ServiceManager(), told.append)
        watch = asyncio.create_task(reloader.watch(watched, waiting))
        await until(lambda: reloader.counts["done"])
        assert "setLight" in daemon.dialogue.runner.policy.rules
        watch.cancel()
        await daemon.close()

    run(start())
    assert told == ["reloaded: 2 intents of agreeable"]


def test_without_the_library_that_watches_files_it_is_told(engine, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    told: list[str] = []
    loader = Loader(lambda: engine.config, None, False, (), told.append)
    assert run(loader.changed(frozenset({tmp_path}))) is False
    (line,) = told
    assert "[daemon]" in line
    assert line.endswith("assistant ctl reload reads them")


def test_the_networks_are_not_trained_while_they_are_shared(engine):
    assert not any(module.training for module in (engine.acoustic.model, engine.commands.model))


def test_of_daemons_that_start_at_once_on_a_dead_ones_socket_one_serves(tmp_path):
    path = tmp_path / "run" / "control.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    served: list[object] = []
    barrier = threading.Barrier(6)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    def start() -> None:
        async def begin() -> None:
            barrier.wait(10)
            listening = await serve(Address(path=path), hang_up, "it")
            served.append(listening)
            await asyncio.to_thread(barrier.wait, 10)
            await asyncio.sleep(0.05)  # who looked whether it lives was let in, and out again
            await listening.close()

        try:
            asyncio.run(begin())
        except UsageError as error:
            served.append(str(error))
            barrier.wait(10)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sum(not isinstance(one, str) for one in served) == 1
    assert sum("serves at" in one for one in served if isinstance(one, str)) == 5
    assert not path.exists()
