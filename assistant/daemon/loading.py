"""What the daemon works with, as its configuration says: engines, policy, and the files behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..actions import ActionRunner
from ..config import AssistantConfig
from ..engine import Engine
from ..program import install_line
from .commands_source import CommandsSource

logger = logging.getLogger(__name__)

SETTLE_MS = 300
"""Milliseconds in which files that change together are taken for one change."""


@dataclass(frozen=True)
class Loaded:
    """One reading of the configuration.

    contexts: the engines of applications, by the name of the application in lower case.
    """

    config: AssistantConfig
    engine: Engine
    runner: ActionRunner
    contexts: Mapping[str, Engine] = field(default_factory=dict)


@dataclass(frozen=True)
class Loader:
    """Reads configuration, commands and policy.

    read_config: the configuration file with the command line's options in their places. files:
    what else is watched, the configuration and the policy.
    """

    read_config: Callable[[], AssistantConfig]
    policy: str | None
    execute: bool
    files: tuple[Path, ...]
    tell: Callable[[str], None]

    async def load(self, before: Engine | None = None) -> Loaded:
        """Read all of it, commands that are not compiled included.

        Args:
            before: an engine whose networks are used again.

        Raises:
            AssistantError: something is wrong.
        """
        config = self.read_config()
        engine = await self._engine(config, config.commands, before)
        contexts = {
            application.casefold(): await self._engine(config, named, engine)
            for application, named in config.daemon.contexts.items()
        }
        runner = await asyncio.to_thread(engine.actions, self.execute, self.policy)
        return Loaded(config, engine, runner, contexts)

    def watched(self, config: AssistantConfig) -> frozenset[Path]:
        """The files and folders whose change means another reading, links followed as well."""
        named = (config.commands, *config.daemon.contexts.values())
        sets = [path for name in named for path in CommandsSource(name, config.bundle).watched]
        found = [path.absolute() for path in (*sets, *self.files)]
        return frozenset((*found, *(path.resolve() for path in found)))

    async def watching(self, watched: frozenset[Path]) -> asyncio.Task[bool]:
        """`changed` as a task, which watches when this returns."""
        waiting = asyncio.create_task(self.changed(watched))
        await asyncio.sleep(0)
        return waiting

    async def changed(self, watched: frozenset[Path]) -> bool:
        """Wait until something of it changes; False where nothing can watch it."""
        try:
            from watchfiles import awatch  # noqa: PLC0415 - an extra
        except ImportError:
            self.tell(
                f"files are not watched: {install_line('daemon')}; assistant ctl reload reads them"
            )
            return False

        def is_meant(_: object, changed: str) -> bool:
            path = Path(changed)
            if path.name.startswith(".") or path.name.endswith("~"):
                return False  # what editors keep beside
            return path in watched or any(folder in path.parents for folder in watched)

        # The folder around is watched too: editors and `assistant train` put another in the place.
        folders = {path.parent for path in watched}
        folders |= {inner for path in watched for inner in (path, *path.rglob("*"))}
        places = [folder for folder in folders if folder.is_dir()]
        changes = awatch(*places, watch_filter=is_meant, debounce=SETTLE_MS, recursive=False)
        try:
            async with aclosing(changes):
                async for _ in changes:
                    return True
        except OSError as error:
            logger.warning("files are not watched: %s; SIGHUP reloads", error)
        return False

    async def _engine(self, config: AssistantConfig, named: str, before: Engine | None) -> Engine:
        folder = await CommandsSource(named, config.bundle).compiled(self.tell)
        wanted = replace(config, commands=folder)
        if before is not None:
            return await asyncio.to_thread(before.with_config, wanted)
        engine = await asyncio.to_thread(Engine.load, wanted)
        await asyncio.to_thread(_warm_up, engine)
        return engine


def _warm_up(engine: Engine) -> None:
    """The first utterance is not to wait for what networks prepare at their first use."""
    pipeline = engine.pipeline(whole=True)
    pipeline.feed(np.random.default_rng(0).normal(0, 0.01, 24_000).astype(np.float32))
    pipeline.flush()
