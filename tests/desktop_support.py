"""What the tests of the desktop share: a session bus and an X server of the test's own.

Each is a real one, started on demand and ended with the test; where the program is not installed
the test is skipped, and says so.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

Result = TypeVar("Result")

DESKTOP_VARIABLES = (
    *("DISPLAY", "WAYLAND_DISPLAY", "SWAYSOCK", "HYPRLAND_INSTANCE_SIGNATURE"),
    *("XDG_CURRENT_DESKTOP", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XAUTHORITY"),
)


@pytest.fixture(name="no_desktop")
def no_desktop_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the assistant was started outside any session."""
    for name in DESKTOP_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(name="session_bus")
def session_bus_fixture(no_desktop: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a private bus, which is the session's for the time of the test."""
    with private_bus() as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address


@contextmanager
def private_bus(*arguments: str) -> Iterator[str]:
    need("dbus-daemon")
    pytest.importorskip("dbus_fast", reason="dbus-fast is not installed (assistant[desktop])")
    command = ["dbus-daemon", "--session", "--print-address", "--nofork", "--nosyslog", *arguments]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as daemon:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()


@pytest.fixture(name="x_server")
def x_server_fixture(no_desktop: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an X display without a screen, which is the session's."""
    need("Xvfb")
    reading, writing = os.pipe()
    arguments = [
        "-displayfd",
        str(writing),
        "-screen",
        "0",
        "640x480x24",
        "-nolisten",
        "tcp",
        "-noreset",
    ]
    server = subprocess.Popen(
        ["Xvfb", *arguments], pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    os.close(writing)
    with ended(server), os.fdopen(reading, encoding="ascii") as chosen:
        display = f":{chosen.readline().strip()}"
        assert len(display) > 1, "Xvfb did not start"
        monkeypatch.setenv("DISPLAY", display)
        yield display


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """The process, which is ended at the end."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


class Loop:
    """An event loop in a thread of its own, for peers that answer while the test waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async def within() -> Result:
            return await asyncio.wait_for(work(), 10)

        return asyncio.run_coroutine_threadsafe(within(), self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(name="loop")
def loop_fixture() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@contextmanager
def on_the_bus(loop: Loop, address: str) -> Iterator[Any]:
    """A connection of a peer of the test's own."""
    aio = pytest.importorskip("dbus_fast.aio", reason="dbus-fast is not installed")

    async def connect() -> Any:
        return await aio.MessageBus(bus_address=address).connect()

    async def disconnect() -> None:
        bus.disconnect()
        await asyncio.wait([asyncio.ensure_future(bus.wait_for_disconnect())])

    bus = loop.run(connect)
    try:
        yield bus
    finally:
        loop.run(disconnect)


def need(program: str) -> None:
    """Skip the test where `program` is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def eventually(condition: Callable[[], Result], seconds: float = 10.0) -> Result:
    """The first true value of `condition`; fails where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail("it did not happen")
        time.sleep(0.01)
    return value


async def soon(condition: Callable[[], Result], seconds: float = 10.0) -> Result:
    """As `eventually`, within an event loop."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail("it did not happen")
        await asyncio.sleep(0.01)
    return value


def stand_in(folder: Path, name: str, script: str) -> Path:
    """A program `name` in `folder` that writes its arguments to `<name>.log`, then does `script`.

    `script` is for sh; each call is a line of the log, its arguments separated by `|`.
    """
    program = folder / name
    log = folder / f"{name}.log"
    program.write_text(f'#!/bin/sh\n(IFS="|"; printf "%s\\n" "$*") >> "{log}"\n{script}\n')
    program.chmod(0o755)
    return log


def calls(log: Path) -> list[str]:
    """What a stand-in was called with."""
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []
