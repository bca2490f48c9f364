"""The daemon as a process: its start and end, its clients, and what goes wrong around it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from serve_support import BRIEF_COURSE, Client, Daemon, Systemd, eventually

from assistant.cli import main
from assistant.daemon import control, ctl
from assistant.daemon.control import ControlServer
from assistant.daemon.hub import Hub
from assistant.daemon.metrics import MetricsServer
from assistant.daemon.sockets import LINE_LIMIT, Address, runtime_folder, serve
from assistant.errors import UsageError

if sys.platform == "win32":
    pytest.skip("the daemon needs unix sockets", allow_module_level=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_bundle.build(tmp_path_factory.mktemp("tiny"))
    tiny_bundle.write_bank(folder, noisy=np.arange(tiny_bundle.BANKED) // 30 % 2 == 1)
    return folder


@dataclass
class Start:
    """What a client saw of the start."""

    first: Any
    refused: Any
    stages: list[str]


@pytest.fixture(scope="module")
def started(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Any]]:
    home = tmp_path_factory.mktemp("home")
    listening = ("--commands", "agreeable", "--metrics", "tcp://127.0.0.1:0")
    with Daemon(home, bundle, *listening) as daemon:
        with daemon.events("stage") as events:
            with daemon.connect() as client:
                first, refused = client.ask("status"), client.ask("say", text="dim to 1")
            stages: list[str] = []
            while "ready" not in stages:
                stages.append(events.event("stage")["stage"])
        yield daemon, Start(first, refused, stages)


@pytest.fixture
def daemon(started: tuple[Daemon, Start]) -> Daemon:
    """The one that most tests share; it runs, and nothing was asked or done."""
    running, _ = started
    assert running.process.poll() is None, running.said
    for made in (running.home / "made").iterdir():
        made.unlink()
    return running


@pytest.fixture
def here(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The shared daemon, with this process among its users."""
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, daemon.environment[name])
    return daemon


# ── start ──────────────────────────────────────────────────────────────────────────────────


def test_the_start_is_told_by_stages_and_status_is_answered_meanwhile(
    started: tuple[Daemon, Start],
) -> None:
    daemon, start = started
    assert start.first["ok"]
    assert start.first["stage"] in ("sockets", "libraries")
    assert start.first["process"] == daemon.process.pid
    assert start.refused["error"].startswith("still starting (")
    assert start.stages[-3:] == ["models", "servers", "ready"]
    ready = daemon.told("ready after")
    assert all(f"{stage} " in ready for stage in ("sockets", "libraries", "models", "servers"))
    status = daemon.ask("status")
    assert (status["stage"], status["commands"], status["bundle"]) == ("ready", "agreeable", "tiny")
    assert set(status["stages_s"]) == {"sockets", "libraries", "models", "servers"}


def test_sockets_are_their_owners_alone(daemon: Daemon) -> None:
    folder = daemon.control.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    sockets = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert sockets == {"control.sock": 0o600, "wyoming.sock": 0o600}


def test_a_second_daemon_says_that_there_is_one_and_ends(daemon: Daemon, bundle: Path) -> None:
    second = subprocess.run(
        daemon.argv(bundle),
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    last = second.stderr.splitlines()[-1]
    assert last.startswith(f"error: an assistant serves at {daemon.control} already; ")
    assert daemon.ask("status")["stage"] == "ready"


def test_a_file_in_the_sockets_place_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="is no socket; remove it"):
        asyncio.run(serve(Address(path=path), lambda *_: asyncio.sleep(0), "the control socket"))
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_server_that_ends_leaves_the_socket_of_another_alone(tmp_path: Path) -> None:
    address = Address(path=tmp_path / "control.sock")

    async def take_over() -> bool:
        first = await serve(address, lambda *_: asyncio.sleep(0), "the first")
        (tmp_path / "control.sock").unlink()
        second = await serve(address, lambda *_: asyncio.sleep(0), "the second")
        await first.close()
        left = (tmp_path / "control.sock").exists()
        await second.close()
        return left

    assert asyncio.run(take_over())
    assert not (tmp_path / "control.sock").exists()


