"""What tests of the daemon as a process share: a daemon in folders of its own, and its clients."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0
"""Seconds after which a test fails instead of waiting; compiling included."""

POLICY = """\
intents:
  setLight:
    - when: {{state: "on"}}
      run: [touch, "{folder}/on"]
      undo: {{run: [rm, "{folder}/on"]}}
    - when: {{state: "off"}}
      confirm: always
      run: [touch, "{folder}/off"]
  setBrightness:
    run: [sh, -c, "echo >> {folder}/begun; sleep 1; echo >> {folder}/ended"]
"""
"""On at once, off after a yes; dimming takes a second."""

BRIEF_COURSE = """\
import sys
if "train" in sys.orig_argv:
    import functools
    from assistant.training import intent_trainer as trainer
    trainer.IntentTrainingConfig = functools.partial(
        trainer.IntentTrainingConfig, sentences=40, epochs=1, calibration=30
    )
"""
"""A sitecustomize.py: `assistant train` is the real one, and learns for a second instead of 30."""

FORBIDDEN = ("Traceback", "Task was destroyed", "never retrieved", "Unhandled", "Exception ignored")
"""What no daemon says, whatever is done to it."""


def eventually(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns once it is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)
    return found


class Client:
    """A connection to a control socket."""

    def __init__(self, address: Path | tuple[str, int]) -> None:
        family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.connect(str(address) if isinstance(address, Path) else address)
        except BaseException:
            self.socket.close()
            raise
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines.close()
        self.socket.close()

    def send(self, line: bytes) -> None:
        self.socket.sendall(line)

    def read(self) -> Any:
        """The next line; None at the end."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def ask(self, kind: str, **values: Any) -> Any:
        self.send(json.dumps({"type": kind, **values}).encode() + b"\n")
        return self.read()

    def event(self, *names: str) -> Any:
        """The next event of one of the names."""
        while (event := self.read())["event"] not in names:
            pass
        return event


class Daemon:
    """`assistant serve --no-microphone`, in folders below `home`; what it logs is in a file."""

    def __init__(
        self,
        home: Path,
        bundle: Path,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.home = home
        self.control = home / "run/assistant/control.sock"
        self.policy = home / "policy.yaml"
        self.log = log or home / f"log-{time.monotonic_ns()}"
        self.environment = environment(home) | dict(variables or {})
        for name in ("run", "made"):
            (home / name).mkdir(exist_ok=True)
        if not self.policy.exists():
            self.write_policy()
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                self.argv(bundle, *arguments), env=self.environment, stderr=errors
            )

    def argv(self, bundle: Path, *arguments: str) -> Sequence[str]:
        named = ("--bundle", str(bundle), "--actions", str(self.policy))
        return (sys.executable, "-m", "assistant", "serve", "--no-microphone", *named, *arguments)

    def write_policy(self, text: str = "") -> None:
        self.policy.write_text(text or POLICY.format(folder=self.home / "made"), encoding="utf-8")

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def told(self, what: str) -> str:
        """The line of the log with `what` in it, once there is one."""

        def line() -> str:
            assert self.process.poll() is None or what in self.said, self.said
            return next((line for line in self.said.splitlines() if what in line), "")

        return str(eventually(line, f"'{what}' is said"))

    def port(self, what: str) -> int:
        """The one that was given to a server."""
        return int(self.told(what).rpartition("127.0.0.1:")[2].split(";")[0].strip('"} '))

    def connect(self) -> Client:
        """A client, as soon as there is a socket."""

        def connected() -> Client | None:
            assert self.process.poll() is None, self.said
            with contextlib.suppress(OSError):
                return Client(self.control)
            return None

        return eventually(connected, "the control socket is there")  # type: ignore[no-any-return]

    def wait_until_ready(self) -> None:
        self.told("ready after")

    def ask(self, kind: str, **values: Any) -> Any:
        with self.connect() as client:
            return client.ask(kind, **values)

    @contextlib.contextmanager
    def events(self, *names: str) -> Iterator[Client]:
        with self.connect() as client:
            assert client.ask("subscribe", events=list(names))["ok"]
            yield client

    def kill(self) -> None:
        """As a machine that loses its power."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        code = self.end()
        if kind is None:
            assert code in (0, -signal.SIGKILL), self.said if self.log.is_file() else code
            if self.log.is_file():
                assert not [word for word in FORBIDDEN if word in self.said], self.said
            if code == 0:
                assert not list((self.home / "run/assistant").iterdir()), "sockets are left behind"


class Systemd:
    """What hears the daemon as systemd would, on a thread: nobody may have to wait for it."""

    def __init__(self, path: Path) -> None:
        self.messages: list[str] = []
        self.variables = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "300000"}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while (message := self._socket.recv(4096).decode()) != "end":
            self.messages.append(message)


def environment(home: Path) -> dict[str, str]:
    """Variables of a user who lives below `home`."""
    folders = {"RUNTIME_DIR": "run", "STATE_HOME": "state", "CACHE_HOME": "cache"}
    others = {name: value for name, value in os.environ.items() if "SOCKET" not in name}
    return others | {f"XDG_{name}": str(home / folder) for name, folder in folders.items()}
