"""Other commands, configuration and policy while the daemon runs; wrong ones change nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ..config import AssistantConfig
from ..errors import AssistantError
from .daemon import Daemon
from .hub import Fact
from .loading import Loader
from .notify import ServiceManager

CONTEXT_S = 0.5
"""Seconds between looks at the active window."""


class Reloader:
    """Reads everything again: when it is asked to, and when files change.

    Attributes:
        counts: reloads that were done, and that failed.
    """

    def __init__(
        self,
        loader: Loader,
        daemon: Daemon,
        config: AssistantConfig,
        manager: ServiceManager,
        tell: Callable[[str], None],
    ) -> None:
        """config: what was read last. tell: told, in a line, what came of it."""
        self.counts = {"done": 0, "failed": 0}
        self._loader = loader
        self._daemon = daemon
        self._config = config
        self._manager = manager
        self._tell = tell
        self._lock = asyncio.Lock()

    @property
    def status(self) -> str:
        """What is listened to, in a line."""
        commands = self._daemon.streams.engine.commands
        return f"{len(commands.intents)} intents, {self._daemon.ears.listening.mode.value}"

    async def reload(self) -> Fact:
        """Read configuration, commands and policy again; where they are wrong, the old ones stay.

        Raises:
            AssistantError: why they stay.
        """
        async with self._lock:
            self._manager.reloading()
            try:
                loaded = await self._loader.load(self._daemon.streams.engine)
                self._daemon.use(loaded)
            except Exception as error:
                self.counts["failed"] += 1
                self._tell(f"the old commands stay: {error}")
                self._daemon.hub.publish("reload-failed", reason=str(error))
                raise
            finally:
                self._manager.ready(self.status)
            self._config = loaded.config
            self.counts["done"] += 1
            named, intents = loaded.config.commands, len(loaded.engine.commands.intents)
            self._tell(f"reloaded: {intents} intents of {named}")
            facts = {"commands": named, "intents": intents}
            self._daemon.hub.publish("reloaded", **facts)
            return facts

    async def reload_quietly(self) -> None:
        """`reload`, where nobody waits for what comes of it; it was told."""
        with contextlib.suppress(AssistantError):
            await self.reload()

    async def watch(self) -> None:
        """Reload when files change; what is watched may change with them."""
        watching = True
        while watching:
            watching = False
            async for _ in self._loader.changes(self._config):
                watching = True
                break
            if watching:
                await self.reload_quietly()

    async def follow_window(self) -> None:
        """Listen by the commands of the application whose window is active."""
        from ..actions.desktop.active_window import active_window  # noqa: PLC0415 - an extra

        while True:
            window = await asyncio.to_thread(active_window)
            self._daemon.set_context(window.application if window else "")
            await asyncio.sleep(CONTEXT_S)
