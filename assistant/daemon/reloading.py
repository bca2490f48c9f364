"""Other commands, configuration and policy while the daemon runs; wrong ones change nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from ..config import AssistantConfig, AudioConfig
from ..errors import AssistantError, ConfigError
from .daemon import Daemon
from .hub import Fact
from .loading import Loader
from .notify import ServiceManager

logger = logging.getLogger(__name__)

CONTEXT_S = 0.5
"""Seconds between looks at the active window."""
OPENED_ONCE = ("wyoming", "wyoming_acts", "metrics", "shortcut", "notifications")
"""Keys of `DaemonConfig` that a reload cannot change; nor can it `AudioConfig`."""


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
        """config: what the start has read. tell: told, in a line, what came of it."""
        self.counts = {"done": 0, "failed": 0}
        self._loader = loader
        self._daemon = daemon
        self._start = self._config = config
        self._manager = manager
        self._tell = tell
        self._lock = asyncio.Lock()
        self._has_contexts = asyncio.Event()
        self._look_for_contexts()

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
            self._look_for_contexts()
            self._tell(f"reloaded: {intents} intents of {named}")
            if keys := need_restart(self._start, loaded.config):
                self._tell(f"needs a restart: {', '.join(keys)}")
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
        """Listen by the commands of the application whose window is active, where it has some."""
        await self._has_contexts.wait()
        from ..actions.desktop.active_window import (  # noqa: PLC0415 - where it is wanted alone
            active_window,
            why_no_active_window,
        )

        if why := await asyncio.to_thread(why_no_active_window):
            self._tell(f"commands by application: {why}")
        while not why:
            await self._has_contexts.wait()
            window = await asyncio.to_thread(active_window)
            self._daemon.set_context(window.application if window else "")
            await asyncio.sleep(CONTEXT_S)

    def _look_for_contexts(self) -> None:
        if self._daemon.ears.contexts:
            self._has_contexts.set()
        else:
            self._has_contexts.clear()


def need_restart(start: AssistantConfig, now: AssistantConfig) -> list[str]:
    """The keys that have changed since the start, and that a reload cannot change."""
    sections = (
        ("audio", start.audio, now.audio, [field.name for field in fields(AudioConfig)]),
        ("daemon", start.daemon, now.daemon, OPENED_ONCE),
    )
    return [
        f"{section}.{key}"
        for section, before, after, keys in sections
        for key in keys
        if getattr(before, key) != getattr(after, key)
    ]
