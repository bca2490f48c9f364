"""`assistant serve`: the daemon."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

import asyncio
import contextlib
import json as json_format
import logging
import os
import queue
import sys
import threading
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..config import AssistantConfig
from ..errors import AssistantError
from . import options

EXAMPLES = options.examples(
    "assistant serve: listen and act; other programs connect to its sockets",
    "assistant serve --commands ~/.config/assistant/commands: a folder of command files, compiled "
    "again whenever one changes",
    "assistant serve --mode push-to-talk, and a key that runs 'assistant ctl talk toggle'",
    "assistant serve --no-microphone --uri tcp://127.0.0.1:10300: for Home Assistant",
    "assistant ctl status; assistant history; assistant service install",
)


TOLD = "assistant.serve"
"""The log of what people should know anyway."""

WAITING_LINES = 1000
"""Lines of the log that wait to be written at most."""
LAST_LINES_S = 1.0
"""Seconds in which what waits as the process ends is written."""


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


def command(
    commands: Annotated[
        str | None,
        typer.Option(
            "--commands",
            metavar="NAME|DIR",
            help="Compiled command set, or a folder of command files (YAML), which are compiled "
            "when they change (default: home).",
        ),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            "--uri",
            metavar="unix://…|tcp://…",
            help="Address of the Wyoming server (default: a private socket in $XDG_RUNTIME_DIR).",
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            "--control",
            metavar="unix://…|tcp://…",
            help="Address of the control socket; over TCP its clients say a token.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="tcp://…",
            help="Address of /metrics (Prometheus) and /health, such as tcp://127.0.0.1:9464.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="always|wake|push-to-talk",
            help="When the microphone is listened to (default: always).",
        ),
    ] = None,
    no_microphone: Annotated[
        bool, typer.Option("--no-microphone", help="Hear clients alone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done, and do nothing.")
    ] = False,
    allow_network: Annotated[
        bool,
        typer.Option(
            "--allow-network",
            help="Let other machines reach the Wyoming server and the metrics, which know no "
            "passwords.",
        ),
    ] = False,
    discoverable: Annotated[
        bool,
        typer.Option(
            "--discoverable",
            help="Tell the network of the Wyoming server (mDNS; needs the extra 'discovery').",
        ),
    ] = False,
    input_device: options.InputDevice = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    device: options.Device = None,
    false_alarms_per_hour: options.FalseAlarms = None,
    early_commit: options.EarlyCommit = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="How the log looks on standard error.")
    ] = LogFormat.TEXT,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what is heard and done as well.")
    ] = False,
) -> None:
    """Run the daemon: listen, act, and answer other programs, until Ctrl-C or SIGTERM.

    It does what it understands, as the policy says; with --dry-run it only tells.

    Wyoming clients (Home Assistant) send audio or text; `assistant ctl` and scripts use the
    control socket. Commands, configuration and policy are read again when their files change, or
    on SIGHUP; where they are wrong, the old ones stay.
    """
    from ..daemon.options import ServeOptions
    from ..daemon.serve import serve

    def read_config() -> AssistantConfig:
        found = options.configuration(
            config, bundle, commands, device, false_alarms_per_hour, early_commit
        )
        audio = found.audio if input_device is None else replace(found.audio, device=input_device)
        daemon = replace(
            found.daemon,
            mode=mode or found.daemon.mode,
            wyoming=uri or found.daemon.wyoming,
            metrics=metrics or found.daemon.metrics,
        )
        return replace(found, audio=audio, daemon=daemon)

    log = ServiceLog(log_format, verbose)
    serving = ServeOptions(
        __version__,
        read_config,
        config_file=config if config is None else Path(config),
        control=control,
        policy=actions,
        execute=not dry_run,
        microphone=not no_microphone,
        log_dropped=lambda: log.dropped,
        network=allow_network,
        discoverable=discoverable,
    )
    try:
        asyncio.run(serve(serving, log.tell))
    except AssistantError as error:
        log.fail(str(error))
        raise typer.Exit(error.exit_code) from error


class ServiceLog(logging.Handler):
    """The log on standard error, other libraries' warnings included.

    A thread writes it, so that nobody waits for a terminal or a pipe that takes nothing. What
    cannot be written (full disk, closed terminal, too many lines that wait) is counted.
    """

    def __init__(self, log_format: LogFormat, verbose: bool) -> None:
        super().__init__()
        self._turned_away = 0
        self._unwritten = 0
        self._waiting: queue.Queue[bytes | None] = queue.Queue(WAITING_LINES)
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()
        self.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
        logging.captureWarnings(True)
        logging.raiseExceptions = False
        logging.getLogger().handlers = [self]
        package = logging.getLogger("assistant")
        package.handlers = []
        package.setLevel(
            logging.INFO if verbose or log_format is LogFormat.JSON else logging.WARNING
        )
        self._told = logging.getLogger(TOLD)
        self._told.setLevel(logging.INFO)

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._turned_away + self._unwritten

    def tell(self, line: str) -> None:
        """What people should know, though it is no warning."""
        self._told.info("%s", line)

    def fail(self, line: str) -> None:
        """Why it ends."""
        self._told.error("%s", line)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._turned_away += 1

    def close(self) -> None:
        """Write what waits, if somebody takes it soon; `logging` calls it as the process ends."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
            self._writer.join(LAST_LINES_S)
        super().close()

    def _write(self) -> None:
        """On a thread of its own."""
        while (line := self._waiting.get()) is not None:
            try:
                # Not by sys.stderr, which would try again as the process ends, and fail once more.
                if sys.stderr is None or os.write(2, line) < len(line):
                    self._unwritten += 1
            except OSError:
                self._unwritten += 1


class TextFormatter(logging.Formatter):
    """A log line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        from ..actions.text import one_line

        line = one_line(record.getMessage())
        if record.levelno != logging.INFO or record.name != TOLD:
            origin = "" if record.name == TOLD else f"{record.name}: "
            line = f"{record.levelname.lower()}: {origin}{line}"
        traceback = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return line + traceback


class JsonFormatter(logging.Formatter):
    """A log line as an object of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
        facts = {
            "when": f"{when}.{int(record.msecs):03d}{time.strftime('%z')}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json_format.dumps(facts, ensure_ascii=False)
