"""A program: started from a list of arguments, never by a shell, and read within bounds."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ..errors import ActionError
from .limits import OUTPUT_LIMIT
from .outside import outside

DETACH_GRACE_S = 0.5
"""Seconds in which the failure of a detached program is still noticed."""

DEFAULT_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP", "XDG_DATA_DIRS"),
)
"""Variables every program is given (those that are set); the policy may name more."""


class ProgramTimeoutError(ActionError):
    """A program did not end in time; it was killed, whatever it had done by then."""


def run_to_end(
    argv: Sequence[str], environment: Mapping[str, str], timeout_s: float, given: str = ""
) -> str:
    """Run a program, in a process group of its own; returns standard output, up to `OUTPUT_LIMIT`.

    What it leaves in the background after it ended itself goes on undisturbed.

    Args:
        argv: the program and its arguments.
        environment: all variables it sees.
        timeout_s: seconds after which it and its whole group are killed.
        given: what it reads from its standard input.

    Raises:
        ProgramTimeoutError: it was killed.
        ActionError: it was not found, cannot be started, or ended with another status than 0.
    """
    process = _start(argv, environment, output=subprocess.PIPE, given=given)
    output, errors = _read_until_exit(process, timeout_s)
    if process.returncode:
        raise ActionError(f"'{argv[0]}' {_how_it_ended(process.returncode, errors)}")
    return output


def start_detached(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> None:
    """Start a program that stays open: its output is dropped, and it is left alone.

    Where the assistant is a service, it is started outside of it; see `outside`.

    folder: the one it works in; that of the assistant where absent.

    Raises:
        ActionError: it cannot be started, or failed within `DETACH_GRACE_S`.
    """
    started = outside(argv, environment, folder)
    process = _start(started, environment, output=subprocess.DEVNULL, folder=folder)
    try:
        process.wait(DETACH_GRACE_S)
    except subprocess.TimeoutExpired:
        _reap_later(process)
    if process.returncode:
        raise ActionError(f"'{argv[0]}' {_how_it_ended(process.returncode, '')}")


def _start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    output: int,
    given: str = "",
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as stack:
        source: int | IO[bytes] = subprocess.DEVNULL
        if given:  # a file, not a pipe: a program that does not read cannot block us
            source = stack.enter_context(tempfile.TemporaryFile())
            source.write(given.encode())
            source.seek(0)
        try:
            return subprocess.Popen(  # noqa: S603 - an argument list, from the user's own policy
                argv,
                stdin=source,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ActionError(
                f"program '{argv[0]}' was not found: install it, or change the policy"
            ) from error
        except OSError as error:
            raise ActionError(f"'{argv[0]}' cannot be started: {error.strerror}") from error


def _reap_later(process: subprocess.Popen[bytes]) -> None:
    """Leave `process` to itself; a thread waits for its end, so that no zombie stays."""
    threading.Thread(target=process.wait, daemon=True).start()


def _read_until_exit(process: subprocess.Popen[bytes], timeout_s: float) -> tuple[str, str]:
    """Standard output and error of `process`, bounded, once it has ended."""
    kept = {pipe: bytearray() for pipe in (process.stdout, process.stderr) if pipe}
    try:
        _drain(process, kept, timeout_s)
    except BaseException as error:  # Ctrl-C included: nothing of the group may stay behind
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _reap_later(process)  # not wait(): what runs as root, like sudo, cannot be killed
        if isinstance(error, subprocess.TimeoutExpired):
            raise ProgramTimeoutError(
                f"the program did not end within {timeout_s:g} s and was killed; "
                "raise 'timeout_s' if it is slow"
            ) from error
        raise
    finally:
        for pipe in kept:
            pipe.close()
    output, errors = (bytes(said).decode(errors="replace").rstrip("\n") for said in kept.values())
    return output, errors


def _drain(
    process: subprocess.Popen[bytes], kept: Mapping[IO[bytes], bytearray], timeout_s: float
) -> None:
    """Read each pipe into its bytearray, up to `OUTPUT_LIMIT`, until `process` has ended.

    `Popen.communicate` would wait for everyone who holds the pipes, thus for every program left in
    the background, and keep all they write.

    Raises:
        subprocess.TimeoutExpired: it still runs after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for pipe, said in kept.items():
            selector.register(pipe, selectors.EVENT_READ, said)
        while selector.get_map():
            ended, late = process.poll() is not None, time.monotonic() >= deadline
            ready = selector.select(0 if ended else 0.02)
            for key, _ in ready:
                chunk = os.read(key.fd, OUTPUT_LIMIT)
                key.data.extend(chunk[: OUTPUT_LIMIT - len(key.data)])
                if not chunk:
                    selector.unregister(key.fileobj)
            if ended and (late or not ready):
                return
            if late:
                raise subprocess.TimeoutExpired(process.args, timeout_s)
    process.wait(max(0.0, deadline - time.monotonic()))


def _how_it_ended(returncode: int, errors: str) -> str:
    if returncode < 0:
        return f"was ended by {signal.strsignal(-returncode) or 'a signal'} ({-returncode})"
    last_line = errors.strip().rpartition("\n")[2][:200]
    return f"ended with status {returncode}" + (f": {last_line}" if last_line else "")
