"""Other commands, configuration and policy while the daemon runs; wrong ones change nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from ..config import AssistantConfig
from ..errors import AssistantError, ConfigError
from .daemon import Daemon
from .hub import Fact
from .loading import Loader
from .notify import ServiceManager

logger = logging.getLogger(__name__)

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
                self._manager.ready(self.status)
                if isinstance(error, OSError):
                    reason = f"{error.filename}: {error.strerror}"
                    raise ConfigError(reason) from error
                raise
            self._manager.ready(self.status)
            self._config = loaded.config
            self.counts["done"] += 1
            named, intents = loaded.config.commands, len(loaded.engine.commands.intents)
            self._tell(f"reloaded: {intents} intents of {named}")
            facts = {"commands": named, "intents": intents}
            self._daemon.hub.publish("reloaded", **facts)
            return facts

    async def reload_quietly(self) -> None:
        """`reload`, where nobody waits for what comes of it; what went wrong was told."""
        try:
            await self.reload()
        except AssistantError:
            pass
        except Exception:
            logger.exception("a reload failed")

    async def watch(self, watched: frozenset[Path], waiting: asyncio.Task[bool]) -> None:
        """Reload when files change; what is watched may change with them.

        Args:
            watched: what `Loader.watched` named before it was read.
            waiting: `Loader.changed` of that, which has waited since: what changed while it was
                read for the start counts as well.
        """
        try:
            while await waiting:
                waiting = await self._loader.watching(watched)
                await self.reload_quietly()
                other = await asyncio.to_thread(self._loader.watched, self._config)
                if other != watched:
                    waiting.cancel()
                    watched, waiting = other, await self._loader.watching(other)
        finally:
            waiting.cancel()

    async def follow_window(self) -> None:
        """Listen by the commands of the application whose window is active."""
        from ..actions.desktop.active_window import (  # noqa: PLC0415 - where it is wanted alone
            active_window,
            why_no_active_window,
        )

        if why := await asyncio.to_thread(why_no_active_window):
            self._tell(f"commands by application: {why}")
        while not why:
            window = await asyncio.to_thread(active_window)
            self._daemon.set_context(window.application if window else "")
            await asyncio.sleep(CONTEXT_S)
