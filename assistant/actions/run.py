"""`run`: a program. The only module of the package that imports `subprocess`."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from ..errors import ActionError
from .environment import check_names, variables
from .limits import OUTPUT_LIMIT, check_timeout
from .placeholders import Slots, expand, placeholders

DETACH_GRACE_S = 0.5
"""Seconds in which the failure of a detached program is still noticed."""

DEFAULT_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP", "XDG_DATA_DIRS"),
)
"""Variables every program is given (those that are set); the policy may name more."""


@dataclass(frozen=True)
class RunAction:
    """Run a program: an argument list, never a shell.

    Each entry of `argv` arrives as exactly one argument. A value that begins with `-` could still
    be taken for an option (`--output=…`), and no program asks where its options came from, so by
    default it is refused. The author allows it where it is harmless: by `--` before the
    placeholder, for programs that end their options there, or by `--name={slot}`, where the value
    cannot be anything else. Refusing rather than only warning: commands rarely need such a
    value, and the one that has it was not foreseen.
    """

    argv: Sequence[str]
    """The program and its arguments; placeholders everywhere but in the program."""
    timeout_s: float = 5.0
    """Seconds after which the program and its whole process group are killed."""
    environment: Sequence[str] = ()
    """Names of variables it sees besides `DEFAULT_ENVIRONMENT`."""
    detach: bool = False
    """For what stays open, like a browser: output is dropped, and what still runs after
    `DETACH_GRACE_S` is done and left alone."""

    def __post_init__(self) -> None:
        if isinstance(self.argv, str):
            words = ", ".join(json.dumps(word) for word in self.argv.split())
            raise ValueError(f"argv is a list, since there is no shell: write [{words}]")
        for argument in self.argv:
            if not isinstance(argument, str):
                raise ValueError(f"argument {argument!r} is not text: put it in quotes")
        if not self.argv or not self.argv[0]:
            raise ValueError("argv is empty: write the program and its arguments")
        if "{" in self.argv[0]:
            raise ValueError(
                f"the program may not depend on a slot: write a name for {self.argv[0]!r}, "
                "and a rule with 'when' for each program"
            )
        if any("\0" in argument for argument in self.argv):
            raise ValueError("an argument has a NUL byte: remove it")
        check_timeout(self.timeout_s)
        check_names(self.environment)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return self.argv

    def arguments(self, slots: Slots) -> list[str]:
        """The argument list with slot values in place.

        Raises:
            ActionError: a slot is absent, or its value would begin an argument with `-`.
        """
        arguments: list[str] = []
        after_dashes = False
        for template in self.argv:
            argument = expand(template, slots)
            after_dashes = template == "--" or (after_dashes and bool(placeholders(template)))
            if argument.startswith("-") and not (template.startswith("-") or after_dashes):
                raise ActionError(
                    f"{argument!r} could be taken for an option of {self.argv[0]}; to allow it, "
                    f"write '--' before {template!r} or --name={template}"
                )
            arguments.append(argument)
        return arguments

    def describe(self, slots: Slots) -> str:
        """The command as one could type it; quoted for display only."""
        return shlex.join(self.arguments(slots)) + (" (detached)" if self.detach else "")

    def perform(self, slots: Slots) -> str:
        """Run it, with closed input, in a process group of its own; returns standard output.

        What it leaves in the background after it ended itself goes on undisturbed.
        """
        argv = self.arguments(slots)
        environment = variables((*DEFAULT_ENVIRONMENT, *self.environment))
        output, errors = "", ""
        if self.detach:
            process = _start(argv, environment, output=subprocess.DEVNULL)
            try:
                process.wait(DETACH_GRACE_S)
            except subprocess.TimeoutExpired:
                _reap_later(process)
        else:
            process = _start(argv, environment, output=subprocess.PIPE)
            output, errors = _read_until_exit(process, self.timeout_s)
        if process.returncode:
            raise ActionError(f"'{argv[0]}' {_how_it_ended(process.returncode, errors)}")
        return output


def _start(
    argv: Sequence[str], environment: Mapping[str, str], output: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, from the user's own policy
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
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
            raise ActionError(
                f"the program did not end within {timeout_s:g} s and was killed; "
                "raise 'timeout_s', or set 'detach: true' if it is meant to stay open"
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