# ── requests ───────────────────────────────────────────────────────────────────────────────


def test_what_is_said_is_done_and_taken_back(daemon: Daemon) -> None:
    made = daemon.home / "made/on"
    with daemon.connect() as client:
        said = client.ask("say", id="a", text="Turn the light on!")
        assert (said["id"], said["intent"], said["slots"]) == ("a", "setLight", {"state": "on"})
        assert said["action"]["status"] == "done"
        assert made.exists()
        assert client.ask("status")["undo"] == f"rm {made}"
        assert client.ask("answer", answer="undo")["status"] == "undone"
        assert not made.exists()
        assert client.ask("answer", answer="undo")["status"] == "no action"


def test_a_dry_say_does_nothing(daemon: Daemon) -> None:
    said = daemon.ask("say", text="turn the light on", act=False)
    assert said["ok"]
    assert "action" not in said
    assert not (daemon.home / "made/on").exists()


@pytest.mark.parametrize(("answer", "done"), [("yes", True), ("no", False)])
def test_what_is_asked_is_done_after_a_yes_alone(daemon: Daemon, answer: str, done: bool) -> None:
    with daemon.connect() as client:
        said = client.ask("say", text="turn the light off")
        assert said["action"]["status"] == "needs confirmation"
        assert client.ask("status")["question"] == said["action"]["description"]
        assert client.ask("answer", answer=answer, question="another")["status"] == "no action"
        status = client.ask("answer", answer=answer)["status"]
        assert status == ("done" if done else "refused")
    assert (daemon.home / "made/off").exists() is done


def test_listening_is_changed_and_told(daemon: Daemon) -> None:
    with daemon.connect() as client:
        assert client.ask("mute", on=True) == {"ok": True, "muted": True}
        assert client.ask("status")["muted"]
        assert client.ask("mute") == {"ok": True, "muted": False}
        assert client.ask("mode", mode="push-to-talk")["mode"] == "push-to-talk"
        assert client.ask("status")["mode"] == "push-to-talk"
        assert client.ask("mode", mode="always")["ok"]
        assert "no wake phrase" in client.ask("mode", mode="wake")["error"]
        assert "--no-microphone" in client.ask("talk", do="start")["error"]


def test_commands_are_listed_with_examples_and_actions(daemon: Daemon) -> None:
    answer = daemon.ask("commands")
    listed = {one["intent"]: one for one in answer["intents"]}
    assert set(listed) == {"setLight", "setBrightness"}
    assert listed["setBrightness"]["example"].startswith("dim to ")
    assert len(listed["setLight"]["actions"]) == 2


def test_events_follow_on_the_connection_that_subscribed_in_order(daemon: Daemon) -> None:
    with daemon.events("state", "action") as client:
        for on in (b"true", b"false"):
            client.send(b'{"type": "mute", "on": %s}\n' % on)
        daemon.ask("say", text="turn the light on")
        lines = [client.read() for _ in range(5)]
        assert [one["muted"] for one in lines if "ok" in one] == [True, False]
        told = [one for one in lines if "event" in one]
        assert [one["event"] for one in told] == ["state", "state", "action"]
        assert [one["muted"] for one in told[:2]] == [True, False]
        assert (told[2]["status"], told[2]["source"]) == ("done", "text")
        assert "already" in client.ask("subscribe")["error"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"nonsense", "not a line of JSON"),
        (b"\xff\xfe", "not a line of JSON"),
        (b"[" * 60_000, "not a line of JSON"),
        (b"1" * 60_000, "not a line of JSON"),
        (b"[]", 'expected an object with "type"; "status" is one'),
        (b'{"type": 5}', 'expected an object with "type"; "status" is one'),
        (b'{"type": "sing"}', "unknown request 'sing'; one of: status, subscribe, talk, mute, "),
        (b'{"type": "\\ud800"}', "unknown request '\ud800'; one of: "),
        (b'{"type": "status", "all": true}', "unknown key 'all'; it takes none"),
        (b'{"type": "stop", "now": 1}', "unknown key 'now'; it takes none"),
        (b'{"type": "mute", "off": true}', "unknown key 'off'; one of: on"),
        (b'{"type": "mute", "on": 1}', "on: expected bool, found 1"),
        (b'{"type": "mode"}', "mode: expected str, found None"),
        (b'{"type": "say", "text": ["a"]}', "text: expected str, found ['a']"),
        (b'{"type": "say", "text": ""}', "text: a sentence of at most 1000 characters"),
        (b'{"type": "say", "text": "sing"}', "'sing' is none of the sentences; "),
        (b'{"type": "say", "text": "\\ud800 \\u0000"}', "'\ud800 \0' is none of the sentences; "),
        (b'{"type": "answer", "answer": "maybe"}', "answer: found 'maybe'; one of: yes, no, undo"),
        (b'{"type": "subscribe", "events": "action"}', "events: expected list, found 'action'"),
        (b'{"type": "subscribe", "events": [["action"]]}', "events: a list of some of "),
    ],
)
def test_what_is_no_request_is_told_in_a_line_and_the_connection_goes_on(
    daemon: Daemon, line: bytes, error: str
) -> None:
    with daemon.connect() as client:
        client.send(line + b"\n")
        answer = client.read()
        assert answer["ok"] is False
        assert answer["error"].startswith(error)
        assert client.ask("status")["ok"]


