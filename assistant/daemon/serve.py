"""`assistant serve` from its start to its end: stages, servers, reloads, signals.

Servers open first, so that a second daemon is told at once, and clients that come early learn at
which stage the start is. What takes long to load is loaded on a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..actions.journal import Journal
from ..config import AssistantConfig
from ..errors import ConfigError, UsageError
from ..resources import state_folder
from . import background
from .control import ControlServer, read_token, taken
from .hub import Fact, Hub
from .memory import bound_memory, tidy_memory
from .notify import ServiceManager
from .options import ServeOptions
from .sockets import Address, runtime_folder
from .sockets import Listening as Opened

if TYPE_CHECKING:
    from .daemon import Daemon
    from .loading import Loaded, Loader
    from .microphone import MicrophoneThread
    from .reloading import Reloader
    from .requests import Requests
    from .wyoming_server import WyomingServer

logger = logging.getLogger(__name__)


class Service:
    """One run of the daemon."""

    def __init__(self, options: ServeOptions, tell: Callable[[str], None]) -> None:
        """tell: told each stage of the start, and what there is to know, in a line."""
        self.options = options
        self.log_dropped = options.log_dropped
        self.hub = Hub()
        self.journal = Journal()
        self.started = time.monotonic()
        self.stage = "starting"
        self.stages: dict[str, float] = {}
        self.reloader: Reloader | None = None
        self._tell = tell
        self._manager = ServiceManager.from_environment()
        self._starting: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._config = AssistantConfig()
        self.daemon: Daemon | None = None
        self._requests: Requests | None = None
        self.microphone: MicrophoneThread | None = None
        self.wyoming: WyomingServer | None = None
        self._speaks_wyoming = True
        self.control: ControlServer | None = None
        self._listening: list[Opened] = []
        self._open = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[Any]] = []

    # ── its life ──────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `assistant ctl stop`.

        Raises:
            AssistantError: it cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        self._starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait((self._starting,))
            if not self._starting.cancelled():
                self._starting.result()
                seconds = time.monotonic() - self.started
                self._set_stage("ready")
                self._tell(f"ready after {seconds:.1f} s: {self._listed_stages()}")
                self._manager.ready(self.reloader.status if self.reloader else "")
                await self._stopping.wait()
        finally:
            await self._close()

    def stop(self) -> None:
        """End, once what is being done is done; a start is called off."""
        self._stopping.set()
        if self._starting is not None:
            self._starting.cancel()

    async def _start(self) -> None:
        with self._timed("sockets"):
            self._config = self.options.read_config()
            await self._open_control()
        with self._timed("libraries"):
            await asyncio.to_thread(_load_libraries)
            from .loading import Loader  # noqa: PLC0415

            self._check_wyoming()
        with self._timed("models"):
            named = (self.options.config_file, self.options.policy)
            files = tuple(Path(file) for file in named if file is not None)
            loader = Loader(
                self.options.read_config,
                self.options.policy,
                self.options.execute,
                files,
                self._tell,
            )
            watched = await asyncio.to_thread(loader.watched, self._config)
            waiting = await loader.watching(watched)  # from before anything is read
            self._tasks.append(waiting)
            loaded = await loader.load()
        self.daemon = self._assemble(loader, loaded)
        with self._timed("servers"):
            await self._open_servers()
        if self.options.microphone:
            with self._timed("microphone"):
                await self._open_microphone()
        else:
            self._tell("no microphone: only clients are heard (--no-microphone)")
        from .desktop import on_desktop  # noqa: PLC0415

        assert self.reloader is not None  # noqa: S101 - it was assembled before
        beside = [self.reloader.watch(watched, waiting), self.reloader.follow_window()]
        beside += [self._live(), tidy_memory()]
        beside += on_desktop(self.daemon, loaded.config.daemon, self._tell)
        self._tasks += map(background.start, beside)

    async def _close(self) -> None:
        self._manager.stopping()
        self.hub.publish("stopping")
        self._set_stage("stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._open.aclose()
        for listening in self._listening:
            await listening.close()
        if self.microphone is not None:
            await self.microphone.close()
        if self.wyoming is not None:
            await self.wyoming.close()
        if self.daemon is not None:
            await self.daemon.close()
        if self.control is not None:
            await self.control.close()
        self._tell("ended")

    # ── the stages ────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        self._set_stage(stage)
        begin = time.monotonic()
        yield
        self.stages[stage] = round(time.monotonic() - begin, 3)

    def _set_stage(self, stage: str) -> None:
        self.stage = stage
        self.hub.publish("stage", stage=stage)
        if stage != "ready":
            self._manager.status(stage)
        logger.debug("stage: %s", stage)

    def _listed_stages(self) -> str:
        return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.stages.items())

    async def _open_control(self) -> None:
        address = _address(self.options.control, "control.sock")
        token = "" if address.path is not None else read_token(state_folder() / "control.token")
        self.control = ControlServer(self, self.hub, token)
        opened = await self.control.start(address)
        self._listening.append(opened)
        where = f"; its token is in {state_folder() / 'control.token'}" if token else ""
        self._tell(f"control socket: {opened.address}{where}")

    def _check_wyoming(self) -> None:
        """Before the models are read, which takes long.

        Raises:
            UsageError: Wyoming is asked for, and its library is absent.
        """
        from .wyoming_server import why_no_wyoming  # noqa: PLC0415

        why = why_no_wyoming()
        if why and (self._config.daemon.wyoming or self.options.discoverable):
            raise UsageError(f"the Wyoming server cannot be opened: {why}")
        if why:
            self._tell(f"no wyoming: {why}")
        self._speaks_wyoming = not why

    async def _open_servers(self) -> None:
        if self._speaks_wyoming:
            await self._open_wyoming()
        if self._config.daemon.metrics:
            await self._open_metrics(Address.of(self._config.daemon.metrics))

    async def _open_wyoming(self) -> None:
        from .wyoming_server import WyomingServer, discoverable  # noqa: PLC0415

        assert self.daemon is not None  # noqa: S101 - it was assembled before
        address = _address(self._config.daemon.wyoming, "wyoming.sock")
        act = self.daemon.act if self._config.daemon.wyoming_acts else None
        self.wyoming = WyomingServer(self.daemon.streams, act, self.options.version)
        opened = await self.wyoming.start(address, allow_network=self.options.network)
        self._listening.append(opened)
        self._tell(f"wyoming: {opened.address}")
        if self.options.discoverable:
            await self._open.enter_async_context(discoverable(opened.address))

    async def _open_metrics(self, address: Address) -> None:
        from .metrics import MetricsServer  # noqa: PLC0415
        from .numbers import health, metrics  # noqa: PLC0415

        server = MetricsServer(lambda: metrics(self), lambda: health(self))
        opened = await server.start(address, allow_network=self.options.network)
        self._listening.append(opened)
        self._tell(f"metrics and health: {opened.address}")

    async def _open_microphone(self) -> None:
        from .microphone import MicrophoneThread  # noqa: PLC0415

        assert self.daemon is not None  # noqa: S101 - it was assembled before
        self.daemon.ears.open()
        self.microphone = MicrophoneThread(
            self._config.audio, self.daemon.ears.hear, self._tell_of_microphone
        )
        await self.microphone.opened()

    def _tell_of_microphone(self, line: str) -> None:
        logger.info("%s", line)
        self._tell(line)
        self.hub.publish("microphone", text=line)

    # ── what it works with ────────────────────────────────────────────────────────────────────

    def _assemble(self, loader: Loader, loaded: Loaded) -> Daemon:
        from ..actions.dialogue import Dialogue  # noqa: PLC0415
        from .daemon import Daemon  # noqa: PLC0415
        from .listening import Listening, Mode  # noqa: PLC0415
        from .reloading import Reloader  # noqa: PLC0415
        from .requests import Requests  # noqa: PLC0415

        config = loaded.config
        dialogue = Dialogue(loaded.runner, config.dialogue, self.journal)
        when = Listening(Mode.of(config.daemon.mode), config.dialogue.follow_up_s)
        daemon = Daemon(loaded, dialogue, self.hub, when)
        self.reloader = Reloader(loader, daemon, config, self._manager, self._tell)
        self._requests = Requests(daemon, self.reloader.reload)
        return daemon

    def _hang_up(self) -> None:
        if self.reloader is not None:
            self._tasks.append(background.start(self.reloader.reload_quietly()))
            self._tasks = [task for task in self._tasks if not task.done()]

    # ── what goes on beside ───────────────────────────────────────────────────────────────────

    async def _live(self) -> None:
        """Signs of life for systemd, as long as the loop runs."""
        if self._manager.watchdog_s is None:
            return
        while True:
            self._manager.alive()
            await asyncio.sleep(self._manager.watchdog_s / 3)

    # ── requests ──────────────────────────────────────────────────────────────────────────────

    async def handle(self, kind: str, values: Mapping[str, Any]) -> Fact:
        """See `control.Controlled`; `status` and `stop` are answered at any time."""
        if kind in ("status", "stop"):
            taken(values)
            if kind == "status":
                return self.status()
            self.stop()
            return {}
        if self._requests is None:
            raise UsageError(f"still starting ({self.stage}); ask again in a moment")
        return await self._requests.handle(kind, values)

    def status(self) -> Fact:
        """How it goes."""
        microphone = self.microphone.description if self.microphone else "none"
        return {
            "stage": self.stage,
            "version": self.options.version,
            "process": os.getpid(),
            "uptime_s": round(time.monotonic() - self.started, 1),
            "stages_s": self.stages,
            "microphone": microphone,
            **(self.daemon.state() if self.daemon else {}),
        }


def _address(named: str | None, socket: str) -> Address:
    """What was named, or the daemon's own socket of this name."""
    return Address.of(named) if named else Address(path=runtime_folder() / socket)


def _load_libraries() -> None:
    bound_memory()
    from .. import engine  # noqa: F401, PLC0415
    from . import daemon  # noqa: F401, PLC0415


async def serve(options: ServeOptions, tell: Callable[[str], None]) -> None:
    """Run the daemon until it is stopped.

    Raises:
        AssistantError: it cannot start.
    """
    try:
        await Service(options, tell).run()
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
