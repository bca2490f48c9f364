"""systemd is told what the daemon does, and nobody where there is no systemd."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.daemon.notify import ServiceManager, watchdog_seconds


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket that hears what systemd would, and its name as $NOTIFY_SOCKET gives it."""
    if request.param == "abstract" and not sys.platform.startswith("linux"):
        pytest.skip("abstract sockets are Linux's")
    name = str(tmp_path / "notify") if request.param == "path" else f"@assistant-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if name.startswith("@") else name)
        receiver.settimeout(5)
        yield receiver, name


def heard(receiver: socket.socket) -> list[str]:
    return receiver.recv(4096).decode().split("\n")


def test_systemd_hears_the_life_of_the_daemon(systemd: tuple[socket.socket, str]) -> None:
    receiver, name = systemd
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": name})
    manager.ready("listening to USB mic")
    assert heard(receiver) == ["READY=1", "STATUS=listening to USB mic"]
    manager.status("muted")
    assert heard(receiver) == ["STATUS=muted"]
    manager.alive()
    assert heard(receiver) == ["WATCHDOG=1"]
    manager.stopping()
    assert heard(receiver) == ["STOPPING=1"]


def test_a_reload_says_when_it_began(systemd: tuple[socket.socket, str]) -> None:
    receiver, name = systemd
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    ServiceManager.from_environment({"NOTIFY_SOCKET": name}).reloading()
    first, second = heard(receiver)
    assert first == "RELOADING=1"
    key, _, microseconds = second.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(microseconds) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_stays_one_line(systemd: tuple[socket.socket, str]) -> None:
    receiver, name = systemd
    ServiceManager.from_environment({"NOTIFY_SOCKET": name}).ready("heard\nSTOPPING=1")
    assert heard(receiver) == ["READY=1", "STATUS=heard STOPPING=1"]


@pytest.mark.parametrize("address", ["", "@", "relative", "vsock:2:9999"])
def test_without_a_socket_that_it_knows_nothing_is_sent(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    for send in (manager.ready, manager.reloading, manager.stopping, manager.alive):
        send()
    assert manager.watchdog_s is None
    assert not caplog.records


def test_a_socket_that_is_gone_is_a_warning_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ServiceManager(str(tmp_path / "gone")).ready()
    assert "was not told READY=1" in caplog.text


def test_the_watchdog_watches_this_process_alone() -> None:
    mine = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    assert watchdog_seconds(mine) == 30.0
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000"}) == 30.0
    assert watchdog_seconds({**mine, "WATCHDOG_PID": str(os.getppid())}) is None


@pytest.mark.parametrize("microseconds", ["", "0", "-1", "soon", "1.5"])
def test_a_watchdog_without_an_interval_is_none(microseconds: str) -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": microseconds}) is None


def test_it_needs_no_torch() -> None:
    code = "import assistant.daemon.notify, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
