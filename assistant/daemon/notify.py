"""What the daemon tells systemd: that it is ready, reloads, stops, and is still alive.

The protocol of sd_notify(3): datagrams of `NAME=value` lines to the socket $NOTIFY_SOCKET names.
Started by hand there is no such socket, and everything here does nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 1.0
"""Seconds that a message may wait for room in the socket's queue."""


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """systemd, where it started this process; else nobody, and every message goes nowhere.

    A message that cannot be delivered is a warning in the log: the daemon works without.
    """

    address: str | None = None
    """The socket: an absolute path, or `@` and an abstract name; None where there is none."""
    watchdog_s: float | None = None
    """Seconds between signs of life after which systemd restarts the daemon; send `alive` at least
    twice as often. None: nobody watches."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceManager:
        """What systemd says in `environment`, if it means this very process."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")) or len(address) < 2:
            return cls()
        return cls(address, watchdog_seconds(environment))

    def ready(self, status: str = "") -> None:
        """Started up, or done with reloading; `status` is one line for people."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for people, which `systemctl status` shows."""
        self._send(*_status(text))

    def reloading(self) -> None:
        """The configuration is being read anew; `ready` ends it."""
        # Of the same clock as systemd's own, so that it knows which reload is meant (v253).
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Shutting down has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """A sign of life, for the watchdog; send it from the loop that must not hang."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self.address is None or not lines:
            return
        # A leading NUL byte is how the kernel writes abstract names.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.connect(address)
                sender.send("\n".join(lines).encode())
        except OSError as error:
            logger.warning("systemd was not told %s: %s", lines[0], error)


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """The watchdog's interval in seconds; None where this process is not watched.

    As sd_watchdog_enabled(3): $WATCHDOG_USEC counts for the process $WATCHDOG_PID alone, since
    children inherit both.
    """
    microseconds = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or not int(microseconds) or process != str(os.getpid()):
        return None
    return int(microseconds) / 1e6


def _status(text: str) -> tuple[str, ...]:
    """A line of `text`: a line break in it would begin another message."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()