def test_a_line_without_end_is_refused(daemon: Daemon) -> None:
    with daemon.connect() as client:
        with contextlib.suppress(OSError):  # it need not read on
            client.send(b"x" * 3 * LINE_LIMIT)
        with contextlib.suppress(ConnectionResetError):
            assert client.read()["error"] == f"a line has {LINE_LIMIT} bytes at most"
            assert client.read() is None
    assert daemon.ask("status")["ok"]


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
REQUESTS = st.fixed_dictionaries(
    {"type": st.sampled_from(("status", "talk", "mute", "mode", "say", "answer", "last", "hello"))},
    optional={
        "id": ODD,
        **dict.fromkeys(("do", "on", "mode", "text", "act", "answer", "question", "events"), ODD),
    },
).map(lambda request: json.dumps(request).encode())


@given(st.lists(st.binary(max_size=200) | REQUESTS, max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_daemon_answers_others(daemon: Daemon, lines: list[bytes]) -> None:
    with daemon.connect() as client:
        client.send(b"\n".join(lines))
        client.socket.shutdown(socket.SHUT_WR)
        while (answer := client.read()) is not None:
            assert answer["ok"] or "\n" not in answer["error"]
    assert daemon.ask("status")["stage"] == "ready"


def test_more_clients_than_allowed_are_refused_until_one_goes(daemon: Daemon) -> None:
    def connected() -> Client | None:
        client = daemon.connect()
        if client.ask("status")["ok"]:
            return client
        client.__exit__(None, None, None)
        return None

    with contextlib.ExitStack() as clients:
        opened = [eventually(connected, "a place is free") for _ in range(control.MOST_CLIENTS)]
        for client in opened:
            clients.enter_context(client)
        with daemon.connect() as one_more:
            assert one_more.read() == {"ok": False, "error": "32 clients are connected; close one"}
            assert one_more.read() is None
        opened[0].__exit__(None, None, None)
        clients.enter_context(eventually(connected, "a place is free"))


def test_a_subscriber_that_never_reads_loses_its_events_and_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy machine may keep this process waiting: whoever reads must not be cut off.
    monkeypatch.setattr(control, "WRITE_TIMEOUT_S", 1.0)
    path = tmp_path / "control.sock"

    class Nothing:
        async def handle(self, kind: str, values: object) -> dict[str, Any]:
            return {}

    async def run() -> tuple[int, int, list[str], list[int]]:
        hub = Hub()
        server = ControlServer(Nothing(), hub)
        listening = await server.start(Address(path=path))
        subscribe = b'{"type": "subscribe", "events": ["state"]}\n'
        reader, writer = await asyncio.open_unix_connection(path)
        _, deaf = await asyncio.open_unix_connection(path, limit=1)
        for one in (writer, deaf):
            one.write(subscribe)
        await reader.readline()
        heard: list[int] = []
        clients: list[str] = []
        for number in range(4000):
            hub.publish("state", number=number, text="x" * 1000)
            heard.append(json.loads(await reader.readline())["number"])
        for _ in range(3000):
            if server.clients == 1:
                break
            await asyncio.sleep(0.01)
        writer.write(b'{"type": "anything"}\n')
        clients.append((await reader.readline()).decode())
        left = server.clients
        for one in (writer, deaf):
            one.close()
        await listening.close()
        await server.close()
        return hub.dropped, left, clients, heard

    dropped, left, answers, heard = asyncio.run(run())
    assert dropped > 0
    assert left == 1
    assert json.loads(answers[0]) == {"ok": True}
    assert heard == list(range(4000))


# ── assistant ctl ──────────────────────────────────────────────────────────────────────────


def test_ctl_loads_nothing_that_takes_long(here: Daemon) -> None:
    script = (
        "import sys; sys.argv = ['assistant', 'ctl', 'status']\n"
        "from assistant.__main__ import main\n"
        "code = main()\n"
        "slow = {'torch', 'numpy', 'typer', 'rich', 'yaml', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {slow}' if slow else code)\n"
    )
    argv = (sys.executable, "-c", script)
    ran = subprocess.run(
        argv, env=here.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("stage: ready\n")


def test_ctl_asks_and_shows(here: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*arguments: str) -> str:
        assert ctl.main(arguments) == 0
        return capsys.readouterr().out

    made = here.home / "made/on"
    assert shown("say", "turn the light", "on") == (
        f"setLight (state on)\naction: done: touch {made}\n"
    )
    assert shown("undo") == f"status: undone\ndescription: rm {made}\n"
    assert shown("say", "--dry", "turn the light off") == "setLight (state off)\n"
    assert shown("mute", "on") == "muted: yes\n"
    assert shown("mute") == "muted: no\n"
    assert shown("mode", "always") == "mode: always\n"
    assert "setBrightness: dim to " in shown("commands")
    assert json.loads(shown("--json", "reload"))["intents"] == 2
    assert main(["ctl", "status"]) == 0


def test_ctl_waits_for_a_reload_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ctl, "TIMEOUT_S", 0.05)
    compiling = threading.Event()

    class Compiling:
        async def handle(self, kind: str, values: object) -> dict[str, Any]:
            await asyncio.to_thread(compiling.wait, 60)
            return {"intents": 2}

    async def ask() -> list[int]:
        listening = await ControlServer(Compiling(), Hub()).start(Address(path=tmp_path / "c.sock"))
        named = ["--socket", str(tmp_path / "c.sock")]
        codes = [await asyncio.to_thread(ctl.main, [*named, "last"])]  # too late
        reload = asyncio.create_task(asyncio.to_thread(ctl.main, [*named, "reload"]))
        await asyncio.wait((reload,), timeout=0.2)
        compiling.set()
        codes.append(await reload)
        await listening.close()
        return codes

    assert asyncio.run(ask()) == [3, 0]
    assert "intents: 2" in capsys.readouterr().out


def test_ctl_says_what_cannot_be_done(here: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["say", "sing"]) == 1
    assert capsys.readouterr().err.startswith("error: 'sing' is none of the sentences; ")
    assert ctl.main(["last"]) == 1
    assert capsys.readouterr().err == "error: nothing was heard yet\n"
    assert ctl.main(["events", "songs"]) == 1
    assert capsys.readouterr().err.startswith("error: events: a list of some of ")
    for misuse in (["sing"], [], ["mute", "perhaps"]):
        with pytest.raises(SystemExit) as ended:
            ctl.main(misuse)
        assert ended.value.code == 2


def test_ctl_says_how_to_start_a_daemon_where_none_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert ctl.main(["status"]) == 3
    expected = f"error: no assistant serves at {tmp_path}/assistant/control.sock; start one with "
    assert capsys.readouterr().err.startswith(expected)
    with socket.socket(socket.AF_UNIX) as dead:  # as a daemon leaves it that was killed
        dead.bind(str(tmp_path / "dead.sock"))
    assert ctl.main(["--socket", str(tmp_path / "dead.sock"), "status"]) == 3
    assert "start one with 'assistant serve'" in capsys.readouterr().err
    assert ctl.main(["--socket", "nowhere", "status"]) == 3
    assert "write /path/of.sock or host:port" in capsys.readouterr().err


def test_ctl_looks_where_the_daemon_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("/run/user/1", "", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert ctl.default_socket() == str(runtime_folder() / "control.sock")
    monkeypatch.setenv("ASSISTANT_SOCKET", "/elsewhere.sock")
    assert ctl.default_socket() == "/elsewhere.sock"


def test_ctl_says_where_something_else_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "other.sock"))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert ctl.main(["--socket", str(tmp_path / "other.sock"), "status"]) == 3
        thread.join()
    assert capsys.readouterr().err.endswith("other.sock speaks another protocol\n")


def test_ctl_events_end_quietly_with_their_reader(here: Daemon) -> None:
    eventually(lambda: measured(here)["subscribers"][""] == 0, "nobody is told events")
    argv = (sys.executable, "-m", "assistant", "ctl", "events", "state")
    with subprocess.Popen(
        argv, env=here.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as events:
        assert events.stdout is not None
        assert events.stderr is not None
        eventually(lambda: measured(here)["subscribers"][""], "it has subscribed")
        here.ask("mute", on=True)
        assert json.loads(events.stdout.readline())["muted"]
        events.stdout.close()
        here.ask("mute", on=False)
        assert events.wait(60) == 0
        assert events.stderr.read() == b""


# ── over TCP, and in JSON ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def remote(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with its control socket on TCP, a log in JSON and a journal that takes nothing."""
    home = tmp_path_factory.mktemp("remote")
    (home / "state/assistant/journal.jsonl").mkdir(parents=True)
    options = ("--commands", "agreeable", "--control", "tcp://127.0.0.1:0", "--log-format", "json")
    with Daemon(home, bundle, *options) as daemon:
        daemon.wait_until_ready()
        yield daemon


@pytest.mark.parametrize(
    "first",
    [
        b'{"type": "status"}\n',
        b'{"type": "hello", "token": "guess"}\n',
        b'{"type": "hello", "token": "\\ud800"}\n',
        b'{"type": "hello", "token": null}\n',
        b"[" * 60_000 + b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\n",
    ],
)
def test_over_tcp_nobody_is_heard_without_the_token(remote: Daemon, first: bytes) -> None:
    with Client(("127.0.0.1", remote.port("control socket"))) as client:
        client.send(first)
        assert client.read()["error"] == 'say {"type": "hello", "token": "…"} first'
        with contextlib.suppress(ConnectionResetError):
            client.send(b'{"type": "stop"}\n')
            assert client.read() is None
    assert remote.process.poll() is None


def test_over_tcp_whoever_says_the_token_is_heard(
    remote: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = remote.home / "state/assistant/control.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = path.read_text(encoding="ascii")
    address = f"127.0.0.1:{remote.port('control socket')}"
    with Client(("127.0.0.1", remote.port("control socket"))) as client:
        assert client.ask("hello", token=token) == {"ok": True}
        assert client.ask("status")["stage"] == "ready"
    monkeypatch.setenv("ASSISTANT_TOKEN", token)
    assert ctl.main(["--socket", f"tcp://{address}", "say", "turn the light on"]) == 0
    assert (remote.home / "made/on").exists()  # though the journal cannot be written
    monkeypatch.setenv("ASSISTANT_TOKEN", "guess")
    assert ctl.main(["--socket", address, "status"]) == 3
    assert "wants its token in $ASSISTANT_TOKEN" in capsys.readouterr().err


def test_a_log_in_json_is_json_in_every_line(remote: Daemon) -> None:
    remote.process.send_signal(signal.SIGHUP)
    remote.told("reloaded: 2 intents")
    lines = [json.loads(line) for line in remote.said.splitlines()]
    assert all(set(line) >= {"when", "level", "logger", "message"} for line in lines)
    assert "ready after" in " ".join(line["message"] for line in lines)


# ── metrics and health ─────────────────────────────────────────────────────────────────────


def fetched(daemon: Daemon, path: str, method: str = "GET") -> tuple[int, bytes]:
    port = daemon.port("metrics and health")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request(method, path)
        response = client.getresponse()
        return response.status, response.read()


def measured(daemon: Daemon) -> dict[str, dict[str, float]]:
    """The metrics: name, value of the only label (or nothing), number."""
    status, text = fetched(daemon, "/metrics")
    assert status == 200
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            found.setdefault(sample.name.removeprefix("assistant_"), {})[label] = sample.value
    return found


def test_metrics_count_what_happens(daemon: Daemon) -> None:
    before = measured(daemon)
    daemon.ask("say", text="turn the light on")
    daemon.ask("sing")
    with daemon.events("action"):
        after = measured(daemon)
    assert after["ready"][""] == 1
    assert set(after["start_seconds"]) == {"sockets", "libraries", "models", "servers"}
    done = before.get("actions_total", {}).get("done", 0)
    assert after["actions_total"]["done"] == done + 1
    assert after["clients"]["control"] >= 1
    assert after["subscribers"][""] >= 1
    assert after["control_refused_total"][""] > before["control_refused_total"][""]
    assert after["memory_bytes"][""] > 1e7
    assert after["log_dropped_total"][""] == after["journal_dropped_total"][""] == 0


def test_health_is_told_and_other_pages_are_not_there(daemon: Daemon) -> None:
    status, text = fetched(daemon, "/health")
    assert status == 200
    assert json.loads(text) == {"ok": True, "stage": "ready", "microphone": "none"}
    assert fetched(daemon, "/elsewhere")[0] == 404
    assert fetched(daemon, "/metrics", "POST")[0] == 405
    assert fetched(daemon, "/health", "HEAD") == (200, b"")


def test_other_machines_reach_the_metrics_only_where_that_is_asked_for() -> None:
    async def start(**allowed: bool) -> None:
        server = MetricsServer(lambda: iter(()), dict)
        await (await server.start(Address(host="0.0.0.0"), **allowed)).close()

    with pytest.raises(UsageError, match=r"tcp://0\.0\.0\.0:0: .*allow-network"):
        asyncio.run(start())
    asyncio.run(start(allow_network=True))


@pytest.mark.parametrize("sent", [b"\0\xff\r\n\r\n", b"x" * 200_000, b"GET\r\n\r\n", b""])
def test_what_is_no_request_over_http_disturbs_nobody(daemon: Daemon, sent: bytes) -> None:
    port = daemon.port("metrics and health")
    client = socket.create_connection(("127.0.0.1", port), 60)
    with client, contextlib.suppress(OSError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        client.recv(1000)
    assert fetched(daemon, "/health")[0] == 200


# ── reloads ────────────────────────────────────────────────────────────────────────────────


def test_a_policy_that_changes_is_taken_up_and_a_wrong_one_is_not(daemon: Daemon) -> None:
    with daemon.events("reloaded", "reload-failed") as events:
        try:
            daemon.write_policy("intents: {setLight: {log: 'now {state}'}}")
            assert events.read() == {"event": "reloaded", "commands": "agreeable", "intents": 2}
            said = daemon.ask("say", text="turn the light on")
            assert said["action"]["description"] == "now on"

            daemon.write_policy("intents: {setLight: {sing: loudly}}")
            failed = events.read()
            assert failed["event"] == "reload-failed"
            assert failed["reason"].startswith(f"{daemon.policy}: setLight: ")
            daemon.told(f"the old commands stay: {failed['reason']}")
            said = daemon.ask("say", text="turn the light on")
            assert said["action"]["description"] == "now on"
            assert daemon.ask("reload")["error"] == failed["reason"]
            assert events.read() == failed

            for word in ("then", "at last"):  # as editors do: another file in the place
                other = daemon.home / "other"
                other.write_text(f"intents: {{setLight: {{log: '{word}'}}}}", encoding="utf-8")
                other.rename(daemon.policy)
                assert events.read()["event"] == "reloaded"
                said = daemon.ask("say", text="turn the light on")
                assert said["action"]["description"] == word

            daemon.policy.unlink()
            assert str(daemon.policy) in events.read()["reason"]
        finally:
            daemon.write_policy()
        assert events.read()["event"] == "reloaded"


def test_a_hang_up_is_a_reload(daemon: Daemon) -> None:
    with daemon.events("reloaded") as events:
        daemon.process.send_signal(signal.SIGHUP)
        assert events.read()["intents"] == 2
    assert measured(daemon)["reloads_total"]["done"] >= 1


# ── command files, and what a killed daemon leaves behind ──────────────────────────────────


@dataclass
class Story:
    """A daemon of command files that is killed, and the one that comes after.

    failed: the event of a mistake in a command file. after: what could be said then. left: what lay
    in the runtime folder of the killed one.
    """

    home: Path
    first: str
    failed: Any
    after: Any
    mended: Any
    left: set[str]
    acting: int
    second: Daemon
    systemd: Systemd


@pytest.fixture(scope="module")
def story(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("story")
    (home / "sitecustomize.py").write_text(BRIEF_COURSE, encoding="utf-8")
    file = home / "commands/light.yaml"
    file.parent.mkdir()
    file.write_text(tiny_bundle.COMMANDS, encoding="utf-8")
    systemd = Systemd(home / "notify")
    variables = {"PYTHONPATH": str(home), **systemd.variables}
    options = ("--commands", str(file.parent))
    try:
        with Daemon(home, bundle, *options, variables=variables) as daemon:
            daemon.wait_until_ready()
            with daemon.events("reload-failed", "reloaded") as events:
                file.write_text(tiny_bundle.COMMANDS.replace("{level}", "{lever}"), "utf-8")
                failed, after = events.read(), daemon.ask("commands")
                file.write_text(tiny_bundle.COMMANDS, encoding="utf-8")
                mended = events.read()
            with daemon.connect() as client:
                client.send(b'{"type": "say", "text": "dim to 2"}\n')
                eventually((home / "made/begun").exists, "it is done")
                daemon.kill()
            left = {path.name for path in daemon.control.parent.iterdir()}
            said = daemon.said
        systemd.messages.clear()
        with Daemon(home, bundle, *options, variables=variables) as second:
            second.wait_until_ready()
            acting = len((home / "made/begun").read_text(encoding="utf-8").splitlines())
            yield Story(home, said, failed, after, mended, left, acting, second, systemd)
    finally:
        systemd.close()


def test_command_files_are_compiled_and_found_again(story: Story) -> None:
    assert story.first.count("compiling ") == 2  # at the start, and the one with a mistake
    assert "compiling" not in story.second.said
    assert len(list((story.home / "cache/assistant/commands").iterdir())) == 1
    status = story.second.ask("status")
    assert Path(status["commands"]).parent == story.home / "cache/assistant/commands"


def test_a_mistake_in_a_command_file_is_told_with_its_place_and_changes_nothing(
    story: Story,
) -> None:
    assert story.failed["event"] == "reload-failed"
    assert f"{story.home}/commands/light.yaml:7: " in story.failed["reason"]
    assert "lever" in story.failed["reason"]
    assert f"the old commands stay: {story.failed['reason']}" in story.first
    assert {one["intent"] for one in story.after["intents"]} == {"setBrightness", "setLight"}
    assert story.mended["event"] == "reloaded"


def test_sockets_that_a_killed_daemon_left_are_replaced(story: Story) -> None:
    assert story.left == {"control.sock", "wyoming.sock"}
    assert story.second.ask("status")["stage"] == "ready"


def test_what_a_killed_daemon_had_begun_is_told_and_not_done_again(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story.acting == 1
    monkeypatch.setenv("XDG_STATE_HOME", str(story.home / "state"))
    assert main(["history", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["intent"], first["status"]) == ("setBrightness", "interrupted")


def test_an_action_that_runs_at_the_end_is_done_and_recorded(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon, begun = story.second, story.home / "made/begun"
    eventually(lambda: "WATCHDOG=1" in story.systemd.messages, "a sign of life")
    begun.unlink()
    (story.home / "made/ended").unlink(missing_ok=True)
    with daemon.connect() as client, daemon.events("stopping") as events:
        client.send(b'{"type": "say", "text": "dim to 3"}\n')
        eventually(begun.exists, "it is done")
        daemon.process.send_signal(signal.SIGTERM)
        assert events.read() == {"event": "stopping"}
        assert client.read()["action"]["status"] == "done"
    assert daemon.end() == 0
    assert (story.home / "made/ended").exists()
    assert not list(daemon.control.parent.iterdir())
    monkeypatch.setenv("XDG_STATE_HOME", str(story.home / "state"))
    assert main(["history", "--json", "--last", "1"]) == 0
    last = json.loads(capsys.readouterr().out)
    assert (last["status"], last["text"], last["source"]) == ("done", "dim to three", "text")
    messages = story.systemd.messages
    assert any(one.startswith("READY=1\nSTATUS=2 intents") for one in messages)
    assert "STATUS=models" in messages
    assert "STOPPING=1" in messages
    assert not [one for one in messages[messages.index("STOPPING=1") :] if "READY" in one]


# ── nothing can be written ─────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_daemon_that_can_write_nothing_acts_and_counts_what_is_lost(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file in the folder's place", encoding="utf-8")
    port = free_port()
    options = ("--commands", "agreeable", "--metrics", f"tcp://127.0.0.1:{port}")
    with Daemon(tmp_path, bundle, *options, log=Path("/dev/full")) as daemon:
        eventually(lambda: daemon.ask("status")["stage"] == "ready", "it is ready")
        assert daemon.ask("say", text="turn the light on")["action"]["status"] == "done"
        assert (tmp_path / "made/on").exists()
        daemon.port = lambda what: port  # type: ignore[method-assign]
        found = measured(daemon)
        assert found["journal_dropped_total"][""] == 2
        assert found["log_dropped_total"][""] >= 5
        assert daemon.ask("stop") == {"ok": True}
        assert daemon.process.wait(60) == 0


def test_a_log_that_nobody_reads_makes_nobody_wait(bundle: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 4096)
    options = ("--commands", "agreeable", "--log-format", "json")
    with Daemon(tmp_path, bundle, *options, log=pipe) as daemon:
        eventually(lambda: daemon.ask("status")["stage"] == "ready", "it is ready")
        with daemon.connect() as client:
            for _ in range(40):  # each a line or two: more than the pipe takes
                assert client.ask("say", text="turn the light on")["ok"]
        assert daemon.end() == 0
    assert len(os.read(reading, 1 << 16)) > 3000, "it was not full"
    os.close(reading)


def test_a_start_is_called_off_by_the_end(bundle: Path, tmp_path: Path) -> None:
    with Daemon(tmp_path, bundle, "--commands", "agreeable") as daemon:
        with daemon.connect() as client:
            assert client.ask("stop") == {"ok": True}
        assert daemon.process.wait(60) == 0
        assert "ready" not in daemon.said


def test_without_the_wyoming_library_the_rest_is_served_unless_it_is_asked_for(
    bundle: Path, tmp_path: Path
) -> None:
    absent = "import sys; sys.modules['wyoming'] = None"
    (tmp_path / "sitecustomize.py").write_text(absent, encoding="utf-8")
    variables = {"PYTHONPATH": str(tmp_path)}
    with Daemon(tmp_path, bundle, "--commands", "agreeable", variables=variables) as daemon:
        daemon.wait_until_ready()
        assert "no wyoming: the library 'wyoming' is missing; " in daemon.said
        assert {path.name for path in daemon.control.parent.iterdir()} == {"control.sock"}
    asked = ("--commands", "nowhere", "--uri", "tcp://127.0.0.1:0")  # told before they are read
    second = Daemon(tmp_path, bundle, *asked, variables=variables)
    assert second.process.wait(60) == 2
    assert "error: the Wyoming server cannot be opened: the library" in second.said


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
